"""What the journal knows of one trade: its plan and what came of it, its fills and notes, and its bars.

Bars are known of trades that a session made, since a session keeps every bar that it was given; of others
there are only the fills. All of it is read, by questions with parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from live.sessions.recording import unpack
from twinstep.dashboard.reading.reader import Reader

__all__ = ["MOST_BARS", "Bar", "Comparison", "TradeView", "is_there", "trade_view"]

MOST_BARS: Final = 2000
"""A longer time is not drawn bar by bar."""
_BEFORE: Final = 20
_AFTER: Final = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label in UTC nanoseconds, and its prices."""

    ts: int
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of plan against actual; `form` is the word for how both are written."""

    name: str
    plan: float | None
    actual: float | None
    form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeView:
    """One trade. Rows are those of the journal, as dictionaries; `journal.schema` says what they mean."""

    trade: dict[str, Any]
    comparisons: tuple[Comparison, ...]
    fills: list[dict[str, Any]]
    legs: list[dict[str, Any]]
    insights: list[dict[str, Any]]
    mistakes: list[dict[str, Any]]
    lessons: list[dict[str, Any]]
    tags: tuple[str, ...]
    campaign: list[dict[str, Any]]
    bars: tuple[Bar, ...]

    @property
    def is_open(self) -> bool:
        """Whether any of it is held."""
        return bool(self.trade["status"] == "open")

    def in_r(self, value: float | None) -> float | None:
        """Return an amount as a multiple of what was risked; None where no risk is known."""
        risk = self.trade["initial_risk"]
        return None if value is None or not risk else float(value / risk)


def is_there(reader: Reader, number: int) -> bool:
    """Whether the journal has that trade; raises what `Reader.ask` does."""
    return bool(reader.ask("SELECT 1 FROM trades WHERE id = ?", (number,)))


def trade_view(reader: Reader, number: int) -> TradeView | None:
    """Return a trade, None where there is none of that number.

    Raises
    ------
    sqlite3.Error, OSError, TwinstepError
        Where it cannot be read, or its bars were written by a release with other records.
    """
    found = reader.ask("SELECT * FROM trades WHERE id = ?", (number,))
    if not found:
        return None
    trade = found[0]
    plan = reader.ask("SELECT * FROM recommendations WHERE id = ?", (trade["recommendation_id"],))
    return TradeView(
        trade=trade,
        comparisons=_compared(trade, plan[0] if plan else {}),
        fills=reader.ask(_OF_TRADE.format("fills", "ts, id"), (number,)),
        legs=reader.ask(_OF_TRADE.format("legs", "position"), (number,)),
        insights=reader.ask(_OF_TRADE.format("insights", "id"), (number,)),
        mistakes=reader.ask(_OF_TRADE.format("mistakes", "id"), (number,)),
        lessons=reader.ask(_OF_TRADE.format("lessons", "id"), (number,)),
        tags=tuple(row["tag"] for row in reader.ask(_OF_TRADE.format("tags", "tag"), (number,))),
        campaign=reader.ask(_CAMPAIGN, (trade["campaign_id"], number)),
        bars=_bars(reader, trade),
    )


_OF_TRADE: Final = "SELECT * FROM {} WHERE trade_id = ? ORDER BY {} LIMIT 500"  # our own names go in
_CAMPAIGN: Final = (
    "SELECT id, symbol, strategy, status, entry_ts, pnl FROM trades WHERE campaign_id = ? AND id <> ? "
    "ORDER BY entry_ts, id LIMIT 500"
)
_SESSION: Final = "SELECT id, frame FROM sessions WHERE run_id = ? ORDER BY id DESC LIMIT 1"
_SPAN: Final = (
    "SELECT (SELECT max(bar) FROM steps WHERE session_id = ? AND ts <= ?) AS first, "
    "(SELECT min(bar) FROM steps WHERE session_id = ? AND ts >= ?) AS last, "
    "(SELECT max(bar) FROM steps WHERE session_id = ?) AS newest"
)
# "kind <> 'bar'" is what an index of the few inputs that are none holds: without it every bar is looked at
_FRAME: Final = (
    "SELECT data FROM inputs WHERE session_id = ? AND kind = 'frame' AND kind <> 'bar' "
    "ORDER BY id DESC LIMIT 1"
)
_BARS: Final = (
    "SELECT data FROM inputs WHERE session_id = ? AND kind = 'bar' AND bar BETWEEN ? AND ? ORDER BY bar"
)


_MOVED: Final = ("trail", "breakeven")
"""Ends by a stop that is not the first."""


def _compared(trade: dict[str, Any], plan: dict[str, Any]) -> tuple[Comparison, ...]:
    """Return what was planned beside what came; lines of which neither is known are left out."""
    granted = trade["granted_quantity"]
    wanted = plan.get("quantity") if granted is None else granted
    stop = trade["current_stop_price"]
    if trade["close_code"] in _MOVED and stop == trade["stop_price"]:
        stop = None  # it was moved, and nobody wrote down where to
    lines = (
        Comparison("Entry", plan.get("entry_price"), trade["entry_price"], "price"),
        Comparison("Quantity", wanted, trade["quantity"], "quantity"),
        Comparison("Stop", trade["stop_price"], stop, "price"),
        Comparison("Target, and average exit", trade["target_price"], trade["exit_price"], "price"),
        Comparison("Risk, and worst on the way", _minus(trade["initial_risk"]), trade["mae"], "signed"),
        Comparison("Most it could make, and best on the way", trade["max_profit"], trade["mfe"], "signed"),
        Comparison("Days", trade["max_days"], trade["days"], "quantity"),
    )  # fmt: skip
    return tuple(one for one in lines if one.plan is not None or one.actual is not None)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _bars(reader: Reader, trade: dict[str, Any]) -> tuple[Bar, ...]:
    """Return the bars from before the entry to after the exit, without those that the symbol lacks."""
    sessions = reader.ask(_SESSION, (trade["run_id"],))
    if not sessions:
        return ()
    session = sessions[0]["id"]
    end = trade["exit_ts"]
    span = reader.ask(_SPAN, (session, trade["entry_ts"], session, end if end is not None else 0, session))[0]
    if span["newest"] is None:
        return ()
    last = span["newest"] if end is None or span["last"] is None else span["last"]
    first = max((span["first"] or 0) - _BEFORE, 0)
    last = min(last + _AFTER, span["newest"])
    if last - first >= MOST_BARS:
        return ()
    # symbols that join do so at the end: those from before keep their columns
    newest = reader.ask(_FRAME, (session,))
    symbols = list(unpack(newest[0]["data"] if newest else sessions[0]["frame"])[1]["symbols"])
    if trade["symbol"] not in symbols:
        return ()
    column = symbols.index(trade["symbol"])
    read = (_bar(row["data"], column) for row in reader.ask(_BARS, (session, first, last)))
    return tuple(one for one in read if one is not None)


def _bar(data: bytes, column: int) -> Bar | None:
    arrays = unpack(data)[0]
    row = column
    if "columns" in arrays:
        places = arrays["columns"].tolist()
        if column not in places:
            return None
        row = places.index(column)
    if row >= len(arrays["panel"]):
        return None
    prices = arrays["panel"][row][:4].tolist()
    if any(one != one for one in prices):  # NaN: it did not trade
        return None
    return Bar(int(arrays["clock"][0]), *prices)
