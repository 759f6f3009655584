"""Trials made by hand: of a result, of the table of a sweep; the value itself is `simulator.trials.Trial`.

`backtest`, `sweep` and `tune_strategy` tell a `sink` of their trials themselves. These functions are for runs
that were made without one. What they leave out (`rules`, `version`) is left out of the trial's `id` too, so a
run that is told both ways counts twice: choose one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.ran import plain
from simulator.trials import SOURCES, Source, Trial, hypothesis_of, range_of

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results import Result

__all__ = ["SOURCES", "Source", "Trial", "hypothesis_of", "plain", "trial_of_result", "trials_of_table"]


def trial_of_result(
    result: Result,
    *,
    strategy: str,
    parameters: Mapping[str, Any],
    source: Source = "backtest",
    hypothesis: str = "",
    rules: str = "",
    run: str = "",
) -> Trial:
    """Return the trial of one backtest, with its session returns."""
    from optimize.statistics.sharpe import sharpe_sample

    returns = np.asarray(result.returns.to_numpy(), np.float64)
    sample = sharpe_sample(returns)
    bars = result.raw.bars
    return Trial(
        strategy=strategy, data=bars.fingerprint, parameters=parameters, source=source,
        hypothesis=hypothesis, **range_of(bars), sharpe=sample.sharpe, sessions=sample.observations,
        skewness=sample.skewness, kurtosis=sample.kurtosis, returns=returns, rules=rules,
        run=run or result.fingerprint,
    )  # fmt: skip


def trials_of_table(
    table: pd.DataFrame,
    bars: Bars,
    *,
    strategy: str,
    parameters: Sequence[str],
    source: Source = "sweep",
    hypothesis: str = "",
    rules: str = "",
    run: str = "",
) -> list[Trial]:
    """Return the trials of a sweep's table, one per row; skewness, kurtosis and returns are not known.

    Parameters
    ----------
    table
        Parameters, then metrics, among them `sharpe` (annual) and `sessions`.
    bars
        What was swept over.
    parameters
        Columns that are parameters.

    Raises
    ------
    ConfigError
        OPTIMIZE_TABLE for a missing column.
    """
    for name in (*parameters, "sharpe", "sessions"):
        if name not in table:
            raise ConfigError(
                f"the table has no column {name!r}.{did_you_mean(name, map(str, table.columns))}",
                code="OPTIMIZE_TABLE",
            )
    year = math.sqrt(bars.sessions_per_year)
    kept = [name for name in ("total_return", "max_drawdown", "trades") if name in table]
    shared = {
        "strategy": strategy, "data": bars.fingerprint, "source": source, "hypothesis": hypothesis,
        "rules": rules, "run": run, **range_of(bars),
    }  # fmt: skip
    return [
        Trial(
            parameters={name: row[name] for name in parameters},
            sharpe=float(row["sharpe"]) / year,
            sessions=int(row["sessions"]),
            metrics={name: float(row[name]) for name in kept},
            **shared,
        )
        for row in table.to_dict("records")
    ]
