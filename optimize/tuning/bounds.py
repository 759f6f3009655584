"""A lower bound that holds after the search: how much better the best of many candidates is at least.

The statistic of a candidate is the difference of two means, of the cases that it admits and of those that the
set in force admits, divided by a standard error that allows for unequal variances and for blocks of trades
that move together. What the largest of these would be if outcomes had nothing to do with the settings is
found by *turning* the journal: outcomes are moved against entries by 1, 2, 3, ... moments, around the end,
and backwards. Every turn keeps how outcomes follow each other, how features follow each other, their tails
and what is entered on one day; it only breaks the link between them. The bound takes the quantile of the
largest statistic over all turns, so the search is in it, and so are skewness, tails and overlap.

Each candidate is asked twice, and must pass both times: as it is, and against cases of the same period (an
eighth of the journal), symbol and source that were taken or refused alike. A bad year in which IV rank
happened to be high, one symbol that is both lively and unlucky, or a ledger that manages what was refused by
rules of its own passes the first question and not the second.

Losses that were not seen: 85 of 100 premium trades are small gains, so thirty trades in a row may show no
loss, and their mean and their variance are both too good. The candidate is therefore charged with one more
case, at the worst outcome known (`shrinkage.charge`).

Sources: Romano and Wolf (2005) for the largest studentised statistic; Chung and Romano (2013) for why a
studentised permutation holds with unequal variances; Cameron, Gelbach and Miller (2008) for blocks; Harris,
"A shift test for independence in generic time series" (2020), for turning.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "MOST_TURNS",
    "TURNS",
    "Design",
    "Measured",
    "critical_value",
    "least_turns",
    "measure",
    "measure_pairs",
    "period_base",
    "turns_of",
]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

TURNS: Final = 249
"""Turns that are looked at where no more are needed; with the journal as it is they make 250."""

MOST_TURNS: Final = 4_999
"""Turns that are looked at, at most: a limit of time, and so of the level that can be asked for."""

PERIODS: Final = 8
"""Parts of the journal within which cases are compared a second time."""

_LEAST_OF_PERIOD: Final = 20
_LEAST_OF_NAME: Final = 10
_TINY: Final = 1e-12
_ALONE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Design:
    """Who admits what: flags (candidates, cases), for the candidates and for the set in force.

    `old` has a row per candidate, because a candidate is compared on cases whose changed features are known.
    """

    new: Flags
    old: Flags

    def of(self, chosen: Flags) -> Design:
        """Return some of the candidates."""
        return Design(self.new[chosen], self.old[chosen])

    def groups(self) -> tuple[Flags, Flags, Flags]:
        """Return which cases both admit, only the set in force, and only the candidate."""
        return self.new & self.old, self.old & ~self.new, self.new & ~self.old

    def weights(self) -> Floats:
        """Return the weights whose sum with outcomes is the difference of the two means."""
        new = self.new / np.maximum(self.new.sum(axis=1, keepdims=True), 1)
        return np.asarray(new - self.old / np.maximum(self.old.sum(axis=1, keepdims=True), 1), np.float64)


@dataclass(frozen=True, slots=True)
class Measured:
    """Differences and their standard errors, (candidates, journals) each.

    `error` is the larger of two, `by_case` the one that takes cases as independent.
    """

    difference: Floats
    error: Floats
    by_case: Floats

    @classmethod
    def merged(cls, parts: Sequence[tuple[Flags, Measured]]) -> Measured:
        """Put candidates that were measured apart together; the flags say which are whose."""
        rows = np.argsort(np.concatenate([np.flatnonzero(flags) for flags, _ in parts]))
        return cls(
            np.concatenate([part.difference for _, part in parts])[rows],
            np.concatenate([part.error for _, part in parts])[rows],
            np.concatenate([part.by_case for _, part in parts])[rows],
        )

    @property
    def ratio(self) -> Floats:
        """The studentised difference; 0 where nothing varies."""
        known = self.error > _TINY
        return np.divide(self.difference, self.error, out=np.zeros_like(self.difference), where=known)


def least_turns(level: float) -> int:
    """Return the turns below which nothing can be told from chance at a level: 39 at 5 %, 1,999 at 0.1 %.

    The journal itself is one of those that the quantile is taken of, so it must leave room for two above it.
    """
    return 2 * math.ceil(1.0 / level - 1e-6) - 1


def turns_of(moments: Indices, *, seed: int, most: int = TURNS) -> Indices:
    """Return which case's outcome stands at each case, (cases, turns); the journal as it is comes first.

    Parameters
    ----------
    moments : (cases,)
        Moment of each entry, in the order of time. Outcomes move with the moment that they belong to; within
        a moment they come in any order, and a shorter moment is gone through again.
    seed
        Of that order, and of which turns are taken where there are more than `most`.
    """
    count = int(moments[-1]) + 1
    sizes = np.bincount(moments, minlength=count)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(moments)) - starts[moments]
    random = np.random.default_rng(seed)
    steps = [(1, shift) for shift in range(1, count)] + [(-1, shift) for shift in range(count)]
    if len(steps) > most:
        chosen = random.choice(len(steps), most, replace=False)
        steps = [steps[at] for at in np.sort(chosen)]
    columns: list[npt.NDArray[Any]] = [np.arange(len(moments))]
    for sign, shift in steps:
        source = (sign * moments + shift) % count
        order = np.lexsort((random.random(len(moments)), moments))
        columns.append(order[starts[source] + place % sizes[source]])
    return np.stack(columns, axis=1).astype(np.intp)


def measure(design: Design, outcomes: Floats, blocks: Indices, *, base: Floats | None = None) -> Measured:
    """Return the difference of means of every candidate in every journal, and its standard error.

    Parameters
    ----------
    design
        Candidates.
    outcomes : (cases, journals)
        A column per journal: the real one and its turns.
    blocks : (cases,)
        Block of each case, in order. The larger of two standard errors counts: by case, and by block.
    base : (cases, columns), optional
        Orthonormal columns; what they explain is taken out of outcomes, and differences are scaled up by what
        that takes out of the comparison.
    """
    weights = design.weights()
    scale = np.ones((len(weights), 1))
    alone = np.zeros((len(weights), 1), np.bool_)
    if base is not None:
        outcomes = outcomes - base @ (base.T @ outcomes)
        left = weights - (weights @ base) @ base.T
        whole, apart = (weights**2).sum(axis=1), (left**2).sum(axis=1)
        # nothing within the base tells these apart, so they differ by nothing
        alone[:, 0] = apart <= _ALONE * whole
        scale[:, 0] = np.where(alone[:, 0], 1.0, whole / np.maximum(apart, _ALONE * whole + _TINY**2))
    difference = np.where(alone, 0.0, weights @ outcomes)
    squares = outcomes**2
    by_case = np.zeros_like(difference)
    cuts = np.append(np.flatnonzero(np.diff(blocks, prepend=-1)), len(blocks))
    parts = [slice(first, last) for first, last in itertools.pairwise(cuts)]
    by_group = []
    for group in design.groups():
        flags = group.astype(np.float64)
        size = flags.sum(axis=1, keepdims=True)
        if not size.any():
            continue
        mean = flags @ outcomes / np.maximum(size, 1.0)
        spread = np.maximum(flags @ squares - size * mean**2, 0.0)
        # all cases of a group weigh the same
        weight = (weights * flags).sum(axis=1, keepdims=True) / np.maximum(size, 1.0)
        by_case += weight**2 * spread * size / np.maximum(size - 1.0, 1.0)
        by_group.append((flags * weight, mean))
    by_block = np.zeros_like(difference)
    for part in parts:
        total = weights[:, part] @ outcomes[part]
        for flags, mean in by_group:
            total -= flags[:, part].sum(axis=1, keepdims=True) * mean
        by_block += total**2
    if len(parts) > 1:
        by_block *= len(parts) / (len(parts) - 1.0)
    return Measured(
        difference * scale, np.sqrt(np.maximum(by_case, by_block)) * scale, np.sqrt(by_case) * scale
    )


def period_base(count: int, *labels: npt.NDArray[np.str_]) -> Floats | None:
    """Return orthonormal columns for periods and labels, (cases, columns); None where cases are too few.

    Parameters
    ----------
    count
        Cases, in the order of time.
    labels : (cases,)
        Symbols, sources: the most usual names get a column each, as long as there are ten cases per column.
    """
    periods = min(PERIODS, count // _LEAST_OF_PERIOD)
    if periods < 2:
        return None
    of_period = np.arange(count) * periods // count
    columns = [of_period == period for period in range(periods)]
    for label in labels:
        names, of_name, sizes = np.unique(label, return_inverse=True, return_counts=True)
        usual = [at for at in np.argsort(-sizes, kind="stable") if sizes[at] >= _LEAST_OF_NAME]
        if len(names) > 1:
            columns += [of_name == at for at in usual[: max(0, count // 10 - len(columns))]]
    left, values, _ = np.linalg.svd(np.stack(columns, axis=1).astype(np.float64), full_matrices=False)
    return np.asarray(left[:, values > 1e-9 * values[0]], np.float64)


def critical_value(ratios: Floats, confidence: float) -> float:
    """Return what the largest ratio stays below with this confidence where there is no link.

    Parameters
    ----------
    ratios : (candidates, journals)
        Of the journal and its turns. The journal itself counts as one of them, which makes the level exact
        where all turns are alike.
    """
    largest = np.sort(ratios.max(axis=0))
    place = int(np.ceil(confidence * len(largest) - 1e-9)) - 1
    return max(0.0, float(largest[min(place, len(largest) - 1)]))


def measure_pairs(pairs: Floats, signs: Floats, blocks: Indices, known: int) -> Measured:
    """Return means of paired differences, and their standard errors, under every choice of signs.

    Parameters
    ----------
    pairs : (candidates, cases)
        What a candidate changes in each case.
    signs : (cases, journals)
        One sign per block and journal.
    blocks : (cases,)
        Block of each case.
    known
        Cases that the mean is over.
    """
    difference = pairs @ signs / known
    squares = (pairs**2).sum(axis=1, keepdims=True)
    by_case = np.maximum(squares / known - difference**2, 0.0) / max(known - 1, 1)
    by_block = np.zeros_like(difference)
    cuts = np.append(np.flatnonzero(np.diff(blocks, prepend=-1)), len(blocks))
    for first, last in itertools.pairwise(cuts):
        total = pairs[:, first:last] @ signs[first:last]
        by_block += (total - difference * (last - first)) ** 2
    parts = len(cuts) - 1
    if parts > 1:
        by_block *= parts / (parts - 1.0)
    return Measured(
        difference, np.sqrt(np.maximum(by_case, by_block / known**2)), np.sqrt(np.maximum(by_case, 0.0))
    )
