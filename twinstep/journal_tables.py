"""Trades and recommendations of a journal as tables for the terminal and as documents for JSON.

Documents have the names of the journal's columns, except that times are times: `entry_ts` of the table is
`entry_time` here. Amounts are currency for the whole trade, after fees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from twinstep.console import emit, price_text, table

if TYPE_CHECKING:
    from journal.performance_tracker import TradeRecord
    from journal.records import Fill, Leg, Recommendation, Trade
    from simulator.opportunity import Quality

__all__ = ["document", "recommendation_table", "show_recommendation", "show_trade", "trade_table"]

_PACKED: Final = ("details", "break_evens", "raw")


def document(record: Any) -> dict[str, Any]:
    """Return a record of the journal as a document."""
    from journal.values import from_nanoseconds

    found: dict[str, Any] = {}
    for spec in fields(record):
        value = getattr(record, spec.name)
        if spec.name == "ts" or spec.name.endswith("_ts"):
            name = f"{spec.name[:-2]}time"
            found[name] = None if value is None else from_nanoseconds(value)
        elif spec.name == "legs":
            found["legs"] = [document(leg) for leg in value]
        elif spec.name in _PACKED and isinstance(value, str):
            found[spec.name] = json.loads(value)
        else:
            found[spec.name] = value
    return found


def trade_table(trades: Sequence[Trade], title: str) -> None:
    """Write a line per trade."""
    closed = any(trade.status == "closed" for trade in trades)
    mixed = len({trade.source for trade in trades}) > 1
    names = ["trade", "symbol", "strategy", "position", "entry", "at", "IV rank"]
    names += ["exit", "exit at", "P&L", "R", "reason"] if closed else ["expiry", "stop", "target", "P&L"]
    table(
        [*names, *(["source"] if mixed else [])],
        [[*_line(trade, closed=closed), *([trade.source] if mixed else [])] for trade in trades],
        title=title,
    )


def recommendation_table(
    found: Sequence[Recommendation], title: str, qualities: Mapping[int, Quality]
) -> None:
    """Write a line per recommendation, with what a model of trade quality says where it says something."""
    names = ["rec", "status", "symbol", "strategy", "legs", "size", "at", "IV rank", "score", "until"]
    judged = any(one.id in qualities for one in found)
    table(
        [*names, *(["quality"] if judged else [])],
        [
            (
                one.id,
                one.status,
                one.symbol,
                one.strategy,
                _legs(one.legs) or "-",
                _count(one.quantity),
                _price(one.side, one.entry_price, one.kind),
                _one(one.iv_rank),
                _one(one.score),
                _minute(one.expires_time),
                *([qualities.get(one.id)] if judged else []),
            )
            for one in found
        ],
        title=title,
    )


def show_recommendation(one: Recommendation, quality: Quality | None) -> None:
    """Write one recommendation with everything that is known of it."""
    emit(f"recommendation {one.id}: {one.symbol} {one.strategy}, {one.status} ({one.source})")
    _list(
        ("logged", _minute(one.created_time)),
        ("until", _minute(one.expires_time)),
        ("decided", _minute(one.decided_time)),
        ("because", one.decision),
        ("reason", one.reason),
        ("legs", _legs(one.legs)),
        ("expiry", one.expiry and f"{one.expiry} ({one.dte} days)"),
        ("size", _count(one.quantity)),
        ("price", _price(one.side, one.entry_price, one.kind)),
        ("stop", one.stop_price),
        ("target", one.target_price),
        ("max profit", "unlimited" if one.max_profit_unlimited else one.max_profit),
        ("max loss", "unlimited" if one.max_loss_unlimited else one.max_loss),
        ("P(profit)", one.probability),
        ("IV rank", one.iv_rank),
        ("score", one.score),
        ("quality", quality),
        ("quotes", one.grade),
        ("parameter set", one.parameter_set_id),
    )


def show_trade(record: TradeRecord, fills: Sequence[Fill], campaign: Sequence[Trade]) -> None:
    """Write one trade with its fills, and what was learned from it."""
    trade = record.trade
    emit(f"{trade} ({trade.source})")
    _list(
        ("entered", _minute(trade.entry_time)),
        ("from", trade.recommendation_id and f"recommendation {trade.recommendation_id}"),
        ("legs", _legs(trade.legs)),
        ("expiry", trade.expiry and f"{trade.expiry} ({trade.dte} days at entry)"),
        ("account", trade.account),
        ("stop", trade.current_stop_price),
        ("target", trade.target_price),
        ("initial risk", trade.initial_risk),
        ("max profit", trade.max_profit),
        ("max loss", trade.max_loss),
        ("IV rank", trade.iv_rank),
        ("notes", trade.entry_notes),
        ("exited", trade.status == "closed" and _minute(trade.exit_time)),
        ("close reason", trade.close_reason and f"{trade.close_reason} [{trade.close_code}]"),
        ("exit notes", trade.exit_notes),
        ("fees", trade.fees or None),
        ("P&L", f"{trade.pnl:+,.2f}"),
        ("R", trade.r_multiple),
        ("captured", trade.capture_percent is not None and f"{trade.capture_percent:.0f}%"),
        ("MAE, MFE", trade.mae is not None and f"{trade.mae:,.2f}, {trade.mfe or 0.0:,.2f}"),
        ("tags", ", ".join(record.tags)),
    )
    table(
        ("time", "fill", "side", "quantity", "price", "fees", "symbol"),
        [
            (_minute(one.time), f"{one.effect} {one.kind}", ("bought", "sold")[one.side < 0],
             _count(one.quantity), one.price, one.fees, one.symbol)
            for one in fills
        ],
    )  # fmt: skip
    _points("Insights", record.insights)
    _points(
        "Mistakes",
        (
            f"{name}{': ' if words else ''}{words}{' (found by itself)' if name in record.automatic else ''}"
            for name, words in record.mistakes
        ),
    )
    _points("Lessons", record.lessons)
    if len(campaign) > 1:
        total = sum(one.pnl for one in campaign)
        _points(f"Campaign, P&L {total:+,.2f}", map(str, campaign))


def _line(trade: Trade, *, closed: bool) -> list[object]:
    line: list[object] = [
        trade.name or trade.id,
        trade.symbol,
        trade.strategy,
        f"{'-' if trade.side < 0 else '+'}"
        f"{_count(trade.open_quantity if trade.status == 'open' else trade.quantity)}",
        f"{trade.entry_time:%Y-%m-%d}",
        _price(trade.side, trade.entry_price, trade.kind),
        _one(trade.iv_rank),
    ]
    pnl = f"{trade.pnl:+,.2f}"
    if not closed:
        return [*line, trade.expiry, trade.current_stop_price, trade.target_price, pnl]
    if trade.status == "open":
        return [*line, "open", None, pnl, None, None]
    left = f"{trade.exit_time:%Y-%m-%d}" if trade.exit_time else None
    r = None if trade.r_multiple is None else f"{trade.r_multiple:+.2f}"
    return [*line, left, trade.exit_price, pnl, r, trade.close_reason]


def _legs(legs: Sequence[Leg]) -> str:
    first = min((leg.expiry for leg in legs if leg.expiry), default=None)
    return " ".join(f"{leg}@{leg.expiry}" if (leg.expiry or first) != first else str(leg) for leg in legs)


def _list(*rows: tuple[str, object]) -> None:
    for name, value in rows:
        if value is not None and value != "" and value is not False:
            emit(f"  {name:14} {value:,.2f}" if isinstance(value, float) else f"  {name:14} {value}")


def _points(head: str, lines: Iterable[str]) -> None:
    several = list(lines)
    if several:
        emit(f"{head}:")
        for line in several:
            emit(f"  - {line}")


def _price(side: int, price: float, kind: str) -> str:
    text = price_text(price)
    return text if kind == "stock" else f"{text} {'credit' if side < 0 else 'debit'}"


def _count(quantity: float) -> str:
    return f"{quantity:,g}"


def _one(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _minute(when: Any) -> str | None:
    return None if when is None else f"{when:%Y-%m-%d %H:%M} UTC"
