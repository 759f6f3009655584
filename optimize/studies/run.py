"""The loop: ask for a batch, run it as lanes, tell what came of it, until the study has its trials.

A batch goes through the parts of the history one after another: all its sets on the first part, what the
pruner leaves on the next, the survivors on the whole. What a strategy refuses (a fast average slower than the
slow one) and what has no figure (it never traded) has been tried: it counts as a trial, as pruned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from optimize.evaluate import Evaluator
from optimize.objectives import Objective, constraints_of
from optimize.studies._optuna import the_optuna
from optimize.studies.samplers import make_sampler
from optimize.studies.space import distributions, values_of
from optimize.studies.storage import heartbeats, owner, release, rescue
from simulator.errors import EngineError
from strategies.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

__all__ = ["Plan", "Timing", "run_trials"]

_POLL_SECONDS: Final = 1.0
"""How often a process without work looks whether others have finished theirs."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run; see `optimize.strategy.tune_strategy`."""

    space: dict[str, Space]
    objectives: tuple[Objective, ...]
    limits: dict[str, float]
    trials: int
    sampler: str | BaseSampler
    pruner: str | BasePruner | None
    prune_at: tuple[float, ...]
    batch: int
    seed: int
    worker: int
    first: int
    last: int


@dataclass
class Timing:
    """Seconds by what they were spent on.

    `sampler` is Optuna's own work (proposing, and storing what was told), `simulator` signals and lanes,
    `other` the rest, `waiting` what other processes took.
    """

    sampler: float = 0.0
    simulator: float = 0.0
    waiting: float = 0.0
    total: float = 0.0
    batches: int = 0

    @property
    def other(self) -> float:
        """Seconds of this project's own bookkeeping."""
        return max(0.0, self.total - self.sampler - self.simulator - self.waiting)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Add the seconds of a block to one of the figures."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.perf_counter() - begin)


@dataclass
class _Asked:
    """A trial on its way."""

    trial: Trial
    parameters: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    excess: dict[str, float] = field(default_factory=dict)
    why_not: str = ""


def run_trials(
    study: Study,
    evaluator: Evaluator,
    plan: Plan,
    *,
    told: Callable[[int], None] | None = None,
    scored: Callable[[list[dict[str, Any]], list[dict[str, Any]]], None] | None = None,
) -> Timing:
    """Run trials until `plan.trials` of the study are finished, by this process or by others.

    Parameters
    ----------
    told
        Called after each batch with the trials finished so far.
    scored
        Called with the parameter sets and metrics of each batch that ran over the whole window.
    """
    timing = Timing()
    with timing.of("total"):
        try:
            while True:
                rescue(study)
                finished, running = _counts(study)
                if told is not None:
                    told(finished)
                room = plan.trials - finished - running
                if finished >= plan.trials:
                    return timing
                if room <= 0:
                    # others still run theirs; if they die, theirs come back
                    with timing.of("waiting"):
                        time.sleep(_POLL_SECONDS)
                    continue
                # to the next multiple of the batch: an interrupted study falls into step again
                size = min(room, plan.batch - finished % plan.batch)
                _batch(study, evaluator, plan, size, finished + running, timing, scored)
        except KeyError as error:
            if not _exists(study):
                raise EngineError(
                    f"the study {study.study_name!r} was deleted from its storage while it ran; what had "
                    "been tried is lost, and nothing more is written",
                    code="OPTIMIZE_STUDY_GONE",
                ) from error
            raise


def _batch(
    study: Study,
    evaluator: Evaluator,
    plan: Plan,
    size: int,
    behind: int,
    timing: Timing,
    scored: Callable[[list[dict[str, Any]], list[dict[str, Any]]], None] | None,
) -> None:
    asked: list[_Asked] = []
    try:
        with timing.of("sampler"):
            study.sampler = make_sampler(plan.sampler, seed=plan.seed, behind=behind, worker=plan.worker)
            spaces, mine = distributions(plan.space), owner()
            persistent = not isinstance(study._storage, the_optuna().storages.InMemoryStorage)
            for _ in range(size):
                trial = study.ask(spaces)
                asked.append(_Asked(trial, values_of(plan.space, trial.params)))
                if persistent:
                    trial.set_user_attr("owner", mine)
        with heartbeats(study._storage, [one.trial._trial_id for one in asked]):
            _score(asked, evaluator, plan, timing)
            if scored is not None:
                whole = [one for one in asked if one.metrics]
                scored([one.parameters for one in whole], [one.metrics for one in whole])
            with timing.of("sampler"):
                for one in asked:
                    _tell(study, one)
        timing.batches += 1
    except BaseException:
        # a fault or an interrupt: what was proposed goes back, for the next run of the study
        release(study, [one.trial._trial_id for one in asked])
        raise


