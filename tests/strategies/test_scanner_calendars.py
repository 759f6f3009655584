"""Calendars by hand: sold 50 days out, bought 78 days out, one strike, quotes 0.02 wide, no interest."""

from __future__ import annotations

import datetime as dt
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import Bars, Costs
from simulator.engine import Run
from simulator.errors import ConfigError
from simulator.opportunity import Opportunity, describe_legs
from simulator.options import Chain, OptionMarket, make_legs, make_rules, package_signals
from strategies import OptionsScanner, PositionSizer
from strategies.registry import PREMIUM
from strategies.scanner_market import ScanMarket
from strategies.scanner_strategies import SCAN_STRATEGIES, LegRule, ScanStrategy

CLOSE = 1_577_998_800_000_000_000  # 2020-01-02, 16:00 in New York
SESSION = 18263
FRONT = 18313  # 2020-02-21, in 50 days
BACK = 18341  # 2020-03-20, in 78 days
STRIKES = np.arange(80.0, 121.0, 5.0)
NORMAL = NormalDist()
AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)


def worth(kind: str, spot: float, strike: float, days: float, volatility: float, rate: float = 0.0) -> float:
    """Black and Scholes, written out again."""
    years = days / 365
    total = volatility * math.sqrt(years)
    d1 = (math.log(spot / strike) + rate * years) / total + total / 2
    discounted = strike * math.exp(-rate * years)
    call = spot * NORMAL.cdf(d1) - discounted * NORMAL.cdf(d1 - total)
    return call if kind == "call" else call - spot + discounted


def quotes(
    expiries: dict[int, float], *, half: float = 0.01, style: int = 1, rate: float = 0.0
) -> pd.DataFrame:
    rows = [
        (
            1 if kind == "call" else -1,
            strike,
            day,
            worth(kind, 100.0, strike, day - SESSION, volatility, rate),
        )
        for day, volatility in expiries.items()
        for kind in ("call", "put")
        for strike in STRIKES
    ]
    frame = pd.DataFrame(rows, columns=["kind", "strike", "expiry", "mid"])
    frame["bid"], frame["ask"] = (frame["mid"] - half).clip(lower=0.0), frame["mid"] + half
    frame["ts"], frame["open_interest"] = CLOSE, 500.0
    frame["underlying"], frame["style"], frame["settlement"] = 100.0, style, 2
    return frame


def chain(frame: pd.DataFrame) -> Chain:
    columns = {str(name): frame[name].to_numpy() for name in frame.columns if name != "mid"}
    return Chain.from_arrays("XYZ", columns, origin="real")


def scanner(frame: pd.DataFrame, rate: float = 0.0, **options: Any) -> OptionsScanner:
    market = ScanMarket.from_chain(chain(frame), iv_rank=60.0, rate=rate)
    given: dict[str, Any] = {
        "costs": AT_MID, "strategies": "calendar", "min_probability": 0.0, "max_dte": 55, "min_dte": 45,
        **options,
    }  # fmt: skip
    return OptionsScanner(market, **given)


def only(frame: pd.DataFrame, **options: Any) -> Opportunity:
    found = scanner(frame, **options).scan_for_opportunities()
    assert len(found) == 1, [str(opp) for opp in found]
    return found[0]


