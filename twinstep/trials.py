"""How commands count what they run: in `trials.db` beside the journal.

Everything that was tried makes the best of it worth less, so backtests, sweeps, comparisons and studies are
counted unless somebody says otherwise: `--no-trials`, `trials = false` under [journal] in the configuration,
or TWINSTEP_NO_TRIALS in the environment. The ledger is opened when there is something to store; where that
fails a warning says so, and the result is shown all the same.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simulator.errors import TwinstepError
from twinstep.console import note
from twinstep.journals import check_journal

if TYPE_CHECKING:
    from optimize.ledger import TrialLedger
    from simulator.trials import Trial
    from simulator.types import TrialSink
    from twinstep.config import Settings

__all__ = ["counting", "ledger_beside"]


@contextmanager
def counting(
    settings: Settings, *, journal: str | None = None, off: bool = False, hypothesis: str | None = None
) -> Iterator[TrialSink | None]:
    """Give a sink for the trials of a command, or None where they are not to be counted.

    At the end a note says what was counted.

    Parameters
    ----------
    journal
        The journal of this command; without it, that of the settings.
    off
        Whether somebody asked not to count.
    hypothesis
        What all trials are counted under; without it, each strategy on its data.
    """
    if off or not settings.journal.trials or os.environ.get("TWINSTEP_NO_TRIALS"):
        yield None
        return
    sink = _Beside(journal or settings.journal.path, hypothesis)
    yield sink
    sink.say()


def ledger_beside(journal: str) -> TrialLedger:
    """Return the ledger of a journal; on a server that is begun first, since it wants an empty schema."""
    from optimize.ledger import TrialLedger

    if "://" in journal:
        check_journal(journal)
    return TrialLedger.beside(journal)


class _Beside:
    """Records in the ledger of a journal, and remembers what."""

    def __init__(self, journal: str, hypothesis: str | None) -> None:
        self._journal = journal
        self._hypothesis = hypothesis
        self._ledger: TrialLedger | None = None
        self._told = 0
        self._new = 0
        self._hypotheses: dict[str, None] = {}

    def record(self, trials: Sequence[Trial]) -> int:
        if self._hypothesis is not None:
            trials = [dataclasses.replace(trial, hypothesis=self._hypothesis) for trial in trials]
        if self._ledger is None:
            self._ledger = ledger_beside(self._journal)
        new = self._ledger.record(trials)
        self._told += len(trials)
        self._new += new
        self._hypotheses |= dict.fromkeys(trial.hypothesis for trial in trials)
        return new

    def say(self) -> None:
        if self._ledger is None or not self._told:
            return
        counted = f"counted {self._new:,} new trial{'s' if self._new != 1 else ''} in {self._ledger.name}"
        try:
            known = ", ".join(f"{self._ledger.count(name):,} of {name}" for name in self._hypotheses)
        except TwinstepError:  # what was stored is stored, and the result is still to be shown
            note(counted)
        else:
            note(f"{counted}, which knows {known}")
