"""Candidates and what is left of each: the difference, shrunk and charged, with a bound over all of them.

A `Question` is what stays the same while one setting after the other is asked about: cases, prior, blocks,
turns. Filters decide which cases are admitted and are compared by `bounds.measure`; an earlier profit target
changes what the same cases came to and is compared in pairs. Where both are searched, each has a part of the
level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from optimize.tuning import bounds, shrinkage, targets
from optimize.tuning.cases import Cases
from optimize.tuning.proposal import plain
from optimize.tuning.search import candidates_of, thinned
from optimize.tuning.settings import admits, is_known, reach_of

__all__ = ["LEAST_LOSSES", "TARGET_SHARE", "Judged", "Question"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

LEAST_LOSSES: Final = 5
"""Losses that must have been seen in what a candidate admits, and in what only it admits: before, nobody
knows how large they are."""

TARGET_SHARE: Final = 0.2
"""Part of the level that the profit target has, where it is searched beside filters."""

_LEAST_KEPT: Final = 1.0 / 3.0
"""Part of what is admitted now that one adoption must go on admitting."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Candidates and what was found of each; arrays have one value per candidate."""

    changes: list[dict[str, Any]]
    estimate: Floats
    lower: Floats
    ratio: Floats
    fit: Floats
    critical: float
    p_value: float
    trades: npt.NDArray[np.int64]
    changed: npt.NDArray[np.int64]

    @property
    def best(self) -> int:
        """The one that fits best of the candidates whose bound is above 0, or of all where none is.

        The largest bound would prefer a threshold beyond the true one as soon as noise favours it; what fits
        best, the largest ratio by case, is where the outcomes change.
        """
        above = self.lower > 0.0
        return int(np.argmax(np.where(above, self.fit, -np.inf) if above.any() else self.ratio))

    def rows(self) -> list[dict[str, Any]]:
        """Return a line per candidate, as JSON takes it."""
        return [
            {
                "settings": {name: plain(value) for name, value in changes.items()},
                "estimate": float(self.estimate[at]),
                "lower": float(self.lower[at]),
                "trades": int(self.trades[at]),
                "changed": int(self.changed[at]),
            }
            for at, changes in enumerate(self.changes)
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """What stays the same from step to step."""

    cases: Cases
    in_force: Mapping[str, Any]
    effective: float
    confidence: float
    prior: Mapping[str, Any]
    space: Mapping[str, Any] | None
    max_step: Mapping[str, float]
    min_trades: int
    trials: int
    seed: int
    blocks: Indices
    turns: Indices
    notes: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Independent trades per trade."""
        return self.effective / max(len(self.cases), 1)

    def ask(self, now: Mapping[str, Any], names: Sequence[str]) -> list[Judged]:
        """Judge every single move of these settings, away from a set."""
        cases, level = self.cases, 1.0 - self.confidence
        space = self.space or {}
        filters = [name for name in names if name != targets.PROFIT_TARGET]
        reaches = [
            reach_of(name, cases, now, space=space.get(name), step=self.max_step.get(name))
            for name in filters
        ]
        self.notes.extend(note for reach in reaches for note in reach.notes if note not in self.notes)
        goals = []
        if len(filters) < len(names):
            name = targets.PROFIT_TARGET
            goals = targets.targets_of(cases, now, space=space.get(name), step=self.max_step.get(name))
        part = 0.0 if not goals else TARGET_SHARE if reaches else 1.0
        candidates = candidates_of(reaches)
        found = [
            _filters(self, now, candidates, 1.0 - level * (1.0 - part)) if candidates else None,
            _targets(self, now, goals, 1.0 - level * part) if goals else None,
        ]
        return [family for family in found if family is not None]


def _filters(
    question: Question, now: Mapping[str, Any], candidates: list[dict[str, Any]], confidence: float
) -> Judged | None:
    """Judge sets that admit other cases than the one in force."""
    cases, share, least = question.cases, question.share, question.min_trades
    old, original = admits(cases, now), admits(cases, question.in_force)
    sizes = dict(zip(*np.unique(cases.symbol, return_counts=True), strict=True))
    able: dict[tuple[str, bytes], tuple[float, dict[str, Any], Flags, Flags]] = {}
    for changes in candidates:
        (name, value), *_ = changes.items()
        if name == "blacklist":
            moved = set(value) ^ set(now.get(name) or ())
            if sum(sizes.get(one, 0) for one in moved) * share < least / 2:
                continue  # among a thousand symbols, without a look at every case
        known = is_known(cases, tuple(changes))
        new, before = admits(cases, {**now, **changes}) & known, old & known
        trades, changed = int(new.sum()), int((new != before).sum())
        enough = trades * share >= least and changed * share >= least / 2
        enough = enough and _losses_seen(cases.outcome, new, before)
        # of the set that is in force, not of the last step's: steps together must not refuse more
        enough = enough and trades >= _LEAST_KEPT * int((original & known).sum())
        if enough and before.any():
            # of values that admit the same cases the one nearest to the set in force stands for all
            key, far = (name, np.packbits(new).tobytes()), _distance(name, value, now)
            if key not in able or far < able[key][0]:
                able[key] = (far, changes, new, before)
    rows = [(changes, new, before) for _, changes, new, before in able.values()]
    if not rows:
        return None
    if len(rows) > question.trials:
        kept = thinned(
            [next(iter(changes)) for changes, *_ in rows],
            [int((new != before).sum()) for _, new, before in rows],
            question.trials,
        )
        note = f"{len(kept):,} of {len(rows):,} candidates were judged, spread over all settings"
        if note not in question.notes:
            question.notes.append(note)
        rows = [rows[at] for at in kept]
    design = bounds.Design(np.stack([new for _, new, _ in rows]), np.stack([before for *_, before in rows]))
    outcomes = cases.outcome[question.turns]
    asked = [bounds.measure(design, outcomes, question.blocks)]
    # a list of symbols cannot be judged within symbols
    within = np.array(["blacklist" not in changes for changes, *_ in rows])
    # what was refused is managed by the rules of the ledger: it is not compared with what was taken
    taken = np.where(cases.taken, "taken", "refused")
    parts = []
    for chosen, labels in ((within, (taken, cases.source, cases.symbol)), (~within, (taken, cases.source))):
        frame = bounds.period_base(len(cases), *labels)
        if chosen.any() and frame is not None:
            parts.append((chosen, bounds.measure(design.of(chosen), outcomes, question.blocks, base=frame)))
    if parts:
        asked.append(bounds.Measured.merged(parts))
    count, old_count = design.new.sum(axis=1), design.old.sum(axis=1)
    mean = (design.new @ cases.outcome) / count
    old_mean = (design.old @ cases.outcome) / old_count
    of_prior = admits(cases, {**now, **question.prior})
    shrunk = shrinkage.shrink(
        mean, count * share, old_mean, old_count * share,
        float(cases.outcome[of_prior if of_prior.any() else old].mean()),
    )  # fmt: skip
    unseen = shrinkage.unseen_loss(cases.outcome, cases.worst, design.new, design.new | design.old)
    charged = shrinkage.charge(mean, count.astype(np.float64), unseen)
    return _judged(
        [changes for changes, *_ in rows], asked, shrunk, charged, confidence, count,
        (design.new != design.old).sum(axis=1),
    )  # fmt: skip


def _distance(name: str, value: Any, now: Mapping[str, Any]) -> float:
    """Return how far a value is from the one in force; an open bound is at its own end."""
    if name == "blacklist":
        return 0.0
    start = now.get(name)
    if start is None:
        return float(value) if name.startswith("min_") else -float(value)
    return abs(float(value) - float(start))


def _losses_seen(outcome: Floats, new: Flags, before: Flags) -> bool:
    """Whether losses are known: among all that is admitted, and among what only the candidate admits."""
    lost = outcome < 0.0
    added = new & ~before
    return int((lost & new).sum()) >= LEAST_LOSSES and (
        not added.any() or int((lost & added).sum()) >= LEAST_LOSSES
    )


def _judged(
    changes: list[dict[str, Any]],
    asked: list[bounds.Measured],
    shrunk: shrinkage.Shrunk,
    charged: shrinkage.Charged,
    confidence: float,
    trades: npt.NDArray[Any],
    changed: npt.NDArray[Any],
) -> Judged:
    """Return what each question leaves of each candidate; the hardest question counts."""
    estimate = asked[0].difference[:, 0] * shrunk.kept - shrunk.away - charged.difference
    lower = np.full(len(changes), np.inf)
    ratio = np.full(len(changes), np.inf)
    critical = p_value = 0.0
    for one in asked:
        value = bounds.critical_value(one.ratio, confidence)
        error = np.sqrt(one.error[:, 0] ** 2 + charged.variance) * shrunk.kept
        left = one.difference[:, 0] * shrunk.kept - shrunk.away - charged.difference
        lower = np.minimum(lower, left - value * error)
        here = np.divide(left, error, out=np.zeros_like(left), where=error > 0.0)
        ratio = np.minimum(ratio, here)
        largest = one.ratio[:, 1:].max(axis=0)
        p_value = max(p_value, float((1 + (largest >= here.max()).sum()) / (1 + len(largest))))
        critical = max(critical, value)
    error = asked[0].by_case[:, 0]
    fit = np.divide(asked[0].difference[:, 0], error, out=np.zeros_like(error), where=error > 0.0)
    return Judged(
        changes, estimate, lower, ratio, fit, critical, p_value,
        trades.astype(np.int64), changed.astype(np.int64),
    )  # fmt: skip


def _targets(
    question: Question, now: Mapping[str, Any], goals: list[float], confidence: float
) -> Judged | None:
    """Judge earlier profit targets, on what is admitted now."""
    share = question.share
    chosen = admits(question.cases, now)
    cases, blocks = question.cases.take(chosen), question.blocks[chosen]
    pairs = targets.paired_differences(cases, goals)
    hit = (pairs != 0.0).sum(axis=1)
    known = int((~np.isnan(cases.mfe_fraction) & ~np.isnan(cases.best)).sum())
    enough = np.flatnonzero(hit * share >= question.min_trades / 2)
    if known * share < question.min_trades or not len(enough):
        return None
    pairs, count = pairs[enough], np.full(len(enough), known)
    draws = max(targets.SIGN_DRAWS, bounds.least_turns(1.0 - confidence))
    asked = bounds.measure_pairs(
        pairs, targets.signs_for(blocks, seed=question.seed, draws=draws), blocks, known
    )
    mean = pairs.sum(axis=1) / known
    shrunk = shrinkage.shrink(mean, count * share, np.zeros_like(mean), np.full_like(mean, np.inf), 0.0)
    charged = shrinkage.charge(mean, count.astype(np.float64), pairs.min(axis=1))
    changes = [{targets.PROFIT_TARGET: goals[at]} for at in enough]
    return _judged(changes, [asked], shrunk, charged, confidence, count, hit[enough])
