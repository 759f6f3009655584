"""What a package counts with in heat and exposure, against prices worked out without the kernel's rules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from simulator import Bars, PortfolioRiskManager
from simulator.engine import Run
from simulator.kernel.dtypes import QUOTE
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec
from simulator.options.pricing import greeks, price
from tests.simulator.kernel.test_greek_limits import (
    AT_MID,
    BARS,
    CASH,
    LAST,
    RATE,
    ROOMY,
    VOLATILITY,
    market,
    package,
    shares,
    verdicts,
)

STRANGLE: list[LegSpec] = [(-1, "put", 90.0), (-1, "call", 110.0)]
PUT_SPREAD: list[LegSpec] = [(-1, "put", 95.0), (1, "put", 90.0)]
CENTS = 0.01
"""Marks lie between bids and asks in whole cents, fair values do not."""
COVERED: list[LegSpec] = [(1, "shares", math.nan), (-1, "call", 105.0)]


def worth(legs: Sequence[LegSpec], spot: float, days: float) -> float:
    """Fair worth of a package to its holder at the flat volatility."""
    total = 0.0
    for side, kind, strike, *_ in legs:
        value = (
            spot
            if kind == "shares"
            else price(kind, spot, strike, days / 365.0, RATE, VOLATILITY, style="american")
        )
        total += side * value
    return total


def stressed(legs: Sequence[LegSpec], spot: float, days: float) -> float:
    """Loss per package of 100 at two deviations over five sessions, the worse way."""
    reach = 2.0 * VOLATILITY * math.sqrt(min(days, 5.0) / 252.0)
    now = worth(legs, spot, days)
    return 100.0 * max(now - worth(legs, spot * math.exp(way * reach), days) for way in (-1, 1))


def held(bars: Bars, legs: Sequence[LegSpec], side: int, until: int = 5, **rules: Any) -> Run:
    """A run that sold (or bought) one package at bar 2 and has seen `until` bars."""
    limits = ROOMY.replace(max_days_in_trade=None)
    run = Run(bars, package(bars, legs, side, 2, 1.0, **rules), cash=CASH, risk=limits, costs=AT_MID)
    run.advance(until)
    assert run.state.account["n_positions"][0] == 1, "the package was not opened"
    return run


def heat_of(run: Run) -> float:
    return PortfolioRiskManager(ROOMY).portfolio_risk(run).heat


@pytest.mark.parametrize(
    ("legs", "side", "rules"),
    [
        (STRANGLE, -1, {"naked": True}),
        ([(-1, "put", 100.0), (-1, "call", 100.0)], -1, {"naked": True}),
        ([(-1, "put", 95.0)], -1, {}),
        ([(-1, "put", 95.0)], -1, {"naked": True, "stop_loss": 1.0}),
        (COVERED, 1, {}),
        ([(-1, "put", 95.0), (-1, "call", 104.0), (1, "call", 106.0)], -1, {"naked": True}),
    ],
)
def test_what_is_not_defined_counts_with_two_deviations(
    legs: list[LegSpec], side: int, rules: dict[str, Any]
) -> None:
    bars = market()
    assert heat_of(held(bars, legs, side, **rules)) == pytest.approx(
        stressed(legs, 100.0, LAST - 4), rel=CENTS
    )


def test_the_loss_follows_the_market_and_its_last_days() -> None:
    closes = [100.0] * 6 + [104.0] * (BARS - 6)
    bars = market(closes)
    run = held(bars, STRANGLE, -1, naked=True)
    before = heat_of(run)
    run.advance(8)
    after = heat_of(run)
    assert after == pytest.approx(stressed(STRANGLE, 104.0, LAST - 7), rel=CENTS)
    assert after > 1.5 * before  # the call is nearer
    run.advance(LAST - 2)  # three days are left: less time to move
    assert heat_of(run) == pytest.approx(stressed(STRANGLE, 104.0, 3), abs=1.5)  # a cent is 1.00 here


@pytest.mark.parametrize("rules", [{}, {"stop_loss": 1.0}])
def test_defined_risk_counts_with_all_that_it_can_lose(rules: dict[str, Any]) -> None:
    credit = -worth(PUT_SPREAD, 100.0, LAST - 2)
    run = held(market(), PUT_SPREAD, -1, **rules)
    assert heat_of(run) == pytest.approx(100.0 * (5.0 - credit), rel=CENTS)


def test_more_than_the_maximum_never_counts() -> None:
    bars = market([100.0] * 4 + [3.0] * (BARS - 4))  # the put is worth nearly its strike
    run = held(bars, [(-1, "put", 95.0)], -1, until=7, american=False, physical=False)
    assert 0.0 <= heat_of(run) <= 100.0 * 3.0 + 1.0


def test_r_is_what_the_stop_lets_go() -> None:
    run = held(market(), STRANGLE, -1, naked=True, stop_loss=1.0)
    position = run.state.positions[0]
    assert position["initial_risk"] == pytest.approx(100.0 * position["premium"])
    assert held(market(), STRANGLE, -1, naked=True).state.positions[0]["initial_risk"] == pytest.approx(
        stressed(STRANGLE, 100.0, LAST - 2), rel=CENTS
    )


def test_risk_per_trade_divides_by_the_same_loss() -> None:
    bars = market()
    each = stressed(STRANGLE, 100.0, LAST - 2)
    limits = ROOMY.replace(risk_per_trade_pct=2.0)
    ((reason, rule, value, limit, granted),) = verdicts(
        bars, [package(bars, STRANGLE, -1, 2, 1000.0, naked=True)], limits
    )
    assert (reason, rule, limit) == ("shrunk", "risk_per_trade", 0.02)
    assert value == pytest.approx(1000.0 * each / CASH, rel=CENTS)
    assert granted == math.floor(0.02 * CASH / each)


def test_exposure_is_the_value_of_the_delta() -> None:
    bars = market()
    run = held(bars, PUT_SPREAD, -1)
    delta = sum(
        side * greeks(kind, 100.0, strike, (LAST - 4) / 365.0, RATE, VOLATILITY, style="american").delta
        for side, kind, strike, *_ in PUT_SPREAD
    )
    risk = PortfolioRiskManager(ROOMY).portfolio_risk(run)
    assert delta > 0.1  # sold puts gain when the underlying rises
    assert risk.gross_exposure_pct == pytest.approx(100.0 * 100.0 * 100.0 * delta / CASH, rel=CENTS)
    assert risk.net_exposure_pct == pytest.approx(risk.gross_exposure_pct)


def test_the_sector_is_full_of_delta() -> None:
    bars = market()
    limits = ROOMY.replace(max_sector_exposure_pct=25.0)
    per = 10_000.0 * abs(
        sum(
            side * greeks(kind, 100.0, strike, (LAST - 2) / 365.0, RATE, VOLATILITY, style="american").delta
            for side, kind, strike, *_ in PUT_SPREAD
        )
    )
    both = verdicts(
        bars,
        [shares(bars, 1, 1, 100.0), package(bars, PUT_SPREAD, -1, 2, 50.0)],
        limits.replace(max_positions_per_symbol=2),
    )
    assert both[0][0] == "admitted"
    reason, rule, value, limit, granted = both[1]
    assert (reason, rule, limit) == ("shrunk", "sector", 0.25)
    assert value == pytest.approx((10_000.0 + 50.0 * per) / CASH, rel=CENTS)
    assert granted == math.floor((25_000.0 - 10_000.0) / per)


def test_bearish_packages_lower_the_net_exposure() -> None:
    bars = market()
    call_spread: list[LegSpec] = [(-1, "call", 105.0), (1, "call", 110.0)]
    limits = ROOMY.replace(max_net_exposure_pct=12.0, max_positions_per_symbol=2)
    told = verdicts(bars, [shares(bars, 1, 1, 110.0), package(bars, call_spread, -1, 2, 4.0)], limits)
    assert told[1][0] == "admitted"  # 11 % long already, and this one leans the other way


def quoted(volatility: float | None, *, delta: bool) -> Bars:
    """Bars with stored quotes of the put spread, with or without deltas."""
    bars = market()
    expiry = int(bars.session[0]) + LAST
    quotes = np.zeros(2 * (LAST + 1), QUOTE)
    for t in range(LAST + 1):
        for k, strike in enumerate((90.0, 95.0)):
            years = (LAST - t) / 365.0
            mid = price("put", 100.0, strike, years, RATE, VOLATILITY, style="american")
            told = greeks("put", 100.0, strike, years, RATE, VOLATILITY, style="american").delta
            quotes[2 * t + k] = (
                t, 0, expiry, -1, strike, mid - 0.005, mid + 0.005, np.nan, told if delta else np.nan,
            )  # fmt: skip
    options = OptionMarket.from_quotes(quotes, np.full(len(bars), RATE))
    if volatility is not None:
        options = dataclasses.replace(options, volatility=np.full((len(bars), 1), volatility))
    return bars.with_options(options)


@pytest.mark.parametrize("delta", [True, False])
def test_stored_quotes_tell_the_same(delta: bool) -> None:
    run = held(quoted(VOLATILITY, delta=delta), PUT_SPREAD, -1)
    expected = held(market(), PUT_SPREAD, -1)
    mine, theirs = (PortfolioRiskManager(ROOMY).portfolio_risk(each) for each in (run, expected))
    assert mine.gross_exposure_pct == pytest.approx(theirs.gross_exposure_pct, rel=1e-3)
    assert mine.heat == pytest.approx(theirs.heat, abs=1.01)


def test_the_implied_volatility_stands_in_where_the_market_has_none() -> None:
    legs: list[LegSpec] = [(-1, "put", 95.0)]
    run = held(quoted(None, delta=True), legs, -1)
    assert heat_of(run) == pytest.approx(stressed(legs, 100.0, LAST - 4), rel=2e-3)


def test_a_covered_call_on_shares_held_adds_no_heat() -> None:
    bars = market()
    limits = ROOMY.replace(max_positions_per_symbol=2, max_portfolio_heat_pct=5.0)
    told = verdicts(
        bars,
        [shares(bars, 1, 1, 100.0), package(bars, [(-1, "call", 105.0)], -1, 2, 1.0, covered=True)],
        limits,
    )
    # shares with a stop at half their price are 5 % of heat already: nothing fits, and nothing comes
    assert [verdict[0] for verdict in told] == ["admitted", "admitted"]
