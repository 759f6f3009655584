"""What a recommendation says of a trade that a broker's fills opened, and why such a trade was closed.

A broker knows fills, not plans. What was recommended gives a synced trade its market at entry, its stop and
target and what it can make and lose; these figures follow the fill price and the quantity that was really
filled. When such a trade is closed, the plan tells why where the price says so; else nobody is asked to
believe a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, update

from journal import schema
from journal.accounting import capture_percent, slippage
from journal.entry import Entry
from journal.ledger.lookup import get_recommendation
from journal.ledger.plan import bounds_of, snapshot_of
from journal.ledger.recommending import decide
from journal.performance import thresholds as at
from journal.records import Recommendation
from journal.values import from_nanoseconds

__all__ = ["follow", "plan_kept", "recommended_bounds"]

_OF_THE_FILLS = ("account", "expiry", "dte", "width")


def follow(
    connection: Connection, row: Mapping[str, Any], recommendation: Recommendation, *, now: int
) -> None:
    """Make a trade the execution of a recommendation: it takes over the plan and the market at that time.

    Parameters
    ----------
    row
        The trade's columns.
    now
        Time of the decision.
    """
    market = snapshot_of(Entry(), recommendation, recommendation.legs)
    granted = recommendation.kind == "stock" or recommendation.sizing_rule is not None
    values: dict[str, Any] = {
        **{name: value for name, value in market.items() if name not in _OF_THE_FILLS},
        "width": recommendation.width if row["width"] is None else row["width"],
        "recommendation_id": recommendation.id,
        "parameter_set_id": recommendation.parameter_set_id,
        "strategy": recommendation.strategy,
        "current_stop_price": market["stop_price"],
        "signal_expires_ts": recommendation.expires_ts,
        "granted_quantity": recommendation.quantity if granted else None,
        "mid_price": recommendation.mid_price,
    }
    values |= recommended_bounds(connection, {**row, **values})
    if row["status"] == "closed" and row["close_code"] == "other":
        found = plan_kept({**row, **values})
        if found is not None:
            values["close_code"], values["close_reason"] = found
    trades = schema.trades
    connection.execute(update(trades).where(trades.c.id == row["id"]).values(**values))
    if recommendation.status != "executed":
        decide(connection, recommendation.id, "executed", decision=f"trade {row['id']}", now=now)


def recommended_bounds(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a recommended trade that follow from its fill price, quantity and plan."""
    recommendation = get_recommendation(connection, row["recommendation_id"], row["entry_ts"])
    side, price, quantity = row["side"], row["entry_price"], row["quantity"]
    bounds = bounds_of(
        Entry(), recommendation, recommendation.legs, kind=row["kind"], side=side, price=price,
        quantity=quantity, multiplier=row["multiplier"], stop_price=row["stop_price"], width=row["width"],
    )  # fmt: skip
    values: dict[str, Any] = {
        "initial_risk": bounds.initial_risk,
        "max_profit": bounds.max_profit,
        "max_loss": bounds.max_loss,
        "width": row["width"],
        "slippage": slippage(side, price, row["mid_price"], quantity, row["multiplier"]),
        "buying_power": None
        if recommendation.buying_power is None
        else recommendation.buying_power * quantity,
    }
    if row["width"] is None:
        values["width"] = recommendation.width
    if row["exit_ts"] is not None:
        risk = bounds.initial_risk
        values["r_multiple"] = row["pnl"] / risk if risk else None
        received = price * quantity * row["multiplier"]
        values["capture_percent"] = capture_percent(
            row["kind"], side, row["gross_pnl"], received, bounds.max_profit
        )
    return values


def plan_kept(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return close code and reason of a closed trade where its plan and its exit price tell them.

    Parameters
    ----------
    row
        Columns of the trade. One that nobody planned has no reason.
    """
    found = _by_price(row)
    if found is None and row["kind"] == "option" and row["side"] < 0 and _was_planned(row):
        found = _by_rule(row)
    return found


def _was_planned(row: Mapping[str, Any]) -> bool:
    return row["recommendation_id"] is not None or not (row["details"] or "").startswith('{"origin"')


def _by_price(row: Mapping[str, Any]) -> tuple[str, str] | None:
    price, side = row["exit_price"], row["side"]
    if price is None:
        return None
    stop = row["stop_price"] if row["current_stop_price"] is None else row["current_stop_price"]
    if stop is not None:
        near = at.STOP_TOLERANCE * abs(row["entry_price"] - stop)
        if side * (stop - price) >= -near:
            return "stop", f"stop at {stop:g}"
    target = row["target_price"]
    if target is not None:
        near = at.STOP_TOLERANCE * abs(target - row["entry_price"])
        if side * (price - target) >= -near:
            return "target", f"target at {target:g}"
    return None


def _by_rule(row: Mapping[str, Any]) -> tuple[str, str] | None:
    captured = row["capture_percent"]
    if captured is not None and captured >= at.PROFIT_RULE_PERCENT - at.PROFIT_RULE_TOLERANCE:
        return "profit_target", f"{at.PROFIT_RULE_PERCENT:g}% profit rule"
    rule, days = at.DTE_RULE_DAYS, at.DTE_RULE_TOLERANCE_DAYS
    if row["expiry"] is None or row["dte"] is None or row["dte"] <= rule + days:
        return None
    left = (date.fromisoformat(row["expiry"]) - from_nanoseconds(row["exit_ts"]).date()).days
    return ("dte", f"{rule} DTE") if abs(left - rule) <= days else None
