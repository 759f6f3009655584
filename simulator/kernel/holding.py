"""Holding and marking: what a bar does to open positions beside filling them, phases 3 and 4.

Trailing stops rise, stops move to break-even, excursions and bars are counted, time exits are asked for. Then
every position is worth its mark, and the account what its cash and its positions are.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import tradable
from simulator.kernel.halts import SLACK, fallen
from simulator.kernel.stops import break_even, raise_trail
from simulator.kernel.views import account_of, bar_at, metrics_of, open_at, part_at, position_at

__all__ = ["hold", "hold_one", "hold_part", "mark", "mark_account"]


@kernel_jit
def hold(state: Any, market: Any, params: Any, t: int) -> None:
    """Hold every position of shares over a bar."""
    account = account_of(state)
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["tradable"] == 1 and position["package"] == 0:
            hold_one(account, params, position, bar_at(market, t, position["sym"]))


@kernel_jit.inlined
def hold_one(account: Any, params: Any, position: Any, bar: Any) -> None:
    """Hold one position over a bar: trail, break-even, excursions, mark, time exits."""
    if position["side"] > 0:
        best, worst, close = bar["high"], bar["low"], bar["close"]
    else:
        best, worst, close = -bar["low"], -bar["high"], -bar["close"]
    entered_now = position["entry_row"] == account["row"]
    if entered_now and position["entry_phase"] == 1:
        # filled inside the bar: of this bar only the close is known to have come later
        best = close
        worst = close
    if not (entered_now and params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED):
        if position["trail_mode"] != 0:
            raise_trail(position, params, close if params["trail_rule"] == codes.TRAIL_CLOSE_ONLY else best)
        if best >= position["breakeven_at"]:
            break_even(params, position, best)
    position["best"] = max(position["best"], best)
    position["worst"] = min(position["worst"], worst)
    position["mark"] = bar["close"]
    open_bars = position["bars_held"] if position["entry_phase"] == 2 else position["bars_held"] + 1
    by_bars = position["max_bars"] > 0 and open_bars >= position["max_bars"]
    by_days = position["max_days"] > 0 and account["session"] - position["entry_day"] >= position["max_days"]
    if (by_bars or by_days) and position["pending"] == 0:
        if position["exit_close"] == 1:
            position["pending_close"] = codes.EXIT_TIME
        else:
            position["pending"] = codes.EXIT_TIME
            position["pending_kind"] = codes.KIND_EXIT


@kernel_jit
def hold_part(state: Any, market: Any, params: Any, t: int, d: int, fresh: int) -> None:
    """Raise trails and move stops to break-even from one part of a bar to the next."""
    account = account_of(state)
    if params["trail_rule"] == codes.TRAIL_CLOSE_ONLY:
        return
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 0 or not tradable(market, t, d, position["sym"]):
            continue
        if params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED and position["entry_row"] == account["row"]:
            continue
        bar = part_at(market, d, position["sym"])
        best = bar["high"] if position["side"] > 0 else -bar["low"]
        if position["id"] >= fresh:
            # filled inside this part: of it only the close is known to have come later
            best = bar["close"] * float(position["side"])
        raise_trail(position, params, best)
        break_even(params, position, best)


@kernel_jit
def mark(state: Any) -> None:
    """Mark the account at the positions' marks."""
    account = account_of(state)
    long_value = 0.0
    short_value = 0.0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        value = position["qty"] * position["mark"] * position["multiplier"]
        is_long = position["side"] > 0
        long_value += value if is_long else 0.0
        short_value += 0.0 if is_long else value
    mark_account(account, metrics_of(state), long_value, short_value)


@kernel_jit.inlined
def mark_account(account: Any, metrics: Any, long_value: float, short_value: float) -> None:
    """Take the value of longs and shorts into the equity, its peak and its drawdown."""
    account["long_value"] = long_value
    account["short_value"] = short_value
    account["equity"] = account["cash"] + (long_value - short_value)
    account["gross"] = long_value + short_value
    account["net"] = long_value - short_value
    # without branches, because whether a bar makes a new high cannot be predicted
    equity = account["equity"]
    session_no = account["session_no"]
    peak = max(equity, account["peak_equity"])
    peak_session = session_no if equity >= peak else metrics["peak_session"]
    account["peak_equity"] = peak
    metrics["peak_session"] = peak_session
    if equity < peak * (1.0 - metrics["max_drawdown"] + SLACK):
        metrics["max_drawdown"] = max(metrics["max_drawdown"], fallen(account))
    metrics["longest_drawdown"] = max(metrics["longest_drawdown"], session_no - peak_session)
