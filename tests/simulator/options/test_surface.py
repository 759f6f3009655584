"""The surface's own claims: measured skews, the index it implies, units, quotes, and one set of bits."""

from __future__ import annotations

import doctest
import importlib
import math
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, DataError, UnknownNameError
from simulator.kernel import surface as kernel
from simulator.kernel._jit import kernel_jit
from simulator.options.surface import SURFACES, TICKS, Surface, run

ROOT = Path(__file__).resolve().parents[3]
SIXTEEN = NormalDist().inv_cdf(0.16)
DAY = 1 / 365


def wing(surface: Surface, d1: float, *, index: float, days: float) -> float:
    """Return the volatility at a d1 over the one at the forward."""
    years = days * DAY
    strike = surface.strike_at_d1(d1, forward=1.0, index=index, years=years)
    volatility = surface.volatility(strike, spot=1.0, index=index, years=years)
    return float(volatility / surface.atm_volatility(index=index, years=years))


@pytest.mark.parametrize("days", [42, 44, 46])
def test_index_skew_is_as_measured(days: float) -> None:
    surface = Surface.preset("index")
    assert 1.27 <= wing(surface, -SIXTEEN, index=0.175, days=days) <= 1.32  # SPX 2011: 1.28 to 1.31
    assert 0.85 <= wing(surface, SIXTEEN, index=0.175, days=days) <= 0.89  # SPX 2011: 0.85 to 0.89


@pytest.mark.parametrize("days", [22, 45, 72])
def test_single_name_skew_is_as_measured(days: float) -> None:
    surface = Surface.preset("single-name")
    assert 1.05 <= wing(surface, -SIXTEEN, index=0.25, days=days) <= 1.10  # AAPL 2014
    assert 1.00 <= wing(surface, SIXTEEN, index=0.25, days=days) <= 1.03


def test_the_flat_preset_is_the_index_everywhere() -> None:
    surface = Surface.preset("flat")
    strike = np.linspace(50, 150, 11)
    volatility = surface.volatility(strike, spot=100.0, index=0.23, years=np.array([[0.01], [0.3], [2.0]]))
    np.testing.assert_allclose(volatility, 0.23, rtol=1e-12)


def implied_index(surface: Surface, index: float) -> float:
    """Return the 30-day index that the surface's own options give, in the manner of the VIX."""
    years = 30 * DAY
    moneyness = np.linspace(-3.0, 3.0, 60_001)
    strike = np.exp(moneyness)
    deviation = surface.volatility(strike, spot=1.0, index=index, years=years) * math.sqrt(years)
    cdf = np.frompyfunc(NormalDist().cdf, 1, 1)
    d1 = -moneyness / deviation + deviation / 2
    call = (cdf(d1) - strike * cdf(d1 - deviation)).astype(float)
    out = np.where(moneyness > 0, call, call - 1 + strike)
    return math.sqrt(2 / years * float(np.trapezoid(out / strike, moneyness)))


@pytest.mark.parametrize("name", ["index", "single-name", "flat"])
@pytest.mark.parametrize("index", [0.12, 0.20, 0.35])
def test_the_surface_implies_the_index_it_was_made_from(name: str, index: float) -> None:
    # what makes `atm_share` more than a number that fits: the skew alone explains it
    assert implied_index(Surface.preset(name), index) == pytest.approx(index, rel=0.015)


def test_terms_return_to_the_long_run_mean() -> None:
    surface = Surface.preset("index")
    terms = np.array([7, 30, 60, 180, 720]) * DAY
    panic = surface.atm_volatility(index=0.60, years=terms)
    calm = surface.atm_volatility(index=0.11, years=terms)
    assert (np.diff(panic) < 0).all()
    assert (np.diff(calm) > 0).all()
    assert panic[1] == pytest.approx(0.9 * 0.60, rel=1e-12)
    assert calm[1] == pytest.approx(0.9 * 0.11, rel=1e-12)
    assert abs(panic[-1] - calm[-1]) < 0.2 * abs(panic[0] - calm[0])


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    index=st.floats(0.05, 1.2),
    years=st.floats(1e-4, 2.0),
    strike=st.floats(20.0, 400.0),
    rate=st.floats(-0.01, 0.08),
)
def test_the_published_formula(index: float, years: float, strike: float, rate: float) -> None:
    surface = Surface.preset("index")
    s, mean, kappa = surface.atm_share, surface.long_run**2, surface.reversion

    def average(term: float) -> float:
        return (1 - math.exp(-kappa * term)) / (kappa * term)

    now = max(mean + (index**2 - mean) / average(30 / 365), 0.25 * index**2)
    theta = s**2 * (mean + (now - mean) * average(years)) * years
    clock = theta / (s * index) ** 2
    rho = -0.32 + (-0.72 + 0.32) * clock / (clock + 0.16)
    phi = 0.86 / math.sqrt(theta)
    k = math.log(strike / (100 * math.exp(rate * years)))
    w = theta / 2 * (1 + rho * phi * k + math.sqrt((phi * k + rho) ** 2 + 1 - rho**2))
    volatility = surface.volatility(strike, spot=100.0, index=index, years=years, rate=rate)
    assert float(volatility) == pytest.approx(math.sqrt(w / years), rel=1e-9)


@kernel_jit.entry
def one_by_one(record: kernel.Floats, index: float, forward: float, strike: float, years: float) -> float:
    return kernel.surface_volatility(record, index, forward, strike, years)


