"""Premium with defined risk: the put spread, the call spread, and the iron condor of both.

What such a package can lose is its width less its credit, times a hundred. The risk manager counts all of it,
whatever the stop: a gap does not stop there. `min_credit_pct` is measured at the middle of the quotes when
the strikes are chosen; the step holds the price of the fill, which is lower, to the same share of the width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.base import Array, Float, param
from strategies.premium.base import DeltaParams, Leg, Plan, PremiumStrategy, check_rule

if TYPE_CHECKING:
    from simulator.options.selection import Pick, Selection

__all__ = ["IronCondor", "ShortCallSpread", "ShortPutSpread", "SpreadParams", "SpreadStrategy"]


@dataclass(frozen=True)
class SpreadParams(DeltaParams):
    """The common parameters, the width of a spread and the least credit for it."""

    width: float = param(0.0, minimum=0.0, help="between the strikes, in currency; 0: width_pct")
    width_pct: float = param(
        3.0, Float(1.0, 5.0, 1.0), minimum=0.0, help="between the strikes, percent of the close, beside width"
    )
    min_credit_pct: float = param(
        10.0, Float(0.0, 30.0, 10.0), minimum=0.0, help="least credit, percent of the width; 0 is any"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rule(self.width + self.width_pct > 0.0, "width and width_pct are not both 0", self)


class SpreadStrategy(PremiumStrategy):
    """Base of strategies with wings at a width from what is sold."""

    def wing(self, selection: Selection, sold: Pick) -> Pick:
        """Return the option to buy, further out of the money than the one sold."""
        given = self.params
        # a width in currency stands alone: the percentage is the default for all price levels
        share = 0.0 if given.width else given.width_pct
        return selection.by_width(sold, self.window, width=given.width, width_pct=share)

    def package(self, selection: Selection, legs: list[Leg], width: Array) -> Plan:
        """Return a plan for what brings at least `min_credit_pct` of the width, (T,) in currency."""
        least = self.params.min_credit_pct / 100.0
        if not least:
            return Plan(legs)
        enough = self.credit(selection, legs) >= least * width
        return Plan(legs, where=enough, rules={"min_credit": least})


class ShortPutSpread(SpreadStrategy):
    """Sell a put and buy one further down: a bet against a fall, with a floor."""

    name = "short-put-spread"

    @dataclass(frozen=True)
    class Params(SpreadParams):
        """The common parameters and the sold put's delta."""

        delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="absolute delta of the put sold")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return two puts."""
        return [_vertical(self, selection, "put", self.params.delta)]


class ShortCallSpread(SpreadStrategy):
    """Sell a call and buy one further up: a bet against a rise, with a ceiling."""

    name = "short-call-spread"

    @dataclass(frozen=True)
    class Params(SpreadParams):
        """The common parameters and the sold call's delta."""

        delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="delta of the call sold")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return two calls."""
        return [_vertical(self, selection, "call", self.params.delta)]


class IronCondor(SpreadStrategy):
    """A put spread below and a call spread above the market: a bet that it stays between."""

    name = "iron-condor"

    @dataclass(frozen=True)
    class Params(SpreadParams):
        """The common parameters and the deltas of what is sold; the wider spread counts as the width."""

        put_delta: float = param(0.20, Float(0.10, 0.30, 0.05), help="absolute delta of the put sold")
        call_delta: float = param(0.20, Float(0.10, 0.30, 0.05), help="delta of the call sold")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return two puts and two calls."""
        put = self.sold(selection, "put", self.params.put_delta)
        call = self.sold(selection, "call", self.params.call_delta)
        low, high = self.wing(selection, put), self.wing(selection, call)
        legs = [Leg(-1, put), Leg(1, low), Leg(-1, call), Leg(1, high)]
        width = np.maximum(put.strike - low.strike, high.strike - call.strike)
        return [self.package(selection, legs, width)]


def _vertical(strategy: SpreadStrategy, selection: Selection, right: str, delta: float) -> Plan:
    sold = strategy.sold(selection, right, delta)
    bought = strategy.wing(selection, sold)
    width = np.abs(sold.strike - bought.strike)
    return strategy.package(selection, [Leg(-1, sold), Leg(1, bought)], width)
