"""Walk-forward and cross-validation of a strategy's tuning: tune inside, score outside, again and again.

What a search finds was found by looking. Here each search sees its training windows alone, and what it found
trades the sessions after them (or left out of them), which it has not seen. The strategy as it was given
trades the same sessions: tuning that does not beat it was for nothing.

>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> bars = load_bars("synthetic:2x300?seed=1")
>>> strategy = strategy_class("sma-cross")()
>>> walked = walk_forward(bars, strategy, space=["fast"], folds=3, trials=4, sampler="qmc")
>>> walked.folds["test_sessions"].tolist(), len(walked.returns)
([42, 42, 42], 126)
>>> walked.verdict.claims_evidence
False
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optimize.evaluating.making import maker_of
from optimize.evaluator import Evaluator, Rules
from optimize.forward.fold import Tuned, tune_fold
from optimize.forward.result import WalkForward
from optimize.forward.stitching import (
    History,
    carried,
    market_returns,
    paths_of,
    windowed,
)
from optimize.forward.verdict import judge
from optimize.forward.windows import Fold, Mode, folds_of
from optimize.machines import run_jobs
from optimize.objectives import OBJECTIVES, Objective, check_limits, objectives
from optimize.statistics.returns import column_sharpes
from optimize.studies._optuna import the_optuna
from optimize.studies.samplers import check_names
from optimize.studies.space import read_space
from simulator.engine import DEFAULT_RISK
from simulator.errors import ConfigError
from simulator.ran import ran_of, rules_of
from simulator.results.curves import drawdown_of
from simulator.setup import check_bars
from simulator.trials import Trials, hypothesis_of, trials_of_metrics

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits
    from simulator.trials import Trial
    from simulator.types import TrialSink

__all__ = ["walk_forward"]


def walk_forward(
    bars: Bars,
    strategy: Any,
    *,
    space: Mapping[str, Any] | Sequence[str] | None = None,
    objective: str | Objective = "sharpe",
    mode: Mode = "rolling",
    train: int | None = None,
    test: int | None = None,
    folds: int | None = None,
    purge: int | None = None,
    embargo: int | None = None,
    trials: int = 100,
    sampler: str | BaseSampler = "tpe",
    seed: int = 0,
    min_trades: int | None = None,
    max_drawdown_pct: float | None = None,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: Conventions | str = "realistic",
    threads: int | None = None,
    workers: int = 1,
    scheduler: Any = None,
    sink: TrialSink | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WalkForward:
    """Tune a strategy on training windows, and judge it by windows that the tuning has not seen.

    Parameters
    ----------
    bars, strategy, space, trials, sampler, min_trades, max_drawdown_pct
        As in `optimize.tune_strategy`, which runs once per fold with so many trials.
    cash, risk, costs, conventions, threads
        As in `simulator.sweep`, for trainings and tests alike.
    objective
        One name of `optimize.objectives.OBJECTIVES`, or an `Objective`.
    mode
        "rolling": windows of equal length, each tested right after it. "anchored": the same with trainings
        that all begin with the first bar. "kfold": each of `folds` stretches is tested once, tuned on all
        others. "combinatorial": every choice of `test` stretches out of `folds` is tested, which makes
        several whole histories. The last two train on later data too: they say how well tuning carries over,
        not what could have been earned.
    train, test
        Sessions of a training and of a test. By default 4 of training for each of test, in 6 folds. In mode
        "combinatorial" `test` is the number of stretches in a test, 2 by default.
    folds
        How many; with both lengths given as many as fit.
    purge
        Sessions between a training and a test that neither uses, 0 by default. A training's positions are
        marked at its own last close, so nothing of the test is in its figures without a gap too.
    embargo
        Sessions after a test that no training uses, where training goes on after it: by default 1 % of all.
        Indicators there still average over tested sessions; the length of the longest is the careful choice.
    seed
        The same seed gives the same walk-forward, on any number of workers.
    workers, scheduler, progress
        Folds run as jobs; see `optimize.machines.run_jobs`. `progress` is called with folds done and in all.
    sink
        Whoever counts trials: told by this process of every set that was tried in a training, as soon as its
        fold is done, and of what ran out of sample at the end. An interruption loses the running folds'.

    Returns
    -------
    WalkForward

    Raises
    ------
    ConfigError
        OPTIMIZE_SPLIT for windows that do not fit, OPTIMIZE_OBJECTIVE for several objectives, and what
        `tune_strategy` raises.
    """
    the_optuna()
    goals = objectives(objective)
    if len(goals) != 1:
        raise ConfigError(
            f"a walk-forward needs one objective, by which each fold chooses its set, not {len(goals)}",
            code="OPTIMIZE_OBJECTIVE",
        )
    check_names(sampler, None, 1)
    check_limits(min_trades=min_trades, max_drawdown_pct=max_drawdown_pct)
    chosen = strategy() if isinstance(strategy, type) else strategy
    check_bars(bars)
    maker_of(chosen)
    searched = read_space(chosen, space)
    parts = folds_of(bars, mode, train=train, test=test, folds=folds, purge=purge, embargo=embargo)
    rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, threads=threads)
    alone = workers == 1 and scheduler is None
    settings = {
        "space": searched, "objective": _portable(goals[0]), "trials": trials, "sampler": sampler,
        "seed": seed, "min_trades": min_trades, "max_drawdown_pct": max_drawdown_pct,
        "cash": cash, "risk": risk, "costs": costs, "conventions": conventions,
        "threads": threads if alone else 1,
    }  # fmt: skip
    told = Trials(sink)
    try:
        # a fold that is done stays counted, whatever becomes of the next
        tuned = run_jobs(
            partial(tune_fold, bars, chosen, settings, told.wanted), parts, workers=workers,
            scheduler=scheduler, progress=progress, found=lambda _, one: told(one.trials),
        )  # fmt: skip
        evaluator = Evaluator(bars, chosen, rules)
        found = _assembled(evaluator, goals[0], mode, parts, tuned)
        if told.wanted:
            told(_tested(evaluator, parts, tuned))
    finally:
        told.finish()
    return found


# Parts


def _portable(goal: Objective) -> str | Objective:
    # a formula cannot travel to another process, its name can
    return goal.name if OBJECTIVES.get(goal.name) is goal else goal


def _assembled(
    evaluator: Evaluator, goal: Objective, mode: Mode, folds: Sequence[Fold], tuned: Sequence[Tuned]
) -> WalkForward:
    bars, cash = evaluator.bars, evaluator.rules.cash
    stitch = carried if mode in ("rolling", "anchored") else windowed
    paths = paths_of(folds)
    windows = [rows for _, rows in paths[0]]
    mine = [stitch(evaluator, [(tuned[at].parameters, *rows) for at, rows in path]) for path in paths]
    given = stitch(evaluator, [({}, *rows) for rows in windows])
    returns = np.asarray(np.mean([history.returns for history in mine], axis=0), np.float64)
    held = market_returns(bars, windows)
    table = _table(evaluator, goal, folds, tuned)
    beats = float(table["default_better"].mean())
    verdict = judge(
        returns, given.returns, held, trades=round(np.mean([one.trades for one in mine])),
        risk=_risk(mine), folds=len(folds), default_beats=beats, periods=bars.sessions_per_year,
    )  # fmt: skip
    dates = _dates(bars, windows)
    return WalkForward(
        mode=mode, objective=goal, strategy=evaluator.strategy, bars=bars, folds=table,
        returns=pd.Series(returns, dates, name="returns"),
        default_returns=pd.Series(given.returns, dates, name="returns"),
        market_returns=pd.Series(held, dates, name="returns"),
        equity=pd.Series(cash * np.cumprod(1.0 + returns), dates, name="equity"),
        default_equity=pd.Series(cash * np.cumprod(1.0 + given.returns), dates, name="equity"),
        default_beats_tuned=beats, verdict=verdict, paths=_paths(mine, bars.sessions_per_year),
        windows=tuple(folds),
        results=tuple(result for history in mine for result in history.results),
        default_results=given.results, tried=sum(one.tried for one in tuned),
    )  # fmt: skip


def _table(
    evaluator: Evaluator, goal: Objective, folds: Sequence[Fold], tuned: Sequence[Tuned]
) -> pd.DataFrame:
    labels = evaluator.bars.index
    rows = []
    for fold, one in zip(folds, tuned, strict=True):
        tested = pd.DataFrame(evaluator.metrics_over([one.parameters, {}], fold.test))
        mine, given = goal.of(tested).tolist()
        gained = tested["total_return"].tolist()
        # without a figure for both, as where one never traded, what was earned decides
        better = given > mine if math.isfinite(mine + given) else gained[1] > gained[0]
        rows.append(
            {
                "fold": fold.number,
                "train_start": labels[fold.train[0][0]],
                "train_end": labels[fold.train[-1][1] - 1],
                "test_start": labels[fold.test[0][0]],
                "test_end": labels[fold.test[-1][1] - 1],
                "train_sessions": fold.train_sessions,
                "test_sessions": fold.test_sessions,
                "tried": one.tried,
                "in_sample": one.in_sample,
                "in_sample_default": one.in_sample_default,
                "out_of_sample": mine,
                "out_of_sample_default": given,
                "default_better": bool(better),
                "total_return": gained[0],
                "total_return_default": gained[1],
                "trades": int(tested["trades"][0]),
                "trades_default": int(tested["trades"][1]),
            }
        )
    fixed = evaluator.strategy.parameters() if hasattr(evaluator.strategy, "parameters") else {}
    names = list(dict.fromkeys(name for one in tuned for name in one.parameters))
    chosen = pd.DataFrame([{name: {**fixed, **one.parameters}.get(name) for name in names} for one in tuned])
    return pd.concat([pd.DataFrame(rows), chosen], axis=1)


def _tested(evaluator: Evaluator, folds: Sequence[Fold], tuned: Sequence[Tuned]) -> list[Trial]:
    """Return the runs out of sample as trials: each window with the tuned set and as given."""
    bars, rules = evaluator.bars, evaluator.rules
    base = ran_of(evaluator.strategy)
    found: list[Trial] = []
    for fold, one in zip(folds, tuned, strict=True):
        sets: list[dict[str, Any]] = [one.parameters, {}]
        for first, last in fold.test:
            found += trials_of_metrics(
                [base._replace(parameters={**base.parameters, **each}) for each in sets],
                pd.DataFrame(evaluator.metrics_over(sets, [(first, last)])),
                bars[first:last],
                source="walk_forward",
                hypothesis=hypothesis_of(base.strategy, bars.fingerprint),
                rules=rules_of(
                    cash=rules.cash, risk=rules.risk, costs=rules.costs, conventions=rules.conventions,
                    warm_up=first or None,
                ),
            )  # fmt: skip
    return found


def _risk(histories: Sequence[History]) -> float:
    risks = [one.risk for one in histories if one.trades]
    return max(risks) if risks and min(risks) > 0.0 else 0.0


def _paths(histories: Sequence[History], periods: float) -> pd.DataFrame:
    rows = []
    for number, history in enumerate(histories, start=1):
        worth = np.asarray(np.cumprod(1.0 + history.returns), np.float64)
        rows.append(
            {
                "path": number,
                "sharpe": float(column_sharpes(history.returns[:, None])[0] * math.sqrt(periods)),
                "total_return": float(worth[-1] - 1.0),
                "max_drawdown": float(drawdown_of(worth, 1.0, None).min()),
                "trades": history.trades,
            }
        )
    return pd.DataFrame(rows)


def _dates(bars: Bars, windows: Sequence[tuple[int, int]]) -> pd.DatetimeIndex:
    days = np.unique(np.concatenate([bars.session[first:last] for first, last in windows]))
    return pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[ns]"), tz="UTC", name="session")
