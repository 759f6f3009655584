"""No set of parameters that a `Surface` accepts may let anyone earn without risk.

Undiscounted calls on a forward of 1, over the range that premium strategies use: five standard deviations to
either side, a day to two years. Prices come from a normal distribution function of the test's own.
"""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st

from simulator.bars.arrays import Floats
from simulator.errors import ConfigError
from simulator.options.surface import SURFACES, Surface
from tests.budget import cases

TERMS = np.geomspace(1 / 365, 2.0, 40)
NOISE = 1e-12  # of a price, in units of the forward
cdf = np.frompyfunc(NormalDist().cdf, 1, 1)


@st.composite
def surfaces(draw: st.DrawFn) -> Surface:
    """Draw any surface that is accepted."""
    floats = st.floats
    try:
        return Surface(
            atm_share=draw(floats(0.6, 1.1)),
            long_run=draw(floats(0.08, 0.6)),
            reversion=draw(floats(0.0, 10.0)),
            curvature=draw(floats(0.0, 1.45)),
            correlation_short=draw(floats(-0.9, 0.5)),
            correlation_long=draw(floats(-0.9, 0.5)),
            correlation_years=draw(floats(0.01, 2.0)),
        )
    except ConfigError:
        reject()


def any_surface() -> st.SearchStrategy[Surface]:
    return st.one_of(st.sampled_from(list(SURFACES.values())), surfaces())


def total_variance(surface: Surface, index: float, years: float, moneyness: Floats) -> Floats:
    volatility = surface.volatility(np.exp(moneyness), spot=1.0, index=index, years=years)
    return np.asarray(volatility**2 * years)


def calls(variance: Floats, moneyness: Floats) -> Floats:
    deviation = np.sqrt(variance)
    d1 = -moneyness / deviation + deviation / 2
    price = cdf(d1) - np.exp(moneyness) * cdf(d1 - deviation)
    return np.array(price, np.float64)


def grid(surface: Surface, index: float, years: float) -> Floats:
    deviation = float(surface.atm_volatility(index=index, years=years)) * math.sqrt(years)
    return np.linspace(-5 * deviation, 5 * deviation, 161)


@cases(150, 30)
@given(surface=any_surface(), index=st.floats(0.05, 1.0), term=st.integers(0, TERMS.size - 1))
def test_verticals_and_butterflies_cost_something(surface: Surface, index: float, term: int) -> None:
    moneyness = grid(surface, index, TERMS[term])
    strike = np.exp(moneyness)
    price = calls(total_variance(surface, index, TERMS[term], moneyness), moneyness)
    slope = np.diff(price) / np.diff(strike)
    noise = NOISE / np.diff(strike).min()
    assert (slope <= noise).all()  # a vertical is worth something
    assert (slope >= -1 - noise).all()  # and at most its width
    assert (np.diff(slope) >= -2 * noise).all()  # so is a butterfly


@cases(150, 30)
@given(surface=any_surface(), index=st.floats(0.05, 1.0))
def test_calendars_cost_something(surface: Surface, index: float) -> None:
    for near, far in itertools.pairwise(TERMS.tolist()):
        moneyness = grid(surface, index, far)
        before, after = (total_variance(surface, index, years, moneyness) for years in (near, far))
        assert (after >= before * (1 - 1e-12)).all(), (near, far)


@cases(60, 20)
@given(surface=any_surface(), index=st.floats(0.05, 1.0), term=st.integers(0, TERMS.size - 1))
def test_d1_falls_as_strikes_rise(surface: Surface, index: float, term: int) -> None:
    moneyness = grid(surface, index, TERMS[term])
    deviation = np.sqrt(total_variance(surface, index, TERMS[term], moneyness))
    assert (np.diff(-moneyness / deviation + deviation / 2) < 0).all()


def test_the_tests_can_fail() -> None:
    # the same tilt change without the bound: calls far out lose value with time
    surface = Surface(curvature=0.5)
    for name, value in (("correlation_short", 0.9), ("correlation_long", -0.95), ("correlation_years", 0.05)):
        object.__setattr__(surface, name, value)
    moneyness = grid(surface, 0.9, 1.0)
    falls = [
        (total_variance(surface, 0.9, far, moneyness) < total_variance(surface, 0.9, near, moneyness)).any()
        for near, far in itertools.pairwise(TERMS.tolist())
    ]
    assert any(falls)
