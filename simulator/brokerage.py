"""What a broker says an account holds and what happened in it: the values, and the Protocol.

The position tracker of the journal asks whoever keeps an account: a paper account here, a broker's adapter
in `live`. Three rules keep the answers honest. Symbols are canonical: the ticker, or the OCC symbol of an
option without padding ("SPY261218P00500000"). A quantity is signed, short is negative. And a query that fails
raises: an empty list means that the account is flat, and nothing else ever means that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

__all__ = ["BrokerPositions", "Execution", "Holding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One contract or stock that an account holds.

    Attributes
    ----------
    symbol
        Canonical.
    quantity
        Contracts or shares, negative when short, never 0.
    average_price
        What one unit cost or brought, in currency per unit of the underlying; None where the broker does not
        say.
    multiplier
        Units of the underlying per contract.
    mark
        Price now, None if unknown.
    """

    symbol: str
    quantity: float
    average_price: float | None = None
    multiplier: float = 1.0
    mark: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One thing that changed a position: a fill, an exercise, an assignment, an expiry.

    Attributes
    ----------
    execution_id
        The broker's own id, unique within the account for ever; the one that its statements show, so that a
        statement imported later is recognised (Interactive Brokers: ibExecID of fills, tradeID of bookings).
    order_id
        The broker's order; legs of one order share it. "" if unknown.
    time
        Aware.
    symbol
        Canonical.
    side
        +1 bought, -1 sold.
    quantity, price
        Contracts or shares, above 0; currency per unit of the underlying, 0 for an expiry without value.
    fees
        Currency; paid is positive.
    kind
        What it was.
    effect
        Whether it opened or closed; "" where the position decides.
    """

    execution_id: str
    order_id: str
    time: datetime
    symbol: str
    side: int
    quantity: float
    price: float
    multiplier: float = 1.0
    fees: float = 0.0
    kind: Literal["trade", "exercise", "assignment", "expiry"] = "trade"
    effect: Literal["open", "close", ""] = ""


@runtime_checkable
class BrokerPositions(Protocol):
    """An account that can be asked what it holds and what happened in it."""

    @property
    def broker(self) -> str:
        """Short name of the broker: "paper", "tastytrade"."""
        ...

    @property
    def account(self) -> str:
        """Number or name of the account."""
        ...

    def holdings(self) -> Sequence[Holding]:
        """Return everything that is held; raises where the broker does not answer."""
        ...

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened at or after `since`, oldest first; all of it for None; raises on failure."""
        ...
