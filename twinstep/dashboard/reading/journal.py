"""What the journal page shows: a year of days, and trades a page at a time, newest first.

A page is found by its key, not by counting: what follows a trade is asked for by that trade's time and
number, so the thousandth page costs what the first does. Open trades come first, by number; closed ones by
when they were closed. Each source and state is asked for on its own, in the order of the index, and what they
answer is merged; so no question sorts 200,000 trades. A day is a day of UTC, the one on which a trade was
closed.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from journal.schema import SOURCES
from twinstep.dashboard.reading.reader import Reader

__all__ = ["OUTCOMES", "PER_PAGE", "Day", "Filters", "Key", "Month", "Year", "known", "page", "year"]

PER_PAGE: Final = 50
OUTCOMES: Final = {
    "open": "still open",
    "closed": "closed",
    "win": "won",
    "loss": "lost",
    "even": "came to nothing",
}
"""What may be asked for, and how it is called."""
STEPS: Final = 3
"""Shades of a gain, and of a loss; with nothing between them these are seven."""

_DAY: Final = 86_400_000_000_000
_MOST_NAMES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which trades; what is empty asks for nothing.

    Attributes
    ----------
    source
        "live", "paper", "backtest" or "all".
    words
        Looked for in names, symbols, strategies, notes, reasons, tags and lessons, in any case.
    strategy
        A part of its name, in any case.
    first, last
        Days of UTC: closed since and until, of an open trade entered since and until.
    """

    source: str
    words: str = ""
    symbol: str = ""
    strategy: str = ""
    tag: str = ""
    outcome: str = ""
    first: date | None = None
    last: date | None = None

    @property
    def narrow(self) -> bool:
        """Whether anything but the source is asked for."""
        return self != Filters(source=self.source)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources that are mixed."""
        return SOURCES if self.source == "all" else (self.source,)

    def query(self, **changes: Any) -> str:
        """Return the address of these filters, with changes, behind the question mark."""
        of_filters = {name: value for name, value in changes.items() if name in self.__slots__}
        chosen = replace(self, **of_filters)
        given = {
            "q": chosen.words, "symbol": chosen.symbol, "strategy": chosen.strategy, "tag": chosen.tag,
            "outcome": chosen.outcome, "since": chosen.first, "until": chosen.last, "source": chosen.source,
            **{name: value for name, value in changes.items() if name not in of_filters},
        }  # fmt: skip
        return urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page ended: an open trade by its number, a closed one by its time and number."""

    closed_ts: int | None
    number: int

    def __str__(self) -> str:
        return f"o.{self.number}" if self.closed_ts is None else f"c.{self.closed_ts}.{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What was closed on one day; `step` is the class of its colour, -3 to 3 as l3 ... n ... g3."""

    date: date
    pnl: float = 0.0
    trades: int = 0
    wins: int = 0
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month: its weeks from Monday, None for days of the months beside it."""

    name: str
    pnl: float
    trades: int
    weeks: tuple[tuple[Day | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """A year of days.

    Attributes
    ----------
    bounds
        Where the second and the third shade begin, in currency; None where nothing was closed.
    every
        The years in which something was closed, oldest first, whatever is searched for.
    """

    number: int
    months: tuple[Month, ...]
    days: tuple[Day, ...]
    bounds: tuple[float, float] | None
    every: tuple[int, ...]

    @property
    def before(self) -> int | None:
        """The last year with trades before this one."""
        return max((one for one in self.every if one < self.number), default=None)

    @property
    def after(self) -> int | None:
        """The next year with trades."""
        return min((one for one in self.every if one > self.number), default=None)

    @property
    def pnl(self) -> float:
        """Sum of the year."""
        return sum(one.pnl for one in self.days)

    @property
    def trades(self) -> int:
        """How many were closed."""
        return sum(one.trades for one in self.days)

    @property
    def win_percent(self) -> float | None:
        """Trades that won, percent."""
        return 100.0 * sum(one.wins for one in self.days) / self.trades if self.days else None

    @property
    def best(self) -> Day | None:
        """The best day."""
        return max(self.days, key=lambda one: one.pnl, default=None)

    @property
    def worst(self) -> Day | None:
        """The worst day."""
        return min(self.days, key=lambda one: one.pnl, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What may be chosen from: the sources that have trades, symbols and tags (the first 200 of each)."""

    sources: tuple[str, ...]
    symbols: tuple[str, ...]
    tags: tuple[str, ...]


