"""Strategies by their short names; classes are imported when they are asked for.

>>> sorted(EQUITY)
['atr-channel', 'donchian-breakout', 'gap-fade', 'pattern-scan', 'rsi-pullback', 'sma-cross']
>>> sorted(PREMIUM)[:5]
['calendar', 'cash-secured-put', 'covered-call', 'iron-condor', 'jade-lizard']
>>> strategy_class("iron-condor").__name__
'IronCondor'
"""

from __future__ import annotations

import importlib
from typing import Final

from simulator.errors import UnknownNameError, did_you_mean
from strategies.base import Strategy

__all__ = ["EQUITY", "PREMIUM", "STRATEGIES", "strategy_class"]

EQUITY: Final[dict[str, str]] = {
    "sma-cross": "strategies.equity.sma_cross:SmaCross",
    "donchian-breakout": "strategies.equity.donchian:DonchianBreakout",
    "rsi-pullback": "strategies.equity.rsi_pullback:RsiPullback",
    "atr-channel": "strategies.equity.atr_channel:AtrChannel",
    "gap-fade": "strategies.equity.gap_fade:GapFade",
    "pattern-scan": "strategies.equity.pattern_scan:PatternScanStrategy",
}
"""Home of every shipped strategy that trades the bars themselves."""

PREMIUM: Final[dict[str, str]] = {
    "cash-secured-put": "strategies.premium.stock:CashSecuredPut",
    "covered-call": "strategies.premium.stock:CoveredCall",
    "wheel": "strategies.premium.stock:Wheel",
    "short-put-spread": "strategies.premium.spreads:ShortPutSpread",
    "short-call-spread": "strategies.premium.spreads:ShortCallSpread",
    "iron-condor": "strategies.premium.spreads:IronCondor",
    "short-strangle": "strategies.premium.undefined:ShortStrangle",
    "short-straddle": "strategies.premium.undefined:ShortStraddle",
    "jade-lizard": "strategies.premium.undefined:JadeLizard",
    "calendar": "strategies.premium.calendars:Calendar",
}
"""Home of every shipped strategy that needs bars with options."""

STRATEGIES: Final[dict[str, str]] = {**EQUITY, **PREMIUM}
"""Home of every shipped strategy."""


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of a shipped strategy; raise `UnknownNameError` (NAME_STRATEGY) for another name."""
    home = STRATEGIES.get(name)
    if home is None:
        raise UnknownNameError(f"no strategy {name!r}.{did_you_mean(name, STRATEGIES)}", code="NAME_STRATEGY")
    module, _, attribute = home.partition(":")
    found: type[Strategy] = getattr(importlib.import_module(module), attribute)
    return found
