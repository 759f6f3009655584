"""Bars of Alpaca's data service, as they were quoted on their day, with splits and dividends beside them.

Intraday rows outside the session's grid are left out: the service tells trades from four in the morning on.
A daily row is stamped with midnight in New York, and is a session here. The row of a bar that still runs may
be among the rows; `until` says up to when they are whole.

Free accounts see the trades of one exchange (IEX). Its bars are those of a few percent of the volume: highs
and lows lie within the market's, and a quiet symbol has minutes without a bar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.arrays import DAY, MINUTE
from simulator.bars.yahoo import Quoted
from simulator.errors import FetchError

if TYPE_CHECKING:
    from live.brokers.alpaca.line import Line
    from live.feeds.grid import Grid
    from simulator.bars.adjust import Event

__all__ = ["bars_of"]

MOST_ROWS: Final = 10_000
"""Rows of one page, the most that the service gives."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: Final = ("o", "h", "l", "c", "v")
_SPLITS: Final = ("forward_splits", "reverse_splits")


def bars_of(
    line: Line, symbols: Sequence[str], *, since: int, now: int, grid: Grid, feed: str
) -> dict[str, Quoted]:
    """Return bars by symbol from the day of `since` on; a symbol that has none is left out.

    Parameters
    ----------
    since, now
        UTC nanoseconds.
    grid
        Of the bars.
    feed
        "iex" or "sip".

    Raises
    ------
    FetchError
        FETCH_FAILED for an answer that cannot be understood.
    BrokerError, NoAnswer
        As of `Line.ask`.
    """
    from alpaca.data.requests import StockBarsRequest

    query = StockBarsRequest(
        symbol_or_symbols=list(symbols),
        timeframe=_frame(grid.interval),
        start=_time(since // DAY * DAY),
        end=_time(now),
        adjustment="raw",  # type: ignore[arg-type]
        feed=feed,  # type: ignore[arg-type]
    )
    answer = line.ask(lambda: line.data("stock").get_stock_bars(query), "bars")
    if not isinstance(answer, Mapping):
        raise FetchError(f"bars: the answer is no object but {type(answer).__name__}", code="FETCH_FAILED")
    actions = _actions(line, symbols, since=since, now=now)
    found = {}
    for symbol, rows in answer.items():
        quoted = _quoted(rows, now=now, grid=grid, actions=actions.get(symbol, []))
        if quoted is not None:
            found[str(symbol)] = quoted
    return found


def _quoted(rows: Any, *, now: int, grid: Grid, actions: list[Event]) -> Quoted | None:
    try:
        stamps = [_stamp(row["t"]) for row in rows]
        # a number that is not told makes its bar a missing one, and must not cost the others
        values = np.array(
            [[math.nan if row[name] is None else float(row[name]) for name in _FIELDS] for row in rows],
            np.float64,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FetchError(f"bars: a row cannot be read ({error!r})", code="FETCH_FAILED") from error
    if not stamps:
        return None
    ts = np.array(stamps, np.int64)
    if grid.daily:
        ts = ts // DAY * DAY
        keep = np.ones(ts.size, np.bool_)
    else:
        slots = grid.between(int(ts[0]) - DAY, int(ts[-1]) + 2 * DAY)
        keep = np.isin(ts, slots.ts)
    ts, values = ts[keep], values[keep]
    if not ts.size:
        return None
    ts, places = np.unique(ts, return_index=True)
    ends = grid.close_of(int(ts[-1]))
    return Quoted(ts, values[places], actions, ends if ends <= now else int(ts[-1]))


def _actions(line: Line, symbols: Sequence[str], *, since: int, now: int) -> dict[str, list[Event]]:
    """Return splits and dividends by symbol."""
    query = {
        "symbols": ",".join(symbols),
        "types": "forward_split,reverse_split,cash_dividend",
        "start": _time(since).date().isoformat(),
        "end": (_time(now) + timedelta(days=1)).date().isoformat(),
        "limit": 1000,
    }
    found: dict[str, list[Event]] = {}
    while True:
        client = line.data("stock")
        answer = line.ask(lambda: client.get("/corporate-actions", dict(query), api_version="v1"), "actions")  # noqa: B023
        try:
            groups = answer["corporate_actions"]
            for kind, rows in groups.items():
                for row in rows:
                    event = _event(kind, row)
                    if event is not None:
                        found.setdefault(str(row["symbol"]), []).append(event)
            token = answer.get("next_page_token")
        except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise FetchError(f"corporate actions cannot be read ({error!r})", code="FETCH_FAILED") from error
        if not token:
            return found
        query["page_token"] = token


def _event(kind: str, row: Mapping[str, Any]) -> Event | None:
    when = np.datetime64(str(row["ex_date"])[:10], "D")
    if kind in _SPLITS:
        return when, "split", float(row["new_rate"]) / float(row["old_rate"])
    if kind == "cash_dividends":
        return when, "dividend", float(row["rate"])
    return None


def _frame(interval: str) -> Any:
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    units = {"m": TimeFrameUnit.Minute, "h": TimeFrameUnit.Hour, "d": TimeFrameUnit.Day}
    return TimeFrame(int(interval[:-1]), units[interval[-1]])


def _time(ts: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts // 1000)


def _stamp(text: Any) -> int:
    since = datetime.fromisoformat(str(text)).astimezone(UTC) - _EPOCH
    # bars begin on the minute
    return (since.days * 86_400 + since.seconds) // 60 * MINUTE
