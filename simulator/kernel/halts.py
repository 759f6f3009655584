"""Halts of the account: daily loss, drawdown, and what a person has asked for.

A halt refuses entries (`halted`, asked by the risk manager). Its beginning cancels those that work and, by
policy, flattens the positions at the next open.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.logbook import log_account
from simulator.kernel.orders import cancel_entries
from simulator.kernel.slots import compact
from simulator.kernel.views import account_of, open_at, position_at

__all__ = ["check_limits", "fallen", "halted", "near_limits", "refresh_state"]

# To spare in a comparison that saves a division, as a fraction: far more than rounding takes.
SLACK = 1e-9


@kernel_jit
def halted(account: Any, params: Any) -> tuple[int, float, float]:
    """Reason, value and limit of the halt in force; REASON_NONE where there is none."""
    if account["killed"] == 1:
        return codes.REASON_KILLED, float(account["state"]), 0.0
    if account["reducing"] == 1:
        return codes.REASON_REDUCING, float(account["state"]), 0.0
    if account["daily_halt"] == 1:
        loss = 0.0
        if account["baseline"] > 0.0:
            loss = 1.0 - account["equity"] / account["baseline"]
        return codes.REASON_DAILY_LOSS_HALT, loss, params["daily_loss"]
    if account["drawdown_halt"] == 1:
        return codes.REASON_DRAWDOWN_HALT, fallen(account), params["drawdown"]
    return codes.REASON_NONE, 0.0, 0.0


@kernel_jit.inlined
def near_limits(account: Any, params: Any) -> bool:
    """Whether a limit may be breached: a cheap no for most bars, never a wrong one."""
    equity = account["equity"]
    return (
        equity < account["baseline"] * (1.0 - params["daily_loss"] + SLACK)
        or equity < account["peak_equity"] * (1.0 - params["drawdown"] + SLACK)
        or not account["peak_equity"] > 0.0
    )


@kernel_jit
def check_limits(state: Any, logs: Any, params: Any) -> None:
    """Halt entries where the daily loss or the drawdown has reached its limit."""
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
    log_account(logs, account, reason, equity)
    cancel_entries(state, logs, codes.REASON_HALT)
    if action == codes.BREACH_FLATTEN:
        for k in range(account["n_positions"]):
            position = position_at(state, open_at(state, k)["slot"])
            if position["live"] == 1 and position["pending"] == 0:
                position["pending"] = exit_reason
                position["pending_kind"] = codes.KIND_EXIT
    compact(state)


@kernel_jit
def refresh_state(account: Any) -> None:
    """Work out the halt state: what a person asked for latches, and a halt outranks it."""
    if account["killed"] + account["daily_halt"] + account["drawdown_halt"] > 0:
        account["state"] = codes.STATE_HALTED
    elif account["reducing"] == 1:
        account["state"] = codes.STATE_REDUCING
    else:
        account["state"] = codes.STATE_ACTIVE


@kernel_jit.inlined
def fallen(account: Any) -> float:
    """Fall of the equity from its peak, as a fraction; 0 where the peak is no money."""
    peak = account["peak_equity"]
    return 1.0 - account["equity"] / peak if peak > 0.0 else 0.0
