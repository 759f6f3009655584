"""The step: one bar of a whole portfolio, and the only place that fixes the order of operations.

    1   session change: interest, new baseline for the daily loss, expiry of DAY orders, release of halts
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
from simulator.kernel.match import (
    BAR_BAD,
    BAR_OK,
    bar_state,
    cancel_order,
    enter,
    enter_at_open,
    enter_inside,
    exit_at_open,
    exit_fill,
    exit_inside,
    forced_at_close,
    raise_trail,
    tradable,
)
from simulator.kernel.money import buying_power, log_event
from simulator.kernel.packages import (
    assign_before_dividend,
    close_package,
    count_collateral,
    open_package,
    shares_of,
    split_package,
    value_packages,
    worth_at,
)
from simulator.kernel.positions import compact, count_trade, leave, next_levels, set_stop_now, write_trade
from simulator.kernel.quotes import package_quote
from simulator.kernel.risk import fallen, judge, measures, position_heat
from simulator.kernel.views import (
    account_of,
    action_at,
    add_at,
    bar_at,
    clear_record,
    clock_at,
    counts_of,
    equity_at,
    equity_room,
    events_room,
    fills_room,
    has_options,
    has_parts,
    instrument_at,
    metrics_of,
    open_at,
    order_at,
    orders_room,
    part_at,
    plan_at,
    position_at,
    positions_room,
    prefetch_record,
    signal_at,
    symbol_at,
    symbols_room,
    target_at,
    trades_room,
    verdicts_room,
    working_at,
)

__all__ = ["append_equity", "coast", "finish", "idle", "pass_time", "start", "step"]

DAY_NS = 86_400_000_000_000
DAYS_PER_YEAR = 365.0

# Rows that one position, order or signal can add to a log within one bar: six exits and adds, an entry, and
# what is cancelled with them.
ROWS_PER_SLOT = 10

# To spare in a comparison that saves a division, as a fraction: far more than rounding takes.
SLACK = 1e-9


@kernel_jit
def start(state: Any, cash: float) -> None:
    """Open an account that has seen no bar yet, whatever the state held before."""
    for i in range(positions_room(state)):
        position = position_at(state, i)
        position["live"] = 0
        position["listed"] = 0
        for k in range(2):
            add_at(state, i, k)["state"] = 0
    for i in range(orders_room(state)):
        order = order_at(state, i)
        order["live"] = 0
        order["listed"] = 0
    for i in range(symbols_room(state)):
        clear_record(symbol_at(state, i))
    clear_record(metrics_of(state))
    account = account_of(state)
    clear_record(account)
    account["schema_version"] = codes.SCHEMA_VERSION
    account["row"] = -1
    account["session"] = -(2**62)
    account["session_no"] = -1
    account["first_session_no"] = -1
    account["last_session_no"] = -1
    account["cash"] = cash
    account["equity"] = cash
    account["initial_cash"] = cash
    account["peak_equity"] = cash
    account["session_equity"] = cash
    account["baseline"] = cash


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
    if not _room(logs, account, n_signals, last_command - first_command):
        return codes.STEP_LOG_FULL
    _note_peak(account, metrics_of(state))
    pass_time(account, market, t, codes.YES)
    status = codes.STEP_OK

    if clock_at(market, t)["session_no"] != account["session_no"]:
        _change_session(state, logs, market, params, t)
    for c in range(first_command, last_command):
        _obey(state, logs, market, params, commands[c], t)
    for a in range(clock_at(market, t)["action_start"], clock_at(market, t + 1)["action_start"]):
        _act(state, logs, market, params, action_at(market, a), t)
    if account["closed"] == 1:
        compact(state)

    if account["n_positions"] + account["n_orders"] > 0:
        status, busy = _begin_bar(state, logs, market, params, t)
        if busy:
            _match(state, logs, market, params, t)
        _hold(state, market, params, t)
        if has_options(state) and account["n_packages"] > 0:
            value_packages(state, logs, market, params, t)
        _expire(state, logs)
        if account["closed"] == 1:
            compact(state)
    if account["n_positions"] > 0 or account["gross"] != 0.0 or account["equity"] != account["cash"]:
        _mark(state, params)
        _count_exposure(account, metrics_of(state))
    if params["risk_on"] == 1 and _near_limits(account, params):
        _check_limits(state, logs, params)
    for s in range(first_signal, last_signal):
        # what a signal says is seldom in the processor's cache; the next one, of this bar or a later one,
        # comes while this one is judged
        if s + 1 < signals["signals_rows"]:
            prefetch_record(signal_at(signals, s + 1))
        judge(state, logs, market, params, signals, signal_at(signals, s), t)
    if n_signals > 0 or account["n_positions"] + account["n_orders"] > 0:
        if _at_close(state, logs, market, params, t):
            compact(state)
            _mark(state, params)
    _log_equity(state, logs, params)
    return status


@kernel_jit.inlined
def _note_peak(account: Any, metrics: Any) -> None:
    # Idle bars at the peak have passed without notice.
    at_peak = account["equity"] >= account["peak_equity"]
    metrics["peak_session"] = account["last_session_no"] if at_peak else metrics["peak_session"]


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
            _note_peak(account, metrics)
        account["row"] += 1
        account["ts"] = clock["ts"]
        account["last_session_no"] = clock["session_no"]
        if clock["session_no"] != account["session_no"]:
            _next_session(account, metrics, clock)
        long_value = 0.0
        short_value = 0.0
        heat = 0.0
        for k in range(n):
            slot = open_at(state, k)["slot"]
            position = position_at(state, slot)
            position["tradable"] = 1
            position["bars_held"] += 1
            _hold_one(account, params, position, bar_at(market, t, position["sym"]))
            value = position["qty"] * position["mark"] * position["multiplier"]
            is_long = position["side"] > 0
            long_value += value if is_long else 0.0
            short_value += 0.0 if is_long else value
            if logs_equity:
                heat += position_heat(state, params, slot)
        _settle(account, metrics, long_value, short_value)
        _count_exposure(account, metrics)
        t += 1
        near = params["risk_on"] == 1 and _near_limits(account, params)
        if near:
            _check_limits(state, logs, params)
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
def _room(logs: Any, account: Any, n_signals: int, n_commands: int) -> bool:
    # Capacity 0 means off, and needs no room.
    if (
        fills_room(logs) + trades_room(logs) + verdicts_room(logs) + events_room(logs) + equity_room(logs)
        == 0
    ):
        return True
    slots = account["n_positions"] + account["n_orders"] + n_signals + 1
    rows = ROWS_PER_SLOT * slots + 2 * n_commands + 8
    if fills_room(logs) > 0 and counts_of(logs)["fills"] + rows > fills_room(logs):
        return False
    if trades_room(logs) > 0 and counts_of(logs)["trades"] + slots > trades_room(logs):
        return False
    if verdicts_room(logs) > 0 and counts_of(logs)["verdicts"] + n_signals > verdicts_room(logs):
        return False
    if events_room(logs) > 0 and counts_of(logs)["events"] + rows > events_room(logs):
        return False
    return not (equity_room(logs) > 0 and counts_of(logs)["equity"] + 1 > equity_room(logs))


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


@kernel_jit
def append_equity(logs: Any, account: Any, heat: float, bars: int) -> None:
    """Log the account as it was for `bars` bars; the log has room. Bars alike share a row."""
    n = counts_of(logs)["equity"]
    if n > 0:
        last = equity_at(logs, n - 1)
        if (
            last["equity"] == account["equity"]
            and last["heat"] == heat
            and last["cash"] == account["cash"]
            and last["gross"] == account["gross"]
            and last["state"] == account["state"]
        ):
            last["bars"] += bars
            return
    row = equity_at(logs, n)
    row["bars"] = bars
    row["state"] = account["state"]
    row["equity"] = account["equity"]
    row["cash"] = account["cash"]
    row["gross"] = account["gross"]
    row["heat"] = heat
    counts_of(logs)["equity"] = n + 1


# Phase 0 ---------------------------------------------------------------------------------------------------


@kernel_jit
def _obey(state: Any, logs: Any, market: Any, params: Any, command: Any, t: int) -> None:
    account = account_of(state)
    kind = command["kind"]
    account["command_seq"] += 1
    if kind == codes.COMMAND_CLOSE or kind == codes.COMMAND_CLOSE_ALL:
        for k in range(account["n_positions"]):
            slot = open_at(state, k)["slot"]
            position = position_at(state, slot)
            if position["live"] == 0 or (kind == codes.COMMAND_CLOSE and position["sym"] != command["sym"]):
                continue
            price = command["value"]
            if kind == codes.COMMAND_CLOSE and price > 0.0:
                leave(
                    state,
                    logs,
                    market,
                    params,
                    slot,
                    position["qty"],
                    price,
                    codes.KIND_EXIT,
                    codes.EXIT_MANUAL,
                    codes.PRICE_GIVEN,
                    codes.SOURCE_MANUAL,
                    0.0,
                )
            else:
                position["pending"] = codes.EXIT_MANUAL
                position["pending_kind"] = codes.KIND_EXIT
    if kind == codes.COMMAND_CANCEL or kind == codes.COMMAND_CLOSE_ALL:
        for k in range(account["n_orders"]):
            slot = working_at(state, k)["slot"]
            order = order_at(state, slot)
            if order["live"] == 1 and (kind == codes.COMMAND_CLOSE_ALL or order["sym"] == command["sym"]):
                cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_COMMAND)
    elif kind == codes.COMMAND_KILL:
        account["killed"] = 1
        refresh_state(account)
        _cancel_entries(state, logs, codes.REASON_KILLED)
        _log_account(logs, account, codes.REASON_KILLED, account["equity"])
    elif kind == codes.COMMAND_REDUCE:
        account["reducing"] = 1
        refresh_state(account)
        _cancel_entries(state, logs, codes.REASON_REDUCING)
        _log_account(logs, account, codes.REASON_REDUCING, account["equity"])
    elif kind == codes.COMMAND_ARM:
        # a new measurement of the loss and, where that was the halt, of the drawdown starts from here
        if account["drawdown_halt"] == 1:
            account["peak_equity"] = account["equity"]
        account["killed"] = 0
        account["daily_halt"] = 0
        account["reducing"] = 0
        account["drawdown_halt"] = 0
        account["baseline"] = account["equity"]
        refresh_state(account)
        _log_account(logs, account, codes.REASON_ARMED, account["equity"])
    elif kind == codes.COMMAND_DEPOSIT:
        amount = command["value"]
        account["cash"] += amount
        account["equity"] += amount
        account["deposits"] += amount
        # a deposit is no profit: every baseline moves with it
        account["session_equity"] += amount
        account["baseline"] += amount
        account["peak_equity"] += amount
        _log_account(logs, account, codes.REASON_DEPOSIT, amount)


@kernel_jit
def refresh_state(account: Any) -> None:
    """Work out the halt state: what a person asked for latches, and a halt outranks it."""
    if account["killed"] + account["daily_halt"] + account["drawdown_halt"] > 0:
        account["state"] = codes.STATE_HALTED
    elif account["reducing"] == 1:
        account["state"] = codes.STATE_REDUCING
    else:
        account["state"] = codes.STATE_ACTIVE


@kernel_jit
def _log_account(logs: Any, account: Any, reason: int, amount: float) -> None:
    log_event(
        logs,
        account,
        codes.NONE,
        codes.NONE,
        codes.NONE,
        codes.KIND_ACCOUNT,
        codes.ORDER_FILLED,
        reason,
        amount,
        0.0,
    )


@kernel_jit
def _cancel_entries(state: Any, logs: Any, reason: int) -> None:
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        if order_at(state, slot)["live"] == 1:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, reason)
    for k in range(account_of(state)["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["next_add"] < np.inf:
            for j in range(2):
                add_at(state, slot, j)["state"] = 0
            position["next_add"] = np.inf


@kernel_jit
def _act(state: Any, logs: Any, market: Any, params: Any, action: Any, t: int) -> None:
    account = account_of(state)
    sym = action["sym"]
    kind = action["kind"]
    value = action["value"]
    if kind == codes.ACTION_DELIST:
        symbol_at(state, sym)["delisted"] = 1
        for k in range(account["n_positions"]):
            slot = open_at(state, k)["slot"]
            position = position_at(state, slot)
            if position["live"] == 1 and position["sym"] == sym:
                price = value if value > 0.0 else position["mark"]
                if has_options(state) and position["package"] == 1 and value > 0.0:
                    price = worth_at(state, slot, value) * float(position["side"])
                leave(
                    state,
                    logs,
                    market,
                    params,
                    slot,
                    position["qty"],
                    price,
                    codes.KIND_EXIT,
                    codes.EXIT_DELISTED,
                    codes.PRICE_GIVEN,
                    codes.SOURCE_SIMULATED,
                    0.0,
                )
        for k in range(account["n_orders"]):
            slot = working_at(state, k)["slot"]
            if order_at(state, slot)["live"] == 1 and order_at(state, slot)["sym"] == sym:
                cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_DELISTED)
        return
    if params["raw"] == 0 or not value > 0.0:
        return
    if kind == codes.ACTION_SPLIT:
        _split(state, logs, params, sym, value)
    elif kind == codes.ACTION_DIVIDEND:
        _dividend(state, logs, market, params, t, sym, value)


@kernel_jit
def _split(state: Any, logs: Any, params: Any, sym: int, ratio: float) -> None:
    # New shares for one old share: quantities grow, every price shrinks, the value stays.
    account = account_of(state)
    symbol_at(state, sym)["last"] /= ratio
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym:
            continue
        position["qty"] *= ratio
        position["entry_qty"] *= ratio
        position["first_qty"] *= ratio
        position["exit_qty"] *= ratio
        position["entry_price"] /= ratio
        position["mark"] /= ratio
        position["peak"] /= ratio
        position["worst"] /= ratio
        position["best"] /= ratio
        position["breakeven_at"] /= ratio
        position["stop"] /= ratio
        position["stop_initial"] /= ratio
        position["trail_level"] /= ratio
        position["trail_activate"] /= ratio
        position["entry"] /= ratio
        position["r_unit"] /= ratio
        if position["trail_mode"] == 2:
            position["trail_distance"] /= ratio
        for j in range(4):
            target = target_at(state, slot, j)
            target["price"] /= ratio
            target["qty"] *= ratio
        for j in range(2):
            add = add_at(state, slot, j)
            add["price"] /= ratio
            add["qty"] *= ratio
        if has_options(state) and position["package"] == 1:
            split_package(state, position, slot, ratio)
        else:
            set_stop_now(position, params["stop_and_trail"])
            next_levels(state, position, slot)
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            sym,
            codes.KIND_ACCOUNT,
            codes.ORDER_FILLED,
            codes.REASON_SPLIT,
            ratio,
            position["qty"],
        )
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 0 or order["sym"] != sym:
            continue
        order["qty"] *= ratio
        order["filled"] *= ratio
        order["trigger"] /= ratio
        order["limit"] /= ratio
        order["reference"] /= ratio
        order["unit_risk"] /= ratio
        order["unit_gross"] /= ratio
        order["unit_net"] /= ratio
        order["unit_cash"] /= ratio
        plan = plan_at(state, slot)
        plan["stop"] /= ratio
        plan["target"] /= ratio
        plan["target2"] /= ratio
        plan["target3"] /= ratio
        plan["trail_amount"] /= ratio
        plan["atr"] /= ratio


@kernel_jit
def _dividend(state: Any, logs: Any, market: Any, params: Any, t: int, sym: int, cash: float) -> None:
    # Ex-date: longs receive, shorts pay. Open sell stops and buy limits are lowered by the dividend, as the
    # exchanges do (FINRA rule 5330); sell limits and buy stops are not.
    account = account_of(state)
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym:
            continue
        side = float(position["side"])
        if has_options(state) and position["package"] == 1:
            # the leg of shares, if there is one, receives it; a sold call may have been exercised for it
            assign_before_dividend(state, logs, market, params, slot, t, symbol_at(state, sym)["last"], cash)
            if position["live"] == 0:
                continue
        amount = cash * position["qty"] * position["multiplier"] * side
        if has_options(state) and position["package"] == 1:
            amount = cash * position["qty"] * position["multiplier"] * shares_of(state, slot)
            if amount == 0.0:
                continue
        account["cash"] += amount
        account["dividends"] += amount
        position["dividends"] += amount
        if side > 0.0 and position["package"] == 0:
            position["stop"] -= cash
            position["peak"] -= cash
            position["trail_level"] -= cash
            set_stop_now(position, params["stop_and_trail"])
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            sym,
            codes.KIND_ACCOUNT,
            codes.ORDER_FILLED,
            codes.REASON_DIVIDEND,
            cash,
            position["qty"],
        )
    if has_options(state):
        count_collateral(state)
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0 or order["sym"] != sym:
            continue
        if order["side"] > 0:
            order["limit"] -= cash
        else:
            order["trigger"] += cash


# Phase 1 ---------------------------------------------------------------------------------------------------


@kernel_jit.inlined
def close_session(metrics: Any, account: Any) -> None:
    """Take the finished session's return into the statistics."""
    if account["session_equity"] > 0.0:
        change = account["equity"] / account["session_equity"] - 1.0
        below = min(change, 0.0)
        metrics["sum_return"] += change
        metrics["sum_square"] += change * change
        metrics["sum_downside"] += below * below


