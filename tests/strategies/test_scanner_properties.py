"""What holds for every package of legs: extremes, break-evens, and the largest loss."""

from __future__ import annotations

import datetime as dt
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.opportunity import Opportunity, OptionLeg
from strategies.scanner_market import ScanMarket
from strategies.scanner_measures import break_evens, extremes
from tests.strategies.scanned import WORKED, scanner


def test_the_distribution_of_a_skewed_surface_reproduces_forward_and_puts() -> None:
    strip = next(s for s in ScanMarket.sample().at().strips if 30 <= s.dte <= 60)
    grid = np.linspace(1.0, 3 * strip.spot, 60_001)
    share = strip.below(grid)
    assert (np.diff(share) >= -1e-9).all()
    trapezoid = np.concatenate(([0.0], np.cumsum((share[1:] + share[:-1]) / 2 * np.diff(grid))))
    # the mean of a positive price is the integral of what lies above; a put's payoff that of what lies below
    assert grid[-1] - trapezoid[-1] == pytest.approx(strip.forward, rel=1e-4)
    row = int(np.argmin(abs(strip.strike - 0.95 * strip.spot) + 1e9 * (strip.kind > 0)))
    put = float(np.interp(strip.strike[row], grid, trapezoid)) * math.exp(-strip.rate * strip.years)
    assert strip.bid[row] < put < strip.ask[row]


def test_quoted_volatilities_give_nearly_the_surfaces_probabilities() -> None:
    market = ScanMarket.sample()
    assert market.closes is not None
    exact = next(s for s in market.at().strips if 30 <= s.dte <= 60)
    from simulator.options import modelled_chain

    quoted = modelled_chain(
        "SPX", market.closes.iloc[-1:], market.iv_history.loc[market.closes.index[-1:]],  # type: ignore[union-attr]  # the sample has one
        rate=market.rate, dividend_yield=market.dividend_yield, dte=(exact.dte, exact.dte),
    )  # fmt: skip
    fitted = ScanMarket.from_chain(quoted, rate=market.rate).at().strips[0]
    at = exact.spot * np.array([0.88, 0.92, 0.96, 1.0, 1.04, 1.08])
    assert fitted.below(at) == pytest.approx(exact.below(at), abs=0.01)
    assert fitted.dividend_yield == pytest.approx(market.dividend_yield, abs=0.005)


def legs_drawn() -> st.SearchStrategy[list[OptionLeg]]:
    leg = st.builds(
        lambda side, kind, strike, ratio: OptionLeg(
            side, kind, 0.0 if kind == "shares" else float(strike), dt.date(2020, 2, 21), ratio
        ),
        st.sampled_from((-1, 1)),
        st.sampled_from(("call", "put", "shares")),
        st.integers(50, 150),
        st.integers(1, 2),
    )
    return st.lists(leg, min_size=1, max_size=4)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(legs=legs_drawn(), worth=st.integers(-2000, 2000))
def test_no_payoff_at_expiry_is_beyond_the_extremes_or_changes_sign_between_break_evens(
    legs: list[OptionLeg], worth: int
) -> None:
    price = worth / 100 + 0.003  # never exactly on a kink
    ends = extremes(legs)
    edges = np.array(break_evens(legs, price))
    grid = np.arange(0.0, 400.0, 0.37)
    values = np.array([sum(leg.value_at(spot) for leg in legs) for spot in grid])
    if ends.bounded_below:
        assert values.min() >= ends.lowest - 1e-9
    if ends.bounded_above:
        assert values.max() <= ends.highest + 1e-9
    profit = values - price
    sign = np.sign(profit)
    crossings = np.flatnonzero(sign[1:] * sign[:-1] < 0)
    for at in crossings:
        assert ((edges >= grid[at] - 1e-9) & (edges <= grid[at + 1] + 1e-9)).any()
    for edge in edges[edges < 390]:
        left, right = (sum(leg.value_at(edge + step) for leg in legs) - price for step in (-1e-6, 1e-6))
        assert left * right < 0


@functools.cache
def found() -> dict[str, Opportunity]:
    names = tuple(name for name in WORKED if name != "wide-lizard")
    return {opp.strategy: opp for opp in scanner(strategies=names).scan_for_opportunities()}


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(spot=st.floats(0.0, 500.0), name=st.sampled_from([name for name in WORKED if name != "wide-lizard"]))
def test_the_maximum_loss_is_never_exceeded(spot: float, name: str) -> None:
    opp = found()[name]
    assert -opp.max_loss - 1e-9 <= opp.profit_at(spot) <= opp.max_profit + 1e-9
