"""Tuning on one fold: a job that runs here, in another process, or on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optimize.forward.windows import Fold
from optimize.workers.kept import KeptTrials

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.trials import Trial

__all__ = ["Tuned", "tune_fold"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a fold's search found.

    Attributes
    ----------
    parameters
        The best feasible set; empty where there is none, which leaves the strategy as it was given.
    in_sample, in_sample_default
        Objective of the best set and of the strategy as given, on the training windows; NaN where it is not
        defined.
    tried
        Finished trials.
    trials
        What was run, for the ledger, where it was asked for.
    """

    parameters: dict[str, Any]
    in_sample: float
    in_sample_default: float
    tried: int
    trials: list[Trial]


def tune_fold(bars: Bars, strategy: Any, settings: Mapping[str, Any], counted: bool, fold: Fold) -> Tuned:
    """Tune on the training windows of a fold, and on nothing else.

    Parameters
    ----------
    bars, strategy
        As in `tune_strategy`.
    settings
        Its other arguments. Every fold draws from the seed and its own number.
    counted
        Whether to return the trials.
    """
    from optimize.strategy import tune_strategy

    sink = KeptTrials() if counted else None
    first, last = fold.train[0][0], fold.train[-1][1]
    gaps = [(end, begin) for (_, end), (begin, _) in zip(fold.train, fold.train[1:], strict=False)]
    seed = int(np.random.SeedSequence([settings["seed"], fold.number]).generate_state(1)[0])
    study = tune_strategy(
        bars, strategy, **{**settings, "seed": seed}, first=first, last=last, without=gaps, progress=False,
        sink=sink,
    )  # fmt: skip
    return Tuned(
        parameters=study.best or {},
        in_sample=study.best_value,
        in_sample_default=next(iter(study.default_values.values())),
        tried=len(study.table),
        trials=[] if sink is None else sink.trials,
    )
