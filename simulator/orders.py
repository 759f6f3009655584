"""Orders as a person reads them: an entry, what protects it, and what takes its profit.

The kernel keeps entries as orders and everything behind an open position as levels. `Order` gives each of
them one shape with one life: the states of `OrderState`, changed only as `allowed_transitions` permits. A
`BracketOrder` is an entry with its stop, targets, trail, adds and time limit; `signals` writes it down in the
one form that the kernel trades. Values here are a reading: to change an order, send a signal or a command.

>>> TrailingStop(percent=5.0).columns()
{'trail_percent': 5.0}
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import EngineError, SignalError
from simulator.types import FillKind, OrderState, Reason, Verdict, allowed_transitions

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["BracketOrder", "Order", "OrderEvent", "ScaleIn", "ScaleOut", "TrailingStop"]

FINAL: Final = frozenset(state for state in OrderState if not allowed_transitions(state))


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One change in an order's life; `price` and `quantity` are those of the event, NaN where none."""

    time: datetime
    state: OrderState
    reason: Reason
    price: float
    quantity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, or one level of a position, read from the kernel.

    Attributes
    ----------
    order_id
        "7" for the kernel's entry order 7, "7-stop", "7-target", "7-target2", "7-scale_out", "7-add",
        "7-exit" for what belongs to its position.
    symbol, side
        What is traded; +1 buys, -1 sells. The stop of a long sells.
    kind
        What it is for.
    order_type
        "market", "close", "limit", "stop", "stop_limit", "moc" or "trailing_stop".
    quantity, filled_quantity
        Shares; `quantity` is what the risk manager granted, or what is held.
    price
        Trigger, limit or reference price in currency; NaN where there is none.
    average_price
        Of the fills; NaN before the first.
    fees
        Of the fills, in currency.
    state, reason
        State now, and why.
    history
        What happened, oldest first.
    """

    order_id: str
    symbol: str
    side: int
    kind: FillKind
    order_type: str
    quantity: float
    price: float
    state: OrderState = OrderState.PENDING
    filled_quantity: float = 0.0
    average_price: float = math.nan
    fees: float = 0.0
    reason: Reason = Reason.NONE
    history: tuple[OrderEvent, ...] = field(default=(), repr=False)

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.state not in FINAL

    @property
    def remaining_quantity(self) -> float:
        """Shares that have not filled; 0 once the order is final."""
        return self.quantity - self.filled_quantity if self.is_open else 0.0

    @property
    def created_at(self) -> datetime | None:
        """Time of the first event; None where the log does not reach back to it."""
        return self.history[0].time if self.history else None

    @property
    def updated_at(self) -> datetime | None:
        """Time of the last event."""
        return self.history[-1].time if self.history else None

    def moved(self, event: OrderEvent, **changes: Any) -> Order:
        """Return the order after an event.

        Raises
        ------
        EngineError
            ENGINE_TRANSITION for a state that cannot follow: the log is damaged or out of order.
        """
        if event.state != self.state and event.state not in allowed_transitions(self.state):
            raise EngineError(
                f"order {self.order_id} ({self.symbol}) is {self.state.name} and cannot become "
                f"{event.state.name}; is a part of the event log missing?",
                code="ENGINE_TRANSITION",
            )
        return replace(
            self, state=event.state, reason=event.reason, history=(*self.history, event), **changes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingStop:
    """A stop that follows the price by percent, by an amount, or by multiples of the ATR; exactly one.

    Attributes
    ----------
    percent
        Percent below the best price (above it for a short): 5.0 is 5 %.
    amount
        Currency per share.
    atr
        Multiples of the ATR at the signal.
    activate_r
        Gain in R after which it begins; None: with the fill.
    symbol, side, peak, level, active
        Of a position: its symbol and side, best price so far, price of the stop, and whether it is in force.
        None and False in a plan.
    """

    percent: float | None = None
    amount: float | None = None
    atr: float | None = None
    activate_r: float | None = None
    symbol: str | None = None
    side: int | None = None
    peak: float | None = None
    level: float | None = None
    active: bool = False

    def __post_init__(self) -> None:
        given = [value for value in (self.percent, self.amount, self.atr) if value is not None]
        if len(given) != 1 or not (given[0] > 0 and math.isfinite(given[0])):
            raise SignalError(
                f"a trailing stop has percent={self.percent!r}, amount={self.amount!r}, atr={self.atr!r}; "
                "give exactly one of them, above 0",
                code="SIGNAL_TRAIL",
            )

    def columns(self) -> dict[str, float]:
        """Return the columns of a signal that ask for it."""
        names = {"percent": "trail_percent", "amount": "trail_amount", "atr": "trail_atr"}
        found = {
            column: float(getattr(self, name))
            for name, column in names.items()
            if getattr(self, name) is not None
        }
        if self.activate_r is not None:
            found["trail_activate_r"] = float(self.activate_r)
        return found


@dataclass(frozen=True, slots=True)
class ScaleIn:
    """Add to a winner: at a gain of `r`, so large a share of the first quantity."""

    r: float
    fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Take a part of the profit: at a gain of `r`, so large a share of the position."""

    r: float
    fraction: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketOrder:
    """An entry linked with the stop below it and the targets above it (mirrored for a short).

    Attributes
    ----------
    signal_id
        Of the signal that it carries out.
    entry
        The entry order.
    stop_loss
        The stop, None where only a trail protects.
    targets
        Up to three targets, and a scale-out, the nearest first.
    trailing_stop
        The trail, planned or with its level.
    adds
        Scale-in orders.
    exits
        Market exits that happened: by time, by a person, by a halt.
    scale_in, scale_out
        As planned.
    max_days, max_bars, breakeven_r
        Time limits in calendar days and bars, and the gain in R after which the stop moves to the fill.
    verdict
        What the risk manager said; None in a plan that has not been asked about.
    request_id
        Of the request in the review queue that waits for a person; None where none does.
    """

    signal_id: str
    entry: Order
    stop_loss: Order | None = None
    targets: tuple[Order, ...] = ()
    trailing_stop: TrailingStop | None = None
    adds: tuple[Order, ...] = ()
    exits: tuple[Order, ...] = ()
    scale_in: tuple[ScaleIn, ...] = ()
    scale_out: ScaleOut | None = None
    max_days: int | None = None
    max_bars: int | None = None
    breakeven_r: float | None = None
    verdict: Verdict | None = None
    request_id: str | None = None

    @property
    def symbol(self) -> str:
        """Symbol of all its orders."""
        return self.entry.symbol

    @property
    def side(self) -> int:
        """+1 long, -1 short."""
        return self.entry.side

    @property
    def quantity(self) -> float:
        """Shares of the entry."""
        return self.entry.quantity

    @property
    def take_profit(self) -> Order | None:
        """The nearest target; None without one."""
        return next((order for order in self.targets if not order.order_id.endswith("scale_out")), None)

    @property
    def orders(self) -> tuple[Order, ...]:
        """All orders: entry, stop, targets, adds, exits."""
        stop = () if self.stop_loss is None else (self.stop_loss,)
        return (self.entry, *stop, *self.targets, *self.adds, *self.exits)

    @property
    def is_open(self) -> bool:
        """Whether it waits, works, or holds a position."""
        return self.entry.is_open or any(order.is_open for order in self.orders[1:])

    @property
    def risk_amount(self) -> float:
        """Currency lost at the stop, from the entry's price; NaN without a stop."""
        if self.stop_loss is None:
            return math.nan
        return abs(self._entry_price - self.stop_loss.price) * self.quantity

    @property
    def reward_risk(self) -> float:
        """Reward of the nearest target per unit of risk; NaN without a stop or a target."""
        if self.stop_loss is None or self.take_profit is None:
            return math.nan
        risk = abs(self._entry_price - self.stop_loss.price)
        return abs(self.take_profit.price - self._entry_price) / risk if risk > 0 else math.nan

    @property
    def _entry_price(self) -> float:
        return self.entry.price if math.isnan(self.entry.average_price) else self.entry.average_price

    def columns(self) -> dict[str, Any]:
        """Return the bracket as columns of a signal, without time, symbol and side."""
        found: dict[str, Any] = {"qty": self.entry.quantity, "entry": self.entry.order_type}
        if self.entry.order_type == "market":
            found["entry"] = "open"
        if self.entry.order_type in ("limit", "stop", "stop_limit"):
            found["entry_price"] = self.entry.price
        if self.stop_loss is not None:
            found["stop"] = self.stop_loss.price
        planned = [order for order in self.targets if not order.order_id.endswith("scale_out")]
        for name, order in zip(("target", "target2", "target3"), planned, strict=False):
            found[name] = order.price
            if order.quantity < self.quantity:
                found[f"{name}_fraction"] = order.quantity / self.quantity
        if self.trailing_stop is not None:
            found |= self.trailing_stop.columns()
        for name, add in zip(("add", "add2"), self.scale_in, strict=False):
            found |= {f"{name}_r": add.r, f"{name}_fraction": add.fraction}
        if self.scale_out is not None:
            found |= {"scale_out_r": self.scale_out.r, "scale_out_fraction": self.scale_out.fraction}
        for name in ("max_days", "max_bars", "breakeven_r"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found

    def signals(self, bars: Bars, row: int) -> Signals:
        """Return the bracket as the signal that the kernel trades, known at the close of bar `row`."""
        from simulator.signals import Signals

        return Signals.from_arrays(bars, [row], self.symbol, self.side, **self.columns(), tag=self.signal_id)
