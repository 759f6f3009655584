"""A model of trade quality: how likely a recommendation is to succeed, and what R it may bring.

`trade_quality` fits two small models (scikit-learn) to what was known at the entry of closed trades, judges
them on trades that they have not seen (purged folds with an embargo), and lets each speak only where a proper
score beats the base rate with a lower confidence bound. Most journals have nothing that the model could find:
the answer is then a sentence with the figures, and nothing is shown beside recommendations.

`JournalQuality` is what a scanner or a listing asks: it reads the journal once, fits when it must, and keeps
what it found as numbers (never as a pickle) in the user's cache, by the content of the journal.

>>> quality = trade_quality("trade_journal.db")   # doctest: +SKIP
>>> print(quality)   # doctest: +SKIP
>>> OptionsScanner(chain, journal=journal, quality=JournalQuality(journal))   # doctest: +SKIP

Source of the scores: Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA
102 (2007). Of purging and embargo: López de Prado, "Advances in Financial Machine Learning" (2018), ch. 7.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from journal.database import Database
from journal.learning.data import sources_of
from journal.ledger.lookup import chosen
from journal.schema import KINDS
from journal.values import nanoseconds
from optimize.quality_model import keeping
from optimize.quality_model.encoding import LEAST_KNOWN
from optimize.quality_model.fitting import HEADS, Cases, Fitted, need_sklearn
from optimize.quality_model.judging import Judged, cannot, judge
from optimize.quality_model.reading import History, read_history
from optimize.quality_model.snapshots import MEASURES, kind_of, snapshot_of
from optimize.quality_model.wording import explained, told_in_one
from simulator.errors import ConfigError, MissingExtraError
from simulator.opportunity import Opportunity, Quality
from simulator.types import TradingSignal

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Recommendation
    from journal.trade_journal import TradeJournal

    Journal = TradeJournal | Database | str | os.PathLike[str]
    Proposal = Opportunity | TradingSignal | Recommendation

__all__ = ["CONFIDENCE", "JournalQuality", "TradeQuality", "trade_quality"]

CONFIDENCE: Final = 0.95
"""That nothing is shown where there is nothing: shared between the two models, so each is asked for 0.975."""


@dataclass(frozen=True, slots=True, eq=False)
class TradeQuality:
    """What closed trades say of the next one.

    Attributes
    ----------
    kind, sources
        "option" or "stock"; where the trades come from.
    trades
        Closed trades (campaigns) that it rests on.
    probability, expected_r
        What came of each model, with the figures.
    models
        The fitted models that may speak, by "probability" and "expected_r".
    notes
        What a reader should know first, such as that sources are mixed.
    digest
        Name of exactly these trades.
    modelled
        How many of the trades had modelled option prices.
    strategies
        Trades by strategy; nothing is said of a strategy that was never traded.
    elsewhere
        Closed trades of the other sources of the journal, where the chosen ones have none.
    """

    kind: str
    sources: tuple[str, ...]
    trades: int
    probability: Judged
    expected_r: Judged
    models: Mapping[str, Fitted]
    notes: tuple[str, ...]
    digest: str
    modelled: int = 0
    strategies: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def speaks(self) -> bool:
        """Whether anything is shown beside recommendations."""
        return bool(self.models)

    def quality_of(self, proposal: Proposal) -> Quality | None:
        """Return what to expect of a proposal.

        None where no model may speak, it is of another kind, or its strategy was never traded.
        """
        if not self.models or kind_of(proposal) != self.kind:
            return None
        measures, strategy = snapshot_of(proposal)
        traded = self.strategies.get(strategy, 0)
        if not traded:
            return None
        values = np.array([measures], dtype=np.float64)
        told: dict[str, float | None] = {head: None for head in HEADS}
        beyond = [f"{self.modelled:,} of them modelled"] if self.modelled else []
        if traded < min(LEAST_KNOWN, self.trades):
            beyond.append(f"only {traded:,} of them {strategy}")
        for head, model in self.models.items():
            told[head] = float(model.say(values, [strategy])[0])
            beyond += model.encoding.outside(measures, MEASURES[self.kind])
        shown = {"probability": self.probability, "expected_r": self.expected_r}
        return Quality(
            probability=told["probability"],
            base_rate=shown["probability"].base if "probability" in self.models else None,
            expected_r=told["expected_r"],
            mean_r=shown["expected_r"].base if "expected_r" in self.models else None,
            trades=self.trades,
            notes=tuple(dict.fromkeys(beyond)),
        )

    def sentence(self) -> str:
        """Return in one sentence what may be shown, or why nothing is."""
        return told_in_one(self)

    def __str__(self) -> str:
        return explained(self)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "kind": self.kind,
            "sources": list(self.sources),
            "trades": self.trades,
            "modelled": self.modelled,
            "strategies": dict(self.strategies),
            "elsewhere": dict(self.elsewhere),
            "speaks": self.speaks,
            "sentence": self.sentence(),
            "probability": self.probability.plain(),
            "expected_r": self.expected_r.plain(),
            "models": {head: model.plain() for head, model in self.models.items()},
            "notes": list(self.notes),
        }


def trade_quality(
    journal_or_path: Journal,
    *,
    kind: str = "option",
    source: str | Sequence[str] | None = None,
    run: int | None = None,
    as_of: datetime | None = None,
    confidence: float = CONFIDENCE,
    cache: bool | str | os.PathLike[str] = True,
) -> TradeQuality:
    """Fit and judge the models on the closed trades of a journal.

    Parameters
    ----------
    journal_or_path
        A `TradeJournal`, a `Database`, or where to find one, which is opened for reading only.
    kind
        "option" (packages) or "stock".
    source
        "live", "paper", "backtest", several of them, or "all"; that of the journal, else "live". Several are
        mixed, and the answer says so.
    run
        Which stored backtest, where the source is one; the one stored last by default.
    as_of
        Only trades closed until this aware time; all by default.
    confidence
        Least chance, between 0 and 1, that nothing is shown where snapshots say nothing about outcomes.
    cache
        Where fitted models are kept; True is the user's cache folder, False keeps none.

    Raises
    ------
    ConfigError
        OPTIMIZE_CONFIDENCE.
    DataError
        JOURNAL_CHOICE for a kind or source that is none, JOURNAL_NAIVE_TIME.
    MissingExtraError
        OPTIMIZE_EXTRA_QUALITY where there are enough trades, and scikit-learn is not installed.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            f"confidence is {confidence!r}; it lies between 0 and 1, such as 0.95",
            code="OPTIMIZE_CONFIDENCE",
        )
    chosen("kind", kind, KINDS)
    until = None if as_of is None else nanoseconds(as_of, "as_of")
    database, source, ours = _opened(journal_or_path, source)
    try:
        with database.read() as connection:
            history = _history(connection, kind, sources_of(source), until=until, run=run)
    finally:
        if ours:
            database.close()
    return judged_history(history, confidence=confidence, cache=cache)


