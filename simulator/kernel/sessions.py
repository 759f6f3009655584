"""Session change, phase 1: interest for the days between, new baselines, DAY orders, released halts."""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.halts import refresh_state
from simulator.kernel.logbook import log_account
from simulator.kernel.metrics import close_session
from simulator.kernel.orders import expire_day_orders
from simulator.kernel.views import (
    account_of,
    clock_at,
    instrument_at,
    metrics_of,
    open_at,
    position_at,
)

__all__ = ["change_session", "next_session"]

DAYS_PER_YEAR = 365.0


@kernel_jit
def change_session(state: Any, logs: Any, market: Any, params: Any, t: int) -> None:
    """Begin the session of bar t."""
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
        log_account(logs, account, codes.REASON_SESSION_RELEASE, account["equity"])
    expire_day_orders(state, logs)


@kernel_jit.inlined
def next_session(account: Any, metrics: Any, clock: Any) -> None:
    """Change the session where nothing but positions lives through it."""
    close_session(metrics, account)
    account["session_equity"] = account["equity"]
    account["baseline"] = account["equity"]
    account["session_no"] = clock["session_no"]
    account["session"] = clock["session"]


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
