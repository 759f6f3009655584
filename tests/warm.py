"""Compiles what most tests call, before the workers start: each of them would do it for itself.

    python -m tests.warm

Bars with options have a step of their own, which takes as long to compile as that of stocks; two processes
share the work. What is compiled stays in the cache, so that a second call takes seconds.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import numpy as np

from simulator import PortfolioRiskManager, RiskLimits, load_bars
from simulator.bars import Bars
from simulator.engine import Run
from simulator.options import OptionMarket, greeks
from simulator.options.pricing import implied_volatility, price
from simulator.signals import Signals
from strategies.registry import EQUITY, strategy_class

MARKETS: Final = ("stocks", "options")


def stocks() -> None:
    """The step of stocks, what asks about an account, and all that strategies calculate."""
    bars = load_bars("synthetic:2x300?seed=1")
    for name in EQUITY:
        strategy_class(name)().signals(bars)
    _step(bars)


def options() -> None:
    """The step of bars with options, and prices by hand."""
    bars = load_bars("synthetic:2x300?seed=1")
    market = OptionMarket.modelled(bars, dict.fromkeys(bars.symbols, 0.2), rate=0.02)
    for style in ("european", "american"):
        price("put", 100.0, np.array([90.0, 95.0]), 0.5, 0.03, 0.2, style=style)
        implied_volatility("put", np.array([6.0, 7.0]), 100.0, 100.0, 0.5, 0.03, style=style)
        greeks("put", 100.0, np.array([90.0, 95.0]), 0.5, 0.03, 0.2, style=style)
    _step(bars.with_options(market))


def _step(bars: Bars) -> None:
    signals = Signals.from_arrays(bars, [50], [0], 1, stop_atr=2.0)
    run = Run(bars, signals)
    run.advance(100)
    manager = PortfolioRiskManager(RiskLimits())
    manager.portfolio_risk(run, bars, row=99)
    manager.correlation_matrix(bars)
    manager.evaluate(run, signals)


def main() -> int:
    """Compile both markets at once."""
    running = [subprocess.Popen([sys.executable, "-m", "tests.warm", name]) for name in MARKETS]
    return max(abs(process.wait()) for process in running)


if __name__ == "__main__":
    if sys.argv[1:]:
        {"stocks": stocks, "options": options}[sys.argv[1]]()
    else:
        sys.exit(main())
