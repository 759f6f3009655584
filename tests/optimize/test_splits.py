"""Splits: what is trained on shares no outcome with what is tested, by a brute-force check of every pair."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.splits import (
    Split,
    anchored,
    combinatorial_paths,
    combinatorial_purged,
    purged_k_fold,
    rolling,
    runs_of,
)
from simulator.errors import ConfigError

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=150)


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return len(set(range(a[0], a[1] + 1)) & set(range(b[0], b[1] + 1))) > 0


def check_by_brute_force(
    start: list[int], end: list[int], groups: int, chosen: tuple[int, ...], embargo: int, split: Split
) -> None:
    """Every pair of a training and a tested observation, one by one, with sets of moments."""
    n = len(start)
    order = sorted(range(n), key=lambda i: (start[i], i))
    size, extra = divmod(n, groups)
    blocks, at = [], 0
    for group in range(groups):
        length = size + (1 if group < extra else 0)
        blocks.append(order[at : at + length])
        at += length
    tested = {i for group in chosen for i in blocks[group]}
    assert set(split.test.tolist()) == tested
    assert split.groups == chosen
    purged, near = set(), set()
    for i in set(range(n)) - tested:
        if any(overlap((start[i], end[i]), (start[j], end[j])) for j in tested):
            purged.add(i)
        elif any(0 < start[i] - max(end[j] for j in blocks[group]) <= embargo for group in chosen):
            near.add(i)
    assert set(split.purged.tolist()) == purged
    assert set(split.embargoed.tolist()) == near
    assert set(split.train.tolist()) == set(range(n)) - tested - purged - near
    for part in (split.train, split.test, split.purged, split.embargoed):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@st.composite
def observations(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    n = draw(st.integers(2, 30))
    start = draw(st.lists(st.integers(0, 40), min_size=n, max_size=n))
    length = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    return start, [a + b for a, b in zip(start, length, strict=True)]


@PROFILE
@given(observations(), st.integers(2, 6), st.integers(0, 8))
def test_k_fold_purges_what_overlaps(drawn: tuple[list[int], list[int]], folds: int, embargo: int) -> None:
    start, end = drawn
    folds = min(folds, len(start))
    splits = purged_k_fold(start, end, folds=folds, embargo=embargo)
    assert len(splits) == folds
    for number, split in enumerate(splits):
        check_by_brute_force(start, end, folds, (number,), embargo, split)
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested.tolist()) == list(range(len(start)))


@PROFILE
@given(observations(), st.integers(3, 6), st.integers(1, 3), st.integers(0, 8))
def test_combinatorial_splits_purge_what_overlaps(
    drawn: tuple[list[int], list[int]], groups: int, tested: int, embargo: int
) -> None:
    start, end = drawn
    groups = min(groups, len(start))
    tested = min(tested, groups - 1)
    splits = combinatorial_purged(start, end, groups=groups, tested=tested, embargo=embargo)
    for chosen, split in zip(combinations(range(groups), tested), splits, strict=True):
        check_by_brute_force(start, end, groups, chosen, embargo, split)


def test_an_embargo_in_nanoseconds_does_not_overflow() -> None:
    day = 86_400 * 10**9
    start = np.arange(20, dtype=np.int64) * day + 1_700_000_000 * 10**9
    splits = purged_k_fold(start, start + 2 * day, folds=4, embargo=2 * day)
    # five tested, whose outcomes take two days more, then two days of embargo
    assert splits[1].test.tolist() == [5, 6, 7, 8, 9]
    assert splits[1].purged.tolist() == [3, 4, 10, 11]
    assert splits[1].embargoed.tolist() == [12, 13]
    assert splits[1].train.tolist() == [0, 1, 2, *range(14, 20)]


@PROFILE
@given(st.integers(1, 80), st.integers(1, 30), st.integers(1, 15), st.integers(0, 5), st.booleans())
def test_windows_only_train_on_the_past(n: int, train: int, test: int, purge: int, grow: bool) -> None:
    make: Any = anchored if grow else rolling
    if purge >= train or (n - train) // test < 1:
        with pytest.raises(ConfigError) as caught:
            make(n, train=train, test=test, purge=purge)
        assert caught.value.code == "OPTIMIZE_SPLIT"
        return
    splits = make(n, train=train, test=test, purge=purge)
    tested = np.concatenate([split.test for split in splits]).tolist()
    # the latest observations, each once, in order, and not one more window would have fitted
    assert tested == list(range(n - len(tested), n))
    assert n - len(tested) < train + test
    for split in splits:
        assert len(split.test) == test
        assert split.train[-1] + purge + 1 == split.test[0]
        assert split.train[0] == 0 if grow else len(split.train) == train - purge
        assert (np.diff(split.train) == 1).all()
    latest = make(n, train=train, test=test, purge=purge, folds=1)
    assert latest[0].test.tolist() == splits[-1].test.tolist()
    assert latest[0].train.tolist() == splits[-1].train.tolist()


@pytest.mark.parametrize(("groups", "tested"), [(4, 1), (5, 2), (6, 2), (6, 3), (7, 2)])
def test_paths_are_whole_histories_and_use_every_test_once(groups: int, tested: int) -> None:
    paths = combinatorial_paths(groups, tested)
    assert paths.shape == (comb(groups, tested) * tested // groups, groups)
    choices = list(combinations(range(groups), tested))
    used = [(int(split), group) for path in paths for group, split in enumerate(path)]
    assert len(set(used)) == len(used) == comb(groups, tested) * tested
    assert all(group in choices[split] for split, group in used)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: purged_k_fold([0, 1], [1, 0], folds=2),
        lambda: purged_k_fold([0, 1], [1], folds=2),
        lambda: purged_k_fold([0.5, 1.5], [1.0, 2.0], folds=2),
        lambda: purged_k_fold([0, 1, 2], [0, 1, 2], folds=4),
        lambda: purged_k_fold([0, 1, 2], [0, 1, 2], folds=1),
        lambda: purged_k_fold([0, 1, 2], [0, 1, 2], folds=2, embargo=-1),
        lambda: combinatorial_purged(range(60), range(60), groups=60, tested=30),
        lambda: combinatorial_purged([0, 1, 2], [0, 1, 2], groups=3, tested=3),
        lambda: rolling(10, train=0, test=1),
        lambda: rolling(10, train=5, test=0),
        lambda: rolling(10, train=5, test=5, folds=2),
        lambda: anchored(10, train=5, test=5, folds=0),
        lambda: anchored(10, train=5, test=2, purge=-1),
    ],
)
def test_what_cannot_be_split_is_an_error(bad: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        bad()
    assert caught.value.code == "OPTIMIZE_SPLIT"


def test_runs_are_stretches_without_a_gap() -> None:
    assert runs_of([]) == []
    assert runs_of([3]) == [(3, 4)]
    assert runs_of([0, 1, 2, 5, 7, 8]) == [(0, 3), (5, 6), (7, 9)]
