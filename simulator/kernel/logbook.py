"""The logs: every row of events, fills, trades, verdicts and equity is written here.

A log of capacity 0 is off. `has_room` is asked before a bar begins, and counts with the most that a bar can
write: none is left half logged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.views import (
    counts_of,
    equity_at,
    equity_room,
    event_at,
    events_room,
    fill_at,
    fills_room,
    trade_at,
    trades_room,
    verdict_at,
    verdicts_room,
)

__all__ = [
    "append_equity",
    "has_room",
    "log_account",
    "log_event",
    "log_fill",
    "log_verdict",
    "reject",
    "write_trade",
]

# Rows that one position, order or signal can add to a log within one bar: six exits and adds, an entry, and
# what is cancelled with them.
ROWS_PER_SLOT = 10


@kernel_jit
def has_room(logs: Any, account: Any, n_signals: int, n_commands: int) -> bool:
    """Whether the logs can take all that one bar might write. Capacity 0 means off, and needs no room."""
    if (
        fills_room(logs) + trades_room(logs) + verdicts_room(logs) + events_room(logs) + equity_room(logs)
        == 0
    ):
        return True
    slots = account["n_positions"] + account["n_orders"] + n_signals + 1
    rows = ROWS_PER_SLOT * slots + 2 * n_commands + 8
    if fills_room(logs) > 0 and counts_of(logs)["fills"] + rows > fills_room(logs):
        return False
    # the shares that a package becomes may be sold at the open of the same bar
    trades = slots + account["n_packages"]
    if trades_room(logs) > 0 and counts_of(logs)["trades"] + trades > trades_room(logs):
        return False
    if verdicts_room(logs) > 0 and counts_of(logs)["verdicts"] + n_signals > verdicts_room(logs):
        return False
    if events_room(logs) > 0 and counts_of(logs)["events"] + rows > events_room(logs):
        return False
    return not (equity_room(logs) > 0 and counts_of(logs)["equity"] + 1 > equity_room(logs))


@kernel_jit
def log_event(
    logs: Any,
    account: Any,
    order: int,
    position: int,
    sym: int,
    kind: int,
    state: int,
    reason: int,
    price: float,
    qty: float,
) -> None:
    """Append an order event."""
    n = counts_of(logs)["events"]
    if n < events_room(logs):
        row = event_at(logs, n)
        row["row"] = account["row"]
        row["ts"] = account["ts"]
        row["order"] = order
        row["position"] = position
        row["sym"] = sym
        row["kind"] = kind
        row["state"] = state
        row["reason"] = reason
        row["price"] = price
        row["qty"] = qty
        counts_of(logs)["events"] = n + 1


@kernel_jit
def log_account(logs: Any, account: Any, reason: int, amount: float) -> None:
    """Append an event of the account itself: a halt, a command, a deposit."""
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
def log_fill(
    logs: Any,
    account: Any,
    position: Any,
    kind: int,
    reason: int,
    rule: int,
    source: int,
    direction: float,
    qty: float,
    price: float,
    fee: float,
    slippage: float,
) -> None:
    """Append a fill; `slippage` is the price given away per unit, positive against the trader."""
    n = counts_of(logs)["fills"]
    if n < fills_room(logs):
        row = fill_at(logs, n)
        row["row"] = account["row"]
        row["ts"] = account["ts"]
        row["sym"] = position["sym"]
        row["side"] = np.int64(direction)
        row["kind"] = kind
        row["reason"] = reason
        row["order"] = position["order"]
        row["position"] = position["id"]
        row["rule"] = rule
        row["source"] = source
        row["grade"] = _grade(rule, source)
        row["signal"] = position["signal"]
        row["qty"] = qty
        row["price"] = price
        row["fee"] = fee
        row["slippage"] = slippage
        counts_of(logs)["fills"] = n + 1


@kernel_jit
def _grade(rule: int, source: int) -> int:
    if source == codes.SOURCE_MANUAL:
        return codes.GRADE_USER
    if rule == codes.PRICE_QUOTE:
        return codes.GRADE_QUOTED
    return codes.GRADE_MODELLED if rule == codes.PRICE_MODEL else codes.GRADE_BAR


@kernel_jit
def write_trade(
    logs: Any, account: Any, position: Any, reason: int, price: float, pnl: float, row: int
) -> None:
    """Append a trade."""
    n = counts_of(logs)["trades"]
    if n >= trades_room(logs):
        return
    trade = trade_at(logs, n)
    trade["id"] = position["id"]
    trade["sym"] = position["sym"]
    trade["side"] = position["side"]
    trade["entry_row"] = position["entry_row"]
    trade["entry_ts"] = position["entry_ts"]
    trade["exit_row"] = row
    trade["exit_ts"] = account["ts"]
    trade["exit_reason"] = reason
    trade["bars_held"] = position["bars_held"]
    trade["tag"] = position["tag"]
    trade["strategy"] = position["strategy"]
    trade["signal"] = position["signal"]
    trade["sector"] = position["sector"]
    trade["entry_phase"] = position["entry_phase"]
    trade["qty"] = position["entry_qty"]
    trade["entry_price"] = position["entry_price"]
    trade["exit_price"] = price
    trade["fees"] = position["fees"]
    trade["pnl"] = pnl
    trade["r_multiple"] = pnl / position["initial_risk"] if position["initial_risk"] > 0.0 else np.nan
    scale = abs(position["entry_price"])
    trade["mae"] = (position["worst"] - position["entry"]) / scale
    trade["mfe"] = (position["best"] - position["entry"]) / scale
    trade["initial_risk"] = position["initial_risk"]
    trade["stop"] = position["stop_initial"] * float(position["side"])
    trade["dividends"] = position["dividends"]
    counts_of(logs)["trades"] = n + 1


@kernel_jit
def log_verdict(
    logs: Any,
    account: Any,
    signal: Any,
    reason: int,
    rule: int,
    value: float,
    limit: float,
    asked: float,
    granted: float,
    absent: int,
    order: int,
    price: float,
) -> int:
    """Append a verdict on a signal; returns its reason."""
    n = counts_of(logs)["verdicts"]
    if n < verdicts_room(logs):
        row = verdict_at(logs, n)
        row["row"] = account["row"]
        row["ts"] = account["ts"]
        row["signal"] = account["seq"]
        row["sym"] = signal["sym"]
        row["side"] = signal["side"]
        row["rule"] = rule
        row["reason"] = reason
        row["absent"] = absent
        row["order"] = order
        row["strategy"] = signal["strategy"]
        row["tag"] = signal["tag"]
        row["value"] = value
        row["limit"] = limit
        row["asked"] = asked
        row["granted"] = granted
        row["price"] = price
        counts_of(logs)["verdicts"] = n + 1
    account["seq"] += 1
    return reason


@kernel_jit
def reject(
    logs: Any,
    account: Any,
    signal: Any,
    reason: int,
    value: float,
    limit: float,
    asked: float,
    absent: int,
    price: float,
) -> int:
    """Append a verdict that grants nothing; returns its reason."""
    return log_verdict(
        logs, account, signal, reason, reason, value, limit, asked, 0.0, absent, codes.NONE, price
    )


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