def _score(asked: Sequence[_Asked], evaluator: Evaluator, plan: Plan, timing: Timing) -> None:
    alive = []
    for one in asked:
        refusal = evaluator.accepts(one.parameters)
        if refusal is None:
            alive.append(one)
        else:
            one.why_not = f"refused: {refusal.args[0]}"
    for step, last in enumerate(_parts(plan), start=1):
        if not alive:
            return
        table, _ = _run(alive, evaluator, plan, last, timing)
        figures = plan.objectives[0].of(table)
        with timing.of("sampler"):
            # all report before any is judged: the order inside a batch does not matter
            for one, figure in zip(alive, figures.tolist(), strict=True):
                if not np.isnan(figure):
                    one.trial.report(figure, step)
            kept = []
            for one, figure in zip(alive, figures.tolist(), strict=True):
                # without a figure, as before the first trade, there is nothing to judge by
                if not np.isnan(figure) and one.trial.should_prune():
                    one.why_not = f"pruned after {(last - plan.first):,} bars"
                else:
                    kept.append(one)
        alive = kept
    if not alive:
        return
    table, rows = _run(alive, evaluator, plan, plan.last, timing)
    values = np.stack([one.of(table) for one in plan.objectives], axis=1)
    excess = constraints_of(table, **plan.limits)
    for index, one in enumerate(alive):
        one.metrics = rows[index]
        one.excess = {name: float(column[index]) for name, column in excess.items()}
        one.values = tuple(values[index].tolist())
        lacking = [
            goal.name for goal, value in zip(plan.objectives, one.values, strict=True) if np.isnan(value)
        ]
        if lacking:
            one.why_not = f"no {lacking[0]}: {_reason(rows[index])}"


def _run(
    alive: Sequence[_Asked], evaluator: Evaluator, plan: Plan, last: int, timing: Timing
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    with timing.of("simulator"):
        rows = evaluator.metrics([one.parameters for one in alive], first=plan.first, last=last)
    return pd.DataFrame(rows), rows


def _tell(study: Study, one: _Asked) -> None:
    optuna = the_optuna()
    states = optuna.trial.TrialState
    try:
        note: dict[str, Any] = {}
        if one.metrics:
            # NaN is not in JSON: what is not defined is absent
            note["metrics"] = {name: value for name, value in one.metrics.items() if np.isfinite(value)}
        if one.why_not:
            note["why_not"] = one.why_not
        if note:
            one.trial.set_user_attr("outcome", note)
        for name, value in one.excess.items():
            one.trial.set_constraint(name, value)
        if one.why_not:
            study.tell(one.trial, state=states.PRUNED, skip_if_finished=True)
        else:
            study.tell(one.trial, list(one.values), skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        # this process was taken for dead, and the trial has been given to another
        return


def _parts(plan: Plan) -> list[int]:
    """Last rows of the parts of the history on which a pruner may judge, the whole not included."""
    if plan.pruner is None:
        return []
    length = plan.last - plan.first
    return [plan.first + max(1, round(length * share)) for share in plan.prune_at]


def _reason(metrics: dict[str, Any]) -> str:
    return "it never traded" if not metrics.get("trades") else "nothing varied, or it is not defined"


def _counts(study: Study) -> tuple[int, int]:
    """Finished and running trials; failed ones are not counted, queued ones are still to come."""
    states = the_optuna().trial.TrialState
    trials = study.get_trials(deepcopy=False)
    finished = sum(1 for trial in trials if trial.state in (states.COMPLETE, states.PRUNED))
    return finished, sum(1 for trial in trials if trial.state == states.RUNNING)


def _exists(study: Study) -> bool:
    try:
        return any(
            name == study.study_name for name in the_optuna().get_all_study_names(storage=study._storage)
        )
    except Exception:  # a storage that is gone altogether
        return False