def test_a_calendar_by_hand() -> None:
    opp = only(quotes({FRONT: 0.25, BACK: 0.25}))
    front, back = worth("put", 100, 100, 50, 0.25), worth("put", 100, 100, 78, 0.25)
    left = worth("put", 100, 100, 28, 0.25)
    assert opp.strategy in PREMIUM
    assert describe_legs(opp.legs) == "-100P +100P@20-03-20"
    assert [leg.expiry for leg in opp.legs] == [dt.date(2020, 2, 21), dt.date(2020, 3, 20)]
    assert (opp.expiry, opp.dte, opp.strikes, opp.width) == (dt.date(2020, 2, 21), 50, (100.0,), None)
    assert -opp.credit == pytest.approx(back - front)
    assert opp.max_loss == pytest.approx(100 * (back - front))
    assert opp.max_profit == pytest.approx(100 * (left - (back - front)), rel=1e-3)
    assert (opp.margin, opp.buying_power) == pytest.approx((0.0, opp.max_loss))
    assert (opp.risk, opp.risk_basis) == (opp.max_loss, "max loss")
    assert opp.return_on_buying_power == pytest.approx(opp.max_profit / opp.max_loss)
    # the break-evens solve an equation of the front expiry, on either side of the strike
    low, high = opp.break_evens
    assert low < 100 < high
    for edge in (low, high):
        gain = worth("put", edge, 100, 28, 0.25) - max(100 - edge, 0) - (back - front)
        assert gain == pytest.approx(0.0, abs=1e-3)  # summer time makes the back leg's life an hour shorter
        assert opp.profit_at(edge) == pytest.approx(0.0, abs=1e-3)
    deviation = 0.25 * math.sqrt(50 / 365)
    chances = [NORMAL.cdf(math.log(edge / 100) / deviation + deviation / 2) for edge in (low, high)]
    assert opp.probability_of_profit == pytest.approx(chances[1] - chances[0], abs=0.005)
    assert opp.expected_value == pytest.approx(0.0, abs=2.0)  # mids of fair prices
    assert opp.vega > 0 < opp.theta
    assert abs(opp.delta) < 3
    assert str(opp).split(" max loss")[0].endswith(f"debit {back - front:.2f},")
    notes = " ".join(opp.notes)
    assert "modelled at the front expiry" in notes
    assert "own volatility of today (25.0%)" in notes
    assert "maximum loss is the debit" in notes
    assert "on top of the debit" not in notes


def test_the_back_leg_is_valued_at_its_own_volatility() -> None:
    dear = only(quotes({FRONT: 0.25, BACK: 0.30}))
    debit = worth("put", 100, 100, 78, 0.30) - worth("put", 100, 100, 50, 0.25)
    assert -dear.credit == pytest.approx(debit)
    assert dear.max_profit == pytest.approx(100 * (worth("put", 100, 100, 28, 0.30) - debit), rel=1e-3)
    assert dear.iv == pytest.approx(0.25, abs=0.001)
    assert "(30.0%)" in " ".join(dear.notes)


def test_the_spread_of_both_legs_is_given_away() -> None:
    at_mid, paid = (only(quotes({FRONT: 0.25, BACK: 0.25}), costs=costs) for costs in (AT_MID, None))
    assert paid.credit == pytest.approx(at_mid.credit - 0.16 * 2 * 0.02)
    assert paid.max_loss == pytest.approx(at_mid.max_loss + 100 * 0.16 * 2 * 0.02)
    assert paid.expected_value == pytest.approx(at_mid.expected_value - 100 * 0.16 * 2 * 0.02)


def test_a_european_back_leg_below_its_payoff_is_told() -> None:
    frame = quotes({FRONT: 0.15, BACK: 0.15}, rate=0.06)
    opp = only(frame, rate=0.06)
    assert any("on top of the debit" in note for note in opp.notes)
    # at almost nothing the back put is worth its discounted strike: 100 · (1 - e^(-0.06 · 28/365))
    beyond = 100 * (1 - math.exp(-0.06 * 28 / 365))
    assert opp.profit_at(1e-4) == pytest.approx(-opp.max_loss - 100 * beyond, rel=1e-3)
    assert f"{beyond:.2f}" in " ".join(opp.notes)


def test_every_pair_of_expiries_in_bounds_is_a_candidate_and_on_record() -> None:
    days = {FRONT - 3: 0.25, FRONT: 0.25, FRONT + 14: 0.25, BACK: 0.25, FRONT + 49: 0.25, FRONT + 50: 0.25}
    looking = scanner(quotes(days))
    found = looking.scan_for_opportunities()
    rows = looking.candidates
    # fronts at 47 and 50 days; 28 and 49 days behind the one, 31 behind the other (52 and 53 are too far)
    assert sorted(rows["legs"]) == sorted(describe_legs(opp.legs) for opp in found)
    pairs = sorted(tuple((leg.expiry - dt.date(1970, 1, 1)).days for leg in opp.legs) for opp in found)
    assert pairs == [(FRONT - 3, BACK), (FRONT, BACK), (FRONT, FRONT + 49)]
    assert rows["accepted"].all()
    # with another bound the same pairs are refused by name, and no pair is silent
    refused = scanner(quotes(days), min_probability=0.9)
    assert refused.scan_for_opportunities() == []
    assert refused.candidates["filter"].tolist() == ["probability"] * 3
    assert sorted(refused.candidates["legs"]) == sorted(rows["legs"])


