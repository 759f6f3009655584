"""What a study found: the best set, the front, every trial, which parameters matter, and what it is worth.

The best figure of a search is biased upwards: it is the largest of many that are partly luck. `str(study)`
says so, with the deflated Sharpe ratio: the probability that the best set's Sharpe ratio is above what the
best of so many sets without any edge would show. Only data that the search has not seen can say more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from optimize.evaluator import Evaluator
from optimize.objectives import Objective
from optimize.statistics.sharpe import deflated_sharpe, expected_max_sharpe, sharpe_sample
from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.run import Timing
from optimize.studies.space import values_of
from strategies.space import Space

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["Deflated", "StrategyStudy", "set_of", "trials_table"]

_STATES: Final = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
CONVINCING: Final = 0.95
"""Deflated Sharpe ratio from which the best set is not explained by the number of trials alone."""


@dataclass(frozen=True, slots=True)
class Deflated:
    """The best set's Sharpe ratio beside what luck alone would show; Sharpe ratios are annual.

    Attributes
    ----------
    probability
        The deflated Sharpe ratio, 0 to 1; NaN where it is not defined.
    sharpe, luck
        Of the best set, and expected of the best of `trials` sets without an edge.
    trials
        Different sets that were run, on the whole window or, when pruned, on a part. They are taken as
        independent, which neighbours are not: the true figure is between this and the probabilistic Sharpe
        ratio.
    sessions
        Returns behind it.
    """

    probability: float
    sharpe: float
    luck: float
    trials: int
    sessions: int


@dataclass(frozen=True)
class StrategyStudy:
    """Result of `tune_strategy`.

    Attributes
    ----------
    name
        Of the study in its storage.
    strategy
        The strategy as it was given: what is not searched keeps its values.
    objectives, limits, space
        What was maximised, under which constraints, over what.
    table : DataFrame
        One row per finished trial, in order: `number`, `state` ("complete", "pruned"), the parameters, each
        objective (NaN where it is not defined), `feasible`, `why_not`, then the metrics of the sweep.
    best
        Parameter values of the best feasible trial; None with several objectives, or where no trial has a
        figure within the constraints.
    best_value
        Its objective; NaN where there is none.
    default
        Metrics of the strategy as it was given, over the same window.
    timing
        Seconds of this call.
    optuna
        The study itself, for Optuna's own tools.
    """

    name: str
    strategy: Any
    objectives: tuple[Objective, ...]
    limits: dict[str, float]
    space: dict[str, Space]
    table: pd.DataFrame
    best: dict[str, Any] | None
    best_value: float
    default: dict[str, Any]
    timing: Timing
    window: tuple[int, int]
    optuna: Study = field(repr=False)
    evaluator: Evaluator = field(repr=False)

    @property
    def best_strategy(self) -> Any:
        """The strategy with the best set; the strategy as given where there is none."""
        if self.best is None:
            return self.strategy
        if hasattr(self.strategy, "replace"):
            return self.strategy.replace(**self.best)
        return functools.partial(self.strategy, **self.best)

    @property
    def default_values(self) -> dict[str, float]:
        """Each objective of the strategy as it was given."""
        row = pd.DataFrame([self.default])
        return {one.name: float(one.of(row)[0]) for one in self.objectives}

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """Feasible trials that no other beats in all objectives, best of the first objective first.

        With one objective: the best, and its equals. Of trials with equal parameters the first is shown.
        """
        goals = [one.name for one in self.objectives]
        good = self.table[self.table["feasible"]].drop_duplicates(list(self.space))
        values = good[goals].to_numpy(np.float64)
        keep = [not bool(((values >= row).all(axis=1) & (values > row).any(axis=1)).any()) for row in values]
        front = good.loc[np.array(keep, bool)]
        return front.sort_values(goals, ascending=False, kind="stable").reset_index(drop=True)

    def top(self, count: int = 10) -> pd.DataFrame:
        """Return the best different sets, best of the first objective first."""
        goal = self.objectives[0].name
        good = self.table[self.table["feasible"]].drop_duplicates(list(self.space))
        return good.sort_values(goal, ascending=False, kind="stable").head(count).reset_index(drop=True)

    def importance(self, objective: str | None = None) -> dict[str, float]:
        """Return the share of each parameter in how the objective varies, largest first (Optuna's PED-ANOVA).

        Empty where it cannot be told: fewer than two completed trials, or all alike.
        """
        index = 0 if objective is None else [one.name for one in self.objectives].index(objective)
        states = the_optuna().trial.TrialState
        done = self.optuna.get_trials(deepcopy=False, states=(states.COMPLETE,))
        if len(done) < 2 or len({trial.values[index] for trial in done}) < 2:
            return {}
        several = len(self.objectives) > 1
        with quiet():
            try:
                # with a target of one's own, low values are taken for the good ones
                found = the_optuna().importance.get_param_importances(
                    self.optuna, target=(lambda trial: -trial.values[index]) if several else None
                )
            except (ValueError, RuntimeError):
                return {}
        return {name: float(value) for name, value in found.items()}

    @cached_property
    def deflated(self) -> Deflated | None:
        """The deflated Sharpe ratio of the best set, or of the front's highest Sharpe ratio; None without."""
        chosen = self._judged
        if chosen is None:
            return None
        first, last = self.window
        sample = sharpe_sample(self.evaluator.returns(chosen, first=first, last=last))
        periods = self.evaluator.bars.sessions_per_year
        refused = self.table["why_not"].str.startswith("refused")
        ran = self.table[~refused].drop_duplicates(list(self.space))
        sharpes = ran["sharpe"].dropna().to_numpy(np.float64) / math.sqrt(periods)
        trials = len(ran)
        variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else math.nan
        probability = deflated_sharpe(
            sample.sharpe, sample.observations, trials=trials, variance=variance,
            skewness=sample.skewness, kurtosis=sample.kurtosis,
        )  # fmt: skip
        luck = expected_max_sharpe(trials, variance)
        year = math.sqrt(periods)
        return Deflated(probability, sample.sharpe * year, luck * year, trials, sample.observations)

    @property
    def _judged(self) -> dict[str, Any] | None:
        if self.best is not None:
            return self.best
        front = self.pareto.dropna(subset=["sharpe"]) if len(self.pareto) else self.pareto
        if not len(front):
            return None
        row = front.iloc[int(front["sharpe"].to_numpy(np.float64).argmax())]
        return set_of(row, self.space)

    def report(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write the study as one HTML file and return its path; see `optimize.report`."""
        from optimize.report import write_report

        return write_report(self, path, title=title)

    def sentence(self) -> str:
        """Return in words what the best figure is worth."""
        start = (
            "The best figure in sample is no evidence: it is the largest of many, and was chosen for that."
        )
        found = self.deflated
        if found is None:
            return "No set has a figure within the constraints: there is nothing to recommend."
        if math.isnan(found.probability):
            return start + " Its Sharpe ratio cannot be deflated: too few sets or sessions are known."
        word = (
            "more than luck alone explains; what it is worth, only data that the search has not seen can say"
            if found.probability >= CONVINCING
            else "within what luck alone explains"
        )
        return (
            f"{start} Its Sharpe ratio is {found.sharpe:.2f}; the best of {found.trials:,} sets without an "
            f"edge would show about {found.luck:.2f}. Deflated Sharpe ratio {found.probability:.2f} (0.95 "
            f"would be convincing): {word}."
        )

    def __str__(self) -> str:
        """Return the outcome in a few lines, the sentence last."""
        goals = ", ".join(one.label for one in self.objectives)
        counts = self.table["state"].value_counts()
        lines = [
            f"{getattr(self.strategy, 'name', self.name)}: {len(self.table):,} trials "
            f"({int(counts.get('pruned', 0)):,} pruned or without a figure), objective {goals}"
        ]
        if self.best is not None:
            values = ", ".join(f"{name}={value!r}" for name, value in self.best.items())
            lines.append(f"best: {self.best_value:.4g} with {values}")
            lines.append(f"as given: {next(iter(self.default_values.values())):.4g}")
        elif len(self.objectives) > 1:
            lines.append(f"Pareto front: {len(self.pareto):,} sets")
        return "\n".join([*lines, self.sentence()])


def trials_table(
    study: Study, space: dict[str, Space], objectives: tuple[Objective, ...], limits: dict[str, float]
) -> pd.DataFrame:
    """Return the finished trials of a study as a table; see `StrategyStudy.table`."""
    states = the_optuna().trial.TrialState
    rows = []
    for trial in study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)):
        outcome = trial.user_attrs.get("outcome", {})
        # Optuna calls the last figure of a pruned trial's parts its value; it is of another stretch
        values = trial.values if trial.state == states.COMPLETE else [math.nan] * len(objectives)
        excess = trial.constraints
        kept = trial.state == states.COMPLETE and all(value <= 0.0 for value in excess.values())
        broken = [name for name, value in excess.items() if value > 0.0]
        rows.append(
            {
                "number": trial.number,
                "state": _STATES[trial.state.name],
                **values_of(space, trial.params),
                **{one.name: value for one, value in zip(objectives, values, strict=True)},
                "feasible": kept,
                "why_not": outcome.get("why_not", "") or ("breaks " + ", ".join(broken) if broken else ""),
                **{
                    name: value
                    for name, value in outcome.get("metrics", {}).items()
                    if name not in space and name not in {one.name for one in objectives}
                },
            }
        )
    needed = [
        *("number", "state", *space, *(one.name for one in objectives), "feasible", "why_not"),
        *("sharpe", "trades", "sessions"),
    ]
    table = pd.DataFrame(rows)
    for name in dict.fromkeys(needed):
        if name not in table:
            table[name] = pd.Series(np.nan, index=table.index, dtype=bool if name == "feasible" else None)
    return table


def set_of(row: pd.Series[Any], space: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of a row of the table, as Python has them."""
    values = {name: row[name] for name in space}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
