"""Trials made by hand: of a result, of the table of a sweep; the value itself is `simulator.trials.Trial`.

`backtest`, `sweep` and `tune_strategy` tell a `sink` of their trials themselves. These functions are for runs
that were made without one. They have the same wording: given the strategy, or the name of one that is
registered, a run that is told both ways counts once. A name that is not registered says nothing of the code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError, StrategyError, UnknownNameError, did_you_mean
from simulator.ran import Ran, plain, ran_of, rules_of
from simulator.trials import (
    SOURCES,
    Source,
    Trial,
    hypothesis_of,
    range_of,
    trial_of_run,
    trials_of_metrics,
)

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.risk_limits import RiskLimits

__all__ = [
    "SOURCES",
    "Source",
    "Trial",
    "hypothesis_of",
    "plain",
    "range_of",
    "trial_of_result",
    "trials_of_table",
]


def trial_of_result(
    result: Result,
    *,
    strategy: Any,
    parameters: Mapping[str, Any] | None = None,
    source: Source = "backtest",
    hypothesis: str = "",
    rules: str = "",
    run: str = "",
) -> Trial:
    """Return the trial of one backtest, with its session returns.

    Parameters
    ----------
    strategy, parameters
        What ran, or its name; and its parameters, where the strategy does not hold them.
    rules
        By default those of the result.
    """
    from optimize.statistics.sharpe import sharpe_sample

    trial = trial_of_run(result, _ran(strategy, parameters or {}), source=source, hypothesis=hypothesis)
    sample = sharpe_sample(np.asarray(result.returns.to_numpy(), np.float64))
    return dataclasses.replace(
        trial, sharpe=sample.sharpe, sessions=sample.observations, skewness=sample.skewness,
        kurtosis=sample.kurtosis, rules=rules or trial.rules, run=run or trial.run,
    )  # fmt: skip


def trials_of_table(
    table: pd.DataFrame,
    bars: Bars,
    *,
    strategy: Any,
    parameters: Sequence[str],
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: Conventions | str = "realistic",
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
    strategy
        What was swept, or its name.
    parameters
        Columns that are parameters.
    cash, risk, costs, conventions
        As they were given to `sweep`; or `rules` in words of your own.

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
    sets = [{name: row[name] for name in parameters} for row in table.to_dict("records")]
    said = rules or rules_of(cash=cash, risk=risk, costs=costs, conventions=conventions)
    return trials_of_metrics(
        [_ran(strategy, one) for one in sets], table, bars, rules=said, source=source, hypothesis=hypothesis,
        run=run,
    )  # fmt: skip


def _ran(strategy: Any, parameters: Mapping[str, Any]) -> Ran:
    """Return the identity of a strategy, or of the registered one of that name, with these parameters."""
    from optimize.evaluating.making import maker_of
    from strategies import strategy_class

    if isinstance(strategy, str):
        try:
            return ran_of(strategy_class(strategy)(**parameters))
        except (UnknownNameError, StrategyError):
            return Ran(strategy, dict(parameters), "")
    if not parameters and not isinstance(strategy, type):
        return ran_of(strategy)
    if hasattr(strategy, "signals"):
        return ran_of(maker_of(strategy)(parameters))
    return ran_of(partial(strategy, **parameters))
