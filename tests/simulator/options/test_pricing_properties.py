"""Laws that hold for every European option, whatever its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.options.pricing import DAYS_PER_YEAR, POINT, greeks, implied_volatility, price
from tests.budget import cases

unhurried = cases(200, 50)

kinds = st.sampled_from(["call", "put"])
spots = st.floats(0.5, 5_000.0)
moneyness = st.floats(0.4, 2.5)
lives = st.floats(1 / 365, 5.0)
rates = st.floats(-0.03, 0.15)
yields = st.floats(-0.03, 0.15)
volatilities = st.floats(0.03, 1.5)


@unhurried
@given(spots, moneyness, lives, rates, volatilities, yields)
def test_call_less_put_is_forward_less_strike(
    spot: float, ratio: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> None:
    terms = (spot, spot * ratio, years, rate, volatility, dividend_yield)
    gap = spot * math.exp(-dividend_yield * years) - spot * ratio * math.exp(-rate * years)
    assert price("call", *terms) - price("put", *terms) == pytest.approx(gap, abs=1e-14 * spot * (1 + ratio))


@unhurried
@given(kinds, spots, lives, rates, volatilities, yields)
def test_prices_are_monotone_and_convex_in_the_strike(
    kind: str, spot: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> None:
    strikes = spot * np.linspace(0.3, 3.0, 400)
    values = price(kind, spot, strikes, years, rate, volatility, dividend_yield)
    steps = np.diff(values)
    noise = 1e-14 * spot
    discounted = math.exp(-rate * years) * np.diff(strikes)
    if kind == "call":
        assert (steps <= noise).all()
        assert (steps >= -discounted - noise).all()
    else:
        assert (steps >= -noise).all()
        assert (steps <= discounted + noise).all()
    assert (np.diff(steps) >= -4 * noise).all()


@unhurried
@given(kinds, spots, moneyness, lives, rates, volatilities, yields)
def test_prices_lie_within_their_bounds_and_rise_with_volatility(
    kind: str, spot: float, ratio: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> None:
    strike = spot * ratio
    low, high = price(
        kind, spot, strike, years, rate, np.array([volatility, volatility * 1.1]), dividend_yield
    )
    asset, cash = spot * math.exp(-dividend_yield * years), strike * math.exp(-rate * years)
    noise = 1e-14 * (asset + cash)
    assert low >= max(asset - cash if kind == "call" else cash - asset, 0.0) - noise
    assert high <= (asset if kind == "call" else cash) + noise
    assert high >= low


@unhurried
@given(kinds, spots, moneyness, lives, rates, volatilities, yields, st.floats(0.01, 100.0))
def test_prices_scale_with_spot_and_strike(
    kind: str,
    spot: float,
    ratio: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float,
    factor: float,
) -> None:
    rest = (years, rate, volatility, dividend_yield)
    one = price(kind, spot, spot * ratio, *rest)
    other = price(kind, factor * spot, factor * (spot * ratio), *rest)
    assert other == pytest.approx(factor * one, rel=1e-11, abs=1e-15 * factor * spot)


@unhurried
@given(
    kinds,
    moneyness,
    st.floats(0.02, 3.0),
    rates,
    st.floats(0.1, 1.0),
    yields,
    st.sampled_from(["european", "american"]),
)
def test_greeks_are_the_slopes_of_the_price(
    kind: str, ratio: float, years: float, rate: float, volatility: float, dividend_yield: float, style: str
) -> None:
    spot, strike = 100.0, 100.0 * ratio
    at = {"spot": spot, "years": years, "rate": rate, "volatility": volatility}
    ours = greeks(kind, strike=strike, dividend_yield=dividend_yield, style=style, **at)

    def value(name: str, step: float) -> float:
        moved = {**at, name: at[name] + step}
        return price(kind, strike=strike, dividend_yield=dividend_yield, style=style, **moved)

    def slope(name: str, step: float) -> float:
        return (value(name, step) - value(name, -step)) / (2.0 * step)

    kinked = style == "american" and _kinked(kind, value("spot", 0.0), spot, strike)
    if kinked:
        return
    width = volatility * math.sqrt(years)
    assert ours.price == value("spot", 0.0)
    assert ours.delta == pytest.approx(slope("spot", 0.002 * spot * width), abs=2e-5)
    assert ours.theta == pytest.approx(-slope("years", 1e-3 * years) / DAYS_PER_YEAR, abs=2e-5, rel=1e-4)
    assert ours.vega == pytest.approx(slope("volatility", 1e-3 * volatility) * POINT, abs=2e-5)
    assert ours.rho == pytest.approx(slope("rate", 1e-5) * POINT, abs=2e-4)
    bump = 0.01 * spot * width
    bend = (value("spot", bump) - 2.0 * ours.price + value("spot", -bump)) / (bump * bump)
    assert ours.gamma == pytest.approx(bend, rel=5e-3, abs=1e-6)


def _kinked(kind: str, value: float, spot: float, strike: float) -> bool:
    # Where one begins to exercise, gamma jumps; differences across that spot mean nothing.
    exercise = max(spot - strike if kind == "call" else strike - spot, 0.0)
    return value < exercise * 1.002 + 1e-9


@unhurried
@given(kinds, spots, moneyness, lives, rates, volatilities, yields)
def test_the_implied_volatility_gives_the_price_back(
    kind: str, spot: float, ratio: float, years: float, rate: float, volatility: float, dividend_yield: float
) -> None:
    strike = spot * ratio
    value = price(kind, spot, strike, years, rate, volatility, dividend_yield)
    found = implied_volatility(kind, value, spot, strike, years, rate, dividend_yield)
    if not math.isnan(found):
        again = price(kind, spot, strike, years, rate, found, dividend_yield)
        assert again == pytest.approx(value, rel=1e-12)