def known(reader: Reader) -> Known:
    """Return what a journal has trades of; raises what `Reader.ask` does."""
    each = "SELECT ? AS source WHERE EXISTS (SELECT 1 FROM trades WHERE source = ?)"
    found = reader.ask(
        " UNION ALL ".join(each for _ in SOURCES), tuple(name for one in SOURCES for name in (one, one))
    )
    return Known(
        sources=tuple(row["source"] for row in found),
        symbols=_distinct(reader, "symbol", "trades"),
        tags=_distinct(reader, "tag", "tags"),
    )


def page(
    reader: Reader, filters: Filters, after: Key | None = None
) -> tuple[list[dict[str, Any]], Key | None]:
    """Return the trades of one page, and where the next begins; None at the end.

    Raises
    ------
    sqlite3.Error, OSError
        Where the journal cannot be read, or the answer takes too long.
    """
    parts: list[str] = []
    values: list[object] = []
    for status in _states(filters.outcome):
        if after is not None and after.closed_ts is not None and status == "open":
            continue
        where, given = _where(filters, status)
        beyond, key = _beyond(after, status)
        # the order of the index (source, status, exit_ts, id)
        order = "t.exit_ts DESC, t.id DESC"
        for source in filters.sources:
            parts.append(
                f"SELECT * FROM (SELECT {_COLUMNS} FROM trades t WHERE t.source = ? AND t.status = '{status}'"  # noqa: S608 - our own words
                f"{where}{beyond} ORDER BY {order} LIMIT {PER_PAGE + 1})"
            )
            values += [source, *given, *key]
    if not parts:
        return [], None
    question = (
        " UNION ALL ".join(parts) + f" ORDER BY status DESC, exit_ts DESC, id DESC LIMIT {PER_PAGE + 1}"
    )
    rows = reader.ask(question, tuple(values))
    shown, more = rows[:PER_PAGE], len(rows) > PER_PAGE
    return shown, Key(shown[-1]["exit_ts"], shown[-1]["id"]) if more else None


def year(reader: Reader, filters: Filters, number: int | None = None) -> Year | None:
    """Return a year's days, of all outcomes; by default the last with a closed trade, None without any.

    Raises
    ------
    sqlite3.Error, OSError
        Where the journal cannot be read, or the answer takes too long.
    """
    every = _years(reader, filters.sources)
    if not every:
        return None
    chosen = every[-1] if number is None else number
    begin, end = _ts(date(chosen, 1, 1)), _ts(date(chosen + 1, 1, 1))
    where, given = _where(replace(filters, outcome="", first=None, last=None), "closed")
    among = ", ".join("?" for _ in filters.sources)
    rows = reader.ask(
        f"SELECT t.exit_ts / {_DAY} AS day, sum(t.pnl) AS pnl, count(*) AS trades, sum(t.pnl > 0) AS wins "  # noqa: S608 - our own words
        f"FROM trades t WHERE t.source IN ({among}) AND t.status = 'closed' AND t.exit_ts >= ? "
        f"AND t.exit_ts < ?{where} GROUP BY 1 ORDER BY 1",
        (*filters.sources, begin, end, *given),
    )
    bounds = _bounds([abs(row["pnl"]) for row in rows if row["pnl"]])
    days = {
        one.date: one
        for one in (
            Day(
                date=date(1970, 1, 1) + timedelta(days=row["day"]), pnl=row["pnl"], trades=row["trades"],
                wins=row["wins"], step=_step(row["pnl"], bounds),
            )
            for row in rows
        )
    }  # fmt: skip
    return Year(
        number=chosen,
        months=tuple(_month(chosen, month, days) for month in range(1, 13)),
        days=tuple(days.values()),
        bounds=bounds,
        every=every,
    )


_COLUMNS: Final = (
    "t.id, t.name, t.source, t.status, t.kind, t.symbol, t.strategy, t.side, t.quantity, t.entry_ts, "
    "t.entry_price, t.exit_ts, t.exit_price, t.close_reason, t.pnl, t.r_multiple, t.days"
)
_CLOSED: Final = "FROM trades WHERE source = ? AND status = 'closed'"
_OUTCOME: Final = {"win": " AND t.pnl > 0", "loss": " AND t.pnl < 0", "even": " AND t.pnl = 0"}
_WORDS: Final = (
    " AND (t.name LIKE ? ESCAPE '!' OR t.symbol LIKE ? ESCAPE '!' OR t.strategy LIKE ? ESCAPE '!' "
    "OR t.entry_notes LIKE ? ESCAPE '!' OR t.exit_notes LIKE ? ESCAPE '!' "
    "OR t.close_reason LIKE ? ESCAPE '!' "
    "OR t.id IN (SELECT trade_id FROM lessons WHERE lesson LIKE ? ESCAPE '!' "
    "UNION SELECT trade_id FROM tags WHERE tag LIKE ? ESCAPE '!'))"
)


