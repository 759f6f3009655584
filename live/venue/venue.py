"""`Venue`: one account at a paper exchange, with the whole order language and the kernel's fills.

Orders trade by the same compiled rules as a backtest, on ticks, quotes or bars. Every call is one event:
checked, written to the event file where there is one, carried out, and told to those who listen (`engine`),
so that the file replayed gives the same account byte for byte.

>>> from datetime import datetime, UTC
>>> venue = Venue(cash=10_000.0)
>>> venue.tick(datetime(2026, 3, 2, 15, tzinfo=UTC), {"AAPL": 100.0})
>>> venue.submit(VenueRequest(symbol="AAPL", qty=10)).status
'filled'
>>> venue.account().cash
9000.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from live.venue.checks import plain_number, plain_request, plain_word, refuse
from live.venue.engine import Engine, aware, micro
from live.venue.events import Action
from live.venue.ledger import clean
from live.venue.market import Price, Row, check_prices, check_rows
from live.venue.orders import time_of
from live.venue.reading import account_of, activities_of, orders_of, position_of
from live.venue.state import State
from live.venue.types import (
    VenueAccount,
    VenueActivity,
    VenueOrder,
    VenuePosition,
    VenueRejected,
    VenueRequest,
)
from simulator.errors import DataError, UnknownNameError, did_you_mean

__all__ = ["Venue"]

NEW_YORK: Final = ZoneInfo("America/New_York")


class Venue(Engine):
    """A matching account; safe between threads.

    Parameters
    ----------
    cash
        At the start, in currency.
    costs
        `Costs`, a preset's name, or None for none.
    conventions
        How bars are matched; a tick needs none.
    leverage
        1 (cash account: no naked options), 2 or 4.
    clock
        What orders are stamped with; None is the market's last time (the machine's, before there is one).
    instruments
        Symbols that are known before they have a price; any symbol is known once it has one.
    path, sync
        Event file, and whether each line waits for the disk; see `eventfile`. One that is there is replayed.

    Raises
    ------
    ConfigError
        VENUE_LEVERAGE; those of `EventFile`.
    """

    # Orders

    def submit(self, request: VenueRequest) -> VenueOrder:
        """Take an order in; it may have filled when this returns. Raises `VenueRejected`: nothing changed."""
        body = plain_request(request)
        with self._lock:
            number = self._do({"do": "submit", "order": body})
            return self._view(number)

    def replace(
        self,
        order_id: str,
        *,
        qty: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
        trail: float | None = None,
        tif: str | None = None,
        client_order_id: str = "",
    ) -> VenueOrder:
        """Put a new order, with a new id, into the place of one that works.

        `qty` counts what has filled already; the new order is for the rest. `trail` is in the unit that the
        order trails by. Raises `UnknownNameError` NAME_ORDER, `VenueRejected` (VENUE_FINAL for an order that
        works no more).
        """
        numbers = {"qty": qty, "limit_price": limit_price, "stop_price": stop_price, "trail": trail}
        words = {"tif": tif, "client_order_id": client_order_id or None}
        changes: dict[str, Any] = {
            name: plain_number(name, value) for name, value in numbers.items() if value is not None
        }
        changes |= {name: plain_word(name, value) for name, value in words.items() if value is not None}
        with self._lock:
            number = self._number(order_id)
            return self._view(self._do({"do": "replace", "n": number, "changes": changes}))

    def cancel(self, order_id: str) -> VenueOrder:
        """Cancel an order and return it; one that is final stays as it is. Raises NAME_ORDER."""
        with self._lock:
            number = self._number(order_id)
            if self._state.orders.get(number).working:
                self._do({"do": "cancel", "n": number})
            return self._view(number)

    def cancel_all(self) -> list[VenueOrder]:
        """Cancel everything that works, and return it."""
        with self._lock:
            numbers = sorted(self._state.orders.working)
            if numbers:
                self._do({"do": "cancel_all"})
            return [self._view(number) for number in numbers]

    def order(self, order_id: str) -> VenueOrder:
        """Return an order. Raises `UnknownNameError` NAME_ORDER."""
        with self._lock:
            return self._view(self._number(order_id))

    def order_by_client_id(self, client_order_id: str) -> VenueOrder:
        """Return the order with this client order id. Raises `UnknownNameError` NAME_ORDER."""
        with self._lock:
            number = self._state.orders.numbers.get(client_order_id)
            if number is None:
                raise UnknownNameError(f"no order {client_order_id!r}", code="NAME_ORDER")
            return self._view(number)

    def orders(
        self,
        status: Literal["open", "closed", "all"] = "open",
        *,
        symbols: Iterable[str] | None = None,
        side: Literal["buy", "sell"] | None = None,
        after: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        nested: bool = False,
        direction: Literal["asc", "desc"] = "desc",
    ) -> list[VenueOrder]:
        """Return orders by time of submission, those later than `after` and not later than `until`.

        `nested` puts children into their parents, else each stands for itself; a leg of a package always
        stands in it. `limit` takes the first in `direction`.
        """
        with self._lock:
            return orders_of(
                self._state, status, None if symbols is None else set(symbols), side, _micro_or_none(after),
                _micro_or_none(until), limit, nested=nested, newest=direction == "desc",
            )  # fmt: skip

    # Account

    def positions(self) -> list[VenuePosition]:
        """Return what is held, by symbol."""
        with self._lock:
            return [position_of(self._state, symbol) for symbol in sorted(self._state.ledger.positions)]

    def position(self, symbol: str) -> VenuePosition:
        """Return what is held of a symbol. Raises `UnknownNameError` NAME_POSITION."""
        with self._lock:
            self._held(symbol)
            return position_of(self._state, symbol)

    def close_position(
        self, symbol: str, *, qty: float | None = None, pct: float | None = None
    ) -> VenueOrder:
        """Close a position, or a quantity or percentage of it, by a market order. Raises NAME_POSITION."""
        with self._lock:
            held = self._held(symbol)
            if (qty is not None and pct is not None) or (pct is not None and not 0.0 < pct <= 100.0):
                raise refuse(f"{symbol}: qty {qty!r} and percentage {pct!r}; one of them, up to all of it")
            amount = qty if qty is not None else abs(held) * (100.0 if pct is None else pct) / 100.0
            side: Literal["buy", "sell"] = "sell" if held > 0.0 else "buy"
            return self.submit(VenueRequest(symbol=symbol, side=side, qty=clean(amount)))

    def close_all_positions(self, *, cancel_orders: bool = False) -> list[VenueOrder]:
        """Close every position by market orders; what may not be closed is left and not in the answer."""
        with self._lock:
            if cancel_orders:
                self.cancel_all()
            made = []
            for symbol in sorted(self._state.ledger.positions, key=_shorts_first(self._state)):
                try:
                    made.append(self.close_position(symbol))
                except VenueRejected:
                    continue
            return made

    def exercise(self, symbol: str, qty: float | None = None) -> None:
        """Exercise options that are held, all of them for None.

        Shares are paid for, or delivered, as by an order. Raises `UnknownNameError` NAME_POSITION,
        `VenueRejected` VENUE_ACTION, VENUE_BUYING_POWER, VENUE_HELD.
        """
        with self._lock:
            held = self._held(symbol)
            amount = abs(held) if qty is None else plain_number("qty", qty, code="VENUE_ACTION")
            self._do({"do": "exercise", "symbol": symbol, "qty": amount})

    def account(self) -> VenueAccount:
        """Return what the account is worth."""
        with self._lock:
            return account_of(self._state)

    def activities(
        self,
        kinds: Iterable[str] | None = None,
        *,
        after: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        direction: Literal["asc", "desc"] = "desc",
        beyond: str = "",
    ) -> list[VenueActivity]:
        """Return what changed cash and positions, later than `after` and not later than `until`.

        `beyond` is the id of the last activity that was seen already, in the same direction: for pages.
        """
        with self._lock:
            return activities_of(
                self._state, None if kinds is None else set(kinds), _micro_or_none(after),
                _micro_or_none(until), limit, newest=direction == "desc", beyond=beyond,
            )  # fmt: skip

    def deposit(self, amount: float) -> None:
        """Pay cash in, or out (below 0). Raises `VenueRejected` VENUE_ACTION for what is no number."""
        amount = plain_number("amount", amount, code="VENUE_ACTION")
        with self._lock:
            self._do({"do": "cash", "amount": amount})

    @property
    def symbols(self) -> frozenset[str]:
        """Symbols that orders may name."""
        with self._lock:
            return frozenset(self._state.books)

    @property
    def market_time(self) -> datetime | None:
        """Time of the last price, bar or end of a session; None before there is one."""
        with self._lock:
            return time_of(self._state.market_time) if self._state.market_time else None

    @property
    def in_session(self) -> bool:
        """Whether a session has had a price and was not ended yet."""
        with self._lock:
            return any(book.opened for book in self._state.books.values())

    def price(self, symbol: str) -> tuple[float, float, float]:
        """Return bid, ask and last price of a symbol, NaN where unknown. Raises NAME_SYMBOL."""
        with self._lock:
            book = self._state.books.get(symbol)
            if book is None:
                raise UnknownNameError(
                    f"no symbol {symbol!r}.{did_you_mean(symbol, self._state.books)}", code="NAME_SYMBOL"
                )
            return book.bid, book.ask, book.last

    # Market

    def tick(
        self,
        time: datetime,
        prices: Mapping[str, Price],
        volumes: Mapping[str, float] | None = None,
    ) -> None:
        """Take in trades (a price) or quotes (bid, ask) of one moment; orders match at once.

        Buyers trade at the ask, sellers at the bid; options between their mid and that. `volumes` of trades
        limit fills where `volume_cap` is set. Raises `DataError` VENUE_MARKET, VENUE_TIME.
        """
        plain: dict[str, Any] = {
            symbol: (float(one[0]), float(one[1])) if isinstance(one, (tuple, list)) else float(one)
            for symbol, one in prices.items()
        }
        check_prices(plain)
        event: dict[str, Any] = {"do": "tick", "p": plain}
        if volumes:
            event["v"] = {symbol: float(one) for symbol, one in volumes.items()}
        with self._lock:
            self._do(event, at=time)

    def quote(self, time: datetime, quotes: Mapping[str, tuple[float, float]]) -> None:
        """Take in bids and asks of one moment."""
        self.tick(time, quotes)

    def bar(
        self,
        time: datetime,
        rows: Mapping[str, Row],
        *,
        actions: Iterable[Action] = (),
        began: datetime | None = None,
        watched: bool = False,
    ) -> None:
        """Take in completed bars of one moment: open, high, low, close, volume; the conventions match.

        Parameters
        ----------
        time
            When they ended.
        rows
            By symbol.
        actions
            Kind, symbol and value, as for `action`, of what happens before these bars: carried out with them,
            or none of both.
        began
            When the bars began, which is the time of the actions; None for `time`.
        watched
            Whether orders may have come since `began`: those see nothing of the bars but the close.

        Raises
        ------
        DataError
            VENUE_MARKET, VENUE_TIME.
        VenueRejected, UnknownNameError
            As for `action`.
        """
        plain = {symbol: tuple(float(one) for one in row) for symbol, row in rows.items()}
        check_rows(plain)  # type: ignore[arg-type]
        event: dict[str, Any] = {"do": "bar", "p": plain}
        begin = micro(time if began is None else began)
        if begin > micro(time):
            raise DataError(f"bars that end at {time} cannot begin at {began}", code="VENUE_TIME")
        if watched:
            event["b"] = begin
        with self._lock:
            done = [self._plain_action(*action) for action in actions]
            if done:
                event["a"] = {"t": max(begin, self._state.now), "do": done}
            self._do(event, at=time)

    def action(
        self, time: datetime, kind: Literal["split", "dividend", "delist"], symbol: str, value: float | None
    ) -> None:
        """Apply a corporate action before the market of its day.

        `value` is new shares for one old, cash per share, or the last price paid: 0 for nothing, None for the
        last that is known. Raises `VenueRejected` VENUE_ACTION, `UnknownNameError` NAME_SYMBOL.
        """
        with self._lock:
            kind_, symbol, value = self._plain_action(kind, symbol, value)
            self._do({"do": "action", "kind": kind_, "symbol": symbol, "value": value}, at=time)

    def _plain_action(self, kind: str, symbol: str, value: float | None) -> Action:
        self.price(symbol)
        if value is not None:
            value = plain_number(f"{symbol}: {kind}", value, code="VENUE_ACTION")
        return kind, symbol, value

    def expire_day(self, time: datetime, session: date | None = None) -> None:
        """End the session: orders for the close fill, those for the day and options of the day expire.

        `session` is its date, that of `time` in New York for None. The next price of a symbol is its open.
        """
        day = session if session is not None else aware(time).astimezone(NEW_YORK).date()
        with self._lock:
            self._do({"do": "day", "session": day.toordinal()}, at=time)

    def _view(self, number: int) -> VenueOrder:
        order = self._state.orders.get(number)
        if order.row >= 0:
            self._state.books[order.symbol].note_trail(order)
        return self._state.orders.view(order)

    def _number(self, order_id: str) -> int:
        number = self._state.orders.number_of(order_id)
        if number < 0:
            raise UnknownNameError(f"no order {order_id!r}", code="NAME_ORDER")
        return number

    def _held(self, symbol: str) -> float:
        held = self._state.ledger.quantity(symbol)
        if not held:
            raise UnknownNameError(
                f"no position in {symbol!r}.{did_you_mean(symbol, self._state.ledger.positions)}",
                code="NAME_POSITION",
            )
        return held


def _shorts_first(state: State) -> Callable[[str], tuple[bool, str]]:
    # Sold options are bought back before what covers them is sold.
    return lambda symbol: (state.ledger.quantity(symbol) > 0.0, symbol)


def _micro_or_none(time: datetime | None) -> int | None:
    return None if time is None else micro(time)
