"""What the paper exchange is asked, and what it answers: plain values, without the compiled kernel.

Words are Alpaca's where Alpaca has them (`trailing_stop`, `canceled`, `mleg`), so that a server in front
needs no dictionary. Three things are ours. Quantities and prices are floats. The net price of a package is
positive where it is received (credit), negative where it is paid. A time is aware, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from simulator.errors import TwinstepError

__all__ = [
    "FINAL",
    "ActivityKind",
    "Intent",
    "Kind",
    "OrderClass",
    "Side",
    "Status",
    "Tif",
    "UpdateEvent",
    "VenueAccount",
    "VenueActivity",
    "VenueLeg",
    "VenueOrder",
    "VenuePosition",
    "VenueRejected",
    "VenueRequest",
    "VenueUpdate",
]

Side = Literal["buy", "sell"]
Kind = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
OrderClass = Literal["simple", "bracket", "oco", "oto", "mleg"]
Tif = Literal["day", "gtc", "opg", "cls", "ioc", "fok"]
Intent = Literal["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"]
Status = Literal["new", "held", "partially_filled", "filled", "canceled", "expired", "replaced", "rejected"]
UpdateEvent = Literal[
    "new", "partial_fill", "fill", "canceled", "expired", "replaced", "rejected", "restated"
]
ActivityKind = Literal["FILL", "OPEXP", "OPEXC", "OPASN", "OPTRD", "DIV", "SPLIT", "CSD", "CSW"]

FINAL: Final = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
"""Statuses of which nothing more can come."""


class VenueRejected(TwinstepError, ValueError):
    """The exchange says no, and nothing has changed; `code` says why (docs/errors.md, VENUE_*)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueLeg:
    """A leg of a package: `ratio_qty` contracts (or shares) of a symbol for each package."""

    symbol: str
    side: Side
    ratio_qty: int = 1
    position_intent: Intent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRequest:
    """An order as it is asked for; the venue checks it as a whole when it is submitted.

    Parameters
    ----------
    symbol
        Ticker or OCC symbol; "" for a package, whose `legs` name theirs.
    side
        "buy" or "sell"; of a package it is not read, its legs have sides.
    qty, notional
        One of them: units, or currency (market and limit orders in stocks, at day).
    kind
        Type of the order.
    order_class
        "bracket": `take_profit` and `stop_loss` live once the entry fills; "oto": one of them; "oco": the
        order is the limit, `stop_loss` the other side (a `take_profit` price may stand for `limit_price`);
        "mleg": `legs`.
    limit_price
        Of a package the net price per unit of the underlying, positive where it is received.
    trail_price, trail_percent
        One of them for "trailing_stop": currency, or percent of the best price.
    take_profit
        Limit price of the take-profit child.
    stop_loss, stop_loss_limit
        Stop price of the stop-loss child, and its limit price where it is a stop-limit.
    tif
        "day", "gtc", "opg" (the next open), "cls" (the end of this session), "ioc", "fok".
    client_order_id
        Unique for ever; "" lets the venue make one.
    children_tif
        Time in force of the children of a bracket or oto; None is that of the order.
    """

    symbol: str = ""
    side: Side = "buy"
    qty: float | None = None
    notional: float | None = None
    kind: Kind = "market"
    order_class: OrderClass = "simple"
    tif: Tif = "day"
    limit_price: float | None = None
    stop_price: float | None = None
    trail_price: float | None = None
    trail_percent: float | None = None
    take_profit: float | None = None
    stop_loss: float | None = None
    stop_loss_limit: float | None = None
    legs: tuple[VenueLeg, ...] = ()
    client_order_id: str = ""
    extended_hours: bool = False
    position_intent: Intent | None = None
    children_tif: Literal["day", "gtc"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as it stands.

    Attributes
    ----------
    id
        UUID; a replaced order and what replaces it have different ones.
    symbol
        "" for a package.
    qty, notional
        As asked; `qty` is None for an order by `notional` until it fills.
    filled_avg_price
        None for nothing; of a package net, received is positive.
    hwm
        Best price that a trailing stop has risen or fallen from; None for other orders.
    legs
        Children of a bracket or oto, the stop of an oco, or the legs of a package, each an order.
    parent_id
        Of a child or leg, else "".
    ratio_qty
        Of a package's leg, else None.
    """

    id: str
    client_order_id: str
    symbol: str
    side: Side
    kind: Kind
    order_class: OrderClass
    tif: Tif
    status: Status
    qty: float | None
    notional: float | None
    filled_qty: float
    filled_avg_price: float | None
    limit_price: float | None
    stop_price: float | None
    trail_price: float | None
    trail_percent: float | None
    hwm: float | None
    extended_hours: bool
    position_intent: Intent | None
    ratio_qty: int | None
    legs: tuple[VenueOrder, ...]
    parent_id: str
    replaces: str
    replaced_by: str
    asset_class: Literal["us_equity", "us_option", ""]
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime
    filled_at: datetime | None
    canceled_at: datetime | None
    expired_at: datetime | None
    replaced_at: datetime | None
    reject_reason: str

    @property
    def is_final(self) -> bool:
        """Whether nothing more can come of it."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """What is held of one symbol, net.

    Attributes
    ----------
    qty
        Signed, short is negative, never 0.
    qty_available
        What no working order is about to close, not signed.
    avg_entry_price, current_price, lastday_price
        Currency per unit of the underlying; the last of the session before, None where there was none.
    market_value, cost_basis
        Signed, multiplier included.
    unrealized_pl, unrealized_intraday_pl
        Currency, without fees.
    """

    symbol: str
    asset_class: Literal["us_equity", "us_option"]
    qty: float
    qty_available: float
    multiplier: float
    avg_entry_price: float
    current_price: float
    lastday_price: float | None
    market_value: float
    cost_basis: float
    unrealized_pl: float
    unrealized_intraday_pl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """What the account is worth; values in currency, those of shorts negative.

    Attributes
    ----------
    last_equity
        At the end of the session before.
    buying_power
        What new orders may use: leverage times equity less what positions and working orders take.
    realized_pl, fees
        Since the account was opened; `realized_pl` is without fees.
    """

    id: str
    created_at: datetime
    cash: float
    equity: float
    last_equity: float
    buying_power: float
    multiplier: float
    long_market_value: float
    short_market_value: float
    initial_margin: float
    realized_pl: float
    fees: float
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueActivity:
    """One thing that changed cash or positions.

    Attributes
    ----------
    id
        Sorts by time: a time, then the execution's id.
    kind
        "FILL"; "OPEXP", "OPEXC", "OPASN" (an option expired, was exercised, was assigned) and "OPTRD" (the
        shares that moved with it); "DIV", "SPLIT", "CSD" (cash in), "CSW" (cash out).
    qty
        Of a fill above 0; of the others the signed change of the position.
    net_amount
        Change of the cash, fees included.
    cum_qty, leaves_qty
        Of a fill: what its order has filled with it, and what is left.
    """

    id: str
    kind: ActivityKind
    time: datetime
    symbol: str = ""
    side: Side | Literal["sell_short", ""] = ""
    qty: float = 0.0
    price: float = 0.0
    multiplier: float = 1.0
    net_amount: float = 0.0
    fees: float = 0.0
    order_id: str = ""
    execution_id: str = ""
    cum_qty: float = 0.0
    leaves_qty: float = 0.0
    partial: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUpdate:
    """Something that happened to an order; the last four fields are of a fill."""

    event: UpdateEvent
    order: VenueOrder
    time: datetime
    sequence: int
    execution_id: str = ""
    price: float | None = None
    qty: float | None = None
    position_qty: float | None = None
