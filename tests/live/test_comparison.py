"""A session against backtests over other bars: what is the same, what differs, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live import Session, compare_with_backtest, verify_parity
from live.comparison import Comparison
from live.sessions.account import Rules
from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from simulator.errors import ConfigError, DataError, UnknownNameError
from strategies.registry import strategy_class

HOUR = 3_600_000_000_000
LIMITS = RiskLimits(
    max_portfolio_heat_pct=60.0, max_sector_exposure_pct=100.0, max_correlation=1.0, daily_loss_limit=50.0,
    max_days_in_trade=None, max_gross_exposure_pct=100.0, min_risk_reward_ratio=0.5,
)  # fmt: skip


def breakout() -> Any:
    return strategy_class("donchian-breakout")()


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:4x160?seed=11")


@pytest.fixture(scope="module")
def hourly() -> Bars:
    """Sixty days around the clock, a bar every three hours."""
    random = np.random.default_rng(3)
    steps = 100.0 * np.exp(np.cumsum(0.002 * random.standard_normal((60 * 8 * 6, 3)), axis=0))
    parts = steps.reshape(60 * 8, 6, 3)
    panel = np.stack(
        [parts[:, 0], parts.max(axis=1), parts.min(axis=1), parts[:, -1], np.full((480, 3), 1e6)], axis=2
    )
    first = 19_700 * 24 * HOUR
    return Bars.from_arrays(
        ["A", "B", "C"], first + 3 * HOUR * np.arange(480), panel, calendar="24/7", name="hourly"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def played(path: Path, bars: Bars, **more: Any) -> None:
    with Session(path, like=bars, group=20, **more) as session:
        session.push(bars)


def no_difference_without_its_rows(found: Comparison) -> None:
    """What is said adds up."""
    assert found.equal + len(found.differences) >= max(found.live_trades, found.backtest_trades)
    both = sum(1 for one in found.differences if one.live is not None and one.backtest is not None)
    assert found.equal + both + sum(one.live is None for one in found.differences) == found.backtest_trades
    assert found.equal + both + sum(one.backtest is None for one in found.differences) == found.live_trades
    assert sum(found.causes.values()) == len(found.differences)


def test_over_its_own_bars_every_trade_is_the_same(bars: Bars, path: Path) -> None:
    chosen = [breakout(), strategy_class("sma-cross")(fast=5, slow=20)]
    played(path, bars, strategies=chosen)
    expected = backtest(bars, chosen)
    for strategies in (None, chosen):
        found = compare_with_backtest(path, bars, strategies=strategies)
        assert found.ok, str(found)
        assert found.live_trades == found.backtest_trades == found.equal == len(expected.trades) > 5
        assert found.live_pnl == pytest.approx(expected.trades["pnl"].sum(), abs=1e-6)
        assert "trades are the same" in str(found)


@pytest.mark.parametrize("sectors", [["TEC", "ENE"], ["Metals", "Health"]])
def test_signals_may_name_their_sectors(path: Path, sectors: list[str]) -> None:
    days = np.arange(19_700, 19_706) * 24 * HOUR
    panel = np.full((6, 2, 5), 100.0)
    panel[3:] = 131.0
    bars = Bars.from_arrays(["A", "B"], days, panel, calendar="24/7", sectors={"A": "ENE", "B": "TEC"})
    signals = Signals.from_arrays(bars, [0, 0], ["A", "B"], 1, stop=95.0, target=130.0, sector=sectors)
    with Session(path, like=bars, risk=RiskLimits(max_correlation=None)) as session:
        for row in range(len(bars)):
            session.push(bars[row : row + 1], signals if row == 0 else None)
    assert verify_parity(path).ok
    found = compare_with_backtest(path, bars, strategies=lambda bars: signals)
    assert found.ok, str(found)
    assert found.equal == 2


def test_what_lacks_a_symbol_or_has_others_first(bars: Bars, path: Path) -> None:
    played(path, bars, strategies=breakout())
    turned = bars.select(bars.symbols[::-1])
    assert compare_with_backtest(path, turned).ok
    without = compare_with_backtest(
        path, bars.select([symbol for symbol in bars.symbols if symbol != "TEC1"])
    )
    assert {one.symbol for one in without.differences if one.cause == "no symbol"} == {"TEC1"}
    assert any("no place" in note for note in without.notes)
    no_difference_without_its_rows(without)


def test_a_gap_in_the_feed(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=breakout(), group=20) as session:
        session.push(bars[:80])
        session.push(bars[95:])
    found = compare_with_backtest(path, bars, strategies=breakout())
    causes = found.causes
    assert causes["gap in feed"] > 0
    assert any("the feed had nothing in 15 of 160 bars" in note for note in found.notes)
    first = found.differences[0]
    assert first.cause == "gap in feed"
    no_difference_without_its_rows(found)


def quiet(actions: Any = ()) -> Bars:
    """Thirty sessions of prices that rise slowly, and reach no stop."""
    import pandas as pd

    closes = np.array([100.0 + 0.1 * day for day in range(30)])
    frame = pd.DataFrame(
        {"open": closes, "high": closes + 0.2, "low": closes - 0.2, "close": closes, "volume": 1e6},
        index=pd.bdate_range("2024-01-02", periods=30),
    )
    return Bars.from_frames({"AAA": frame}, raw=True, actions=actions)


def test_a_dividend_that_only_one_side_paid(path: Path) -> None:
    live, paying = quiet(), quiet([("AAA", "2024-01-15", "dividend", 1.0)])
    signals = Signals.from_arrays(live, [3], 0, 1, stop_percent=8.0, qty=100, max_bars=15)
    played(path, live, strategies=signals)
    assert compare_with_backtest(path, live).ok
    found = compare_with_backtest(path, paying)
    [one] = found.differences
    assert (one.fields, one.cause) == (("dividends", "profit"), "dividends")
    assert one.live is not None
    assert one.backtest is not None
    assert (one.live.dividends, one.backtest.dividends) == (0.0, 100.0)
    assert one.backtest.pnl == pytest.approx(one.live.pnl + 100.0)
    assert "0.00 live, 100.00 in the backtest" in str(one)
    assert one.plain()["live"]["fees"] == one.live.fees
    no_difference_without_its_rows(found)


def test_fees_that_only_one_side_paid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.costs import Costs

    bars = quiet()
    signals = Signals.from_arrays(bars, [3], 0, 1, stop_percent=8.0, qty=100, max_bars=15)
    played(path, bars, strategies=signals, costs=Costs(commission_per_share=0.01))
    assert compare_with_backtest(path, bars).ok
    usual = Rules.arguments
    monkeypatch.setattr(Rules, "arguments", lambda rules: {**usual(rules), "costs": None})
    [one] = compare_with_backtest(path, bars).differences
    assert (one.fields, one.cause) == (("fees", "profit"), "fees")
    assert one.live is not None
    assert one.live.fees == pytest.approx(2.0)


def test_a_late_bar(bars: Bars, path: Path) -> None:
    panel = bars.panel[80:81].copy()
    panel[0, :, :4] *= 1.05
    revised = bars[80:81].replaced(panel=panel)
    signals = Signals.from_arrays(bars, [79], [1], 1, stop_percent=1.0, target_percent=2.0)
    with Session(path, like=bars, risk=LIMITS) as session:
        for row in range(160):
            session.push(bars[row : row + 1], signals if row == 79 else None)
            if row == 82:
                session.push(revised)
    other = bars.panel.copy()
    other[80] = panel[0]
    found = compare_with_backtest(path, bars.replaced(panel=other, name="revised"))
    assert [one.cause for one in found.differences] == ["late bar"]
    assert "revised bar" in found.differences[0].detail


def test_other_prices(bars: Bars, path: Path) -> None:
    played(path, bars, strategies=breakout())
    panel = bars.panel.copy()
    panel[60:, 0, :4] *= 1.01
    found = compare_with_backtest(path, bars.replaced(panel=panel, name="another source"))
    assert found.source == "another source"
    touched = [one for one in found.differences if one.symbol == bars.symbols[0]]
    assert touched
    assert touched[0].cause == "prices"
    assert touched[0].live is not None
    assert touched[0].backtest is not None
    no_difference_without_its_rows(found)


def test_signals_of_one_side_only(bars: Bars, path: Path) -> None:
    signals = Signals.from_arrays(bars, [20, 60, 100], [0, 1, 2], 1, stop_percent=5.0, target_percent=15.0)
    fewer = Signals.from_arrays(bars, [20, 60], [0, 1], 1, stop_percent=5.0, target_percent=15.0)
    played(path, bars, strategies=[fewer], risk=LIMITS)
    found = compare_with_backtest(path, bars, strategies=[signals])
    assert [(one.cause, one.fields) for one in found.differences] == [
        ("missing signal", ("only in the backtest",))
    ]
    turned = compare_with_backtest(path, bars, strategies=[Signals.from_arrays(
        bars, [20], [0], 1, stop_percent=5.0, target_percent=15.0)])  # fmt: skip
    assert [(one.cause, one.fields) for one in turned.differences] == [("missing signal", ("only live",))]


def test_another_verdict_and_what_follows(bars: Bars, path: Path) -> None:
    rows = np.array([20, 31, 42, 81, 92])
    signals = Signals.from_arrays(bars, rows, rows % 4, 1, stop_percent=30.0, target_percent=60.0)
    narrow = dataclasses.replace(LIMITS, risk_per_trade_pct=0.5)
    with Session(path, like=bars, risk=LIMITS, group=20, strategies=[signals]) as session:
        session.push(bars[:70])
    with Session(path, risk=narrow, strategies=[signals], accept_change="less risk") as session:
        session.push(bars[70:])
    found = compare_with_backtest(path, bars)
    assert found.differences[0].cause == "verdict"
    assert "granted" in found.differences[0].detail
    assert "quantity" in found.differences[0].fields
    assert any("changed on the way" in note for note in found.notes)
    assert set(found.causes) <= {"verdict", "account"}
    no_difference_without_its_rows(found)


def test_a_coarser_bar_does_not_know_the_path(hourly: Bars, path: Path) -> None:
    daily = hourly.resample("1D")
    rows = np.arange(16, 470, 24)
    signals = Signals.from_arrays(hourly, rows, rows % 3, 1, stop_percent=1.0, target_percent=1.0, qty=10.0)
    played(path, hourly, strategies=[signals], risk=None)
    found = compare_with_backtest(path, daily)
    assert (found.live_bars, found.bars) == (len(daily) * 8, len(daily))
    assert found.live_trades == found.backtest_trades == len(rows)
    assert set(found.causes) == {"path"}
    assert all(one.live is not None and one.backtest is not None for one in found.differences)
    # a signal of noon is known to the daily bar at its close
    first = found.differences[0]
    assert first.live is not None
    assert first.backtest is not None
    assert first.live.entry_row <= first.backtest.entry_row
    no_difference_without_its_rows(found)


def test_commands_are_given_too(hourly: Bars, path: Path) -> None:
    daily = hourly.resample("1D")
    signals = Signals.from_arrays(hourly, [7], [0], 1, stop_percent=50.0, qty=10.0)
    with Session(path, like=hourly, risk=None, strategies=[signals]) as session:
        session.push(hourly[:80])
        session.command("close", "A")
        session.push(hourly[80:])
        found = compare_with_backtest(session, daily)
    # the signal came with the day's last bar and the close with a day's first: nothing is coarser
    assert found.ok, str(found)
    assert found.live_trades == 1


def test_what_cannot_be_compared(bars: Bars, hourly: Bars, path: Path) -> None:
    with Session(path, like=bars) as session:
        with pytest.raises(ConfigError) as caught:
            compare_with_backtest(session, bars)
        assert caught.value.code == "LIVE_COMPARE"
        session.push(bars[50:60])
    with pytest.raises(ConfigError, match="as coarse or coarser"):
        compare_with_backtest(path, hourly)
    for beside in (bars[:40], bars[70:]):
        with pytest.raises(DataError) as outside:
            compare_with_backtest(path, beside)
        assert outside.value.code == "LIVE_COMPARE"
    with pytest.raises(UnknownNameError):
        compare_with_backtest(path, bars, "another")
    found = compare_with_backtest(path, bars)
    assert found.ok
    assert (found.live_bars, found.bars, found.live_trades) == (10, 10, 0)
    assert found.plain()["ok"] is True
