"""Strategies by their short names; classes are imported when they are asked for.

>>> sorted(STRATEGIES)
['atr-channel', 'donchian-breakout', 'gap-fade', 'pattern-scan', 'rsi-pullback', 'sma-cross']
"""

from __future__ import annotations

import importlib
from typing import Final

from simulator.errors import UnknownNameError, did_you_mean
from strategies.base import Strategy

__all__ = ["STRATEGIES", "strategy_class"]

STRATEGIES: Final[dict[str, str]] = {
    "sma-cross": "strategies.equity.sma_cross:SmaCross",
    "donchian-breakout": "strategies.equity.donchian:DonchianBreakout",
    "rsi-pullback": "strategies.equity.rsi_pullback:RsiPullback",
    "atr-channel": "strategies.equity.atr_channel:AtrChannel",
    "gap-fade": "strategies.equity.gap_fade:GapFade",
    "pattern-scan": "strategies.equity.pattern_scan:PatternScanStrategy",
}
"""Home of every shipped strategy."""


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of a shipped strategy; raise `UnknownNameError` (NAME_STRATEGY) for another name."""
    home = STRATEGIES.get(name)
    if home is None:
        raise UnknownNameError(f"no strategy {name!r}.{did_you_mean(name, STRATEGIES)}", code="NAME_STRATEGY")
    module, _, attribute = home.partition(":")
    found: type[Strategy] = getattr(importlib.import_module(module), attribute)
    return found
