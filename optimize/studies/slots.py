"""Slots: the pieces of work of a study, each of which is to be finished exactly once, by whichever process.

A study of n trials has the slots 0 to n - 1. A new trial has the slot after the last one; a trial that takes
the place of one whose process died has the slot of that one (`retry_of` says which). Both are fixed when the
trial comes into being and are the same to every process, so slots need no lock: what a sampler draws depends
on seed and slot alone, and

- a trial beyond the last slot is dropped before it runs: two processes asked in the same moment;
- of several trials with one slot the one with the lowest number that has not failed counts, and the others
  are dropped before they run: two processes queued the same lost trial again;
- a slot whose trials have all failed is lost, for instance because the process that failed a dead one's trial
  was killed before it queued it again; whoever sees that queues it.

So of one slot at most one trial is ever finished, and a study is finished when all its slots are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from optimize.studies._optuna import the_optuna

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["RETRY", "Slots", "Stock"]

RETRY: Final = "retry_of"
"""Attribute of a trial that takes the place of another: the number of that one."""


@dataclass(frozen=True, slots=True)
class Stock:
    """How far the slots of a study are.

    Attributes
    ----------
    finished, running
        Slots, of those wanted.
    lost
        The last trial of each slot that nobody has any more.
    needless
        Ids of trials that wait for a slot that another trial has, or that is not wanted.
    """

    finished: int
    running: int
    lost: list[FrozenTrial] = field(default_factory=list)
    needless: list[int] = field(default_factory=list)


class Slots:
    """Slots of the trials of one study, kept up as trials come into being."""

    def __init__(self) -> None:
        self._of: list[int] = []
        self._retries = 0

    def of(self, study: Study, number: int) -> int:
        """Return the slot of a trial."""
        if number >= len(self._of):
            self._read(study)
        return self._of[number]

    def taken(self, study: Study, number: int) -> bool:
        """Whether a trial before this one has its slot: running, waiting or finished."""
        trials = self._read(study)
        failed = the_optuna().trial.TrialState.FAIL
        mine = self._of[number]
        return any(
            slot == mine and trial.state != failed
            for trial, slot in zip(trials[:number], self._of, strict=False)
        )

    def stock(self, study: Study, wanted: int) -> Stock:
        """Return how far the first `wanted` slots are."""
        states = the_optuna().trial.TrialState
        trials = self._read(study)
        finished: set[int] = set()
        running: set[int] = set()
        waiting: set[int] = set()
        needless: list[int] = []
        last: dict[int, FrozenTrial] = {}
        for trial, slot in zip(trials, self._of, strict=False):
            last[slot] = trial
            if trial.state == states.WAITING:
                if slot >= wanted or slot in waiting or slot in running or slot in finished:
                    needless.append(trial._trial_id)
                waiting.add(slot)
            elif trial.state == states.RUNNING:
                running.add(slot)
            elif trial.state != states.FAIL:
                finished.add(slot)
        begun = min(wanted, len(self._of) - self._retries)
        alive = finished | running | waiting
        return Stock(
            finished=sum(1 for slot in finished if slot < wanted),
            running=sum(1 for slot in running - finished if slot < wanted),
            lost=[last[slot] for slot in range(begun) if slot not in alive],
            needless=needless,
        )

    def _read(self, study: Study) -> Sequence[FrozenTrial]:
        # not `study.get_trials`: some pruners hand out studies that show a part of the trials
        trials: Sequence[FrozenTrial] = study._storage.get_all_trials(study._study_id, deepcopy=False)
        for trial in trials[len(self._of) :]:
            first: Any = trial.user_attrs.get(RETRY)
            if first is None:
                self._of.append(trial.number - self._retries)
            else:
                self._of.append(self._of[int(first)])
                self._retries += 1
        return trials
