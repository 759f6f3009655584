"""Studies: what 2,000 trials over 2,500 bars cost, beside the sampler alone and beside one trial at a time.

The sampler alone is Optuna's ask and tell with the same seeds, batches and figures, and nothing else: the
figures of the study are looked up, so that it proposes the same sets. What a study takes beyond that is the
simulator's and this project's.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.report import Check, Section
from optimize.strategy import StrategyStudy, tune_strategy
from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.samplers import batch_size, make_sampler
from optimize.studies.space import distributions
from simulator import load_bars
from strategies import strategy_class

BARS = 2500
TRIALS = 2000
STRATEGY = "donchian-breakout"
QUASI_RANDOM_SECONDS = 15.0
OVERHEAD = 1.2
"""A study's time as a multiple of its sampler's own."""
RUNS = 3
"""Studies, each followed by its sampler alone; the row is that of the middle ratio."""


def optimize_section(*, quick: bool) -> Section:
    """Measure a quasi-random study, a TPE study, and the first one with one trial at a time."""
    trials = 200 if quick else TRIALS
    bars, strategy = load_bars(f"synthetic:1x{BARS}?seed=1"), strategy_class(STRATEGY)()
    section = Section("optimize", f"studies: {trials:,} trials of {STRATEGY} over {BARS:,} bars, in memory")
    tune_strategy(bars, strategy, trials=2, sampler="random", progress=False)
    for sampler, batch in (("qmc", None), ("tpe", None), ("qmc", 1)):
        runs = []
        for _ in range(1 if quick else RUNS):
            begin = time.perf_counter()
            study = tune_strategy(bars, strategy, trials=trials, sampler=sampler, batch=batch, progress=False)
            seconds = time.perf_counter() - begin
            alone = sampler_alone(study, sampler, trials, batch)
            runs.append((seconds / alone, seconds, alone, study))
        ratio, seconds, alone, study = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
        section.rows.append(
            {
                "sampler": sampler,
                "batch": batch_size(sampler, batch),
                "seconds": seconds,
                "sampler alone, seconds": alone,
                "ratio": ratio,
                "lowest": min(run[0] for run in runs),
                "highest": max(run[0] for run in runs),
                "simulator, seconds": study.timing.simulator,
                "simulator, ms per trial": 1e3 * study.timing.simulator / trials,
                "sets run": study.evaluator.lanes_run,
                "best": study.best_value,
            }
        )
    lanes, learning, single = section.rows
    section.checks += [
        Check("quasi-random, seconds", lanes["seconds"], QUASI_RANDOM_SECONDS, at_least=False),
        Check("TPE, times the sampler's own time", learning["ratio"], OVERHEAD, at_least=False),
    ]
    section.notes += [
        f"one trial at a time: {single['seconds'] / lanes['seconds']:.2f} times the time of batches, "
        f"{single['simulator, seconds'] / lanes['simulator, seconds']:.2f} times in the simulator",
        "sampler alone: ask and tell with the same seeds and figures, nothing simulated and nothing stored",
    ]
    return section


def sampler_alone(study: StrategyStudy, sampler: str, trials: int, batch: int | None) -> float:
    """Return the seconds of Optuna's ask and tell for the trials that a study had."""
    optuna = the_optuna()
    states = optuna.trial.TrialState
    figures: dict[tuple[Any, ...], float | None] = {}
    for trial in study.optuna.get_trials(deepcopy=False):
        figures[tuple(trial.params.values())] = trial.value if trial.state == states.COMPLETE else None
    size = batch_size(sampler, batch)
    missed = 0
    with quiet():
        begin = time.perf_counter()
        bare = optuna.create_study(direction="maximize")
        spaces = distributions(study.space)
        bare.sampler = make_sampler(sampler, seed=0, spaces=spaces)
        done = 0
        while done < trials:
            asked = [bare.ask(spaces) for _ in range(min(size, trials - done))]
            for trial in asked:
                key = tuple(trial.params.values())
                missed += key not in figures
                figure = figures.get(key)
                if figure is None:
                    bare.tell(trial, state=states.PRUNED)
                else:
                    bare.tell(trial, figure)
            done += len(asked)
        seconds = time.perf_counter() - begin
    if missed:
        raise RuntimeError(f"{missed} of {trials} proposals were not those of the study")
    return seconds
