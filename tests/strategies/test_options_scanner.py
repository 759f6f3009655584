"""Strategies of the options scanner, worked out by hand on one chain."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from simulator import Bars, Costs
from simulator.engine import Run
from simulator.options import (
    OptionMarket,
    make_legs,
    make_rules,
    package_signals,
)
from strategies.scanner_measures import break_evens, margin_of
from strategies.scanner_strategies import SCAN_STRATEGIES, LegRule, ScanStrategy, scan_strategy
from tests.strategies.scanned import (
    AT_MID,
    EXPIRY,
    LIZARD,
    SESSION,
    WORKED,
    below,
    chain,
    changed,
    drawn,
    only,
    scanner,
)


@pytest.mark.parametrize("name", WORKED)
def test_every_strategy_by_hand(name: str) -> None:
    legs, credit, profit, loss, edges, margin, buying_power = WORKED[name]
    strategy: str | ScanStrategy = LIZARD if name == "wide-lizard" else name
    opp = only(strategies=(strategy,), widths=(2.0,) if name == "wide-lizard" else (5.0,))
    assert " ".join(map(str, opp.legs)) == legs
    assert opp.credit == pytest.approx(credit)
    assert [opp.max_profit, opp.max_loss] == pytest.approx([profit, loss])
    assert opp.break_evens == pytest.approx(edges)
    assert [opp.margin, opp.buying_power] == pytest.approx([margin, buying_power])
    assert (opp.expiry, opp.dte, opp.spot) == (dt.date(2020, 2, 21), 50, 100.0)
    assert opp.as_of == dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC)
    assert (opp.grade, opp.probability_basis) == ("quoted", "quoted IVs")
    if len(edges) == 2:
        expected = below(edges[1]) - below(edges[0])
    elif name == "short-call-spread":
        expected = below(edges[0])
    else:
        expected = 1 - below(edges[0])
    # prices are rounded to cents
    assert opp.probability_of_profit == pytest.approx(expected, abs=0.01)
    assert opp.iv == pytest.approx(0.25, abs=0.003)
    assert abs(opp.expected_value) < 5.0  # at mid and fair prices there is nothing to win, but rounding
    for edge in edges:
        assert opp.profit_at(edge) == pytest.approx(0.0, abs=1e-9)


def test_every_shipped_strategy_is_worked() -> None:
    # calendars have two expiries, and tests of their own
    assert set(WORKED) - {"wide-lizard"} == set(SCAN_STRATEGIES) - {"jade-lizard", "calendar"}
    shipped = SCAN_STRATEGIES["jade-lizard"]
    assert [(rule.side, rule.kind, rule.beyond) for rule in shipped.legs] == [
        (rule.side, rule.kind, rule.beyond) for rule in LIZARD.legs
    ]
    assert (shipped.naked, shipped.no_upside_risk) == (True, True)


@pytest.mark.parametrize("name", WORKED)
def test_the_simulator_ties_up_and_risks_the_same(name: str) -> None:
    strategy: str | ScanStrategy = LIZARD if name == "wide-lizard" else name
    opp = only(strategies=(strategy,), widths=(2.0,) if name == "wide-lizard" else (5.0,), costs=Costs())
    days = np.arange(SESSION, SESSION + 2) * 86_400_000_000_000
    panel = np.stack([np.full(2, 100.0)] * 4 + [np.full(2, 1e6)], axis=-1)[:, None, :]
    bars = Bars.from_arrays(("XYZ",), days, panel)
    bars = bars.with_options(OptionMarket.from_chains(bars, chain()))
    naked = int(scan_strategy(strategy).naked)
    signals = package_signals(
        bars, [0], 0, 1 if name == "covered-call" else -1,
        make_legs([[leg.spec for leg in opp.legs]], expiry=EXPIRY),
        make_rules(1, naked=naked, american=0, physical=0), qty=1.0,
    )  # fmt: skip
    run = Run(bars, signals, cash=1_000_000.0, risk=None, costs=Costs())
    run.advance()
    position = run.state.positions[run.state.open_slots["slot"][0]]
    assert position["unit_margin"] == pytest.approx(opp.margin)
    credit = -float(position["side"] * position["entry_price"])
    shares = 100.0 if name == "covered-call" else 0.0
    assert credit == pytest.approx(opp.credit - shares)
    # the simulator moves the market by the volatility of the quotes, the scanner by that of its strip
    assert position["initial_risk"] == pytest.approx(opp.risk, rel=0.01)


def test_width_belongs_to_defined_risk_and_so_does_the_maximum_loss_as_risk() -> None:
    spread, naked = only(strategies="short-put-spread"), only(strategies="short-strangle")
    assert (spread.width, spread.risk, spread.risk_basis) == (5.0, spread.max_loss, "max loss")
    assert (naked.width, naked.risk_basis) == (None, "2 sigma")
    # two deviations over five sessions: 100 · exp(±2 · 0.25 · √(5/252)) is 93.2 or 107.3
    assert 100 < naked.risk < 400
    assert only(strategies="cash-secured-put").risk < 1000 < only(strategies="cash-secured-put").max_loss


def test_the_spread_is_given_away_as_the_costs_say() -> None:
    at_mid, paid = only(strategies="short-put-spread"), only(strategies="short-put-spread", costs=None)
    given_away = 0.16 * 2 * 0.02
    assert paid.credit == pytest.approx(at_mid.credit - given_away)
    assert paid.mid_credit == pytest.approx(at_mid.credit)
    assert paid.max_loss == pytest.approx(at_mid.max_loss + 100 * given_away)
    assert paid.expected_value == pytest.approx(at_mid.expected_value - 100 * given_away)
    fees = only(strategies="short-put-spread", costs=AT_MID.replace(commission_per_contract=1.0))
    assert fees.buying_power == pytest.approx(at_mid.buying_power + 2.0)


def test_greeks_are_those_of_the_package_and_signed_as_held() -> None:
    opp = only(strategies="short-put-spread")
    # deltas of -0.274 and -0.118 at 25 %: sold and bought, times 100
    assert opp.delta == pytest.approx(100 * (0.274 - 0.118), abs=0.6)
    assert opp.theta > 0 > opp.vega
    assert [leg.delta for leg in opp.legs] == pytest.approx([-0.274, -0.118], abs=0.003)


def test_a_strike_within_the_deltas_goes_before_a_nearer_one_outside() -> None:
    # puts have deltas of 0.118, 0.274 and 0.482
    for bounds, strike in (
        ((0.10, 0.25, 0.26), 90.0),
        ((0.10, 0.25, 0.40), 95.0),
        ((0.28, 0.28, 0.5), 100.0),
    ):
        rule = ScanStrategy(name="mine", legs=(LegRule(side=-1, kind="put", delta=bounds),), naked=True)
        assert only(strategies=(rule,)).strikes == (strike,)


def test_what_nothing_bounds_is_not_taken_unless_it_is_margined_as_naked() -> None:
    legs = (LegRule(side=-1, kind="call", delta=(0.2, 0.3, 0.4)),)
    bare = scanner(strategies=(ScanStrategy(name="bare", legs=legs),))
    assert bare.scan_for_opportunities() == []
    assert bare.candidates["filter"].tolist() == ["buying_power"]
    # out 5: the exchange asks 20 - 5
    opp = only(strategies=(ScanStrategy(name="bare", legs=legs, naked=True),))
    assert opp.buying_power == pytest.approx(1500.0)
    assert opp.max_loss == math.inf


def test_a_profit_that_only_touches_zero_is_no_break_even_and_a_stretch_of_zeros_ends_in_one() -> None:
    assert break_evens(drawn((1, "put", 100.0), (1, "call", 100.0)), 0.0) == ()
    # sold for nothing: 0 from 95 up, a loss below
    assert break_evens(drawn((-1, "put", 95.0), (1, "put", 90.0)), 0.0) == (95.0,)
    assert break_evens(drawn((1, "call", 95.0), (-1, "call", 105.0)), 0.0) == (95.0,)


def test_sold_calls_that_shares_cover_are_not_margined_as_naked() -> None:
    covered = drawn((1, "shares", 0.0), (-1, "call", 105.0))
    assert margin_of(covered, 98.2, 100.0, naked=True) == 0.0
    assert margin_of(covered[1:], -1.8, 100.0, naked=True) == pytest.approx(15.0 + 1.8)
    assert margin_of(covered[1:], -1.8, 100.0, naked=False) == math.inf


def test_a_wide_quote_of_a_wing_passes_and_a_credit_above_the_width_does_not() -> None:
    assert only(changed(90.0, bid=0.36, ask=0.76), strategies="short-put-spread").credit > 0
    wrong = scanner(
        changed(95.0, bid=5.60, ask=5.62), strategies="short-put-spread", min_iv_rank=0, widths=(5.0,)
    )  # fmt: skip
    assert wrong.scan_for_opportunities() == []
    row = wrong.candidates.iloc[0]
    assert (row["filter"], row["limit"], row["legs"]) == ("credit_to_width", 1.0, "-95P +90P")
    assert "gone wrong" in row["reason"]


def test_every_width_is_a_candidate_and_the_same_strikes_come_once() -> None:
    looking = scanner(strategies="short-call-spread", widths=None, widths_pct=(5.0, 5.5, 10.0))
    looking.scan_for_opportunities()
    assert looking.candidates["strikes"].tolist() == [(105.0, 110.0), (105.0, 115.0)]
