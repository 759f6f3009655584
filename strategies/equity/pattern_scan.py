"""Pattern scan: trade completed chart patterns with the stop and target that the pattern gives.

Enters at the next open after the close that completed a pattern, with the scan's stop and target as a
bracket, its score as priority, and a strength class for the risk manager. Of several patterns that one
symbol completes on one bar, the best score is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.base import Float, Int, Strategy, param
from strategies.patterns.scan import HISTORY, PATTERNS, check_patterns, scan_table
from strategies.signal_generator import StrengthThresholds

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["PatternScanStrategy"]


class PatternScanStrategy(Strategy):
    """Trade every pattern of sufficient score and reward to risk."""

    name = "pattern-scan"

    @dataclass(frozen=True)
    class Params:
        """Scores from 0 to 100."""

        patterns: str = param("all", help="'all', or names separated by commas")
        min_score: float = param(60.0, Float(50.0, 80.0, 5.0), minimum=0.0, maximum=100.0, help="least score")
        min_reward_risk: float = param(2.0, Float(1.5, 3.0, 0.5), minimum=0.0, help="least reward per risk")
        max_bars: int = param(40, Int(10, 80, 10), minimum=1, help="time exit, in bars")
        breakeven_r: float = param(
            1.0, minimum=0.0, help="profit that moves the stop to break-even, 0 for never"
        )
        moderate: float = param(60.0, minimum=0.0, maximum=100.0, help="score of a MODERATE signal")
        strong: float = param(75.0, minimum=0.0, maximum=100.0, help="score of a STRONG signal")
        very_strong: float = param(85.0, minimum=0.0, maximum=100.0, help="score of a VERY_STRONG signal")

        def __post_init__(self) -> None:
            check_patterns(self.names())
            self.thresholds()

        def names(self) -> tuple[str, ...]:
            """Return the patterns to look for."""
            if self.patterns.strip() == "all":
                return PATTERNS
            return tuple(name.strip() for name in self.patterns.split(",") if name.strip())

        def thresholds(self) -> StrengthThresholds:
            """Return the strength classes."""
            return StrengthThresholds(
                moderate=self.moderate, strong=self.strong, very_strong=self.very_strong
            )

    params: Params

    @property
    def warmup(self) -> int:
        """Bars that the longest of the patterns needs."""
        return max(HISTORY[name] for name in self.params.names())

    def signals(self, bars: Bars) -> Signals:
        """One signal per symbol and bar at most."""
        from simulator.signals import Signals

        table = scan_table(bars, self.params.names())
        risk = table["entry"] - table["stop"]
        enough = table["target"] - table["entry"] >= self.params.min_reward_risk * risk * (1.0 + 1e-9)
        table = table[(table["score"] >= self.params.min_score) & enough]
        table = table[np.lexsort((table["pattern"], -table["score"], table["sym"], table["row"]))]
        key = table["row"] * len(bars.symbols) + table["sym"]
        if len(key):
            table = table[np.concatenate(([True], key[1:] != key[:-1]))]
        thresholds = self.params.thresholds()
        edges = (thresholds.moderate, thresholds.strong, thresholds.very_strong)
        return Signals.from_arrays(
            bars,
            table["row"],
            table["sym"],
            1,
            stop=table["stop"],
            target=table["target"],
            max_bars=self.params.max_bars,
            breakeven_r=self.params.breakeven_r if self.params.breakeven_r > 0 else None,
            score=table["score"],
            strength=1 + np.searchsorted(np.array(edges), table["score"], side="right"),
            priority=table["score"],
            strategy=self.name,
            tag=[PATTERNS[index] for index in table["pattern"]],
        )
