"""Planted optima: on them TPE beats random search.

The market rises by the same share on every bar, and the strategy holds a share of the account that falls off
around a point that the seed has planted: so the return of a set is known without a study, and its largest
value is at that point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import wilcoxon

from optimize.objectives import Objective
from optimize.strategy import tune_strategy
from simulator import Bars, Signals, load_bars
from strategies.base import Float

NAMES = ("a", "b", "c", "d")
SPACE = {name: Float(0.0, 1.0) for name in NAMES}
RETURN = Objective("total_return", "Return", "Total return.", lambda table: table["total_return"])


def rising() -> Bars:
    close = 100.0 * 1.001 ** np.arange(40.0)
    panel = np.stack([close, close * 1.0001, close * 0.9999, close, np.full(40, 1e9)], axis=1)[:, None, :]
    return Bars.from_arrays(["UP"], load_bars("synthetic:1x40?seed=1").ts, panel)


def planted(point: npt.NDArray[np.float64]) -> Callable[..., Signals]:
    def hold(bars: Bars, a: float = 0.5, b: float = 0.5, c: float = 0.5, d: float = 0.5) -> Signals:
        return Signals.from_arrays(bars, [0], 0, 1, qty=1000.0 * height(point, np.array([a, b, c, d])))

    return hold


def height(point: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> float:
    return float(np.exp(-4.0 * np.square(at - point).sum()))


def reached(sampler: str, seed: int, trials: int, bars: Bars) -> float:
    point = np.random.default_rng(seed).uniform(0.1, 0.9, 4)
    study = tune_strategy(
        bars, planted(point), space=SPACE, objective=RETURN, trials=trials, sampler=sampler, seed=seed,
        risk=None, conventions="realistic", progress=False,
    )  # fmt: skip
    assert study.best is not None
    return height(point, np.array([study.best[name] for name in NAMES]))


def compare(seeds: int, trials: int) -> tuple[float, list[float], list[float]]:
    bars = rising()
    tpe = [reached("tpe", seed, trials, bars) for seed in range(seeds)]
    random = [reached("random", seed, trials, bars) for seed in range(seeds)]
    return float(wilcoxon(tpe, random, alternative="greater").pvalue), tpe, random


def test_the_return_of_a_set_is_its_height() -> None:
    from optimize.evaluator import evaluate

    bars, point = rising(), np.array([0.2, 0.4, 0.6, 0.8])
    sets: list[dict[str, Any]] = [
        dict(zip(NAMES, np.random.default_rng(seed).random(4).tolist(), strict=True)) for seed in range(20)
    ]
    table = evaluate(bars, planted(point), [*sets, dict(zip(NAMES, point.tolist(), strict=True))], risk=None)
    heights = [height(point, np.array(list(one.values()))) for one in sets]
    order = np.argsort(heights)
    assert np.argsort(table["total_return"].to_numpy()[:-1]).tolist() == order.tolist()
    assert table["total_return"].idxmax() == len(sets)


def test_tpe_beats_random_search_on_planted_optima() -> None:
    pvalue, tpe, random = compare(seeds=8, trials=50)
    assert pvalue < 0.05, (tpe, random)


@pytest.mark.slow
def test_tpe_beats_random_search_on_twenty_planted_optima() -> None:
    pvalue, tpe, random = compare(seeds=20, trials=100)
    print(f"TPE {np.mean(tpe):.3f}, random {np.mean(random):.3f} of the planted height; p = {pvalue:.2g}")
    assert pvalue < 0.001, (tpe, random)
    assert np.mean(tpe) > 0.9
