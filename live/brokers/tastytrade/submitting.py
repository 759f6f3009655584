"""Sending one order, once.

tastytrade takes a client order id as often as it comes, so it is looked up before; and what was sent once
without an answer is not sent again, whoever asks. Only an answer that names an order by its number is one:
the library places dry runs by default, and those have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.interface import OrderRequest, Outcome, Submitted, denied, unresolved
from live.brokers.tastytrade.asking import Asking
from live.brokers.tastytrade.line import Line
from live.brokers.tastytrade.orders import Preview, built, preview_of
from live.brokers.tastytrade.readings import orders_of, stories
from live.brokers.tastytrade.trails import first_stop
from live.brokers.told import Quote
from simulator.errors import TwinstepError

__all__ = ["Submitting"]

POLL: Final = 0.1


class Submitting:
    """What sends.

    Parameters
    ----------
    quotes
        Asks for quotes, for a trailing stop to begin at.
    ledger_wait
        Seconds that an order to close waits for its position to show.
    """

    def __init__(
        self,
        line: Line,
        asking: Asking,
        quotes: Callable[[Sequence[str]], dict[str, Quote]],
        ledger_wait: float,
    ) -> None:
        self._line = line
        self._asking = asking
        self._quotes = quotes
        self._ledger_wait = ledger_wait
        self._tried: set[str] = set()

    def submit(self, request: OrderRequest) -> Submitted:
        """Send once; raises where access or budget kept it from being sent."""
        key = request.client_order_id
        try:
            there = self._line.call(lambda session: self._asking.find(session, key), "find_order")
            if there is not None:
                return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
            if key in self._tried:
                words = "it was sent before, and the broker has not shown it yet; it is not sent again"
                return unresolved(request, code="LIVE_NO_ANSWER", message=words)
            order = self._prepared(request)
        except (AccessRefused, RateLimited):
            raise
        except TwinstepError as error:
            return denied(request, code=error.code, message=f"nothing was sent. {error.args[0]}")
        self._tried.add(key)
        try:
            placed = self._line.call(
                lambda session: self._place(session, request, order),
                "submit_order",
                kind="cancel" if request.purpose == "protect" else "submit",
            )
        except (AccessRefused, RateLimited):
            self._tried.discard(key)
            raise
        except BrokerError as error:
            self._tried.discard(key)
            return _rejected(request, str(error.args[0]))
        except Exception as error:  # whatever it is, it was sent, and nobody knows what became of it
            return unresolved(request, code="LIVE_NO_ANSWER", message=f"{type(error).__name__}: {error}")
        return self._placed(request, placed)

    def forget(self, client_order_id: str) -> None:
        """Let an id be sent again that was tried."""
        self._tried.discard(client_order_id)

    def preview(self, request: OrderRequest) -> Preview:
        """Return what an order would do, by a dry run; nothing is placed, and it is not an order.

        Raises `BrokerError` LIVE_BROKER_REJECTED where the broker would refuse it.
        """
        order = self._prepared(request)

        async def ask(session: Any) -> Preview:
            account = await self._asking.opened(session)
            place = account.place_complex_order if _is_complex(request) else account.place_order
            return preview_of(await place(session, order, dry_run=True))

        return self._line.call(ask, "preview")

    def _prepared(self, request: OrderRequest) -> Any:
        """Return the library's order, once its position shows where it closes one."""
        stop = None
        if request.kind == "trailing":
            stop = first_stop(request, self._quotes([request.symbol])[request.symbol])
        if request.purpose != "entry" and request.order_class != "bracket":
            self._wait_for_ledger(request)
        return built(request, stop=stop)

    def _wait_for_ledger(self, request: OrderRequest) -> None:
        """Wait until what is to be closed shows; after that the broker decides, by strict validation."""

        async def shown(session: Any) -> None:
            clock = asyncio.get_running_loop().time
            ends = clock() + self._ledger_wait
            while True:
                held = {one.symbol: one.quantity for one in await self._asking.positions(session)}
                lacking = [leg for leg in request.legs if held.get(leg.symbol, 0.0) * leg.quantity >= 0.0]
                if not lacking or clock() >= ends:
                    return
                await asyncio.sleep(POLL)

        try:
            self._line.call(shown, "get_positions", timeout=self._line.timeout + self._ledger_wait)
        except (AccessRefused, RateLimited):
            raise
        except TwinstepError:
            return  # an exit must not fail because a question did

    async def _place(self, session: Any, request: OrderRequest, order: Any) -> list[Any]:
        """Place an order, for the dry run is what the library does by itself; returns what was placed."""
        account = await self._asking.opened(session)
        if not _is_complex(request):
            return [(await account.place_order(session, order, dry_run=False)).order]
        found = (await account.place_complex_order(session, order, dry_run=False)).complex_order
        return [one for one in (found.trigger_order, *found.orders) if one is not None]

    def _placed(self, request: OrderRequest, placed: Sequence[Any]) -> Submitted:
        """Return what an answer means: only orders with a number are orders."""
        key = request.client_order_id
        if not placed or any(not isinstance(getattr(one, "id", None), int) or one.id <= 0 for one in placed):
            words = "the answer names no order, as that to a dry run would; it is looked up"
            return unresolved(request, code="LIVE_NO_ANSWER", message=words)
        found = stories(placed)
        self._asking.learn(found)
        first = placed[0]
        if first.status.value == "Rejected":
            return _rejected(request, first.reject_reason or "rejected without a reason")
        order = next(one for one in orders_of(found) if one.order_id == str(first.id))
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=order)


def _is_complex(request: OrderRequest) -> bool:
    return request.order_class in ("bracket", "oco")


def _rejected(request: OrderRequest, message: str) -> Submitted:
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code="LIVE_BROKER_REJECTED",
        message=message,
    )  # fmt: skip
