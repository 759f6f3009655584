"""The book of a shadow: a venue, and when it is shown what of the real market.

It is shown a quote only where that changes something: for an order that comes in, for one that could act on
it, for what is held every few minutes. So its file grows with what happens and not with time. Between two
sessions nothing is shown, and day orders expire.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from live.brokers.shadowing.hours import Hours, time_of
from live.brokers.shadowing.matching import (
    CONVENTIONS,
    Resting,
    Seen,
    Shown,
    bar_for,
    head_start,
    may_act,
    resting_of,
    seen_of,
    shown_to,
    terms_of,
)
from live.brokers.shadowing.real import RealAccount
from live.brokers.told import Quote
from live.clock import Clock
from live.venue.market import Row
from live.venue.symbols import contract_of
from live.venue.venue import Venue
from simulator.costs import Costs
from simulator.errors import UnknownNameError
from simulator.kernel import codes

if TYPE_CHECKING:
    from simulator import Bars

__all__ = ["ShadowBook"]

GRACE: Final = timedelta(minutes=30)
"""How long after the close a session waits for its last bar before its day orders expire."""

MARKED: Final = timedelta(minutes=5)
"""How old the venue's own price of a symbol may become while nothing can fill; and how long a symbol that the
broker has no quote of is not asked for again."""

_MOMENT: Final = timedelta(microseconds=1)

_TOKEN: Final = 1.0
"""Cash that a venue is opened with, since it takes no zero; what the account is worth is paid in later."""

_NO_QUOTE: Final[Shown] = ((0.0, 0.0), math.nan)

_ACTIONS: Final[dict[int, Literal["split", "dividend", "delist"]]] = {
    codes.ACTION_SPLIT: "split",
    codes.ACTION_DIVIDEND: "dividend",
    codes.ACTION_DELIST: "delist",
}


class ShadowBook:
    """Orders and positions that nobody else knows of.

    Parameters
    ----------
    real
        Whose quotes are asked for.
    path, costs, by_quotes, late_too, leverage, calendar, clock
        As of `ShadowBroker`.

    Attributes
    ----------
    venue
        What matches.
    marks
        Newest prices by symbol, of quotes, else of bars.
    unquoted, late
        Symbols without a quote to trade at, and those whose quotes are late and match nothing.
    """

    def __init__(
        self,
        real: RealAccount,
        *,
        path: Path | None,
        costs: Costs | str | None,
        by_quotes: bool,
        late_too: bool,
        leverage: float,
        calendar: str,
        clock: Clock,
    ) -> None:
        self.venue = Venue(
            cash=_TOKEN, costs=terms_of(costs, quotes=by_quotes), conventions=CONVENTIONS, leverage=leverage,
            clock=clock, path=path,
        )  # fmt: skip
        self.marks: dict[str, float] = {}
        self.unquoted: set[str] = set()
        self.late: set[str] = set()
        self._real = real
        self._by_quotes = by_quotes
        self._late_too = late_too
        self._hours = Hours(calendar)
        self._shown: dict[str, tuple[Shown, datetime]] = {}
        self._lost: dict[str, datetime] = {}  # symbols that the broker had no quote of, and when
        self._last_bar = 0

    @property
    def paid_in(self) -> float:
        """Currency that was paid in so far."""
        return _TOKEN + sum(one.net_amount for one in self.venue.activities(("CSD", "CSW")))

    def look(self, now: datetime) -> None:
        """Ask for the quotes that matter now, and match; raises what the real broker raises."""
        self.end_sessions(now - GRACE)
        if not self._by_quotes or not self._hours.is_open(now):
            return
        orders = resting_of(self.venue.orders("open"))
        wanted = [one for one in self._watched(orders) if now - self._lost.get(one, now - MARKED) >= MARKED]
        if wanted:
            self._show(self._asked(wanted, now), orders, now)

    def meet(self, coming: Mapping[str, int], now: datetime) -> None:
        """Show the quotes of now, so that an order that comes in trades at nothing older.

        `coming` has its symbols and sides, 0 for a leg of a package. Raises what the real broker raises.
        """
        self.end_sessions(now)
        if self._by_quotes:
            quotes = self._real.quotes(list(coming))
            self._show(quotes, resting_of(self.venue.orders("open")), now, coming)
            return
        unknown = [symbol for symbol in coming if symbol not in self.venue.symbols]
        if unknown:
            self._tick(now, dict.fromkeys(unknown, _NO_QUOTE))

    def take_bars(self, bars: Bars) -> None:
        """Show completed bars; those that were shown are passed."""
        for row in range(len(bars)):
            if int(bars.close_ts[row]) > self._last_bar:
                self._last_bar = int(bars.close_ts[row])
                self._take(bars[row : row + 1])

    def end_sessions(self, until: datetime) -> None:
        """End what closed by then: orders for the day, and options that expire.

        Of several sessions the last one ends them all: whoever brings an order has this done before.
        """
        seen = self.venue.market_time
        if seen is None:
            return
        day, closes = self._hours.ended(until)
        # a bar of a session may come with its close, and is of it still
        if closes > seen or (closes == seen and self.venue.in_session):
            self.venue.expire_day(closes, day)
            self._shown.clear()

    def _watched(self, orders: Sequence[Resting]) -> list[str]:
        """Return symbols whose quotes matter: of orders, positions, and underlyings of options held."""
        held = [one.symbol for one in self.venue.positions()]
        found = {order.symbol for order in orders} | set(held)
        return sorted(found | {contract.root for symbol in held if (contract := contract_of(symbol))})

    def _asked(self, symbols: Sequence[str], now: datetime) -> Mapping[str, Quote]:
        """Return quotes by symbol; one that the broker does not know costs the others nothing."""
        try:
            return self._real.quotes(symbols)
        except UnknownNameError:
            found: dict[str, Quote] = {}
            for symbol in symbols:
                with contextlib.suppress(UnknownNameError):
                    found |= self._real.quotes([symbol])
            lacking = set(symbols) - set(found)
            self.unquoted |= lacking
            self._lost |= dict.fromkeys(lacking, now)
            return found

    def _show(
        self,
        quotes: Mapping[str, Quote],
        orders: Sequence[Resting],
        now: datetime,
        coming: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Show what changes something; the quotes of all symbols at once, since packages see several."""
        newest: dict[str, Shown] = {}
        for symbol, quote in quotes.items():
            seen = self._seen(symbol, quote, now)
            mine = [order for order in orders if order.symbol == symbol]
            sides = (coming[symbol],) if symbol in coming else ()
            steps = [_NO_QUOTE] if seen is None else shown_to(seen, mine, sides)
            if self._changes(symbol, seen, steps[-1], mine, now, forced=symbol in coming):
                for step in steps[:-1]:
                    self._tick(now, {symbol: step})
                newest[symbol] = steps[-1]
        if newest:
            self._tick(now, newest)

    def _changes(
        self,
        symbol: str,
        seen: Seen | None,
        newest: Shown,
        mine: Sequence[Resting],
        now: datetime,
        *,
        forced: bool,
    ) -> bool:
        """Whether the venue has to be shown a quote."""
        before, at = self._shown.get(symbol, (None, now))
        if newest == before:
            return False  # nor would a size that is shown again be there again
        if forced:
            return True
        if seen is None:
            return bool(mine)
        if any(may_act(order, seen.bid, seen.ask) for order in mine):
            return True
        return before is None or now - at >= MARKED or self._settles(symbol, now)

    def _seen(self, symbol: str, quote: Quote, now: datetime) -> Seen | None:
        """Return what of a quote may be traded at now, and remember what is wrong with it."""
        sides = 0.0 < quote.bid <= quote.ask
        mark = (quote.bid + quote.ask) / 2.0 if sides else quote.last
        if mark > 0.0:
            self.marks[symbol] = float(mark)
        if not self._hours.is_open(now):
            return None
        seen = seen_of(quote, late_too=self._late_too)
        late = bool(quote.is_delayed) and not self._late_too
        (self.late.add if late else self.late.discard)(symbol)
        (self.unquoted.add if seen is None and not late else self.unquoted.discard)(symbol)
        return seen

    def _settles(self, symbol: str, now: datetime) -> bool:
        """Whether options that are held on it expire today, and will be settled by its price."""
        today = self._hours.after(now)[0].toordinal()
        held = (contract_of(one.symbol) for one in self.venue.positions())
        return any(one is not None and one.root == symbol and one.expiry == today for one in held)

    def _tick(self, now: datetime, shown: Mapping[str, Shown]) -> None:
        sizes = {symbol: size for symbol, (_, size) in shown.items() if not math.isnan(size)}
        at = self._not_before(now)
        if self._hours.after(at - _MOMENT)[2] == at:
            at += _MOMENT  # what comes with the close is not of the session that it ends
        self.venue.tick(at, {symbol: one[0] for symbol, one in shown.items()}, sizes)
        for symbol, one in shown.items():
            self._shown[symbol] = (one, now)

    def _take(self, bar: Bars) -> None:
        began, ended = time_of(int(bar.open_ts[0])), time_of(int(bar.close_ts[0]))
        self.end_sessions(began)
        self._act(bar, began)
        _, opens, closes = self._hours.after(began)
        orders = resting_of(self.venue.orders("open")) if ended > opens else []
        rows: dict[str, Row] = {}
        for column, symbol in enumerate(bar.symbols):
            values = bar.panel[0, column]
            if np.isnan(values).any():
                continue
            open_, high, low, close, volume = (float(value) for value in values)
            if not self._by_quotes:
                self.marks[symbol] = close
            mine = [order for order in orders if order.symbol == symbol]
            shown = bar_for((open_, high, low, close, volume), mine, head_start(began, ended))
            if shown is not None:
                rows[symbol] = shown
        if rows:
            self.venue.bar(self._not_before(ended), rows)
            for symbol in rows:
                self._shown.pop(symbol, None)
        if ended >= closes:
            self.end_sessions(ended)

    def _act(self, bar: Bars, began: datetime) -> None:
        """Carry out what happens to shares before a bar; quotes are of shares as they are."""
        for action in bar.actions[bar.actions["row"] == 0]:
            kind, symbol = _ACTIONS.get(int(action["kind"])), bar.symbols[int(action["sym"])]
            if kind is None or symbol not in self.venue.symbols:
                continue
            if bar.raw or self._by_quotes or kind == "delist":
                value = float(action["value"])
                at = self._not_before(began)
                self.venue.action(at, kind, symbol, None if math.isnan(value) else value)
                self._shown.pop(symbol, None)

    def _not_before(self, time: datetime) -> datetime:
        """Return a time, or that of the venue's market where that has gone on."""
        return max(time, self.venue.market_time or time)
