"""European prices, Greeks and implied volatilities agree with vollib and QuantLib on 100,000 contracts.

In `make test` on a fifth of them.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import QuantLib as ql  # type: ignore[import-untyped]
from vollib.black_scholes_merton import black_scholes_merton  # type: ignore[import-untyped]
from vollib.black_scholes_merton.greeks import analytical  # type: ignore[import-untyped]
from vollib.black_scholes_merton.implied_volatility import (  # type: ignore[import-untyped]
    implied_volatility as vollib_volatility,
)

from simulator.options.pricing import (
    DAYS_PER_YEAR,
    POINT,
    greeks,
    implied_volatility,
    price,
    solve_volatility,
)
from tests.budget import many_or_few
from tests.simulator.options.pricing_contracts import Array, RandomContracts, random_contracts

COUNT = many_or_few(100_000, 20_000)
PRECISE = 1e-10  # relative, where a price is above SMALL
SMALL = 1e-8
ROUNDING = 2e-15  # of spot or strike, whichever is larger: the noise of a library that subtracts the two
QUANTLIB_KIND = {1.0: ql.Option.Call, -1.0: ql.Option.Put}

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def market() -> RandomContracts:
    return random_contracts(COUNT, seed=20240105)


@pytest.fixture(scope="module")
def prices(market: RandomContracts) -> Array:
    return price(*market)


def test_prices_agree_with_vollib(market: RandomContracts, prices: Array) -> None:
    _, spot, strike, years, rate, volatility, dividend_yield = market.lists()
    columns = zip(market.flags, spot, strike, years, rate, volatility, dividend_yield, strict=True)
    expected = np.array([black_scholes_merton(*contract) for contract in columns])
    matters = prices > SMALL
    assert matters.sum() > 0.9 * COUNT
    assert np.abs(prices / expected - 1.0)[matters].max() < PRECISE
    assert np.abs(prices - expected)[~matters].max() < PRECISE * SMALL


def test_prices_agree_with_quantlib(market: RandomContracts, prices: Array) -> None:
    # QuantLib's formula subtracts two tails, so in the wings it is exact for the strike, not for the price.
    deviation = (market.volatility * np.sqrt(market.years)).tolist()
    columns = zip(
        market.sign.tolist(), market.strike.tolist(), market.forward.tolist(), deviation,
        market.discount.tolist(), strict=True,
    )  # fmt: skip
    expected = np.array([ql.blackFormula(QUANTLIB_KIND[s], k, f, w, d) for s, k, f, w, d in columns])
    noise = ROUNDING * np.maximum(market.spot, market.strike)
    assert (np.abs(prices - expected) <= PRECISE * prices + noise).all()


def test_greeks_agree_with_quantlib(market: RandomContracts) -> None:
    ours = greeks(*market)
    rows = []
    deviation = market.volatility * np.sqrt(market.years)
    columns = (
        market.sign,
        market.spot,
        market.strike,
        market.years,
        market.forward,
        deviation,
        market.discount,
    )
    for sign, spot, strike, years, forward, width, discount in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        payoff = ql.PlainVanillaPayoff(QUANTLIB_KIND[sign], strike)
        oracle = ql.BlackCalculator(payoff, forward, width, discount)
        rows.append(
            (
                oracle.delta(spot),
                oracle.gamma(spot),
                oracle.theta(spot, years),
                oracle.vega(years),
                oracle.rho(years),
            )
        )
    delta, gamma, theta, vega, rho = np.array(rows).T
    larger = np.maximum(market.spot, market.strike)
    for name, mine, theirs, scale in (
        ("delta", ours.delta, delta, np.ones(larger.size)),
        ("gamma", ours.gamma, gamma, 0.0 * larger),
        ("theta", ours.theta * DAYS_PER_YEAR, theta, larger * (1.0 + 1.0 / market.years)),
        ("vega", ours.vega / POINT, vega, 0.0 * larger),
        ("rho", ours.rho / POINT, rho, larger * market.years),
    ):
        assert (np.abs(mine - theirs) <= PRECISE * np.abs(theirs) + 10 * ROUNDING * scale).all(), name


def test_greeks_come_in_the_units_of_vollib(market: RandomContracts) -> None:
    near = random_contracts(2_000, seed=3, deviations=3.0)
    ours = greeks(*near)
    _, spot, strike, years, rate, volatility, dividend_yield = near.lists()
    columns = list(zip(near.flags, spot, strike, years, rate, volatility, dividend_yield, strict=True))
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        expected = np.array([getattr(analytical, name)(*contract) for contract in columns])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-9, atol=1e-13 * scale, err_msg=name)


def test_a_volatility_is_found_again_wherever_the_price_determines_it(
    market: RandomContracts, prices: Array
) -> None:
    sign, spot, strike, years, rate, volatility, dividend_yield = market
    vega = greeks(*market).vega / POINT
    ratio = vega * 1e-8 / (4.0 * np.spacing(prices))
    found, status = solve_volatility(sign, prices, spot, strike, years, rate, dividend_yield)
    determined = ratio > 1.0
    assert determined.sum() > 0.9 * COUNT
    assert (~determined).sum() > COUNT // 100
    # the answer's own vega decides, which differs from the true one in the eighth digit
    assert (status[ratio > 1.0 + 1e-4] == "ok").all()
    assert np.isin(status[ratio < 1.0 - 1e-4], ["indeterminate", "below intrinsic"]).all()
    assert np.abs(found - volatility)[status == "ok"].max() < 1e-8
    assert np.isnan(found[status != "ok"]).all()


def test_volatilities_agree_with_vollib(market: RandomContracts, prices: Array) -> None:
    # vollib takes the carry off the price in other steps, so what may be compared is what the rounding of the
    # largest number involved determines.
    sign, spot, strike, years, rate, _, dividend_yield = market
    vega = greeks(*market).vega / POINT
    rows = np.flatnonzero(vega * 1e-8 > 4.0 * np.spacing(np.maximum(np.maximum(spot, strike), prices)))
    assert rows.size > 0.8 * COUNT
    flags = market.flags
    columns = [column.tolist() for column in (prices, spot, strike, years, rate, dividend_yield)]
    expected = np.full(COUNT, np.nan)
    for row in rows.tolist():
        with contextlib.suppress(Exception):  # a few prices near a bound are refused there
            expected[row] = vollib_volatility(*(column[row] for column in columns), flags[row])
    found = implied_volatility(sign, prices, spot, strike, years, rate, dividend_yield)
    answered = rows[~np.isnan(expected[rows])]
    assert answered.size > 0.999 * rows.size
    assert np.abs(found - expected)[answered].max() < 1e-8


def test_volatilities_agree_with_quantlib() -> None:
    near = random_contracts(10_000, seed=4, deviations=3.0)
    values = price(*near)
    columns = (near.sign, near.strike, near.forward, values, near.discount, near.years)
    expected = []
    for sign, strike, forward, value, discount, years in zip(*(c.tolist() for c in columns), strict=True):
        deviation = ql.blackFormulaImpliedStdDev(
            QUANTLIB_KIND[sign], strike, forward, value, discount, 0.0, ql.nullDouble(), 1e-12, 1_000
        )
        expected.append(deviation / np.sqrt(years))
    found = implied_volatility(
        near.sign, values, near.spot, near.strike, near.years, near.rate, near.dividend_yield
    )
    assert np.abs(found - np.array(expected)).max() < 1e-8


def test_the_far_wings_keep_their_digits() -> None:
    # up to 30 deviations out of the money, down to prices of 1e-190
    near = random_contracts(5_000, seed=9)
    root = np.sqrt(near.years)
    away = near.sign * np.random.default_rng(10).uniform(6.0, 30.0, near.spot.size)
    volatility = np.minimum(near.volatility, 0.5)
    far = near._replace(volatility=volatility, strike=near.forward * np.exp(away * volatility * root))
    values = price(*far)
    _, *numbers = far.lists()
    columns = zip(far.flags, *numbers, strict=True)
    expected = np.array([black_scholes_merton(*contract) for contract in columns])
    assert 1e-300 < values.min() < 1e-150
    assert np.abs(values / expected - 1.0).max() < PRECISE
    sign, spot, strike, years, rate, _, dividend_yield = far
    found, status = solve_volatility(sign, values, spot, strike, years, rate, dividend_yield)
    assert (status == "ok").all()
    np.testing.assert_allclose(found, volatility, rtol=1e-11)


def test_a_forward_next_to_the_strike_keeps_its_digits() -> None:
    # without volatility a call is worth the discounted distance, here a billionth of the spot
    strike, rate, years = 100.0, 0.03, 1 / 365
    spot = strike * (1.0 + 2.0**-30)
    distance = (spot - strike) * np.exp(-rate * years)
    assert price("call", spot, strike, years, rate, 0.0, rate) == pytest.approx(distance, rel=1e-10)
