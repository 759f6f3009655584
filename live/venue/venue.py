"""`Venue`: one account at a paper exchange, with the whole order language and the kernel's fills.

Orders trade by the same compiled rules as a backtest, on ticks, quotes or bars. Every call is one event:
checked, written to the event file where there is one, carried out, and told to those who listen, in this
order and under one lock, so that the file replayed gives the same account byte for byte.

>>> from datetime import datetime, UTC
>>> venue = Venue(cash=10_000.0)
>>> venue.tick(datetime(2026, 3, 2, 15, tzinfo=UTC), {"AAPL": 100.0})
>>> venue.submit(VenueRequest(symbol="AAPL", qty=10)).status
'filled'
>>> venue.account().cash
9000.0
"""

from __future__ import annotations

import dataclasses
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from live.clock import Clock, system_clock
from live.venue.checks import refuse
from live.venue.eventfile import FORMAT, EventFile
from live.venue.events import carry_out
from live.venue.ledger import clean
from live.venue.market import Price, Row, check_prices, check_rows
from live.venue.orders import EPOCH, time_of
from live.venue.reading import account_of, activities_of, orders_of, position_of
from live.venue.state import State
from live.venue.types import (
    VenueAccount,
    VenueActivity,
    VenueOrder,
    VenuePosition,
    VenueRejected,
    VenueRequest,
    VenueUpdate,
)
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, DataError, UnknownNameError, did_you_mean, warn

__all__ = ["Venue"]

Listener = Callable[[VenueUpdate], None]

NEW_YORK: Final = ZoneInfo("America/New_York")
_LEVERAGES: Final = (1.0, 2.0, 4.0)
_DEFAULTS: Final = {field.name: field.default for field in dataclasses.fields(VenueRequest)}


