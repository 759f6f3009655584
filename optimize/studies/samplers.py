"""Samplers and pruners by name, and how many trials they propose at a time.

Each trial is drawn by a sampler made for it, with a seed from the study's seed and the trial's slot
(`slots`). So a study that is interrupted, or shared by processes, proposes what it would have proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from optimize.studies._optuna import the_optuna
from optimize.studies.slots import Slots
from simulator.errors import ConfigError, MissingExtraError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["PRUNERS", "SAMPLERS", "batch_size", "check_names", "make_pruner", "make_sampler"]

SAMPLERS: Final[dict[str, str]] = {
    "tpe": "Tree-structured Parzen estimator: learns where good sets are. The default.",
    "qmc": "Quasi-random (scrambled Sobol): covers the space evenly, learns nothing.",
    "random": "Independent random draws.",
    "grid": "Every combination of the steps, in a seeded order; of too many, a random part.",
    "gp": "Gaussian process: few, expensive trials (needs torch).",
    "cmaes": "CMA-ES: numeric parameters (needs cmaes).",
    "nsga2": "NSGA-II: several objectives.",
    "nsga3": "NSGA-III: three objectives or more.",
}
"""Samplers by name."""

PRUNERS: Final[dict[str, str]] = {
    "median": "Stops what is below the median of the completed trials on the same part of the history.",
    "percentile": "Stops what is not in the best quarter.",
    "halving": "Successive halving, asynchronous.",
    "hyperband": "Hyperband: several successive halvings.",
}
"""Pruners by name."""

_NEEDS: Final = {"gp": "torch", "cmaes": "cmaes"}
# Adaptive samplers learn between batches; the others gain nothing by waiting.
_BATCHES: Final = {"qmc": 256, "random": 256, "grid": 256, "gp": 4, "tpe": 10, "cmaes": 10}
_POPULATION: Final = 50
# The median and percentiles are those of completed trials, of which there are none in the first batch.
_JUDGED_BATCH: Final = 10
_WITHIN_BATCH: Final = ("halving", "hyperband")
"""Pruners that compare the trials of a batch with each other."""
# A database is asked for all running trials again and again: a batch costs its size squared.
_STORED_BATCH: Final = 32


def check_names(sampler: str | BaseSampler, pruner: str | BasePruner | None, objectives: int) -> None:
    """Raise where a name is unknown, a package is missing, or the two do not go with the objectives."""
    from importlib.util import find_spec

    if isinstance(sampler, str):
        if sampler not in SAMPLERS:
            raise UnknownNameError(
                f"no sampler {sampler!r}.{did_you_mean(sampler, SAMPLERS)} There are {', '.join(SAMPLERS)}",
                code="OPTIMIZE_SAMPLER",
            )
        needed = _NEEDS.get(sampler)
        if needed is not None and find_spec(needed) is None:
            raise MissingExtraError(
                f"the sampler {sampler!r} needs the package {needed}: pip install {needed}",
                code="OPTIMIZE_EXTRA",
            )
        if sampler == "cmaes" and objectives > 1:
            raise ConfigError(
                "the sampler 'cmaes' knows one objective; for several take nsga2 or tpe",
                code="OPTIMIZE_SAMPLER",
            )
    if isinstance(pruner, str) and pruner not in PRUNERS:
        raise UnknownNameError(
            f"no pruner {pruner!r}.{did_you_mean(pruner, PRUNERS)}", code="OPTIMIZE_PRUNER"
        )
    if pruner is not None and objectives > 1:
        raise ConfigError(
            f"a pruner compares one figure, and there are {objectives} objectives; leave the pruner out",
            code="OPTIMIZE_PRUNER",
        )


def batch_size(
    sampler: str | BaseSampler,
    given: int | None,
    *,
    stored: bool = False,
    pruner: str | BasePruner | None = None,
) -> int:
    """Return how many trials are proposed, and run as lanes, at a time.

    Fewer where they are stored, and fewer where a pruner judges by what is completed.
    """
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ConfigError(f"batch is {given!r}; it is a whole number, at least 1", code="OPTIMIZE_BATCH")
        return given
    if isinstance(sampler, str):
        size = _BATCHES.get(sampler, _POPULATION)
        if pruner is not None and pruner not in _WITHIN_BATCH:
            size = min(size, _JUDGED_BATCH)
        return min(size, _STORED_BATCH) if stored else size
    return 10


def make_sampler(
    sampler: str | BaseSampler,
    *,
    seed: int,
    spaces: Mapping[str, BaseDistribution],
    slots: Slots | None = None,
    sets: Sequence[Mapping[str, Any]] = (),
) -> BaseSampler:
    """Return the sampler of a study: each trial is drawn by the study's seed and its slot.

    Parameters
    ----------
    spaces
        What every trial draws from.
    slots
        Of the study; new ones by default.
    sets
        What "grid" runs through.
    """
    if not isinstance(sampler, str):
        return sampler
    from optimize.studies._slotted import Listed, QuasiRandom, SlotSampler

    if sampler == "grid":
        return SlotSampler(Listed(sets).at, slots or Slots())
    if sampler == "qmc":
        return SlotSampler(QuasiRandom(seed, spaces).at, slots or Slots())
    return SlotSampler(lambda slot: _fresh(sampler, seed, slot), slots or Slots())


def _fresh(sampler: str, seed: int, slot: int) -> BaseSampler:
    kinds: Any = the_optuna().samplers
    own = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    found: BaseSampler
    if sampler == "tpe":
        found = kinds.TPESampler(seed=own)
    elif sampler == "gp":
        found = kinds.GPSampler(seed=own, deterministic_objective=True)
    elif sampler == "cmaes":
        found = kinds.CmaEsSampler(seed=own, warn_independent_sampling=False)
    elif sampler == "nsga2":
        found = kinds.NSGAIISampler(seed=own, population_size=_POPULATION)
    elif sampler == "nsga3":
        found = kinds.NSGAIIISampler(seed=own, population_size=_POPULATION)
    else:
        found = kinds.RandomSampler(seed=own)
    return found


def make_pruner(pruner: str | BasePruner | None) -> BasePruner:
    """Return a pruner by name; the steps are the parts of the history, counted from 1."""
    kinds: Any = the_optuna().pruners
    if pruner is None:
        none: BasePruner = kinds.NopPruner()
        return none
    if not isinstance(pruner, str):
        return pruner
    found: BasePruner
    if pruner == "median":
        found = kinds.MedianPruner(n_startup_trials=10)
    elif pruner == "percentile":
        found = kinds.PercentilePruner(25.0, n_startup_trials=10)
    elif pruner == "halving":
        found = kinds.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    else:
        found = kinds.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2)
    return found
