"""Windows of a walk-forward: splits of sessions, as rows of the bars.

Lengths are counted in sessions, so that no session is cut in two and daily and intraday bars read alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from optimize.splits import Split, anchored, combinatorial_purged, rolling, runs_of
from simulator.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["MODES", "Fold", "Mode", "folds_of"]

Mode = Literal["rolling", "anchored", "kfold", "combinatorial"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Ints = npt.NDArray[np.int64]
Rows = tuple[tuple[int, int], ...]

_TRAIN_PER_TEST: Final = 4
_FOLDS: Final = 6
_TESTED: Final = 2  # groups of a combinatorial test
_EMBARGO_SHARE: Final = 0.01
"""Of the sessions, as López de Prado (2018, section 7.4.2) proposes."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold.

    Attributes
    ----------
    number
        From 1.
    train, test
        Stretches of rows (first, last + 1) in order; one each where the training is before the test.
    groups
        Which tested group each stretch of `test` is, from 0.
    train_sessions, test_sessions
        How many sessions they have.
    """

    number: int
    train: Rows
    test: Rows
    groups: tuple[int, ...]
    train_sessions: int
    test_sessions: int


def folds_of(
    bars: Bars,
    mode: Mode,
    *,
    train: int | None,
    test: int | None,
    folds: int | None,
    purge: int | None,
    embargo: int | None,
) -> list[Fold]:
    """Return the folds of a mode; see `optimize.forward.walk_forward` for the defaults.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPLIT for a mode that does not exist, lengths that do not fit, or a setting that the mode has
        no use for.
    """
    if mode not in MODES:
        raise _wrong(f"there is no mode {mode!r}.{did_you_mean(str(mode), MODES)}")
    given = {"train": train, "test": test, "folds": folds, "purge": purge, "embargo": embargo}
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer))):
            raise _wrong(f"{name} is {value!r}; it is a whole number of sessions")
    starts = np.flatnonzero(np.diff(bars.session_no, prepend=bars.session_no[:1] - 1))
    edges = np.append(starts, len(bars))
    sessions = len(starts)
    if mode in ("rolling", "anchored"):
        if embargo:
            raise _wrong(
                f"an embargo follows a test, and {mode} windows train on what is before; leave it out"
            )
        before, each, count = _lengths(sessions, train, test, folds)
        split = rolling if mode == "rolling" else anchored
        splits = split(sessions, train=before, test=each, purge=purge or 0, folds=count)
        return [_fold(number, one, [one.test], edges) for number, one in enumerate(splits, start=1)]
    if train is not None or (test is not None and mode == "kfold"):
        raise _wrong(f"with mode {mode!r} the lengths follow from folds; leave them out")
    groups = _FOLDS if folds is None else int(folds)
    tested = 1 if mode == "kfold" else _TESTED if test is None else int(test)
    place = np.arange(sessions)
    splits = combinatorial_purged(
        place, place + (purge or 0), groups=groups, tested=tested,
        embargo=math.ceil(_EMBARGO_SHARE * sessions) if embargo is None else int(embargo),
    )  # fmt: skip
    for number, one in enumerate(splits, start=1):
        if not len(one.train):
            raise _wrong(
                f"nothing is left to train on in fold {number}: {sessions} sessions in {groups} groups, of "
                f"which {tested} are tested, with purge {purge or 0}; take fewer groups or a shorter purge"
            )
    blocks = np.array_split(place, groups)
    return [
        _fold(number, one, [blocks[group] for group in one.groups], edges)
        for number, one in enumerate(splits, start=1)
    ]


def _lengths(
    sessions: int, train: int | None, test: int | None, folds: int | None
) -> tuple[int, int, int | None]:
    """Return the first training, a test, and how many: what is not given follows from the rest."""
    count = _FOLDS if folds is None else int(folds)
    if count < 1:
        raise _wrong(f"there are {count} folds; it is at least 1")
    if train is None and test is None:
        each = max(sessions // (count + _TRAIN_PER_TEST), 1)
        return _TRAIN_PER_TEST * each, each, count
    if train is not None and test is None:
        return int(train), max((sessions - int(train)) // count, 1), count
    each = int(test or 0)
    if train is None:
        return _TRAIN_PER_TEST * each if folds is None else max(sessions - count * each, 1), each, folds
    return int(train), each, folds


def _fold(number: int, split: Split, tests: Sequence[Ints], edges: Ints) -> Fold:
    def rows(stretches: Iterable[tuple[int, int]]) -> Rows:
        return tuple((int(edges[first]), int(edges[last])) for first, last in stretches)

    return Fold(
        number=number,
        train=rows(runs_of(split.train)),
        # groups next to each other stay apart: each is a part of a path
        test=rows((int(one[0]), int(one[-1]) + 1) for one in tests),
        groups=split.groups,
        train_sessions=len(split.train),
        test_sessions=len(split.test),
    )


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="OPTIMIZE_SPLIT")
