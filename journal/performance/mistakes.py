"""Mistakes: the categories a trader files them under, and those that the record shows by itself.

A mistake is a broken rule, not a loss: winners have mistakes too. `detect` tags only what the stored facts
prove (a stop that was moved away, more contracts than the verdict granted, an entry after the signal had
expired); what only the trader can know (fear of missing out, no plan) is added by hand. A field that is
unknown proves nothing: a trade without a stored stop is not tagged as one without a stop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, insert, select

from journal.performance import thresholds as at
from journal.performance.insights import stop_overshoot
from journal.performance.recent import Background, Planned, Recent, background
from journal.schema import mistakes, parameters

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Trade

__all__ = ["Mistake", "MistakeCategory", "detect", "find"]


class MistakeCategory(StrEnum):
    """What went wrong in how a trade was made; the value is what the journal stores."""

    PREMATURE_EXIT = "premature_exit"
    HELD_TOO_LONG = "held_too_long"
    MOVED_STOP = "moved_stop"
    IGNORED_STOP = "ignored_stop"
    NO_STOP = "no_stop"
    OVERSIZED = "oversized"
    LATE_ENTRY = "late_entry"
    EARLY_ENTRY = "early_entry"
    CHASED_ENTRY = "chased_entry"
    REVENGE_TRADE = "revenge_trade"
    OVERTRADING = "overtrading"
    FEAR_OF_MISSING_OUT = "fear_of_missing_out"
    LOW_IV_RANK = "low_iv_rank"
    HELD_THROUGH_EARNINGS = "held_through_earnings"
    AVERAGED_DOWN = "averaged_down"
    AGAINST_TREND = "against_trend"
    IGNORED_PLAN = "ignored_plan"
    NO_PLAN = "no_plan"
    POOR_FILL = "poor_fill"
    WRONG_ORDER = "wrong_order"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in one trade."""

    category: MistakeCategory
    description: str


def detect(connection: Connection, trade: Trade, known: Background | None = None) -> list[Mistake]:
    """Find the mistakes that a closed trade's record shows and store them as automatic.

    Automatic mistakes that were stored for the trade before are replaced; those added by hand stay.

    Parameters
    ----------
    connection
        Inside a write transaction.
    trade
        The closed trade; an open one gives an empty list.
    known
        What the trade is compared with; None reads it.
    """
    if trade.status != "closed" or trade.exit_ts is None:
        return []
    plan, before = background(connection, trade) if known is None else known
    found = find(trade, plan, before if trade.source != "backtest" else (), _least_iv_rank(connection, trade))
    connection.execute(_DELETE, {"key": trade.id})
    if found:
        rows = [
            {
                "trade_id": trade.id,
                "ts": trade.exit_ts,
                "category": one.category.value,
                "description": one.description,
                "automatic": 1,
            }
            for one in found
        ]
        connection.execute(_INSERT, rows)
    return found


def find(
    trade: Trade,
    plan: Planned | None = None,
    before: Iterable[Recent] = (),
    least_iv_rank: float | None = None,
) -> list[Mistake]:
    """Return the mistakes that the record shows without storing them.

    Parameters
    ----------
    trade
        The closed trade.
    plan
        Prices of its recommendation.
    before
        Trades of the same symbol that closed before its entry; pass none for a backtest, which takes no
        revenge.
    least_iv_rank
        Lowest IV rank (0 to 100) at which premium might be sold at the time of entry.
    """
    found = [
        _moved_stop(trade),
        _ignored_stop(trade),
        _premature(trade),
        _held_too_long(trade),
        _oversized(trade),
        _late(trade),
        _chased(trade, plan),
        _revenge(trade, list(before)),
        _low_iv_rank(trade, least_iv_rank),
    ]
    return [one for one in found if one is not None]


def _moved_stop(trade: Trade) -> Mistake | None:
    planned_stop, stop = trade.stop_price, trade.current_stop_price
    if planned_stop is None or stop is None:
        return None
    if trade.side * (planned_stop - stop) <= at.EPSILON * max(abs(planned_stop), abs(stop)):
        return None
    text = f"Stop moved away from the entry, from {planned_stop:g} to {stop:g}"
    return Mistake(MistakeCategory.MOVED_STOP, text)


def _ignored_stop(trade: Trade) -> Mistake | None:
    over = stop_overshoot(trade)
    if over is None or trade.close_code not in _BY_HAND or over < at.IGNORED_STOP_SHARE:
        return None
    text = f"Closed at {trade.exit_price:g}, beyond the stop by {100 * over:.0f}% of the planned risk"
    return Mistake(MistakeCategory.IGNORED_STOP, text)


