"""Paper trading by workflow: quick start, modes, limits, orders, review, safety, lessons, and a real year.

Everything runs on paper accounts without a feed: prices are given by hand, or taken from the bundled sample
of real daily closes, one price per symbol and session. The clock is told what time it is, so every run prints
the same. Each account is a session in a journal; the replays at the end of the first and the last workflow
compare every byte with a backtest.

    python examples/paper_trading_example.py
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
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
from simulator.order_manager import ScaleIn, ScaleOut, TrailingStop
from simulator.types import SignalStrength, TradingSignal
from strategies import SignalGenerator, create_manual_signal
from strategies.patterns.scan import PatternScan, scan_patterns
from strategies.risk_calculator import RiskCalculator

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
YEAR = 2007


def main() -> None:
    """Run all workflows."""
    with tempfile.TemporaryDirectory() as folder:
        quick_start(Path(folder))
        modes()
        risk_management()
        orders()
        trailing_and_scaling()
        kill_switch()
        review_queue()
        a_year_of_real_prices(Path(folder))


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
    print(f"Exported: {tracker.export_json(folder / 'trades.json').name}")
    automation.close()
    replayed(folder / "trades.db", "automation")


def modes() -> None:
    """Who makes signals and who executes them, in each of the three modes."""
    title("Automation modes")
    scan = PatternScan(
        symbol="AAPL", time=START, pattern="flag", entry=150.0, stop=145.0, target=160.0, score=80.0,
        components={"shallow": 25.0, "pole": 25.0}, sector="Technology",
    )  # fmt: skip
    for mode in AutomationMode:
        config = AutomationConfig(automation_mode=mode, min_signal_strength=SignalStrength.MODERATE)
        with TradingAutomation(config, clock=FakeClock(START)) as automation:
            if mode is AutomationMode.MANUAL:
                automation.process_signal(apple())  # pattern scans are refused
            else:
                automation.process_pattern_scans([scan])
            status = automation.get_portfolio_status()
            print(
                f"{mode.name}: {len(status['pending_signals'])} waits for a person, "
                f"{status['open_positions']} open"
            )


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
        closed_count = automation.emergency_close_all(reason="market_crash")
        print(f"Closed {closed_count} positions")


def orders() -> None:
    """Write a bracket with dollar trailing, scaling in and out, and a time exit; follow one to its end."""
    title("Orders")
    with TradingAutomation(AutomationConfig(), clock=FakeClock(START)) as automation:
        plan = automation.order_manager.create_bracket_order(
            apple(), trailing_stop=TrailingStop(amount=3.0), scale_in=[ScaleIn(1.0, 0.5)],
            scale_out=ScaleOut(2.0, 0.5), max_days=10,
        )  # fmt: skip
        print(f"Planned: {', '.join(f'{name} {value}' for name, value in plan.columns().items())}")
        signal = apple()
        automation.process_signal(signal)
        automation.execute_signal(signal.signal_id)
        automation.update_positions({"AAPL": 160.5})
        for order in automation.order_manager.get_orders():
            states = " > ".join(event.state.name for event in order.history)
            filled = f"{order.filled_quantity:g} of {order.quantity:g}"
            print(f"{order.order_id}: {order.order_type} {filled}, {states}")


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


def a_year_of_real_prices(folder: Path) -> None:
    """Scan, review, fill and follow a year of the bundled sample, with a restart every quarter."""
    title(f"{YEAR} of real prices: pattern scans to report")
    bars = load_bars("sample:stocks", start=f"{YEAR - 2}-01-01", end=f"{YEAR}-12-31")
    found: dict[int, list[PatternScan]] = defaultdict(list)
    for scan in scan_patterns(bars):
        found[scan.row].append(scan)
    days = [datetime.fromtimestamp(int(close) // 1_000_000_000, UTC) for close in bars.close_ts]
    clock, counts = FakeClock(days[0]), Counter[str]()
    config = AutomationConfig(
        max_sector_exposure_pct=100.0,  # the sample has one sector
        execution_mode=ExecutionMode.MANUAL_REVIEW,
        min_pattern_score=50.0,
        trailing_stop_percent=6.0,
        scale_out_enabled=True,
    )
    for quarter in range(1, 13, 3):
        with TradingAutomation(config, journal=folder / "year.db", clock=clock) as automation:
            for row, day in enumerate(days):
                if day.year == YEAR and quarter <= day.month < quarter + 3:
                    clock.set(day)
                    closes = {name: float(bars.close[row, i]) for i, name in enumerate(bars.symbols)}
                    counts += one_day(automation, {k: v for k, v in closes.items() if v > 0}, found[row])
            counts["restarts"] += 1
    with TradingAutomation(config, journal=folder / "year.db", clock=clock) as automation:
        automation.emergency_close_all(reason="end of the year")
        summary(automation, counts)
    replayed(folder / "year.db", "automation")


def one_day(
    automation: TradingAutomation, closes: dict[str, float], scans: list[PatternScan]
) -> Counter[str]:
    """Follow what is open, and take signals of the day to review; returns what happened."""
    counts = Counter[str]()
    day = automation.clock()
    manager = automation.broker_manager
    if manager.kill_switch.status["engaged"]:
        print(f"{day:%m-%d}: ada arms the kill switch after: {manager.kill_switch.status['reason']}")
        manager.kill_switch.arm("ada", "a new session, the loss is understood")
    automation.update_positions(closes)
    if manager.kill_switch.status["engaged"]:
        counts["daily-loss halts with kill switch"] += 1
    generator = SignalGenerator(RiskCalculator(), min_pattern_score=50.0)
    for scan in scans:
        signal = generator.generate_signal_from_pattern(
            pattern_scan=scan, account_size=100_000, risk_per_trade_pct=2.0
        )
        if signal is None:
            continue
        counts["signals from pattern scans"] += 1
        if automation.process_signal(signal) is None:
            counts["refused by the risk manager or the kill switch"] += 1
        else:
            automation.execute_signal(signal.signal_id)
    for request in manager.get_pending_requests():
        if day.month == 9:
            counts["left to expire, ada is on holiday"] += 1
        elif request.order.strategy == "52-week-high":
            manager.reject_request(request.request_id, reason="too extended")
            counts["rejected by ada"] += 1
        else:
            answer = manager.approve_request(request.request_id, approved_by="ada")
            counts["approved by ada"] += answer.accepted
    return counts


def summary(automation: TradingAutomation, counts: Counter[str]) -> None:
    """Print what happened in the year; what did not happen is said as well."""
    closed = automation.journal.trades("closed", source="paper")
    for trade in closed:
        print(
            f"{trade.entry_time:%m-%d} to {trade.exit_time:%m-%d} {trade.symbol:4} {trade.strategy:22} "
            f"{trade.close_code or '':6} {trade.pnl:+9.2f} {trade.r_multiple or 0.0:+.2f} R"
        )
    ends = Counter(trade.close_code for trade in closed)
    parts = sum(1 for trade in closed if len(automation.journal.fills(trade.id)) > 2)
    counts |= Counter(
        {
            "fills": len(automation.broker.executions()),
            "scale-outs": parts,
            "stops": ends["stop"],
            "trailing exits": ends["trail"],
            "targets": ends["target"],
            "time exits": ends["time"],
        }
    )
    expected = (
        "signals from pattern scans", "refused by the risk manager or the kill switch", "approved by ada",
        "rejected by ada", "left to expire, ada is on holiday", "fills", "scale-outs", "stops", "targets",
        "trailing exits", "time exits", "daily-loss halts with kill switch", "restarts",
    )  # fmt: skip
    for name in expected:
        print(f"{counts[name] or 'none':>5} {name}")
    ignored = automation.journal.recommendations("ignored", source="paper")
    reasons = Counter(one.decision.partition(" (")[0].partition(":")[0] for one in ignored)
    for reason, count in reasons.items():
        print(f"{count:>5} signals ended: {reason}")
    print(f"Equity at the end: {automation.get_portfolio_status()['equity']:,.2f}")
    report = automation.generate_report(days=400)
    print(f"Win rate {report.metrics.win_rate:.0f} %, expectancy {report.metrics.expectancy:+.2f}")
    for kind, metrics in automation.tracker.breakdown("signal_type").items():
        print(f"   {kind}: {metrics.trades} trades, {metrics.total_pnl:+,.2f}")
    for recommendation in report["recommendations"]:
        print(f"* {recommendation}")
    for mistake, count in report["common_mistakes"].items():
        print(f"! {mistake}: {count} times")


def replayed(journal: Path, name: str) -> None:
    """Replay a session through the backtest driver and say whether a byte differs."""
    receipt = verify_parity(journal, name)
    words = "equal in every byte" if receipt.ok else str(receipt.difference)
    print(f"Replayed through a backtest: {words} ({receipt.bars} bars)")


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
