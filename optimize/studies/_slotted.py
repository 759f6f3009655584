"""A sampler of Optuna that draws by slot, so that it does not matter which process asks.

For every trial a sampler is made anew, with a seed from the study's seed and the trial's slot (`slots`). What
does not learn (random, quasi-random, lists) then draws the same sets in whatever number of processes; what
learns draws what its slot and the trials that are finished by then give.

Imported when a study begins, because it needs Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from optimize.studies.slots import Slots

__all__ = ["Listed", "QuasiRandom", "SlotSampler"]

_BLOCK = 256
"""Points of a sequence that are drawn at a time: beginning it anew costs more than a point."""


class SlotSampler(BaseSampler):
    """Draws each trial with a sampler made for its slot."""

    def __init__(self, make: Callable[[int], BaseSampler], slots: Slots) -> None:
        self._make = make
        self._slots = slots
        self._inner = make(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        before, self._inner = self._inner, self._make(self._slots.of(study, trial.number))
        # what all trials have in common is found by going through all of them; this is where it is kept
        common = getattr(before, "_search_space", None)
        if common is not None:
            vars(self._inner)["_search_space"] = common
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class Listed(BaseSampler):
    """Draws the sets of a list: slot 0 the first, and so on."""

    def __init__(self, sets: Sequence[Mapping[str, Any]]) -> None:
        self._sets = sets
        self._mine: Mapping[str, Any] = {}

    def at(self, slot: int) -> Listed:
        """Return itself, for the trial of a slot; beyond the list nothing is run, whatever is drawn."""
        self._mine = self._sets[slot % len(self._sets)]
        return self

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._mine[param_name]


class QuasiRandom(QMCSampler):
    """Scrambled Sobol points, to each trial the point of its slot; Optuna's own counting is not locked."""

    def __init__(self, seed: int, spaces: Mapping[str, BaseDistribution]) -> None:
        super().__init__(
            scramble=True, seed=seed, warn_asynchronous_seeding=False, warn_independent_sampling=False
        )
        self._spaces = dict(spaces)
        self._points: npt.NDArray[np.float64] = np.empty((0, len(self._spaces)))
        self._engine: Any = None
        self._slot = 0

    def at(self, slot: int) -> QuasiRandom:
        """Return itself, for the trial of a slot."""
        self._slot = slot
        return self

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._spaces)

    def _sample_qmc(self, study: Study, search_space: dict[str, BaseDistribution]) -> npt.NDArray[np.float64]:
        if self._engine is None:
            from scipy.stats.qmc import Sobol

            self._engine = Sobol(len(self._spaces), seed=self._seed, scramble=True)
        missing = self._slot + 1 - len(self._points)
        if missing > 0:
            more = self._engine.random(_BLOCK * math.ceil(missing / _BLOCK))
            self._points = np.concatenate([self._points, more])
        return self._points[self._slot : self._slot + 1]
