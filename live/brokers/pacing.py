"""A broker that is asked no more often than it allows: budget, back-off, and no knocking on a closed door.

Brokers count requests. Two things follow. What must always be possible, cancels and the questions that a risk
check needs, has a part of the budget that nothing else may use. And a "too many requests" is answered by
waiting as long as the broker says, or longer each time with some chance in it, so that many programs do not
come back at the same moment.

Only questions and cancels are repeated. A submit is sent once or not at all: where the budget is used up it
is not sent, and where the broker refuses it because of its limit, that is the answer.

When the broker refuses access (401, 403), it is left alone: every call fails here, without reaching it, until
the pause is over; each further refusal doubles the pause. The manager halts at the first.

>>> paced = PacedBroker(broker, per_minute=200)                   # doctest: +SKIP
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from live.brokers.errors import AccessRefused, RateLimited
from live.brokers.interface import Account, BrokerInterface, BrokerOrder, OrderRequest, Submitted, denied
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError

__all__ = ["PacedBroker"]

RESERVE: Final = 0.25
"""Share of the budget that only cancels, risk questions and protective orders may use."""

ATTEMPTS: Final = 4
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds; what the broker asks for beyond it is not waited for, the call fails."""

CLOSED_SECONDS: Final = 60.0
CLOSED_AT_MOST: Final = 900.0
"""First and longest pause after a refused access."""

T = TypeVar("T")


class PacedBroker(BrokerInterface):
    """A broker behind a budget of requests.

    Parameters
    ----------
    inner
        The broker.
    per_minute
        Requests that it allows in a minute.
    reserve
        Share of them kept for cancels, risk questions and protective orders.
    clock, sleep, chance
        Injected for tests: seconds that only rise, waiting, and a number from 0 to 1.

    Raises
    ------
    ConfigError
        LIVE_PACE for a budget below one request, or a reserve outside 0 to below 1.
    """

    def __init__(
        self,
        inner: BrokerInterface,
        *,
        per_minute: float = 200.0,
        reserve: float = RESERVE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not per_minute >= 1.0 or not 0.0 <= reserve < 1.0:
            raise ConfigError(
                f"a broker is paced at {per_minute:g} requests per minute with a reserve of {reserve:g}; at "
                "least 1 is needed, and a share from 0 to below 1",
                code="LIVE_PACE",
            )
        self.inner = inner
        self._most = per_minute
        self._kept = per_minute * reserve
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._lock = threading.Lock()
        self._budget = per_minute
        self._counted = clock()
        self._limited_until = self._counted
        self._closed_until = self._counted
        self._closed_for = 0.0
        self._refusal = ""

    @property
    def broker(self) -> str:
        """Short name of the broker."""
        return self.inner.broker

    @property
    def account(self) -> str:
        """Number or name of the account."""
        return self.inner.account

    @property
    def is_paper(self) -> bool:
        """Whether no real money is behind it."""
        return self.inner.is_paper

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once, or not at all: DENIED with LIVE_RATE_LIMITED where the budget does not allow it."""
        self._knock()
        wait = self._take(urgent=request.purpose == "protect")
        if wait > 0.0:
            message = f"{self.broker} is asked too often; the next request may go in {wait:.1f} s"
            return denied(request, code="LIVE_RATE_LIMITED", message=message)
        return self._sent(lambda: self.inner.submit_order(request))

    def never_arrived(self, client_order_id: str) -> None:
        """Pass on that an order got lost; no request."""
        self.inner.never_arrived(client_order_id)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order, once; raises `RateLimited` where the budget does not allow it."""
        self._knock()
        wait = self._take(urgent=True)
        if wait > 0.0:
            raise RateLimited(f"{self.broker} is asked too often", retry_after=wait)
        return self._sent(
            lambda: self.inner.replace_order(
                order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
            )
        )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel, again and again where the broker is busy."""
        return self._repeated(lambda: self.inner.cancel_order(order_id), urgent=True)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id."""
        return self._repeated(lambda: self.inner.find_order(client_order_id), urgent=True)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders."""
        return self._repeated(lambda: self.inner.get_orders(open_only=open_only), urgent=True)

    def get_positions(self) -> Sequence[Holding]:
        """Return everything that is held."""
        return self._repeated(self.inner.get_positions, urgent=True)

    def get_account(self) -> Account:
        """Return what the account is worth."""
        return self._repeated(self.inner.get_account, urgent=False)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened."""
        return self._repeated(lambda: self.inner.executions(since), urgent=False)

    def _repeated(self, ask: Callable[[], T], *, urgent: bool) -> T:
        """Ask until there is an answer, as far as limits go; every other error goes through at once."""
        for attempt in range(ATTEMPTS):
            self._knock()
            wait = self._take(urgent=urgent)
            if wait <= 0.0:
                try:
                    return self._sent(ask)
                except RateLimited as error:
                    wait = self._pause(attempt, error.retry_after)
            if attempt + 1 == ATTEMPTS or wait > LONGEST_PAUSE:
                break
            self._sleep(wait)
        raise RateLimited(f"{self.broker} is asked too often", retry_after=wait)

    def _sent(self, call: Callable[[], T]) -> T:
        try:
            answer = call()
        except RateLimited as error:
            with self._lock:
                self._limited_until = max(
                    self._limited_until, self._clock() + (error.retry_after or FIRST_PAUSE)
                )
            raise
        except AccessRefused as error:
            with self._lock:
                self._closed_for = min(max(CLOSED_SECONDS, 2.0 * self._closed_for), CLOSED_AT_MOST)
                self._closed_until = self._clock() + self._closed_for
                self._refusal = str(error.args[0])
            raise
        with self._lock:
            self._closed_for = 0.0
        return answer

    def _knock(self) -> None:
        """Raise where the door is closed, without a call."""
        with self._lock:
            wait = self._closed_until - self._clock()
            if self._closed_for and wait > 0.0:
                raise AccessRefused(f"{self._refusal}; it is asked again in {wait:.0f} s")

    def _take(self, *, urgent: bool) -> float:
        """Take one request from the budget; returns 0, or the seconds until there is one."""
        with self._lock:
            now = self._clock()
            self._budget = min(self._most, self._budget + (now - self._counted) * self._most / 60.0)
            self._counted = now
            if self._limited_until > now:
                return self._limited_until - now
            lacking = 1.0 + (0.0 if urgent else self._kept) - self._budget
            if lacking > 0.0:
                return lacking * 60.0 / self._most
            self._budget -= 1.0
            return 0.0

    def _pause(self, attempt: int, asked: float | None) -> float:
        """Return how long to wait: what the broker asks for, or longer each time, and a bit by chance."""
        least = asked if asked is not None else FIRST_PAUSE * 2.0**attempt
        return least * (1.0 + 0.25 * self._chance())