@kernel_jit.inlined
def _next_session(account: Any, metrics: Any, clock: Any) -> None:
    # A session change that nothing but positions lives through.
    close_session(metrics, account)
    account["session_equity"] = account["equity"]
    account["baseline"] = account["equity"]
    account["session_no"] = clock["session_no"]
    account["session"] = clock["session"]


@kernel_jit
def _change_session(state: Any, logs: Any, market: Any, params: Any, t: int) -> None:
    account = account_of(state)
    if account["session_no"] < 0:
        # peak before the first session: its own number less one, so that a loss in it is one session long
        metrics_of(state)["peak_session"] = max(
            metrics_of(state)["peak_session"], account["first_session_no"] - 1
        )
        if account["session"] < -(2**61):
            account["session"] = clock_at(market, t)["session"]
    else:
        close_session(metrics_of(state), account)
        account["session_equity"] = account["equity"]
        account["baseline"] = account["equity"]
    if clock_at(market, t)["session"] > account["session"]:
        _interest(state, market, params, float(clock_at(market, t)["session"] - account["session"]))
    account["session_no"] = clock_at(market, t)["session_no"]
    account["session"] = clock_at(market, t)["session"]
    if account["daily_halt"] == 1 and params["halt_release"] == codes.RELEASE_NEXT_SESSION:
        account["daily_halt"] = 0
        refresh_state(account)
        _log_account(logs, account, codes.REASON_SESSION_RELEASE, account["equity"])
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 0:
            continue
        day_over = order["tif"] == codes.TIF_DAY and order["session"] >= 0
        if day_over:
            cancel_order(state, logs, slot, codes.ORDER_EXPIRED, codes.REASON_TIF_EXPIRED)


