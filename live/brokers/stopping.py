"""Cancelling what works at several brokers at once, and counting truthfully what is not cancelled.

Asking to cancel is not a cancel, and an answer to it is none either: an order counts as cancelled only when
the broker lists it as final afterwards. What cannot be asked is unknown, never done. Each broker is asked in
a thread of its own, and each order by one of a few, since a broker or a cancel that hangs must not keep the
others waiting; failures are repeated with growing pauses, which is harmless for cancels.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from live.brokers.interface import BrokerInterface, BrokerOrder
from live.kill_switch import Halt
from simulator.types import OrderState

__all__ = ["BrokerStop", "CancelReport", "KillReport", "cancel_working"]

ATTEMPTS: Final = 4
PAUSE_SECONDS: Final = 0.1
"""Before the second attempt; each later pause is three times the one before."""

PATIENCE_SECONDS: Final = 20.0
"""How long one broker is waited for in all."""

CALL_SECONDS: Final = 5.0
"""How long the cancels of one attempt are waited for; what hangs longer is asked for again."""

CALLS_AT_ONCE: Final = 4


@dataclass(slots=True)
class BrokerStop:
    """What came of cancelling at one broker, by order id.

    Attributes
    ----------
    filled
        Filled before they could be cancelled.
    unconfirmed
        Asked to cancel or not, they may still fill.
    kept
        Left working, because they only shrink a position.
    answered
        Whether the broker said at least once what works, and at the end how it stands.
    """

    cancelled: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    answered: bool = False
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CancelReport:
    """What came of cancelling, by broker."""

    brokers: Mapping[str, BrokerStop]

    @property
    def cancelled(self) -> int:
        """Orders of which the broker says that they are cancelled."""
        return sum(len(stop.cancelled) for stop in self.brokers.values())

    @property
    def not_confirmed(self) -> int:
        """Orders known of which it does not; a broker in `unknown` may have more."""
        return sum(len(stop.unconfirmed) for stop in self.brokers.values())

    @property
    def unknown(self) -> tuple[str, ...]:
        """Brokers that did not say what works there."""
        return tuple(name for name, stop in self.brokers.items() if not stop.answered)


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill achieved; the halt itself holds in any case that `halt.complete` says.

    Attributes
    ----------
    voided
        Review requests ended; None where the queue did not answer.
    unresolved
        Client ids of orders of which nobody knows whether they work.
    problems
        What went wrong, in words.
    """

    halt: Halt
    cancels: CancelReport
    voided: int | None
    unresolved: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def not_confirmed(self) -> int:
        """Orders not confirmed cancelled."""
        return self.cancels.not_confirmed + len(self.unresolved)

    def __str__(self) -> str:
        words = f"{self.halt.state}, {self.cancels.cancelled} orders cancelled"
        words += f", {self.not_confirmed} not confirmed cancelled"
        unknown = self.cancels.unknown
        return words + (f"; unknown at {', '.join(unknown)}" if unknown else "")


def cancel_working(
    brokers: Mapping[str, BrokerInterface],
    keep: Callable[[str, BrokerInterface], Callable[[BrokerOrder], bool]],
    *,
    sleep: Callable[[float], None] = time.sleep,
    attempts: int = ATTEMPTS,
    patience: float = PATIENCE_SECONDS,
) -> CancelReport:
    """Cancel everything that works, except what `keep` wants kept; never raises.

    Parameters
    ----------
    keep
        Given a broker's name and the broker, returns who says of an order whether it is left working.
    """
    stops = {name: BrokerStop() for name in brokers}
    threads = [
        threading.Thread(
            target=_stop, args=(name, broker, stops[name], keep, sleep, attempts, patience), daemon=True
        )
        for name, broker in brokers.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + patience
    for name, thread in zip(brokers, threads, strict=True):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            # the thread still writes to its own report, so the answer is made of a new one
            known = list(stops[name].unconfirmed)
            stops[name] = BrokerStop(unconfirmed=known, problems=[f"no answer within {patience:g} s"])
    return CancelReport(stops)


def _stop(
    name: str,
    broker: BrokerInterface,
    stop: BrokerStop,
    keep: Callable[[str, BrokerInterface], Callable[[BrokerOrder], bool]],
    sleep: Callable[[float], None],
    attempts: int,
    patience: float,
) -> None:
    asked: dict[str, BrokerOrder] = {}
    listed = False
    try:
        is_kept = keep(name, broker)
        for attempt in range(attempts):
            if attempt:
                sleep(PAUSE_SECONDS * 3.0 ** (attempt - 1))
            working = _working(broker, stop)
            if working is None:
                continue
            listed = True
            stop.kept = [order.order_id for order in working if is_kept(order)]
            todo = [order for order in working if not is_kept(order)]
            if not todo:
                break
            asked.update((order.order_id, order) for order in todo)
            stop.unconfirmed = list(asked)
            _cancel_each(broker, todo, stop, patience / (attempts + 2))
    except Exception as error:  # a kill goes on whatever an adapter raises; what is open is counted below
        stop.problems.append(f"{type(error).__name__}: {error}")
    _count(broker, stop, asked, listed)


def _working(broker: BrokerInterface, stop: BrokerStop) -> list[BrokerOrder] | None:
    try:
        return [order for order in broker.get_orders() if order.is_open]
    except Exception as error:  # of whatever the adapter's library raises
        stop.problems.append(f"its orders are unknown ({type(error).__name__}: {error})")
        return None


def _cancel_each(
    broker: BrokerInterface, orders: list[BrokerOrder], stop: BrokerStop, patience: float
) -> None:
    waiting: SimpleQueue[BrokerOrder] = SimpleQueue()
    for order in orders:
        waiting.put(order)
    open_calls: dict[str, float] = {}

    def work() -> None:
        while True:
            try:
                order = waiting.get_nowait()
            except Empty:
                return
            open_calls[order.order_id] = time.monotonic()
            try:
                broker.cancel_order(order.order_id)
            except Exception as error:  # the broker's list says what is cancelled; the rest is repeated
                stop.problems.append(f"{order.order_id}: {type(error).__name__}: {error}")
            open_calls.pop(order.order_id, None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(CALLS_AT_ONCE, len(orders)))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + min(CALL_SECONDS, patience)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    stop.problems += [f"{name}: no answer to the cancel" for name in list(open_calls)]


def _count(broker: BrokerInterface, stop: BrokerStop, asked: Mapping[str, BrokerOrder], listed: bool) -> None:
    """Ask once more how everything stands, and sort by that alone."""
    if not asked:
        stop.answered = listed
        return
    try:
        now = {order.order_id: order for order in broker.get_orders(open_only=False)}
    except Exception as error:  # as above
        stop.problems.append(f"how its orders stand is unknown ({type(error).__name__}: {error})")
        return  # nothing that was asked for is confirmed
    stop.answered = True
    stop.unconfirmed = [name for name in asked if name not in now or now[name].is_open]
    final = [now[name] for name in asked if name not in stop.unconfirmed]
    stop.filled = [order.order_id for order in final if order.state == OrderState.FILLED]
    stop.cancelled = [order.order_id for order in final if order.state != OrderState.FILLED]
