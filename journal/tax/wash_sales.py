"""Wash sales: losses that are put off because the same thing was bought again.

United States, section 1091: a loss counts not yet where substantially identical property is acquired within
30 days before or after the sale. The loss is added to the basis of what was acquired, and the time the sold
property was held is added to its holding period. What is covered here, and how what the law leaves open is
decided:

- A loss on shares is matched with shares of the same ticker, and with bought calls on it: a contract to
  acquire shares counts like the shares. A loss on a bought call likewise; a loss on a bought put is matched
  with bought puts on the same underlying. `scope="contract"` matches the same symbol only, as brokers report.
- A loss on shares sold short is matched with another short sale of the same ticker.
- Written options make no wash sales here.
- Losses are matched in the order of the sales, with acquisitions in the order of their dates; an acquired
  share defers one share of loss, once. What was acquired before the sale counts if it is still held after it.
- The rest of the very purchase that was sold is no replacement (Rev. Rul. 56-602): one order is one purchase.
- A call that was exercised is represented by the shares it brought.
- All accounts that are given are matched with one another; accounts of a spouse or an IRA are not known here.

>>> wash_window(date(2024, 3, 1))
(datetime.date(2024, 1, 31), datetime.date(2024, 3, 31))
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from journal.statements.rows import contract

__all__ = ["WINDOW_DAYS", "Acquired", "Scope", "Slice", "apply_wash_sales", "same_property", "wash_window"]

WINDOW_DAYS = 30
"""Days before and after the sale, each; IRS Publication 550, "Wash Sales"."""

Scope = Literal["underlying", "contract"]

_SMALL = 1e-9


@dataclass(frozen=True, slots=True)
class Acquired:
    """Where and when a lot was opened.

    Attributes
    ----------
    key
        The opening fill.
    purchase
        The order it belongs to: its other fills are the same purchase.
    account, symbol, underlying
        As in `journal.schema.fills`.
    side
        +1 bought, -1 sold short or written.
    day
        Trade date in New York.
    ts
        UTC nanoseconds.
    multiplier
        Shares per contract, 1 for shares.
    """

    key: str
    purchase: str
    account: str
    symbol: str
    underlying: str
    side: int
    day: date
    ts: int
    multiplier: float


@dataclass(slots=True, eq=False)
class Slice:
    """A part of a lot with one fate: disposed of at one time, or open.

    Attributes
    ----------
    lot
        Where it comes from.
    quantity
        Shares or contracts.
    opened
        Cost with fees of what was bought; proceeds less fees of what was sold short. Currency.
    close_key, closed_day, closed_ts
        The closing fill; "", None and 0 while open.
    closed
        Proceeds less fees, or cost with fees to cover a short. Currency.
    transferred
        True where an exercise or assignment moved the amount to the shares: no gain of its own.
    deferred
        Losses of earlier sales that were added to the basis.
    tacked_days
        Days by which those make the holding period longer.
    disallowed
        Part of this slice's own loss that is put off.
    replaces
        True where it has deferred a loss, which it can do once.
    """

    lot: Acquired
    quantity: float
    opened: float
    close_key: str = ""
    closed_day: date | None = None
    closed_ts: int = 0
    closed: float = 0.0
    transferred: bool = False
    deferred: float = 0.0
    tacked_days: int = 0
    disallowed: float = 0.0
    replaces: bool = False

    @property
    def raw_gain(self) -> float:
        """Profit before wash sales, of what is closed."""
        return self.closed - self.opened if self.lot.side > 0 else self.opened - self.closed

    @property
    def gain(self) -> float:
        """Profit with deferred losses in the basis and the disallowed part left out."""
        return self.raw_gain - self.deferred + self.disallowed

    @property
    def units(self) -> float:
        """Size in shares of the underlying."""
        return self.quantity * self.lot.multiplier

    def split(self, quantity: float) -> Slice:
        """Cut `quantity` off, and return the rest. Modifies this slice in place."""
        share = quantity / self.quantity
        rest = replace(
            self,
            quantity=self.quantity - quantity,
            opened=self.opened * (1 - share),
            closed=self.closed * (1 - share),
            deferred=self.deferred * (1 - share),
            disallowed=self.disallowed * (1 - share),
        )
        self.opened -= rest.opened
        self.closed -= rest.closed
        self.deferred -= rest.deferred
        self.disallowed -= rest.disallowed
        self.quantity = quantity
        return rest


def wash_window(day: date) -> tuple[date, date]:
    """Return the first and the last day on which an acquisition defers a loss of `day`."""
    return day - timedelta(days=WINDOW_DAYS), day + timedelta(days=WINDOW_DAYS)


def same_property(sold: Acquired, bought: Acquired, scope: Scope = "underlying") -> bool:
    """Tell whether an acquisition is substantially identical to what was sold, as this module decides it."""
    if sold.side != bought.side or (sold.side < 0 and contract(sold.symbol) is not None):
        return False
    if scope == "contract" or sold.side < 0:
        return sold.symbol == bought.symbol
    return sold.underlying == bought.underlying and _direction(sold.symbol) == _direction(bought.symbol)


def apply_wash_sales(slices: Iterable[Slice], scope: Scope = "underlying") -> list[Slice]:
    """Put off the losses that wash sales disallow.

    Parameters
    ----------
    slices
        All slices of all accounts; they are modified, and split where a part is touched.
    scope
        "underlying" (default), or "contract" for the same symbol only.

    Returns
    -------
    list of Slice
        In the order of acquisition; the sums of quantities and amounts are those that were given.
    """
    done = list(slices)
    by_underlying: dict[str, list[Slice]] = {}
    for one in done:
        by_underlying.setdefault(one.lot.underlying, []).append(one)
    result: list[Slice] = []
    for group in by_underlying.values():
        result.extend(_apply(group, scope))
    result.sort(key=_acquired)
    return result


def _apply(slices: list[Slice], scope: Scope) -> list[Slice]:
    pending = sorted((one for one in slices if one.closed_day is not None), key=_disposed)
    held = sorted(slices, key=_acquired)
    while pending:
        sold = pending.pop(0)
        while sold.gain < -_SMALL and not sold.transferred:
            found = _replacement(sold, held, scope)
            if found is None:
                break
            units = min(sold.units, found.units)
            if units < found.units - _SMALL:
                rest = found.split(units / found.lot.multiplier)
                held.insert(held.index(found) + 1, rest)
                if found in pending:
                    pending.insert(pending.index(found) + 1, rest)
            rest_of_loss = sold.split(units / sold.lot.multiplier) if units < sold.units - _SMALL else None
            loss = -sold.gain
            sold.disallowed += loss
            found.deferred += loss
            found.tacked_days += _held_days(sold)
            found.replaces = True
            if rest_of_loss is None:
                break
            held.insert(held.index(sold) + 1, rest_of_loss)
            sold = rest_of_loss
    return held


def _replacement(sold: Slice, held: Sequence[Slice], scope: Scope) -> Slice | None:
    assert sold.closed_day is not None  # noqa: S101 - only what is disposed of is looked up
    first, last = wash_window(sold.closed_day)
    for at in range(bisect_left(held, first, key=lambda one: one.lot.day), len(held)):
        one = held[at]
        if one.lot.day > last:
            return None
        if (
            not one.replaces
            and not one.transferred
            and one.lot.purchase != sold.lot.purchase
            and (one.closed_day is None or one.closed_ts > sold.closed_ts)
            and same_property(sold.lot, one.lot, scope)
        ):
            return one
    return None


def _held_days(sold: Slice) -> int:
    assert sold.closed_day is not None  # noqa: S101 - as above
    return (sold.closed_day - sold.lot.day).days + sold.tacked_days


def _direction(symbol: str) -> int:
    option = contract(symbol)
    return -1 if option is not None and option.kind == "put" else 1


def _acquired(one: Slice) -> tuple[date, int, str, int]:
    return one.lot.day, one.lot.ts, one.lot.key, one.closed_ts or 2**63


def _disposed(one: Slice) -> tuple[int, str, int, str]:
    return one.closed_ts, one.close_key, one.lot.ts, one.lot.key
