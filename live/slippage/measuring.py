"""What one order cost: the price that was expected when it was sent, against the average of its fills.

Expected is what the simulator fills at before its own slippage, so that what is measured here can be put
there: the mid of the quote for a market order and for a package, the stop for a stop order, the limit for a
limit. Positive is against us. A limit never costs more than expected; what it shows is how much better it
filled.

Stocks and single options are measured in basis points of the expected price, packages in shares of the sum
of their legs' quoted spreads, as in `Costs.spread_share_2_legs`. An order without a usable quote, where one
is needed, makes no sample; nor do children of brackets, whose fills the record has under their parent.

>>> expect(log, request, at, {"AAPL": (189.98, 190.02)})          # doctest: +SKIP
>>> [sample.slippage_bps for sample in samples(log)]              # doctest: +SKIP
[1.05]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from live.brokers.interface import OrderRequest
from live.intents import IntentLog, order_of

__all__ = ["Sample", "expect", "samples"]

Quotes = Mapping[str, tuple[float, float]]
"""Bid and ask by symbol, currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One order that filled, wholly or in part.

    Attributes
    ----------
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


def expect(log: IntentLog, request: OrderRequest, at: datetime, quotes: Quotes) -> bool:
    """Write down the quotes that stand while an order is sent; False where they are there already.

    Parameters
    ----------
    at
        Aware.
    quotes
        Of the legs; what is not two-sided is left out.
    """
    usable = {symbol: list(map(float, pair)) for symbol, pair in quotes.items() if _is_usable(pair)}
    return log.note(
        "expected", at, key=f"expected:{request.client_order_id}", order=request.client_order_id,
        symbol=request.symbol, quotes=usable,
    )  # fmt: skip


def samples(log: IntentLog, *, after: datetime | None = None) -> list[Sample]:
    """Return what the record of an account has, oldest first; `after` leaves earlier fills out."""
    intents: dict[str, tuple[OrderRequest, str]] = {}
    quotes: dict[str, dict[str, list[float]]] = {}
    fills: dict[str, dict[str, dict[str, Any]]] = {}
    children: set[str] = set()
    for event in log.events("intent", "expected", "alias", "fill"):
        if event.kind == "intent":
            intents[event.order] = (order_of(event.data["request"]), event.data["broker"])
        elif event.kind == "expected":
            quotes[event.order] = event.data["quotes"]
        elif event.kind == "alias":
            if event.data["role"] == "child":
                children.add(event.data["broker_order"])
        elif event.order and event.data["execution"]["kind"] == "trade":
            one = event.data["execution"]
            fills.setdefault(event.order, {})[one["execution_id"]] = one
    found = []
    for order, executions in fills.items():
        own = [one for one in executions.values() if one["order_id"] not in children]
        if own and order in intents:
            request, broker = intents[order]
            sample = _sample(request, broker, own, quotes.get(order, {}))
            if sample is not None and (after is None or sample.time > after):
                found.append(sample)
    return sorted(found, key=lambda one: (one.time, one.order))


def _sample(
    request: OrderRequest, broker: str, fills: list[dict[str, Any]], quotes: Mapping[str, list[float]]
) -> Sample | None:
    time = min(datetime.fromisoformat(one["time"]) for one in fills)
    if len(request.legs) > 1:
        return _package(request, broker, fills, quotes, time)
    leg = request.legs[0]
    quote = quotes.get(leg.symbol)
    middle = None if quote is None else 0.5 * (quote[0] + quote[1])
    expected = {
        "market": middle,
        "limit": request.limit_price,
        "stop": request.stop_price,
        "stop_limit": request.stop_price,
    }.get(request.kind)
    paid = _average(fills, leg.symbol)
    if expected is None or paid is None:
        return None
    side = math.copysign(1.0, leg.quantity)
    lost = side * (paid - expected)
    spread = None if quote is None else quote[1] - quote[0]
    return Sample(
        order=request.client_order_id, time=time, broker=broker, asset=request.asset_class,
        kind=request.kind, symbol=leg.symbol, slippage_bps=1e4 * lost / expected,
        spread_share=None if middle is None or not spread else side * (paid - middle) / spread,
        spread_bps=1e4 * spread / middle if spread is not None and middle else None,
    )  # fmt: skip


def _package(
    request: OrderRequest,
    broker: str,
    fills: list[dict[str, Any]],
    quotes: Mapping[str, list[float]],
    time: datetime,
) -> Sample | None:
    lost = spread = middles = 0.0
    base = min(abs(leg.quantity) for leg in request.legs)
    for leg in request.legs:
        quote, paid = quotes.get(leg.symbol), _average(fills, leg.symbol)
        if quote is None or paid is None:
            return None
        ratio = leg.quantity / base
        lost += ratio * (paid - 0.5 * (quote[0] + quote[1]))
        spread += abs(ratio) * (quote[1] - quote[0])
        middles += abs(ratio) * 0.5 * (quote[0] + quote[1])
    if spread <= 0.0:
        return None
    return Sample(
        order=request.client_order_id, time=time, broker=broker, asset=request.asset_class,
        kind=f"package_{len(request.legs)}", symbol=request.symbol, slippage_bps=math.nan,
        spread_share=lost / spread, spread_bps=1e4 * spread / middles,
    )  # fmt: skip


def _average(fills: list[dict[str, Any]], symbol: str) -> float | None:
    own = [one for one in fills if one["symbol"] == symbol]
    quantity = math.fsum(one["quantity"] for one in own)
    return math.fsum(one["quantity"] * one["price"] for one in own) / quantity if quantity > 0.0 else None


def _is_usable(pair: tuple[float, float]) -> bool:
    bid, ask = pair
    return math.isfinite(ask) and 0.0 < bid <= ask
