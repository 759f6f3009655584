"""A paper account that is told what was traded, and answers like a broker.

It keeps nothing but executions; what is held follows from them. So it is the smallest honest thing behind
`BrokerPositions`: the position tracker is tested against it, and a trader without a broker's API can keep one
by hand.

>>> from datetime import UTC, datetime
>>> account = PaperPositions()
>>> order = account.trade([("SPY261218P00500000", -2, 4.10), ("SPY261218P00490000", 2, 2.20)],
...                       time=datetime(2026, 11, 2, 15, tzinfo=UTC), multiplier=100)
>>> [(held.symbol, held.quantity) for held in account.holdings()]
[('SPY261218P00490000', 2.0), ('SPY261218P00500000', -2.0)]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from simulator.brokerage import Execution, Holding
from simulator.errors import DataError

__all__ = ["PaperPositions"]

Leg = tuple[str, float, float]
"""Symbol, signed quantity (negative is sold), price."""


class PaperPositions:
    """Executions of one account, and the holdings that follow from them.

    Parameters
    ----------
    account
        Name.
    broker
        Name of whoever keeps it.
    """

    def __init__(self, account: str = "paper", *, broker: str = "paper") -> None:
        self._account = account
        self._broker = broker
        self._executions: list[Execution] = []
        self._marks: dict[str, float] = {}

    @property
    def broker(self) -> str:
        """Name of whoever keeps the account."""
        return self._broker

    @property
    def account(self) -> str:
        """Name of the account."""
        return self._account

    def trade(
        self, legs: Sequence[Leg], *, time: datetime, multiplier: float = 1.0, fees: float = 0.0
    ) -> str:
        """Record the fills of one order, all legs at once; returns the id of the order.

        `fees` is for the whole order; it is shared by the legs according to their quantities.
        """
        total = sum(abs(quantity) for _, quantity, _ in legs) or 1.0  # a leg of 0 is refused below
        order = f"O{self._next()}"
        made = [
            self._execution(
                leg,
                time=time,
                multiplier=multiplier,
                fees=fees * abs(leg[1]) / total,
                order_id=order,
                n=index,
            )
            for index, leg in enumerate(legs)
        ]
        self._executions += made
        return order

    def settle(
        self,
        kind: Literal["exercise", "assignment", "expiry"],
        symbol: str,
        quantity: float,
        *,
        time: datetime,
        shares: Leg | None = None,
        multiplier: float = 100.0,
    ) -> None:
        """Record that an option ended: expired, was exercised or assigned, with the shares that moved.

        `quantity` is signed as a trade that closes the option would be; `shares` are the shares delivered.
        """
        order = f"S{self._next()}"
        made = [
            self._execution(
                (symbol, quantity, 0.0), time=time, multiplier=multiplier, fees=0.0, order_id=order, kind=kind
            )
        ]
        if shares is not None:
            made.append(
                self._execution(shares, time=time, multiplier=1.0, fees=0.0, order_id=order, kind=kind, n=1)
            )
        self._executions += made

    def mark(self, prices: Mapping[str, float]) -> None:
        """Note prices by symbol."""
        self._marks.update(prices)

    def holdings(self) -> Sequence[Holding]:
        """Return what is held, by symbol."""
        quantities: dict[str, float] = {}
        multipliers: dict[str, float] = {}
        for done in self._executions:
            quantities[done.symbol] = quantities.get(done.symbol, 0.0) + done.side * done.quantity
            multipliers[done.symbol] = done.multiplier
        return [
            Holding(
                symbol=symbol,
                quantity=quantity,
                multiplier=multipliers[symbol],
                mark=self._marks.get(symbol),
            )
            for symbol, quantity in sorted(quantities.items())
            if abs(quantity) > 1e-9
        ]

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened at or after `since`, oldest first."""
        return sorted(
            (done for done in self._executions if since is None or done.time >= since),
            key=lambda done: done.time,
        )

    def _next(self) -> int:
        return len(self._executions) + 1

    def _execution(
        self,
        leg: Leg,
        *,
        time: datetime,
        multiplier: float,
        fees: float,
        order_id: str,
        kind: Literal["trade", "exercise", "assignment", "expiry"] = "trade",
        n: int = 0,
    ) -> Execution:
        symbol, quantity, price = leg
        if time.tzinfo is None:
            raise DataError(
                f"{symbol}: {time.isoformat()} has no zone; write datetime(..., tzinfo=UTC)",
                code="PAPER_NAIVE_TIME",
            )
        if not math.isfinite(quantity) or quantity == 0 or not math.isfinite(price) or price < 0:
            raise DataError(
                f"{symbol}: {quantity!r} at {price!r}; a fill has a quantity other than 0 and a finite price "
                "of at least 0",
                code="PAPER_FILL",
            )
        return Execution(
            execution_id=f"{order_id}-{n}",
            order_id=order_id,
            time=time,
            symbol=symbol,
            side=1 if quantity > 0 else -1,
            quantity=abs(float(quantity)),
            price=float(price),
            multiplier=multiplier,
            fees=fees,
            kind=kind,
        )
