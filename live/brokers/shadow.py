"""`ShadowBroker`: a broker's data and account, and orders that go nowhere.

Account worth, quotes, chains and clock are those of a real broker, which is read and nothing else; orders,
positions and executions are those of a local book, a `Venue` that is shown the real quotes, and the bars of
the session where it is given them (`shadowing.matching` says what fills). Whoever trades with it need not
know: it is a broker, it asks for no lock of real money, and its book outlives the process.

The account is worth what the real one is worth, as if all of that were cash, and what the shadow's own orders
have made. What is held by hand ties up nothing here, and no rule of the broker's refuses an order.

>>> from live.brokers.settings import BrokerSettings
>>> with open_shadow(BrokerSettings(name="alpaca"), path="shadow.events") as shadow:  # doctest: +SKIP
...     print(shadow.status())
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from live.brokers.credentials import Credentials
from live.brokers.errors import AccessRefused, RateLimited
from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    OrderRequest,
    Outcome,
    Submitted,
    denied,
)
from live.brokers.paper import PaperBroker
from live.brokers.settings import BrokerSettings
from live.brokers.shadowing.book import ShadowBook
from live.brokers.shadowing.matching import resting_of
from live.brokers.shadowing.opening import open_real
from live.brokers.shadowing.real import RealAccount
from live.brokers.shadowing.status import ShadowStatus, lines_of
from live.brokers.shadowing.store import Owner, read_owner, write_owner
from live.clock import Clock, system_clock
from live.venue.types import VenueOrder
from simulator.brokerage import Execution, Holding
from simulator.costs import Costs
from simulator.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from simulator import Bars

__all__ = ["ShadowBroker", "open_shadow"]

COMPARED: Final = timedelta(seconds=60)
"""How old the real account's executions may be in a status."""

_CENT: Final = 0.005


def open_shadow(
    settings: BrokerSettings,
    *,
    live: bool = False,
    path: str | os.PathLike[str] | None = None,
    costs: Costs | str | None = None,
    quotes: bool = True,
    late_quotes: bool = False,
    every: float = 1.0,
    leverage: float | None = None,
    calendar: str = "XNYS",
    clock: Clock | None = None,
    config: str | os.PathLike[str] | None = None,
    credentials: Credentials | None = None,
    environment: Mapping[str, str] | None = None,
) -> ShadowBroker:
    """Return a shadow of the broker that is configured, whose adapter can read and nothing else.

    No key, no armed token and no kill switch of scope live is needed, also for real money: they are the locks
    of sending, and to shadow an account nobody should have to open them. The login of real money is opened
    where `live` says so at this start, and never otherwise.

    Parameters
    ----------
    settings
        Section [broker].
    live
        Whether the login of real money is read; else that of paper.
    path, costs, quotes, late_quotes, every, leverage, calendar, clock
        As of `ShadowBroker`.
    config, credentials, environment
        As of `open_broker`.

    Raises
    ------
    ConfigError
        LIVE_SHADOW for a paper account of this program, of which there is nothing to shadow; LIVE_BROKER_URL,
        LIVE_NOT_PAPER, LIVE_CREDENTIALS and others as of `open_broker`; those of `ShadowBroker`.
    MissingExtraError
        The broker's library is not installed.
    """
    real = open_real(settings, live=live, config=config, credentials=credentials, environment=environment)
    try:
        shadow = ShadowBroker(
            real, path=path, costs=costs, quotes=quotes, late_quotes=late_quotes, every=every,
            leverage=leverage, calendar=calendar, clock=clock,
        )  # fmt: skip
    except BaseException:
        real.close()
        raise
    shadow.at_end(lambda: real.close())  # not the bound method, which would lead to the adapter
    return shadow