def test_without_a_back_expiry_in_bounds_the_nearest_is_named() -> None:
    looking = scanner(quotes({FRONT: 0.25, FRONT + 14: 0.25}))
    assert looking.scan_for_opportunities() == []
    row = looking.candidates.iloc[0]
    assert (row["filter"], row["measure"], row["limit"]) == ("back_dte", 14.0, 21.0)
    assert "14 behind" in row["reason"]
    far = scanner(quotes({FRONT: 0.25, FRONT + 60: 0.25}))
    far.scan_for_opportunities()
    assert far.candidates.iloc[0][["measure", "limit"]].tolist() == [60.0, 49.0]


def changed(day: int, strike: float, **values: float) -> pd.DataFrame:
    frame = quotes({FRONT: 0.25, BACK: 0.25})
    for name, value in values.items():
        at = (frame["kind"] == -1) & (frame["strike"] == strike) & (frame["expiry"] == day)
        frame.loc[at, name] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "name"),
    [
        (changed(BACK, 100.0, bid=0.0), {}, "quote"),
        (changed(FRONT, 100.0, bid=2.0), {}, "spread"),
        (changed(BACK, 100.0, open_interest=50.0), {}, "open_interest"),
        (changed(BACK, 100.0, bid=3.40, ask=3.42), {}, "credit"),
        (changed(FRONT, 100.0), {"max_buying_power": 50.0}, "buying_power"),
        (changed(FRONT, 100.0), {"min_probability": 0.95}, "probability"),
        (changed(FRONT, 100.0), {"min_expected_value": 20.0}, "expected_value"),
        (changed(FRONT, 100.0), {"earnings": {"XYZ": ["2020-02-21"]}}, "earnings"),
        (changed(FRONT, 100.0), {"max_dte": 48, "target_dte": 46}, "dte"),
    ],
)
def test_what_is_refused_has_its_filter(frame: pd.DataFrame, options: dict[str, Any], name: str) -> None:
    looking = scanner(frame, **options)
    assert looking.scan_for_opportunities() == []
    assert looking.candidates["filter"].tolist() == [name]


def test_a_back_strike_that_is_not_listed_is_a_missing_quote() -> None:
    frame = quotes({FRONT: 0.25, BACK: 0.25})
    frame = frame[~((frame["expiry"] == BACK) & (frame["strike"] == 100.0))]
    looking = scanner(frame)
    assert looking.scan_for_opportunities() == []
    row = looking.candidates.iloc[0]
    assert (row["filter"], row["legs"]) == ("quote", "-100P")
    assert "2020-03-20" in row["reason"]


def test_earnings_between_the_expiries_do_not_refuse() -> None:
    assert only(quotes({FRONT: 0.25, BACK: 0.25}), earnings={"XYZ": ["2020-03-02"]}).dte == 50


def test_the_simulator_pays_and_risks_the_same() -> None:
    opp = only(quotes({FRONT: 0.25, BACK: 0.28}), costs=Costs())
    days = np.arange(SESSION, SESSION + 2) * 86_400_000_000_000
    panel = np.stack([np.full(2, 100.0)] * 4 + [np.full(2, 1e6)], axis=-1)[:, None, :]
    bars = Bars.from_arrays(("XYZ",), days, panel)
    bars = bars.with_options(OptionMarket.from_chains(bars, chain(quotes({FRONT: 0.25, BACK: 0.28}))))
    expiries = [[*((leg.expiry - dt.date(1970, 1, 1)).days for leg in opp.legs), 0, 0]]
    legs = make_legs([[leg.spec for leg in opp.legs]], expiry=expiries)
    signals = package_signals(bars, [0], 0, 1, legs, make_rules(1, american=0, physical=0), qty=1.0)
    run = Run(bars, signals, cash=1_000_000.0, risk=None, costs=Costs())
    run.advance()
    position = run.state.positions[run.state.open_slots["slot"][0]]
    assert position["entry_price"] == pytest.approx(-opp.credit)
    assert position["unit_margin"] == pytest.approx(opp.margin)
    assert position["initial_risk"] == pytest.approx(opp.max_loss)


