"""Commands of a person, phase 0: close, cancel, kill, reduce, arm, deposit.

They are recorded and replayed like signals, so that every driver obeys the same hand at the same bar.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.halts import refresh_state
from simulator.kernel.logbook import log_account
from simulator.kernel.orders import cancel_entries, cancel_order
from simulator.kernel.positions import leave
from simulator.kernel.views import account_of, open_at, order_at, position_at, working_at

__all__ = ["obey"]


@kernel_jit
def obey(state: Any, logs: Any, market: Any, params: Any, command: Any) -> None:
    """Carry out one command."""
    account = account_of(state)
    kind = command["kind"]
    account["command_seq"] += 1
    if kind == codes.COMMAND_CLOSE or kind == codes.COMMAND_CLOSE_ALL:
        _close(state, logs, market, params, command)
    if kind == codes.COMMAND_CANCEL or kind == codes.COMMAND_CLOSE_ALL:
        _cancel(state, logs, command)
    elif kind == codes.COMMAND_KILL:
        account["killed"] = 1
        refresh_state(account)
        cancel_entries(state, logs, codes.REASON_KILLED)
        log_account(logs, account, codes.REASON_KILLED, account["equity"])
    elif kind == codes.COMMAND_REDUCE:
        account["reducing"] = 1
        refresh_state(account)
        cancel_entries(state, logs, codes.REASON_REDUCING)
        log_account(logs, account, codes.REASON_REDUCING, account["equity"])
    elif kind == codes.COMMAND_ARM:
        _arm(logs, account)
    elif kind == codes.COMMAND_DEPOSIT:
        _deposit(logs, account, command["value"])


@kernel_jit
def _close(state: Any, logs: Any, market: Any, params: Any, command: Any) -> None:
    # At the price that the command names, else at the next open.
    account = account_of(state)
    one = command["kind"] == codes.COMMAND_CLOSE
    price = command["value"]
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or (one and position["sym"] != command["sym"]):
            continue
        if one and price > 0.0:
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


@kernel_jit
def _cancel(state: Any, logs: Any, command: Any) -> None:
    for k in range(account_of(state)["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and (
            command["kind"] == codes.COMMAND_CLOSE_ALL or order["sym"] == command["sym"]
        ):
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_COMMAND)


@kernel_jit
def _arm(logs: Any, account: Any) -> None:
    # A new measurement of the loss and, where that was the halt, of the drawdown starts from here.
    if account["drawdown_halt"] == 1:
        account["peak_equity"] = account["equity"]
    account["killed"] = 0
    account["daily_halt"] = 0
    account["reducing"] = 0
    account["drawdown_halt"] = 0
    account["baseline"] = account["equity"]
    refresh_state(account)
    log_account(logs, account, codes.REASON_ARMED, account["equity"])


@kernel_jit
def _deposit(logs: Any, account: Any, amount: float) -> None:
    account["cash"] += amount
    account["equity"] += amount
    account["deposits"] += amount
    # a deposit is no profit: every baseline moves with it
    account["session_equity"] += amount
    account["baseline"] += amount
    account["peak_equity"] += amount
    log_account(logs, account, codes.REASON_DEPOSIT, amount)
