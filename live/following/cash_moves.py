"""Cash that came or went without a trade: what the account's books of two looks differ by, less the fills.

An account's equity falls by losses and by withdrawals alike. Prices do not move cash, and fills move it by
what they say, so what is left over was paid in or out, or is a dividend, interest or a fee. Which of them the
broker's activities tell, where the adapter has them. While positions and fills do not agree, since one of
them is told later than the other, nothing is concluded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from live.reconciling.fill_ledger import DUST

if TYPE_CHECKING:
    from live.brokers.interface import BrokerInterface
    from live.brokers.told import Activity
    from live.following.cases import Facts

__all__ = ["Books", "booked", "books_of", "earned", "transferred", "unexplained"]

_EARNED: Final = frozenset({"dividend", "interest", "fee"})
"""Activities that make or cost money, as opposed to those that bring it or take it away."""

_SKEW: Final = timedelta(minutes=1)
"""How far the broker's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class Books:
    """Cash, positions and number of fills that were known at a time."""

    at: datetime
    cash: float
    held: Mapping[str, float]
    fills: int

    def plain(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return asdict(self) | {"at": self.at.astimezone(UTC).isoformat(), "held": dict(self.held)}

    @classmethod
    def of_plain(cls, told: Mapping[str, Any]) -> Self:
        """Return what `plain` has told."""
        at = datetime.fromisoformat(told["at"])
        return cls(at, float(told["cash"]), dict(told["held"]), int(told["fills"]))


def books_of(facts: Facts) -> Books | None:
    """Return the books of a look; None where its cash is not told."""
    if facts.account is None or not math.isfinite(facts.account.cash):
        return None
    held = {symbol: one.quantity for symbol, one in facts.positions.items()}
    return Books(facts.at, facts.account.cash, held, len(facts.ledger.fills))


def unexplained(before: Books, now: Books, facts: Facts) -> float | None:
    """Return the cash that has come (above 0) or gone by no fill; None where that cannot be told yet."""
    fills = list(facts.ledger.fills.values())[before.fills :]
    change = {
        name: now.held.get(name, 0.0) - before.held.get(name, 0.0) for name in {*before.held, *now.held}
    }
    cash = now.cash - before.cash
    for one in fills:
        change[one.symbol] = change.get(one.symbol, 0.0) - one.side * one.quantity
        cash += one.side * one.quantity * one.price * one.multiplier + one.fees
    return None if any(abs(left) > DUST for left in change.values()) else cash


def booked(broker: BrokerInterface, since: datetime, known: Iterable[str]) -> list[Activity]:
    """Return what the broker has booked since a time, without the `known` ids; nothing where it is silent."""
    ask = getattr(broker, "activities", None)
    if ask is None:
        return []
    try:
        told: list[Activity] = list(ask(since - _SKEW))
    except Exception:  # whatever an adapter's library raises: a broker that does not tell
        return []
    known = set(known)
    return [one for one in told if one.activity_id not in known]


def earned(activities: Iterable[Activity]) -> float:
    """Return what of activities is dividends, interest and fees."""
    return sum(one.amount for one in activities if one.kind in _EARNED)


def transferred(activities: Iterable[Activity]) -> float:
    """Return what of activities was paid in or out."""
    return sum(one.amount for one in activities if one.kind == "transfer")
