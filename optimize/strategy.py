"""Studies of strategy parameters: Optuna over the simulator, batches of trials as lanes of one compiled call.

>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> bars = load_bars("synthetic:2x400?seed=1")
>>> strategy = strategy_class("donchian-breakout")()
>>> study = tune_strategy(bars, strategy, trials=20, sampler="qmc", progress=False)
>>> len(study.table)
20
>>> print(study.sentence()[:36])
The best figure in sample is no evid

What a study reports was found by looking: `optimize.walk_forward` scores it on data that it has not seen.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from optimize.evaluate import Evaluator, Rules, window_of
from optimize.objectives import Objective, check_limits, constraints_of, objectives
from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.run import Plan, run_trials
from optimize.studies.samplers import batch_size, check_names, make_pruner, make_sampler
from optimize.studies.space import describe_space, grid_values, read_space
from optimize.studies.storage import open_storage
from optimize.studies.study import StrategyStudy, trials_table
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits
    from simulator.types import TrialSink

__all__ = ["StrategyStudy", "tune_strategy"]

_DEFINITION: Final = "twinstep"
"""Attribute of a study in its storage that says what its figures were measured on."""


def tune_strategy(
    bars: Bars,
    strategy: Any,
    *,
    space: Mapping[str, Any] | Sequence[str] | None = None,
    objective: str | Objective | Sequence[str | Objective] = "sharpe",
    trials: int = 100,
    sampler: str | BaseSampler = "tpe",
    pruner: str | BasePruner | None = None,
    prune_at: Sequence[float] = (0.25, 0.5),
    min_trades: int | None = None,
    max_drawdown_pct: float | None = None,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: Conventions | str = "realistic",
    first: int | None = None,
    last: int | None = None,
    threads: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    worker: int = 0,
    storage: str | Path | BaseStorage | None = None,
    study: str | None = None,
    resume: bool = True,
    progress: bool | Callable[[int, int, float], None] = True,
    sink: TrialSink | None = None,
) -> StrategyStudy:
    """Search a strategy's parameters for the best objective over a window of bars.

    Parameters
    ----------
    bars, strategy
        Market, and the strategy with the values that parameters outside the space keep; a function from bars
        and parameters to signals needs defaults and spaces for its parameters.
    space
        None: every space that the strategy declares. Names: these of them. A mapping: spaces by name.
    objective
        A name of `optimize.objectives.OBJECTIVES`, an `Objective`, or several for a Pareto front. Larger is
        better.
    trials
        Finished trials that the study shall have in all: a resumed one runs what is missing. Pruned trials,
        refused combinations and sets without a figure count, failed ones do not.
    sampler, pruner
        Names of `optimize.studies.samplers`, or objects of Optuna (one process, no resuming in step).
    prune_at
        Shares of the window after which the pruner judges, rising, between 0 and 1. Each part is run from its
        start, so a survivor costs the sum of the parts more. Ignored without a pruner.
    min_trades, max_drawdown_pct
        Constraints; what breaks one is never the best.
    cash, risk, costs, conventions, threads, first, last
        As in `optimize.evaluate.evaluate`.
    batch
        Trials proposed and run at a time; by default 10 for TPE, 256 (32 in a
        storage) where nothing is learned between trials.
    seed, worker
        The same seed, sampler and batch give the same study. Processes that share a study take different
        workers, or they propose the same sets.
    storage, study, resume
        Where it is kept (None: memory; a path: SQLite; a URL), under which name (by default made of what is
        measured), and whether a study of that name goes on or is an error.
    progress
        True: a bar on standard error where that is a terminal. A function: called with finished trials,
        trials in all, and the best figure so far (NaN without one).
    sink
        Told of every set that was run over the whole window, as the trial ledger is.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPACE_EMPTY, OPTIMIZE_SPACE, OPTIMIZE_OBJECTIVE, OPTIMIZE_CONSTRAINT, OPTIMIZE_PRUNER,
        OPTIMIZE_BATCH, OPTIMIZE_COUNT, OPTIMIZE_WINDOW, OPTIMIZE_STUDY_EXISTS, OPTIMIZE_STUDY_OTHER.
    UnknownNameError
        OPTIMIZE_OBJECTIVE_NAME, OPTIMIZE_SAMPLER, OPTIMIZE_PRUNER: with the nearest name.
    JournalError
        OPTIMIZE_STORAGE: the storage cannot be opened.
    EngineError
        OPTIMIZE_STUDY_GONE: the study was deleted while it ran.
    MissingExtraError
        OPTIMIZE_EXTRA: optuna, or what a sampler needs, is not installed.
    """
    the_optuna()
    goals = objectives(objective)
    check_names(sampler, pruner, len(goals))
    limits = check_limits(min_trades=min_trades, max_drawdown_pct=max_drawdown_pct)
    begin, end = window_of(bars, first, last)
    chosen = strategy() if isinstance(strategy, type) else strategy
    searched = read_space(chosen, space)
    rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, threads=threads)
    plan = Plan(
        space=searched, objectives=goals, limits=limits, trials=_count("trials", trials, 1),
        sampler=sampler, pruner=pruner, prune_at=_parts(prune_at),
        batch=batch_size(sampler, batch, stored=storage is not None),
        seed=_count("seed", seed, 0), worker=_count("worker", worker, 0), first=begin, last=end,
    )  # fmt: skip
    evaluator = Evaluator(bars, chosen, rules)
    with quiet():
        opened = _open(plan, chosen, bars, rules, storage, study, resume=resume)
        if sampler == "grid":
            plan = _queue_grid(opened, plan)
        default = evaluator.metrics([{}], first=begin, last=end)[0]
        best = _BestSoFar(opened, plan)
        with _shown(progress) as show:
            timing = run_trials(
                opened,
                evaluator,
                plan,
                told=lambda done: show(done, plan.trials, best.value),
                scored=_recorder(sink, best, bars, chosen, plan, rules, opened.study_name),
            )
        table = trials_table(opened, searched, goals, limits)
    good = table[table["feasible"]]
    found, value = None, math.nan
    if len(goals) == 1 and len(good):
        row = good.iloc[int(good[goals[0].name].to_numpy(np.float64).argmax())]
        found = {name: _plain(row[name]) for name in searched}
        value = float(row[goals[0].name])
    return StrategyStudy(
        name=opened.study_name, strategy=chosen, objectives=goals, limits=limits, space=searched, table=table,
        best=found, best_value=value, default=default, timing=timing, window=(begin, end), optuna=opened,
        evaluator=evaluator,
    )  # fmt: skip


def _open(
    plan: Plan,
    strategy: Any,
    bars: Bars,
    rules: Rules,
    storage: str | Path | BaseStorage | None,
    name: str | None,
    *,
    resume: bool,
) -> Study:
    """Create the study, or take up the one of that name if it measures the same."""
    optuna = the_optuna()
    kept = open_storage(storage)
    definition = _definition(plan, strategy, bars, rules)
    if name is None:
        how = [definition, str(plan.sampler), str(plan.pruner), plan.seed, plan.batch]
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()
        name = f"{definition['strategy']}-{digest[:12]}"
    study: Study = optuna.create_study(
        storage=kept,
        study_name=name,
        directions=["maximize"] * len(plan.objectives),
        sampler=make_sampler(plan.sampler, seed=plan.seed, behind=0, worker=plan.worker),
        pruner=make_pruner(plan.pruner),
        load_if_exists=True,
    )
    # in this order: another process that has just created it signs it before it asks for a trial
    used = bool(study.get_trials(deepcopy=False))
    before = study.user_attrs.get(_DEFINITION)
    if before is None and not used:
        study.set_user_attr(_DEFINITION, definition)
        return study
    if not resume:
        raise ConfigError(
            f"there is a study {name!r} in the storage already; resume it, delete it, or choose another name",
            code="OPTIMIZE_STUDY_EXISTS",
        )
    for key, value in definition.items():
        if (before or {}).get(key) != value:
            raise ConfigError(
                f"the study {name!r} cannot be resumed: its {key} was {(before or {}).get(key)!r} and is now "
                f"{value!r}; figures would not be comparable. Choose another study name",
                code="OPTIMIZE_STUDY_OTHER",
            )
    return study


def _definition(plan: Plan, strategy: Any, bars: Bars, rules: Rules) -> dict[str, Any]:
    """Return what the figures of a study depend on, in terms of JSON."""
    fixed = strategy.parameters() if hasattr(strategy, "parameters") else {}
    return {
        "strategy": str(getattr(strategy, "name", getattr(strategy, "__name__", type(strategy).__name__))),
        "data": bars.fingerprint,
        "window": [plan.first, plan.last],
        "objectives": [one.name for one in plan.objectives],
        "limits": plan.limits,
        "space": describe_space(plan.space),
        "fixed": {key: repr(value) for key, value in fixed.items() if key not in plan.space},
        "rules": _words(rules),
    }


def _words(rules: Rules) -> dict[str, str]:
    return {name: repr(getattr(rules, name)) for name in ("cash", "risk", "costs", "conventions")}


def _queue_grid(study: Study, plan: Plan) -> Plan:
    """Queue the combinations of the steps that the study lacks; no more than the trials asked for."""
    values = grid_values(plan.space)
    names, sizes = list(values), [len(one) for one in values.values()]
    total = math.prod(sizes)
    trials = min(plan.trials, total)
    order = np.random.default_rng(plan.seed)
    # without replacement from a range: no list of all combinations is needed
    picked = order.permutation(total)[:trials] if total <= 1_000_000 else order.choice(total, trials, False)
    known = len(study.get_trials(deepcopy=False))
    for flat in picked.tolist()[known:]:
        point = np.unravel_index(flat, sizes)
        study.enqueue_trial(
            {name: values[name][int(index)] for name, index in zip(names, point, strict=True)}
        )
    return Plan(**{**plan.__dict__, "trials": trials})


class _BestSoFar:
    """The best feasible figure of the first objective, kept while batches run."""

    def __init__(self, study: Study, plan: Plan) -> None:
        self._plan = plan
        states = the_optuna().trial.TrialState
        done = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        values = [
            trial.values[0] for trial in done if all(value <= 0.0 for value in trial.constraints.values())
        ]
        self.value = max(values, default=math.nan)

    def see(self, metrics: list[dict[str, Any]]) -> None:
        if not metrics:
            return
        table = pd.DataFrame(metrics)
        values = self._plan.objectives[0].of(table)
        for excess in constraints_of(table, **self._plan.limits).values():
            values = np.where(excess > 0, np.nan, values)
        self.value = float(np.fmax.reduce(values, initial=self.value))


def _recorder(
    sink: TrialSink | None, best: _BestSoFar, bars: Bars, strategy: Any, plan: Plan, rules: Rules, run: str
) -> Callable[[list[dict[str, Any]], list[dict[str, Any]]], None]:
    name = str(getattr(strategy, "name", getattr(strategy, "__name__", "")))
    fixed = strategy.parameters() if hasattr(strategy, "parameters") else {}
    window = bars[plan.first : plan.last] if sink is not None else bars

    def record(sets: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> None:
        best.see(metrics)
        if sink is None or not sets:
            return
        from optimize.trials import hypothesis_of, trials_of_table

        full = [{**fixed, **one} for one in sets]
        measured = [{key: value for key, value in one.items() if key not in full[0]} for one in metrics]
        table = pd.concat([pd.DataFrame(full), pd.DataFrame(measured)], axis=1)
        sink.record(
            trials_of_table(
                table,
                window,
                strategy=name,
                parameters=list(full[0]),
                source="study",
                hypothesis=hypothesis_of(name, bars.fingerprint),
                rules=json.dumps(_words(rules), sort_keys=True),
                run=run,
            )
        )

    return record


@contextmanager
def _shown(
    progress: bool | Callable[[int, int, float], None],
) -> Iterator[Callable[[int, int, float], None]]:
    """Give a function to call with (finished, in all, best so far)."""
    if callable(progress):
        yield progress
        return
    if not progress or not sys.stderr.isatty():
        yield lambda done, total, best: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("best so far {task.description}"), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("-", total=None)
        yield lambda done, total, best: bar.update(
            task, completed=done, total=total, description="-" if math.isnan(best) else f"{best:.4g}"
        )


def _parts(given: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(share) for share in given)
    if any(not 0.0 < share < 1.0 for share in shares) or list(shares) != sorted(set(shares)):
        raise ConfigError(
            f"prune_at is {list(given)}; give rising shares of the history between 0 and 1",
            code="OPTIMIZE_PRUNER",
        )
    return shares


def _count(name: str, given: int, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ConfigError(
            f"{name} is {given!r}; it is a whole number, at least {least}", code="OPTIMIZE_COUNT"
        )
    return int(given)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
