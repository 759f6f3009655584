"""What becomes of a study's results while it runs: the best so far, and the trials that a ledger counts.

A process tells the ledger of what it ran, before the study knows of it, so that nothing that was run is ever
missing. At the end of a stored study it tells of what others ran, too: the ledger of each machine then knows
the whole study. A trial that is told twice counts once, because its id says what was run.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optimize.evaluate import Evaluator
from optimize.objectives import constraints_of
from optimize.studies._optuna import the_optuna
from optimize.studies.run import Plan
from optimize.studies.space import values_of
from simulator.ran import ran_of, rules_of
from simulator.trials import Trials, hypothesis_of, trials_of_metrics

if TYPE_CHECKING:
    from optuna import Study

    from simulator.bars import Bars
    from simulator.ran import Ran
    from simulator.types import TrialSink

__all__ = ["Recorder"]


class Recorder:
    """Keeps the best feasible figure of the first objective, and tells a sink of trials.

    Attributes
    ----------
    best
        NaN where no trial has a figure within the constraints.
    """

    def __init__(self, sink: TrialSink | None, study: Study, plan: Plan, evaluator: Evaluator) -> None:
        self._told = Trials(sink)
        self._study, self._plan, self._evaluator = study, plan, evaluator
        self._recorded: set[tuple[Any, ...]] = set()
        self.best = math.nan
        self.look()

    def batch(self, sets: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> None:
        """Take what this process ran over the whole window."""
        if not sets:
            return
        table = pd.DataFrame(metrics)
        values = self._plan.objectives[0].of(table)
        for excess in constraints_of(table, **self._plan.limits).values():
            values = np.where(excess > 0, np.nan, values)
        self.best = float(np.fmax.reduce(values, initial=self.best))
        self._tell(sets, table)

    def look(self) -> None:
        """Take the best of what other processes ran."""
        done = self._study.get_trials(deepcopy=False, states=(the_optuna().trial.TrialState.COMPLETE,))
        good = [
            trial.values[0] for trial in done if all(value <= 0.0 for value in trial.constraints.values())
        ]
        self.best = max(good, default=math.nan)

    def others(self, columns: list[str]) -> None:
        """Tell the sink of what other processes ran; `columns` are those of the metrics."""
        if not self._told.wanted:
            return
        states = the_optuna().trial.TrialState
        found = {}
        for trial in self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)):
            metrics = trial.user_attrs.get("outcome", {}).get("metrics")
            parameters = values_of(self._plan.space, trial.params)
            if metrics is not None and tuple(parameters.values()) not in self._recorded:
                found[tuple(parameters.values())] = parameters, metrics
        if found:
            table = pd.DataFrame([metrics for _, metrics in found.values()], columns=columns)
            self._tell([parameters for parameters, _ in found.values()], table)

    def finish(self) -> None:
        """Store what could not be stored yet, or warn."""
        self._told.finish()

    def _tell(self, sets: list[dict[str, Any]], table: pd.DataFrame) -> None:
        if not self._told.wanted:
            return
        self._recorded.update(tuple(one.values()) for one in sets)
        base = self._base
        self._told(
            trials_of_metrics(
                [base._replace(parameters={**base.parameters, **one}) for one in sets],
                table,
                self._window,
                source="study",
                hypothesis=hypothesis_of(base.strategy, self._evaluator.bars.fingerprint),
                rules=self._rules,
                run=self._study.study_name,
            )
        )

    @cached_property
    def _base(self) -> Ran:
        return ran_of(self._evaluator.strategy)

    @cached_property
    def _window(self) -> Bars:
        return self._evaluator.bars[self._plan.first : self._plan.last]

    @cached_property
    def _rules(self) -> str:
        rules = self._evaluator.rules
        return rules_of(
            cash=rules.cash, risk=rules.risk, costs=rules.costs, conventions=rules.conventions,
            warm_up=self._plan.first or None, without=self._evaluator.without or None,
        )  # fmt: skip