@kernel_jit
def _interest(state: Any, market: Any, params: Any, days: float) -> None:
    account = account_of(state)
    if params["cash_rate"] == 0.0 and params["margin_rate"] == 0.0 and account["short_value"] == 0.0:
        return
    amount = 0.0
    if account["cash"] > 0.0:
        amount += account["cash"] * params["cash_rate"] * days / DAYS_PER_YEAR
    else:
        amount += account["cash"] * params["margin_rate"] * days / DAYS_PER_YEAR
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["side"] < 0:
            rate = instrument_at(market, position["sym"])["borrow_rate"]
            if not rate == rate:
                rate = params["borrow_rate"]
            if rate != 0.0:
                value = position["qty"] * position["mark"] * position["multiplier"]
                fee = value * rate * days / DAYS_PER_YEAR
                amount -= fee
    if amount != 0.0:
        account["cash"] += amount
        account["interest"] += amount


# Phases 2a and 2b ------------------------------------------------------------------------------------------


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
                _submit(logs, account, order)
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
            _between_parts(state, market, params, t, d, fresh)


@kernel_jit
def _submit(logs: Any, account: Any, order: Any) -> None:
    order["state"] = codes.ORDER_SUBMITTED
    order["session"] = account["session"]
    log_event(
        logs,
        account,
        order["id"],
        codes.NONE,
        order["sym"],
        codes.KIND_ENTRY,
        codes.ORDER_SUBMITTED,
        codes.REASON_NONE,
        order["reference"],
        order["qty"],
    )