class Venue:
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

    def __init__(
        self,
        *,
        cash: float = 100_000.0,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        leverage: float = 1.0,
        clock: Clock | None = None,
        instruments: Iterable[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        sync: bool = False,
    ) -> None:
        if leverage not in _LEVERAGES:
            raise ConfigError(f"leverage is {leverage!r}; it is 1, 2 or 4", code="VENUE_LEVERAGE")
        self._lock = threading.RLock()
        self._clock = clock
        self._listeners: list[Listener] = []
        self._waiting: deque[VenueUpdate] = deque()
        self._telling = False
        priced, rules = Costs.of(costs), Conventions.of(conventions)
        head: dict[str, Any] = {
            "format": FORMAT,
            "salt": str(uuid.uuid4())[:18],
            "cash": float(cash),
            "costs": dataclasses.asdict(priced),
            "conventions": dataclasses.asdict(rules),
            "leverage": float(leverage),
            "instruments": sorted(instruments or ()),
        }
        self._file = None if path is None else EventFile(Path(path), head, sync=sync)
        self._state = State(
            cash=float(cash),
            costs=priced,
            conventions=rules,
            leverage=float(leverage),
            symbols=head["instruments"],
            salt=head["salt"] if self._file is None else self._file.head["salt"],
        )
        if self._file is not None:
            try:
                for event in self._file.events():
                    self._replay(event)
            except BaseException:
                self._file.close()
                raise

    # Orders

    def submit(self, request: VenueRequest) -> VenueOrder:
        """Take an order in; it may have filled when this returns. Raises `VenueRejected`: nothing changed."""
        body = {
            name: getattr(request, name) for name in _DEFAULTS if getattr(request, name) != _DEFAULTS[name]
        }
        if "legs" in body:
            body["legs"] = [dataclasses.astuple(leg) for leg in request.legs]
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
        given = {
            "qty": qty,
            "limit_price": limit_price,
            "stop_price": stop_price,
            "trail": trail,
            "tif": tif,
            "client_order_id": client_order_id or None,
        }
        with self._lock:
            number = self._number(order_id)
            changes = {name: value for name, value in given.items() if value is not None}
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
        """Exercise options that are held, all of them for None. Raises NAME_POSITION, VENUE_ACTION."""
        with self._lock:
            held = self._held(symbol)
            amount = abs(held) if qty is None else float(qty)
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
        """Pay cash in, or out (below 0)."""
        with self._lock:
            self._do({"do": "cash", "amount": float(amount)})

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

    def bar(self, time: datetime, rows: Mapping[str, Row]) -> None:
        """Take in completed bars of one moment: open, high, low, close, volume; the conventions match."""
        plain = {symbol: tuple(float(one) for one in row) for symbol, row in rows.items()}
        check_rows(plain)  # type: ignore[arg-type]
        with self._lock:
            self._do({"do": "bar", "p": plain}, at=time)

    def action(
        self, time: datetime, kind: Literal["split", "dividend", "delist"], symbol: str, value: float
    ) -> None:
        """Apply a corporate action before the market of its day.

        `value` is new shares for one old, cash per share, or the last price paid (0: the last that is known).
        Raises `VenueRejected` VENUE_ACTION, `UnknownNameError` NAME_SYMBOL.
        """
        with self._lock:
            self.price(symbol)
            self._do({"do": "action", "kind": kind, "symbol": symbol, "value": float(value)}, at=time)

    def expire_day(self, time: datetime, session: date | None = None) -> None:
        """End the session: orders for the close fill, those for the day and options of the day expire.

        `session` is its date, that of `time` in New York for None. The next price of a symbol is its open.
        """
        day = session if session is not None else _aware(time).astimezone(NEW_YORK).date()
        with self._lock:
            self._do({"do": "day", "session": day.toordinal()}, at=time)

    # Listening

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """Call back with every update, in order, once the account is consistent; returns what ends it.

        A callback may call the venue. One that raises is warned about and called again for the next update.
        """
        with self._lock:
            self._listeners.append(callback)
            self._state.listening = True

        def end() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)
                self._state.listening = bool(self._listeners)

        return end

    def fingerprint(self) -> str:
        """Return a SHA-256 of the account: equal for equal histories."""
        with self._lock:
            return self._state.fingerprint()

    def close(self) -> None:
        """Let go of the event file."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    # Events

    def _do(self, event: dict[str, Any], *, at: datetime | None = None) -> int:
        # Stamp, write, carry out, tell. The file holds what was asked, refusals too: they refuse again.
        state = self._state
        if at is not None:
            now = _micro(at)
            if now < state.market_time:
                raise DataError(
                    f"the market's time went back from {time_of(state.market_time)} to {at}",
                    code="VENUE_TIME",
                )
            event["market"] = 1
        elif self._clock is not None or not state.market_time:
            now = _micro((self._clock or system_clock)())
        else:
            now = state.now
        event["t"] = max(now, state.now)
        if self._file is not None:
            # what is done is what is read back
            self._file.append(event)
        try:
            return self._apply(event)
        finally:
            self._tell()

    def _replay(self, event: dict[str, Any]) -> None:
        try:
            self._apply(event)
        except VenueRejected:
            return  # as it was then

    def _apply(self, event: dict[str, Any]) -> int:
        state = self._state
        state.now = event["t"]
        state.created = state.created or state.now
        if "market" in event:
            state.market_time = state.now
        return carry_out(state, event)

    def _tell(self) -> None:
        self._waiting.extend(self._state.updates)
        self._state.updates.clear()
        if self._telling:
            return  # a callback has called the venue; whoever called it goes on telling
        self._telling = True
        try:
            while self._waiting:
                update = self._waiting.popleft()
                for listener in list(self._listeners):
                    try:
                        listener(update)
                    except Exception as error:  # a listener never harms the venue
                        warn(f"a listener failed on {update.event}: {error!r}", code="VENUE_LISTENER")
        finally:
            self._telling = False

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


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise DataError(f"{time.isoformat()} has no zone; write datetime(..., tzinfo=UTC)", code="VENUE_TIME")
    return time


def _micro(time: datetime) -> int:
    since = _aware(time) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _micro_or_none(time: datetime | None) -> int | None:
    return None if time is None else _micro(time)
