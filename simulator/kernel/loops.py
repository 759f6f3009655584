"""The loop: the step over history, for one lane or for many.

A backtest is one lane, a sweep many, a chunked run one lane called again and again with its state carried
along. Lanes run one after another on one thread; a sweep gives each thread its share of lanes. Bars on which
nothing is open, working or signalled are jumped over: the idle predicate of the step says that they would
change nothing but the time.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.step import finish, idle, pass_time, start, step
from simulator.kernel.views import (
    account_of,
    add_at,
    clock_at,
    counts_of,
    equity_at,
    equity_room,
    metrics_of,
    order_at,
    orders_room,
    position_at,
    positions_room,
    signal_at,
    symbol_at,
    symbols_room,
)

__all__ = ["run_lanes"]


@kernel_jit.entry
def run_lanes(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    lanes: Any,
    commands: Any,
    command_start: Any,
    metrics_out: Any,
    account_out: Any,
    first_lane: int,
    last_lane: int,
    begin: int,
    end: int,
    carry: int,
) -> tuple[int, int]:
    """Run lanes over bars `begin` to `end`; returns a `STEP_` code and the bar reached.

    Parameters
    ----------
    state, logs
        One lane's state and logs, modified in place; used again for each lane unless `carry`.
    params
        PARAMS records: one per lane, or one for all.
    lanes
        LANE records: address and length of each lane's SIGNAL records, sorted by `row`.
    metrics_out, account_out
        Shape (lanes,): each lane's final records.
    carry
        1: go on from `state` (a backtest or a chunk) and leave the books open; 0: start afresh and finish.
    """
    status = codes.STEP_OK
    t = begin
    for lane in range(first_lane, last_lane):
        lane_params = params[lane if params.shape[0] > 1 else 0]
        if carry == 0:
            _reset(state, logs)
            start(state, lane_params["cash"])
        account = account_of(state)
        signals = lanes[lane]
        s = 0
        s_end = signals["signals_rows"]
        while s < s_end and signal_at(signals, s)["row"] < begin:
            s += 1
        t = begin
        while t < end:
            s_next = s
            while s_next < s_end and signal_at(signals, s_next)["row"] == t:
                s_next += 1
            if s_next == s and idle(account, lane_params):
                until = end
                if s < s_end and signal_at(signals, s)["row"] < until:
                    until = signal_at(signals, s)["row"]
                jumped = _jump(logs, account, market, command_start, t, until)
                if jumped > 0:
                    t += jumped
                    continue
            code = step(
                state,
                logs,
                market,
                lane_params,
                signals,
                s,
                s_next,
                commands,
                command_start[t],
                command_start[t + 1],
                t,
            )
            if code == codes.STEP_LOG_FULL or code == codes.STEP_TIME_WENT_BACK:
                return code, t
            if code != codes.STEP_OK:
                status = code
            s = s_next
            t += 1
        if carry == 0:
            finish(state, logs)
            metrics_out[lane] = metrics_of(state)
            account_out[lane] = account_of(state)
    return status, t


@kernel_jit
def _jump(logs: Any, account: Any, market: Any, command_start: Any, t: int, until: int) -> int:
    # Bars from t on that can go by at once: as far as nothing happens and the equity log has room.
    if clock_at(market, t)["ts"] <= account["ts"] and account["row"] >= 0:
        return 0
    n = until - t
    if (
        command_start[until] > command_start[t]
        or clock_at(market, until)["action_start"] > clock_at(market, t)["action_start"]
    ):
        n = 0
        while (
            t + n < until
            and command_start[t + n + 1] == command_start[t]
            and clock_at(market, t + n + 1)["action_start"] == clock_at(market, t)["action_start"]
        ):
            n += 1
    if equity_room(logs) > 0:
        n = min(n, equity_room(logs) - counts_of(logs)["equity"])
        for i in range(counts_of(logs)["equity"], counts_of(logs)["equity"] + n):
            row = equity_at(logs, i)
            row["state"] = account["state"]
            row["equity"] = account["equity"]
            row["cash"] = account["cash"]
            row["gross"] = account["gross"]
            row["heat"] = 0.0
        counts_of(logs)["equity"] += n
    if n > 0:
        pass_time(account, market, t + n - 1, n)
    return n


@kernel_jit
def _reset(state: Any, logs: Any) -> None:
    # A lane starts from zeros: the slots in use by the lane before, and all counters.
    account = account_of(state)
    for i in range(positions_room(state)):
        position = position_at(state, i)
        position["live"] = 0
        position["listed"] = 0
    for i in range(orders_room(state)):
        order = order_at(state, i)
        order["live"] = 0
        order["listed"] = 0
    for i in range(symbols_room(state)):
        symbol = symbol_at(state, i)
        symbol["n_positions"] = 0
        symbol["n_orders"] = 0
        symbol["exit_row"] = 0
        symbol["used_row"] = 0
        symbol["bad_bars"] = 0
        symbol["delisted"] = 0
    counts = counts_of(logs)
    counts["fills"] = 0
    counts["trades"] = 0
    counts["verdicts"] = 0
    counts["events"] = 0
    counts["equity"] = 0
    for i in range(positions_room(state)):
        for k in range(2):
            add_at(state, i, k)["state"] = 0
    account["command_seq"] = 0
    metrics = metrics_of(state)
    _zero_metrics(metrics)


@kernel_jit
def _zero_metrics(metrics: Any) -> None:
    metrics["sessions"] = 0
    metrics["bars"] = 0
    metrics["trades"] = 0
    metrics["wins"] = 0
    metrics["losses"] = 0
    metrics["streak"] = 0
    metrics["longest_win"] = 0
    metrics["longest_loss"] = 0
    metrics["peak_session"] = 0
    metrics["longest_drawdown"] = 0
    metrics["bars_in_market"] = 0
    metrics["signals"] = 0
    metrics["admitted"] = 0
    metrics["n_r"] = 0
    metrics["sum_return"] = 0.0
    metrics["sum_square"] = 0.0
    metrics["sum_downside"] = 0.0
    metrics["max_drawdown"] = 0.0
    metrics["gross_profit"] = 0.0
    metrics["gross_loss"] = 0.0
    metrics["sum_pnl"] = 0.0
    metrics["sum_r"] = 0.0
    metrics["sum_r_square"] = 0.0
    metrics["turnover"] = 0.0
    metrics["sum_exposure"] = 0.0
    metrics["sum_mae"] = 0.0
    metrics["sum_mfe"] = 0.0
    metrics["sum_bars_held"] = 0.0
