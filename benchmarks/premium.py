"""Premium: a thousand parameter sets of option packages over twenty years of daily bars, modelled quotes.

No peer does this under an account, so what is checked is the time: from strategy and grid to the table, on
all processors. Quotes come from the surface; each leg is priced on each bar that it is held.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.report import Check, Section
from simulator import Bars, RiskLimits, load_bars, sweep
from simulator.options import OptionMarket
from strategies import strategy_class

SESSIONS = 5040
LIMITS = {"short-put-spread": 20.0, "iron-condor": 40.0}
"""Seconds for a thousand sets on two processors."""


def premium_section(*, quick: bool) -> Section:
    """Measure sweeps of two premium strategies."""
    bars = market(1260 if quick else SESSIONS)
    grid: dict[str, list[Any]] = {
        "min_iv_rank": [10, 50] if quick else [10, 25, 40, 50, 60],
        "target_dte": [30, 45] if quick else [30, 38, 45, 52, 60],
        "profit_target_pct": [25, 50, 65, 75],
        "stop_multiple": [2.0, 3.0],
    }
    deltas = [0.16, 0.3] if quick else [0.10, 0.16, 0.20, 0.25, 0.30]
    section = Section("premium", f"premium: parameter sets over {len(bars):,} daily bars, options modelled")
    for name, limit in LIMITS.items():
        delta = "put_delta" if name == "iron-condor" else "delta"
        begin = time.perf_counter()
        table = sweep(
            bars, strategy_class(name), {**grid, delta: deltas}, risk=RiskLimits(), costs="tastytrade"
        )
        seconds = time.perf_counter() - begin
        section.rows.append(
            {
                "strategy": name,
                "sets": len(table),
                "seconds": seconds,
                "trades per set": float(table["trades"].mean()),
                "signals per set": float(table["signals"].mean()),
            }
        )
        per_thousand = 1000 * seconds / len(table)
        section.checks.append(Check(f"{name}, seconds per 1,000 sets", per_thousand, limit, at_least=False))
    section.notes.append("first run of its kind in the process: strike selection is not cached before")
    return section


def market(sessions: int, seed: int = 2) -> Bars:
    """Return a synthetic underlying with an index of volatility that reverts to its mean."""
    bars = load_bars(f"synthetic:1x{sessions}?seed=1")
    shocks = np.random.default_rng(seed).normal(0.0, 0.06, sessions)
    level = np.zeros(sessions)
    for t in range(1, sessions):
        level[t] = 0.97 * level[t - 1] + shocks[t]
    index = 0.2 * np.exp(level)
    return bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: index}, rate=0.02))
