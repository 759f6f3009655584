"""What was filled at one broker, by execution id: the only thing that positions are counted from.

An execution is taken in once, however often and in whatever order it is told. It counts where its order is
ours, or where it is the expiry of what we hold; a foreign trade, an exercise or an assignment is remembered
and counts only once a person has accepted it, as an adjustment in that person's name. Nothing here is ever
made up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final

from live.brokers.interface import BrokerOrder, OrderPurpose
from live.intents import IntentLog, LoggedEvent
from simulator.brokerage import Execution

__all__ = ["DUST", "Adjustment", "Excess", "FillLedger"]

DUST: Final = 1e-9
"""Shares below which two quantities are the same."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a person accepted without a fill of ours: signed quantity of a symbol.

    Attributes
    ----------
    ratio
        How many shares became of one, 1.0 for what is no split.
    split_at
        By when; what was filled before counts in shares of before. None for what is no split.
    """

    time: datetime
    symbol: str
    quantity: float
    ratio: float = 1.0
    split_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Excess:
    """An exit that left more than there was: the position went through zero, or grew."""

    execution: Execution
    quantity: float


class FillLedger:
    """The fills of one account at one broker.

    Parameters
    ----------
    log
        Where they are stored.
    broker
        Name under which the manager has the broker.
    account
        The broker's account; execution ids are unique within it.
    """

    def __init__(self, log: IntentLog, broker: str, account: str) -> None:
        self._log = log
        self._broker = broker
        self._account = account
        self.fills: dict[str, Execution] = {}
        self.taken: dict[str, datetime] = {}
        """When each was taken in, by our clock."""
        self.adjustments: list[Adjustment] = []
        self._by_order: dict[str, list[Execution]] = {}
        self._owners: dict[str, tuple[str, OrderPurpose]] = {}
        self._own: set[str] = set()  # not children
        self._ids: dict[str, set[str]] = {}  # ids at the broker by client order id
        for order_id, (identity, purpose) in log.identities(broker).items():
            self.own(order_id, identity, purpose)
        for event in log.events("fill", "alias", "adjusted"):
            if event.data["broker"] != broker:
                continue
            if event.kind == "fill":
                if event.data["account"] == account:
                    self._put(_execution(event.data["execution"]), event.time)
            elif event.kind == "alias":
                self._name(event.data["broker_order"], event.order, event.data["role"])
            else:
                self.adjustments.append(_adjustment(event))

    def owner(self, order_id: str) -> str:
        """Return the client order id of the order, or of a child's parent; "" for a foreign one."""
        return self._owners.get(order_id, ("", "entry"))[0]

    def own(self, order_id: str, identity: str, purpose: OrderPurpose) -> None:
        """Take in that an order at the broker is ours."""
        self._owners[order_id] = (identity, purpose)
        self._own.add(order_id)
        self._ids.setdefault(identity, set()).add(order_id)

    def adopt_child(self, child: BrokerOrder, identity: str, at: datetime) -> None:
        """Take in that an order is a child of one of ours, on record since the broker may forget it."""
        if child.order_id not in self._owners:
            self._log.note(
                "alias", at, key=f"alias:{self._broker}:{child.order_id}", order=identity,
                symbol=child.legs[0].symbol, broker=self._broker, broker_order=child.order_id, role="child",
            )  # fmt: skip
            self._name(child.order_id, identity, "child")

    def take(self, executions: Iterable[Execution], at: datetime) -> list[Execution]:
        """Store executions that are new, and return them."""
        new = []
        for one in executions:
            if one.execution_id in self.fills:
                continue
            plain = {**asdict(one), "time": one.time.astimezone(UTC).isoformat()}
            self._log.note(
                "fill", at, key=f"fill:{self._broker}:{self._account}:{one.execution_id}",
                order=self.owner(one.order_id), symbol=one.symbol, broker=self._broker,
                account=self._account, execution=plain,
            )  # fmt: skip
            self._put(one, at)
            new.append(one)
        return new

    def adjust(self, adjustment: Adjustment) -> None:
        """Take in what a person accepted; the caller has stored it."""
        self.adjustments.append(adjustment)

    def positions(self) -> dict[str, float]:
        """Return what the books hold, signed, without what is flat."""
        held: dict[str, float] = {}
        for one in self.fills.values():
            if self._counts(one):
                held[one.symbol] = held.get(one.symbol, 0.0) + one.side * one.quantity
        for change in self.adjustments:
            held[change.symbol] = held.get(change.symbol, 0.0) + change.quantity
        return {symbol: quantity for symbol, quantity in held.items() if abs(quantity) > DUST}

    def filled(self, identity: str, symbol: str) -> tuple[float, float | None]:
        """Return how much of a leg its own order has filled, not signed, and at what price on average."""
        return _sum(one for one in self._of(identity) if one.symbol == symbol and one.order_id in self._own)

    def rest(self, identity: str, symbol: str) -> float:
        """Return what of an order its children have not left, in shares of now, after all splits."""
        total = 0.0
        for one in self._of(identity):
            if one.symbol == symbol:
                quantity = one.quantity * self.factor(symbol, one.time)
                total += quantity if one.order_id in self._own else -quantity
        return total

    def brought(self, identity: str, symbol: str) -> float:
        """Return what an order itself has filled, in shares of now, after all splits."""
        return sum(
            one.quantity * self.factor(symbol, one.time)
            for one in self._of(identity)
            if one.symbol == symbol and one.order_id in self._own
        )

    def factor(self, symbol: str, since: datetime) -> float:
        """Return how many shares of now one share of `since` is, by the splits that were accepted."""
        factor = 1.0
        for change in self.adjustments:
            if change.symbol == symbol and change.split_at is not None and change.split_at > since:
                factor *= change.ratio
        return factor

    def foreign(self, symbol: str) -> list[Execution]:
        """Return the executions in a symbol that do not count, oldest first."""
        found = [one for one in self.fills.values() if one.symbol == symbol and not self._counts(one)]
        return sorted(found, key=lambda one: one.time)

    def excesses(self, symbol: str) -> list[Excess]:
        """Return the exits of a symbol that left more than there was, in the order of their times."""
        changes: list[tuple[datetime, Execution | Adjustment]] = [
            (one.time, one) for one in self.fills.values() if one.symbol == symbol and self._counts(one)
        ]
        changes += [(one.time, one) for one in self.adjustments if one.symbol == symbol]
        held = 0.0
        found: list[Excess] = []
        for _, together in itertools.groupby(sorted(changes, key=itemgetter(0)), key=itemgetter(0)):
            waiting = []
            for _, one in together:
                if isinstance(one, Execution):
                    waiting.append(one)
                else:
                    held += one.quantity
            # some brokers tell times to the second, and nobody says in which order its fills came
            while waiting:
                first = self._next_of(waiting, held)
                waiting.remove(first)
                over = _left_too_much(held, first) if self._leaves(first) else 0.0
                if over > DUST:
                    found.append(Excess(first, over))
                held += first.side * first.quantity
        return found

    def _next_of(self, waiting: Sequence[Execution], held: float) -> Execution:
        """Return what came first of one moment: an exit for which there is enough, else what is no exit."""
        exits = [one for one in waiting if self._leaves(one)]
        enough = [one for one in exits if _left_too_much(held, one) <= DUST]
        return next(iter((*enough, *(one for one in waiting if one not in exits), *exits)))

    def _counts(self, one: Execution) -> bool:
        if one.kind == "expiry":
            # of what the books hold; the expiry of a foreign position is foreign
            return any(self._counts(other) for other in self._in(one.symbol) if other.kind == "trade") or any(
                change.symbol == one.symbol for change in self.adjustments
            )
        return one.kind == "trade" and one.order_id in self._owners

    def _in(self, symbol: str) -> Iterator[Execution]:
        return (one for one in self.fills.values() if one.symbol == symbol)

    def _put(self, one: Execution, at: datetime) -> None:
        self.fills[one.execution_id] = one
        self.taken[one.execution_id] = at
        self._by_order.setdefault(one.order_id, []).append(one)

    def _leaves(self, one: Execution) -> bool:
        return one.kind == "trade" and self._owners[one.order_id][1] != "entry"

    def _of(self, identity: str) -> Iterator[Execution]:
        for order_id in sorted(self._ids.get(identity, ())):
            yield from (one for one in self._by_order.get(order_id, ()) if one.kind == "trade")

    def _name(self, order_id: str, identity: str, role: str) -> None:
        if role == "child":
            self._owners[order_id] = (identity, "protect")
            self._ids.setdefault(identity, set()).add(order_id)
        else:
            purpose: OrderPurpose = next(
                (purpose for known, purpose in self._owners.values() if known == identity), "entry"
            )
            self.own(order_id, identity, purpose)


def _left_too_much(held: float, one: Execution) -> float:
    """Return how much more an exit leaves than there is."""
    return one.quantity - (abs(held) if held * one.side < 0 else 0.0)


def _sum(executions: Iterable[Execution]) -> tuple[float, float | None]:
    quantity = value = 0.0
    for one in executions:
        quantity += one.quantity
        value += one.quantity * one.price
    return quantity, value / quantity if quantity > DUST else None


def _adjustment(event: LoggedEvent) -> Adjustment:
    split_at = event.data.get("split_at")
    return Adjustment(
        event.time, event.symbol, event.data["quantity"], ratio=event.data.get("ratio", 1.0),
        split_at=None if split_at is None else datetime.fromisoformat(split_at),
    )  # fmt: skip


def _execution(fields: dict[str, Any]) -> Execution:
    return Execution(**{**fields, "time": datetime.fromisoformat(fields["time"])})
