"""Alpaca on this machine: the paper exchange behind a script of faults, with a hand in its books.

The trading service is `live.exchange` itself, spoken to by the unmodified alpaca-py. What Alpaca does and a
sound exchange would not (a fill after a cancel, an order filled beyond its quantity, children that wait for
the whole entry, a split that leaves prices alone) is done to the venue's books directly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC as _UTC
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np

from live.brokers.interface import is_option
from live.exchange import Exchange, Keys
from live.exchange.market import Market, ReplayClock
from live.feeds import ReplayFeed
from live.venue import Venue
from live.venue.fills import _book_fill
from live.venue.ledger import clean
from live.venue.orders import Order
from live.venue.settlement import exercise
from live.venue.types import VenueLeg, VenueRequest
from simulator import Bars
from tests.fakes.alpaca.data import DataService
from tests.fakes.alpaca.script import Refuse, Script

__all__ = ["SECRET", "AlpacaServer"]

START: Final = np.datetime64("2026-03-02T14:59", "ns")
SYMBOLS: Final = ("AAPL", "MSFT", "NVDA", "SPY")
KEY: Final = "PKTESTTESTTESTTEST"
SECRET: Final = "canary-secret-0123456789abcdef"  # noqa: S105 - the fake's own

# an answer that breaks off is what the script is for, and no news
logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


class AlpacaServer:
    """One paper account.

    Attributes
    ----------
    script
        What goes wrong.
    data
        Prices, and the streams of them.
    missed
        Says of which trade updates the stream knows nothing; by default the cancel of a bracket's stop.
    """

    def __init__(self, *, cash: float = 100_000.0, leverage: float = 1.0) -> None:
        minutes = START + np.arange(2) * np.timedelta64(1, "m")
        rows = np.full((2, len(SYMBOLS), 5), 100.0)
        bars = Bars.from_arrays(SYMBOLS, minutes, rows, daily=False)
        clock = ReplayClock(START.astype("datetime64[us]").item().replace(tzinfo=_UTC))
        self.venue = Venue(cash=cash, leverage=leverage, clock=clock, instruments=SYMBOLS)
        self.market = Market(self.venue, ReplayFeed(bars), clock=clock, manual=True)
        self.exchange = Exchange(self.venue, self.market, keys=Keys(KEY, SECRET))
        self.clock = clock
        self.data = DataService(self.exchange.keys)
        self.script = Script(self.exchange.guard, self.data)
        self.script.refuses = self._washes
        self._unscaled: list[Order] = []
        self.missed: Callable[[dict[str, Any]], bool] = _stop_leg_cancelled
        self.exchange._served._app = self.script  # between the socket and the guard
        self._publish = self.exchange.hub.publish
        self.exchange.hub.publish = self._told  # type: ignore[method-assign]

    @property
    def url(self) -> str:
        """Address of the trading and of the data service."""
        return self.exchange.url

    @property
    def now(self) -> datetime:
        """Time at the broker."""
        return self.market.now

    def start(self) -> AlpacaServer:
        """Serve."""
        _warm()
        self.exchange.start()
        return self

    def stop(self, *, wait: bool = False) -> None:
        """End; the server's thread goes by itself, a little later, unless somebody waits for it."""
        self.script.clear()
        self.script.drop_streams()
        if wait:
            self.exchange.stop()
        else:
            self.exchange._served._server.should_exit = True

    def __enter__(self) -> AlpacaServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def move(self, prices: Mapping[str, float] = {}, *, minutes: float = 1.0) -> None:
        """Let time pass, and the market trade."""
        self.clock.set(self.now + timedelta(minutes=minutes))
        entries = self._waiting_entries()
        for entry in entries:
            entry.group.entered = entry.filled  # type: ignore[union-attr]
        if prices:
            for order in self._unscaled:
                if order.working and order.row >= 0:
                    self.venue._state.books[order.symbol].rewrite(order)
            self._unscaled.clear()
            self.market.tick(dict(prices))
        for entry in entries:
            if entry.working and entry.group is not None:
                entry.group.entered = 0.0  # its children wait on

    def part(self, identity: str, quantity: float, price: float) -> None:
        """Fill a part of an order, whatever its status."""
        order = self._order(identity)
        with self.venue._lock:
            state = self.venue._state
            state.now += 1
            if order.working and quantity <= order.left and not self._waits(order, quantity):
                if order.group is not None and order in order.group.entries:
                    order.group.entered = order.filled
                _book_fill(state, state.books[order.symbol], order, quantity, price, 0.0, short=False)
            else:
                self._ghost(order, quantity, price)
            self.venue._tell()

    def trade(self, symbol: str, quantity: float, price: float) -> None:
        """Trade by hand."""
        self.move({symbol: price}, minutes=0.0)
        side: Any = "buy" if quantity > 0 else "sell"
        self.venue.submit(VenueRequest(symbol=symbol, qty=abs(quantity), side=side))

    def split(self, symbol: str, ratio: float) -> None:
        """Split a stock as Alpaca does: quantities change, and the prices of working orders do not.

        Before the next price nothing can happen to them; it then meets the stop as it stands.
        """
        with self.venue._lock:
            state = self.venue._state
            resting = [one for one in state.orders.working.values() if one.symbol == symbol]
            before = [(one.limit, one.stop) for one in resting]
            self.venue.action(self.now, "split", symbol, ratio)
            for order, (limit, stop) in zip(resting, before, strict=True):
                order.limit, order.stop = limit, stop
                self._unscaled.append(order)

    def assign(self, symbol: str, quantity: float) -> None:
        """Assign so many contracts of a put that is held short."""
        with self.venue._lock:
            state = self.venue._state
            state.now += 1
            contract = state.books[symbol].contract
            assert contract is not None
            exercise(state, symbol, contract, -quantity)

    def held(self) -> dict[str, float]:
        """Return what is held."""
        return {one.symbol: one.qty for one in self.venue.positions()}

    def orders(self) -> dict[str, Order]:
        """Return what works, by client order id; children by that of their parent and what they do."""
        state = self.venue._state
        return {self._name(one): one for one in state.orders.working.values() if one.ratio is None}

    def _washes(self, body: dict[str, Any]) -> Refuse | None:
        """Refuse what could trade with an order of the same account that rests, as the exchange does not.

        Orders of which one cancels or triggers the other are excepted, and two limits that do not cross.
        """
        if body.get("order_class") not in (None, "simple"):
            return None
        side, limit = (1 if body["side"] == "buy" else -1), body.get("limit_price")
        for one in self.orders().values():
            if one.symbol != body.get("symbol") or one.side == side or one.parent >= 0:
                continue
            if limit is None or one.limit is None or (float(limit) - one.limit) * side >= 0.0:
                words = "potential wash trade detected. use complex orders"
                return Refuse(403, {"code": 40310000, "message": words})
        return None

    def _name(self, order: Order) -> str:
        from live.brokers.alpaca.orders import CHANGED

        if order.parent < 0 or order.order_class == "mleg":
            return order.client_id.split(CHANGED)[0]
        parent = self.venue._state.orders.get(order.parent)
        return f"{self._name(parent)}-{'stop' if order.kind.startswith('stop') else 'target'}"

    def _order(self, identity: str) -> Order:
        orders = self.venue._state.orders
        every = [orders.get(number) for number in range(orders.count)]
        return next(one for one in reversed(every) if self._name(one) == identity)

    def _waits(self, order: Order, quantity: float) -> bool:
        """Whether children go on waiting after this fill: the entry is not whole yet."""
        group = order.group
        entry = group is not None and order in group.entries and bool(group.children)
        return entry and quantity < order.left

    def _waiting_entries(self) -> list[Order]:
        return [
            one
            for one in self.venue._state.orders.working.values()
            if one.filled > 0.0 and one.group is not None and one in one.group.entries and one.group.children
        ]

    def _ghost(self, order: Order, quantity: float, price: float) -> None:
        """Book a fill that the order's status does not allow, or its children shall not see."""
        state = self.venue._state
        multiplier = 100.0 if is_option(order.symbol) else 1.0
        state.ledger.trade(order.symbol, order.side * quantity, price, multiplier, 0.0)
        order.filled = clean(order.filled + quantity)
        order.value += quantity * price
        order.updated = state.now
        left = max(0.0, clean(order.left))
        execution = state.ledger.note(
            state.now, kind="FILL", symbol=order.symbol, side="buy" if order.side > 0 else "sell",
            qty=quantity, price=price, multiplier=multiplier,
            net_amount=-order.side * quantity * price * multiplier,
            order_id=state.orders.id_of(order.number), cum_qty=order.filled, leaves_qty=left,
            partial=left > 0.0,
        )  # fmt: skip
        if order.working:
            order.status = "partially_filled"
        else:
            state.orders.packed[order.number] = order.pack()
        event: Any = "partial_fill" if left else "fill"
        state.tell(event, order, execution=execution, price=price, qty=quantity)

    def _told(self, make: Callable[[], dict[str, Any]]) -> None:
        if self.script.mute or self.missed(make()):
            return
        for _ in range(2 if self.script.repeat else 1):
            self._publish(make)


