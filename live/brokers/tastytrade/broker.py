"""`TastytradeBroker`: an account at tastytrade behind the interface of brokers.

tastytrade refuses no client order id twice, and its library places dry runs unless told otherwise. So the
broker is asked for an id before anything is sent, what was sent once is never sent again, and only an answer
with the number of an order is an order. Everything is asked for when it is needed and nothing is answered
from memory.

tastytrade has no trailing stop. One is emulated: a stop rests at the broker, and `work_trails` moves it by
replacing it as the price moves; while nobody calls that, it stays where it is, and protects. How far it
trails is part of its name at the broker, so that it survives this process.

>>> broker = TastytradeBroker(account="5WX00001")                        # doctest: +SKIP
>>> broker.get_positions()                                               # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from live.brokers.credentials import load_credentials
from live.brokers.errors import AccessRefused, BrokerError
from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    Leg,
    OrderRequest,
    Submitted,
)
from live.brokers.rate_limit import RateLimit
from live.brokers.tastytrade.asking import Asking
from live.brokers.tastytrade.changes import Changes
from live.brokers.tastytrade.history import activities_of, executions_of
from live.brokers.tastytrade.line import Line
from live.brokers.tastytrade.market import Metrics, chain_of, metrics_of, quotes_of
from live.brokers.tastytrade.orders import Preview
from live.brokers.tastytrade.readings import orders_of
from live.brokers.tastytrade.standing import standing_of
from live.brokers.tastytrade.submitting import Submitting
from live.brokers.tastytrade.trails import moved
from live.brokers.tastytrade.updates import listen
from live.brokers.told import Activity, BrokerUpdate, Quote, Standing
from live.clock import Clock, system_clock
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["TastytradeBroker"]

REQUESTS_PER_MINUTE: Final = 120.0
"""tastytrade publishes no limit; this is far below what its users report."""

RESERVE: Final = 0.25
"""Share of them for cancels and protective orders, which take several requests each."""

LEDGER_WAIT: Final = 3.0
"""Seconds that an order to close waits for its position to show: the ledger lags behind the fills."""

CANCEL_WAIT: Final = 2.0
"""Seconds to wait for the end of an order that was asked to end; then it is told as it stands."""

LOOKBACK_DAYS: Final = 30


class TastytradeBroker(BrokerInterface):
    """One account.

    Parameters
    ----------
    credentials
        "secret" and "refresh" of an OAuth application; None loads them.
    paper
        Whether the sandbox (certification environment) is asked. It is reset every night, and its quotes are
        15 minutes late.
    account
        Its number; None takes the only one of the login.
    timeout
        Seconds that a call may take.
    url
        Of a server on this machine in place of tastytrade's.
    transport
        In place of the library's own, for tests.
    per_minute
        Requests that may go out, a quarter of them for cancels and changes only; 0 for no limit.
    ledger_wait
        Seconds that an order to close waits for its position to show.
    lookback_days
        How far back orders are read; those that work are always read.
    clock, seconds
        Injected for tests: the time, and seconds that only rise.
    """

    def __init__(
        self,
        credentials: Mapping[str, str] | None = None,
        *,
        paper: bool = True,
        account: str | None = None,
        timeout: float = 10.0,
        url: str | None = None,
        transport: Any = None,
        per_minute: float = REQUESTS_PER_MINUTE,
        ledger_wait: float = LEDGER_WAIT,
        lookback_days: int = LOOKBACK_DAYS,
        clock: Clock = system_clock,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        if not timeout > 0.0 or not ledger_wait >= 0.0 or lookback_days < 1:
            raise ConfigError(
                f"tastytrade: timeout {timeout:g}, ledger_wait {ledger_wait:g}, lookback_days "
                f"{lookback_days}; they must be above 0, at least 0, and at least 1",
                code="LIVE_BROKER_CONFIG",
            )
        if credentials is None:
            credentials = load_credentials("tastytrade", ("secret", "refresh"), paper=paper)
        missing = [name for name in ("secret", "refresh") if not credentials.get(name)]
        if missing:
            raise ConfigError(
                f"tastytrade: no {' and no '.join(missing)} among the credentials", code="LIVE_CREDENTIALS"
            )
        self._paper = paper
        self._line = Line(
            credentials["secret"], credentials["refresh"], sandbox=paper, timeout=timeout, url=url,
            transport=transport, limit=RateLimit(per_minute, RESERVE) if per_minute else None,
            clock=seconds,
        )  # fmt: skip
        self._asking = Asking(account or "", timedelta(days=lookback_days), clock)
        self._changes = Changes(self._asking, CANCEL_WAIT)
        self._submitting = Submitting(self._line, self._asking, self.quotes, ledger_wait)

    @property
    def broker(self) -> str:
        """Return "tastytrade"."""
        return "tastytrade"

    @property
    def account(self) -> str:
        """Number of the account; asks where it was not given."""
        if not self._asking.number:
            self._line.call(self._asking.opened, "account")
        return self._asking.number

    @property
    def is_paper(self) -> bool:
        """Whether it is the sandbox."""
        return self._paper

    def close(self) -> None:
        """End the connections; what works at the broker goes on working."""
        self._line.close()

    def on_update(self, listener: Callable[[BrokerUpdate], None]) -> Callable[[], None]:
        """Tell `listener` of orders and positions as they change; returns what ends that.

        It is called on the thread of the connection, must return soon, and must not ask the broker. What it
        is told may be late, twice, or never: the answers to questions are the truth.
        """

        async def work(session: Any) -> None:
            await listen(session, self._asking.opened, listener)

        return self._line.task(work)

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once; DENIED where it was not sent, UNRESOLVED where nobody knows."""
        return self._submitting.submit(request)

    def never_arrived(self, client_order_id: str) -> None:
        """Forget that an order was tried; the next submit looks for it at the broker all the same."""
        self._submitting.forget(client_order_id)

    def preview(self, request: OrderRequest) -> Preview:
        """Return what an order would do, by a dry run; nothing is placed, and it is not an order.

        Raises `BrokerError` LIVE_BROKER_REJECTED where the broker would refuse it.
        """
        return self._submitting.preview(request)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order; it keeps its id here. `quantity` counts what has filled already.

        tastytrade changes prices in place, and quantities not at all: an order with another quantity is
        cancelled, and when that is certain a new one is placed. Between the two it does not work.

        Raises `UnknownNameError` NAME_ORDER, `ConfigError` LIVE_ORDER_FINAL, `BrokerError`
        LIVE_BROKER_REJECTED where the change is refused, as is that of a quantity within a complex order.
        """

        async def change(session: Any) -> BrokerOrder:
            account = await self._asking.opened(session)
            return await self._changes.replace(
                session, account, order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
            )

        return self._line.call(change, "replace_order", kind="cancel", timeout=self._long)

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel, and return the order as it stands shortly after.

        An entry takes its children with it, as long as nothing of it has filled. Raises `UnknownNameError`
        NAME_ORDER.
        """

        async def cancel(session: Any) -> BrokerOrder:
            return await self._changes.cancel(session, await self._asking.opened(session), order_id)

        return self._line.call(cancel, "cancel_order", kind="cancel", timeout=self._long)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id; None only where today's orders and those of before lack it."""
        return self._line.call(lambda session: self._asking.find(session, client_order_id), "find_order")

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders, oldest first; those that ended are of the last `lookback_days`."""

        async def ask(session: Any) -> list[BrokerOrder]:
            return orders_of(await self._asking.stories(session))

        found = self._line.call(ask, "get_orders")
        return [order for order in found if order.is_open or not open_only]

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held; an answer without a list raises, and is not flat."""
        return self._line.call(self._asking.positions, "get_positions")

    def get_account(self) -> Account:
        """Return what the account is worth; of the buying powers for shares and options the smaller."""

        async def ask(session: Any) -> Account:
            worth = await (await self._asking.opened(session)).get_balances(session)
            return Account(
                cash=float(worth.cash_balance),
                equity=float(worth.net_liquidating_value),
                buying_power=float(min(worth.equity_buying_power, worth.derivative_buying_power)),
            )

        return self._line.call(ask, "get_account")

    def standing(self) -> Standing:
        """Return what the account may do and see, for a check before trading starts; nothing is placed.

        Whether the token may trade is found out by a dry run of an order for one share.
        """

        async def ask(session: Any) -> Standing:
            account = await self._asking.opened(session)
            return await standing_of(session, account, sandbox=self._paper)

        found = self._line.call(ask, "standing", timeout=self._long)
        trial = OrderRequest(client_order_id="dry-run", legs=(Leg("SPY", 1.0),))
        try:
            self.preview(trial)
        except AccessRefused as error:
            words = (*found.restrictions, f"{error.args[0]} (dry run of an order)")
            return replace(found, may_trade=False, restrictions=words)
        except BrokerError as error:
            return replace(found, restrictions=(*found.restrictions, str(error.args[0])))
        return found

    def server_time(self) -> datetime | None:
        """Return the time of tastytrade, to the second, aware; None where its answers have none."""
        self.get_account()
        return self._line.told_time

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return fills, exercises, assignments and expiries at or after `since`, oldest first."""

        async def ask(session: Any) -> list[Execution]:
            rows = await self._asking.transactions(session, since)
            if any(row.order_id is not None and not self._asking.knows(row.order_id) for row in rows):
                await self._asking.stories(session, None if since is None else since.date())
            return executions_of(rows, self._asking.order_id_of)

        found = self._line.call(ask, "executions")
        return [one for one in found if since is None or one.time >= since]

    def activities(self, since: datetime | None = None) -> Sequence[Activity]:
        """Return assignments, exercises, expiries, dividends, splits and fees at or after `since`."""

        async def ask(session: Any) -> list[Activity]:
            return activities_of(await self._asking.transactions(session, since))

        found = self._line.call(ask, "activities")
        return [one for one in found if since is None or one.time >= since]

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Return quotes by symbol; those of the sandbox are 15 minutes late, and say so.

        Raises `UnknownNameError` NAME_CONTRACT for symbols that tastytrade does not know.
        """
        return self._line.call(lambda session: quotes_of(session, symbols, late=self._paper), "quotes")

    def metrics(self, symbols: Sequence[str]) -> dict[str, Metrics]:
        """Return implied volatility, its rank and its percentile (0 to 100) by symbol."""
        return self._line.call(lambda session: metrics_of(session, symbols), "metrics")

    def iv_rank(self, underlying: str) -> float:
        """Return the IV rank that tastytrade gives, 0 to 100; NaN where it gives none."""
        return self.metrics([underlying])[underlying].iv_rank

    def chain(self, underlying: str, *, days: tuple[int, int] = (0, 60), width: float = 0.2) -> Chain:
        """Return the chain of an underlying with its quotes.

        Parameters
        ----------
        days
            Fewest and most days to expiry.
        width
            Farthest strike, as a share of the price of the underlying.

        Raises
        ------
        FetchError
            LIVE_CHAIN without a price of the underlying, or without a contract.
        """
        return self._line.call(
            lambda session: chain_of(session, underlying, days=days, width=width), "chain", timeout=self._long
        )

    def work_trails(self) -> list[BrokerOrder]:
        """Move the emulated trailing stops after their prices, and return those that were moved.

        To be called with every new price, or every few seconds. A stop is only ever moved in favour of its
        position. Raises what questions raise; then the stops rest where they were.
        """

        async def work(session: Any) -> list[BrokerOrder]:
            account = await self._asking.opened(session)
            trailing = [
                story
                for story in await self._asking.stories(session)
                if story.name.unit and story.order().is_open
            ]
            if not trailing:
                return []
            symbols = sorted({story.order().legs[0].symbol for story in trailing})
            quotes = await quotes_of(session, symbols, late=self._paper)
            done = []
            for story in trailing:
                stop = moved(story, quotes[story.order().legs[0].symbol])
                if stop is not None:
                    order = await self._changes.replace(session, account, story.order_id, stop_price=stop)
                    done.append(order)
            return done

        return self._line.call(work, "work_trails", kind="cancel", timeout=self._long)

    @property
    def _long(self) -> float:
        """Seconds for what takes several requests."""
        return 2.0 * self._line.timeout + CANCEL_WAIT
