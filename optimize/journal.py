"""Tuning from a journal: what closed and refused trades say about the scanner's settings.

`tune_journal` reads the cases of one source, asks whether another set of settings beats the one in force by
more than luck explains, and answers "adopt", "keep" or "not enough evidence: about N more trades". What is to
be adopted is stored as a parameter set with its evidence. On paper it takes force by itself; elsewhere a
person approves it, and what was learned live never takes force without one. The scanner uses the set in force
when it is next made; `ParameterStore.roll_back` takes it back.

>>> with TradeJournal("trade_journal.db", source="paper") as journal:   # doctest: +SKIP
...     tuning = tune_journal(journal)
...     print(tuning.sentence())
Not enough evidence: about 240 more trades. ...

`docs/tuning.md` says what the answer is in every corner: too few trades, constant outcomes, unknown IV ranks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from journal.learning.data import sources_of
from journal.learning.votes import SCANNER
from journal.learning_system import analyse
from journal.parameters import ParameterSet, ParameterStore, in_force
from journal.storage.files import located
from journal.trade_journal import TradeJournal
from journal.values import nanoseconds
from optimize.tuning.adoption import MIN_TRADES
from optimize.tuning.components import (
    check_space,
    default_space,
    kind_of,
    prior_of,
    stored_settings,
    used_settings,
)
from optimize.tuning.reading import Reading, read_cases
from optimize.tuning.storing import in_force_then, store_set
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from optimize.tuning.cases import Cases
    from optimize.tuning.proposal import Proposal

__all__ = ["Tuning", "tune_journal"]

ATTEMPTS: Final = 3
"""How often the question is asked where the set in force is changed by others meanwhile."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a journal says about a component's settings.

    Attributes
    ----------
    component, source
        Whose settings, and whose trades.
    proposal
        The answer with its figures; see `optimize.tuning.proposal.Proposal`.
    reading
        Cases, what was left out of them, and R per margin-day of all.
    before
        The set in force when it was asked; None where there was none.
    learned, used, prior
        Learned settings that were measured against, what they come to with defaults, and what the rules of
        the learning system would use.
    stored
        The parameter set that was stored; None where nothing was, or was to be.
    notes
        What a reader must know, in words.
    """

    component: str
    source: str
    proposal: Proposal
    reading: Reading
    before: ParameterSet | None
    learned: Mapping[str, Any]
    used: Mapping[str, Any]
    prior: Mapping[str, Any]
    stored: ParameterSet | None
    notes: tuple[str, ...]

    @property
    def cases(self) -> Cases:
        """What was learned from."""
        return self.reading.cases

    @property
    def answer(self) -> str:
        """Return "adopt", "keep" or "not enough evidence"."""
        return self.proposal.answer

    def sentence(self) -> str:
        """Return the answer in one plain sentence, and in another what became of it."""
        return " ".join(part for part in (self.proposal.sentence, self._next()) if part)

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one self-contained HTML file and return its path."""
        from optimize.report import write_report

        return write_report(self, Path(path), title=title)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the cases as JSON takes it."""
        return {
            "component": self.component,
            "source": self.source,
            "answer": self.answer,
            "sentence": self.sentence(),
            "settings": dict(self.proposal.settings),
            "in_force": dict(self.used),
            "prior": dict(self.prior),
            "cases": len(self.cases),
            "counts": dict(self.reading.counts),
            "evidence": dict(self.proposal.evidence),
            "stored": None if self.stored is None else self.stored.as_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        taken = int(self.cases.taken.sum())
        lines = [
            f"{self.component} from {self.source} trades: {taken:,} closed, {len(self.cases) - taken:,} "
            "refused with a known outcome",
            f"in force   {_words(self.used)}",
            *([f"proposed   {_words(self.proposal.settings)}"] if self.proposal.changes else []),
            self.sentence(),
            *(f"  {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def _next(self) -> str:
        if self.stored is None:
            return ""
        name = f"Version {self.stored.version}"
        if self.stored.status == "in_force":
            return f"{name} is in force; the next scan uses it."
        return f"{name} waits for a person: set {self.stored.id}."


def tune_journal(
    journal: TradeJournal | str | os.PathLike[str] | None = None,
    *,
    source: str | Sequence[str] | None = None,
    component: str = SCANNER,
    space: Mapping[str, Any] | None = None,
    run: int | Sequence[int] | None = None,
    as_of: datetime | int | None = None,
    confidence: float = 0.95,
    min_trades: int = MIN_TRADES,
    max_step: Mapping[str, float] | None = None,
    trials: int = 200,
    seed: int = 0,
    store: bool = True,
    apply: bool | None = None,
) -> Tuning:
    """Ask a journal whether other settings would have been better, and store them where that is sure.

    Parameters
    ----------
    journal
        A `TradeJournal`, or where to find one; `trade_journal.db` in the working folder by default.
    source
        "live", "paper" or "backtest"; that of the journal by default.
    component
        "options_scanner" (IV rank, days, symbols, ... from packages), "premium" (the profit target of
        packages) or "signal_generator" (the least pattern score, from shares).
    space
        Settings to search, with `Int`, `Float`, `Choice`, a list, or None for a round grid; by default the
        tuned settings of the component.
    run
        Which stored backtests, where the source is "backtest"; the one stored last by default.
    as_of
        Only what had ended by this aware time, measured against the set that was in force then, as far as the
        journal tells. Nothing is stored where that time is over.
    confidence, min_trades, max_step, trials, seed
        As in `optimize.tuning.adoption.propose`: of the lower bound, counting the search; independent trades
        that a set must admit; how far one adoption may go; combinations drawn where there are many.
    store
        False only looks.
    apply
        Whether a set that is to be adopted takes force at once, without a person. By default it does on
        paper, unless a person approved the set in force. It is refused for what was learned live.

    Raises
    ------
    ConfigError
        JOURNAL_MIXED_SOURCES for several sources, JOURNAL_PARAMETER_PERSON for `apply=True` where a person
        must decide, OPTIMIZE_SET_CHANGED where the set in force changed under every attempt, TUNING_SETTING
        for a space that the cases say nothing about, OPTIMIZE_RUN for backtests of another source.
    UnknownNameError
        OPTIMIZE_COMPONENT, NAME_RUN.
    JournalError
        JOURNAL_MISSING for a path where no journal is, and what else opening or writing a journal raises.
    """
    kind_of(component)
    check_space(component, space)
    how = {
        "confidence": confidence, "min_trades": min_trades, "max_step": max_step, "trials": trials,
        "seed": seed,
    }  # fmt: skip
    with _opened(journal, store=store) as opened:
        sources = sources_of(opened.source if source is None else source)
        if len(sources) > 1:
            raise ConfigError(
                f"asked to tune from {', '.join(sources)} together: their fills differ, and a parameter set "
                "belongs to one source; give one",
                code="JOURNAL_MIXED_SOURCES",
            )
        ask = _Question(opened, sources[0], component, space, run, as_of, how)
        return _tune(ask, store=store, apply=apply)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of which journal."""

    journal: TradeJournal
    source: str
    component: str
    space: Mapping[str, Any] | None
    run: int | Sequence[int] | None
    as_of: datetime | int | None
    how: Mapping[str, Any]

    @property
    def past(self) -> bool:
        """Whether it is asked as of a time that is over."""
        return self.as_of is not None and nanoseconds(self.as_of, "as_of") < self.journal.now()

    def answer(self, notes: Sequence[str]) -> Tuning:
        """Read everything in one snapshot of the journal, and ask once."""
        from optimize.tuning import adoption

        until = None if self.as_of is None else nanoseconds(self.as_of, "as_of")
        with self.journal.database.read() as connection:
            before = in_force(connection, self.component)
            # a live scan does not see what took force without a person: live is not measured against that
            seen = in_force(connection, self.component, source=self.source)
            reading = read_cases(
                connection, self.source, kind=kind_of(self.component), run=self.run, until=until
            )
            rules = analyse(
                connection,
                (self.source,),
                as_of=self.journal.now() if until is None else until,
                until=until,
                run=self.run if isinstance(self.run, int) else None,
            )
        if self.past:
            history = ParameterStore(self.journal).history(self.component)
            before, seen = (in_force_then(history, until or 0, source=where) for where in ("", self.source))
        learned = {} if seen is None else dict(seen.settings)
        used = used_settings(self.component, learned)
        prior = prior_of(self.component, used, rules)
        proposal = adoption.propose(
            reading.cases,
            in_force=used,
            prior=prior,
            space=default_space(self.component, used) if self.space is None else self.space,
            **self.how,
        )
        return Tuning(
            component=self.component, source=self.source, proposal=proposal, reading=reading, before=before,
            learned=learned, used=used, prior=prior, stored=None, notes=(*notes, *reading.notes),
        )  # fmt: skip


