"""Opening and closing the books: an account before its first bar, and after its last."""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.logbook import write_trade
from simulator.kernel.metrics import close_session, count_trade
from simulator.kernel.views import (
    account_of,
    add_at,
    clear_record,
    metrics_of,
    open_at,
    order_at,
    orders_room,
    position_at,
    positions_room,
    symbol_at,
    symbols_room,
)

__all__ = ["finish", "start"]


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