@kernel_jit
def _between_parts(state: Any, market: Any, params: Any, t: int, d: int, fresh: int) -> None:
    # Trails rise, and stops move to break-even, from one part of a bar to the next.
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
        _break_even(params, position, best)


# Phase 3 ---------------------------------------------------------------------------------------------------


@kernel_jit
def _break_even(params: Any, position: Any, extreme: float) -> None:
    if extreme >= position["breakeven_at"]:
        position["breakeven_at"] = np.inf
        if position["entry"] > position["stop"]:
            position["stop"] = position["entry"]
            position["stop_reason"] = codes.EXIT_BREAKEVEN
            set_stop_now(position, params["stop_and_trail"])


@kernel_jit
def _hold(state: Any, market: Any, params: Any, t: int) -> None:
    account = account_of(state)
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["tradable"] == 1 and position["package"] == 0:
            _hold_one(account, params, position, bar_at(market, t, position["sym"]))


@kernel_jit.inlined
def _hold_one(account: Any, params: Any, position: Any, bar: Any) -> None:
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
            _break_even(params, position, best)
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
def _expire(state: Any, logs: Any) -> None:
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        valid = plan_at(state, slot)["valid_bars"]
        late = 1 if order["entry"] == codes.ENTRY_MOC else 0  # its close is still to come
        if order["live"] == 1 and valid > 0 and order["bars_worked"] >= valid + late:
            cancel_order(state, logs, slot, codes.ORDER_EXPIRED, codes.REASON_TIF_EXPIRED)