class JournalQuality:
    """The quality of proposals by the closed trades of a journal; it fits when it is first asked.

    A `QualitySource`: for `OptionsScanner(quality=...)`, listings of recommendations and the like. Where
    scikit-learn is not installed it says so in its note, and shows nothing. It judges the journal as it
    stands when it is first asked; make a new one after trades have closed.

    Parameters
    ----------
    journal_or_path, source, run, confidence, cache
        As in `trade_quality`.
    """

    def __init__(
        self,
        journal_or_path: Journal,
        *,
        source: str | Sequence[str] | None = None,
        run: int | None = None,
        confidence: float = CONFIDENCE,
        cache: bool | str | os.PathLike[str] = True,
    ) -> None:
        self._where = journal_or_path
        self._settings: dict[str, Any] = {
            "source": source, "run": run, "confidence": confidence, "cache": cache,
        }  # fmt: skip
        self._found: dict[str, TradeQuality | str] = {}

    def quality_of(self, proposal: Proposal) -> Quality | None:
        """Return what to expect of a proposal, None where no model may speak."""
        found = self._of(kind_of(proposal))
        return None if isinstance(found, str) else found.quality_of(proposal)

    def quality_note(self, kind: str) -> str:
        """Return in one sentence what may be shown of a kind of trade, or why nothing is."""
        found = self._of(kind)
        return found if isinstance(found, str) else found.sentence()

    def _of(self, kind: str) -> TradeQuality | str:
        if kind not in self._found:
            try:
                self._found[kind] = trade_quality(self._where, kind=kind, **self._settings)
            except MissingExtraError as error:
                self._found[kind] = str(error.args[0])
        return self._found[kind]


