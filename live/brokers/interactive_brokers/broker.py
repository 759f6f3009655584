"""`InteractiveBrokersBroker`: an account at Interactive Brokers behind the interface of brokers.

A TWS or IB Gateway runs beside the program and is logged in to the account; this class talks to it, and has
no password of its own. An order is known by two names: `orderRef`, which is our client order id, and the
broker's permId. The numeric order id is neither, since it is issued again. Interactive Brokers does not
refuse a reference twice, so the broker is asked for it before anything is sent.

Every call asks the gateway and none answers from memory: after a lost connection the library's own lists are
empty, and that is not an account that is flat.

>>> broker = InteractiveBrokersBroker(port=4002, client_id=17)            # doctest: +SKIP
>>> broker.get_positions()                                               # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from live.brokers.errors import AccessRefused, BrokerError, DuplicateOrder, RateLimited
from live.brokers.interactive_brokers.contracts import Contracts, multiplier_of
from live.brokers.interactive_brokers.door import FIRST_PAUSE
from live.brokers.interactive_brokers.flex import FlexStatements
from live.brokers.interactive_brokers.gateway import Gateway
from live.brokers.interactive_brokers.market import chain_of, quotes_of, volatilities_of
from live.brokers.interactive_brokers.readings import Readings, number
from live.brokers.interactive_brokers.standing import account_values, standing_of
from live.brokers.interactive_brokers.tape import key_of
from live.brokers.interactive_brokers.working import Sending, Working, rejected
from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    OrderRequest,
    Submitted,
    denied,
    unresolved,
)
from live.brokers.told import Activity, BrokerUpdate, Quote, Standing
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError, TwinstepError, UnknownNameError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["InteractiveBrokersBroker"]

T = TypeVar("T")

PAPER_PORT: Final = 4002
LIVE_PORT: Final = 4001
MESSAGES_PER_SECOND: Final = 45
QUOTES_SECONDS: Final = 15.0
CHAIN_SECONDS: Final = 120.0
"""Seconds for prices: the broker ends a snapshot after 11, whether all of it has come or not."""


class InteractiveBrokersBroker(BrokerInterface):
    """One account.

    Parameters
    ----------
    credentials
        Needed for Flex statements only, "flex_token" and "flex_query"; the gateway itself is logged in.
    paper
        Whether it has to be a paper account, whose number begins with D; False takes real money only.
    account
        Its number. None takes the only one of the login, and asks for it: then nothing can start while the
        gateway is out of reach, so a session names it.
    timeout
        Seconds that a call may take.
    host, port
        Of the gateway; by default that of an IB Gateway on this machine (TWS: 7497 paper, 7496 live).
    client_id
        Number of this program at the gateway, from 1; keep it, since an order is changed and cancelled only
        by the client that placed it.
    per_second
        Messages per second, 0 for no limit.
    statements
        Flex statements: assignments, expiries, dividends, splits, and fills of sessions before this one, none
        of which the gateway tells.
    reconnect_pause
        Seconds until a connection that failed is tried again; doubled each time, up to a minute.
    """

    def __init__(
        self,
        credentials: Mapping[str, str] | None = None,
        *,
        paper: bool = True,
        account: str | None = None,
        timeout: float = 10.0,
        host: str = "127.0.0.1",
        port: int | None = None,
        client_id: int = 17,
        per_second: int = MESSAGES_PER_SECOND,
        statements: FlexStatements | None = None,
        reconnect_pause: float = FIRST_PAUSE,
    ) -> None:
        if not timeout > 0.0 or client_id < 1:
            raise ConfigError(
                f"Interactive Brokers: timeout {timeout:g} and client_id {client_id}; the first must be "
                "above 0, the second at least 1 (client 0 takes over orders that are placed by hand)",
                code="LIVE_BROKER_CONFIG",
            )
        self._paper = paper
        self._gateway = Gateway(
            host, port or (PAPER_PORT if paper else LIVE_PORT), client_id, account=account or "", paper=paper,
            timeout=timeout, per_second=per_second, first_pause=reconnect_pause,
        )  # fmt: skip
        self._contracts = Contracts()
        self._readings = Readings(self._gateway, self._contracts)
        keys = dict(credentials or {})
        if statements is None and keys.get("flex_token") and keys.get("flex_query"):
            statements = FlexStatements(keys["flex_token"], keys["flex_query"], account=account or "")
        self._statements = statements
        self._work = Working(self._gateway, self._contracts, self._readings)
        self._listeners: list[Callable[[BrokerUpdate], None]] = []
        self._gateway.listeners.append(self._happened)

    @property
    def broker(self) -> str:
        """Return "interactive_brokers"."""
        return "interactive_brokers"

    @property
    def account(self) -> str:
        """Number of the account; asks the gateway where it was not given."""
        if not self._gateway.account:
            self._call(_nothing, "account")
        return self._gateway.account

    @property
    def is_paper(self) -> bool:
        """Whether it is a paper account; the other kind is refused when the gateway says which it is."""
        return self._paper

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection whose answers count; nothing is asked."""
        return self._gateway.is_connected

    @property
    def problem(self) -> str:
        """What is wrong with the line to the gateway, "" for nothing."""
        return self._gateway.problem

    def server_time(self) -> datetime:
        """Return the time of the gateway, to the second, aware."""

        async def asked(ib: Any) -> datetime:
            time: datetime = await ib.reqCurrentTimeAsync()
            return time

        return self._call(asked, "server_time")

    def close(self) -> None:
        """End the connection; what works at the broker goes on working."""
        self._gateway.close()

    def on_update(self, listener: Callable[[BrokerUpdate], None]) -> Callable[[], None]:
        """Tell `listener` of everything that happens; returns what ends that.

        It is called on the thread of the connection, must return soon, and must not ask the broker. What it
        is told may be late, twice, or never: the answers to questions are the truth.
        """
        self._listeners.append(listener)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return end

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once; DENIED where it was not sent (no gateway), UNRESOLVED where nobody knows."""
        sending = Sending()
        try:
            return self._call(
                lambda ib: self._work.submit(ib, request, sending),
                "submit_order",
                urgent=request.purpose == "protect",
            )
        except (AccessRefused, DuplicateOrder):
            raise
        except Exception as error:  # whatever it is, what counts is whether something was sent
            words = f"{type(error).__name__}: {error}"
            if not sending.give_up():
                return unresolved(request, code="LIVE_NO_ANSWER", message=words)
            if isinstance(error, UnknownNameError):
                return rejected(request, code="LIVE_BROKER_REJECTED", message=str(error.args[0]))
            if isinstance(error, RateLimited):
                raise
            code = error.code if isinstance(error, TwinstepError) else "LIVE_GATEWAY"
            return denied(request, code=code, message=f"nothing was sent. {words}")

    def never_arrived(self, client_order_id: str) -> None:
        """Forget that an order was tried; the next submit looks for it at the gateway all the same."""
        self._work.forget(client_order_id)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order; it keeps its id. `quantity` counts what has filled already.

        Raises `UnknownNameError` NAME_ORDER, `ConfigError` LIVE_ORDER_FINAL, `BrokerError` LIVE_OTHER_CLIENT
        for an order that another program has placed, LIVE_BROKER_REJECTED where the change is refused.
        """
        wanted = {"quantity": quantity, "limit_price": limit_price, "stop_price": stop_price}
        given_ones = {name: value for name, value in wanted.items() if value is not None}
        return self._call(
            lambda ib: self._work.replace(ib, order_id, given_ones), "replace_order", urgent=True
        )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel, and return the order as it stands shortly after.

        Raises `UnknownNameError` NAME_ORDER, `BrokerError` LIVE_OTHER_CLIENT.
        """
        return self._call(lambda ib: self._work.cancel(ib, order_id), "cancel_order", urgent=True)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our reference; None only where orders and executions were told and lack it.

        The gateway tells of orders that ended, and of executions, only those of this session.
        """
        return self._call(lambda ib: self._work.find(ib, client_order_id), "find_order", urgent=True)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders of all clients, oldest first; those that ended are of this session."""

        async def listed(ib: Any) -> list[BrokerOrder]:
            orders = await self._readings.orders(ib, everything=not open_only)
            return [order for order in orders if order.is_open or not open_only]

        return self._call(listed, "get_orders", urgent=True)

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held; a list that did not come to its end raises, and is not flat."""
        return self._call(self._positions, "get_positions", urgent=True)

    def get_account(self) -> Account:
        """Return what the account is worth, in its base currency."""
        return self._call(self._worth, "get_account")

    def standing(self) -> Standing:
        """Return what the account may do and see, for a check before trading starts.

        Permissions are found out by asking what orders would do to the margin; nothing is placed. It takes
        some seconds. What stays open is None, and says why; raises what connecting raises.
        """
        return standing_of(self._gateway, self._contracts)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened at or after `since`, oldest first.

        The gateway has the executions of its session, usually a day. Those that this object has read stay;
        older ones, and assignments and expiries, come from the Flex statements where there are some.
        """
        found = {one.execution_id: one for one in self._call(self._readings.executions, "executions")}
        if self._statements is not None:
            for one in self._statements.executions(self._readings.order_id_of):
                found.setdefault(one.execution_id, one)
        kept = [one for one in found.values() if since is None or one.time >= since]
        return sorted(kept, key=lambda one: (one.time, one.execution_id))

    def activities(self, since: datetime | None = None) -> Sequence[Activity]:
        """Return assignments, exercises, expiries, dividends, splits and fees at or after `since`.

        Raises `ConfigError` LIVE_NO_STATEMENTS without Flex statements: a gateway tells none of them.
        """
        if self._statements is None:
            raise ConfigError(
                "Interactive Brokers tells assignments, expiries, dividends and splits in statements only; "
                "give statements=, or credentials flex_token and flex_query",
                code="LIVE_NO_STATEMENTS",
            )
        return self._statements.activities(since)

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Return quotes by symbol; raises `UnknownNameError` NAME_CONTRACT."""
        return self._call(lambda ib: quotes_of(ib, self._contracts, symbols), "quotes", beside=QUOTES_SECONDS)

    def chain(self, underlying: str, *, days: tuple[int, int] = (0, 60), width: float = 0.2) -> Chain:
        """Return the chain of an underlying, with the Greeks of the broker's model.

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
        return self._call(
            lambda ib: chain_of(ib, self._contracts, underlying, days=days, width=width),
            "chain",
            beside=CHAIN_SECONDS,
        )

    def iv_rank(self, underlying: str, *, window: int = 252) -> float:
        """Return the IV rank, 0 to 100, from the broker's implied volatilities of a year; NaN for too few."""
        from simulator.options.iv_rank import iv_rank

        found = self._call(
            lambda ib: volatilities_of(ib, self._contracts, underlying), "iv_rank", beside=CHAIN_SECONDS
        )
        return float(iv_rank(found, window)[-1]) if found else math.nan

    def _call(
        self,
        work: Callable[[Any], Coroutine[Any, Any, T]],
        what: str,
        *,
        urgent: bool = False,
        beside: float | None = None,
    ) -> T:
        return self._gateway.call(work, what, urgent=urgent, beside=beside)

    async def _positions(self, ib: Any) -> list[Holding]:
        marks = {
            item.contract.conId: number(item.marketPrice) for item in ib.portfolio(self._gateway.account)
        }
        newest = {}
        for one in await ib.reqPositionsAsync():
            if one.account == self._gateway.account:
                newest[one.contract.conId] = one
        held = []
        for one in newest.values():
            unit = multiplier_of(one.contract)
            symbol = self._contracts.learn(one.contract)
            cost = number(one.avgCost)
            if one.position:
                held.append(
                    Holding(
                        symbol=symbol,
                        quantity=float(one.position),
                        # the broker's includes the multiplier
                        average_price=None if not cost else cost / unit,
                        multiplier=unit,
                        mark=marks.get(one.contract.conId),
                    )
                )
        return sorted(held, key=lambda one: one.symbol)

    async def _worth(self, ib: Any) -> Account:
        found = await account_values(ib, self._gateway.account)
        lacking = {"TotalCashValue", "NetLiquidation", "BuyingPower"} - set(found)
        if lacking:
            raise BrokerError(
                f"Interactive Brokers does not say {', '.join(sorted(lacking))} of the account",
                code="LIVE_ANSWER",
            )
        return Account(
            cash=float(found["TotalCashValue"]), equity=float(found["NetLiquidation"]),
            buying_power=float(found["BuyingPower"]), currency=found["Currency"] or "USD",
        )  # fmt: skip

    def _happened(self, kind: str, what: Any) -> None:
        update: BrokerUpdate | None = None
        if kind in ("connected", "lost"):
            update = BrokerUpdate(kind=cast(Any, kind), text=str(what))
        elif kind == "orderStatusEvent":
            (trade,) = what
            update = BrokerUpdate(
                kind="order", symbol=self._contracts.learn(trade.contract), order_id=key_of(trade.order),
                client_order_id=trade.order.orderRef, text=str(trade.orderStatus.status),
            )  # fmt: skip
        elif kind == "execDetailsEvent":
            trade, fill = what
            update = BrokerUpdate(
                kind="fill", symbol=self._contracts.learn(fill.contract), order_id=key_of(trade.order),
                client_order_id=trade.order.orderRef,
                text=f"{fill.execution.shares:g} at {fill.execution.price:g}",
            )  # fmt: skip
        elif kind == "positionEvent":
            (held,) = what
            update = BrokerUpdate(
                kind="position", symbol=self._contracts.learn(held.contract), text=f"{held.position:g}"
            )
        if update is None:
            return
        for listener in list(self._listeners):
            with contextlib.suppress(Exception):  # whoever listens must not end the line
                listener(update)


async def _nothing(_ib: Any) -> None:
    return None
