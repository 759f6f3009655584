"""What tastytrade tells without being asked: the stream of an account.

An update says that something has happened, and never what is true now: streams lose messages. Whoever listens
takes it as a reason to ask sooner; the answer to a question is what counts. The stream is opened again
whenever it ends, after ever longer pauses, and "lost" and "connected" are told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final

from live.brokers.secrets import scrub
from live.brokers.tastytrade.orders import read_name
from live.brokers.tastytrade.symbols import canonical
from live.brokers.told import BrokerUpdate

__all__ = ["listen"]

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


async def listen(
    session: Any,
    opened: Callable[[Any], Awaitable[Any]],
    listener: Callable[[BrokerUpdate], None],
    *,
    first_pause: float = FIRST_PAUSE,
) -> None:
    """Tell `listener` of what the stream of an account says, until this is cancelled."""
    library = import_module("tastytrade")
    account = import_module("tastytrade.account")
    order = import_module("tastytrade.order")
    pause = first_pause

    def tell(update: BrokerUpdate) -> None:
        with contextlib.suppress(Exception):  # whoever listens must not end the line
            listener(update)

    async def each(streamer: Any, kind: Any, reading: Callable[[Any], BrokerUpdate]) -> None:
        async for one in streamer.listen(kind):
            tell(reading(one))

    while True:
        try:
            async with library.AlertStreamer(session) as streamer:
                await streamer.subscribe_accounts([await opened(session)])
                tell(BrokerUpdate(kind="connected"))
                pause = first_pause
                async with asyncio.TaskGroup() as group:
                    group.create_task(each(streamer, order.PlacedOrder, _order))
                    group.create_task(each(streamer, account.CurrentPosition, _position))
        except Exception as error:  # a stream ends in many ways, in groups of errors too
            tell(BrokerUpdate(kind="lost", text=scrub(f"{type(error).__name__}: {error}")))
        await asyncio.sleep(pause)
        pause = min(2.0 * pause, LONGEST_PAUSE)


def _order(one: Any) -> BrokerUpdate:
    filled = one.status.value == "Filled" or any(leg.fills for leg in one.legs)
    symbols = {canonical(leg.symbol) for leg in one.legs}
    return BrokerUpdate(
        kind="fill" if filled else "order",
        symbol=symbols.pop() if len(symbols) == 1 else "",
        order_id=str(one.id),
        client_order_id=read_name(one.external_identifier).identity,
        text=one.status.value,
    )


def _position(one: Any) -> BrokerUpdate:
    sign = "-" if one.quantity_direction == "Short" else ""
    return BrokerUpdate(kind="position", symbol=canonical(one.symbol), text=f"{sign}{one.quantity}")
