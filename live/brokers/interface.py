"""What a broker is, for stocks and options: values, and the calls that every adapter has.

Four outcomes end a submit, and no fifth: CONFIRMED (the broker has it), REJECTED (the broker says no), DENIED
(never sent, by our own decision), UNRESOLVED (nobody knows). A timeout, a lost connection or an answer that
cannot be read is UNRESOLVED and never a rejection: the order may be working. So it is looked up by its client
order id, which follows from what the order is and not from when it was tried.

Symbols are canonical: the ticker, or the OCC symbol of an option without padding. Quantities are signed, sold
is negative. A price is currency per share, or per unit of the underlying; the net price of a package of legs
is positive where it is received (credit), negative where it is paid.

>>> client_order_id("run-1", "breakout", "AAPL", 1_577_968_200_000_000_000, 0)
'tw-503784f20c68ebf96d4bc0da2322'
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Literal

from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError
from simulator.types import OrderState, allowed_transitions

__all__ = [
    "Account",
    "BrokerInterface",
    "BrokerOrder",
    "Leg",
    "OrderKind",
    "OrderPurpose",
    "OrderRequest",
    "Outcome",
    "Submitted",
    "client_order_id",
    "denied",
    "is_option",
    "unresolved",
]

OrderKind = Literal["market", "limit", "stop", "stop_limit", "trailing"]
OrderClass = Literal["simple", "bracket", "oco", "multi_leg"]
OrderPurpose = Literal["entry", "exit", "protect"]

MAX_LEGS: Final = 4

_OPTION: Final = re.compile(r"[A-Z][A-Z0-9.]{0,5}\d{6}[CP]\d{8}")
_NEEDS: Final[dict[str, frozenset[str]]] = {
    "market": frozenset(),
    "limit": frozenset({"limit_price"}),
    "stop": frozenset({"stop_price"}),
    "stop_limit": frozenset({"stop_price", "limit_price"}),
    "trailing": frozenset({"trail"}),
}


class Outcome(Enum):
    """How a submit ended; see the module's docstring."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    DENIED = "denied"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class Leg:
    """A symbol and how much of it is bought (above 0) or sold (below 0): shares or contracts."""

    symbol: str
    quantity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order as it is asked for.

    Parameters
    ----------
    client_order_id
        See `client_order_id`; unique for ever.
    legs
        One, or two to four of one package, which fills as a whole.
    kind
        "market", "limit", "stop", "stop_limit" or "trailing".
    order_class
        "simple"; "bracket": an entry with `stop_loss` and perhaps `take_profit`, which live once it fills;
        "oco": a limit and `stop_loss` of which one cancels the other; "multi_leg": a package.
    limit_price
        For a package the net price: received is positive.
    trail_amount, trail_percent
        One of them for "trailing": currency, or percent of the best price.
    tif
        "day" or "gtc".
    purpose
        What it is for: an "entry", an "exit" that a strategy wants, or to "protect" a position: stop, target,
        time exit, a named person's close.
    strategy, reason
        For the reader of the record.

    Raises
    ------
    ConfigError
        LIVE_ORDER where parts are missing, contradict each other, or are not finite.
    """

    client_order_id: str
    legs: tuple[Leg, ...]
    kind: OrderKind = "market"
    order_class: OrderClass = "simple"
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    take_profit: float | None = None
    stop_loss: float | None = None
    tif: Literal["day", "gtc"] = "day"
    purpose: OrderPurpose = "entry"
    strategy: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ConfigError(f"order {self.client_order_id!r} {problem}", code="LIVE_ORDER")

    @property
    def symbol(self) -> str:
        """Symbol of the first leg."""
        return self.legs[0].symbol

    @property
    def asset_class(self) -> Literal["stock", "option"]:
        """Kind of instrument; a package with one option in it is one of options."""
        return "option" if any(is_option(leg.symbol) for leg in self.legs) else "stock"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the broker has it.

    Attributes
    ----------
    order_id
        The broker's own and durable one.
    client_order_id
        "" for an order that is not ours; children of a bracket have their parent's with an ending.
    quantity, filled
        Of the first leg, not signed.
    average_price
        Of what is filled, None for nothing; net for a package, received is positive.
    parent_id
        Of a bracket's child, else "".
    """

    order_id: str
    client_order_id: str
    legs: tuple[Leg, ...]
    kind: OrderKind
    state: OrderState
    quantity: float
    filled: float = 0.0
    average_price: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    parent_id: str = ""

    @property
    def is_open(self) -> bool:
        """Whether more can come of it."""
        return bool(allowed_transitions(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a submit.

    Attributes
    ----------
    order
        As the broker has it; None where it does not, or where that is unknown.
    code, message
        Why, for every outcome but CONFIRMED: the code is ours, the message may be the broker's.
    """

    outcome: Outcome
    client_order_id: str
    order: BrokerOrder | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an account is worth, in its currency."""

    cash: float
    equity: float
    buying_power: float
    currency: str = "USD"


class BrokerInterface(ABC):
    """One account at one broker; also what `simulator.brokerage.BrokerPositions` asks for.

    Every call that asks may raise whatever its library raises, and then nothing is known: an empty answer
    means that there is nothing, and nothing else ever means that. No call repeats itself.
    """

    @property
    @abstractmethod
    def broker(self) -> str:
        """Short name of the broker."""

    @property
    @abstractmethod
    def account(self) -> str:
        """Number or name of the account."""

    @property
    @abstractmethod
    def is_paper(self) -> bool:
        """Whether no real money is behind it."""

    @abstractmethod
    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once. A client order id that the broker has already is that order: CONFIRMED, not a second."""

    @abstractmethod
    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order; None leaves a part as it is. The answer may carry a new id.

        Raises `UnknownNameError` NAME_ORDER where there is none, `ConfigError` LIVE_ORDER_FINAL where it no
        longer works.
        """

    @abstractmethod
    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel, and return the order as it is then: it may still fill, only CANCELLED is cancelled.

        Cancelling what is final changes nothing. Raises `UnknownNameError` NAME_ORDER where there is none.
        """

    @abstractmethod
    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id; None only where the broker answers that it has none."""

    @abstractmethod
    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders, those of other programs and children of brackets too."""

    @abstractmethod
    def get_positions(self) -> Sequence[Holding]:
        """Return everything that is held."""

    @abstractmethod
    def get_account(self) -> Account:
        """Return what the account is worth."""

    @abstractmethod
    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened at or after `since`, oldest first; all of it for None."""

    def never_arrived(self, client_order_id: str) -> None:  # noqa: B027 - most adapters keep no such memory
        """Take in that an order of ours has provably got lost, so that its id may be sent again.

        For adapters that remember what they have tried to send; asks nobody.
        """

    def holdings(self) -> Sequence[Holding]:
        """Return everything that is held."""
        return self.get_positions()


def client_order_id(run_id: str, strategy: str, symbol: str, bar_time: datetime | int, sequence: int) -> str:
    """Return the id of an intention: the same for the same bar decided again, so that nothing is sent twice.

    Parameters
    ----------
    bar_time
        Aware, or nanoseconds since 1970 in UTC; microseconds of a datetime count.
    sequence
        Number of the intention among those of this strategy, symbol and bar.

    Raises
    ------
    ConfigError
        CONFIG_NAIVE_TIME for a time without a zone.
    """
    if isinstance(bar_time, datetime):
        if bar_time.tzinfo is None:
            raise ConfigError(
                f"{symbol}: the bar time {bar_time.isoformat()} has no zone; write datetime(..., tzinfo=UTC)",
                code="CONFIG_NAIVE_TIME",
            )
        since = bar_time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        bar_time = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    # as JSON, since bare words side by side would let "a" + "bc" be "ab" + "c"
    content = json.dumps([run_id, strategy, symbol, int(bar_time), int(sequence)])
    return "tw-" + hashlib.sha256(content.encode("ascii")).hexdigest()[:28]


def denied(request: OrderRequest, *, code: str, message: str) -> Submitted:
    """Return the answer to an order that is not sent."""
    return Submitted(
        outcome=Outcome.DENIED, client_order_id=request.client_order_id, code=code, message=message
    )


def unresolved(request: OrderRequest, *, code: str, message: str) -> Submitted:
    """Return the answer to an order of which nobody knows whether it arrived."""
    return Submitted(
        outcome=Outcome.UNRESOLVED, client_order_id=request.client_order_id, code=code, message=message
    )


def is_option(symbol: str) -> bool:
    """Whether a canonical symbol is that of an option."""
    return _OPTION.fullmatch(symbol) is not None


def _problem(order: OrderRequest) -> str:
    """Return what is wrong with an order, "" for nothing."""
    if not order.client_order_id:
        return "has no client order id"
    return _leg_problem(order) or _price_problem(order) or _class_problem(order)


def _leg_problem(order: OrderRequest) -> str:
    wanted = range(2, MAX_LEGS + 1) if order.order_class == "multi_leg" else range(1, 2)
    if len(order.legs) not in wanted:
        return f"is {order.order_class} with {len(order.legs)} legs, not {wanted.start} to {wanted.stop - 1}"
    if len({leg.symbol for leg in order.legs}) < len(order.legs):
        return "has two legs in one symbol"
    for leg in order.legs:
        if not leg.symbol or leg.symbol != leg.symbol.strip() or " " in leg.symbol:
            return f"has the symbol {leg.symbol!r}; write it without spaces, options as SPY261218P00500000"
        if not math.isfinite(leg.quantity) or leg.quantity == 0:
            return f"has the quantity {leg.quantity!r} of {leg.symbol}"
        if is_option(leg.symbol) and leg.quantity != int(leg.quantity):
            return f"has {leg.quantity:g} contracts of {leg.symbol}; contracts are whole"
    return ""


def _price_problem(order: OrderRequest) -> str:
    given = {name for name in ("limit_price", "stop_price") if getattr(order, name) is not None}
    if (order.trail_amount is None) != (order.trail_percent is None):
        given.add("trail")
    elif order.trail_amount is not None:
        return "has both trail_amount and trail_percent"
    if order.kind not in _NEEDS:
        return f"is {order.kind!r}; there are {', '.join(_NEEDS)}"
    if given != _NEEDS[order.kind]:
        return f"is {order.kind} and has {sorted(given)}; it needs {sorted(_NEEDS[order.kind])}"
    for name in ("limit_price", "stop_price", "trail_amount", "trail_percent", "take_profit", "stop_loss"):
        value = getattr(order, name)
        net = name == "limit_price" and order.order_class == "multi_leg"
        if value is not None and not (math.isfinite(value) and (net or value > 0)):
            return f"has {name} {value!r}; it must be finite{'' if net else ' and above 0'}"
    return ""


def _class_problem(order: OrderRequest) -> str:
    children = order.take_profit is not None or order.stop_loss is not None
    if order.order_class == "multi_leg":
        if order.kind not in ("market", "limit"):
            return f"is a package with kind {order.kind}; packages are market or limit"
        return "is a package with take_profit or stop_loss" if children else ""
    if order.order_class == "simple":
        return "is simple and has take_profit or stop_loss; write order_class" if children else ""
    if order.stop_loss is None:
        return f"is {order.order_class} without stop_loss"
    if order.order_class == "oco":
        return _oco_problem(order)
    if order.order_class != "bracket":
        return f"is {order.order_class!r}; there are simple, bracket, oco, multi_leg"
    if order.purpose != "entry":
        return f"is a bracket to {order.purpose}; a bracket enters"
    side = math.copysign(1.0, order.legs[0].quantity)
    if order.take_profit is not None and (order.take_profit - order.stop_loss) * side <= 0:
        return f"has take_profit {order.take_profit:g} on the wrong side of stop_loss {order.stop_loss:g}"
    return ""


def _oco_problem(order: OrderRequest) -> str:
    if (
        order.kind != "limit"
        or order.limit_price is None
        or order.stop_loss is None
        or order.take_profit is not None
    ):
        return "is oco; it is a limit with limit_price as its target and stop_loss"
    if order.purpose == "entry":
        return "is oco to enter; an oco leaves a position"
    side = math.copysign(1.0, order.legs[0].quantity)
    if (order.limit_price - order.stop_loss) * side >= 0:
        return f"has limit_price {order.limit_price:g} on the wrong side of stop_loss {order.stop_loss:g}"
    return ""
