"""Premium with undefined risk: strangle, straddle and jade lizard.

These packages tie up what the exchange asks for naked options and can lose more. The risk manager counts the
loss at two deviations of the underlying over five sessions, whatever the stop: a gap does not stop there. A
larger move loses more than was counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strategies.base import Float, param
from strategies.premium.base import DeltaParams, Leg, Plan, PremiumParams, PremiumStrategy
from strategies.premium.spreads import SpreadParams, SpreadStrategy

if TYPE_CHECKING:
    from simulator.options.selection import Selection

__all__ = ["JadeLizard", "ShortStraddle", "ShortStrangle"]


class ShortStrangle(PremiumStrategy):
    """Sell a put below and a call above the market."""

    name = "short-strangle"

    @dataclass(frozen=True)
    class Params(DeltaParams):
        """The common parameters and both deltas."""

        put_delta: float = param(0.16, Float(0.08, 0.32, 0.08), help="absolute delta of the put")
        call_delta: float = param(0.16, Float(0.08, 0.32, 0.08), help="delta of the call")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return a put and a call."""
        put = self.sold(selection, "put", self.params.put_delta)
        call = self.sold(selection, "call", self.params.call_delta)
        return [Plan([Leg(-1, put), Leg(-1, call)], rules={"naked": 1})]


class ShortStraddle(PremiumStrategy):
    """Sell a put and a call at the strike nearest to the close."""

    name = "short-straddle"

    @dataclass(frozen=True)
    class Params(PremiumParams):
        """The common parameters; a straddle seldom earns half its credit, so the target is a quarter."""

        profit_target_pct: float = param(
            25.0, Float(10.0, 50.0, 5.0), minimum=0.0, maximum=100.0, help="of the credit; 0 is never"
        )

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return a put and a call of one strike."""
        put = selection.by_percent("put", self.window)
        call = selection.at_strike_of(put, self.window, "call")
        return [Plan([Leg(-1, put), Leg(-1, call)], rules={"naked": 1})]


class JadeLizard(SpreadStrategy):
    """Sell a put and a call spread for at least the spread's width, so that a rise cannot lose."""

    name = "jade-lizard"

    @dataclass(frozen=True)
    class Params(SpreadParams):
        """The common parameters, both deltas, and the call spread's width, which the credit covers."""

        width_pct: float = param(
            1.0, Float(0.5, 2.0, 0.5), minimum=0.0, help="of the call spread, percent of the close"
        )
        min_credit_pct: float = param(
            100.0, Float(80.0, 120.0, 20.0), minimum=0.0, help="least credit of all, percent of that width"
        )
        put_delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="absolute delta of the put")
        call_delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="delta of the call sold")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return a put and two calls."""
        put = self.sold(selection, "put", self.params.put_delta)
        call = self.sold(selection, "call", self.params.call_delta)
        wing = self.wing(selection, call)
        legs = [Leg(-1, put), Leg(-1, call), Leg(1, wing)]
        width = wing.strike - call.strike
        enough = self.credit(selection, legs) >= self.params.min_credit_pct / 100.0 * width
        return [Plan(legs, where=enough, rules={"naked": 1})]