# Phase 4 ---------------------------------------------------------------------------------------------------


@kernel_jit
def _mark(state: Any, params: Any) -> None:
    account = account_of(state)
    long_value = 0.0
    short_value = 0.0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        value = position["qty"] * position["mark"] * position["multiplier"]
        is_long = position["side"] > 0
        long_value += value if is_long else 0.0
        short_value += 0.0 if is_long else value
    _settle(account, metrics_of(state), long_value, short_value)


@kernel_jit.inlined
def _settle(account: Any, metrics: Any, long_value: float, short_value: float) -> None:
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


@kernel_jit.inlined
def _count_exposure(account: Any, metrics: Any) -> None:
    if account["n_positions"] > 0:
        metrics["bars_in_market"] += 1
        if account["equity"] > 0.0:
            metrics["sum_exposure"] += account["gross"] / account["equity"]


@kernel_jit.inlined
def _near_limits(account: Any, params: Any) -> bool:
    # Whether a limit may be breached: a cheap no for most bars, never a wrong one.
    equity = account["equity"]
    return (
        equity < account["baseline"] * (1.0 - params["daily_loss"] + SLACK)
        or equity < account["peak_equity"] * (1.0 - params["drawdown"] + SLACK)
        or not account["peak_equity"] > 0.0
    )


