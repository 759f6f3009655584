"""The loop: the step over history, for one lane or for many.

A backtest is one lane, a sweep many, a chunked run one lane called again and again with its state carried
along. Lanes run one after another on one thread; a sweep gives each thread its share of lanes. Bars on which
nothing is open, working or signalled are jumped over: the idle predicate of the step says that they would
change nothing but the time. Bars on which no position touches anything coast by.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.books import finish, start
from simulator.kernel.logbook import append_equity
from simulator.kernel.step import coast, idle, pass_time, step
from simulator.kernel.views import (
    account_of,
    clock_at,
    counts_of,
    equity_room,
    metrics_of,
    signal_at,
)

__all__ = ["CLOSE", "GO_ON", "LANES", "OPEN", "run_lanes"]

LANES = 0
OPEN = 1
GO_ON = 2
CLOSE = 3


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
    mode: int,
) -> tuple[int, int]:
    """Run lanes over bars `begin` to `end`; returns a `STEP_` code and the bar reached.

    Parameters
    ----------
    state, logs
        One lane's state and logs, modified in place; used again for each lane.
    params
        PARAMS records: one per lane, or one for all.
    lanes
        LANE records: address and length of each lane's SIGNAL records, sorted by `row`.
    metrics_out, account_out
        Shape (lanes,): each lane's final records.
    mode
        LANES: each lane starts afresh, and its books are closed. OPEN: start afresh, leave the books open (a
        backtest; with `begin` equal to `end` no bar is looked at). GO_ON: go on from `state` (the next
        chunk). CLOSE: go on, then close the books.
    """
    status = codes.STEP_OK
    t = begin
    for lane in range(first_lane, last_lane):
        lane_params = params[lane if params.shape[0] > 1 else 0]
        if mode == LANES or mode == OPEN:
            start(state, lane_params["cash"])
        account = account_of(state)
        signals = lanes[lane]
        s = 0
        s_end = signals["signals_rows"]
        while s < s_end and signal_at(signals, s)["row"] < begin:
            s += 1
        t = begin
        calm_until = begin
        while t < end:
            s_next = s
            while s_next < s_end and signal_at(signals, s_next)["row"] == t:
                s_next += 1
            if s_next == s and account["n_orders"] == 0:
                if calm_until <= t:
                    calm_until = _calm_until(market, command_start, t, end)
                until = calm_until
                if s < s_end and signal_at(signals, s)["row"] < until:
                    until = signal_at(signals, s)["row"]
                passed = 0
                if account["n_positions"] > 0:
                    passed = coast(state, logs, market, lane_params, t, until)
                elif idle(account, lane_params):
                    passed = _jump(logs, account, market, t, until)
                if passed > 0:
                    t += passed
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
        if mode == CLOSE:
            finish(state, logs)
        if mode == LANES:
            finish(state, logs)
            metrics_out[lane] = metrics_of(state)
            account_out[lane] = account_of(state)
    return status, t


@kernel_jit
def _calm_until(market: Any, command_start: Any, t: int, end: int) -> int:
    # First bar from t on with a command or a corporate action; `end` where there is none.
    if (
        command_start[end] == command_start[t]
        and clock_at(market, end)["action_start"] == clock_at(market, t)["action_start"]
    ):
        return end
    while (
        command_start[t + 1] == command_start[t]
        and clock_at(market, t + 1)["action_start"] == clock_at(market, t)["action_start"]
    ):
        t += 1
    return t


@kernel_jit
def _jump(logs: Any, account: Any, market: Any, t: int, until: int) -> int:
    # Bars from t on that can go by at once: up to `until`, if the equity log has room.
    if clock_at(market, t)["ts"] <= account["ts"] and account["row"] >= 0:
        return 0
    n = until - t
    if equity_room(logs) > 0 and counts_of(logs)["equity"] == equity_room(logs):
        return 0
    if n > 0:
        pass_time(account, market, t + n - 1, n)
        if equity_room(logs) > 0:
            append_equity(logs, account, 0.0, n)
    return n
