"""Open option trades of the journal: logged by hand, or read from a broker.

The journal keeps no marks. A trade is valued by the last bar of a session that knows its underlying, where
that bar is recent; else its mark, its result and its Greeks are unknown, and only the payoff is drawn. Shares
that cover a sold call are a trade of their own: where the journal has one, the call is shown with them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np

from twinstep.dashboard.reading.options.market import Greeks, LastBar
from twinstep.dashboard.reading.options.payoff import Terms
from twinstep.dashboard.reading.options.position import (
    EPOCH,
    Book,
    LegLine,
    OptionPosition,
    book_of,
    leg_line,
    position_of,
)
from twinstep.dashboard.reading.reader import Reader

__all__ = ["MOST", "read_trades"]

MOST: Final = 24
"""Positions of one place that are shown; of more, the count."""

_RIGHTS: Final = {"call": 1, "put": -1}

_TRADES: Final = (
    "SELECT * FROM trades WHERE status = 'open' AND kind = 'option' AND source = ? "
    "ORDER BY entry_ts DESC, id DESC LIMIT ?"
)
_COUNT: Final = "SELECT count(*) AS n FROM trades WHERE status = 'open' AND kind = 'option' AND source = ?"
_LEGS: Final = "SELECT * FROM legs WHERE trade_id = ? ORDER BY position LIMIT 12"
_COVER: Final = (
    "SELECT id, entry_price, open_quantity * multiplier AS held FROM trades WHERE status = 'open' "
    "AND symbol = ? AND kind = 'stock' AND side = 1 AND source = ? ORDER BY id DESC LIMIT 50"
)


def read_trades(
    reader: Reader, source: str, recent: LastBar | None, last: LastBar | None, looked: datetime
) -> Book | None:
    """Return the open option trades of a source, None where there are none.

    Parameters
    ----------
    recent
        The bar that values them; None where there is none, or it is too old.
    last
        The newest bar, however old: trades of its own session are shown there.
    """
    rows = reader.ask(_TRADES, (source, MOST))
    more = int(reader.ask(_COUNT, (source,))[0]["n"]) - len(rows)
    if last is not None:
        run = reader.ask("SELECT run_id FROM sessions WHERE name = ?", (last.session,))
        rows = [row for row in rows if not run or row["run_id"] != run[0]["run_id"]]
    if not rows:
        return None
    place, found, used = f"journal, {source}", [], dict[int, float]()
    for row in rows:
        legs = reader.ask(_LEGS, (row["id"],))
        bare = -sum(leg["side"] * leg["ratio"] for leg in legs if leg["kind"] == "call")
        cover = _cover(reader, row, source, bare * row["open_quantity"] * row["multiplier"], used)
        found.append(_of_trade(row, legs, bare, cover, (place, recent, last, looked)))
    return book_of(place, found, recent, [], max(0, more))


def _cover(
    reader: Reader, row: dict[str, Any], source: str, shares: float, used: dict[int, float]
) -> dict[str, Any] | None:
    """Return a trade of so many shares that cover nothing else yet, and note that they do now."""
    if shares <= 0.0:
        return None
    for held in reader.ask(_COVER, (row["symbol"], source)):
        if held["held"] - used.get(held["id"], 0.0) >= shares:
            used[held["id"]] = used.get(held["id"], 0.0) + shares
            return held
    return None


def _of_trade(
    row: dict[str, Any],
    legs: list[dict[str, Any]],
    bare: float,
    cover: dict[str, Any] | None,
    seen_from: tuple[str, LastBar | None, LastBar | None, datetime],
) -> OptionPosition:
    """Return an open trade; `bare` are calls per package that no leg covers, `cover` the shares that do."""
    from simulator.kernel.dtypes import LEG

    place, recent, last, looked = seen_from
    unknown: list[str] = []
    paid_for_shares = 0.0
    if cover is not None:
        shares = dict.fromkeys(("strike", "expiry", "iv", "open_quantity"))
        legs = [*legs, {**shares, "kind": "shares", "side": 1, "ratio": bare}]
        paid_for_shares = bare * cover["entry_price"]
        size = bare * row["open_quantity"] * row["multiplier"]
        unknown.append(
            f"It counts {size:,g} shares of trade {cover['id']}, bought at {cover['entry_price']:,.2f}: they "
            "cover its calls. Only the options are in entry and mark."
        )
    elif bare > 0.0:
        unknown.append("No one open trade of shares covers its sold calls.")
    records = np.zeros(len(legs), LEG)
    for record, leg in zip(records, legs, strict=True):
        record["right"], record["side"] = _RIGHTS.get(leg["kind"], 0), leg["side"]
        record["strike"] = np.nan if leg["strike"] is None else leg["strike"]
        record["expiry"] = _day(leg["expiry"])
    symbol, open_, side = row["symbol"], float(row["open_quantity"]), int(row["side"])
    priced_by = recent if recent is not None and recent.spot(symbol) is not None else None
    rate, carry = (0.0, 0.0) if priced_by is None else priced_by.rates(symbol)
    units = np.array([leg["side"] * leg["ratio"] for leg in legs], np.float64)
    terms = Terms(
        legs=records, units=units,
        volatility=np.array([np.nan if leg["iv"] is None else leg["iv"] for leg in legs], np.float64),
        paid=side * row["entry_price"] + paid_for_shares, size=open_ * row["multiplier"],
        day=(looked.date() - EPOCH).days if priced_by is None else priced_by.day, rate=rate, carry=carry,
    )  # fmt: skip
    common = {
        "key": f"t{row['id']}", "place": place, "symbol": symbol, "strategy": row["strategy"],
        "quantity": open_, "entry_ts": row["entry_ts"], "price": side * row["entry_price"],
        "shares_paid": paid_for_shares, "iv_rank": row["iv_rank"], "entry_spot": row["spot"],
        # the journal's own are those of the options
        "bounds": None if cover else (_part_of(row, "max_profit"), _part_of(row, "max_loss")),
        "target": _at(row, "target_price"), "stop": _at(row, "current_stop_price"), "unknown": unknown,
        "today": (looked.date() - EPOCH).days,
    }  # fmt: skip
    if not (records["right"] != 0).any():
        unknown.append("The journal has no legs of it: log them to see more.")
        return _bare(common, row, terms.size)
    singly = any(
        leg["open_quantity"] is not None and abs(leg["open_quantity"] - leg["ratio"] * open_) > 1e-9
        for leg in legs
    )
    if singly:
        unknown.append("Some of its legs were closed singly: what is left has no price of its own.")
        return _bare(common, row, terms.size, legs=tuple(
            leg_line(leg["side"] * (leg["open_quantity"] or 0.0), record, common["today"], None)
            for leg, record in zip(legs, records, strict=True)
        ))  # fmt: skip
    gone = [leg for leg in records if leg["right"] != 0 and leg["expiry"] < common["today"]]
    if gone:
        days = ", ".join(sorted({f"{EPOCH + timedelta(days=int(leg['expiry']))}" for leg in gone}))
        unknown.append(f"Legs of it expired on {days}: log what became of them; until then it has no mark.")
        lines = tuple(
            leg_line(number * open_, record, common["today"], None)
            for number, record in zip(units, records, strict=True)
        )
        return _bare(common, row, terms.size, legs=lines)
    seen = None if priced_by is None else priced_by.priced(symbol, terms)
    if seen is None or seen.mark is None:
        unknown.append(_no_mark(symbol, priced_by, last))
    if priced_by is None or priced_by.bars.options is None:
        unknown.append("No rate and no dividends are known: the model takes both as 0.")
    if seen is None:
        source = "each leg's volatility when it was found" if (terms.volatility > 0.0).any() else "unknown"
        return position_of(
            None, terms, worth=None, mark_ts=None, seen=(source, (None,) * 4), volatility=terms.volatility,
            modelled=True, **common,
        )  # fmt: skip
    assert priced_by is not None  # noqa: S101 - it has just priced
    options = priced_by.bars.options
    return position_of(
        priced_by, terms, worth=seen.mark, mark_ts=None if seen.mark is None else priced_by.ts,
        seen=(seen.source, seen.greeks), volatility=seen.volatility,
        modelled=options is None or options.grade == "modelled" or seen.mark is None, **common,
    )  # fmt: skip


def _no_mark(symbol: str, priced_by: LastBar | None, last: LastBar | None) -> str:
    if priced_by is not None:
        return f"The last bar of session {priced_by.session} has no quotes of every leg: no mark, no result."
    if last is None:
        return "No session has bars: the price of the underlying, mark, result and Greeks are unknown."
    if last.spot(symbol) is None:
        return f"Session {last.session} does not watch {symbol}: mark, result and Greeks are unknown."
    return f"The last bar of session {last.session} is too old: mark, result and Greeks are unknown."


def _bare(
    common: dict[str, Any], row: dict[str, Any], size: float, legs: tuple[LegLine, ...] = ()
) -> OptionPosition:
    """Return a trade of which no payoff can be said."""
    best, worst = common["bounds"] or (None, None)
    return OptionPosition(
        key=common["key"], trade=row["id"], place=common["place"], symbol=common["symbol"],
        strategy=common["strategy"], quantity=common["quantity"], size=size, entry_ts=row["entry_ts"],
        credit=-common["price"] + 0.0, legs=legs, mark=None, mark_ts=None, modelled=False, result=None,
        share_pct=None, share_of="", iv_rank=row["iv_rank"], max_profit=best, max_loss=worst,
        target=common["target"], stop=common["stop"], entry_spot=row["spot"], spot=None, greeks=Greeks(),
        volatility="unknown", diagram=None, unknown=tuple(common["unknown"]),
    )  # fmt: skip


def _part_of(row: dict[str, Any], name: str) -> float | None:
    """Return an amount of the whole trade for what of it is open."""
    return None if row[name] is None else float(row[name] * row["open_quantity"] / row["quantity"])


def _at(row: dict[str, Any], name: str) -> float | None:
    """Return the result at a price of the package."""
    if row[name] is None:
        return None
    size = row["open_quantity"] * row["multiplier"]
    return float(row["side"] * (row[name] - row["entry_price"]) * size)


def _day(text: str | None) -> int:
    return 0 if text is None else (date.fromisoformat(text) - EPOCH).days
