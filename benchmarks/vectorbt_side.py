"""vectorbt's side: the same arrays, `Portfolio.from_signals`, and the same six metrics.

The engine is chosen both per call and in vectorbt's settings, because some metrics follow the setting alone.
Arrays that are the same for all columns are passed with one column, as its documentation advises: it
broadcasts them without copies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.agreement import trade_table
from benchmarks.workloads import Floats, Market, Plan, SweepWork

ENGINES = ("numba", "rust")
CASH = 1e12


def _module() -> Any:
    import vectorbt

    return vectorbt


def _executed(row: Any, columns: Any, shape: tuple[int, int]) -> Any:
    # a signal known at the close of a bar executes at the next open
    signal = np.zeros(shape, bool)
    inside = row + 1 < shape[0]
    signal[row[inside] + 1, columns[inside]] = True
    return signal


def metrics_of(portfolio: Any) -> dict[str, Any]:
    """Return the six metrics of the comparison, one value per column or group."""
    trades = portfolio.trades
    return {
        "total_return": portfolio.total_return(),
        "sharpe": portfolio.sharpe_ratio(),
        "max_drawdown": portfolio.max_drawdown(),
        "trades": trades.count(),
        "win_rate": trades.win_rate(),
        "profit_factor": trades.profit_factor(),
    }


def sweep_portfolio(work: SweepWork, engine: str, cash: float) -> Callable[[], Any]:
    """Return a function that simulates all lanes as columns."""
    shape = (work.market.shape[0], work.lanes)
    lane = np.repeat(np.arange(work.lanes), [len(row) for row in work.row])
    row, side = np.concatenate(work.row), np.concatenate(work.side)
    long = _executed(row[side > 0], lane[side > 0], shape)
    short = _executed(row[side < 0], lane[side < 0], shape)
    close = np.broadcast_to(work.market.close, shape)

    def run() -> Any:
        vbt = _module()
        vbt.settings["engine"] = engine
        return vbt.Portfolio.from_signals(
            close, entries=long, short_entries=short, open=work.market.open, high=work.market.high,
            low=work.market.low, price=work.market.open, size=work.qty, sl_stop=work.trail[None, :],
            sl_trail=True, tp_stop=work.target[None, :], fees=work.fees, slippage=work.slippage,
            stop_entry_price="fillprice", init_cash=cash, freq="1D", engine=engine,
        )  # fmt: skip

    return run


def plan_portfolio(market: Market, plan: Plan, engine: str, *, shared: bool, freq: str) -> Callable[[], Any]:
    """Return a function that simulates a plan, in one group that shares its cash if `shared`."""
    long = _executed(plan.row[plan.side > 0], plan.symbol[plan.side > 0], market.shape)
    short = _executed(plan.row[plan.side < 0], plan.symbol[plan.side < 0], market.shape)
    size: Floats = np.zeros(market.shape)
    inside = plan.row + 1 < market.shape[0]
    size[plan.row[inside] + 1, plan.symbol[inside]] = plan.qty[inside]
    grouping = {"cash_sharing": True, "group_by": True} if shared else {}

    def run() -> Any:
        vbt = _module()
        vbt.settings["engine"] = engine
        return vbt.Portfolio.from_signals(
            market.close, entries=long, short_entries=short, open=market.open, high=market.high,
            low=market.low, price=market.open, size=size, sl_stop=plan.stop, tp_stop=plan.target,
            stop_entry_price="fillprice", init_cash=CASH, freq=freq, engine=engine, **grouping,
        )  # fmt: skip

    return run


def with_metrics(portfolio: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """Return the timed part: simulation and metrics."""

    def run() -> dict[str, Any]:
        return metrics_of(portfolio())

    return run


def trades_of(portfolio: Any) -> pd.DataFrame:
    """Return the trade table of a portfolio."""
    records = portfolio.trades.values
    return trade_table(
        {
            "symbol": records["col"],
            "side": np.where(records["direction"] == 0, 1, -1),
            "entry_bar": records["entry_idx"],
            "exit_bar": records["exit_idx"],
            "entry_price": records["entry_price"],
            "exit_price": records["exit_price"],
            "qty": records["size"],
            "fees": records["entry_fees"] + records["exit_fees"],
        }
    )