def test_one_call_and_many_give_the_same_bits() -> None:
    record = Surface.preset("index").record()
    strike = np.linspace(40, 180, 141)
    many = run("volatilities_over", record, 0.21, 100.0, 0.0, 0.0, strike, 0.11)
    assert [one_by_one(record, 0.21, 100.0, each, 0.11).hex() for each in strike.tolist()] == [
        each.hex() for each in many.tolist()
    ]


BITS = """
import numpy as np
from simulator.options.surface import Surface
s = Surface.preset("index")
k = np.linspace(40, 180, 57)
v = s.volatility(k, spot=100.0, index=0.21, years=0.11, rate=0.03, dividend_yield=0.01)
d = s.strike_at_d1(np.linspace(-3, 3, 13), forward=100.0, index=0.21, years=0.11)
b, a = s.quotes(np.linspace(0, 50, 101))
print([x.hex() for each in (v, d, b, a) for x in each.tolist()])
"""


def test_compiled_and_plain_python_give_the_same_bits() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", BITS],
            env={"NUMBA_DISABLE_JIT": flag, "PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(Path.home())},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout
        for flag in ("0", "1")
    ]
    assert len(outputs[0]) > 1000
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("name", ["surface", "modelled"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"simulator.options.{name}")
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_unknown_inputs_give_unknown_volatilities() -> None:
    surface = Surface.preset("index")
    strike = np.array([100.0, np.nan, 0.0, -5.0])
    assert (
        np.isnan(surface.volatility(strike, spot=100.0, index=0.2, years=0.1)).tolist()
        == [False] + [True] * 3
    )
    for odd in ({"spot": np.nan}, {"index": np.nan}, {"index": 0.0}, {"years": -0.1}, {"years": np.nan}):
        inputs: dict[str, float] = {"spot": 100.0, "index": 0.2, "years": 0.1, **odd}
        assert np.isnan(surface.volatility(100.0, **inputs))
    assert np.isnan(surface.strike_at_d1(np.inf, forward=100.0, index=0.2, years=0.1))


def test_shapes_broadcast() -> None:
    surface = Surface.preset("index")
    assert surface.volatility(100.0, spot=100.0, index=0.2, years=0.1).shape == ()
    table = surface.volatility(np.ones((3, 1)), spot=1.0, index=0.2, years=np.full(4, 0.1))
    assert table.shape == (3, 4)
    assert surface.volatility([], spot=1.0, index=0.2, years=0.1).shape == (0,)


def test_an_index_in_percent_is_named() -> None:
    with pytest.raises(DataError, match=r"VIX of 20 is 0\.20") as caught:
        Surface.preset("index").volatility(100.0, spot=100.0, index=20.0, years=0.1)
    assert caught.value.code == "SURFACE_UNITS"


def test_names_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'index'") as caught:
        Surface.preset("indx")
    assert caught.value.code == "NAME_SURFACE"
    with pytest.raises(UnknownNameError, match="atm_share"):
        Surface().replace(atm_shar=0.8)
    with pytest.raises(UnknownNameError, match="pre-penny"):
        Surface(ticks="prepenny")
    assert Surface().replace(atm_share=0.85).name == "custom"
    assert {name: surface.name for name, surface in SURFACES.items()} == {name: name for name in SURFACES}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"atm_share": 0.0}, "SURFACE_NUMBER"),
        ({"long_run": 20.0}, "SURFACE_NUMBER"),
        ({"reversion": math.nan}, "SURFACE_NUMBER"),
        ({"curvature": True}, "SURFACE_NUMBER"),
        ({"index_floor": 0.9, "index_cap": 0.5}, "SURFACE_NUMBER"),
        ({"curvature": 1.9}, "SURFACE_ARBITRAGE"),
        ({"correlation_short": 0.6, "correlation_long": -0.9}, "SURFACE_ARBITRAGE"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, float], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Surface().replace(**changes)
    assert caught.value.code == code


def test_the_index_is_taken_within_its_bounds() -> None:
    surface = Surface().replace(index_floor=0.10, index_cap=0.50)
    low, floor, cap, high = surface.atm_volatility(index=np.array([0.02, 0.10, 0.50, 0.90]), years=0.1)
    assert (low, high) == (floor, cap)


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    price=st.floats(0.0, 500.0),
    ticks=st.sampled_from(sorted(TICKS)),
    factor=st.floats(0.0, 3.0),
)
def test_quotes_enclose_the_price_on_the_grid(price: float, ticks: str, factor: float) -> None:
    bid, ask = (float(e) for e in Surface().replace(ticks=ticks, spread_factor=factor).quotes(price))
    assert 0.0 <= bid <= price + 1e-7 * price
    assert ask >= price * (1 - 1e-7)
    below, above, level = TICKS[ticks]
    if below:
        assert bid < ask
        for quote in (bid, ask):
            tick = below if quote < level else above
            assert quote == round(quote, 2)
            assert round(quote / tick, 6) == round(quote / tick)


def test_quotes_by_hand() -> None:
    surface = Surface()  # 0.60 · √price, at most 3.20; ticks of 0.05 below 3 and of 0.10 from there on
    bid, ask = surface.quotes([0.0, 0.04, 1.0, 4.0, 100.0, np.nan])
    np.testing.assert_allclose(bid, [0.0, 0.0, 0.70, 3.4, 98.4, np.nan])
    np.testing.assert_allclose(ask, [0.05, 0.10, 1.30, 4.6, 101.6, np.nan])
