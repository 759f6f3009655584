"""The loop: ask for a batch, run it as lanes, tell what came of it, until the study has its trials.

A batch goes through the parts of the history one after another: all its sets on the first part, what the
pruner leaves on the next, the survivors on the whole. What a strategy refuses (a fast average slower than the
slow one) and what has no figure (it never traded) has been tried: it counts as a trial, as pruned.

Any number of processes may run the loop on one stored study, and any of them may die or lose its connection;
`slots` and `storage` say why every trial is finished once all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from optimize.evaluator import Evaluator
from optimize.objectives import Objective, constraints_of
from optimize.studies._optuna import the_optuna
from optimize.studies.samplers import make_pruner, make_sampler
from optimize.studies.slots import RETRY, Slots
from optimize.studies.space import distributions, values_of
from optimize.studies.storage import drop, heartbeats, owner, release, rescue, tidy
from simulator.errors import EngineError, JournalError
from strategies.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

__all__ = ["STOPPED", "Plan", "Scored", "Timing", "run_trials"]

Sets = list[dict[str, Any]]
Scored = Callable[[Sets, Sets, Sets], None]
"""Takes the sets of a batch that ran over the whole window, their metrics, and the sets that were pruned."""

STOPPED: Final = "pruned after"
"""How `why_not` begins for a trial that a pruner stopped."""

_POLL_SECONDS: Final = 0.25
"""How often a process without work looks whether others have finished theirs."""
PATIENCE_SECONDS: Final = 90.0
"""How long a storage that does not answer is waited for."""


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
    first: int
    last: int
    sets: tuple[dict[str, Any], ...] = ()
    """What the sampler "grid" runs through."""


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


@dataclass
class _Loop:
    """What a process keeps from batch to batch."""

    study: Study
    evaluator: Evaluator
    plan: Plan
    timing: Timing
    scored: Scored | None
    spaces: dict[str, BaseDistribution]
    slots: Slots = field(default_factory=Slots)
    seen: dict[int, float] | None = None
    orphans: list[int] = field(default_factory=list)
    """Trials to give back, which could not be while the storage did not answer."""
    stored: bool = False


def run_trials(
    study: Study,
    evaluator: Evaluator,
    plan: Plan,
    *,
    told: Callable[[int], None] | None = None,
    scored: Scored | None = None,
) -> Timing:
    """Run trials until `plan.trials` of the study are finished, by this process or by others.

    Parameters
    ----------
    told
        Called after each batch with the trials finished so far.
    scored
        Called after each batch; see `Scored`.

    Raises
    ------
    EngineError
        OPTIMIZE_STUDY_GONE: the study was deleted while it ran.
    JournalError
        OPTIMIZE_STORAGE_LOST: the storage did not answer for `PATIENCE_SECONDS`.
    """
    optuna = the_optuna()
    timing = Timing()
    loop = _Loop(study, evaluator, plan, timing, scored, distributions(plan.space))
    loop.stored = not isinstance(study._storage, optuna.storages.InMemoryStorage)
    engine = getattr(getattr(study._storage, "_backend", None), "engine", None)
    if engine is not None and engine.dialect.name != "sqlite":
        loop.seen = {}
    study.sampler = make_sampler(
        plan.sampler, seed=plan.seed, spaces=loop.spaces, slots=loop.slots, sets=plan.sets
    )
    study.pruner = make_pruner(plan.pruner)
    silent_since: float | None = None
    with timing.of("total"):
        while True:
            try:
                if _step(loop, told):
                    return timing
                silent_since = None
            except optuna.exceptions.StorageInternalError as error:
                # a server that restarts, a network that is away: what this process had is given back later
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE_SECONDS:
                    raise JournalError(
                        f"the storage of the study {study.study_name!r} has not answered for "
                        f"{PATIENCE_SECONDS:g} s ({' '.join(str(error.__cause__ or error).split())[:200]}); "
                        "what was finished is kept. Run the same command again when it is back",
                        code="OPTIMIZE_STORAGE_LOST",
                    ) from error
                with timing.of("waiting"):
                    time.sleep(_POLL_SECONDS)
            except KeyError as error:
                if not _exists(study):
                    raise EngineError(
                        f"the study {study.study_name!r} was deleted from its storage while it ran; what had "
                        "been tried is lost, and nothing more is written",
                        code="OPTIMIZE_STUDY_GONE",
                    ) from error
                raise


def _step(loop: _Loop, told: Callable[[int], None] | None) -> bool:
    """Run a batch, or wait for others; True when the study is finished."""
    study, plan = loop.study, loop.plan
    if loop.orphans:
        release(study, loop.orphans)
        loop.orphans.clear()
    rescue(study, loop.seen)
    stock = loop.slots.stock(study, plan.trials)
    if stock.lost or stock.needless:
        tidy(study, stock)
    if told is not None:
        told(stock.finished)
    if stock.finished >= plan.trials:
        return True
    # to the next multiple of the batch: an interrupted study falls into step again
    room = min(plan.trials - stock.finished - stock.running, plan.batch - stock.finished % plan.batch)
    if room <= 0 or not _batch(loop, room):
        # others still run theirs; if they die, theirs come back
        with loop.timing.of("waiting"):
            time.sleep(_POLL_SECONDS)
    return False


def _batch(loop: _Loop, size: int) -> bool:
    """Ask for trials, run them and tell what came of it; False where others had them all."""
    study, timing = loop.study, loop.timing
    asked: list[_Asked] = []
    ids: list[int] = []
    try:
        with timing.of("sampler"):
            for _ in range(size):
                trial = _ask(loop, ids)
                if trial is not None:
                    asked.append(_Asked(trial, values_of(loop.plan.space, trial.params)))
        with heartbeats(study._storage, [one.trial._trial_id for one in asked]):
            _score(asked, loop.evaluator, loop.plan, timing)
            if loop.scored is not None:
                whole = [one for one in asked if one.metrics]
                stopped = [one.parameters for one in asked if one.why_not.startswith(STOPPED)]
                loop.scored([one.parameters for one in whole], [one.metrics for one in whole], stopped)
            with timing.of("sampler"):
                for one in asked:
                    _tell(study, one)
        timing.batches += bool(asked)
        return bool(asked)
    except BaseException:
        # a fault or an interrupt: what was proposed goes back, now or when the storage answers again
        loop.orphans.extend(ids)
        with suppress(the_optuna().exceptions.StorageInternalError):
            release(study, loop.orphans)
            loop.orphans.clear()
        raise


def _ask(loop: _Loop, ids: list[int]) -> Trial | None:
    """Ask for one trial and sign it; None for one that another process has or needs no longer.

    `ids` gets it before it is signed, so that it is given back whatever happens.
    """
    optuna = the_optuna()
    study, plan = loop.study, loop.plan
    trial: Trial = study.ask(loop.spaces)
    ids.append(trial._trial_id)
    if not loop.stored:
        return trial
    # attributes of a trial as it was created: no question to the storage
    retried = RETRY in trial._cached_frozen_trial.user_attrs
    if loop.slots.of(study, trial.number) >= plan.trials:
        drop(study, trial._trial_id, "the study has its trials")
    elif retried and loop.slots.taken(study, trial.number):
        drop(study, trial._trial_id, "another trial has its slot")
    else:
        try:
            trial.set_user_attr("owner", owner())
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # taken for dead before it was signed
        else:
            return trial
    ids.pop()
    return None


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
            judged = zip(alive, figures.tolist(), strict=True)
            told = [(one, figure) for one, figure in judged if _report(one, figure, step)]
            kept = []
            for one, figure in told:
                # without a figure, as before the first trade, there is nothing to judge by
                if not np.isnan(figure) and one.trial.should_prune():
                    one.why_not = f"{STOPPED} {(last - plan.first):,} bars"
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


def _report(one: _Asked, figure: float, step: int) -> bool:
    """Tell the figure on a part of the history; False for a trial that was taken away."""
    try:
        if not np.isnan(figure):
            one.trial.report(figure, step)
    except the_optuna().exceptions.UpdateFinishedTrialError:
        return False
    return True


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


def _exists(study: Study) -> bool:
    try:
        return any(
            name == study.study_name for name in the_optuna().get_all_study_names(storage=study._storage)
        )
    except Exception:  # a storage that is gone altogether
        return False
