"""What must not look like an edge: hasty losers, and the luck of whoever asks often.

In these journals nothing is earned at any IV rank. In the first kind the IV rank says how soon trades end:
where it is high, losers are stopped early and winners take long. A mean of R / days over trades sees a
difference. Journals of the second kind grow, and are asked every twenty trades.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from optimize.tuning.adoption import propose
from optimize.tuning.cases import DAY, Cases
from optimize.tuning.outcomes import rates

MOST: Final = 34
"""Of 500 journals without an edge: 5 % and sampling error."""


def adopted(journals: int, count: int = 300) -> dict[str, int]:
    """In how many journals a threshold is adopted, by R per margin-day and by the mean of R / days."""
    found = {"R per margin-day": 0, "mean of R / days": 0}
    for seed in range(journals):
        draw = np.random.default_rng(seed)
        rank = draw.uniform(20.0, 100.0, count)
        won = draw.random(count) < 1.0 / 1.35
        r = np.where(won, 0.35, -1.0)
        days = np.where(won, 5.0 + 25.0 * (rank - 20.0) / 80.0, 2.0 + 10.0 * (100.0 - rank) / 80.0)
        days = np.maximum(days * draw.uniform(0.7, 1.3, count), 1.0)
        entry = (3 * DAY * np.arange(count)).astype(np.int64)
        bounds = np.full(count, -1.0), np.full(count, 0.35)
        ratio = rates(r, days, least=bounds[0], most=bounds[1]).outcome
        for name, outcome in zip(found, (ratio, r / days), strict=True):
            cases = Cases(
                outcome=outcome,
                entry_ts=entry,
                exit_ts=entry + (days * DAY).astype(np.int64),
                features={"iv_rank": rank},
            )
            answer = propose(cases, in_force={"min_iv_rank": 50.0}).answer
            found[name] += answer == "adopt"
    return found


def test_hasty_losers_are_no_edge() -> None:
    found = adopted(12)
    assert found["R per margin-day"] <= 3
    assert found["mean of R / days"] >= 8  # the test can tell the difference


@pytest.mark.slow
def test_hasty_losers_are_no_edge_in_500_journals(capsys: pytest.CaptureFixture[str]) -> None:
    found = adopted(500)
    with capsys.disabled():
        print(f"\nof 500 journals without an edge, adopted by {found}")
    assert found["R per margin-day"] <= MOST


LOOKS: Final = range(60, 301, 20)
"""Trades at each look."""


def ever_adopted(journals: int, payoff: str) -> int:
    """Count journals without an edge that adopt at any look."""
    count = LOOKS[-1]
    found = 0
    for seed in range(journals):
        draw = np.random.default_rng(1_000 + seed)
        rank = draw.uniform(20.0, 100.0, count)
        won = draw.random(count) < 1.0 / 1.35
        outcome = np.where(won, 0.35, -1.0) if payoff == "premium" else draw.normal(size=count)
        entry = (3 * DAY * np.arange(count)).astype(np.int64)
        for seen in LOOKS:
            cases = Cases(
                outcome=outcome[:seen],
                entry_ts=entry[:seen],
                exit_ts=entry[:seen] + 14 * DAY,
                features={"iv_rank": rank[:seen]},
            )
            if propose(cases, in_force={"min_iv_rank": 50.0}).answer == "adopt":
                found += 1
                break
    return found


@pytest.mark.slow
@pytest.mark.parametrize("payoff", ["premium", "normal"])
def test_who_asks_thirteen_times_is_seldom_lucky(payoff: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = ever_adopted(100, payoff)
    with capsys.disabled():
        print(f"\nof 100 journals without an edge, asked {len(LOOKS)} times, {found} ever adopt ({payoff})")
    assert found <= 15
