"""Splits of a history into what is trained on and what is tested on, without one leaking into the other.

An observation is an interval: from when it is known to when its outcome is. Two that overlap share outcomes,
so a training observation that overlaps one of the tested is left out (purging). What begins shortly after the
tested still remembers them, through averages and volatility, so an embargo leaves it out too. Both are from
López de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.

`rolling` and `anchored` only ever train on the past. `purged_k_fold` and `combinatorial_purged` train on both
sides of the tested: they use every observation as a test, and no one could have traded what they give.

>>> [(split.train.tolist(), split.test.tolist()) for split in rolling(6, train=2, test=2)]
[([0, 1], [2, 3]), ([2, 3], [4, 5])]
>>> split = purged_k_fold([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], folds=3)[1]
>>> split.train.tolist(), split.test.tolist(), split.purged.tolist()
([0, 5], [2, 3], [1, 4])
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError

__all__ = [
    "Split",
    "anchored",
    "combinatorial_paths",
    "combinatorial_purged",
    "purged_k_fold",
    "rolling",
    "runs_of",
]

Ints = npt.NDArray[np.int64]

_MOST_SPLITS: Final = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Places of observations, each part rising; together they need not be all.

    Attributes
    ----------
    train, test : (k,) int64
        What to learn from and what to judge by.
    purged : (k,) int64
        Left out of training because an outcome is shared with one of the tested.
    embargoed : (k,) int64
        Left out of training because they begin shortly after one of the tested; none of them is in `purged`.
    groups
        Which of the groups of a combinatorial split are tested; of the others the fold's own number.
    """

    train: Ints
    test: Ints
    purged: Ints
    embargoed: Ints
    groups: tuple[int, ...]


def rolling(n: int, *, train: int, test: int, purge: int = 0, folds: int | None = None) -> list[Split]:
    """Return windows of equal length that move through n observations, each tested right after it.

    Parameters
    ----------
    n
        Observations, in order of time.
    train, test
        Lengths of the windows. Tests follow each other without a gap and end with the last observation; what
        is left over is at the beginning.
    purge
        Observations between training and test that neither uses: the last `purge` of each training window,
        whose outcomes reach into the test.
    folds
        How many, the latest; by default as many as fit.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPLIT where a length is below 1, nothing is left to train on, or not one fold fits.
    """
    return _forward(n, train, test, purge, folds, grow=False)


def anchored(n: int, *, train: int, test: int, purge: int = 0, folds: int | None = None) -> list[Split]:
    """Return windows that all begin with the first observation and grow; see `rolling`.

    `train` is the length of the first at least: what `rolling` leaves over at the beginning is in all.
    """
    return _forward(n, train, test, purge, folds, grow=True)


def purged_k_fold(
    start: npt.ArrayLike, end: npt.ArrayLike, *, folds: int = 5, embargo: int = 0
) -> list[Split]:
    """Return folds of observations in order of time, each tested once against all others but the purged.

    Parameters
    ----------
    start, end : (n,)
        When each observation is known and when its outcome is, both included; whole numbers of any unit, such
        as UTC ns or rows. The order does not matter: folds are made in order of `start`.
    folds
        2 to n, of equal size up to one.
    embargo
        Training observations are left out that begin within so much after the last outcome of a test, in the
        unit of `start`.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPLIT for intervals that end before they begin, too few observations, or a negative embargo.
    """
    return combinatorial_purged(start, end, groups=folds, tested=1, embargo=embargo)


def combinatorial_purged(
    start: npt.ArrayLike, end: npt.ArrayLike, *, groups: int = 6, tested: int = 2, embargo: int = 0
) -> list[Split]:
    """Return every choice of `tested` out of `groups` groups as a test, the others as training, purged.

    Parameters
    ----------
    start, end, embargo
        As in `purged_k_fold`; the embargo holds after each tested stretch.
    groups, tested
        Groups in order of time, of equal size up to one, and how many of them a test has.

    Returns
    -------
    list of Split
        `comb(groups, tested)` of them; every observation is tested in `tested / groups` of them.
    """
    begin, finish = _intervals(start, end)
    n = len(begin)
    if not 1 <= tested < groups <= n:
        raise _wrong(
            f"{tested} of {groups} groups of {n} observations cannot be tested; there are 2 groups or more, "
            "at most one per observation, and at least one is left to train on"
        )
    if comb(groups, tested) > _MOST_SPLITS:
        raise _wrong(
            f"{tested} of {groups} groups are {comb(groups, tested):,} splits, above {_MOST_SPLITS:,}"
        )
    if embargo < 0:
        raise _wrong(f"the embargo is {embargo}; it is 0 or more")
    order = np.argsort(begin, kind="stable")
    blocks = np.array_split(order, groups)
    return [
        _split(begin, finish, [blocks[one] for one in chosen], chosen, embargo)
        for chosen in combinations(range(groups), tested)
    ]


