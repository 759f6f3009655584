"""What to trade: causal indicators, chart patterns, strategies, signal generation, and the look-ahead proof.

`Strategy` and `OnBarStrategy` are the bases for your own; `load_strategy` finds shipped and own ones by
name or file; `scan_patterns` and `SignalGenerator` turn charts into sized `TradingSignal`s; `OptionsScanner`
and `PositionSizer` find premium trades and size them. The proof lives in `strategies.lookahead`, indicators
in `strategies.indicators`. Names are imported when they are first used, so that importing this package
imports neither numba nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.types import SignalStrength, TradingSignal
    from strategies.base import OnBarStrategy, Strategy
    from strategies.equity.atr_channel import AtrChannel
    from strategies.equity.donchian import DonchianBreakout
    from strategies.equity.gap_fade import GapFade
    from strategies.equity.pattern_scan import PatternScanStrategy
    from strategies.equity.rsi_pullback import RsiPullback
    from strategies.equity.sma_cross import SmaCross
    from strategies.loader import load_class, load_strategy, strategy_names
    from strategies.lookahead import LookaheadReport, WarmupReport, warmup_report
    from strategies.options_scanner import OptionsScanner
    from strategies.patterns.scan import PATTERNS, PatternScan, scan_patterns
    from strategies.position_sizer import PositionSizer
    from strategies.registry import STRATEGIES, strategy_class
    from strategies.risk_calculator import RiskCalculator
    from strategies.signal_generator import SignalGenerator, StrengthThresholds, create_manual_signal
    from strategies.space import Choice, Float, Int, param
    from strategies.template import new_strategy

__all__ = [
    "PATTERNS",
    "STRATEGIES",
    "AtrChannel",
    "Choice",
    "DonchianBreakout",
    "Float",
    "GapFade",
    "Int",
    "LookaheadReport",
    "OnBarStrategy",
    "OptionsScanner",
    "PatternScan",
    "PatternScanStrategy",
    "PositionSizer",
    "RiskCalculator",
    "RsiPullback",
    "SignalGenerator",
    "SignalStrength",
    "SmaCross",
    "Strategy",
    "StrengthThresholds",
    "TradingSignal",
    "WarmupReport",
    "create_manual_signal",
    "load_class",
    "load_strategy",
    "new_strategy",
    "param",
    "scan_patterns",
    "strategy_class",
    "strategy_names",
    "warmup_report",
]

# `lookahead` itself is not among them: it would share its name with its module.
_HOMES = {
    "simulator.types": ("SignalStrength", "TradingSignal"),
    "strategies.base": ("OnBarStrategy", "Strategy"),
    "strategies.equity.atr_channel": ("AtrChannel",),
    "strategies.equity.donchian": ("DonchianBreakout",),
    "strategies.equity.gap_fade": ("GapFade",),
    "strategies.equity.pattern_scan": ("PatternScanStrategy",),
    "strategies.equity.rsi_pullback": ("RsiPullback",),
    "strategies.equity.sma_cross": ("SmaCross",),
    "strategies.loader": ("load_class", "load_strategy", "strategy_names"),
    "strategies.lookahead": ("LookaheadReport", "WarmupReport", "warmup_report"),
    "strategies.options_scanner": ("OptionsScanner",),
    "strategies.patterns.scan": ("PATTERNS", "PatternScan", "scan_patterns"),
    "strategies.position_sizer": ("PositionSizer",),
    "strategies.registry": ("STRATEGIES", "strategy_class"),
    "strategies.risk_calculator": ("RiskCalculator",),
    "strategies.signal_generator": ("SignalGenerator", "StrengthThresholds", "create_manual_signal"),
    "strategies.space": ("Choice", "Float", "Int", "param"),
    "strategies.template": ("new_strategy",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