@kernel_jit
def _check_limits(state: Any, logs: Any, params: Any) -> None:
    account = account_of(state)
    equity = account["equity"]
    if account["daily_halt"] == 0 and account["baseline"] > 0.0:
        if 1.0 - equity / account["baseline"] >= params["daily_loss"]:
            account["daily_halt"] = 1
            account["halted_sessions"] += 1
            refresh_state(account)
            _breach(
                state,
                logs,
                codes.REASON_DAILY_LOSS_HALT,
                codes.EXIT_DAILY_LOSS,
                params["daily_action"],
                equity,
            )
    if account["drawdown_halt"] == 0 and fallen(account) >= params["drawdown"]:
        account["drawdown_halt"] = 1
        refresh_state(account)
        _breach(
            state, logs, codes.REASON_DRAWDOWN_HALT, codes.EXIT_DRAWDOWN, params["drawdown_action"], equity
        )


@kernel_jit
def _breach(state: Any, logs: Any, reason: int, exit_reason: int, action: int, equity: float) -> None:
    account = account_of(state)
    _log_account(logs, account, reason, equity)
    _cancel_entries(state, logs, codes.REASON_HALT)
    if action == codes.BREACH_FLATTEN:
        for k in range(account["n_positions"]):
            position = position_at(state, open_at(state, k)["slot"])
            if position["live"] == 1 and position["pending"] == 0:
                position["pending"] = exit_reason
                position["pending_kind"] = codes.KIND_EXIT
    compact(state)


