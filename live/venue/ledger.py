"""What a venue's account holds: cash, net positions at their average prices, and the record of what changed.

A position has one average price. What makes it larger moves the average, what makes it smaller realises the
difference, and what turns it around starts anew at its own price.
"""

from __future__ import annotations

import marshal
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from live.venue.orders import PLAIN, time_of
from live.venue.types import VenueActivity

__all__ = ["Ledger", "Position", "clean"]

_DUST: Final = 1e-9  # what rounding leaves of a quantity

_FIELDS: Final = (
    "kind",
    "symbol",
    "side",
    "qty",
    "price",
    "multiplier",
    "net_amount",
    "fees",
    "order_id",
    "execution_id",
    "cum_qty",
    "leaves_qty",
    "partial",
    "description",
)


def clean(quantity: float) -> float:
    """Return a quantity without what rounding leaves."""
    return round(float(quantity), 9)  # NumPy floats would not be stored as such


class Position:
    """What is held of one symbol; `qty` is signed, `average` in currency per unit of the underlying.

    `lastday` is of the end of the session before, `today` of what this session added.
    """

    __slots__ = (
        "average", "lastday_price", "lastday_qty", "multiplier", "qty", "today_qty", "today_value",
    )  # fmt: skip

    def __init__(self, multiplier: float) -> None:
        self.qty = 0.0
        self.average = 0.0
        self.multiplier = multiplier
        self.lastday_qty = 0.0
        self.lastday_price = 0.0
        self.today_qty = 0.0
        self.today_value = 0.0

    def end_day(self, price: float) -> None:
        """Let a session end at a price."""
        self.lastday_qty, self.lastday_price = self.qty, price
        self.today_qty = self.today_value = 0.0

    def split(self, ratio: float) -> None:
        """Turn one share into `ratio`."""
        self.qty, self.lastday_qty, self.today_qty = (
            clean(one * ratio) for one in (self.qty, self.lastday_qty, self.today_qty)
        )
        self.average /= ratio
        self.lastday_price /= ratio

    @property
    def base(self) -> float:
        """Price that this session's gain is measured from: the last of the one before, or what it cost."""
        old = min(abs(self.qty), abs(self.lastday_qty)) if self.qty * self.lastday_qty > 0.0 else 0.0
        new = self.today_value / self.today_qty if self.today_qty else self.average
        return (old * self.lastday_price + (abs(self.qty) - old) * new) / abs(self.qty)


class Ledger:
    """Cash, positions, and every activity in the order in which they came."""

    def __init__(self, cash: float, salt: str) -> None:
        self.cash = cash
        self.realized = 0.0
        self.fees = 0.0
        self.positions: dict[str, Position] = {}
        self._salt = salt
        self._times: list[int] = []
        self._kept: list[bytes] = []

    def quantity(self, symbol: str) -> float:
        """Return what is held of a symbol, signed."""
        held = self.positions.get(symbol)
        return 0.0 if held is None else held.qty

    def trade(self, symbol: str, change: float, price: float, multiplier: float, fee: float) -> None:
        """Change a position by a signed quantity at a price, and the cash by what it costs."""
        held = self.positions.get(symbol)
        if held is None:
            held = self.positions[symbol] = Position(multiplier)
        self.cash -= change * price * held.multiplier + fee
        self.fees += fee
        before = held.qty
        after = clean(before + change)
        if before * change >= 0.0:
            held.average = (held.average * abs(before) + price * abs(change)) / (abs(before) + abs(change))
            held.today_qty += abs(change)
            held.today_value += abs(change) * price
        else:
            closed = min(abs(change), abs(before))
            sign = 1.0 if before > 0.0 else -1.0
            self.realized += closed * (price - held.average) * sign * held.multiplier
            if after * before < 0.0:
                held.average = price
                held.today_qty, held.today_value = abs(after), abs(after) * price
        held.qty = after
        if abs(after) < _DUST:
            del self.positions[symbol]

    def note(self, now: int, **fields: object) -> str:
        """Record an activity; returns its execution id."""
        execution = f"{self._salt}-{len(self._times):012x}"
        fields["execution_id"] = execution
        self._times.append(now)
        self._kept.append(marshal.dumps([fields.get(name) for name in _FIELDS], PLAIN))
        return execution

    def between(
        self, after: int | None, until: int | None, *, newest: bool, beyond: str = ""
    ) -> Iterator[VenueActivity]:
        """Return the activities later than `after` and not later than `until`, those after `beyond` alone.

        `beyond` is an activity's id, the last one of the page before in the same order.
        """
        first = 0 if after is None else bisect_right(self._times, after)
        last = len(self._times) if until is None else bisect_right(self._times, until)
        if beyond:
            seen = self._index(beyond)
            first, last = (first, min(last, seen)) if newest else (max(first, seen + 1), last)
        for index in range(last - 1, first - 1, -1) if newest else range(first, last):
            yield self._activity(index, self._times[index])

    def _index(self, activity_id: str) -> int:
        # The number at the end of an execution's id is its place; an id that is none of ours is before all.
        head, _, tail = activity_id.rpartition("-")
        if not head.endswith(self._salt):
            return -1
        try:
            return int(tail, 16)
        except ValueError:
            return -1

    def state(self) -> object:
        """Return everything that makes it up, as plain values."""
        held = {
            symbol: [getattr(one, name) for name in Position.__slots__]
            for symbol, one in sorted(self.positions.items())
        }
        return (self.cash, self.realized, self.fees, held, self._times, self._kept)

    def _activity(self, index: int, now: int) -> VenueActivity:
        values = marshal.loads(self._kept[index])  # noqa: S302 - written above
        given = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
        moment = time_of(now)
        stamp = f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}"
        return VenueActivity(id=f"{stamp}::{given['execution_id']}", time=moment, **given)
