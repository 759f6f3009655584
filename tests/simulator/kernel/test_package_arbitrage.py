"""What the modelled market quotes to packages leaves nothing to earn without risk.

`tests/simulator/options/test_surface_arbitrage.py` examines the surface by itself; here prices are taken
where a backtest meets them: packages of one leg are opened on every contract, and the marks of their legs
compared. Each contract has a symbol of its own with the same closes, because a symbol holds one package a
side. Without a tick grid the mark is the model's price, so that the bounds hold to rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Bars
from simulator.engine import Run
from simulator.kernel import codes
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from simulator.options.surface import SURFACES
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.test_packages import AT_MID

Floats = npt.NDArray[np.float64]

DAY_NS: Final = 86_400_000_000_000
FIRST_DAY: Final = 18_000
STEPS: Final = (0.85, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1)
TERMS: Final = (7, 30, 90, 365)
NOISE: Final = 1e-9  # of the spot

markets = given(
    st.sampled_from(sorted(SURFACES)),
    st.floats(20.0, 500.0),
    st.floats(0.12, 0.6),
    st.floats(0.0, 0.08),
    st.floats(0.0, 0.04),
)


def prices(
    surface: str,
    spot: float,
    index: float,
    rate: float,
    dividend_yield: float,
    *,
    american: int,
    terms: Sequence[int] = TERMS,
) -> dict[str, Floats]:
    """Marks of calls and puts, shape (terms, strikes); NaN where nobody bids and nothing is opened."""
    contracts = list(itertools.product(terms, ("call", "put"), (spot * step for step in STEPS)))
    count = len(contracts)
    names = [f"S{k}" for k in range(count)]
    panel = np.tile([spot, spot, spot, spot, 1e6], (2, count, 1))
    bars = Bars.from_arrays(names, (FIRST_DAY + np.arange(2)) * DAY_NS, panel, calendar="24/7")
    model = SURFACES[surface].replace(ticks="none")
    market = OptionMarket.modelled(
        bars, dict.fromkeys(names, index), surface=model, rate=rate, dividend_yield=dividend_yield
    )
    bars = bars.with_options(market)
    expiry = np.array([FIRST_DAY + term for term, _, _ in contracts], np.int64)
    legs = make_legs([[(1, kind, strike)] for _, kind, strike in contracts], expiry=expiry)
    signals = package_signals(
        bars,
        np.zeros(count, np.int64),
        np.arange(count),
        1,
        legs,
        make_rules(count, american=american),
        qty=1.0,
    )
    run = Run(bars, signals, cash=1e9, risk=None, costs=AT_MID, capacity=2 * count)
    run.step()
    marks = np.full(count, np.nan)
    refused = set(run.books.take()["verdicts"]["reason"]) - {codes.REASON_ADMITTED, codes.REASON_NO_QUOTE}
    assert not refused
    for slot in run.state.open_slots["slot"][: int(run.state.account["n_positions"][0])]:
        marks[run.state.positions[slot]["sym"]] = run.state.legs[slot, 0]["mark"]
    shaped = marks.reshape(len(terms), 2, len(STEPS))
    assert np.isfinite(shaped).mean() > 0.5
    return {"call": shaped[:, 0], "put": shaped[:, 1]}


def discounts(spot: float, rate: float, dividend_yield: float) -> tuple[Floats, Floats, Floats]:
    """Strikes (K,), and what a unit of cash and of the underlying at each expiry are worth now (T, 1)."""
    years = np.array(TERMS)[:, None] / 365.0
    return spot * np.array(STEPS), np.exp(-rate * years), np.exp(-dividend_yield * years)


@pytest.mark.thorough
def test_calls_less_puts_are_the_forward_less_the_strike() -> None:
    @drawn(40, 12)
    @markets
    def hold(surface: str, spot: float, index: float, rate: float, dividend_yield: float) -> None:
        made = prices(surface, spot, index, rate, dividend_yield, american=0)
        strikes, cash, share = discounts(spot, rate, dividend_yield)
        gap = made["call"] - made["put"] - (spot * share - strikes * cash)
        assert np.nanmax(abs(gap)) <= NOISE * spot

    hold()


@pytest.mark.thorough
def test_spreads_cost_something_and_less_than_they_can_pay() -> None:
    @drawn(40, 12)
    @markets
    def hold(surface: str, spot: float, index: float, rate: float, dividend_yield: float) -> None:
        made = prices(surface, spot, index, rate, dividend_yield, american=0)
        strikes, cash, share = discounts(spot, rate, dividend_yield)
        for kind, sign in (("call", -1.0), ("put", 1.0)):
            quoted = made[kind]
            worth = np.maximum(0.0, sign * (strikes * cash - spot * share))
            assert not (quoted < worth - NOISE * spot).any()
            assert not (quoted > (spot * share if kind == "call" else strikes * cash) + NOISE * spot).any()
            vertical = sign * np.diff(quoted, axis=1)
            assert not (vertical < -NOISE * spot).any()
            assert not (vertical > np.diff(strikes) * cash + NOISE * spot).any()
            slope = np.diff(quoted, axis=1) / np.diff(strikes)
            assert not (np.diff(slope, axis=1) < -NOISE).any()

    hold()


@pytest.mark.parametrize("american", [0, 1])
@pytest.mark.thorough
def test_calendars_cost_something(american: int) -> None:
    """Without interest and dividends, European; American options gain from time whatever these are."""

    @drawn(40, 12)
    @markets
    def hold(surface: str, spot: float, index: float, rate: float, dividend_yield: float) -> None:
        given_ = (rate, dividend_yield) if american else (0.0, 0.0)
        made = prices(surface, spot, index, *given_, american=american)
        for kind in ("call", "put"):
            assert not (np.diff(made[kind], axis=0) < -NOISE * spot).any()

    hold()


@pytest.mark.thorough
def test_american_options_are_worth_exercising_and_more_than_european_ones() -> None:
    @drawn(40, 12)
    @markets
    def hold(surface: str, spot: float, index: float, rate: float, dividend_yield: float) -> None:
        early = prices(surface, spot, index, rate, dividend_yield, american=1)
        late = prices(surface, spot, index, rate, dividend_yield, american=0)
        strikes, cash, share = discounts(spot, rate, dividend_yield)
        for kind, sign in (("call", 1.0), ("put", -1.0)):
            assert not (early[kind] < np.maximum(0.0, sign * (spot - strikes)) - NOISE * spot).any()
            assert not (early[kind] < late[kind] - NOISE * spot).any()
        # S e^-qT - K <= C - P <= S - K e^-rT
        difference = early["call"] - early["put"]
        assert not (difference < spot * share - strikes - NOISE * spot).any()
        assert not (difference > spot - strikes * cash + NOISE * spot).any()

    hold()


def test_the_tests_can_fail() -> None:
    made = prices("index", 100.0, 0.2, 0.03, 0.01, american=0)
    strikes, cash, share = discounts(100.0, 0.03, 0.01)
    other = prices("index", 100.0, 0.22, 0.03, 0.01, american=0)
    gap = other["call"] - made["put"] - (100.0 * share - strikes * cash)
    assert np.nanmax(abs(gap)) > 0.1
    american = prices("index", 100.0, 0.2, 0.08, 0.0, american=1)
    strikes, cash, share = discounts(100.0, 0.08, 0.0)
    gap = american["call"] - american["put"] - (100.0 * share - strikes * cash)
    assert np.nanmax(abs(gap)) > 0.1