# Phase 2c --------------------------------------------------------------------------------------------------


@kernel_jit
def _at_close(state: Any, logs: Any, market: Any, params: Any, t: int) -> bool:
    account = account_of(state)
    changed = account["closed"] == 1
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["tradable"] == 0:
            continue
        if position["forced_ts"] == 0 and position["pending_close"] == 0:
            continue
        if has_options(state) and position["package"] == 1:
            changed = True
            _, worth, spread, _, _ = package_quote(state, market, t, position["sym"], slot, codes.NO)
            close_package(state, logs, market, params, slot, worth, spread, position["pending_close"])
            count_collateral(state)
            continue
        bar = bar_at(market, t, position["sym"])
        if position["forced_ts"] != 0:
            forced_at_close(state, logs, market, params, slot, t)
            changed = True
        if position["live"] == 1 and position["pending_close"] != 0:
            reason = position["pending_close"]
            position["pending_close"] = 0
            changed = True
            exit_fill(
                state,
                logs,
                market,
                params,
                slot,
                t,
                position["qty"],
                bar["close"] if position["side"] > 0 else -bar["close"],
                codes.KIND_EXIT,
                reason,
                codes.PRICE_CLOSE,
                codes.YES,
            )
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        kind = order["entry"]
        born_now = order["born_row"] == account["row"]
        wants = (
            (kind == codes.ENTRY_CLOSE and born_now)
            or (kind == codes.ENTRY_MOC and not born_now)
            or (kind == codes.ENTRY_FIXED_CLOSE and born_now)
        )
        if order["live"] == 0 or not wants:
            continue
        bar = bar_at(market, t, order["sym"])
        if bar_state(bar) != BAR_OK:
            continue
        if order["state"] == codes.ORDER_PENDING:
            _submit(logs, account, order)
        available = buying_power(params, account)
        if has_options(state) and order["package"] == 1:
            changed = True
            open_package(state, logs, market, params, slot, t, available)
            if order["live"] == 1:
                cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_FILL_BUYING_POWER)
            continue
        raw = bar["close"] if order["side"] > 0 else -bar["close"]
        rule = codes.PRICE_CLOSE
        if kind == codes.ENTRY_FIXED_CLOSE:
            raw = order["trigger"]
            rule = codes.PRICE_GIVEN
        changed = True
        enter(state, logs, market, params, slot, t, raw, codes.AT_CLOSE, rule, codes.YES, available)
        if order["position"] > 0:
            # what it cost above the close is a loss already
            position_at(state, order["position"] - 1)["mark"] = bar["close"]
    return changed


# The end ---------------------------------------------------------------------------------------------------


@kernel_jit
def finish(state: Any, logs: Any) -> None:
    """Close the books: count the last session, and list open positions at their last mark.

    Changes `metrics` only; a caller that goes on stepping passes a state with a copy of them.
    """
    account = account_of(state)
    metrics = metrics_of(state)
    metrics["bars"] = account["row"] + 1
    if account["first_session_no"] >= 0:
        close_session(metrics, account)
        metrics["sessions"] = account["last_session_no"] - account["first_session_no"] + 1
        if account["equity"] < account["peak_equity"]:
            length = account["last_session_no"] - metrics["peak_session"]
            if length > metrics["longest_drawdown"]:
                metrics["longest_drawdown"] = length
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        qty = position["qty"]
        gain = (position["mark"] - position["entry_price"]) * float(position["side"]) * qty
        pnl = position["realized"] + gain * position["multiplier"] - position["fees"] + position["dividends"]
        price = (position["exit_value"] + qty * position["mark"]) / (position["exit_qty"] + qty)
        count_trade(metrics, position, pnl)
        write_trade(logs, account, position, codes.EXIT_END_OF_DATA, price, pnl, account["row"])
