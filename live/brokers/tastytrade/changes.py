"""Changing and cancelling orders that work.

tastytrade replaces an order by another one with other prices; the quantity stays. A larger or smaller order
is one that is cancelled and placed anew, and only once it is certain that the old one has ended: what has
filled until then is taken off. Within a complex order that cannot be done, since its parts belong together.

A complex order is cancelled as a whole, by its own number, until its entry has begun to fill; after that its
parts are cancelled one by one, so that a stop is not lost with a target.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.interface import BrokerOrder
from live.brokers.tastytrade.asking import Asking
from live.brokers.tastytrade.line import TastytradeDown
from live.brokers.tastytrade.orders import changed, resized
from live.brokers.tastytrade.readings import DUST, Story
from simulator.errors import ConfigError

__all__ = ["Changes"]

POLL: Final = 0.1


class Changes:
    """What changes orders.

    Parameters
    ----------
    asking
        Asks for orders; for one of them alone, so that a cancel takes three requests and not five.
    wait
        Seconds to wait for the end of an order that was asked to end.
    """

    def __init__(self, asking: Asking, wait: float) -> None:
        self._asking = asking
        self._wait = wait

    async def cancel(self, session: Any, account: Any, order_id: str) -> BrokerOrder:
        """Cancel, and return the order as it stands shortly after."""
        story, order = await self._found(session, order_id)
        if order.is_open:
            await self._end(session, account, story)
            _, order = await self._ended(session, order_id)
        return order

    async def replace(
        self,
        session: Any,
        account: Any,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change, and return the order that is there now."""
        story, order = await self._found(session, order_id)
        if not order.is_open:
            raise _final(order)
        new = changed(story.newest, limit_price=limit_price, stop_price=stop_price)
        if quantity is not None and abs(quantity - order.quantity) > DUST:
            return await self._resized(session, account, story, new, quantity)
        try:
            placed = await account.replace_order(session, story.newest.id, new)
        except (AccessRefused, RateLimited):
            raise
        except Exception:
            # it may have ended on the way, and then that is the answer
            _, now = await self._found(session, order_id)
            if not now.is_open:
                raise _final(now) from None
            raise
        return self._now(Story((*story.placed, placed)), order.parent_id)

    async def _resized(
        self, session: Any, account: Any, story: Story, new: Any, quantity: float
    ) -> BrokerOrder:
        before = story.order()
        if story.complex_id:
            raise BrokerError(
                f"order {before.order_id}: tastytrade changes no quantity within a complex order; cancel its "
                "parts, and submit others",
                code="LIVE_BROKER_REJECTED",
            )
        await self._end(session, account, story)
        ended, order = await self._ended(session, before.order_id)
        if order.is_open:
            raise TastytradeDown(
                f"order {before.order_id} was to be cancelled for one of {quantity:g}, and has not ended "
                f"within {self._wait:g} s; no other was placed"
            )
        rest = quantity - order.filled
        if rest <= DUST or order.filled >= before.quantity - DUST:
            raise _final(order)
        quantities = [abs(leg.quantity) / before.quantity * rest for leg in before.legs]
        name = ended.name._replace(again=ended.name.again + 1)
        answer = await account.place_order(session, resized(new, quantities, name), dry_run=False)
        return self._now(Story((*ended.placed, answer.order)), order.parent_id)

    def _now(self, story: Story, parent: str) -> BrokerOrder:
        self._asking.learn([story], parent)
        return story.order(parent)

    async def _end(self, session: Any, account: Any, story: Story) -> None:
        """Ask for the end of an order; a refusal is no error, since it may have filled: it is looked at."""
        try:
            if story.complex_id and story.is_trigger and story.filled(0) <= DUST:
                await account.delete_complex_order(session, int(story.complex_id))
            else:
                await account.delete_order(session, story.newest.id)
        except (AccessRefused, RateLimited):
            raise
        except (BrokerError, _refusal()):
            _, now = await self._found(session, story.order_id)
            if now.is_open:
                raise

    async def _ended(self, session: Any, order_id: str) -> tuple[Story, BrokerOrder]:
        clock = asyncio.get_running_loop().time
        ends = clock() + self._wait
        while True:
            story, order = await self._found(session, order_id)
            if not order.is_open or clock() >= ends:
                return story, order
            await asyncio.sleep(POLL)

    async def _found(self, session: Any, order_id: str) -> tuple[Story, BrokerOrder]:
        story, parent = await self._asking.order(session, order_id)
        return story, story.order(parent)


def _refusal() -> type[Exception]:
    from tastytrade.utils import TastytradeError

    return TastytradeError


def _final(order: BrokerOrder) -> ConfigError:
    return ConfigError(
        f"order {order.order_id} is {order.state.label} and works no more", code="LIVE_ORDER_FINAL"
    )
