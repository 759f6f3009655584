"""What one order cost: the price that was expected when it was sent, against the average of its fills.

Expected is what the simulator fills at before its own slippage, so that what is measured here can be put
there: the mid of the quote for a market order and for a package, the stop for a stop order, the limit for a
limit; where an order was changed, the price that it was changed to before it filled. Without a quote a market
order is measured against the price that its sender expected. Positive is against us. A limit never costs more
than expected; what it shows is how much better it filled.

Stocks and single options are measured in basis points of the expected price, packages in shares of the sum
of their legs' quoted spreads, as in `Costs.spread_share_2_legs`. An order without a usable quote, where one
is needed, makes no sample. Children of brackets make samples of their own: what filled at its target or
better was the target, since a limit never fills worse; all else was the stop.

>>> [sample.slippage_bps for sample in samples(log)]              # doctest: +SKIP
[1.05]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from live.brokers.interface import OrderRequest
from live.intents import IntentLog, LoggedEvent, order_of

__all__ = ["Sample", "SampleBook", "samples"]

_Order = tuple[str, str]
"""Name of the broker, and the broker's id of an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One order that filled, wholly or in part.

    Attributes
    ----------
    order
        Client order id; of a bracket's child that of its parent.
    time
        Of the first fill, aware.
    broker
        Name under which the manager has it.
    kind
        "market", "limit", "stop" or "stop_limit"; of a package "package_2" to "package_4".
    slippage_bps
        Basis points of the expected price, against us; NaN for a package.
    spread_share
        What was given up against the mid, as a share of the quoted spread; None without a quote.
    spread_bps
        Quoted spread in basis points of the mid; None without a quote.
    """

    order: str
    time: datetime
    broker: str
    asset: Literal["stock", "option"]
    kind: str
    symbol: str
    slippage_bps: float
    spread_share: float | None
    spread_bps: float | None

    @property
    def is_package(self) -> bool:
        """Whether it is measured by its share of the spread."""
        return self.kind.startswith("package")

    @property
    def value(self) -> float:
        """What is measured: a share of the spread for a package, else basis points."""
        return float(self.spread_share or 0.0) if self.is_package else self.slippage_bps


def samples(log: IntentLog, *, after: datetime | None = None) -> list[Sample]:
    """Return what the record of an account has, oldest first; `after` leaves earlier fills out."""
    book = SampleBook()
    for event in log.events(*SampleBook.KINDS):
        book.take(event)
    book.settle()
    found = [one for one in book.samples() if after is None or one.time > after]
    return sorted(found, key=lambda one: (one.time, one.order, one.kind))


class SampleBook:
    """The samples of one account, as far as its events were taken in: all of `KINDS`, in their order."""

    KINDS: Final = ("intent", "alias", "changed", "fill")

    def __init__(self) -> None:
        self._orders: dict[str, _Sent] = {}
        self._children: set[_Order] = set()
        self._levels: dict[_Order, list[_Level]] = {}
        self._fills: dict[tuple[str, _Order | None], dict[str, dict[str, Any]]] = {}
        self._stale: dict[tuple[str, _Order | None], None] = {}
        self._samples: dict[tuple[str, _Order | None], Sample] = {}

    def samples(self) -> list[Sample]:
        """Return all samples, in the order in which their first fills were recorded.

        That order never changes, whatever fills late; the value of a sample may, until its order is filled.
        """
        return [self._samples[key] for key in self._fills if key in self._samples]

    def settle(self) -> bool:
        """Make samples of what was taken in; returns whether one has come or changed."""
        changed = False
        for key in self._stale:
            sample = self._sample(*key)
            if sample is not None:
                self._samples[key], changed = sample, True
        self._stale.clear()
        return changed

    def take(self, event: LoggedEvent) -> None:
        """Take in an event."""
        data = event.data
        if event.kind == "intent":
            expected = data.get("expected", {})
            self._orders[event.order] = _Sent(
                order_of(data["request"]), data["broker"], expected.get("quotes", {}), expected.get("price")
            )
        elif event.kind == "changed":
            level = _Level(event.time, data["limit_price"], data["stop_price"], data["fresh"])
            self._levels.setdefault((data["broker"], data["broker_order"]), []).append(level)
        elif event.kind == "alias":
            if data["role"] == "child":
                self._children.add((data["broker"], data["broker_order"]))
        elif event.order and data["execution"]["kind"] == "trade":
            one = data["execution"]
            order: _Order = (data["broker"], one["order_id"])
            key = (event.order, order if order in self._children else None)
            self._fills.setdefault(key, {})[one["execution_id"]] = one
            self._stale[key] = None

    def _sample(self, identity: str, child: _Order | None) -> Sample | None:
        sent = self._orders.get(identity)
        if sent is None:
            return None
        fills = list(self._fills[identity, child].values())
        request = sent.request
        if len(request.legs) > 1:
            return _package(sent, fills)
        own = [one for one in fills if one["symbol"] == request.symbol]
        if not own:
            return None
        if child is not None or request.order_class == "oco":
            return self._left(sent, own)
        if request.kind == "trailing":
            return None  # nobody wrote down where its stop was
        expected = [self._expected(sent, one) for one in own]
        return _single(sent, own, expected, kind=request.kind, quote=sent.quotes.get(request.symbol))

    def _expected(self, sent: _Sent, one: Mapping[str, Any]) -> float | None:
        request = sent.request
        if request.kind == "market":
            quote = sent.quotes.get(request.symbol)
            return sent.price if quote is None else 0.5 * (quote[0] + quote[1])
        level = self._level(sent, one)
        if request.kind == "limit":
            return request.limit_price if level is None else level.limit
        return request.stop_price if level is None else level.stop

    def _left(self, sent: _Sent, fills: Sequence[Mapping[str, Any]]) -> Sample | None:
        """Return what the stop or the target of a bracket, or of an oco, cost."""
        request = sent.request
        side = _side(request) if request.order_class == "oco" else -_side(request)
        target = request.limit_price if request.order_class == "oco" else request.take_profit
        stops, limits, prices = [], [], []
        for one in fills:
            level = self._level(sent, one)
            limit, stop = (target, request.stop_loss)
            if level is not None:
                # of a child only one of the two is its own; the other stays as it was asked for
                limit, stop = level.limit or target, level.stop or request.stop_loss
            stops.append(stop)
            limits.append(limit)
            prices.append(one["price"])
        is_target = all(
            limit is not None and side * (price - limit) <= 1e-9 * abs(limit)
            for price, limit in zip(prices, limits, strict=True)
        )
        kind = "limit" if is_target else "stop"
        return _single(sent, fills, limits if is_target else stops, kind=kind, quote=None, side=side)

    def _level(self, sent: _Sent, one: Mapping[str, Any]) -> _Level | None:
        """Return the prices that an order had been changed to when it filled; None for its request's."""
        levels = self._levels.get((sent.broker, one["order_id"]), [])
        time = datetime.fromisoformat(one["time"])
        for level in reversed(levels):
            if level.since <= time or level.fresh:
                return level
        return None