def test_a_calendar_is_sized_by_its_debit() -> None:
    opp = only(quotes({FRONT: 0.25, BACK: 0.25}))
    sizing = PositionSizer(account_size=46000).calculate_position_details(opp)
    assert sizing.contracts == int(920 / opp.max_loss) > 0
    assert sizing.total_credit == pytest.approx(-sizing.max_loss)


def test_the_score_gives_nothing_for_a_credit_that_is_none() -> None:
    opp = only(quotes({FRONT: 0.25, BACK: 0.25}), target_dte=50)
    assert opp.score == pytest.approx(40 * 0.6 + 30 * opp.probability_of_profit + 10)


def test_a_double_calendar_is_found_and_other_ties_of_two_expiries_are_refused() -> None:
    put = LegRule(side=-1, kind="put", delta=(0.2, 0.3, 0.4))
    call = LegRule(side=-1, kind="call", delta=(0.2, 0.3, 0.4))
    behind = [LegRule(side=1, kind=kind, same=at, back=True) for at, kind in enumerate(("put", "call"))]
    double = ScanStrategy(name="double-calendar", legs=(put, call, *behind))
    opp = only(quotes({FRONT: 0.25, BACK: 0.25}), strategies=(double,))
    assert describe_legs(opp.legs) == "-95P -105C +95P@20-03-20 +105C@20-03-20"
    assert len(opp.break_evens) == 2
    peaks = [opp.profit_at(leg.strike) for leg in opp.legs[:2]]
    assert opp.max_profit == pytest.approx(max(peaks))
    wrong: list[tuple[LegRule, ...]] = [
        (put, LegRule(side=1, kind="put", delta=(0.1, 0.2, 0.3), back=True)),
        (put, LegRule(side=-1, kind="put", same=0, back=True)),
        (put, LegRule(side=1, kind="call", same=0, back=True)),
        (put, LegRule(side=1, kind="put", same=0, ratio=2, back=True)),
        (put, call, behind[0]),
        (put, LegRule(side=1, kind="put", same=0), behind[0]),
    ]
    for legs in wrong:
        with pytest.raises(ConfigError) as error:
            ScanStrategy(name="mine", legs=legs)
        assert error.value.code == "CONFIG_SCAN_STRATEGY"
    with pytest.raises(ConfigError):
        ScanStrategy(name="mine", legs=SCAN_STRATEGIES["calendar"].legs, naked=True)
    with pytest.raises(ConfigError, match="min_back_days"):
        scanner(quotes({FRONT: 0.25}), min_back_days=50)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(
    front=st.floats(0.1, 0.6),
    back=st.floats(0.1, 0.6),
    spots=st.lists(st.floats(20.0, 400.0), min_size=1, max_size=5),
    style=st.sampled_from((1, 2)),
)
def test_no_price_at_the_front_expiry_is_beyond_profit_and_loss_or_on_the_wrong_side(
    front: float, back: float, spots: list[float], style: int
) -> None:
    looking = scanner(quotes({FRONT: front, BACK: back}, style=style), max_spread_share=None)
    for opp in looking.scan_for_opportunities():
        # where the back leg is much dearer than the front leg no price brings a profit
        assert len(opp.break_evens) == (2 if opp.max_profit > 0 else 0)
        assert (opp.probability_of_profit > 0) == (opp.max_profit > 0)
        low, high = opp.break_evens or (math.nan, math.nan)
        for spot in spots:
            gain = opp.profit_at(spot)
            assert -opp.max_loss - 1e-6 <= gain <= opp.max_profit + 1e-6
            if not min(abs(spot - low), abs(spot - high)) <= 0.01:
                assert (gain > 0) == (low < spot < high)
    assert len(looking.candidates) == 1
