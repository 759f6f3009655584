"""Twinstep's side: bars and signals prepared, then a run that is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.agreement import COLUMNS, from_result, trade_table
from benchmarks.workloads import Market, Plan, SweepWork
from simulator import Bars, Costs, RiskLimits, Signals, backtest, sweep

CASH = 1e12
"""Ample, for the runs that must take every signal as the peer does."""
ACCOUNT_CASH = 1_000_000.0
"""For the run under the risk manager."""


def bars_of(market: Market) -> Bars:
    """Return the market as `Bars`, without ticks: no order price is rounded where the peer's is not."""
    volume = np.full(market.shape, 1e9)
    panel = np.stack([market.open, market.high, market.low, market.close, volume], axis=-1)
    return Bars.from_arrays(
        market.symbols, market.ts, panel, calendar="24/7", sectors=market.sectors or None, guard="note",
        instruments={name: {"tick": 0.0} for name in market.symbols},
    )  # fmt: skip


def lane_signals(work: SweepWork, bars: Bars) -> list[Signals]:
    """Return one `Signals` per lane: stop, trail and target in percent of the fill."""
    return [
        Signals.from_arrays(
            bars, work.row[lane], np.zeros(len(work.row[lane]), np.int64), work.side[lane], qty=work.qty,
            stop_percent=100.0 * work.trail[lane], trail_percent=100.0 * work.trail[lane],
            target_percent=100.0 * work.target[lane],
        )
        for lane in range(work.lanes)
    ]  # fmt: skip


def sweep_costs(work: SweepWork) -> Costs:
    """Return the sweep's fees and slippage as `Costs`."""
    return Costs(commission_pct=100.0 * work.fees, slippage_bps=1e4 * work.slippage)


def sweep_run(work: SweepWork, threads: int | None = None) -> Callable[[], pd.DataFrame]:
    """Return the timed part: from prepared bars and signals to the table of metrics."""
    bars = bars_of(work.market)
    lanes = lane_signals(work, bars)
    costs = sweep_costs(work)

    def run() -> pd.DataFrame:
        return sweep(
            bars, lanes, cash=CASH_SWEEP, risk=None, costs=costs, conventions="vectorbt", threads=threads
        )

    return run


CASH_SWEEP = 1e6
"""What 100 shares at about 100 can not exhaust; returns and drawdowns stay of ordinary size."""


def sweep_trades(work: SweepWork) -> pd.DataFrame:
    """Return the trades of every lane, the lane as the symbol, by one backtest per lane."""
    bars = bars_of(work.market)
    costs = sweep_costs(work)
    tables = []
    for lane, signals in enumerate(lane_signals(work, bars)):
        result = backtest(bars, signals, cash=CASH_SWEEP, risk=None, costs=costs, conventions="vectorbt")
        table = from_result(result, work.market.ts, work.market.symbols)
        table["symbol"] = lane
        tables.append(table)
    merged = pd.concat(tables)
    return trade_table({name: merged[name] for name in COLUMNS})


def plan_signals(market: Market, plan: Plan, bars: Bars, *, relative: bool, sized: bool) -> Signals:
    """Return a plan's brackets.

    Levels are `relative` to the fill, or prices fixed at the signal's close; `sized` takes the plan's
    quantities, else the risk manager sizes.
    """
    columns: dict[str, Any] = {"qty": plan.qty} if sized else {}
    if relative:
        columns.update(stop_percent=100.0 * plan.stop, target_percent=100.0 * plan.target)
    else:
        close = market.close[plan.row, plan.symbol]
        columns.update(
            stop=close * (1.0 - plan.side * plan.stop), target=close * (1.0 + plan.side * plan.target)
        )
    return Signals.from_arrays(bars, plan.row, plan.symbol, plan.side, **columns)


def plan_run(
    market: Market, plan: Plan, *, conventions: str, relative: bool, log: bool = True
) -> Callable[[], Any]:
    """Return a run without the risk manager that takes every signal; it answers with the result."""
    bars = bars_of(market)
    signals = plan_signals(market, plan, bars, relative=relative, sized=True)

    def run() -> Any:
        result = backtest(bars, signals, cash=CASH, risk=None, conventions=conventions, log=log)
        _ = result.metrics
        return result

    return run


def risk_run(market: Market, plan: Plan, limits: RiskLimits | None = None) -> Callable[[], Any]:
    """Return a run of the same signals, sized and judged by the whole risk manager."""
    bars = bars_of(market)
    signals = plan_signals(market, plan, bars, relative=False, sized=False)
    risk = limits or RiskLimits()

    def run() -> Any:
        result = backtest(bars, signals, cash=ACCOUNT_CASH, risk=risk)
        _ = result.metrics
        return result

    return run