def combinatorial_paths(groups: int, tested: int) -> Ints:
    """Return which split of `combinatorial_purged` tests each group on each path, shape (paths, groups).

    The tests of all splits make `comb(groups, tested) * tested / groups` whole histories (paths), each with
    every group once.
    """
    choices = list(combinations(range(groups), tested))
    by_group = [
        [number for number, chosen in enumerate(choices) if group in chosen] for group in range(groups)
    ]
    return np.array(by_group, np.int64).T


def runs_of(places: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return the stretches without a gap of rising places, as (first, last + 1)."""
    given = np.asarray(places, np.int64)
    if not len(given):
        return []
    breaks = np.flatnonzero(np.diff(given) != 1)
    first = given[np.concatenate([[0], breaks + 1])]
    last = given[np.concatenate([breaks, [len(given) - 1]])] + 1
    return list(zip(first.tolist(), last.tolist(), strict=True))


# Parts


def _forward(n: int, train: int, test: int, purge: int, folds: int | None, *, grow: bool) -> list[Split]:
    for name, value, least in (("train", train, 1), ("test", test, 1), ("purge", purge, 0)):
        if value < least:
            raise _wrong(f"{name} is {value}; it is at least {least}")
    if purge >= train:
        raise _wrong(f"purge is {purge} and train {train}: nothing is left to train on")
    fitting = (n - train) // test
    count = fitting if folds is None else folds
    if count < 1 or count > fitting:
        raise _wrong(
            f"{n} observations have room for {max(fitting, 0) or 'no'} folds of {train} to train on and "
            f"{test} to test{'' if folds is None else f', not {count}'}; take shorter windows, fewer folds "
            "or a longer history"
        )
    none = np.zeros(0, np.int64)
    splits = []
    for number in range(count):
        first = n - (count - number) * test
        begin = 0 if grow else first - train
        splits.append(
            Split(
                np.arange(begin, first - purge), np.arange(first, first + test),
                np.arange(first - purge, first), none, (number,),
            )
        )  # fmt: skip
    return splits


def _split(begin: Ints, finish: Ints, blocks: list[Ints], chosen: tuple[int, ...], embargo: int) -> Split:
    tested = np.zeros(len(begin), bool)
    purged, after = tested.copy(), tested.copy()
    for block in blocks:
        tested[block] = True
    for block in blocks:
        # a block is a stretch in order of start, so one that overlaps its whole overlaps one of its members
        low, high = begin[block].min(), finish[block].max()
        purged |= (begin <= high) & (finish >= low)
        after |= (begin > high) & (begin - high <= embargo)
    purged &= ~tested
    after &= ~tested & ~purged
    kept = ~(tested | purged | after)
    train, test, shared, near = (
        np.flatnonzero(one).astype(np.int64) for one in (kept, tested, purged, after)
    )
    return Split(train, test, shared, near, chosen)


def _intervals(start: npt.ArrayLike, end: npt.ArrayLike) -> tuple[Ints, Ints]:
    begin, finish = np.asarray(start), np.asarray(end)
    if begin.ndim != 1 or begin.shape != finish.shape:
        raise _wrong(f"start and end have shapes {begin.shape} and {finish.shape}; both are (observations,)")
    if begin.dtype.kind not in "iu" or finish.dtype.kind not in "iu":
        raise _wrong(
            f"start and end are {begin.dtype} and {finish.dtype}; they are whole numbers, such as UTC ns"
        )
    if (finish < begin).any():
        place = int(np.argmax(finish < begin))
        raise _wrong(f"observation {place} ends at {finish[place]}, before it begins at {begin[place]}")
    return begin.astype(np.int64), finish.astype(np.int64)


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="OPTIMIZE_SPLIT")
