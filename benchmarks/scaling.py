"""How cost grows: with bars, symbols, lanes and open positions, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import alternating, median
from benchmarks.report import Section
from benchmarks.twinstep_side import CASH, bars_of, plan_run, sweep_run
from benchmarks.workloads import DAY_NS, FIRST_DAY, Market, Plan, long_work, random_walk, sweep_work
from simulator import Signals, backtest

BARS = (10_000, 100_000, 1_000_000)
SYMBOLS = (10, 100, 1000)
LANES = (10, 100, 1000)
OPEN = (1, 10, 100)


def scaling_section(*, quick: bool) -> Section:
    """Measure one axis at a time; `ns per unit` should stay level where cost is proportional."""
    section = Section("scaling", "how cost grows (Twinstep alone; one axis at a time)")
    repeats = 3 if quick else 5
    cut = -1 if quick else None
    for bars in BARS[:cut]:
        market, plan = long_work(bars)
        run = plan_run(market, plan, conventions="realistic", relative=True)
        _row(section, "bars", bars, "bar", bars, run, repeats)
    for symbols in SYMBOLS[:cut]:
        run, signals = _many_symbols(symbols)
        _row(section, "symbols (20 signals each, 500 bars)", symbols, "signal", signals, run, repeats)
    for lanes in LANES[:cut]:
        work = sweep_work(lanes, 2500, 0.02)
        _row(
            section,
            "lanes (2,500 bars, 2 % signals)",
            lanes,
            "bar and lane",
            2500 * lanes,
            sweep_run(work),
            repeats,
        )
    for count in OPEN:
        run = _many_open(count)
        _row(
            section,
            "open positions (2,000 bars, always open)",
            count,
            "bar and position",
            2000 * count,
            run,
            repeats,
        )
    return section


def _row(
    section: Section, axis: str, size: int, unit: str, units: int, run: Callable[[], Any], repeats: int
) -> None:
    seconds = median(alternating({"run": run}, repeats)["run"])
    section.rows.append(
        {
            "axis": axis,
            "size": size,
            "median ms": 1e3 * seconds,
            "ns per unit": 1e9 * seconds / units,
            "unit": unit,
        }
    )


def _market(bars: int, symbols: int) -> Market:
    open_, high, low, close = random_walk(bars, symbols, 41, 0.01)
    return Market(
        open=open_, high=high, low=low, close=close,
        ts=FIRST_DAY + np.arange(bars, dtype=np.int64) * DAY_NS,
        symbols=tuple(f"S{index:04d}" for index in range(symbols)), sectors={}, origin="synthetic",
    )  # fmt: skip


def _many_symbols(symbols: int) -> tuple[Callable[[], Any], int]:
    bars = 500
    market = _market(bars, symbols)
    rng = np.random.default_rng(43)
    row = np.sort(rng.integers(0, bars - 1, 20 * symbols))
    plan = Plan(
        row=row, symbol=rng.integers(0, symbols, len(row)), side=np.where(rng.random(len(row)) < 0.5, 1, -1),
        qty=np.full(len(row), 10.0), stop=0.03, target=0.06,
    )  # fmt: skip
    return plan_run(market, plan, conventions="realistic", relative=True), len(row)


def _many_open(count: int) -> Callable[[], Any]:
    # every symbol is bought at once and held: the trail and the target are out of reach
    market = _market(2000, count)
    bars = bars_of(market)
    signals = Signals.from_arrays(
        bars, np.zeros(count, np.int64), np.arange(count), 1, qty=1.0, trail_percent=99.9, target_percent=1e6
    )

    def run() -> Any:
        result = backtest(bars, signals, cash=CASH, risk=None)
        return result.metrics

    return run
