"""What a manager writes down, and what it does where that is impossible.

Before an order is sent the record has to succeed: the gate asks for it. After it, nothing may fail any more:
what could not be written is kept, and written with the next thing that can be. Of what is only repeated, like
the cancels of a kill that goes on, one is kept, so that a disk which stays full does not fill the memory too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from live.brokers.book import OrderBook
from live.brokers.interface import BrokerOrder
from live.intents import IntentLog, Sent
from live.kill_switch import KillSwitch
from live.slippage.expecting import Expectation
from live.submit_gate import GateEntry
from simulator.errors import JournalError, TwinstepError

__all__ = ["Diary", "Unwritten"]

_REPEATED: Final = frozenset({"kill", "cancel", "absent", "change", "rescale", "review", "untold"})
"""Kinds of which the newest says all that the ones before it have said."""

_ABOUT: Final = ("key", "order", "broker_order", "request", "title", "why")


@dataclass(frozen=True, slots=True)
class Unwritten:
    """An event that could not be written, with the order that it is about."""

    kind: str
    at: datetime
    sent: Sent | None
    fields: dict[str, Any]

    @property
    def about(self) -> tuple[object, ...] | None:
        """What it has in common with a repetition of it; None where each counts."""
        if self.kind not in _REPEATED:
            return None
        identity = "" if self.sent is None else self.sent.identity
        return (self.kind, identity, *(self.fields.get(name) for name in _ABOUT))


class Diary:
    """The pen of one manager.

    Parameters
    ----------
    log
        Where it writes.
    book
        Knows what is being sent.
    switch
        Says when somebody killed.
    clock
        Aware.
    """

    def __init__(
        self, log: IntentLog, book: OrderBook, switch: KillSwitch, clock: Callable[[], datetime]
    ) -> None:
        self.unwritten: list[Unwritten] = []
        """What could not be written after the fact, oldest first."""
        self._log = log
        self._book = book
        self._switch = switch
        self._clock = clock
        self._lock = threading.RLock()
        self._begun: set[str] = set()

    def record(self, entry: GateEntry, expectation: Expectation | None = None) -> None:
        """Write down a decision of the gate before it is acted on; raises where it cannot.

        What the order is expected to fill at is a part of its intent.
        """
        self.flush()
        sent = self._book.get(entry.order) if entry.purpose != "cancel" else None
        gate: dict[str, Any] = {"state": entry.state, "allowed": entry.allowed, "code": entry.code}
        if sent is not None and entry.allowed:
            if expectation is not None:
                gate["expected"] = expectation.plain
            self._log.begin(sent, **gate)
            self._begun.add(sent.identity)
        else:
            # of a cancel or a change the gate knows the broker's id
            known = {"order": sent.identity} if sent is not None else {"broker_order": entry.order}
            kind = "asked" if entry.allowed else "denied"
            self._log.note(kind, entry.time, purpose=entry.purpose, **known, **gate)

    def changing(
        self, entry: GateEntry, broker: str, order: BrokerOrder | None, wanted: Mapping[str, float]
    ) -> None:
        """Write down what a working order is to become, before it is sent; raises where it cannot."""
        self.flush()
        owner = "" if order is None else order.client_order_id
        known = owner if owner and self._book.get(owner) is not None else ""
        self._log.note(
            "change" if entry.allowed else "denied", entry.time, order=known,
            symbol="" if order is None else order.legs[0].symbol, broker=broker, broker_order=entry.order,
            purpose=entry.purpose, state=entry.state, allowed=entry.allowed, code=entry.code, wanted=wanted,
        )  # fmt: skip

    def wrote(self, sent: Sent, kind: str, **fields: Any) -> bool:
        """Write down how an order stands now; returns whether it is written."""
        self._begun.discard(sent.identity)
        return self._write(Unwritten(kind, self._clock(), sent, fields))

    def has_begun(self, identity: str) -> bool:
        """Whether the intent of an order is written down and nothing after it."""
        return identity in self._begun

    def note(self, kind: str, **fields: Any) -> bool:
        """Write down an event; returns whether it is written."""
        return self._write(Unwritten(kind, self._clock(), None, fields))

    def changed(
        self, broker: str, before: BrokerOrder | None, after: BrokerOrder, wanted: Mapping[str, float]
    ) -> None:
        """Write down the prices of a changed order: what its fills are measured against from now on."""
        same = before is not None and before.order_id == after.order_id
        if same and not {"limit_price", "stop_price"} & set(wanted):
            return
        self.note(
            "changed", symbol=after.legs[0].symbol, broker=broker, broker_order=after.order_id,
            fresh=not same,
            limit_price=wanted.get("limit_price", after.limit_price),
            stop_price=wanted.get("stop_price", after.stop_price),
        )  # fmt: skip

    def renamed(self, broker: str, before: BrokerOrder, after: BrokerOrder) -> None:
        """Write down that a changed order has another id at the broker."""
        if before.order_id == after.order_id or not before.client_order_id:
            return
        try:
            sent = self._book.get(before.client_order_id)
            parent = self._book.get(before.client_order_id.rpartition("-")[0])
        except JournalError:
            return  # the reconciler finds the new id by the client order id
        if sent is not None:
            submitted = replace(sent.submitted, order=after)
            self.wrote(
                self._book.change(sent.identity, lambda one: replace(one, submitted=submitted)), "order"
            )
        family, role = (sent, "replaced") if sent is not None else (parent, "child")
        if family is not None:
            self.note(
                "alias", key=f"alias:{broker}:{after.order_id}", order=family.identity,
                broker=broker, broker_order=after.order_id, role=role,
            )  # fmt: skip

    def killed(self, why: str) -> threading.Thread:
        """Write down, once per kill, that somebody killed; returns the thread that does it, started.

        What must come after it in the record waits for the thread.
        """
        at = self._switch.status["engaged_at"]
        entry = Unwritten("kill", self._clock(), None, {"key": f"kill:{at}" if at else None, "why": why})
        thread = threading.Thread(target=self._write, args=(entry,), daemon=True)
        if self._log.waits:
            thread.start()
        else:
            # inside a write of this very thread, which another one would wait for in vain
            self._write(entry)
            thread = threading.Thread()
            thread.start()
        return thread

    def flush(self) -> None:
        """Write what could not be written before; raises where it still cannot."""
        with self._lock:
            while self.unwritten:
                self._put(self.unwritten[0])
                self.unwritten.pop(0)

    def _write(self, entry: Unwritten) -> bool:
        with self._lock:
            others = [one for one in self.unwritten if entry.about is None or one.about != entry.about]
            if entry.kind != "kill" or len(others) == len(self.unwritten):
                # a kill keeps its place, before what it has brought about
                self.unwritten[:] = [*others, entry]
            try:
                self.flush()
            except (TwinstepError, OSError):
                # what is done is done; the gate writes this first before anything new is sent
                return False
            return True

    def _put(self, entry: Unwritten) -> None:
        if entry.sent is None:
            self._log.note(entry.kind, entry.at, **entry.fields)
        else:
            self._log.store(entry.sent, entry.kind, entry.at, **entry.fields)
