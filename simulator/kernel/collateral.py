"""What packages of options tie up, and the shares that cover sold calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel._jit import kernel_jit
from simulator.kernel.slots import is_own
from simulator.kernel.views import (
    account_of,
    leg_at,
    open_at,
    order_at,
    package_at,
    plan_leg_at,
    plan_package_at,
    position_at,
    working_at,
)

__all__ = ["count_collateral", "free_cover", "package_cost", "package_margin"]


@kernel_jit
def package_margin(
    state: Any, slot: int, working: int, spot: float, worth: float, lowest: float, bounded: bool
) -> float:
    """Return what one package ties up, in currency: cash that may not be spent elsewhere.

    Defined risk: the most that it can cost at expiry. Naked: what the exchange asks for a sold option, 20 %
    of the underlying less what it is out of the money, at least 10 %, for the worse side of the package, plus
    its present worth. Covered calls and debits: nothing.
    """
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    multiplier = package["multiplier"]
    if package["covered"] == 1:
        return 0.0
    if package["naked"] == 0:
        return max(0.0, -lowest) * multiplier if bounded else np.inf
    calls = 0.0
    puts = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        if leg["side"] < 0 and leg["right"] != 0:
            out = max(0.0, -float(leg["right"]) * (spot - leg["strike"]))
            if leg["right"] > 0:
                calls += float(leg["ratio"]) * max(0.2 * spot - out, 0.1 * spot)
            else:
                puts += float(leg["ratio"]) * max(0.2 * spot - out, 0.1 * leg["strike"])
    if bounded:
        calls = 0.0  # long calls or shares cover the sold ones
    return (max(calls, puts) + max(0.0, -worth)) * multiplier


@kernel_jit
def package_cost(state: Any, params: Any, slot: int, price: float, margin: float, side: int) -> float:
    """Buying power that one package of an order takes at `price` per share, with fees by contract and share.

    Fees by order come on top.
    """
    package = plan_package_at(state, slot)
    fees = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k)
        each = params["per_share"] * package["multiplier"] if leg["right"] == 0 else params["per_contract"]
        fees += each * float(leg["ratio"])
    return margin + float(side) * price * package["multiplier"] + fees


@kernel_jit
def count_collateral(state: Any) -> None:
    """Work out what all packages tie up.

    Buying power counts a short position twice against the cash, as exchanges ask for shares; for a package
    its margin stands in place of that.
    """
    account = account_of(state)
    total = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["package"] == 1:
            total += position["qty"] * position["unit_margin"]
            if position["side"] < 0:
                total -= 2.0 * position["qty"] * position["mark"] * position["multiplier"]
            # shares that a package is short of, after an assignment, tie up what other short shares do
            package = package_at(state, slot)
            for j in range(package["legs"]):
                leg = leg_at(state, slot, j)
                if leg["right"] == 0 and leg["side"] < 0:
                    shares = position["qty"] * position["multiplier"] * float(leg["ratio"])
                    total += 2.0 * shares * leg["mark"]
    account["collateral"] = total


@kernel_jit
def free_cover(state: Any, sym: int, strategy: int, multiplier: float) -> float:
    """Contracts that a strategy's shares of a symbol cover beyond those sold on them; below 0: bare ones."""
    account = account_of(state)
    free = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym or not is_own(position, strategy):
            continue
        if position["package"] == 0:
            free += position["qty"] / multiplier if position["side"] > 0 else 0.0
        elif package_at(state, slot)["covered"] == 1:
            free -= position["qty"]
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["package"] == 1 and order["sym"] == sym and is_own(order, strategy):
            if plan_package_at(state, slot)["covered"] == 1:
                free -= order["qty"]
    return free
