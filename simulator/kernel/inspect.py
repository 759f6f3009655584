"""Questions about a state, answered by the rules that trade it.

None of them changes what a run does next; those that write anything say so, and want a copy.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel._jit import kernel_jit
from simulator.kernel.greeks import account_greeks, note_known_volatilities
from simulator.kernel.measures import correlation, measures, position_heat
from simulator.kernel.risk import judge
from simulator.kernel.views import account_of, open_at, signal_at

__all__ = ["correlations", "judge_once", "portfolio_greeks", "portfolio_measures"]


@kernel_jit.entry
def portfolio_measures(state: Any, params: Any, sector: int, heats: Any) -> tuple[float, float, float, float]:
    """Heat, gross, net and gross of a sector in currency; fills `heats` by position slot."""
    for k in range(account_of(state)["n_positions"]):
        slot = open_at(state, k)["slot"]
        heats[slot] = position_heat(state, params[0], slot)
    heat, gross, net, in_sector, _ = measures(state, params[0], sector, -1, 0)
    return heat, gross, net, in_sector


@kernel_jit.entry
def portfolio_greeks(state: Any, market: Any, t: int) -> tuple[float, float, float, float, float]:
    """Dollar delta, beta-weighted delta, gamma, theta and vega of a state that stands at bar t.

    The caller passes a copy: volatilities are noted on the way.
    """
    note_known_volatilities(state, market, t)
    return account_greeks(state, market, t, -1, 0)


@kernel_jit.entry
def judge_once(state: Any, logs: Any, market: Any, params: Any, lanes: Any, index: int, t: int) -> int:
    """Judge one signal at the close of bar t. The caller passes copies: judging places orders."""
    return judge(state, logs, market, params[0], lanes[0], signal_at(lanes[0], index), t)


@kernel_jit.entry
def correlations(market: Any, t: int, window: int, rho: Any, count: Any) -> None:
    """Fill the matrices of pairwise correlations, and of the returns that they rest on, at bar t."""
    for a in range(rho.shape[0]):
        for b in range(rho.shape[0]):
            value, n = correlation(market, t, a, b, window)
            rho[a, b] = value
            count[a, b] = n