def _tune(question: _Question, *, store: bool, apply: bool | None) -> Tuning:
    """Ask, and store the answer if what it was measured against is still in force."""
    notes: list[str] = []
    component = question.component
    if question.past:
        if store:
            notes.append(
                "asked as of a time that is over: measured against what was in force then, not stored"
            )
        return question.answer(notes)
    for _ in range(ATTEMPTS):
        found = question.answer(notes)
        if not store or found.answer != "adopt":
            return found
        with question.journal.database.write() as connection:
            now = in_force(connection, component)
            if (None if now is None else now.id) == (None if found.before is None else found.before.id):
                return _stored(question.journal, found, apply=apply)
        gone = "the defaults" if found.before is None else f"version {found.before.version}"
        took = "the defaults apply" if now is None else f"version {now.version} is"
        notes = [f"{gone} ceased to be in force while this ran, and {took} now: asked again"]
    raise ConfigError(
        f"the set of {component} in force changed {ATTEMPTS} times while it was tuned; nothing was stored: "
        "see who changes it, and try again",
        code="OPTIMIZE_SET_CHANGED",
    )


def _stored(journal: TradeJournal, found: Tuning, *, apply: bool | None) -> Tuning:
    """Store the proposed set, and put it in force where no person needs to; inside a write."""
    kept, why = store_set(
        journal,
        component=found.component,
        source=found.source,
        settings=stored_settings(found.component, found.learned, found.used, found.proposal.settings),
        learned=found.learned,
        before=found.before,
        evidence=_evidence(found),
        reason=found.proposal.sentence,
        apply=apply,
    )
    return replace(found, stored=kept, notes=(why, *found.notes) if why else found.notes)


def _evidence(found: Tuning) -> dict[str, Any]:
    kept = {name: value for name, value in found.as_dict().items() if name not in ("stored", "settings")}
    return {"trades": len(found.cases), "tuning": kept}


@contextmanager
def _opened(journal: TradeJournal | str | os.PathLike[str] | None, *, store: bool) -> Iterator[TradeJournal]:
    if isinstance(journal, TradeJournal):
        yield journal
        return
    where = "trade_journal.db" if journal is None else journal
    if store and "://" not in os.fspath(where) and not located(os.fspath(where)).exists():
        with TradeJournal(where, read_only=True):  # says what is missing
            pass
    with TradeJournal(where, read_only=not store) as opened:
        yield opened


def _words(settings: Mapping[str, Any]) -> str:
    said = []
    for name, value in settings.items():
        if isinstance(value, (tuple, list)):
            said.append(f"{name} {', '.join(map(str, value)) or 'none'}")
        else:
            said.append(f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}")
    return ", ".join(said) or "defaults"
