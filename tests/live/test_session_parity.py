"""A session answers with the bytes of a backtest: stocks and options, commands, restarts anywhere."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from live.parity import verify_parity
from tests.live.sessions import answer_of, backtest_of, few, opened, push_all, scratch
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.test_package_drivers import with_packages


def first_difference(expected: dict[str, object], found: dict[str, object]) -> str:
    return next((name for name, value in expected.items() if found[name] != value), "")


def played(c: Configuration, edges: list[int], restarts: set[int], group: int) -> dict[str, object]:
    """Play a configuration, open it anew before some pushes, and hold the receipt to be clean."""
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        session = opened(path, c, group=group)
        for index, (first, last) in enumerate(itertools.pairwise(edges)):
            if index in restarts:
                session.close()
                session = opened(path, c, group=group)
            push_all(session, c, [first, last])
        answer = answer_of(session)
        session.close()
        receipt = verify_parity(path)
        assert receipt.ok, str(receipt)
        assert receipt.bars == len(c.bars)
        return answer


@few(8)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_bar_by_bar_with_restarts_is_a_backtest(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    restarts = set(random.integers(0, len(c.bars), 3).tolist())
    found = played(c, list(range(len(c.bars) + 1)), restarts, 1)
    assert first_difference(backtest_of(c), found) == ""


@few(8)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_several_bars_per_transaction_are_the_same(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    found = played(c, c.cuts, set(random.integers(0, len(c.cuts), 2).tolist()), int(random.integers(2, 40)))
    assert first_difference(backtest_of(c), found) == ""


@few(8)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_options_beside_stocks(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    if c.bars.detail is not None:
        c = dataclasses.replace(c, bars=c.bars.replaced(detail=None, detail_start=None))
    mixed = with_packages(c, seed, 12)
    group = int(random.choice([1, 1, 7]))
    edges = list(range(len(c.bars) + 1)) if group == 1 else mixed.cuts
    found = played(mixed, edges, set(random.integers(0, len(edges), 3).tolist()), group)
    assert first_difference(backtest_of(mixed), found) == ""
