"""Fits find what was put in, and refuse what they cannot know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simulator.errors import DataError
from simulator.options.calibration import (
    FREE,
    calibrate,
    error_table,
    fit_smile,
    leave_one_out,
    market_quotes,
    score,
    three_point_smiles,
)
from simulator.options.chain import Chain
from simulator.options.modelled import modelled_chain
from simulator.options.surface import Surface

TRUE = Surface().replace(
    atm_share=0.82,
    long_run=0.26,
    reversion=3.0,
    curvature=0.95,
    correlation_short=-0.45,
    correlation_long=-0.65,
    correlation_years=0.3,
    spread_root=0.05,
    spread_cap=0.2,
    ticks="cent",
)
DAYS = pd.to_datetime(["2019-03-04", "2019-03-05"])
INDEX = pd.Series([16.0, 22.0], DAYS)


@pytest.fixture(scope="module")
def chain() -> Chain:
    closes = pd.Series([2800.0, 2760.0], DAYS)
    return modelled_chain("SPX", closes, INDEX, surface=TRUE, rate=0.02, dividend_yield=0.018, dte=(5, 400))


@pytest.fixture(scope="module")
def quotes(chain: Chain) -> pd.DataFrame:
    return market_quotes(chain, rate=0.02)


def test_parity_gives_the_forward(quotes: pd.DataFrame) -> None:
    spot = np.where(quotes["session"] == quotes["session"].min(), 2800.0, 2760.0)
    np.testing.assert_allclose(quotes["forward"], spot * np.exp(0.002 * quotes["years"]), rtol=2e-5)


def test_quotes_are_within_the_deltas_asked_for(quotes: pd.DataFrame, chain: Chain) -> None:
    assert quotes["delta"].abs().between(0.10, 0.90).all()
    assert (quotes["delta"] > 0).equals(quotes["call"].astype(bool))
    assert (quotes["iv_bid"] <= quotes["iv_ask"]).all()
    with pytest.raises(DataError) as caught:
        market_quotes(chain, delta=(1.5, 2.0))
    assert caught.value.code == "DATA_QUOTES"


def test_a_smile_through_three_points_is_exact() -> None:
    moneyness = np.array([-0.12, 0.0, 0.06])
    volatility = TRUE.volatility(np.exp(moneyness), spot=1.0, index=0.2, years=0.12)
    smile = fit_smile(moneyness, volatility, 0.12)
    between = np.linspace(-0.15, 0.08, 24)
    expected = TRUE.volatility(np.exp(between), spot=1.0, index=0.2, years=0.12)
    np.testing.assert_allclose(smile.volatility(between), expected, rtol=1e-6)
    assert smile.curvature == pytest.approx(0.95, rel=1e-4)


def test_two_points_make_no_smile() -> None:
    with pytest.raises(DataError, match="2 are usable") as caught:
        fit_smile([-0.1, 0.0, 0.1], [0.2, 0.18, np.nan], 0.1)
    assert caught.value.code == "SURFACE_FIT"


def test_a_surface_is_recovered(quotes: pd.DataFrame) -> None:
    fit = calibrate(quotes, INDEX)
    for name in FREE:
        assert getattr(fit.surface, name) == pytest.approx(getattr(TRUE, name), rel=0.08), name
    assert fit.rms_points < 0.03
    assert fit.within > 0.97
    assert fit.at_bound == ()
    assert fit.count == int((quotes["otm"] & (quotes["dte"] >= 7)).sum())


def test_parameters_that_are_not_free_stay(quotes: pd.DataFrame) -> None:
    fit = calibrate(quotes, INDEX, free=("atm_share",), start=TRUE.replace(atm_share=0.6))
    assert fit.surface.atm_share == pytest.approx(0.82, rel=1e-3)
    assert {name for name in FREE if getattr(fit.surface, name) != getattr(TRUE, name)} == {"atm_share"}


def test_a_fit_is_free_of_arbitrage_even_where_quotes_are_not(quotes: pd.DataFrame) -> None:
    # volatilities that swing from puts to calls with the term: no tilt that a surface may have follows them
    swing = np.where(quotes["years"] > 0.2, -2.5, 2.5) * quotes["moneyness"]
    fit = calibrate(quotes.assign(iv=quotes["iv"] + swing), INDEX)
    assert fit.surface.replace() == fit.surface  # the checks of `Surface` hold
    assert fit.within < 0.9


def test_what_cannot_be_fitted_is_named(quotes: pd.DataFrame) -> None:
    for free, rows in ((("spread_root",), quotes), ((), quotes), (FREE, quotes[:3])):
        with pytest.raises(DataError) as caught:
            calibrate(rows, INDEX, free=free)
        assert caught.value.code == "SURFACE_FIT"
    with pytest.raises(DataError, match="2019-03-05") as caught:
        calibrate(quotes, INDEX.iloc[:1])
    assert caught.value.code == "DATA_EMPTY"


def test_scores_of_the_truth_and_of_a_shifted_truth(quotes: pd.DataFrame) -> None:
    right = score(quotes, surface=TRUE, index_percent=INDEX, rate=0.02)
    assert right["within"].mean() > 0.97
    wrong = score(quotes, volatility=quotes["iv"] + 0.01, rate=0.02)
    np.testing.assert_allclose(wrong["error"], 1.0, rtol=1e-9)
    assert wrong["within"].mean() < 0.1
    table = error_table(wrong)
    assert table["quotes"].sum() == ((quotes["dte"] > 7) & (quotes["dte"] <= 400)).sum()
    np.testing.assert_allclose(table[["median_points", "p90_points"]], 1.0, rtol=1e-9)


def test_three_points_and_the_expiry_left_out(quotes: pd.DataFrame) -> None:
    rows = quotes[quotes["dte"].between(20, 70)]
    model = three_point_smiles(rows)
    np.testing.assert_allclose(model, rows["iv"], atol=0.002)
    left = leave_one_out(quotes, INDEX, rate=0.02)
    assert len(left) == len(rows)
    assert left["error"].abs().max() < 0.25


def test_no_chain_is_changed_by_leaving_out_what_is_not_there(quotes: pd.DataFrame) -> None:
    with pytest.raises(DataError) as caught:
        leave_one_out(quotes, INDEX, dte=(900, 901))
    assert caught.value.code == "DATA_QUOTES"
