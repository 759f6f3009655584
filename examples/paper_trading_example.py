"""Paper trading by workflow: the quick start, risk limits, trailing, scans, review, safety, lessons.

Everything runs on a paper account without a feed: prices are given by hand, or taken from the bundled sample
of real daily closes, one tick per session. The clock is told what time it is, so every run prints the same.

    python examples/paper_trading_example.py
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from journal import MistakeCategory
from live import (
    AutomationConfig,
    AutomationMode,
    ExecutionMode,
    FakeClock,
    TradingAutomation,
    verify_parity,
)
from simulator import load_bars
from simulator.types import TradingSignal
from strategies import SignalGenerator, create_manual_signal
from strategies.patterns.scan import scan_patterns
from strategies.risk_calculator import RiskCalculator

START = datetime(2026, 3, 2, 15, tzinfo=UTC)


def main() -> None:
    """Run all workflows."""
    with tempfile.TemporaryDirectory() as folder:
        quick_start(Path(folder))
    risk_management()
    trailing_and_scaling()
    kill_switch()
    review_queue()
    a_year_of_real_prices()


def quick_start(folder: Path) -> None:
    """One trade from signal to report, call by call."""
    title("Quick start")
    config = AutomationConfig(
        account_size=100000,
        risk_per_trade_pct=2.0,
        max_portfolio_heat_pct=6.0,
        automation_mode=AutomationMode.SEMI_AUTO,
    )
    automation = TradingAutomation(config, journal=folder / "trades.db", clock=FakeClock(START))
    signal = apple()
    print(f"Signal: {signal.position_size} shares at 150.00, stop 145.00, target 160.00")

    automation.process_signal(signal)
    verdict = automation.verdict(signal.signal_id)
    print(f"Verdict: {verdict.granted:g} of {verdict.asked:g} granted, by the rule '{verdict.rule.label}'")
    print("   400 shares are 60 % of the account; one sector may hold 25 %, and 25,000 / 150 is 166")

    automation.execute_signal(signal.signal_id)
    automation.update_positions({"AAPL": 152.00})
    for position in automation.get_portfolio_status()["positions"]:
        print(
            f"Open: {position['quantity']:g} {position['symbol']} at {position['price']:.2f}, "
            f"{position['unrealized_pnl']:+.2f}, stop {position['stop']:.2f}"
        )
    automation.close_position("AAPL", exit_price=155.00, reason="target_reached")

    status = automation.get_portfolio_status()
    print(f"Portfolio Heat: {status['portfolio_heat']:.2f}%")
    print(f"Win Rate: {status['performance']['win_rate']:.2f}%")

    tracker = automation.tracker
    tracker.add_mistake(
        trade_id="TRADE_001",
        mistake_category=MistakeCategory.PREMATURE_EXIT,
        description="Sold at first resistance instead of target",
    )
    tracker.add_lesson(trade_id="TRADE_001", lesson="Wait for target or stop, don't exit early on noise")
    report = automation.generate_report(days=30)
    for recommendation in report["recommendations"]:
        print(f"* {recommendation}")
    for mistake, count in report["common_mistakes"].items():
        print(f"! {mistake}: {count} times")

    automation.save_session(folder / "session.db", "quick start")
    receipt = verify_parity(folder / "session.db", "quick start")
    print(f"Replayed through a backtest: {'equal in every byte' if receipt.ok else receipt.difference}")
    automation.close()


def risk_management() -> None:
    """Three trades fill the portfolio's heat; the fourth is refused, and says why."""
    title("Risk management: 2 % per trade, 6 % in all")
    config = AutomationConfig(use_trailing_stops=False)
    with TradingAutomation(config, clock=FakeClock(START)) as automation:
        for ticker in ("JPM", "XOM", "KO", "CAT"):
            signal = create_manual_signal(
                ticker, 100.0, 80.0, 140.0, 100_000, sector=ticker, created_at=START
            )
            if automation.process_signal(signal) is None:
                print(f"{ticker}: {automation.refusal(signal.signal_id)}")
                continue
            automation.execute_signal(signal.signal_id)
            print(f"{ticker}: heat is {automation.get_portfolio_status()['portfolio_heat']:.2f}%")
        closed = automation.emergency_close_all(reason="market_crash")
        print(f"Closed {closed} positions")


def trailing_and_scaling() -> None:
    """Half is sold at 1 R, the rest trails, and a stale trade ends after thirty days."""
    title("Trailing stop, scale-out, time exit")
    clock = FakeClock(START)
    config = AutomationConfig(scale_out_enabled=True, trailing_stop_percent=3.0)
    with TradingAutomation(config, clock=clock) as automation:
        signal = apple(target_price=170.0)
        automation.process_signal(signal)
        automation.execute_signal(signal.signal_id)
        for price in (153.0, 155.5, 160.0, 158.0, 155.0):
            clock.advance(timedelta(hours=1))
            ended = automation.update_positions({"AAPL": price})
            trail = automation.bracket(signal.signal_id).trailing_stop
            held = sum(each["quantity"] for each in automation.get_portfolio_status()["positions"])
            level = trail.level if trail is not None and trail.level is not None else 0.0
            print(f"AAPL {price:.2f}: {held:g} shares, trail at {level:.2f}")
            for trade in ended:
                print(f"   ended by {trade.close_code}: {trade.pnl:+.2f}, {trade.r_multiple:+.2f} R")
        slow = create_manual_signal("KO", 60.0, 57.0, 70.0, 100_000, created_at=clock())
        automation.process_signal(slow)
        automation.execute_signal(slow.signal_id)
        clock.advance(timedelta(days=30))
        for trade in automation.update_positions({"KO": 60.5}):
            print(f"KO after thirty days: ended by {trade.close_code}, {trade.pnl:+.2f}")


