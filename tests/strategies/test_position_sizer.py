"""How many packages fit: by hand at the limits, and never beyond them."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, SignalError, TwinstepError, TwinstepWarning
from simulator.risk_limits import RiskLimits
from simulator.types import Opportunity, OptionLeg, Sizing
from strategies import OptionsScanner, PositionSizer

EXPIRY = dt.date(2020, 2, 21)


def opportunity(**changes: Any) -> Opportunity:
    """A put spread five wide at 1.90: 310 can be lost, and 310 are tied up."""
    values: dict[str, Any] = {
        "symbol": "SPY", "strategy": "short-put-spread",
        "legs": (OptionLeg(-1, "put", 95.0, EXPIRY), OptionLeg(1, "put", 90.0, EXPIRY)),
        "expiry": EXPIRY, "dte": 45, "as_of": dt.datetime(2020, 1, 7, 21, tzinfo=dt.UTC), "spot": 100.0,
        "credit": 1.90, "mid_credit": 1.95, "width": 5.0, "max_profit": 190.0, "max_loss": 310.0,
        "break_evens": (93.1,), "probability_of_profit": 0.7, "probability_basis": "quoted IVs",
        "expected_value": -5.0, "margin": 500.0, "buying_power": 310.0, "risk": 310.0,
        "risk_basis": "max loss", "iv": 0.25, "iv_rank": 68.0, "delta": 12.0, "theta": 4.0, "vega": -6.0,
        "score": 70.0, "grade": "quoted",
    }  # fmt: skip
    return Opportunity(**{**values, **changes})


def sized(sizer: PositionSizer | None = None, **changes: Any) -> Sizing:
    return (sizer or PositionSizer(account_size=46000)).calculate_position_details(opportunity(**changes))


FIVE = PositionSizer(account_size=46000, risk_per_trade_pct=5.0, max_portfolio_heat_pct=25.0)


def test_the_defaults_are_those_of_the_risk_manager() -> None:
    sizer, limits = PositionSizer(account_size=46000), RiskLimits()
    assert sizer.risk_per_trade_pct == limits.risk_per_trade_pct
    assert sizer.max_portfolio_heat_pct == limits.max_portfolio_heat_pct
    assert sizer.max_position_pct == limits.max_sector_exposure_pct
    # 2 % of 46,000 is 920, and 920 / 310 is 2.97
    assert (sized().contracts, sized().rule) == (2, "risk_per_trade")


def test_limits_that_are_given_replace_the_defaults_and_yield_to_single_ones() -> None:
    limits = RiskLimits(risk_per_trade_pct=1.0, max_portfolio_heat_pct=150.0, max_position_size_pct=7.0)
    sizer = PositionSizer(account_size=46000, limits=limits)
    assert (sizer.risk_per_trade_pct, sizer.max_portfolio_heat_pct, sizer.max_position_pct) == (1, 100, 7)
    assert PositionSizer(account_size=46000, limits=limits, risk_per_trade_pct=3.0).risk_per_trade_pct == 3.0


def test_the_workflow_of_the_quick_start_gives_contracts_at_the_defaults() -> None:
    with pytest.warns(TwinstepWarning, match="CONFIG_SCAN_SAMPLE"):
        found = OptionsScanner().scan_for_opportunities()
    sizes = [PositionSizer(account_size=46000).calculate_position_details(opp) for opp in found]
    assert any(sizing.contracts >= 1 for sizing in sizes)
    assert all(sizing.risk <= 920 for sizing in sizes)


def test_the_seven_spreads_of_the_quick_start_need_five_percent() -> None:
    sizing = sized(FIVE)
    # 5 % of 46,000 is 2,300, and 2,300 / 310 is 7.4
    assert (sizing.contracts, sizing.rule) == (7, "risk_per_trade")
    assert sizing.total_credit == pytest.approx(1330.0)
    assert (sizing.max_loss, sizing.risk, sizing.buying_power) == (2170.0, 2170.0, 2170.0)
    assert sizing.account_percent == pytest.approx(100 * 2170 / 46000)
    assert sizing.heat_percent == pytest.approx(100 * 2170 / 46000)
    assert sizing.limits == {
        # 25 % of 46,000 is 11,500, and 50 % is 23,000
        "risk_per_trade": 7.0, "position_size": 37.0, "heat": 37.0, "buying_power": 74.0,
        "max_contracts": math.inf,
    }  # fmt: skip
    assert "5% of 46,000.00 is 2,300.00, risk of one is 310.00: 7" in sizing.reasons[0]
    assert len(sizing.reasons) == 4
    assert str(sizing).startswith("7 contracts: credit 1,330, max loss 2,170")


@pytest.mark.parametrize(
    ("options", "changes", "open_", "rule", "contracts"),
    [
        ({}, {}, {}, "risk_per_trade", 7),
        ({}, {"buying_power": 6000.0}, {}, "position_size", 1),
        ({}, {}, {"open_risk": 11000.0}, "heat", 1),
        ({}, {}, {"open_buying_power": 22000.0}, "buying_power", 3),
        ({"max_contracts": 2}, {}, {}, "max_contracts", 2),
        ({"risk_per_trade_pct": 2.0}, {}, {}, "risk_per_trade", 2),
        ({"max_portfolio_heat_pct": None}, {}, {"open_risk": 2100.0}, "heat", 2),
    ],
)
def test_the_limit_that_binds_is_named(
    options: dict[str, Any], changes: dict[str, Any], open_: dict[str, float], rule: str, contracts: int
) -> None:
    wide = {"risk_per_trade_pct": 5.0, "max_portfolio_heat_pct": 25.0}
    sizer = PositionSizer(account_size=46000, **{**wide, **options})
    sizing = sizer.calculate_position_details(opportunity(**changes), **open_)
    assert (sizing.rule, sizing.contracts) == (rule, contracts)
    assert sizing.reasons[0].startswith(f"{rule}:")


def test_sizes_are_rounded_down_but_not_for_a_last_binary_digit() -> None:
    assert sized(FIVE, risk=2300.0 / 7).contracts == 7
    assert sized(FIVE, risk=2300.0 / 7 + 0.01).contracts == 6
    # 5 % of 35 is 1.75, which 0.07 divides 25 times, and in binary almost
    assert 0.05 * 35 / 0.07 < 25
    assert (
        sized(
            PositionSizer(account_size=35.0, risk_per_trade_pct=5.0), risk=0.07, buying_power=0.07
        ).contracts
        == 25
    )


def test_one_too_many_is_none_with_a_reason() -> None:
    sizing = sized(FIVE, risk=2301.0)
    assert (sizing.contracts, sizing.total_credit, sizing.max_loss, sizing.heat_percent) == (0, 0.0, 0.0, 0.0)
    assert sizing.rule == "risk_per_trade"
    assert "one is too many" in sizing.reasons[0]
    used_up = FIVE.calculate_position_details(opportunity(), open_risk=20000.0)
    assert (used_up.contracts, used_up.rule) == (0, "heat")


def test_unlimited_loss_is_sized_by_its_risk_and_stays_unlimited() -> None:
    sizing = sized(FIVE, max_loss=math.inf, risk=250.0, buying_power=2000.0, risk_basis="2 sigma")
    assert (sizing.contracts, sizing.rule) == (5, "position_size")
    assert sizing.max_loss == math.inf
    assert "unlimited" in str(sizing)
    assert sized(FIVE, max_loss=math.inf, risk=9999.0).max_loss == 0.0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"account_size": 0}, "CONFIG_ACCOUNT_SIZE"),
        ({"account_size": math.nan}, "CONFIG_ACCOUNT_SIZE"),
        ({"account_size": "46000"}, "CONFIG_ACCOUNT_SIZE"),
        ({"risk_per_trade_pct": 0.0}, "CONFIG_RISK_PCT"),
        ({"max_portfolio_heat_pct": 101.0}, "CONFIG_RISK_PCT"),
        ({"max_position_pct": -1.0}, "CONFIG_POSITION_PCT"),
        ({"max_buying_power_pct": math.nan}, "CONFIG_POSITION_PCT"),
        ({"max_contracts": 0}, "CONFIG_CONTRACTS"),
        ({"max_contracts": 1.5}, "CONFIG_CONTRACTS"),
    ],
)
def test_limits_outside_their_range_are_errors(options: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        PositionSizer(**{"account_size": 46000, **options})
    assert error.value.code == code


@pytest.mark.parametrize("name", ["risk", "buying_power"])
@pytest.mark.parametrize("value", [0.0, -5.0, math.inf, math.nan])
def test_what_costs_nothing_cannot_be_counted(name: str, value: float) -> None:
    with pytest.raises(SignalError, match=name.replace("_", " ")) as error:
        sized(None, **{name: value})
    assert error.value.code == "SIGNAL_OPPORTUNITY"


@pytest.mark.parametrize("name", ["open_risk", "open_buying_power"])
def test_what_is_in_use_is_an_amount(name: str) -> None:
    with pytest.raises(TwinstepError) as error:
        PositionSizer(account_size=1000).calculate_position_details(opportunity(), **{name: -1.0})
    assert error.value.code == "CONFIG_OPEN_RISK"


def test_a_percentage_that_looks_like_a_fraction_is_suspected() -> None:
    with pytest.warns(TwinstepWarning, match="2.0 is 2 %"):
        PositionSizer(account_size=46000, risk_per_trade_pct=0.02)


def test_the_values_survive_pickling_and_show_in_one_line() -> None:
    for value in (opportunity(), sized()):
        assert pickle.loads(pickle.dumps(value)) == value or "nan" in repr(value)  # noqa: S301 - our own
        assert "\n" not in str(value)
        hash(value)
    assert str(opportunity()) == (
        "SPY short-put-spread -95P +90P 2020-02-21 (45d) credit 1.90, max loss 310, P(profit) 70%, "
        "IV rank 68, score 70 [quoted]"
    )


AMOUNT = st.floats(0.01, 1e6)
PERCENT = st.floats(0.1, 100.0)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    account=st.floats(1.0, 1e7), risk=AMOUNT, buying_power=AMOUNT, used=st.tuples(AMOUNT, AMOUNT),
    limits=st.tuples(PERCENT, PERCENT, PERCENT, PERCENT), most=st.none() | st.integers(1, 50),
)  # fmt: skip
def test_no_limit_is_ever_exceeded_and_one_more_would_exceed_the_one_that_bound(
    account: float,
    risk: float,
    buying_power: float,
    used: tuple[float, float],
    limits: tuple[float, float, float, float],
    most: int | None,
) -> None:
    per_trade, position, heat, total = limits
    sizer = PositionSizer(
        account, risk_per_trade_pct=per_trade, max_position_pct=position, max_portfolio_heat_pct=heat,
        max_buying_power_pct=total, max_contracts=most,
    )  # fmt: skip
    sizing = sizer.calculate_position_details(
        opportunity(risk=risk, buying_power=buying_power), open_risk=used[0], open_buying_power=used[1]
    )
    n = sizing.contracts
    limit = {
        "risk_per_trade": (risk, per_trade / 100 * account),
        "position_size": (buying_power, position / 100 * account),
        "heat": (risk, heat / 100 * account - used[0]),
        "buying_power": (buying_power, total / 100 * account - used[1]),
        "max_contracts": (1.0, math.inf if most is None else float(most)),
    }
    assert n >= 0
    if n:
        for unit, room in limit.values():
            assert n * unit <= room * (1 + 1e-8)
    unit, room = limit[sizing.rule]
    assert (n + 1) * unit > room * (1 - 1e-8)
    assert sizing.risk == pytest.approx(n * risk)
    assert sizing.buying_power == pytest.approx(n * buying_power)
