"""What is asked of the account at tastytrade: its orders, positions and transactions, all pages of them.

Today's list has what works and what was changed today, the history has what was before; neither is enough.
The library reads one page unless it is told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, datetime, timedelta
from typing import Any, Final

from live.brokers.interface import BrokerOrder
from live.brokers.tastytrade.history import needs_history
from live.brokers.tastytrade.line import NotThere
from live.brokers.tastytrade.readings import Story, holdings_of, orders_of, stories
from live.clock import Clock
from simulator.brokerage import Holding
from simulator.errors import ConfigError, UnknownNameError

__all__ = ["Asking"]

PAGE: Final = 250


class Asking:
    """What asks.

    Parameters
    ----------
    number
        Of the account, "" for the only one of the login.
    lookback
        How far back orders are read.
    clock
        The time.
    """

    def __init__(self, number: str, lookback: timedelta, clock: Clock) -> None:
        self.number = number
        self._lookback = lookback
        self._clock = clock
        self._account: Any = None
        self._roots: dict[int, str] = {}
        self._last: dict[str, tuple[Story, str]] = {}

    def order_id_of(self, number: int) -> str:
        """Return our number of an order: that of the first of all that replaced each other."""
        return self._roots.get(number, str(number))

    def knows(self, number: int) -> bool:
        """Whether an order was read."""
        return number in self._roots

    def learn(self, found: list[Story], parent: str = "") -> None:
        """Remember which orders belong together; `parent` is the entry of one whose family is not there."""
        self._roots.update({one.id: story.order_id for story in found for one in story.placed})
        for story, order in zip(found, orders_of(found), strict=True):
            self._last[order.order_id] = (story, order.parent_id or parent)

    async def order(self, session: Any, order_id: str) -> tuple[Story, str]:
        """Return an order as it is now, and the number of its entry; asks for it alone where it is known.

        Raises
        ------
        UnknownNameError
            NAME_ORDER where there is none.
        """
        story, parent = self._last.get(order_id, (None, ""))
        if story is not None:
            account = await self.opened(session)
            with contextlib.suppress(NotThere):
                newest = await account.get_order(session, story.newest.id)
                if not newest.replacing_order_id:
                    return Story((*story.placed[:-1], newest)), parent
        found = await self.stories(session)
        for one, order in zip(found, orders_of(found), strict=True):
            if order_id in (order.order_id, *(str(placed.id) for placed in one.placed)):
                return one, order.parent_id
        raise UnknownNameError(f"tastytrade has no order {order_id!r}", code="NAME_ORDER")

    async def opened(self, session: Any) -> Any:
        """Return the library's account, which is looked up once."""
        if self._account is None:
            from tastytrade import Account as Numbered

            if self.number:
                found = await Numbered.get(session, self.number)
            else:
                several = await Numbered.get(session)
                if len(several) != 1:
                    numbers = ", ".join(one.account_number for one in several) or "none"
                    raise ConfigError(
                        f"tastytrade: this login has the accounts {numbers}; say account=",
                        code="LIVE_BROKER_CONFIG",
                    )
                found = several[0]
            self._account, self.number = found, found.account_number
        return self._account

    async def stories(self, session: Any, start: date | None = None) -> list[Story]:
        """Return all orders: those of today and those that work, and those of before, every page."""
        account = await self.opened(session)
        start = start or (self._clock() - self._lookback).date()
        live, before = await asyncio.gather(
            account.get_live_orders(session),
            account.get_order_history(session, per_page=PAGE, page_offset=None, start_date=start),
        )
        found = stories([*before, *live])
        self._last.clear()
        self.learn(found)
        return found

    async def find(self, session: Any, identity: str) -> BrokerOrder | None:
        """Return the order with a client order id, the one that works where there are several."""
        named = [one for one in orders_of(await self.stories(session)) if one.client_order_id == identity]
        working = [one for one in named if one.is_open or one.filled]
        found = working or named
        return found[-1] if found else None

    async def positions(self, session: Any) -> list[Holding]:
        """Return what is held."""
        account = await self.opened(session)
        return holdings_of(await account.get_positions(session, include_marks=True))

    async def transactions(self, session: Any, since: datetime | None) -> list[Any]:
        """Return what happened; for expiries that do not say their side, all of their symbol."""
        account = await self.opened(session)
        # a day more, since tastytrade counts days in New York
        start = None if since is None else since.date() - timedelta(days=1)
        rows = await account.get_history(
            session, per_page=PAGE, page_offset=None, sort="Asc", start_date=start
        )
        for symbol in sorted(needs_history(rows)) if since is not None else ():
            rows += await account.get_history(
                session, per_page=PAGE, page_offset=None, sort="Asc", symbol=symbol
            )
        return list(rows)
