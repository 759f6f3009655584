"""Exits of a bar: which of a position's orders it fills, at which price, in which order.

At the open: market exits, stops and targets that gapped. Inside the bar: stops, targets and adds, by the
conventions. All levels are mirrored (price times side), the bar with them, so that the code reads as it does
for a long. Triggers are written as positive comparisons, so that an absent level (infinite) never fires.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import tradable
from simulator.kernel.exit_fills import exit_fill, leave_as_given, stop_out, take_targets_and_adds
from simulator.kernel.matching import stop_follows, stop_goes_first, target_waits
from simulator.kernel.money import buying_power
from simulator.kernel.orders import cancel_reversal
from simulator.kernel.stops import TRAIL_NONE, raise_trail, stop_met
from simulator.kernel.views import account_of, clock_at, part_at, position_at

__all__ = ["exit_after_entry", "exit_at_open", "exit_inside", "forced_at_close"]


@kernel_jit
def exit_at_open(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, d: int) -> float:
    """Phase 2a for one open position, on part d of bar t; returns what a gapped add spent."""
    position = position_at(state, slot)
    if position["live"] == 0 or not tradable(market, t, d, position["sym"]):
        return 0.0
    if position["package"] == 1:
        return 0.0  # its prices are not the bar's
    if (
        params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED
        and position["entry_row"] == account_of(state)["row"]
    ):
        return 0.0
    bar = part_at(market, d, position["sym"])
    if position["side"] > 0:
        open_, high, low = bar["open"], bar["high"], bar["low"]
    else:
        open_, high, low = -bar["open"], -bar["low"], -bar["high"]
    if (
        position["forced_phase"] == codes.ENTRY_FIXED_OPEN
        and position["forced_ts"] == clock_at(market, t)["ts"]
    ):
        leave_as_given(state, logs, market, params, slot)
        return 0.0
    if position["pending"] != 0:
        if (
            position["pending"] == codes.EXIT_SIGNAL
            and params["exit_bar"] == codes.EXIT_BAR_IGNORED
            and _would_exit(position, low, high)
        ):
            # the engine that this convention copies looks at the whole bar before it hears the signal
            position["pending"] = 0
            position["pending_kind"] = 0
            cancel_reversal(state, logs, position["sym"])
        else:
            reason = position["pending"]
            kind = position["pending_kind"]
            position["pending"] = 0
            exit_fill(
                state,
                logs,
                market,
                params,
                slot,
                t,
                position["qty"],
                open_,
                kind,
                reason,
                codes.PRICE_OPEN,
                codes.YES,
            )
            return 0.0
    if open_ <= position["stop_now"]:
        raw = open_
        rule = codes.PRICE_OPEN_GAP
        if params["stop_gap"] == codes.STOP_GAP_STOP_PRICE and high >= position["stop_now"]:
            raw = position["stop_now"]
            rule = codes.PRICE_STOP
        stop_out(state, logs, market, params, slot, t, raw, position["stop_now"], rule)
        return 0.0
    if open_ >= position["next_target"] or open_ >= position["next_add"]:
        if not target_waits(params, low, position["stop_now"]):
            available = buying_power(params, account_of(state))
            return take_targets_and_adds(
                state, logs, market, params, slot, t, open_, open_, low, codes.YES, available
            )
    return 0.0


@kernel_jit
def _would_exit(position: Any, low: float, high: float) -> bool:
    # Whether the bar reaches the stop in force or the nearest target.
    return low <= position["stop_now"] or high >= position["next_target"]


@kernel_jit
def forced_at_close(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> None:
    """Leave at the price and time that the plan holds fixed, where that is this bar's close."""
    position = position_at(state, slot)
    if (
        position["forced_phase"] == codes.ENTRY_FIXED_CLOSE
        and position["forced_ts"] == clock_at(market, t)["ts"]
    ):
        leave_as_given(state, logs, market, params, slot)


@kernel_jit
def exit_inside(
    state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, d: int, available: float
) -> float:
    """Phase 2b for a position that was open at the open of part d; returns what adds spent."""
    position = position_at(state, slot)
    if position["live"] == 0 or position["pending"] != 0:
        return 0.0
    if (
        params["entry_bar"] == codes.ENTRY_BAR_NOT_ALLOWED
        and position["entry_row"] == account_of(state)["row"]
    ):
        return 0.0
    if not tradable(market, t, d, position["sym"]):
        return 0.0
    bar = part_at(market, d, position["sym"])
    # The path goes to the nearer extreme first; a tie goes to the low.
    up_first = bar["high"] - bar["open"] < bar["open"] - bar["low"]
    if position["side"] > 0:
        open_, high, low, close = bar["open"], bar["high"], bar["low"], bar["close"]
    else:
        open_, high, low, close = -bar["open"], -bar["low"], -bar["high"], -bar["close"]
        up_first = not up_first
    rule = params["trail_rule"]
    trails = position["trail_mode"] != TRAIL_NONE and (
        rule == codes.TRAIL_RAISE_FIRST or rule == codes.TRAIL_PATH
    )
    rises = high >= position["next_target"] or high >= position["next_add"]
    if not trails and not low <= position["stop_now"] and not rises:
        return 0.0
    hit, after_rise, extreme, level = stop_met(position, params, trails, up_first, open_, high, low, close)
    spent = 0.0
    if not hit or not stop_goes_first(params, after_rise, open_, position["next_target"]):
        spent = take_targets_and_adds(
            state, logs, market, params, slot, t, high, open_, low, codes.NO, available
        )
    if hit and position["live"] == 1 and position["pending"] == 0:
        raw = level
        if rule == codes.TRAIL_RAISE_FIRST and level > position["stop_now"]:
            if position["entry_row"] == account_of(state)["row"]:
                # raised and hit on the bar of the entry: assume the rise was a tick, and the fall came first
                raw = max(low, position["stop_now"])
        if position["entry_row"] == account_of(state)["row"]:
            # a stop nearer to the fill than the slippage was already passed when the entry filled
            raw = min(raw, open_)
        if level != position["stop_now"]:
            # the trail that stops the trade out is the one on record, so that the reason is right
            raise_trail(position, params, extreme)
        stop_out(state, logs, market, params, slot, t, raw, level, codes.PRICE_STOP)
    return spent


@kernel_jit
def exit_after_entry(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    by_limit: bool,
    met: float,
    low: float,
    close: float,
    up_first: bool,
) -> None:
    """Stop side of the bar in which a resting entry filled; `met` is the price that it filled for."""
    position = position_at(state, slot)
    level = position["stop_now"]
    if stop_follows(params, level, by_limit, low, close, up_first):
        stop_out(state, logs, market, params, slot, t, min(level, met), level, codes.PRICE_STOP)