class ShadowBroker(BrokerInterface):
    """An account whose market is real and whose orders are not.

    Parameters
    ----------
    real
        Who is shadowed. It is asked and never told: nothing here leads to its orders, and it stays open when
        this is closed.
    path
        File of the book; one that is there goes on, and one process at a time has it. None: in memory.
    costs
        Fees of fills; None for none. Slippage counts without quotes only, which have it in them.
    quotes
        Whether the real quotes match orders; else bars alone do.
    late_quotes
        Whether those match too that say they are late: then all that is told is of a market that was.
    every
        Seconds after which a question looks at the quotes again.
    leverage
        1 (no naked options), 2 or 4; None takes what the broker grants when the book is opened.
    calendar
        Whose sessions: quotes outside of them match nothing, and day orders end with them.
    clock
        What orders are stamped with; the machine's for None.

    Raises
    ------
    ConfigError
        LIVE_SHADOW where the broker gives no quotes, LIVE_SHADOW_OTHER where the book is of another account;
        VENUE_FILE_LOCKED, VENUE_FILE_HEAD.
    DataError
        VENUE_FILE, LIVE_SHADOW_FILE where a file is damaged.
    """

    def __init__(
        self,
        real: BrokerInterface,
        *,
        path: str | os.PathLike[str] | None = None,
        costs: Costs | str | None = None,
        quotes: bool = True,
        late_quotes: bool = False,
        every: float = 1.0,
        leverage: float | None = None,
        calendar: str = "XNYS",
        clock: Clock | None = None,
    ) -> None:
        self._real = RealAccount(real)
        if quotes and not self._real.has_quotes:
            raise ConfigError(
                f"{self._real.name} gives no quotes to match orders by; let bars do it: quotes=False",
                code="LIVE_SHADOW",
            )
        self._every = timedelta(seconds=every)
        self._clock = clock or system_clock
        self._lock = threading.RLock()
        self._endings: list[Callable[[], object]] = []
        where = None if path is None else Path(path)
        self._owner = self._owned(where, leverage)
        self._book = ShadowBook(
            self._real, path=where, costs=costs, by_quotes=quotes, late_too=late_quotes,
            leverage=self._owner.leverage, calendar=calendar, clock=self._clock,
        )  # fmt: skip
        self._venue = self._book.venue
        self._local = PaperBroker(self._venue, account=self.account)
        self._base = self._book.paid_in
        self._is_checked = False
        self._looked: datetime | None = None
        self._told: tuple[datetime, Sequence[Execution]] | None = None

    # Who it is

    @property
    def broker(self) -> str:
        """Return "shadow:" and the name of the real broker."""
        return f"shadow:{self._real.name}"

    @property
    def account(self) -> str:
        """Return "shadow:" and the real account's number: fills and ids of one are none of the other's."""
        return f"shadow:{self._owner.account}"

    @property
    def is_paper(self) -> bool:
        """Return True: nothing is sent, whichever login is read."""
        return True

    # Orders

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Take an order into the book, where it meets the quote of now; nothing is sent.

        DENIED with LIVE_SHADOW_BLIND where the real broker does not answer what it is asked first, REJECTED
        for a symbol that it does not know; refusals of the book have the venue's codes.
        """
        key = request.client_order_id
        with self._lock:
            there = self._local.find_order(key)
            if there is not None:
                return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
            try:
                if request.purpose == "entry":
                    self._fund()
                package = len(request.legs) > 1
                sides = {leg.symbol: 1 if leg.quantity > 0 else -1 for leg in request.legs}
                self._book.meet(dict.fromkeys(sides, 0) if package else sides, self._clock())
            except (AccessRefused, RateLimited):
                raise
            except UnknownNameError as error:
                return Submitted(
                    outcome=Outcome.REJECTED, client_order_id=key, code="LIVE_BROKER_REJECTED",
                    message=str(error.args[0]),
                )  # fmt: skip
            except ConfigError:
                raise
            except Exception as error:  # adapters raise whatever their libraries raise
                words = f"{self._real.name} did not answer, and an order would not have reached it: {error}"
                return denied(request, code="LIVE_SHADOW_BLIND", message=words)
            return self._local.submit_order(request)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order of the book; see `PaperBroker.replace_order`."""
        with self._lock:
            self._due()
            old = self._venue.order(order_id)
            if not old.is_final:
                legs = resting_of([old])
                self._book.meet(
                    {one.symbol: one.side if len(legs) == 1 else 0 for one in legs}, self._clock()
                )
            return self._local.replace_order(
                order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
            )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Cancel an order of the book; one that the market has filled meanwhile stays filled."""
        with self._lock:
            self._due()
            return self._local.cancel_order(order_id)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order of the book with our id."""
        with self._lock:
            self._due()
            return self._local.find_order(client_order_id)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders of the book, and none of the real account."""
        with self._lock:
            self._due()
            return self._local.get_orders(open_only=open_only)

    # The account

    def get_positions(self) -> Sequence[Holding]:
        """Return what the book holds, and nothing of the real account."""
        with self._lock:
            self._due()
            return [
                dataclasses.replace(held, mark=self._book.marks.get(held.symbol, held.mark))
                for held in self._local.get_positions()
            ]

    def get_account(self) -> Account:
        """Return what the real account is worth, all of it as cash, with what the book has made of it."""
        with self._lock:
            self._due()
            worth = self._worth()
            book = self._venue.account()
            moved = book.cash - self._base
            held = sum(
                one.qty * one.multiplier * self._book.marks.get(one.symbol, one.current_price)
                for one in self._venue.positions()
            )
            grown = self._owner.leverage * (worth.equity - self._base)
            return Account(
                cash=worth.equity + moved, equity=worth.equity + moved + held,
                buying_power=max(0.0, book.buying_power + grown), currency=worth.currency,
            )  # fmt: skip

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened in the book; of the real account `status` tells."""
        with self._lock:
            self._due()
            return self._local.executions(since)

    def status(self) -> ShadowStatus:
        """Return how the shadow stands, beside what the real account did in the same symbols meanwhile.

        It never raises for a broker that does not answer: `problem` says so.
        """
        with self._lock:
            now, since = self._clock(), datetime.fromisoformat(self._owner.opened)
            orders = self._venue.orders("all", nested=True)
            real, problem = self._compared(now, since)
            marks = {held.symbol: held.mark for held in self._local.get_positions()} | self._book.marks
            named = {symbol for order in orders for symbol in _symbols_of(order)}
            return ShadowStatus(
                broker=self._real.name, account=self._owner.account, real_money=not self._real.is_paper,
                since=since, at=now, looked=self._looked,
                computed=sum(not order.replaces for order in orders),
                working=len(self._venue.orders("open", nested=True)),
                lines=lines_of(named, self._local.executions(), real, marks.get),
                unquoted=tuple(sorted(self._book.unquoted)), late=tuple(sorted(self._book.late)),
                problem=problem,
            )  # fmt: skip

    # The market

    def look(self) -> None:
        """Ask for the quotes that matter to the book now, and match; raises what the real broker raises."""
        with self._lock:
            now = self._clock()
            self._book.look(now)
            self._looked = now

    def take_bars(self, bars: Bars) -> None:
        """Show the book the bars of a session, before the plan steps them; those that were shown are passed.

        Splits, dividends and delistings that come with them reach what is held. A session's last bar ends it:
        day orders expire.
        """
        with self._lock:
            self._book.take_bars(bars)

    def at_end(self, close: Callable[[], object]) -> None:
        """Have `close` called when this is closed."""
        self._endings.append(close)

    def close(self) -> None:
        """Let go of the book's file, and of what was opened with it."""
        with self._lock:
            self._venue.close()
            while self._endings:
                self._endings.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        # only what is not defined here comes this way: quotes, chain and others of `shadowing.real`
        if name.startswith("_"):
            raise AttributeError(name)
        return self._real.passed_on(name)

    def __repr__(self) -> str:
        return f"ShadowBroker({self._real.name!r}, account={self.account!r})"

    def _owned(self, path: Path | None, leverage: float | None) -> Owner:
        """Return whose the book is; a new one is that of the real account, which is asked what it may do."""
        owner = None if path is None else read_owner(path)
        if owner is None:
            worth = self._real.worth()
            granted = worth.buying_power / worth.equity if worth.equity > 0.0 else 1.0
            owner = Owner(
                broker=self._real.name, account=self._real.account, opened=self._clock().isoformat(),
                leverage=leverage or (4.0 if granted > 3.9 else 2.0 if granted > 1.9 else 1.0),
            )  # fmt: skip
            if path is not None:
                write_owner(path, owner)
        elif owner.broker != self._real.name:
            raise _of_another(owner, self._real.name, path)
        return owner

    def _worth(self) -> Account:
        worth = self._real.worth()
        if not self._is_checked:
            if self._real.account != self._owner.account:
                raise _of_another(self._owner, f"{self._real.name} {self._real.account}", None)
            self._is_checked = True
        return worth

    def _fund(self) -> None:
        """Let the book have for an entry what the real account is worth."""
        missing = self._worth().equity - self._base
        if abs(missing) >= _CENT:
            self._venue.deposit(missing)
            self._base += missing

    def _due(self) -> None:
        now = self._clock()
        if self._looked is None or abs(now - self._looked) >= self._every:
            self.look()

    def _compared(self, now: datetime, since: datetime) -> tuple[Sequence[Execution], str]:
        if self._told is None or abs(now - self._told[0]) >= COMPARED:
            try:
                self._told = (now, self._real.executions(since))
            except Exception as error:  # adapters raise whatever their libraries raise
                return self._told[1] if self._told else (), f"{type(error).__name__}: {error}"
        return self._told[1], ""


def _symbols_of(order: VenueOrder) -> list[str]:
    return [order.symbol] if order.symbol else [leg.symbol for leg in order.legs]


def _of_another(owner: Owner, asked: str, path: Path | None) -> ConfigError:
    where = "the shadow book" if path is None else str(path)
    return ConfigError(
        f"{where} is of {owner.broker} {owner.account}, not of {asked}; begin another under another path",
        code="LIVE_SHADOW_OTHER",
    )
