"""Entries: a trade is opened.

The fill, the trade, its legs and the recommendation's state are stored in one transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from journal import schema
from journal.accounting import DAY, slippage
from journal.entry import Entry
from journal.ledger.lookup import chosen, get_recommendation, get_trade
from journal.ledger.plan import bounds_of, check_legs, mid_price_of, option_legs, snapshot_of
from journal.ledger.recommending import decide, leg_values
from journal.ledger.sums import Owner, add_fill, cash_of, inserted, write_trade
from journal.records import Leg, Recommendation
from journal.values import (
    amount,
    as_json,
    from_nanoseconds,
    integer,
    nanoseconds,
    number,
    symbol_of,
    text,
)
from simulator.errors import DataError
from simulator.opportunity import OptionLeg

__all__ = ["enter", "join_campaign", "one_price", "stamp_of", "tag", "whole", "write_legs"]

_INSERT: Final = insert(schema.trades)
_INSERT_LEGS: Final = insert(schema.legs)
_NAMED: Final = select(schema.trades.c.id).where(schema.trades.c.name == bindparam("key"))
_OPEN_LEG: Final = (
    update(schema.legs)
    .where(schema.legs.c.id == bindparam("key"))
    .values(open_quantity=bindparam("contracts"))
)


def enter(connection: Connection, entry: Entry, *, source: str, now: int, fill_kind: str = "trade") -> int:
    """Store a new trade and return its number."""
    recommendation = None
    if entry.rec_id is not None:
        recommendation = get_recommendation(connection, entry.rec_id, now)
    given = option_legs(entry.legs or (), entry.expiry)
    check_legs(given)
    legs: Sequence[Leg | OptionLeg] = given or (() if recommendation is None else recommendation.legs)
    symbol, strategy = _names(entry, recommendation)
    kind = _kind(entry, recommendation, legs)
    side, price = _side_and_price(entry, recommendation)
    quantity = _quantity(entry, recommendation, kind)
    multiplier = _multiplier(entry, recommendation, kind)
    cash_of(price, quantity, multiplier)
    ts = stamp_of(entry.when, now)
    fees = number("fees", entry.fees)
    details: dict[str, Any] = {}
    if recommendation is not None:
        _check_standing(recommendation, entry, ts, details)
    values = snapshot_of(entry, recommendation, legs)
    if kind == "stock":
        _check_stop(entry.stop_price, side, price)
        _check_target(entry.target_price, side, price)
    _check_expiry(values["expiry"], ts, recommendation)
    if values["dte"] is None and values["expiry"] is not None:
        values["dte"] = (date.fromisoformat(values["expiry"]) - from_nanoseconds(ts).date()).days
    mid = mid_price_of(entry, recommendation, legs, side)
    bounds = bounds_of(
        entry, recommendation, legs, kind=kind, side=side, price=price, quantity=quantity,
        multiplier=multiplier, stop_price=values["stop_price"], width=values["width"],
    )  # fmt: skip
    name = _name(connection, entry.name)
    campaign = None if entry.campaign is None else join_campaign(connection, entry.campaign)
    values |= {
        "name": name,
        "recommendation_id": None if recommendation is None else recommendation.id,
        "parameter_set_id": _parameter_set(entry, recommendation),
        "campaign_id": campaign,
        "source": _source(entry, recommendation, source),
        "status": "open",
        "kind": kind,
        "symbol": symbol,
        "strategy": strategy,
        "side": side,
        "quantity": quantity,
        "open_quantity": quantity,
        "multiplier": multiplier,
        "entry_ts": ts,
        "entry_price": price,
        "current_stop_price": values["stop_price"],
        "initial_risk": bounds.initial_risk,
        "max_profit": bounds.max_profit,
        "max_loss": bounds.max_loss,
        "buying_power": _buying_power(entry, recommendation, quantity),
        "max_days": None if entry.max_days is None else amount("max_days", entry.max_days),
        "signal_expires_ts": None if recommendation is None else recommendation.expires_ts,
        "granted_quantity": _granted(entry, recommendation),
        "mid_price": mid,
        "entry_notes": text("notes", entry.notes),
        "details": as_json("details", details) if details else None,
        "fees": fees,
        "pnl": -fees,
        "slippage": slippage(side, price, mid, quantity, multiplier),
    }
    trade_id = inserted(connection.execute(_INSERT, values))
    rows = _own_legs(symbol, given, recommendation, quantity)
    if rows:
        connection.execute(_INSERT_LEGS, [row | {"trade_id": trade_id} for row in rows])
    _first_fill(connection, trade_id, values, entry, fill_kind)
    for word in _words(entry.tags):
        tag(connection, trade_id, word)
    if recommendation is not None and recommendation.status != "executed":
        decide(connection, recommendation.id, "executed", decision=f"trade {trade_id}", now=now)
    return trade_id


def stamp_of(when: datetime | int | None, now: int, name: str = "when") -> int:
    """Return a time as a stamp, now where none is given.

    Raises
    ------
    DataError
        JOURNAL_NAIVE_TIME, JOURNAL_FUTURE for a time more than a day ahead of the journal's clock.
    """
    if when is None:
        return now
    ts = nanoseconds(when, name)
    if ts > now + DAY:
        raise DataError(
            f"{name} is {from_nanoseconds(ts):%Y-%m-%d %H:%M} UTC, more than a day after now, "
            f"{from_nanoseconds(now):%Y-%m-%d %H:%M} UTC",
            code="JOURNAL_FUTURE",
        )
    return ts


def one_price(
    price: float | None, credit: float | None, credit_side: int, price_name: str, credit_name: str
) -> float:
    """Return the price of a fill from the one of two forms that is given.

    `credit` times minus `credit_side` is the price: a credit for what is sold, a debit for what is bought.
    """
    if (price is None) == (credit is None):
        said = "neither is given" if price is None else "both are given"
        raise DataError(f"the price is {price_name} or {credit_name}; {said}", code="JOURNAL_PRICE")
    if price is not None:
        return amount(price_name, price)
    value = -credit_side * number(credit_name, credit) + 0.0
    if value < 0:
        word = "sold" if credit_side < 0 else "bought"
        raise DataError(
            f"{credit_name} is {credit:g}, which has the wrong sign for what is {word}", code="JOURNAL_PRICE"
        )
    return value


def whole(name: str, value: Any) -> float:
    """Return a number of contracts: whole and above 0.

    Raises
    ------
    DataError
        JOURNAL_QUANTITY.
    """
    quantity = amount(name, value, above=True)
    if quantity != int(quantity):
        raise DataError(f"{name} is {quantity:g}; contracts are whole", code="JOURNAL_QUANTITY")
    return quantity


def tag(connection: Connection, trade_id: int, word: str) -> None:
    """Give a trade a tag; one that it has already is kept."""
    label = text("tag", word).strip()
    if not label:
        raise DataError("a tag is empty; it must be a word to find the trade by", code="JOURNAL_VALUE")
    known = select(schema.tags.c.tag).where(schema.tags.c.trade_id == trade_id, schema.tags.c.tag == label)
    if connection.execute(known).first() is None:
        connection.execute(insert(schema.tags), {"trade_id": trade_id, "tag": label})


def join_campaign(connection: Connection, trade_id: int | str) -> int:
    """Return the campaign of a trade, which begins one where it has none."""
    trade = get_trade(connection, trade_id)
    if trade.campaign_id is None:
        write_trade(connection, trade.id, {"campaign_id": trade.id})
        return trade.id
    return trade.campaign_id


def write_legs(connection: Connection, open_quantities: Mapping[int, float]) -> None:
    """Change how many contracts of legs are open, by the numbers of the legs."""
    if open_quantities:
        rows = [{"key": number_, "contracts": contracts} for number_, contracts in open_quantities.items()]
        connection.execute(_OPEN_LEG, rows)


def _names(entry: Entry, recommendation: Recommendation | None) -> tuple[str, str]:
    symbol = None if entry.symbol is None else symbol_of("symbol", entry.symbol)
    if recommendation is not None:
        if symbol not in (None, recommendation.symbol):
            raise DataError(
                f"recommendation {recommendation.id} is for {recommendation.symbol}, the entry for {symbol}",
                code="JOURNAL_SYMBOL",
            )
        symbol = recommendation.symbol
    if not symbol:
        raise DataError("an entry without rec_id needs symbol=", code="JOURNAL_SYMBOL")
    strategy = entry.strategy
    if strategy is None:
        strategy = "manual" if recommendation is None else recommendation.strategy
    return symbol, text("strategy", strategy)


def _kind(entry: Entry, recommendation: Recommendation | None, legs: Sequence[Leg | OptionLeg]) -> str:
    if entry.kind is not None:
        return chosen("kind", entry.kind, schema.KINDS)
    if recommendation is not None:
        return recommendation.kind
    option = legs or entry.actual_contracts is not None or entry.entry_credit is not None
    return "option" if option else "stock"


def _side_and_price(entry: Entry, recommendation: Recommendation | None) -> tuple[int, float]:
    side = entry.side
    if side is not None and side not in (-1, 1):
        raise DataError(f"side is {side!r}; it must be +1 for bought or -1 for sold", code="JOURNAL_SIDE")
    if side is None and entry.entry_credit:
        side = -1 if number("entry_credit", entry.entry_credit) > 0 else 1
    if side is None and recommendation is not None:
        side = recommendation.side
    if side is None:
        side = 1 if entry.entry_price is not None else -1
    if recommendation is not None and side != recommendation.side and not entry.override:
        words = {1: "buys", -1: "sells"}
        raise DataError(
            f"recommendation {recommendation.id} {words[recommendation.side]}, the entry {words[side]}; a "
            "credit is positive and a debit negative. override=True logs it as it is",
            code="JOURNAL_SIDE",
        )
    return side, one_price(entry.entry_price, entry.entry_credit, side, "entry_price", "entry_credit")


def _quantity(entry: Entry, recommendation: Recommendation | None, kind: str) -> float:
    given = entry.actual_contracts if entry.quantity is None else entry.quantity
    if entry.quantity is not None and entry.actual_contracts not in (None, entry.quantity):
        raise DataError(
            f"quantity is {entry.quantity!r} and actual_contracts {entry.actual_contracts!r}; give one",
            code="JOURNAL_QUANTITY",
        )
    if given is None and recommendation is not None and recommendation.quantity > 0:
        given = recommendation.quantity
    if given is None:
        raise DataError("an entry needs actual_contracts= or quantity=", code="JOURNAL_QUANTITY")
    return whole("quantity", given) if kind == "option" else amount("quantity", given, above=True)


def _multiplier(entry: Entry, recommendation: Recommendation | None, kind: str) -> float:
    if entry.multiplier is not None:
        return amount("multiplier", entry.multiplier, above=True)
    if recommendation is not None:
        return recommendation.multiplier
    return 100.0 if kind == "option" else 1.0


def _check_standing(recommendation: Recommendation, entry: Entry, ts: int, details: dict[str, Any]) -> None:
    status = recommendation.status
    expires = recommendation.expires_ts
    in_time = status == "expired" and expires is not None and ts <= expires
    too_late = status == "recommended" and expires is not None and ts > expires
    if (status == "recommended" and not too_late) or in_time:
        return
    if too_late:
        status = "expired"
    if not entry.override:
        since = recommendation.expires_time if status == "expired" else recommendation.decided_time
        when = "" if since is None else f" since {since:%Y-%m-%d %H:%M} UTC"
        raise DataError(
            f"recommendation {recommendation.id} is {status}{when}. override=True logs the entry against it "
            "all the same" + ("; to add to its trade, use log_trade_add" if status == "executed" else ""),
            code="JOURNAL_STATUS",
        )
    details["override"] = status


def _check_stop(stop: float | None, side: int, price: float) -> None:
    if stop is not None and side * (price - stop) <= 0:
        where = "below" if side > 0 else "above"
        raise DataError(
            f"stop_price is {stop:g} with an entry at {price:g}; the stop of this trade must be {where} its "
            "entry",
            code="JOURNAL_STOP",
        )


def _check_target(target: float | None, side: int, price: float) -> None:
    if target is not None and side * (target - price) < 0:
        where = "above" if side > 0 else "below"
        raise DataError(
            f"target_price is {target:g} with an entry at {price:g}; the target of this trade must be "
            f"{where} its entry",
            code="JOURNAL_TARGET",
        )


def _check_expiry(expiry: str | None, ts: int, recommendation: Recommendation | None) -> None:
    day = from_nanoseconds(ts).date().isoformat()
    # what was recommended from quotes of the past may be logged now
    from_the_past = recommendation is not None and (
        recommendation.expiry is not None
        and recommendation.expiry < recommendation.created_time.date().isoformat()
    )
    if expiry is not None and expiry < day and not from_the_past:
        raise DataError(
            f"the options expired on {expiry}; they cannot be entered on {day}", code="JOURNAL_ORDER"
        )


def _name(connection: Connection, name: str | None) -> str | None:
    if name is None:
        return None
    label = text("name", name).strip()
    taken = connection.execute(_NAMED, {"key": label}).scalar()
    if not label or taken is not None:
        why = "empty" if not label else f"that of trade {taken} already"
        raise DataError(f"name {name!r} is {why}", code="JOURNAL_NAME")
    return label


def _parameter_set(entry: Entry, recommendation: Recommendation | None) -> int | None:
    if entry.parameter_set is not None:
        return integer("parameter_set", entry.parameter_set)
    return None if recommendation is None else recommendation.parameter_set_id


def _source(entry: Entry, recommendation: Recommendation | None, source: str) -> str:
    if entry.source is not None:
        return chosen("source", entry.source, schema.SOURCES)
    return source if recommendation is None else recommendation.source


def _buying_power(entry: Entry, recommendation: Recommendation | None, quantity: float) -> float | None:
    if entry.buying_power is not None:
        return amount("buying_power", entry.buying_power)
    if recommendation is None or recommendation.buying_power is None:
        return None
    return recommendation.buying_power * quantity


def _granted(entry: Entry, recommendation: Recommendation | None) -> float | None:
    if entry.granted_quantity is not None:
        return amount("granted_quantity", entry.granted_quantity)
    if recommendation is None or (recommendation.kind == "option" and recommendation.sizing_rule is None):
        return None
    return recommendation.quantity


def _own_legs(
    symbol: str, given: Sequence[OptionLeg], recommendation: Recommendation | None, quantity: float
) -> list[dict[str, Any]]:
    # shares that cover a call are a trade of their own; the package is its options
    if given:
        return leg_values(symbol, [leg for leg in given if leg.kind != "shares"], quantity=quantity)
    if recommendation is None:
        return []
    names = ("side", "kind", "symbol", "strike", "expiry", "ratio", "bid", "ask", "iv", "delta")
    options = [leg for leg in recommendation.legs if leg.kind != "shares"]
    return [
        {name: getattr(leg, name) for name in names}
        | {"recommendation_id": None, "position": position, "open_quantity": leg.ratio * quantity}
        for position, leg in enumerate(options)
    ]


def _words(tags: Sequence[str] | None) -> Sequence[str]:
    if isinstance(tags, str):
        raise DataError(f"tags is {tags!r}; it must be a list of words", code="JOURNAL_VALUE")
    return tags or ()


def _first_fill(
    connection: Connection, trade_id: int, values: dict[str, Any], entry: Entry, kind: str
) -> None:
    owner = Owner(trade_id, values["source"], values["account"], values["symbol"], values["multiplier"])
    key = f"own:{trade_id}:1" if entry.execution_key is None else entry.execution_key
    add_fill(
        connection, owner, ts=values["entry_ts"], effect="open", kind=kind, side=values["side"],
        quantity=values["quantity"],
        price=values["entry_price"], fees=values["fees"], mid_price=values["mid_price"], execution_key=key,
        broker=entry.broker, order_id=entry.order_id,
    )  # fmt: skip
