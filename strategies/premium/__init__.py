"""Strategies that sell option premium; `strategies.registry` knows them by their short names.

All share one base: entries by IV rank, days to expiry and delta, sizes by what can be lost, exits at a share
of the credit, at a multiple of it, or at days to expiry. They are starting points with the numbers that the
trade talks about, not promises: on a modelled surface their results are as good as the surface.
"""

from __future__ import annotations

from strategies.premium.base import Leg, Plan, PremiumParams, PremiumStrategy
from strategies.premium.calendars import Calendar
from strategies.premium.spreads import IronCondor, ShortCallSpread, ShortPutSpread
from strategies.premium.stock import CashSecuredPut, CoveredCall, Wheel
from strategies.premium.undefined import JadeLizard, ShortStraddle, ShortStrangle

__all__ = [
    "Calendar",
    "CashSecuredPut",
    "CoveredCall",
    "IronCondor",
    "JadeLizard",
    "Leg",
    "Plan",
    "PremiumParams",
    "PremiumStrategy",
    "ShortCallSpread",
    "ShortPutSpread",
    "ShortStraddle",
    "ShortStrangle",
    "Wheel",
]
