"""The compiled core: records, codes, risk rules, the step, and the loops over it.

Everything whose change could change a number lives in this folder, because numba's cache does not notice
changes in other files: the cache directory is named after a hash of these sources (`_jit`). Importing this
package imports no numba; its modules do.

Where to look, from the outside in:

    loops, inspect, history             what Python calls
    step                                one bar of a portfolio: the order of operations
    sessions, commands,
    corporate_actions                   what comes before the bar
    entries, exits, exit_fills          fills at the open and inside the bar
    matching                            whether an order fills on a bar, and at what price
    closing                             fills at its close
    holding, halts                      trails, marks, daily loss and drawdown
    risk, conflicts, limits, measures,
    plans, placing                      from a signal to a verdict and an order
    packages, package_opening,
    package_settlement, collateral,
    open_loss, greeks, quotes           option packages
    resting                             orders of a paper exchange, matched by the same rules
    positions, orders, levels, stops    what is open and what works
    money, liquidity, bars, slots,
    metrics, books, logbook             what all of these use
    black_scholes*, surface             option prices
    state, dtypes, codes, views         records, and how compiled code reaches them
"""
