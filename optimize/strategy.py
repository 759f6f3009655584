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

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimize.evaluating.making import maker_of
from optimize.evaluator import Evaluator, Rules, window_of
from optimize.objectives import Objective, check_limits, objectives
from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.opening import grid_sets, open_study
from optimize.studies.recording import Recorder
from optimize.studies.run import Plan, run_trials
from optimize.studies.samplers import batch_size, check_names
from optimize.studies.space import read_space
from optimize.studies.study import StrategyStudy, set_of, trials_table
from optimize.workers.count import check_workers
from optimize.workers.study import StudyWork, check_shared, helping
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits
    from simulator.types import TrialSink

__all__ = ["StrategyStudy", "tune_strategy"]


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
    without: Sequence[tuple[int, int]] = (),
    threads: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    storage: str | Path | BaseStorage | None = None,
    study: str | None = None,
    resume: bool = True,
    workers: int = 1,
    scheduler: Any = None,
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
        As in `optimize.evaluator.evaluate`.
    without
        Stretches of rows (first, last + 1) inside the window that the search must not see; see `Evaluator`.
    batch
        Trials proposed and run at a time; by default 10 for TPE and with a pruner that judges by completed
        trials, 256 (32 in a storage) where nothing is learned between trials.
    seed
        The same seed, sampler and batch give the same study.
    storage, study, resume
        Where it is kept (None: memory; a path: SQLite; a URL), under which name (by default made of what is
        measured), and whether a study of that name goes on or is an error.
    workers, scheduler
        Processes of this machine that run trials, or the address of a Dask scheduler, all of whose workers
        help this process; they share the study through its storage. See docs/machines.md.
    progress
        True: a bar on standard error where that is a terminal. A function: called with finished trials,
        trials in all, and the best figure so far (NaN without one).
    sink
        Whoever counts trials, such as the trial ledger: told of every set that was run, also of pruned ones
        and of the strategy as given. Where it cannot store that, a warning says so (OPTIMIZE_NOT_COUNTED),
        and the study goes on.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPACE_EMPTY, OPTIMIZE_SPACE, OPTIMIZE_OBJECTIVE, OPTIMIZE_CONSTRAINT, OPTIMIZE_PRUNER,
        OPTIMIZE_BATCH, OPTIMIZE_COUNT, OPTIMIZE_WINDOW, OPTIMIZE_STUDY_EXISTS, OPTIMIZE_STUDY_OTHER,
        OPTIMIZE_WORKERS, OPTIMIZE_WORKERS_STORAGE.
    UnknownNameError
        OPTIMIZE_OBJECTIVE_NAME, OPTIMIZE_SAMPLER, OPTIMIZE_PRUNER: with the nearest name.
    JournalError
        OPTIMIZE_STORAGE: the storage cannot be opened. OPTIMIZE_STORAGE_LOST: it stopped answering.
    EngineError
        OPTIMIZE_STUDY_GONE: the study was deleted while it ran. OPTIMIZE_SCHEDULER: no cluster there.
    MissingExtraError
        OPTIMIZE_EXTRA: optuna, or what a sampler needs, is not installed. OPTIMIZE_EXTRA_CLUSTER: dask or
        psycopg is not.
    """
    the_optuna()
    goals = objectives(objective)
    check_names(sampler, pruner, len(goals))
    check_shared(storage, check_workers(workers), scheduler)
    limits = check_limits(min_trades=min_trades, max_drawdown_pct=max_drawdown_pct)
    begin, end = window_of(bars, first, last)
    chosen = strategy() if isinstance(strategy, type) else strategy
    maker_of(chosen)
    searched = read_space(chosen, space)
    rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, threads=threads)
    wanted, seed = _count("trials", trials, 1), _count("seed", seed, 0)
    listed = grid_sets(searched, wanted, seed) if sampler == "grid" else ()
    plan = Plan(
        space=searched, objectives=goals, limits=limits, trials=len(listed) or wanted, sets=listed,
        sampler=sampler, pruner=pruner, prune_at=_parts(prune_at),
        batch=batch_size(sampler, batch, stored=storage is not None, pruner=pruner), seed=seed,
        first=begin, last=end,
    )  # fmt: skip
    evaluator = Evaluator(bars, chosen, rules, without=without)
    with quiet():
        opened = open_study(plan, evaluator, storage, study, resume=resume)
        recorder = Recorder(sink, opened, plan, evaluator)
        default = evaluator.metrics([{}], first=begin, last=end)[0]
        work = StudyWork(
            bars=bars, strategy=chosen, rules=rules, without=tuple(evaluator.without), plan=plan,
            storage=storage, name=opened.study_name, sink=sink,
        )  # fmt: skip

        def told(done: int) -> None:
            if storage is not None:
                recorder.look()
            show(done, plan.trials, recorder.best)

        try:
            recorder.default(default)
            with _shown(progress) as show, helping(work, workers=workers, scheduler=scheduler):
                timing = run_trials(opened, evaluator, plan, told=told, scored=recorder.batch)
            if storage is not None:
                recorder.others(list(default))
        finally:
            # also where the study was interrupted: what ran has been looked at
            recorder.finish()
        table = trials_table(opened, searched, goals, limits)
    good = table[table["feasible"]]
    found, value = None, math.nan
    if len(goals) == 1 and len(good):
        row = good.iloc[int(good[goals[0].name].to_numpy(np.float64).argmax())]
        found = set_of(row, searched)
        value = float(row[goals[0].name])
    return StrategyStudy(
        name=opened.study_name, strategy=chosen, objectives=goals, limits=limits, space=searched, table=table,
        best=found, best_value=value, default=default, timing=timing, window=(begin, end), optuna=opened,
        evaluator=evaluator,
    )  # fmt: skip


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
