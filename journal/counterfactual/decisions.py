"""What people decided against, as signals that can be run: recommendations and review requests.

A recommendation that was ignored, that ran out, or whose review ended in a no is run from the bar that was
complete when it was made (of ticks, from the first of its symbol): bought or sold at the next open, with its
stop and target, for its quantity. A package of options is opened at that bar's close by its legs, and managed
by rules that are given, since a recommendation does not say how it would have been managed. A review request
that belongs to no recommendation is run as the order that it is. What cannot be run (no bars of the symbol,
no options, a contradiction) is said in words and left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Connection, select

from journal import schema
from journal.counterfactual.rows import Entry
from journal.ledger.lookup import recommendations_where
from journal.records import Recommendation
from simulator.errors import SignalError
from simulator.results.counterfactuals import Case
from simulator.types import Reason

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.signals import Signals

__all__ = ["PACKAGE_RULES", "Decision", "decided_entries", "decisions_of"]

PACKAGE_RULES: Final[Mapping[str, float]] = {"profit_target": 0.5, "stop_loss": 1.0, "dte_exit": 21}
"""How packages are managed where nobody says: half the credit kept, once the credit lost, 21 days left."""

_LATE: Final = 7 * 86_400_000_000_000  # ns between a decision and a bar that has nothing to do with it
_EPOCH: Final = date(1970, 1, 1)
_ENDED: Final = {"rejected": "rejected", "expired": "expired", "refused": "refused", "void": "void"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that was not traded because of a person, or before a person saw it.

    Attributes
    ----------
    key, source, origin, name, decided_by, recommendation
        As in `Entry`.
    ts
        When it was proposed.
    columns
        Of its signal.
    legs
        Of a package: side, kind, strike, ratio, expiry (days since 1970).
    """

    key: str
    source: str
    origin: str
    name: str
    outcome: str
    ts: int
    symbol: str
    side: int
    strategy: str
    decided_by: str = ""
    recommendation: int | None = None
    multiplier: float = 1.0
    columns: Mapping[str, Any] = field(default_factory=dict)
    legs: Sequence[tuple[int, str, float, int, int]] = ()


def decisions_of(connection: Connection, *, source: str, now: int) -> list[Decision]:
    """Return what was decided against, oldest first."""
    found, reviewed = [], set()
    stored = recommendations_where(connection, now=now, status=None, symbol=None, source=[source], limit=None)
    for one in stored:
        details = json.loads(one.details) if one.details else {}
        review = details.get("review") if isinstance(details, dict) else None
        if review:
            reviewed.add(review["request_id"])
        decision = _of_recommendation(one, details if isinstance(details, dict) else {})
        if decision is not None:
            found.append(decision)
    if source != "backtest":
        found += list(_of_reviews(connection, source, reviewed))
    return sorted(found, key=lambda decision: (decision.ts, decision.key))


def _of_recommendation(one: Recommendation, details: Mapping[str, Any]) -> Decision | None:
    if one.status not in ("ignored", "expired"):
        return None
    review, ended_by = details.get("review") or {}, details.get("ended_by")
    origin, name, by = "decision", f"recommendation {one.status}", ""
    outcome = one.status
    if ended_by in ("risk", "halt"):
        if details.get("client_order_id"):
            return None  # its verdict is one of the session's own steps
        origin, outcome = "rule", "rejected"
        name = _rule_of(details.get("verdict") or {})
    elif ended_by == "broker":
        return None  # it was wanted, and would not have filled
    elif ended_by == "review" and review.get("state") in _ENDED:
        outcome = _ENDED[review["state"]]
        name, by = f"review {outcome}", str(review.get("decided_by") or "")
    elif one.status == "expired" or ended_by == "time":
        name, outcome = "recommendation expired", "expired"
    columns: dict[str, Any] = {"qty": one.quantity if one.quantity > 0 else math.nan}
    legs: list[tuple[int, str, float, int, int]] = []
    if one.kind == "option":
        for leg in one.legs:
            expiry = leg.expiry or one.expiry
            if expiry is None:
                return None
            days = (date.fromisoformat(expiry) - _EPOCH).days
            kind = "shares" if leg.kind == "stock" else leg.kind
            legs.append((leg.side, kind, leg.strike or 0.0, int(leg.ratio), days))
    else:
        columns |= {
            "stop": math.nan if one.stop_price is None else one.stop_price,
            "target": math.nan if one.target_price is None else one.target_price,
        }
    return Decision(
        key=f"recommendation:{one.id}", source=one.source, origin=origin, name=name, outcome=outcome,
        ts=one.created_ts, symbol=one.symbol, side=one.side, strategy=one.strategy, decided_by=by,
        recommendation=one.id, multiplier=one.multiplier, columns=columns, legs=legs,
    )  # fmt: skip


def _rule_of(verdict: Mapping[str, Any]) -> str:
    reason = verdict.get("reason")
    return Reason.labels().get(reason, f"code {reason}") if isinstance(reason, int) else str(reason)