def _states(outcome: str) -> tuple[str, ...]:
    if outcome == "open":
        return ("open",)
    return ("closed",) if outcome else ("open", "closed")


def _where(filters: Filters, status: str) -> tuple[str, list[object]]:
    """Return conditions and their values; only values come from outside."""
    text, values = _OUTCOME.get(filters.outcome, ""), list[object]()
    moment = "t.exit_ts" if status == "closed" else "t.entry_ts"
    if status == "open":
        text += " AND t.exit_ts IS NULL"
    if filters.symbol:
        text, values = text + " AND t.symbol = ?", [*values, filters.symbol]
    if filters.strategy:
        text, values = text + " AND t.strategy LIKE ? ESCAPE '!'", [*values, _like(filters.strategy)]
    if filters.tag:
        text += " AND t.id IN (SELECT trade_id FROM tags WHERE tag = ?)"
        values.append(filters.tag)
    if filters.first is not None:
        text, values = text + f" AND {moment} >= ?", [*values, _ts(filters.first)]
    if filters.last is not None:
        text, values = text + f" AND {moment} < ?", [*values, _ts(filters.last) + _DAY]
    if filters.words:
        text, values = text + _WORDS, [*values, *[_like(filters.words)] * _WORDS.count("?")]
    return text, values


def _beyond(after: Key | None, status: str) -> tuple[str, tuple[object, ...]]:
    if after is None:
        return "", ()
    if status == "open":
        return " AND t.id < ?", (after.number,)
    if after.closed_ts is None:
        return "", ()
    # the first condition is what the index is entered by
    return (
        " AND t.exit_ts <= ? AND (t.exit_ts < ? OR t.id < ?)",
        (after.closed_ts, after.closed_ts, after.number),
    )


def _like(words: str) -> str:
    for mark in "!%_":
        words = words.replace(mark, "!" + mark)
    return f"%{words}%"


def _years(reader: Reader, sources: Sequence[str]) -> tuple[int, ...]:
    """Return the years with closed trades, by leaping from the first of one to the first of the next."""
    found: set[int] = set()
    for source in sources:
        rows = reader.ask(
            f"WITH RECURSIVE one(ts) AS (SELECT min(exit_ts) {_CLOSED} UNION ALL "  # noqa: S608 - our own words
            f"SELECT (SELECT min(exit_ts) {_CLOSED} AND exit_ts >= 1000000000 * CAST(strftime('%s', "
            # a division rounds towards 0, but before 1970 the second has to be the earlier one
            "(one.ts - (one.ts < 0) * 999999999) / 1000000000, 'unixepoch', 'start of year', '+1 year') "
            "AS INTEGER)) FROM one WHERE one.ts IS NOT NULL) SELECT ts FROM one WHERE ts IS NOT NULL",
            (source, source),
        )
        found |= {datetime.fromtimestamp(row["ts"] // 1_000_000_000, UTC).year for row in rows}
    return tuple(sorted(found))


def _distinct(reader: Reader, column: str, table: str) -> tuple[str, ...]:
    """Return the values of an indexed column by leaping from one to the next."""
    rows = reader.ask(
        f"WITH RECURSIVE one(word) AS (SELECT min({column}) FROM {table} UNION ALL "  # noqa: S608 - our own words
        f"SELECT (SELECT min({column}) FROM {table} WHERE {column} > one.word) FROM one "
        f"WHERE one.word IS NOT NULL) SELECT word FROM one WHERE word IS NOT NULL LIMIT {_MOST_NAMES}"
    )
    return tuple(row["word"] for row in rows)


def _bounds(sizes: list[float]) -> tuple[float, float] | None:
    """Return where the second and the third of three equally frequent shades begin."""
    if not sizes:
        return None
    ranked = sorted(sizes)
    return ranked[len(ranked) // STEPS], ranked[2 * len(ranked) // STEPS]


def _step(pnl: float, bounds: tuple[float, float] | None) -> str:
    if bounds is None or pnl == 0:
        return "n"
    size = abs(pnl)
    return f"{'g' if pnl > 0 else 'l'}{1 + (size >= bounds[0]) + (size >= bounds[1])}"


def _month(number: int, month: int, days: dict[date, Day]) -> Month:
    weeks = calendar.Calendar().monthdatescalendar(number, month)
    own = [one for day, one in days.items() if day.month == month]
    return Month(
        name=f"{calendar.month_name[month]}",
        pnl=sum(one.pnl for one in own),
        trades=sum(one.trades for one in own),
        weeks=tuple(
            tuple(days.get(day, Day(date=day)) if day.month == month else None for day in week)
            for week in weeks
        ),
    )


def _ts(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _DAY
