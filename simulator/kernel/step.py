"""The step: one bar of a whole portfolio, and the only place that fixes the order of operations.

    1   session change: interest, new baseline for the daily loss, expiry of DAY orders, release of halts;
        option packages whose expiry session lacked its last bar are settled
    0   commands and corporate actions: they belong to the session that has begun, so a deposit earns no
        interest for the night before it, and a sale at a given price counts in its own session's return
    2a  the open: market exits and gapped orders, then entries
    2b  inside the bar: stops, targets, adds, resting entries, by the conventions
    3   trailing stops, break-even, excursions, bars held, time exits
    4   mark at the close: equity, drawdown, heat; daily loss and drawdown limits
    5   signals known at this close, through the risk manager
    2c  the close: market-on-close exits, close entries, then a re-mark
    6   the equity log

Backtest, sweep, paper session and chunked run call this function and nothing else does its work again. The
step never raises. A bad bar counts as missing for its symbol; a log without room for what this bar might
write returns `STEP_LOG_FULL` before anything has changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_BAD, BAR_OK, bar_state
from simulator.kernel.closing import at_close
from simulator.kernel.commands import obey
from simulator.kernel.corporate_actions import act
from simulator.kernel.entries import enter_at_open, enter_inside
from simulator.kernel.exits import exit_at_open, exit_inside
from simulator.kernel.halts import check_limits, near_limits
from simulator.kernel.holding import hold, hold_one, hold_part, mark, mark_account
from simulator.kernel.logbook import append_equity, has_room
from simulator.kernel.measures import measures, position_heat
from simulator.kernel.metrics import count_exposure, note_peak
from simulator.kernel.money import buying_power
from simulator.kernel.orders import cancel_order, expire_orders, submit
from simulator.kernel.packages import settle_overdue, value_packages
from simulator.kernel.risk import judge
from simulator.kernel.sessions import change_session, next_session
from simulator.kernel.slots import compact
from simulator.kernel.views import (
    account_of,
    action_at,
    bar_at,
    clock_at,
    counts_of,
    equity_room,
    has_options,
    has_parts,
    metrics_of,
    open_at,
    order_at,
    plan_at,
    position_at,
    prefetch_bar,
    prefetch_record,
    signal_at,
    symbol_at,
    working_at,
)

__all__ = ["coast", "idle", "pass_time", "step"]


@kernel_jit.inlined
def idle(account: Any, params: Any) -> bool:
    """Whether a bar without signals, commands and actions would change nothing but the time."""
    return (
        account["n_positions"] == 0
        and account["n_orders"] == 0
        and account["daily_halt"] == 0
        and (params["cash_rate"] == 0.0 or not account["cash"] > 0.0)
        and (params["margin_rate"] == 0.0 or not account["cash"] < 0.0)
    )


@kernel_jit.inlined
def pass_time(account: Any, market: Any, t: int, bars: int) -> None:
    """Let `bars` bars go by, the last of them bar t: all that an idle step changes."""
    account["row"] += bars
    account["ts"] = clock_at(market, t)["ts"]
    account["last_session_no"] = clock_at(market, t)["session_no"]
    if account["first_session_no"] < 0:
        account["first_session_no"] = clock_at(market, t - bars + 1)["session_no"]


@kernel_jit
def step(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    signals: Any,
    first_signal: int,
    last_signal: int,
    commands: Any,
    first_command: int,
    last_command: int,
    t: int,
) -> int:
    """Advance the portfolio by bar t of `market`; returns a `STEP_` code. Modifies `state` and `logs`."""
    account = account_of(state)
    if clock_at(market, t)["ts"] <= account["ts"] and account["row"] >= 0:
        return codes.STEP_TIME_WENT_BACK
    n_signals = last_signal - first_signal
    if not has_room(logs, account, n_signals, last_command - first_command):
        return codes.STEP_LOG_FULL
    note_peak(account, metrics_of(state))
    pass_time(account, market, t, codes.YES)
    status = codes.STEP_OK

    if clock_at(market, t)["session_no"] != account["session_no"]:
        change_session(state, logs, market, params, t)
        if has_options(state) and account["n_packages"] > 0:
            settle_overdue(state, logs, market, params)
    for c in range(first_command, last_command):
        obey(state, logs, market, params, commands[c])
    for a in range(clock_at(market, t)["action_start"], clock_at(market, t + 1)["action_start"]):
        act(state, logs, market, params, action_at(market, a))
    if account["closed"] == 1:
        compact(state)

    if account["n_positions"] + account["n_orders"] > 0:
        status, busy = _begin_bar(state, logs, market, params, t)
        if busy:
            _match(state, logs, market, params, t)
        hold(state, market, params, t)
        if has_options(state) and account["n_packages"] > 0:
            value_packages(state, logs, market, params, t)
        expire_orders(state, logs)
        if account["closed"] == 1:
            compact(state)
    if account["n_positions"] > 0 or account["gross"] != 0.0 or account["equity"] != account["cash"]:
        mark(state)
        count_exposure(account, metrics_of(state))
    if params["risk_on"] == 1 and near_limits(account, params):
        check_limits(state, logs, params)
    for s in range(first_signal, last_signal):
        # what a signal says, and its bar, are seldom in the processor's cache; those of the next signals, of
        # this bar or a later one, come while this one is judged
        if s + 3 < signals["signals_rows"]:
            prefetch_record(signal_at(signals, s + 3))
            soon = signal_at(signals, s + 2)
            prefetch_bar(market, soon["row"], soon["sym"])
        judge(state, logs, market, params, signals, signal_at(signals, s), t)
    if n_signals > 0 or account["n_positions"] + account["n_orders"] > 0:
        if at_close(state, logs, market, params, t):
            compact(state)
            mark(state)
    _log_equity(state, logs, params)
    return status


@kernel_jit
def coast(state: Any, logs: Any, market: Any, params: Any, t: int, until: int) -> int:
    """Pass the bars from t on in which no position touches anything; returns how many there were.

    Most bars of most positions are such. What a step does on them is done here, by the same functions: phases
    1, 3, 4 and 6. The caller makes sure that positions are open, that no order works, and that no signal,
    command or action comes before bar `until`.
    """
    account = account_of(state)
    metrics = metrics_of(state)
    if account["daily_halt"] == 1 or account["n_packages"] > 0 or has_parts(market):
        return 0
    logs_equity = equity_room(logs) > 0
    if logs_equity:
        until = min(until, t + equity_room(logs) - counts_of(logs)["equity"])
    earns = params["cash_rate"] != 0.0 or params["margin_rate"] != 0.0 or account["short_value"] != 0.0
    moving = params["trail_rule"] == codes.TRAIL_RAISE_FIRST or params["trail_rule"] == codes.TRAIL_PATH
    n = account["n_positions"]
    first = t
    while t < until and _quiet(state, market, account, earns, moving, n, t):
        clock = clock_at(market, t)
        if t == first:
            note_peak(account, metrics)
        account["row"] += 1
        account["ts"] = clock["ts"]
        account["last_session_no"] = clock["session_no"]
        if clock["session_no"] != account["session_no"]:
            next_session(account, metrics, clock)
        long_value = 0.0
        short_value = 0.0
        heat = 0.0
        for k in range(n):
            slot = open_at(state, k)["slot"]
            position = position_at(state, slot)
            position["tradable"] = 1
            position["bars_held"] += 1
            hold_one(account, params, position, bar_at(market, t, position["sym"]))
            value = position["qty"] * position["mark"] * position["multiplier"]
            is_long = position["side"] > 0
            long_value += value if is_long else 0.0
            short_value += 0.0 if is_long else value
            if logs_equity:
                heat += position_heat(state, params, slot)
        mark_account(account, metrics, long_value, short_value)
        count_exposure(account, metrics)
        t += 1
        near = params["risk_on"] == 1 and near_limits(account, params)
        if near:
            check_limits(state, logs, params)
        if logs_equity:
            append_equity(logs, account, _share(heat, account), codes.YES)
        if near:
            break
    return t - first


@kernel_jit.inlined
def _quiet(state: Any, market: Any, account: Any, earns: bool, moving: bool, n: int, t: int) -> bool:
    # Whether a step over bar t would only hold and mark.
    clock = clock_at(market, t)
    if clock["ts"] <= account["ts"] or (earns and clock["session_no"] != account["session_no"]):
        return False
    for k in range(n):
        position = position_at(state, open_at(state, k)["slot"])
        bar = bar_at(market, t, position["sym"])
        is_long = position["side"] > 0
        high = bar["high"] if is_long else -bar["low"]
        low = bar["low"] if is_long else -bar["high"]
        if not (low > position["stop_now"] and high < min(position["next_target"], position["next_add"])):
            return False
        if (
            position["pending"] + position["pending_close"] + position["forced_ts"] + position["exit_close"]
            != 0
        ):
            return False
        if (moving and position["trail_mode"] != 0) or bar_state(bar) != BAR_OK:
            return False
    return True


@kernel_jit
def _begin_bar(state: Any, logs: Any, market: Any, params: Any, t: int) -> tuple[int, bool]:
    # Which positions and orders this bar has a price for, and whether it can touch any of them at all.
    account = account_of(state)
    status = codes.STEP_OK
    busy = (
        account["n_orders"] > 0
        or clock_at(market, t + 1)["detail_start"] > clock_at(market, t)["detail_start"] + 1
    )
    moving = params["trail_rule"] == codes.TRAIL_RAISE_FIRST or params["trail_rule"] == codes.TRAIL_PATH
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        bar = bar_at(market, t, position["sym"])
        prefetch_bar(market, t + 1, position["sym"])
        quality = bar_state(bar)
        position["tradable"] = 0
        if quality == BAR_OK:
            position["tradable"] = 1
            position["bars_held"] += 1
            if position["side"] > 0:
                high, low = bar["high"], bar["low"]
            else:
                high, low = -bar["low"], -bar["high"]
            if (
                low <= position["stop_now"]
                or high >= position["next_target"]
                or high >= position["next_add"]
                or position["pending"] != 0
                or position["forced_ts"] != 0
                or (moving and position["trail_mode"] != 0)
            ):
                busy = True
        elif quality == BAR_BAD:
            symbol_at(state, position["sym"])["bad_bars"] += 1
            status = codes.STEP_BAD_BAR
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 0:
            continue
        if order["tif"] == codes.TIF_GTD and account["ts"] > plan_at(state, slot)["valid_until"]:
            cancel_order(state, logs, slot, codes.ORDER_EXPIRED, codes.REASON_TIF_EXPIRED)
            continue
        quality = bar_state(bar_at(market, t, order["sym"]))
        if quality == BAR_OK:
            if order["state"] == codes.ORDER_PENDING:
                submit(logs, account, order)
            order["bars_worked"] += 1
        elif quality == BAR_BAD:
            symbol_at(state, order["sym"])["bad_bars"] += 1
            status = codes.STEP_BAD_BAR
    return status, busy


@kernel_jit
def _match(state: Any, logs: Any, market: Any, params: Any, t: int) -> None:
    account = account_of(state)
    # Lower-timeframe bars, where there are any, replace the assumption about the path: each is matched as a
    # bar of its own. Without them the bar is its own only part.
    first = clock_at(market, t)["detail_start"]
    last = clock_at(market, t + 1)["detail_start"]
    for d in range(first, last):
        phase = codes.AT_OPEN if d == first else codes.INSIDE
        held = account["n_positions"]
        for k in range(held):
            exit_at_open(state, logs, market, params, open_at(state, k)["slot"], t, d)
        working = account["n_orders"]
        for k in range(working):
            enter_at_open(state, logs, market, params, working_at(state, k)["slot"], t, d, phase)
        # what the inside of the bar frees serves later phases only, so what it may spend is fixed now
        fresh = account["next_position"]
        budget = buying_power(params, account)
        opened = account["n_positions"]
        for k in range(opened):
            budget -= exit_inside(state, logs, market, params, open_at(state, k)["slot"], t, d, budget)
        for k in range(working):
            available = min(budget, buying_power(params, account))
            budget -= enter_inside(state, logs, market, params, working_at(state, k)["slot"], t, d, available)
        if d + 1 < last:
            hold_part(state, market, params, t, d, fresh)


@kernel_jit
def _log_equity(state: Any, logs: Any, params: Any) -> None:
    n = counts_of(logs)["equity"]
    if n < equity_room(logs):
        account = account_of(state)
        heat = 0.0
        if account["n_positions"] + account["n_orders"] > 0:
            heat, _, _, _, _ = measures(state, params, codes.NONE, codes.NONE, codes.NO)
            heat = _share(heat, account)
        append_equity(logs, account, heat, codes.YES)


@kernel_jit.inlined
def _share(amount: float, account: Any) -> float:
    return amount / account["equity"] if account["equity"] > 0.0 else np.inf
