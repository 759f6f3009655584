"""A broker that fails as a script says: a wrapper around any other one.

`at(call, n, fault)` lets the n-th call of a method go wrong (n counts from 1), `every(call, fault)` all of
them until `clear()`. What a fault does to a call:

    LostBefore      a timeout; the broker never got it
    LostAfter       a timeout; the broker did it
    Hangs           waits until `release()` and then does it
    Duplicate       done, and answered as "client order id must be unique"
    Limited         429, with Retry-After; not done
    Unauthorized    401, an expired token; not done
    Forbidden       403, a locked account; not done
    Raises          whatever it is given; not done

What is told of fills has its own switches: `delay_executions`, `repeat_executions`, `shuffle`; what is
listed: `hide_position`, `hide_order`; and `disconnect(n)` loses the next n calls of any kind.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from live.brokers.errors import AccessRefused, DuplicateOrder, RateLimited
from live.brokers.interface import Account, BrokerInterface, BrokerOrder, OrderRequest, Submitted
from simulator.brokerage import Execution, Holding

T = TypeVar("T")

CALLS = (
    "submit_order", "replace_order", "cancel_order", "find_order", "get_orders", "get_positions",
    "get_account", "executions",
)  # fmt: skip


@dataclass(frozen=True)
class LostBefore:
    """A timeout before the broker got it."""


@dataclass(frozen=True)
class LostAfter:
    """A timeout after the broker did it."""


@dataclass(frozen=True)
class Hangs:
    """No answer until `release()`."""


@dataclass(frozen=True)
class Duplicate:
    """Done, and answered as a second submit of the same id."""


@dataclass(frozen=True)
class Limited:
    """429."""

    retry_after: float | None = None


@dataclass(frozen=True)
class Unauthorized:
    """401."""


@dataclass(frozen=True)
class Forbidden:
    """403."""


@dataclass(frozen=True)
class Raises:
    """Whatever an adapter's library may raise."""

    error: Exception = field(default_factory=lambda: RuntimeError("boom"))


Fault = LostBefore | LostAfter | Hangs | Duplicate | Limited | Unauthorized | Forbidden | Raises


class FaultyBroker(BrokerInterface):
    """The wrapper.

    Attributes
    ----------
    calls
        Every call in its order, by name.
    received
        Client order ids that reached the broker behind, in their order: none may be there twice.
    """

    def __init__(self, inner: BrokerInterface, *, seed: int = 0) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.received: list[str] = []
        self.delay_executions = 0
        self.repeat_executions = False
        self.shuffle = False
        self.hide_position: set[str] = set()
        self.hide_order: set[str] = set()
        self._once: dict[tuple[str, int], Fault] = {}
        self._every: dict[str, Fault] = {}
        self._counts: dict[str, int] = {}
        self._down = 0
        self._free = threading.Event()
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - an order of answers, no secret

    def at(self, call: str, n: int, fault: Fault) -> FaultyBroker:
        """Let the n-th call from now on of a method fail."""
        assert call in CALLS
        self._once[call, self._counts.get(call, 0) + n] = fault
        return self

    def every(self, call: str, fault: Fault) -> FaultyBroker:
        """Let all calls of a method fail."""
        assert call in CALLS
        self._every[call] = fault
        return self

    def disconnect(self, calls: int) -> None:
        """Lose the next calls, whatever they are."""
        self._down = calls

    def clear(self) -> None:
        """End all faults."""
        self._once.clear()
        self._every.clear()
        self._down = self.delay_executions = 0
        self.repeat_executions = self.shuffle = False
        self.hide_position, self.hide_order = set(), set()
        self.release()

    def release(self) -> None:
        """Let go what hangs."""
        self._free.set()

    @property
    def broker(self) -> str:
        return self.inner.broker

    @property
    def account(self) -> str:
        return self.inner.account

    @property
    def is_paper(self) -> bool:
        return self.inner.is_paper

    def submit_order(self, request: OrderRequest) -> Submitted:
        def send() -> Submitted:
            self.received.append(request.client_order_id)
            return self.inner.submit_order(request)

        return self._call("submit_order", send)

    def never_arrived(self, client_order_id: str) -> None:
        self.inner.never_arrived(client_order_id)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        return self._call(
            "replace_order",
            lambda: self.inner.replace_order(
                order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
            ),
        )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        return self._call("cancel_order", lambda: self.inner.cancel_order(order_id))

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        found = self._call("find_order", lambda: self.inner.find_order(client_order_id))
        return None if found is not None and found.order_id in self.hide_order else found

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        found = self._call("get_orders", lambda: self.inner.get_orders(open_only=open_only))
        return [order for order in found if order.order_id not in self.hide_order]

    def get_positions(self) -> Sequence[Holding]:
        found = self._call("get_positions", self.inner.get_positions)
        return [one for one in found if one.symbol not in self.hide_position]

    def get_account(self) -> Account:
        return self._call("get_account", self.inner.get_account)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        found = list(self._call("executions", lambda: self.inner.executions(since)))
        if self.delay_executions > 0:
            self.delay_executions -= 1
            return []
        if self.repeat_executions:
            found = found + found
        if self.shuffle:
            self._random.shuffle(found)
        return found

    def _call(self, name: str, do: Callable[[], T]) -> T:
        with self._lock:
            self.calls.append(name)
            self._counts[name] = self._counts.get(name, 0) + 1
            fault = self._once.pop((name, self._counts[name]), self._every.get(name))
            if self._down > 0:
                self._down -= 1
                fault = LostBefore()
        if fault is None:
            return do()
        if isinstance(fault, LostAfter | Duplicate):
            do()
            if isinstance(fault, Duplicate):
                raise DuplicateOrder("client_order_id must be unique")
            raise TimeoutError(f"{name}: no answer")
        if isinstance(fault, Hangs):
            self._free.wait(30)
            return do()
        if isinstance(fault, Limited):
            raise RateLimited("too many requests", retry_after=fault.retry_after)
        if isinstance(fault, Unauthorized):
            raise AccessRefused("the token has expired (401)")
        if isinstance(fault, Forbidden):
            raise AccessRefused("the account is locked (403)")
        raise fault.error if isinstance(fault, Raises) else TimeoutError(f"{name}: not sent")