def kill_switch() -> None:
    """Lose more than the daily limit by a gap: trading halts until a person arms it."""
    title("Daily loss limit and kill switch")
    clock = FakeClock(START)
    config = AutomationConfig(max_sector_exposure_pct=100.0)
    with TradingAutomation(config, clock=clock) as automation:
        signal = apple()
        automation.process_signal(signal)
        automation.execute_signal(signal.signal_id)
        automation.update_positions({"AAPL": 143.0})
        status = automation.broker_manager.kill_switch.status
        print(f"Engaged: {status['engaged']}, {status['reason']}")
        clock.advance(timedelta(days=1))
        other = create_manual_signal("MSFT", 100.0, 95.0, 110.0, 90_000, created_at=clock())
        print(f"Next day: {automation.process_signal(other) or automation.refusal(other.signal_id)}")
        automation.broker_manager.kill_switch.arm("ada", "reviewed the loss, a news gap")
        print(f"Armed by a person: admitted {automation.process_signal(other) is not None}")
        automation.broker_manager.engage_kill_switch(reason="Market crash detected", engaged_by="system")
        print(f"Engaged: {automation.broker_manager.kill_switch.status['engaged']}")


def review_queue() -> None:
    """Orders wait for a person, and are judged again when the person says yes."""
    title("Manual review")
    config = AutomationConfig()
    with TradingAutomation(config, clock=FakeClock(START)) as automation:
        config.execution_mode = ExecutionMode.MANUAL_REVIEW
        manager = automation.broker_manager
        first = apple()
        second = create_manual_signal("XOM", 100.0, 95.0, 110.0, 100_000, sector="Energy", created_at=START)
        for signal in (first, second):
            automation.process_signal(signal)
            automation.execute_signal(signal.signal_id)
        pending = manager.get_pending_requests()
        print(f"Waiting: {', '.join(request.order.symbol for request in pending)}")
        answer = manager.approve_request(pending[0].request_id, approved_by="user")
        print(f"{pending[0].order.symbol}: approved {answer.accepted}")
        manager.reject_request(pending[1].request_id, reason="High volatility")
        for signal in (first, second):
            print(f"{signal.ticker}: {automation.refusal(signal.signal_id) or 'open'}")


def a_year_of_real_prices() -> None:
    """Scan, review, fill and follow: 2012 of the bundled sample, one tick per session."""
    title("2012 of real prices: pattern scans to report")
    bars = load_bars("sample:stocks", start="2010-01-01", end="2012-12-31")
    found = scan_patterns(bars)
    clock = FakeClock(datetime(2012, 1, 1, tzinfo=UTC))
    config = AutomationConfig(
        max_sector_exposure_pct=100.0,  # the sample has one sector
        execution_mode=ExecutionMode.MANUAL_REVIEW,
        min_pattern_score=50.0,
        trailing_stop_percent=8.0,
    )
    generator = SignalGenerator(RiskCalculator(), min_pattern_score=50.0)
    with TradingAutomation(config, clock=clock) as automation:
        for row in range(len(bars)):
            day = datetime.fromtimestamp(int(bars.close_ts[row]) // 1_000_000_000, UTC)
            if day.year < 2012:
                continue
            clock.set(day)
            switch = automation.broker_manager.kill_switch
            if switch.status["engaged"]:
                print(f"{day:%Y-%m-%d}: ada arms the kill switch again after: {switch.status['reason']}")
                switch.arm("ada", "a new session, the loss is understood")
            closes = {name: float(bars.close[row, i]) for i, name in enumerate(bars.symbols)}
            automation.update_positions({name: price for name, price in closes.items() if price > 0})
            for scan in found:
                if scan.row != row:
                    continue
                signal = generator.generate_signal_from_pattern(
                    pattern_scan=scan, account_size=100_000, risk_per_trade_pct=2.0
                )
                if signal and automation.process_signal(signal) is not None:
                    automation.execute_signal(signal.signal_id)
            for request in automation.broker_manager.get_pending_requests():
                automation.broker_manager.approve_request(request.request_id, approved_by="user")
        automation.emergency_close_all(reason="end of the year")
        for trade in automation.journal.trades("closed", source="paper"):
            print(
                f"{trade.entry_time:%m-%d} to {trade.exit_time:%m-%d} {trade.symbol:4} {trade.strategy:22} "
                f"{trade.close_code or '':6} {trade.pnl:+9.2f} {trade.r_multiple or 0.0:+.2f} R"
            )
        print(f"Equity at the end: {automation.get_portfolio_status()['equity']:,.2f}")
        refused = automation.journal.recommendations("ignored", source="paper")
        print(
            f"{len(refused)} signals were refused, the last one: {refused[-1].decision if refused else '-'}"
        )
        report = automation.generate_report(days=400)
        print(f"Win rate {report.metrics.win_rate:.0f} %, expectancy {report.metrics.expectancy:+.2f}")
        for recommendation in report["recommendations"]:
            print(f"* {recommendation}")


def apple(target_price: float = 160.0) -> TradingSignal:
    """Return the signal of the quick start."""
    return create_manual_signal(
        ticker="AAPL",
        entry_price=150.00,
        stop_loss=145.00,
        target_price=target_price,
        account_size=100000,
        created_at=START,
    )


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}")


if __name__ == "__main__":
    main()
