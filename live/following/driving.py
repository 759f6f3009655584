"""Bars into a paper account: the market of a `PaperBroker` that nobody else moves.

The account sees a bar before the plan does, so what rested during the bar has filled when the follower looks.
A bar that the account has seen, before a restart say, does nothing the second time. Option contracts are
quoted at each close, those in which anything is held or works. After the last bar of a session the session
ends: DAY orders expire, options that end are settled.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from live.exchange.calendar import SessionCalendar, nanoseconds
from live.exchange.contracts import Contracts
from simulator.kernel import codes

if TYPE_CHECKING:
    from live.venue import Venue
    from simulator.bars import Bars

__all__ = ["BarDriver"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ACTIONS: Final = {
    codes.ACTION_SPLIT: "split",
    codes.ACTION_DIVIDEND: "dividend",
    codes.ACTION_DELIST: "delist",
}


class BarDriver:
    """Moves one venue by the bars of a session.

    Parameters
    ----------
    venue
        Whose prices move.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._session: int | None = None

    def take_bars(self, bars: Bars) -> None:
        """Play the rows of `bars` that the venue has not seen."""
        for row in range(len(bars)):
            self._play(bars[row : row + 1])

    def _play(self, bar: Bars) -> None:
        session, time = int(bar.session[0]), _time(int(bar.close_ts[0]))
        seen = self.venue.market_time
        if self.venue.in_session and seen is not None:
            before = self._session if self._session is not None else (seen - _EPOCH).days
            if before < session:
                self._end_session(before, seen)
        self._session = session
        if seen is None or seen < time:
            rows = {
                symbol: tuple(float(value) for value in bar.panel[0, column])
                for column, symbol in enumerate(bar.symbols)
                if not np.isnan(bar.panel[0, column, :4]).any()
            }
            began = _time(int(bar.open_ts[0]))
            actions = _actions(bar)
            self.venue.bar(time, rows, actions=actions, began=began)  # type: ignore[arg-type]  # five numbers each
            self._quote(bar, time)
        if self.venue.in_session and (
            bar.daily or nanoseconds(time) >= SessionCalendar(bar.calendar, daily=False).hours(session)[1]
        ):
            self._end_session(session, time)

    def _quote(self, bar: Bars, time: datetime) -> None:
        if bar.options is None:
            return
        named = [held.symbol for held in self.venue.positions()]
        for order in self.venue.orders("open"):
            named += [order.symbol, *(leg.symbol for leg in order.legs)]
        self.quote(bar, dict.fromkeys(named), time)

    def quote(self, bar: Bars, symbols: Iterable[str], time: datetime | None = None) -> None:
        """Give the venue the quotes of option contracts at the close of a bar."""
        if bar.options is None:
            return
        contracts = Contracts(bar)
        found = {name: quote for name in symbols if name and (quote := contracts.quote(name)) is not None}
        if found:
            at = time or _time(int(bar.close_ts[0]))
            self.venue.quote(max(at, self.venue.market_time or at), found)

    def _end_session(self, session: int, time: datetime) -> None:
        self.venue.expire_day(time, date(1970, 1, 1) + timedelta(days=session))


def _actions(bar: Bars) -> list[tuple[str, str, float | None]]:
    """Return what happens to shares before the bar; adjusted prices contain splits and dividends."""
    found: list[tuple[str, str, float | None]] = []
    for action in bar.actions[bar.actions["row"] == 0]:
        kind, value = _ACTIONS.get(int(action["kind"])), float(action["value"])
        if kind is not None and (bar.raw or kind == "delist"):
            found.append((kind, bar.symbols[int(action["sym"])], None if np.isnan(value) else value))
    return found


def _time(ts: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts // 1_000)