def _premature(trade: Trade) -> Mistake | None:
    target, stop, price = trade.target_price, trade.stop_price, trade.exit_price
    if trade.close_code not in _BY_HAND or target is None or stop is None or price is None:
        return None
    tiny = at.EPSILON * max(abs(target), abs(stop), abs(price))
    if trade.side * (target - price) <= tiny or trade.side * (price - stop) <= tiny:
        return None
    text = f"Closed by hand at {price:g}, before the target ({target:g}) or the stop ({stop:g}) was reached"
    return Mistake(MistakeCategory.PREMATURE_EXIT, text)


def _held_too_long(trade: Trade) -> Mistake | None:
    if trade.days is None or trade.max_days is None:
        return None
    grace = at.TIME_EXIT_GRACE_DAYS if trade.close_code == "time" else 0
    if trade.days <= trade.max_days + grace + at.EPSILON:
        return None
    return Mistake(
        MistakeCategory.HELD_TOO_LONG, f"Held for {trade.days:.1f} days; the limit was {trade.max_days:g}"
    )


def _oversized(trade: Trade) -> Mistake | None:
    granted = trade.granted_quantity
    if granted is None or trade.quantity <= granted * (1 + at.EPSILON):
        return None
    return Mistake(
        MistakeCategory.OVERSIZED, f"Traded {trade.quantity:g} where the verdict granted {granted:g}"
    )


def _late(trade: Trade) -> Mistake | None:
    if trade.signal_expires_ts is None or trade.entry_ts <= trade.signal_expires_ts:
        return None
    late = _duration(trade.entry_ts - trade.signal_expires_ts)
    return Mistake(MistakeCategory.LATE_ENTRY, f"Entered {late} after the signal had expired")


def _chased(trade: Trade, plan: Planned | None) -> Mistake | None:
    if plan is None or plan.entry_price <= 0:
        return None
    worse = trade.side * (trade.entry_price - plan.entry_price)
    if trade.kind == "option":
        limit = at.CHASED_OPTION_SHARE * plan.entry_price
    elif plan.stop_price is not None and plan.stop_price != plan.entry_price:
        limit = at.CHASED_RISK_SHARE * abs(plan.entry_price - plan.stop_price)
    else:
        limit = at.CHASED_STOCK_SHARE * plan.entry_price
    if worse <= limit + at.EPSILON * plan.entry_price:
        return None
    text = f"Entered at {trade.entry_price:g}, {worse:.2f} worse than the recommended {plan.entry_price:g}"
    return Mistake(MistakeCategory.CHASED_ENTRY, text)


def _revenge(trade: Trade, before: list[Recent]) -> Mistake | None:
    since = trade.entry_ts - at.REVENGE_MINUTES * 60_000_000_000
    size = trade.entry_price * trade.quantity * trade.multiplier
    for last in before:
        if last.pnl >= 0 or last.exit_ts < since or last.continued_by(trade):
            continue  # a roll goes on with an idea: that is no revenge for its first part
        risks = trade.initial_risk, last.initial_risk
        larger = risks[0] > risks[1] if risks[0] is not None and risks[1] is not None else size > last.size
        if larger:
            wait = _duration(trade.entry_ts - last.exit_ts)
            text = f"Entered {trade.symbol} {wait} after a loss of ${-last.pnl:,.2f} there, and larger"
            return Mistake(MistakeCategory.REVENGE_TRADE, text)
    return None


def _low_iv_rank(trade: Trade, least: float | None) -> Mistake | None:
    if least is None or trade.iv_rank is None or trade.kind != "option" or trade.side > 0:
        return None
    if trade.iv_rank >= least:
        return None
    text = f"Sold premium at IV rank {trade.iv_rank:.1f}, below the threshold in force ({least:g})"
    return Mistake(MistakeCategory.LOW_IV_RANK, text)


def _least_iv_rank(connection: Connection, trade: Trade) -> float | None:
    """Return the threshold of the parameter set that the trade was made under, None where none is known."""
    if trade.kind != "option" or trade.side > 0 or trade.iv_rank is None or trade.parameter_set_id is None:
        return None
    stored = connection.execute(_SETTINGS, {"key": trade.parameter_set_id}).scalar()
    settings = json.loads(stored) if stored else {}
    value = settings.get("min_iv_rank") if isinstance(settings, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _duration(nanoseconds: int) -> str:
    minutes = nanoseconds / 60_000_000_000
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    if minutes < 2 * 1440:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes / 1440:.1f} days"


_DELETE: Final = delete(mistakes).where(mistakes.c.trade_id == bindparam("key"), mistakes.c.automatic == 1)
_INSERT: Final = insert(mistakes)
_SETTINGS: Final = select(parameters.c.settings).where(parameters.c.id == bindparam("key"))
_BY_HAND = ("manual", "other", None)
