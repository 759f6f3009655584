"""Proxies: known volatilities, the prefix rule, the label, and what cannot be measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.bars.arrays import Floats
from simulator.errors import TwinstepError
from simulator.options.iv_proxy import (
    IvProxy,
    garch_volatility,
    parkinson_volatility,
    realised_volatility,
    yang_zhang_volatility,
)

STEPS = 1000  # prices inside a session


def market(sessions: int = 400, volatility: float = 0.25, overnight: float = 0.0, seed: int = 1) -> Floats:
    """Return open, high, low, close of a random walk; `overnight` is the variance share of the gaps."""
    random = np.random.default_rng(seed)
    daily = volatility / np.sqrt(252)
    inside = random.normal(0, daily * np.sqrt((1 - overnight) / STEPS), (sessions, STEPS)).cumsum(axis=1)
    gaps = random.normal(0, daily * np.sqrt(overnight), sessions)
    start = np.concatenate(([0.0], inside[:-1, -1])).cumsum() + gaps.cumsum()
    path = start[:, None] + np.concatenate((np.zeros((sessions, 1)), inside), axis=1)
    bars = np.stack([path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1]])
    return np.asarray(100 * np.exp(bars))


PROXIES: dict[str, Callable[[Floats], IvProxy]] = {
    "close": lambda bars: realised_volatility(bars[3], 21),
    "parkinson": lambda bars: parkinson_volatility(bars[1], bars[2], 21),
    "yang_zhang": lambda bars: yang_zhang_volatility(bars[0], bars[1], bars[2], bars[3], 21),
    "garch": lambda bars: garch_volatility(bars[3], history=200, refit=40),
    "garch_rolling": lambda bars: garch_volatility(bars[3], history=200, refit=40, window=150),
}


@pytest.mark.parametrize("name", PROXIES)
def test_the_future_changes_nothing_bit_for_bit(name: str) -> None:
    bars = market(330)
    whole = PROXIES[name](bars).values
    for cut in (1, 2, 21, 22, 200, 201, 202, 240, 241, 242, 299):
        part = PROXIES[name](bars[:, :cut]).values
        np.testing.assert_array_equal(part, whole[:cut], err_msg=f"{name} cut at {cut}")


@pytest.mark.parametrize("name", PROXIES)
def test_every_answer_says_that_it_is_a_proxy(name: str) -> None:
    proxy = PROXIES[name](market(250))
    assert proxy.grade == "proxy"
    series = proxy.to_series()
    assert series.attrs["grade"] == "proxy"
    assert series.attrs["definition"] == proxy.method
    assert str(series.name).startswith("proxy: ")
    assert proxy.method in repr(proxy)


@pytest.mark.parametrize("name", ["close", "parkinson", "yang_zhang"])
def test_the_volatility_of_a_walk_is_found(name: str) -> None:
    found = float(np.nanmean(PROXIES[name](market(2000, 0.25)).values))
    assert found == pytest.approx(0.25, rel=0.05)  # ranges of 1000 steps fall a little short


def test_gaps_are_seen_by_yang_zhang_and_not_by_parkinson() -> None:
    bars = market(2000, 0.25, overnight=0.4)
    assert float(np.nanmean(PROXIES["yang_zhang"](bars).values)) == pytest.approx(0.25, rel=0.05)
    assert float(np.nanmean(PROXIES["parkinson"](bars).values)) == pytest.approx(
        0.25 * np.sqrt(0.6), rel=0.06
    )


def test_close_to_close_is_the_standard_deviation() -> None:
    close = pd.Series(market(60)[3])
    expected = close.map(math.log).diff().rolling(10).std() * np.sqrt(252)
    np.testing.assert_allclose(realised_volatility(close, 10).values, expected, rtol=1e-9)
    assert np.isnan(realised_volatility(close, 10).values[:10]).all()
    assert not np.isnan(realised_volatility(close, 10).values[10:]).any()


def test_yang_zhang_is_its_formula() -> None:
    o, h, low, c = market(12)
    n = 5
    last = slice(-n, None)
    overnight, day = np.log(o[1:] / c[:-1])[last], np.log(c / o)[last]
    satchell = (np.log(h / c) * np.log(h / o) + np.log(low / c) * np.log(low / o))[last].mean()
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    expected = overnight.var(ddof=1) + k * day.var(ddof=1) + (1 - k) * satchell
    assert yang_zhang_volatility(o, h, low, c, n).values[-1] == pytest.approx(
        np.sqrt(252 * expected), rel=1e-12
    )


def clustered(size: int) -> Floats:
    """Return closes whose volatility clusters: a GARCH(1,1) with alpha 0.15 and beta 0.8."""
    random = np.random.default_rng(8)
    variance, returns = 1.0, []
    for _ in range(size - 1):
        returns.append(np.sqrt(variance) * random.normal())
        variance = 0.05 + 0.15 * returns[-1] * returns[-1] + 0.8 * variance
    return np.asarray(100 * np.exp(np.cumsum([0.0, *returns]) / 100))


@pytest.mark.parametrize("later", [0, 40])
def test_garch_equals_the_package_on_the_day_of_a_fit_and_after(later: int) -> None:
    from arch import arch_model

    close = clustered(801 + later)
    found = garch_volatility(close, 21, history=800, refit=800).values
    returns = 100 * np.diff(np.log(close))

    def model(sample: Floats) -> Any:
        return arch_model(sample, mean="Constant", vol="GARCH", p=1, q=1, rescale=False)

    fit = model(returns[:800]).fit(disp="off")
    ahead = model(returns).fix(fit.params).forecast(horizon=21).variance.to_numpy()[-1].mean()
    # only the first variance is chosen differently, and 800 sessions later that is nothing
    assert found[-1] == pytest.approx(np.sqrt(ahead * 252) / 100, rel=1e-9)
    assert np.isnan(found[:800]).all()


def test_garch_rises_after_a_shock() -> None:
    close = clustered(700)
    close[650:] *= 0.93
    values = garch_volatility(close, history=500, refit=500).values
    assert values[650] > 1.1 * values[649]


def test_garch_skips_missing_sessions() -> None:
    close = market(260)[3]
    holes = np.insert(close, 230, np.nan)
    found = garch_volatility(holes, history=200, refit=50).values
    assert np.isnan(found[230])
    np.testing.assert_array_equal(
        np.delete(found, 230), garch_volatility(close, history=200, refit=50).values
    )


def test_a_price_that_never_moves_is_unknown_to_garch() -> None:
    assert np.isnan(garch_volatility(np.full(260, 10.0), history=200).values).all()


def test_a_missing_price_is_unknown_while_it_is_in_the_window() -> None:
    close = market(40)[3].copy()
    close[20] = np.nan
    known = ~np.isnan(realised_volatility(close, 5).values)
    assert np.flatnonzero(known).tolist() == [*range(5, 20), *range(26, 40)]


def test_an_index_is_kept() -> None:
    index = pd.date_range("2020-01-01", periods=60, tz="UTC")
    series = realised_volatility(pd.Series(market(60)[3], index=index)).to_series()
    assert series.index.equals(index)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: realised_volatility([1.0, 2.0], 1), "CONFIG_WINDOW"),
        (lambda: realised_volatility([1.0, -2.0]), "DATA_PRICE"),
        (lambda: realised_volatility([[1.0]]), "DATA_SHAPE"),
        (lambda: realised_volatility(["a"]), "DATA_TYPE"),
        (lambda: parkinson_volatility([2.0, 2.0], [1.0]), "DATA_SHAPE"),
        (lambda: garch_volatility([1.0, 2.0], 0), "CONFIG_WINDOW"),
        (lambda: garch_volatility([1.0, 2.0], history=10), "CONFIG_WINDOW"),
        (lambda: garch_volatility([1.0, 2.0], window=10), "CONFIG_WINDOW"),
    ],
)
def test_what_cannot_be_measured(call: Callable[[], Any], code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        call()
    assert caught.value.code == code


def test_short_data_are_all_unknown() -> None:
    for proxy in (PROXIES["close"], PROXIES["yang_zhang"], PROXIES["parkinson"], PROXIES["garch"]):
        assert np.isnan(proxy(market(10)).values).all()