@dataclass(frozen=True, slots=True)
class _Sent:
    request: OrderRequest
    broker: str
    quotes: Mapping[str, Sequence[float]]
    price: float | None


class _Level(NamedTuple):
    since: datetime
    limit: float | None
    stop: float | None
    fresh: bool
    """Whether the order got its id with this change, so that it never had other prices under it."""


def _single(
    sent: _Sent,
    fills: Sequence[Mapping[str, Any]],
    expected: Sequence[float | None],
    *,
    kind: str,
    quote: Sequence[float] | None,
    side: float | None = None,
) -> Sample | None:
    quantity = math.fsum(one["quantity"] for one in fills)
    if quantity <= 0.0 or any(price is None for price in expected):
        return None
    wanted = math.fsum(one["quantity"] * (price or 0.0) for one, price in zip(fills, expected, strict=True))
    wanted /= quantity
    paid = math.fsum(one["quantity"] * one["price"] for one in fills) / quantity
    if wanted <= 0.0:
        return None
    request = sent.request
    side = _side(request) if side is None else side
    middle = None if quote is None else 0.5 * (quote[0] + quote[1])
    spread = None if quote is None else quote[1] - quote[0]
    return Sample(
        order=request.client_order_id, time=_first(fills), broker=sent.broker, asset=request.asset_class,
        kind=kind, symbol=request.symbol, slippage_bps=1e4 * side * (paid - wanted) / wanted,
        spread_share=None if middle is None or not spread else side * (paid - middle) / spread,
        spread_bps=1e4 * spread / middle if spread is not None and middle else None,
    )  # fmt: skip


def _package(sent: _Sent, fills: Sequence[Mapping[str, Any]]) -> Sample | None:
    request = sent.request
    lost = spread = middles = 0.0
    base = min(abs(leg.quantity) for leg in request.legs)
    for leg in request.legs:
        quote = sent.quotes.get(leg.symbol)
        own = [one for one in fills if one["symbol"] == leg.symbol]
        quantity = math.fsum(one["quantity"] for one in own)
        if quote is None or quantity <= 0.0:
            return None
        paid = math.fsum(one["quantity"] * one["price"] for one in own) / quantity
        ratio = leg.quantity / base
        lost += ratio * (paid - 0.5 * (quote[0] + quote[1]))
        spread += abs(ratio) * (quote[1] - quote[0])
        middles += abs(ratio) * 0.5 * (quote[0] + quote[1])
    if spread <= 0.0:
        return None
    return Sample(
        order=request.client_order_id, time=_first(fills), broker=sent.broker, asset=request.asset_class,
        kind=f"package_{len(request.legs)}", symbol=request.symbol, slippage_bps=math.nan,
        spread_share=lost / spread, spread_bps=1e4 * spread / middles,
    )  # fmt: skip


def _side(request: OrderRequest) -> float:
    return math.copysign(1.0, request.legs[0].quantity)


def _first(fills: Sequence[Mapping[str, Any]]) -> datetime:
    return min(datetime.fromisoformat(one["time"]) for one in fills)
