"""How a session at a broker stands, made of what the follower has asked anyway: showing it asks nobody.

Every figure is the broker's as of `at`; what was not answered is None, and never zero or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from live.brokers.interface import BrokerOrder

__all__ = ["HeldPosition", "Standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPosition:
    """One position at the broker, and what guards it there.

    Attributes
    ----------
    quantity
        Signed.
    guarded, naked
        Of it, not signed, behind a stop that works at the broker, and the rest.
    stop
        Nearest price of those stops, None where there is none or it is not told.
    loss_at_stops, open_loss
        As in `Protection`: currency that the guarded part loses at its stops, and that the rest can lose.
    naked_since
        Since when not all of it is guarded, aware; None where it is.
    naked_seconds
        How long that has been so in all, this gap included.
    """

    symbol: str
    quantity: float
    average_price: float | None
    mark: float | None
    guarded: float
    naked: float
    stop: float | None
    loss_at_stops: float | None
    open_loss: float | None
    naked_since: datetime | None = None
    naked_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A session at a broker, as of its last questions.

    Attributes
    ----------
    kind
        What stands behind the orders: "PAPER", "LIVE" (real money) or "SHADOW" (nothing is sent).
    execution
        Name of the `ExecutionMode`.
    switch
        State of the kill switch.
    at
        When the broker was asked last and answered, aware; None: not yet.
    equity, cash
        At the broker; None where that was not answered.
    plan_equity
        Of the plan, at the last bar.
    positions, orders
        Held, and working, at the broker at `at`; orders are all that work, children and foreign ones too.
    waiting
        Requests that wait for a person.
    differences
        What the reconciler has found and a person has not closed, in words.
    problems
        What is wrong now, in words: questions that were not answered, orders that were refused.
    bars
        Of the plan.
    slippage
        As `SlippageWatch.status` says: what fills have cost, and whether a demotion stands.
    """

    kind: Literal["PAPER", "LIVE", "SHADOW"]
    execution: str
    broker: str
    account: str
    is_paper: bool
    switch: str
    at: datetime | None
    equity: float | None
    cash: float | None
    currency: str
    plan_equity: float
    bars: int
    positions: tuple[HeldPosition, ...]
    orders: tuple[BrokerOrder, ...]
    waiting: int
    differences: tuple[str, ...]
    problems: tuple[str, ...]
    slippage: Mapping[str, Any] | None = None
