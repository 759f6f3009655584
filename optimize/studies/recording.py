"""What becomes of a study's results while it runs: the best so far, and the trials that a ledger counts.

A process tells the ledger of what it ran, before the study knows of it, so that nothing that was run is ever
missing. At the end of a stored study it tells of what others ran, too: the ledger of each machine then knows
the whole study. A trial that is told twice counts once, because its id says what was run. What a pruner
stopped has been tried too: it is told without figures, and gets them if it is ever run to its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optimize.evaluating.making import maker_of
from optimize.evaluator import Evaluator
from optimize.objectives import constraints_of
from optimize.studies._optuna import the_optuna
from optimize.studies.run import STOPPED, Plan
from optimize.studies.space import values_of
from simulator.ran import ran_of, rules_of, settled
from simulator.trials import Trial, Trials, hypothesis_of, range_of, trials_of_metrics

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
        self._stopped: set[tuple[Any, ...]] = set()
        self.best = math.nan
        self.look()

    def batch(
        self, sets: list[dict[str, Any]], metrics: list[dict[str, Any]], stopped: list[dict[str, Any]]
    ) -> None:
        """Take what this process ran over the whole window, and what it stopped before."""
        self._tell_stopped(stopped)
        if not sets:
            return
        table = pd.DataFrame(metrics)
        values = self._plan.objectives[0].of(table)
        for excess in constraints_of(table, **self._plan.limits).values():
            values = np.where(excess > 0, np.nan, values)
        self.best = float(np.fmax.reduce(values, initial=self.best))
        self._tell(sets, table)

    def default(self, metrics: dict[str, Any]) -> None:
        """Take what the strategy did as it was given; it has been looked at."""
        self._tell([{}], pd.DataFrame([metrics]))

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
        found, stopped = {}, {}
        for trial in self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)):
            outcome = trial.user_attrs.get("outcome", {})
            metrics = outcome.get("metrics")
            parameters = values_of(self._plan.space, trial.params)
            if metrics is not None and tuple(parameters.values()) not in self._recorded:
                found[tuple(parameters.values())] = parameters, metrics
            elif outcome.get("why_not", "").startswith(STOPPED):
                stopped[tuple(parameters.values())] = parameters
        self._tell_stopped(list(stopped.values()))
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
        self._told(
            trials_of_metrics(
                [self._ran(one) for one in sets],
                table,
                self._window,
                source="study",
                hypothesis=self._hypothesis,
                rules=self._rules,
                run=self._study.study_name,
            )
        )

    def _tell_stopped(self, sets: list[dict[str, Any]]) -> None:
        fresh = {tuple(one.values()): one for one in sets}
        fresh = {key: one for key, one in fresh.items() if key not in self._recorded | self._stopped}
        if not self._told.wanted or not fresh:
            return
        self._stopped.update(fresh)
        self._told(
            [
                Trial(
                    strategy=ran.strategy, data=self._window.fingerprint, parameters=ran.parameters,
                    source="study", hypothesis=self._hypothesis, **range_of(self._window), rules=self._rules,
                    version=ran.version, run=self._study.study_name,
                )
                for ran in settled([self._ran(one) for one in fresh.values()])
            ]
        )  # fmt: skip

    def _ran(self, parameters: dict[str, Any]) -> Ran:
        """Return the identity of a set, as a backtest of it would have."""
        strategy = self._evaluator.strategy
        if hasattr(strategy, "signals") and not hasattr(strategy, "parameters"):
            # its attributes need not be named as what makes it
            return ran_of(self._make(parameters))
        return self._base._replace(parameters={**self._base.parameters, **parameters})

    @cached_property
    def _make(self) -> Callable[[Mapping[str, Any]], Any]:
        return maker_of(self._evaluator.strategy)

    @cached_property
    def _base(self) -> Ran:
        return ran_of(self._evaluator.strategy)

    @cached_property
    def _hypothesis(self) -> str:
        return hypothesis_of(self._base.strategy, self._evaluator.bars.fingerprint)

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
