"""A sink that keeps trials in a job, for the process that may write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.trials import Trial

__all__ = ["KeptTrials"]


@dataclass
class KeptTrials:
    """Trials in the order in which they were told."""

    trials: list[Trial] = field(default_factory=list)

    def record(self, trials: Sequence[Trial]) -> int:
        """Keep trials and return how many."""
        self.trials.extend(trials)
        return len(trials)
