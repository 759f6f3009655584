"""What the rule of adoption is held to, at full length: 500 journals per family, and the curve of its power.

    python -m pytest -m slow -s tests/optimize/test_tuning_stats_acceptance.py

prints all figures. Short forms are in `test_tuning_stats.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from optimize.tuning.adoption import propose
from optimize.tuning.bounds import turns_of
from optimize.tuning.cases import Cases
from optimize.tuning.effective import moments_of
from tests.optimize.tuning_families import ASKED, NO_EDGE, Family, Journal, planted, planted_premium

pytestmark = pytest.mark.slow

JOURNALS = 500
MOST = 34
"""Adoptions allowed in 500 journals without an edge: 5 % plus sampling error."""


def adoptions(family: Callable[[np.random.Generator], Journal], journals: int, seed: int) -> list[float]:
    """Return the threshold of every adoption."""
    found = []
    for number in range(journals):
        cases, in_force = family(np.random.default_rng([number, seed]))
        answer = propose(cases, in_force=in_force, prior=in_force, seed=number)
        if answer.adopted:
            found.append(float(answer.settings.get("min_iv_rank", np.nan)))
    return found


def mixed(random: np.random.Generator) -> Journal:
    return ASKED[int(random.integers(len(ASKED)))](random)


def test_500_journals_without_an_edge() -> None:
    found = len(adoptions(mixed, JOURNALS, seed=11))
    print(f"\npremium payoffs, overlapping trades and small n, mixed: {found} of {JOURNALS} adopted")
    assert found <= MOST


@pytest.mark.parametrize("family", NO_EDGE, ids=lambda family: str(family.__name__))
def test_every_family_without_an_edge(family: Family) -> None:
    found = len(adoptions(family, JOURNALS, seed=12))
    print(f"\n{family.__name__}: {found} of {JOURNALS} adopted")
    assert found <= MOST


def naive(cases: Cases, now: float, random: np.random.Generator) -> bool:
    """Adopt the best threshold if a plain bootstrap of its difference stays above 0 in 95 of 100 draws."""
    rank, outcome = cases.features["iv_rank"], cases.outcome
    best = max(
        (level for level in np.arange(now + 5.0, 100.0, 5.0) if (rank >= level).sum() >= 10),
        key=lambda level: outcome[rank >= level].mean(),
        default=None,
    )
    if best is None:
        return False
    drawn = random.integers(0, len(outcome), (400, len(outcome)))
    values, ranks = outcome[drawn], rank[drawn]
    new, old = ranks >= best, ranks >= now
    gain = (values * new).sum(axis=1) / np.maximum(new.sum(axis=1), 1) - (values * old).sum(
        axis=1
    ) / np.maximum(old.sum(axis=1), 1)
    return bool(np.quantile(gain, 0.05) > 0.0)


@pytest.mark.parametrize("family", ASKED, ids=lambda family: str(family.__name__))
def test_a_naive_bootstrap_fails_on_the_same_journals(family: Family) -> None:
    """The journals are hard: the best of many by a plain bootstrap is adopted far too often."""
    found = 0
    for number in range(200):
        cases, in_force = family(np.random.default_rng([number, 13]))
        found += naive(cases, in_force["min_iv_rank"], np.random.default_rng(number))
    print(f"\n{family.__name__}: a naive bootstrap adopts in {found} of 200")
    assert found > 200 * 0.10


def test_planted_edge_is_adopted_near_its_threshold() -> None:
    journals = 200
    found = adoptions(planted, journals, seed=14)
    low, middle, high = np.quantile(found, (0.05, 0.5, 0.95))
    print(
        f"\nplanted at 50, -0.3 R below and +0.3 R above, 400 trades: adopted {len(found) / journals:.1%}, "
        f"threshold {middle:g} ({low:g} to {high:g})"
    )
    assert len(found) >= 0.70 * journals
    assert middle == 50.0
    assert low >= 40.0
    assert high <= 60.0


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("from 30", partial(planted, now=30.0, at=60.0, ranks=(20.0, 100.0))),
        ("from 50", partial(planted, now=50.0, at=75.0, ranks=(50.0, 100.0))),
        ("all held 30 to 45 days, 2 a day", partial(planted, held=(30, 45), per_day=2.0)),
        ("premium: 25 % losses below, 5 % above", planted_premium),
    ],
)
def test_planted_edge_in_other_journals(name: str, family: Family) -> None:
    journals = 100
    found = adoptions(family, journals, seed=15)
    print(f"\n{name}: adopted {len(found) / journals:.0%}, threshold {np.median(found):g}")
    assert len(found) >= 0.70 * journals


def test_curve_of_adoption_against_effect_and_trades() -> None:
    effects, counts, journals = (0.0, 0.1, 0.2, 0.3, 0.4), (60, 100, 200, 400, 800), 60
    share = np.array(
        [
            [
                len(adoptions(partial(planted, count=count, effect=effect), journals, seed=16)) / journals
                for count in counts
            ]
            for effect in effects
        ]
    )
    print("\nadopted, by effect (R, standard deviation 1) and trades; planted at 50, in force 0")
    print("effect " + "".join(f"{count:>7}" for count in counts))
    for effect, row in zip(effects, share, strict=True):
        print(f"{effect:>6} " + "".join(f"{value:>7.0%}" for value in row))
    assert share[0].max() <= 0.12
    assert share[3, 3] >= 0.70
    assert (np.diff(share[1:], axis=1) >= -0.15).all()
    assert (np.diff(share, axis=0) >= -0.15).all()


def test_turned_journals_are_like_new_ones() -> None:
    """The largest statistic of a journal ranks anywhere among its turns: what 5 % rests on."""
    ranks = []
    for number in range(400):
        cases, _ = ASKED[1](np.random.default_rng([number, 17]))
        turns = turns_of(moments_of(cases.entry_ts, cases.exit_ts), seed=number, most=99)
        high = cases.features["iv_rank"] > 50
        gap = np.abs(cases.outcome[turns][high].mean(axis=0) - cases.outcome[turns][~high].mean(axis=0))
        ranks.append(float((gap[1:] >= gap[0]).mean()))
    share = float((np.array(ranks) < 0.10).mean())
    print(f"\noverlapping: the plain difference is in the top tenth of its turns in {share:.1%}")
    assert share < 0.14
