"""Honesty of the model of trade quality, measured: refusals without an edge, power with one, calibration.

The full tables are slow: `pytest -m slow -s tests/optimize/test_quality_rates.py` prints them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from optimize.quality import TradeQuality, judged_history
from optimize.quality_model.reading import History
from tests.optimize.quality_journals import NAMES, PREMIUM, SYMMETRIC, Floats, draw, planted

WITHOUT_EDGE: Final[dict[str, dict[str, Any]]] = {
    "symmetric, apart": {"payoff": SYMMETRIC, "held": (1, 4)},
    "symmetric, overlapping": {"payoff": SYMMETRIC, "market": 0.5},
    "premium, apart": {"payoff": PREMIUM, "held": (1, 4)},
    "premium, overlapping": {"payoff": PREMIUM, "market": 0.5},
    "premium, all the market's": {"payoff": PREMIUM, "market": 0.95, "unknown": 0.2},
}
SIZES: Final = (70, 120, 250, 500)
MOST_OF_500: Final = 34
"""5 % and the sampling error of 500."""


def judged(history: History) -> TradeQuality:
    return judged_history(history, cache=False)


@pytest.mark.slow
def test_without_an_edge_it_is_refused_nearly_always() -> None:
    shown: dict[tuple[str, int], list[TradeQuality]] = {}
    for number in range(500):
        name = list(WITHOUT_EDGE)[number % len(WITHOUT_EDGE)]
        size = SIZES[number // len(WITHOUT_EDGE) % len(SIZES)]
        random = np.random.default_rng([11, number])
        shown.setdefault((name, size), []).append(judged(draw(random, size, **WITHOUT_EDGE[name])))
    print("\nshown of 25 journals without an edge (too few to say: second figure)")
    print(f"{'trades':28}" + "".join(f"{size:>10}" for size in SIZES))
    for name in WITHOUT_EDGE:
        cells = [_cell(shown[name, size]) for size in SIZES]
        print(f"{name:28}" + "".join(f"{cell:>10}" for cell in cells))
    every = [one for several in shown.values() for one in several]
    heads = Counter(head for one in every for head in one.models)
    total = sum(one.speaks for one in every)
    print(f"any shown: {total} of 500, at most {MOST_OF_500}; {dict(heads)}")
    assert total <= MOST_OF_500
    # a journal of 500 trades is never too few: these are refusals by the figures
    fitted = [one for name, size in shown if size == 500 for one in shown[name, size]]
    assert sum(one.probability.answer == "refuse" for one in fitted) >= 0.9 * len(fitted)


@pytest.mark.slow
def test_looked_at_every_month_it_is_still_refused() -> None:
    """A journal grows and is judged again and again; each look is another chance to be wrong."""
    ever, journals = 0, 40
    for number in range(journals):
        payoff = PREMIUM if number % 2 else SYMMETRIC
        history = draw(np.random.default_rng([12, number]), 400, payoff=payoff, held=(2, 12), market=0.3)
        ever += any(judged(_until(history, count)).speaks for count in range(60, 401, 20))
    print(f"\never shown in 18 looks at a growing journal without an edge: {ever} of {journals}")
    assert ever <= 0.2 * journals


@pytest.mark.slow
def test_power_against_size_and_effect() -> None:
    effects, sizes, journals = (0.0, 0.1, 0.2, 0.3, 0.5), (100, 200, 400, 800), 20
    power: dict[tuple[float, int], float] = {}
    for effect in effects:
        for size in sizes:
            found = [
                judged(_with_effect(np.random.default_rng([13, number, size]), size, effect)).speaks
                for number in range(journals)
            ]
            power[effect, size] = float(np.mean(found))
    print(f"\nshown, of {journals} journals: R has standard deviation 1, half of the trades +-effect")
    print(f"{'effect':10}" + "".join(f"{size:>8}" for size in sizes))
    for effect in effects:
        print(f"{effect:<10}" + "".join(f"{power[effect, size]:>8.0%}" for size in sizes))
    assert power[0.3, 400] >= 0.5
    assert power[0.5, 400] >= 0.9
    assert power[0.3, 800] > power[0.3, 100]


@pytest.mark.slow
def test_calibration_against_the_truth_and_against_scikit_learn() -> None:
    """Models that may speak, of 40 journals: forecasts of new trades beside the chances drawn with."""
    from scipy.stats import norm
    from sklearn.calibration import calibration_curve

    def edge(known: dict[str, Floats]) -> Floats:
        return 0.012 * (known["iv_rank"] - 50)

    said, true, won, spoke = [], [], [], 0
    for number in range(40):
        model = judged(draw(np.random.default_rng([14, number]), 400, held=(1, 6), edge=edge)).models.get(
            "probability"
        )
        if model is None:
            continue
        spoke += 1
        new = draw(np.random.default_rng([15, number]), 400, held=(1, 6), edge=edge)
        said.append(model.say(new.values, new.strategies))
        true.append(norm.cdf(0.012 * (new.values[:, NAMES.index("iv_rank")] - 50)))
        won.append(new.won)
    forecasts, chances, outcomes = (np.concatenate(parts) for parts in (said, true, won))
    happened, told = calibration_curve(outcomes, forecasts, n_bins=10, strategy="quantile")
    print(f"\n{spoke} of 40 models speak; forecasts of {len(forecasts):,} new trades, by tenths")
    for left, right in zip(told, happened, strict=True):
        print(f"  said {left:.3f}  happened {right:.3f}")
    slope, intercept = np.polyfit(forecasts, chances, 1)
    error = float(np.abs(forecasts - chances).mean())
    print(f"true chance = {intercept:.3f} + {slope:.3f} x forecast; mean error {error:.3f}")
    assert spoke >= 20
    assert float(np.abs(happened - told).max()) < 0.06
    assert slope == pytest.approx(1.0, abs=0.12)
    assert intercept + 0.5 * slope == pytest.approx(0.5, abs=0.02)


def _with_effect(random: np.random.Generator, size: int, effect: float) -> History:
    return draw(random, size, held=(1, 6), edge=lambda known: effect / 0.3 * planted(known))


def _cell(several: list[TradeQuality]) -> str:
    few = sum(one.probability.answer == "too few" for one in several)
    return f"{sum(one.speaks for one in several)} / {few}"


def _until(history: History, count: int) -> History:
    """The first `count` trades, as they would stand when the last of them has closed."""
    return replace(
        history, values=history.values[:count], strategies=history.strategies[:count],
        won=history.won[:count], r=history.r[:count],
        entry_ts=history.entry_ts[:count], exit_ts=history.exit_ts[:count],
    )  # fmt: skip