def _of_reviews(connection: Connection, source: str, known: set[str]) -> Iterator[Decision]:
    # The orders of a paper broker are paper, all others are live.
    table = schema.reviews
    query = select(table).where(
        table.c.kind == "request", table.c.purpose == "entry", table.c.state.in_(_ENDED)
    )
    for row in connection.execute(query):
        if row.review in known or ("paper" if row.broker == "paper" else "live") != source:
            continue
        order = json.loads(row.data).get("order") or {}
        columns = _order_columns(order)
        if columns is None:
            continue
        yield Decision(
            key=f"review:{row.account}:{row.review}", source=source, origin="decision",
            name=f"review {_ENDED[row.state]}", outcome=_ENDED[row.state], ts=row.created_ts,
            symbol=order["legs"][0]["symbol"], side=1 if order["legs"][0]["quantity"] > 0 else -1,
            strategy=row.strategy, decided_by=row.decided_by, columns=columns,
        )  # fmt: skip


def _order_columns(order: Mapping[str, Any]) -> dict[str, Any] | None:
    # Of a single stock order; packages and options by their own symbol are not read back.
    legs, kind = order.get("legs") or [], order.get("kind")
    entries = {"market": "open", "limit": "limit", "stop": "stop", "stop_limit": "stop_limit"}
    if len(legs) != 1 or kind not in entries or any(sign.isdigit() for sign in legs[0]["symbol"]):
        return None
    columns: dict[str, Any] = {"qty": abs(float(legs[0]["quantity"])), "entry": entries[kind]}
    given = {
        "limit_price": order.get("limit_price"), "entry_price": order.get("stop_price"),
        "stop": order.get("stop_loss"), "target": order.get("take_profit"),
    }  # fmt: skip
    columns |= {name: value for name, value in given.items() if value is not None}
    if order.get("tif") == "day":
        columns["tif"] = "DAY"
    return columns


def decided_entries(
    decisions: Sequence[Decision],
    bars: Bars,
    *,
    session: str,
    costs: Costs | str | None,
    conventions: str | Conventions,
    max_days: int | None,
    package_rules: Mapping[str, float],
) -> tuple[list[Entry], list[str]]:
    """Run decisions on bars; returns their entries, and in words what could not be run."""
    from simulator.shadow import shadow

    entries, notes = [], []
    for decision in decisions:
        try:
            signals = _signal(decision, bars, package_rules)
        except SignalError as error:
            signals = str(error.args[0])
        if isinstance(signals, str):
            notes.append(f"{decision.key} ({decision.symbol}): {signals}")
            continue
        limit = None if decision.legs else max_days
        (outcome,) = shadow(bars, signals, costs=costs, conventions=conventions, max_days=limit)
        asked = float(decision.columns.get("qty", math.nan))
        case = Case(
            ts=outcome.ts, symbol=decision.symbol, side=decision.side, rule=decision.name,
            outcome=decision.outcome, strategy=decision.strategy, tag="", asked=asked, granted=0.0,
            value=math.nan, limit=math.nan, state=outcome.state, qty=outcome.qty, weight=1.0,
            entry_ts=outcome.entry_ts, entry_price=outcome.entry_price, exit_ts=outcome.exit_ts,
            exit_price=outcome.exit_price, exit_reason=outcome.exit_reason, r=outcome.r, pnl=outcome.pnl,
            fees=outcome.fees, mae=outcome.mae, mfe=outcome.mfe, why=outcome.why,
        )  # fmt: skip
        entries.append(
            Entry(
                decision.key, decision.source, decision.origin, case, session, decision.recommendation,
                decision.decided_by,
            )
        )  # fmt: skip
    return entries, notes


def _row_of(bars: Bars, symbol: str, ts: int) -> int | None:
    # The bar that was complete when it was proposed; without one of the symbol, its first bar after that.
    closes, known = bars.close_ts, np.isfinite(bars.close[:, bars.column(symbol)])
    row = int(np.searchsorted(closes, ts, side="right")) - 1
    if row >= 0 and known[row] and ts - int(closes[row]) <= _LATE:
        return row
    later = np.flatnonzero(known[row + 1 :])
    if not len(later) or int(closes[row + 1 + later[0]]) - ts > _LATE:
        return None
    return row + 1 + int(later[0])


def _signal(decision: Decision, bars: Bars, package_rules: Mapping[str, float]) -> Signals | str:
    """Return the one signal of a decision, or why there is none."""
    from simulator.options.packages import make_legs, make_rules, package_signals
    from simulator.signals import Signals

    if decision.symbol not in bars.symbols:
        return f"the bars have no {decision.symbol}"
    row = _row_of(bars, decision.symbol, decision.ts)
    if row is None:
        return "the bars do not cover the time at which it was proposed"
    if not decision.legs:
        return Signals.from_arrays(bars, [row], decision.symbol, decision.side, **decision.columns)
    if bars.options is None:
        return "it is a package of options, and the bars know nothing of options"
    specs = [(side, kind, strike, ratio) for side, kind, strike, ratio, _ in decision.legs]
    expiries = np.zeros((1, 4), np.int64)
    expiries[0, : len(decision.legs)] = [leg[4] for leg in decision.legs]
    return package_signals(
        bars, [row], decision.symbol, decision.side, make_legs([specs], expiry=expiries),
        make_rules(1, **{**package_rules, "multiplier": decision.multiplier}), **decision.columns,
    )  # fmt: skip