def _opened(where: Journal, source: Any) -> tuple[Database, Any, bool]:
    """Return the database, the source, and whether to close the database afterwards."""
    if isinstance(where, (str, os.PathLike)):
        return Database(where, read_only=True), source or "live", True
    if isinstance(where, Database):
        return where, source or "live", False
    return where.database, source or where.source, False


def _history(connection: Connection, kind: str, sources: Sequence[str], **limits: int | None) -> History:
    return read_history(connection, kind, sources, **limits)


def judged_history(
    history: History, *, confidence: float = CONFIDENCE, cache: bool | str | os.PathLike[str] = True
) -> TradeQuality:
    """Fit and judge the models on cases that were read, or made, elsewhere; see `trade_quality`."""
    folder = _folder(cache)
    digest = history.digest()
    # both models together may be wrong so often
    each = 1.0 - (1.0 - confidence) / len(HEADS)
    cases = {
        "probability": _cases(history, history.won.astype(np.float64)),
        "expected_r": _cases(history, history.r),
    }
    known = _kept(folder, digest, confidence, history.values.shape[1])
    if known is None:
        early = {head: cannot(head, cases[head], confidence=each) for head in HEADS}
        if any(answer is None for answer in early.values()):
            need_sklearn()
        known = {
            head: judge(head, cases[head], confidence=each) if answer is None else (answer, None)
            for head, answer in early.items()
        }
        if folder is not None and None in early.values():
            _keep(folder, digest, confidence, known)
    return TradeQuality(
        kind=history.kind,
        sources=history.sources,
        trades=len(history),
        probability=known["probability"][0],
        expected_r=known["expected_r"][0],
        models={head: model for head, (_, model) in known.items() if model is not None},
        notes=history.notes,
        digest=digest,
        modelled=history.modelled,
        strategies=dict(Counter(history.strategies).most_common()),
        elsewhere=dict(history.elsewhere),
    )


def _cases(history: History, target: Any) -> Cases:
    known = np.flatnonzero(~np.isnan(target))
    every = Cases(history.values, history.strategies, target, history.entry_ts, history.exit_ts)
    return every if len(known) == len(every) else every.take(known)


Known = dict[str, tuple[Judged, Fitted | None]]


def _kept(folder: Path | None, digest: str, confidence: float, measures: int) -> Known | None:
    if folder is None:
        return None
    document = keeping.load(folder, keeping.key_of(digest, confidence))
    if document is None:
        return None
    try:
        known = {head: _read(document[head]) for head in HEADS}
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    for judged, model in known.values():
        if (judged.answer == "use") != (model is not None):
            return None
        if model is not None and not all(0 <= place < measures for place in model.encoding.places):
            return None
    return known


def _read(plain: Mapping[str, Any]) -> tuple[Judged, Fitted | None]:
    return Judged.of(plain["judged"]), None if plain["model"] is None else Fitted.of(plain["model"])


def _keep(folder: Path, digest: str, confidence: float, known: Known) -> None:
    document = {
        head: {"judged": judged.plain(), "model": None if model is None else model.plain()}
        for head, (judged, model) in known.items()
    }
    keeping.save(folder, keeping.key_of(digest, confidence), document)


def _folder(cache: bool | str | os.PathLike[str]) -> Path | None:
    if cache is False:
        return None
    if cache is not True:
        return Path(cache).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("twinstep")) / "quality"
