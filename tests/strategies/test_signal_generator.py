"""Position size, signals from patterns, manual signals: golden values and refusals."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, SignalError, TwinstepError, TwinstepWarning
from simulator.types import SignalStrength, TradingSignal
from strategies import (
    PatternScan,
    RiskCalculator,
    SignalGenerator,
    StrengthThresholds,
    create_manual_signal,
)

MOMENT = datetime(2024, 5, 17, tzinfo=UTC)


def scan(**changes: Any) -> PatternScan:
    values: dict[str, Any] = {
        "symbol": "AAPL",
        "pattern": "flag",
        "score": 80.0,
        "entry": 100.0,
        "stop": 96.0,
        "target": 110.0,
        "time": MOMENT,
        "components": {"shallow": 20.0, "pole": 60.0},
        "sector": "Technology",
    }
    return PatternScan(**{**values, **changes})


def test_seed_example() -> None:
    signal = create_manual_signal(
        ticker="AAPL", entry_price=150.00, stop_loss=145.00, target_price=160.00, account_size=100000
    )
    assert (signal.ticker, signal.side, signal.position_size) == ("AAPL", 1, 400)
    assert (signal.risk_amount, signal.reward_amount, signal.risk_reward_ratio) == (2000.0, 4000.0, 2.0)
    assert (signal.strength, signal.signal_type, signal.score) == (SignalStrength.MODERATE, "manual", None)
    assert signal.created_at.tzinfo is not None


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float32, np.float64, int])
def test_prices_may_be_any_kind_of_number(kind: Any) -> None:
    prices = [kind(price) for price in (150, 145, 160, 100_000)]
    signal = create_manual_signal("AAPL", *prices)
    assert (signal.position_size, signal.risk_reward_ratio) == (400, 2.0)
    assert {type(signal.entry_price), type(signal.risk_amount), type(signal.risk_reward_ratio)} == {float}


def test_signal_from_pattern() -> None:
    generator = SignalGenerator(RiskCalculator())
    signal = generator.generate_signal_from_pattern(
        pattern_scan=scan(), account_size=100_000, risk_per_trade_pct=2.0
    )
    assert signal is not None
    assert signal == TradingSignal(
        signal_id=signal.signal_id,
        ticker="AAPL",
        side=1,
        entry_price=100.0,
        stop_loss=96.0,
        target_price=110.0,
        position_size=500,
        strength=SignalStrength.STRONG,
        risk_amount=2000.0,
        reward_amount=5000.0,
        risk_reward_ratio=2.5,
        signal_type="flag",
        created_at=MOMENT,
        score=80.0,
        sector="Technology",
    )
    assert signal.notes == "shallow 20.0, pole 60.0"
    again = generator.generate_signal_from_pattern(scan(), 100_000, 2.0)
    assert again is not None
    assert again.signal_id == signal.signal_id


@pytest.mark.parametrize(
    ("score", "strength"),
    [
        (0.0, SignalStrength.WEAK),
        (59.999, SignalStrength.WEAK),
        (60.0, SignalStrength.MODERATE),
        (74.999, SignalStrength.MODERATE),
        (75.0, SignalStrength.STRONG),
        (84.999, SignalStrength.STRONG),
        (85.0, SignalStrength.VERY_STRONG),
        (100.0, SignalStrength.VERY_STRONG),
    ],
)
def test_golden_strength_thresholds(score: float, strength: SignalStrength) -> None:
    assert StrengthThresholds().classify(score) is strength


def test_thresholds_are_configuration() -> None:
    strict = StrengthThresholds(moderate=70, strong=85, very_strong=95)
    assert strict.classify(80.0) is SignalStrength.MODERATE
    signal = SignalGenerator(thresholds=strict).generate_signal_from_pattern(scan(), 100_000)
    assert signal is not None
    assert signal.strength is SignalStrength.MODERATE
    for wrong in ({"moderate": 80.0}, {"very_strong": 101.0}, {"strong": math.nan}):
        with pytest.raises(ConfigError) as caught:
            StrengthThresholds(**wrong)
        assert caught.value.code == "CONFIG_STRENGTH_THRESHOLDS"


@pytest.mark.parametrize(
    ("changes", "account", "reason"),
    [
        ({"score": 59.9}, 100_000, "score 59.9 is below 60"),
        ({"target": 107.9}, 100_000, "reward to risk 1.98 is below 2"),
        ({}, 150, "does not pay for the risk of one lot"),
        ({"entry": 100.0, "stop": 99.99}, 90.0, "does not pay"),
    ],
)
def test_refusals_say_why(changes: dict[str, float], account: float, reason: str) -> None:
    generator = SignalGenerator()
    assert generator.generate_signal_from_pattern(scan(**changes), account) is None
    assert reason in str(generator.refusal(scan(**changes), account))


@pytest.mark.parametrize(
    ("entry", "stop", "target"), [(10.1, 10.0, 10.3), (1.1, 1.0, 1.3), (150.3, 145.3, 160.3)]
)
def test_a_ratio_of_two_passes_two_whatever_binary_prices_do(
    entry: float, stop: float, target: float
) -> None:
    generator = SignalGenerator()
    assert (
        generator.generate_signal_from_pattern(scan(entry=entry, stop=stop, target=target), 100_000)
        is not None
    )
    assert generator.refusal(scan(), 100_000) is None


def test_short_patterns() -> None:
    signal = SignalGenerator().generate_signal_from_pattern(scan(stop=104.0, target=88.0), 100_000)
    assert signal is not None
    assert (signal.side, signal.position_size, signal.risk_reward_ratio) == (-1, 500, 3.0)


def test_generate_signals_puts_the_best_first() -> None:
    scans = [scan(score=65.0), scan(symbol="MSFT", score=90.0), scan(score=10.0)]
    signals = SignalGenerator().generate_signals(scans, 100_000)
    assert [(signal.ticker, signal.score) for signal in signals] == [("MSFT", 90.0), ("AAPL", 65.0)]


def test_generator_limits_are_checked() -> None:
    with pytest.raises(ConfigError):
        SignalGenerator(min_risk_reward_ratio=-1)
    with pytest.raises(ConfigError):
        SignalGenerator(min_pattern_score=101)
    assert (
        SignalGenerator(min_pattern_score=0, min_risk_reward_ratio=0).refusal(scan(score=0.0), 100_000)
        is None
    )


def test_position_size_is_floored_and_never_more_than_the_account_buys() -> None:
    calculator = RiskCalculator()
    assert calculator.position_size(100_000, 2.0, 150.3, 145.3) == 400
    assert calculator.position_size(100_000, 2.0, 150.0, 144.9) == 392
    assert calculator.position_size(100_000, 2.0, 100.0, 99.9) == 1_000
    assert RiskCalculator(max_position_pct=25.0).position_size(100_000, 2.0, 100.0, 99.0) == 250
    assert RiskCalculator(lot=100).position_size(100_000, 2.0, 150.0, 144.9) == 300
    assert calculator.position_size(1_000, 1.0, 500.0, 400.0) == 0
    assert calculator.position_size(100_000, 2.0, 145.0, 150.0) == 400


@settings(max_examples=200, deadline=None)
@given(
    account=st.floats(100, 1e8),
    risk=st.floats(0.1, 100),
    entry=st.floats(0.01, 1e4),
    share=st.floats(0.001, 0.9),
    lot=st.sampled_from([1, 10, 100]),
)
def test_size_never_risks_or_costs_more_than_allowed(
    account: float, risk: float, entry: float, share: float, lot: int
) -> None:
    stop = entry * (1 - share)
    size = RiskCalculator(lot=lot).position_size(account, risk, entry, stop)
    assert size >= 0
    assert size % lot == 0
    assert size * (entry - stop) <= account * risk / 100 * (1 + 1e-8)
    assert size * entry <= account * (1 + 1e-8)
    larger = size + lot
    assert larger * (entry - stop) > account * risk / 100 * (1 - 1e-8) or larger * entry > account * (
        1 - 1e-8
    )


BAD_SIGNALS: list[tuple[dict[str, Any], str]] = [
    ({"stop_loss": 150.0}, "SIGNAL_STOP_SIDE"),
    ({"stop_loss": 155.0}, "SIGNAL_TARGET_SIDE"),
    ({"target_price": 149.0}, "SIGNAL_TARGET_SIDE"),
    ({"target_price": 150.0}, "SIGNAL_TARGET_SIDE"),
    ({"entry_price": -1.0}, "SIGNAL_PRICE"),
    ({"entry_price": math.nan}, "SIGNAL_PRICE"),
    ({"stop_loss": 0.0}, "SIGNAL_PRICE"),
    ({"target_price": math.inf}, "SIGNAL_PRICE"),
    ({"entry_price": "150"}, "SIGNAL_PRICE"),
    ({"stop_loss": True}, "SIGNAL_PRICE"),
    ({"account_size": 0}, "CONFIG_ACCOUNT_SIZE"),
    ({"account_size": 100}, "SIGNAL_SIZE"),
    ({"risk_per_trade_pct": 0.0}, "CONFIG_RISK_PCT"),
    ({"risk_per_trade_pct": 101.0}, "CONFIG_RISK_PCT"),
    ({"score": 101.0}, "SIGNAL_SCORE"),
    ({"strength": "HUGE"}, "SIGNAL_STRENGTH"),
    ({"strength": 7}, "SIGNAL_STRENGTH"),
    ({"ticker": " "}, "SIGNAL_SYMBOL"),
    ({"created_at": datetime(2024, 5, 17)}, "SIGNAL_NAIVE_TIME"),  # noqa: DTZ001 - naive on purpose
]


@pytest.mark.parametrize(("changes", "code"), BAD_SIGNALS)
def test_impossible_manual_signals_are_refused(changes: dict[str, Any], code: str) -> None:
    values: dict[str, Any] = {
        "ticker": "AAPL",
        "entry_price": 150.0,
        "stop_loss": 145.0,
        "target_price": 160.0,
        "account_size": 100_000,
    }
    with pytest.raises(TwinstepError) as caught:
        create_manual_signal(**{**values, **changes})
    assert caught.value.code == code


def test_impossible_scans_are_refused() -> None:
    with pytest.raises(SignalError):
        SignalGenerator().generate_signal_from_pattern(scan(score=math.nan), 100_000)
    with pytest.raises(SignalError):
        SignalGenerator().generate_signal_from_pattern(scan(target=90.0), 100_000)


def test_a_fraction_where_percent_is_meant_warns() -> None:
    with pytest.warns(TwinstepWarning, match="CONFIG_PERCENT_LOOKS_LIKE_FRACTION"):
        create_manual_signal("AAPL", 150.0, 145.0, 160.0, 100_000, risk_per_trade_pct=0.02)


def test_manual_signal_details() -> None:
    cet = timezone(timedelta(hours=2))
    signal = create_manual_signal(
        "AAPL", 150, 155, 140, 100_000, strength="very strong", score=91.0, sector="Technology",
        notes="double top", created_at=datetime(2024, 5, 17, 2, tzinfo=cet),
    )  # fmt: skip
    assert (signal.side, signal.strength, signal.created_at) == (-1, SignalStrength.VERY_STRONG, MOMENT)
    assert (signal.entry_price, signal.notes, signal.sector) == (150.0, "double top", "Technology")
    named = create_manual_signal("AAPL", 150.0, 145.0, 160.0, 100_000, signal_id="mine")
    assert named.signal_id == "mine"


def test_calculator_settings_are_checked() -> None:
    with pytest.raises(SignalError, match="risk per share is 0"):
        RiskCalculator().position_size(100_000, 2.0, 150.0, 150.0)
    with pytest.raises(ConfigError):
        RiskCalculator(max_position_pct=0)
    with pytest.raises(ConfigError):
        RiskCalculator(lot=0)


def test_importing_strategies_and_manual_signals_needs_neither_numba_nor_pandas() -> None:
    code = (
        "import sys, strategies, strategies.indicators\n"
        "from strategies import create_manual_signal, SignalGenerator, PatternScan, STRATEGIES, Strategy\n"
        "create_manual_signal('A', 150.0, 145.0, 160.0, 1e5)\n"
        "assert not {'numba', 'pandas'} & set(sys.modules), 'heavy import'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