@lru_cache(maxsize=1)
def _warm() -> None:
    """Let the matching be compiled, before anybody waits for an answer."""
    venue = Venue(cash=1_000_000.0)
    puts = ("SPY261218P00500000", "SPY261218P00490000")
    venue.tick(datetime(2026, 3, 2, 15, tzinfo=_UTC), {"AAPL": 100.0, puts[0]: 4.0, puts[1]: 2.5})
    venue.submit(
        VenueRequest(symbol="AAPL", qty=1.0, order_class="bracket", take_profit=110.0, stop_loss=90.0)
    )
    venue.submit(VenueRequest(symbol="AAPL", qty=1.0, kind="trailing_stop", trail_price=5.0, side="buy"))
    legs = tuple(VenueLeg(symbol=put, side=side) for put, side in zip(puts, ("sell", "buy"), strict=True))  # type: ignore[arg-type]
    venue.submit(VenueRequest(order_class="mleg", qty=1.0, legs=legs))


def _stop_leg_cancelled(message: dict[str, Any]) -> bool:
    """Whether a trade update is one that Alpaca's stream does not bring (alpaca-py #198)."""
    order = message["order"]
    child = order["order_class"] == "bracket" and not order["legs"]
    return child and order["type"] == "stop" and message["event"] == "canceled"
