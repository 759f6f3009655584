"""Every class, method and default of the paper trading workflow, each figure worked by hand.

`tests.live.automations` has the signals and says how their sizes come about; what happens at the edges, after
crashes and before a person is in `tests/live/test_automation_*.py`.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import MistakeCategory, PerformanceTracker, TradeJournal
from live.automation.broker import AutomationBroker
from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from live.brokers import BrokerInterface, BrokerManager, Leg, OrderRequest, Outcome, PaperBroker
from live.clock import FakeClock
from live.kill_switch import KillSwitch
from live.trading_automation import TradingAutomation
from simulator.errors import ConfigError, SignalError, UnknownNameError
from simulator.order_manager import Order, ScaleIn, ScaleOut, TrailingStop
from simulator.portfolio_risk_manager import PortfolioRisk, PortfolioRiskManager, PositionRisk
from simulator.types import OrderState, Reason, allowed_transitions
from strategies import SignalGenerator, SignalStrength, create_manual_signal
from strategies.risk_calculator import RiskCalculator
from tests.forked import forked
from tests.live.automations import START, Open, aapl, entered, openings, pattern, roomy, wide


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def automation(clock: FakeClock) -> Iterator[Open]:
    yield from openings(clock)


class TestSignalGenerator:
    """Signals from patterns and by hand."""

    def test_trading_signal_has_entry_stop_target_and_position_size(self) -> None:
        signal = aapl()
        assert (signal.entry_price, signal.stop_loss, signal.target_price) == (150.0, 145.0, 160.0)
        assert signal.position_size == 400  # 100,000 * 2 % = 2,000 over 150 - 145 = 5
        assert signal.risk_amount == 2_000.0
        assert signal.reward_amount == 4_000.0
        assert signal.risk_reward_ratio == 2.0

    def test_default_risk_is_two_percent(self) -> None:
        assert aapl().position_size == aapl(risk_per_trade_pct=2.0).position_size
        assert aapl(risk_per_trade_pct=1.0).position_size == 200

    def test_create_manual_signal_of_a_short(self) -> None:
        signal = aapl(stop_loss=155.0, target_price=140.0)
        assert signal.side == -1
        assert signal.position_size == 400

    def test_generate_signal_from_pattern(self) -> None:
        generator = SignalGenerator(RiskCalculator())
        signal = generator.generate_signal_from_pattern(
            pattern_scan=pattern(), account_size=100_000, risk_per_trade_pct=2.0
        )
        assert signal is not None
        assert (signal.position_size, signal.signal_type, signal.sector) == (400, "flag", "Technology")
        assert signal.strength is SignalStrength.STRONG

    def test_defaults_of_the_filters_are_a_ratio_of_two_and_a_score_of_sixty(self) -> None:
        generator = SignalGenerator()
        assert (generator.min_risk_reward_ratio, generator.min_pattern_score) == (2.0, 60.0)
        assert generator.generate_signal_from_pattern(pattern(score=60.0), 100_000) is not None
        assert generator.generate_signal_from_pattern(pattern(score=59.9), 100_000) is None
        assert generator.generate_signal_from_pattern(pattern(target=159.9), 100_000) is None

    @pytest.mark.parametrize(
        ("score", "strength"),
        [
            (59.9, SignalStrength.WEAK),
            (60.0, SignalStrength.MODERATE),
            (75.0, SignalStrength.STRONG),
            (85.0, SignalStrength.VERY_STRONG),
        ],
    )
    def test_strength_is_weak_moderate_strong_or_very_strong(
        self, score: float, strength: SignalStrength
    ) -> None:
        assert SignalGenerator().thresholds.classify(score) is strength


class TestOrderManager:
    """Orders as the kernel keeps them."""

    def test_bracket_order_links_entry_stop_and_target(self, automation: Open) -> None:
        bracket = entered(automation(**roomy(use_trailing_stops=False)), aapl())
        assert isinstance(bracket.entry, Order)
        assert (bracket.entry.state, bracket.entry.filled_quantity) == (OrderState.FILLED, 400.0)
        assert bracket.entry.average_price == 150.0
        assert bracket.stop_loss is not None
        assert bracket.take_profit is not None
        assert (bracket.stop_loss.state, bracket.stop_loss.price) == (OrderState.SUBMITTED, 145.0)
        assert (bracket.take_profit.state, bracket.take_profit.price) == (OrderState.SUBMITTED, 160.0)
        assert bracket.risk_amount == 2_000.0
        assert bracket.reward_risk == 2.0

    def test_one_exit_cancels_the_other(self, automation: Open) -> None:
        machine = automation(**roomy(use_trailing_stops=False))
        signal = aapl()
        entered(machine, signal)
        machine.update_positions({"AAPL": 160.0})
        bracket = machine.bracket(signal.signal_id)
        assert bracket.take_profit is not None
        assert bracket.stop_loss is not None
        assert bracket.take_profit.state is OrderState.FILLED
        assert bracket.stop_loss.state is OrderState.CANCELLED
        assert not bracket.is_open

    def test_history_follows_the_allowed_transitions(self, automation: Open) -> None:
        machine = automation()
        signal = aapl()
        entered(machine, signal)
        machine.update_positions({"AAPL": 140.0})
        states = [event.state for event in machine.bracket(signal.signal_id).entry.history]
        assert states == [OrderState.PENDING, OrderState.SUBMITTED, OrderState.FILLED]
        for order in machine.order_manager.get_orders():
            steps = [event.state for event in order.history]
            assert all(b in allowed_transitions(a) for a, b in itertools.pairwise(steps))

    def test_trailing_stop_by_percent_follows_the_price(self, automation: Open) -> None:
        machine = automation(trailing_stop_percent=5.0)
        signal = aapl()
        entered(machine, signal)
        machine.update_positions({"AAPL": 159.0})
        trail = machine.bracket(signal.signal_id).trailing_stop
        assert trail is not None
        assert (trail.peak, trail.active) == (159.0, True)
        assert trail.level == pytest.approx(151.05)  # 159 less 5 %
        machine.update_positions({"AAPL": 155.0})
        trail = machine.bracket(signal.signal_id).trailing_stop
        assert trail is not None
        assert trail.level == pytest.approx(151.05)  # it never falls
        assert machine.order_manager.trailing_stops() == [trail]

    def test_trailing_stop_by_dollars(self) -> None:
        assert TrailingStop(amount=2.5).columns() == {"trail_amount": 2.5}
        assert TrailingStop(percent=5.0, activate_r=1.0).columns() == {
            "trail_percent": 5.0, "trail_activate_r": 1.0
        }  # fmt: skip
        with pytest.raises(SignalError, match="exactly one") as failure:
            TrailingStop(percent=5.0, amount=2.5)
        assert failure.value.code == "SIGNAL_TRAIL"

    def test_create_bracket_order_with_scaling_and_time_exit(self, automation: Open) -> None:
        orders = automation().order_manager
        bracket = orders.create_bracket_order(
            aapl(), trailing_stop=TrailingStop(amount=3.0), scale_in=[ScaleIn(1.0, 0.5)],
            scale_out=ScaleOut(1.0, 0.25), max_days=10, max_bars=7, breakeven_r=1.0,
        )  # fmt: skip
        assert bracket.columns() == {
            "qty": 400.0, "entry": "open", "stop": 145.0, "target": 160.0, "trail_amount": 3.0,
            "add_r": 1.0, "add_fraction": 0.5, "scale_out_r": 1.0, "scale_out_fraction": 0.25,
            "max_days": 10, "max_bars": 7, "breakeven_r": 1.0,
        }  # fmt: skip
        assert all(order.state is OrderState.PENDING for order in bracket.orders)

    def test_scale_out_takes_half_at_one_r(self, automation: Open) -> None:
        machine = automation(**roomy(scale_out_enabled=True, use_trailing_stops=False))
        signal = aapl()
        entered(machine, signal)
        assert machine.update_positions({"AAPL": 155.0}) == []
        (position,) = machine.get_portfolio_status()["positions"]
        assert position["quantity"] == 200.0
        (trade,) = machine.update_positions({"AAPL": 145.0})
        assert trade.pnl == 200 * 5.0 - 200 * 5.0
        fills = [(order.order_id, order.filled_quantity) for order in machine.order_manager.get_orders()]
        assert ("0-scale_out", 200.0) in fills
        assert ("0-stop", 200.0) in fills

    def test_time_based_exit_after_thirty_days(self, automation: Open, clock: FakeClock) -> None:
        machine = automation()
        entered(machine, aapl())
        clock.advance(timedelta(days=29))
        assert machine.update_positions({"AAPL": 151.0}) == []
        clock.advance(timedelta(days=1))
        (trade,) = machine.update_positions({"AAPL": 152.0})
        assert (trade.close_code, trade.exit_price, trade.pnl) == ("time", 152.0, 166 * 2.0)

    def test_states_are_those_of_the_kernel(self) -> None:
        assert [state.name for state in OrderState] == [
            "PENDING", "SUBMITTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED", "EXPIRED",
        ]  # fmt: skip


class TestPortfolioRiskManager:
    """Limits, and what they leave of a signal."""

    def test_defaults_are_those_of_the_seed(self) -> None:
        limits = PortfolioRiskManager().limits
        assert limits.risk_per_trade_pct == 2.0
        assert limits.max_portfolio_heat_pct == 6.0
        assert limits.max_sector_exposure_pct == 25.0
        assert limits.daily_loss_limit == 2.0
        assert limits.max_correlation == 0.8

    def test_max_loss_per_trade(self, automation: Open) -> None:
        machine = automation(**roomy())
        bracket = machine.process_signal(aapl(risk_per_trade_pct=4.0))  # 800 shares are asked, at 20 % more
        assert bracket is not None
        assert bracket.verdict is not None
        assert (bracket.verdict.asked, bracket.verdict.granted) == (666.0, 400.0)
        assert bracket.verdict.rule is Reason.RISK_PER_TRADE

    def test_portfolio_heat_is_six_percent_at_most(self, automation: Open) -> None:
        machine = automation(use_trailing_stops=False)
        for ticker in ("A", "B", "C"):
            entered(machine, wide(ticker))  # 100 shares, 20 each to the stop: 2 % of heat
        assert machine.get_portfolio_status()["portfolio_heat"] == pytest.approx(6.0)
        fourth = wide("D")
        assert machine.process_signal(fourth) is None
        assert machine.verdict(fourth.signal_id).reason is Reason.HEAT
        assert "heat" in (machine.refusal(fourth.signal_id) or "")

    def test_sector_exposure_is_twenty_five_percent_at_most(self, automation: Open) -> None:
        machine = automation()
        first = machine.process_signal(aapl(sector="Technology"))
        assert first is not None
        assert first.quantity == 166  # 25,000 / 150
        machine.execute_signal(first.signal_id)
        second = wide("MSFT")
        second = create_manual_signal("MSFT", 100.0, 80.0, 140.0, 100_000, sector="Technology")
        assert machine.process_signal(second) is not None
        assert machine.verdict(second.signal_id).granted == 1  # 25,000 less 24,900 leave one share at 100
        other = create_manual_signal("XOM", 100.0, 80.0, 140.0, 100_000, sector="Energy")
        assert machine.process_signal(other) is not None
        assert machine.verdict(other.signal_id).granted == 100

    def test_correlation_gate(self, automation: Open, clock: FakeClock) -> None:
        machine = automation(sectors={"AAPL": "Technology", "MSFT": "Software", "GLD": "Metals"})
        price = 150.0
        for day in range(70):
            price *= 1.01 if day % 3 else 0.985
            machine.update_positions(
                {"AAPL": price, "MSFT": price * 2.0, "GLD": 100.0 + (day * 7919 % 13) * 0.1}
            )
            clock.advance(timedelta(days=1))
        entered(machine, aapl(entry_price=price, stop_loss=price * 0.95, target_price=price * 1.2))
        twin = aapl(ticker="MSFT", entry_price=2 * price, stop_loss=1.9 * price, target_price=2.4 * price)
        assert machine.process_signal(twin) is None
        assert machine.verdict(twin.signal_id).reason is Reason.CORRELATION
        assert machine.verdict(twin.signal_id).value == pytest.approx(1.0)
        assert machine.process_signal(
            aapl(ticker="GLD", entry_price=100.0, stop_loss=95.0, target_price=110.0)
        )

    def test_position_and_portfolio_risk(self, automation: Open) -> None:
        machine = automation(**roomy(use_trailing_stops=False))
        entered(machine, aapl())
        risk = machine.portfolio_risk()
        assert isinstance(risk, PortfolioRisk)
        assert (risk.heat, risk.heat_pct) == (2_000.0, 2.0)
        (position,) = risk.positions
        assert isinstance(position, PositionRisk)
        assert (position.risk, position.risk_pct, position.market_value) == (2_000.0, 2.0, 60_000.0)


class TestPerformanceTracker:
    """What the closed trades came to."""

    @pytest.fixture
    def closed(self, automation: Open, clock: FakeClock) -> TradingAutomation:
        """Two wins of 1 R and 2 R, then a loss of 1 R: 830, 1,680 and -850.

        Of 100,000, 100,830 and 102,510 a quarter buys 166, 168 and 170 shares at 150.
        """
        machine = automation(use_trailing_stops=False)
        for price in (155.0, 160.0, 145.0):
            entered(machine, aapl(created_at=clock()))
            clock.advance(timedelta(hours=1))
            machine.close_position("AAPL", exit_price=price, reason="by hand")
            clock.advance(timedelta(days=1))
        return machine

    def test_win_rate_profit_factor_expectancy_and_r(self, closed: TradingAutomation) -> None:
        metrics = closed.tracker.metrics()
        assert metrics.win_rate == pytest.approx(200 / 3)
        assert metrics.profit_factor == pytest.approx((830 + 1_680) / 850)
        assert metrics.expectancy == pytest.approx((830 + 1_680 - 850) / 3)
        assert metrics.mean_r == pytest.approx(2 / 3)  # 1, 2 and -1
        assert metrics.average_win == pytest.approx((830 + 1_680) / 2)
        assert metrics.average_loss == -850.0
        assert (metrics.streak, metrics.longest_win_streak, metrics.longest_loss_streak) == (-1, 2, 1)

    def test_by_signal_type_and_sector(self, closed: TradingAutomation) -> None:
        assert closed.tracker.breakdown("signal_type")["manual"].trades == 3
        assert sum(each.trades for each in closed.tracker.breakdown("sector").values()) == 3

    def test_add_mistake_and_lesson(self, closed: TradingAutomation) -> None:
        tracker = closed.tracker
        assert isinstance(tracker, PerformanceTracker)
        tracker.add_mistake(
            trade_id="TRADE_001",
            mistake_category=MistakeCategory.PREMATURE_EXIT,
            description="Sold at first resistance instead of target",
        )
        tracker.add_lesson(trade_id="TRADE_001", lesson="Wait for target or stop, don't exit early on noise")
        record = tracker.record("TRADE_001")
        assert record.trade.pnl == 830.0
        assert (str(MistakeCategory.PREMATURE_EXIT), "Sold at first resistance instead of target") in (
            record.mistakes
        )
        assert record.lessons == ("Wait for target or stop, don't exit early on noise",)
        report = closed.generate_report(days=30)
        assert report["common_mistakes"][str(MistakeCategory.PREMATURE_EXIT)] >= 1

    def test_generate_report_reads_as_a_mapping(self, closed: TradingAutomation) -> None:
        report = closed.generate_report(days=30)
        assert [str(advice) for advice in report["recommendations"]]
        assert dict(report["common_mistakes"].items()) == dict(report.common_mistakes)

    def test_default_is_thirty_days(self, closed: TradingAutomation, clock: FakeClock) -> None:
        assert closed.generate_report().metrics.trades == 3
        clock.advance(timedelta(days=31))
        assert closed.generate_report().metrics.trades == 0
        assert closed.generate_report(days=60).metrics.trades == 3

    def test_export_to_json(self, closed: TradingAutomation, tmp_path: Path) -> None:
        written = closed.tracker.export_json(tmp_path / "trades.json")
        content = json.loads(written.read_text())
        assert [trade["pnl"] for trade in content["trades"]] == [830.0, 1_680.0, -850.0]

    def test_trades_are_of_source_paper(self, closed: TradingAutomation) -> None:
        assert {trade.source for trade in closed.journal.trades(source="all")} == {"paper"}
        statuses = [found.status for found in closed.journal.recommendations(source="paper")]
        assert statuses == ["executed"] * 3


class TestBrokerIntegration:
    """The submit gate, the kill switch and the review queue in front of the paper account."""

    def test_paper_broker_simulates_execution(self) -> None:
        broker = PaperBroker()
        broker.venue.tick(START, {"AAPL": 150.0})
        bracket = OrderRequest(
            client_order_id="tw-1", legs=(Leg("AAPL", 100),), order_class="bracket", stop_loss=145.0,
            take_profit=160.0,
        )  # fmt: skip
        assert broker.submit_order(bracket).outcome is Outcome.CONFIRMED
        assert [held.quantity for held in broker.get_positions()] == [100.0]
        broker.venue.tick(START + timedelta(minutes=1), {"AAPL": 160.0})
        assert broker.get_positions() == []
        assert broker.get_account().cash == 101_000.0
        assert broker.get_orders() == []

    def test_the_account_is_a_broker(self, automation: Open) -> None:
        machine = automation(**roomy())
        broker = machine.broker
        assert isinstance(broker, AutomationBroker)
        assert isinstance(broker, BrokerInterface)
        assert (broker.broker, broker.is_paper) == ("paper", True)
        entered(machine, aapl())
        (holding,) = broker.get_positions()
        assert (holding.symbol, holding.quantity, holding.average_price) == ("AAPL", 400.0, 150.0)
        assert broker.get_account().cash == 40_000.0
        (execution,) = broker.executions()
        assert (execution.quantity, execution.price, execution.time) == (400.0, 150.0, START)
        (order,) = broker.get_orders(open_only=False)
        assert order.state is OrderState.FILLED
        assert broker.get_orders() == []
        assert broker.find_order(order.client_order_id) == order
        assert broker.cancel_order(order.order_id) == order
        with pytest.raises(ConfigError) as failure:
            broker.replace_order(order.order_id, quantity=1.0)
        assert failure.value.code == "LIVE_ORDER_FINAL"

    def test_kill_switch_halts_entries_and_lets_exits_pass(self, automation: Open) -> None:
        machine = automation()
        entered(machine, aapl())
        assert isinstance(machine.broker_manager, BrokerManager)
        machine.broker_manager.engage_kill_switch(reason="Market crash detected", engaged_by="system")
        status = machine.broker_manager.kill_switch.status
        assert status["engaged"] is True
        assert (status["reason"], status["engaged_by"]) == ("Market crash detected", "system")
        refused = wide("MSFT")
        assert machine.process_signal(refused) is None
        assert machine.verdict(refused.signal_id).reason is Reason.KILLED
        (trade,) = machine.update_positions({"AAPL": 145.0})  # the stop works in every state
        assert trade.close_code == "stop"

    def test_arming_lets_trading_go_on(self, automation: Open) -> None:
        machine = automation()
        machine.broker_manager.engage_kill_switch("crash", "ada")
        switch = machine.broker_manager.kill_switch
        assert isinstance(switch, KillSwitch)
        switch.arm("ada", "over")
        assert switch.status["engaged"] is False
        assert machine.process_signal(aapl()) is not None

    def test_manual_review_queues_until_a_person_approves(self, automation: Open) -> None:
        machine = automation()
        machine.config.execution_mode = ExecutionMode.MANUAL_REVIEW
        signal = aapl()
        machine.process_signal(signal)
        waiting = machine.execute_signal(signal.signal_id)
        assert waiting is not None
        assert waiting.entry.state is OrderState.PENDING
        (request,) = machine.broker_manager.get_pending_requests()
        assert request.request_id == waiting.request_id
        assert machine.get_portfolio_status()["pending_requests"] == [request.request_id]
        assert machine.get_portfolio_status()["open_positions"] == 0
        answer = machine.broker_manager.approve_request(request.request_id, approved_by="user")
        assert answer.accepted
        assert machine.bracket(signal.signal_id).entry.filled_quantity == 166.0
        assert machine.broker_manager.get_pending_requests() == []

    def test_reject_request_ends_the_signal(self, automation: Open) -> None:
        machine = automation(execution_mode=ExecutionMode.MANUAL_REVIEW)
        signal = aapl()
        machine.process_signal(signal)
        waiting = machine.execute_signal(signal.signal_id)
        assert waiting is not None
        assert waiting.request_id is not None
        machine.broker_manager.reject_request(waiting.request_id, reason="High volatility")
        assert machine.pending_signals() == []
        assert "High volatility" in (machine.refusal(signal.signal_id) or "")
        assert machine.journal.recommendations(source="paper")[0].status == "ignored"
        assert machine.process_signal(signal) is not None  # it may come again, as a request of its own
        again = machine.execute_signal(signal.signal_id)
        assert again is not None
        assert again.request_id != waiting.request_id


class TestAutomationConfig:
    """Settings and their defaults."""

    def test_defaults_are_those_of_the_seed(self) -> None:
        config = AutomationConfig()
        assert config.account_size == 100_000.0
        assert config.risk_per_trade_pct == 2.0
        assert config.max_portfolio_heat_pct == 6.0
        assert config.max_sector_exposure_pct == 25.0
        assert config.min_signal_strength is SignalStrength.MODERATE
        assert config.min_risk_reward_ratio == 2.0
        assert config.min_pattern_score == 60.0
        assert config.use_bracket_orders is True
        assert config.use_trailing_stops is True
        assert config.trailing_stop_percent == 5.0
        assert config.scale_out_enabled is False
        assert config.max_days_in_trade == 30
        assert config.max_open_positions == 5
        assert config.automation_mode is AutomationMode.SEMI_AUTO
        assert config.execution_mode is ExecutionMode.PAPER_ONLY
        assert config.daily_loss_limit == 2.0
        assert config.kill_switch_enabled is True

    def test_modes(self) -> None:
        assert [mode.name for mode in AutomationMode] == ["MANUAL", "SEMI_AUTO", "FULL_AUTO"]
        assert [mode.name for mode in ExecutionMode] == ["PAPER_ONLY", "MANUAL_REVIEW", "LIVE"]

    def test_an_unknown_field_is_named_with_its_nearest(self) -> None:
        with pytest.raises(ConfigError, match="risk_per_trade_pct") as failure:
            AutomationConfig(risk_per_trade_percent=2.0)  # type: ignore[call-arg]
        assert failure.value.code == "LIVE_CONFIG"
        config = AutomationConfig()
        with pytest.raises(ConfigError, match="execution_mode"):
            config.executionmode = ExecutionMode.LIVE

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("account_size", 0.0),
            ("account_size", math.nan),
            ("risk_per_trade_pct", -1.0),
            ("use_bracket_orders", 1),
            ("trailing_stop_percent", 100.0),
            ("scale_out_fraction", 1.0),
            ("max_days_in_trade", 2.5),
            ("automation_mode", "automatic"),
            ("min_signal_strength", "medium"),
            ("max_open_positions", 0),
        ],
    )
    def test_impossible_values_are_refused_and_the_old_one_stays(self, field: str, value: Any) -> None:
        with pytest.raises(ConfigError):
            AutomationConfig(**{field: value})
        config = AutomationConfig()
        before = getattr(config, field)
        with pytest.raises(ConfigError):
            setattr(config, field, value)
        assert getattr(config, field) == before

    def test_full_auto_and_live_need_a_separate_key(self) -> None:
        both = {"automation_mode": AutomationMode.FULL_AUTO, "execution_mode": ExecutionMode.LIVE}
        with pytest.raises(ConfigError) as failure:
            AutomationConfig(**both)  # type: ignore[arg-type]
        assert failure.value.code == "LIVE_FULL_AUTO"
        assert AutomationConfig(**both, allow_full_auto_live=True).allow_full_auto_live  # type: ignore[arg-type]

    def test_live_is_refused_and_says_what_it_lacks(self, tmp_path: Path, clock: FakeClock) -> None:
        def refused(*, live_key: bool = False, live_flag: bool = False) -> str:
            config = AutomationConfig(execution_mode=ExecutionMode.LIVE, live_key=live_key)
            with pytest.raises(ConfigError) as failure:
                TradingAutomation(
                    config, journal=tmp_path / "trades.db", clock=clock, live_flag=live_flag,
                    state_folder=tmp_path / "switch",
                )  # fmt: skip
            return failure.value.code

        assert refused() == "LIVE_NOT_ENABLED"
        assert refused(live_key=True) == "LIVE_NOT_ENABLED"
        assert refused(live_flag=True) == "LIVE_NOT_ENABLED"
        assert refused(live_key=True, live_flag=True) == "LIVE_SCOPE"
        KillSwitch(tmp_path / "switch", scope="live", clock=clock).arm("ada", "real money")
        assert refused(live_key=True, live_flag=True) == "LIVE_PAPER_ACCOUNT"  # and no broker for it


class TestTradingAutomation:
    """The whole."""

    def test_quick_start(self, automation: Open) -> None:
        machine = automation(
            account_size=100_000, risk_per_trade_pct=2.0, max_portfolio_heat_pct=6.0,
            automation_mode=AutomationMode.SEMI_AUTO,
        )  # fmt: skip
        signal = aapl()
        bracket = machine.process_signal(signal)
        assert bracket is not None
        assert (bracket.verdict.asked, bracket.quantity) == (400.0, 166.0)  # type: ignore[union-attr]
        machine.execute_signal(signal.signal_id)
        machine.update_positions({"AAPL": 152.00})
        status = machine.get_portfolio_status()
        assert status["equity"] == 100_000 + 166 * 2.0
        assert status["cash"] == 100_000 - 166 * 150.0
        assert status["portfolio_heat"] == pytest.approx(100 * 166 * 5.0 / 100_332)
        trade = machine.close_position("AAPL", exit_price=155.00, reason="target_reached")
        assert (trade.pnl, trade.r_multiple, trade.close_reason) == (830.0, 1.0, "target_reached")
        status = machine.get_portfolio_status()
        assert f"{status['portfolio_heat']:.2f}" == "0.00"
        assert f"{status['performance']['win_rate']:.2f}" == "100.00"
        assert machine.generate_report(days=30).metrics.total_pnl == 830.0

    def test_full_auto_executes_at_once(self, automation: Open) -> None:
        machine = automation(automation_mode=AutomationMode.FULL_AUTO)
        bracket = machine.process_signal(aapl())
        assert bracket is not None
        assert bracket.entry.state is OrderState.FILLED

    def test_semi_auto_makes_signals_of_scans_and_waits(self, automation: Open) -> None:
        machine = automation()
        scans = [pattern(score=70.0), pattern(symbol="MSFT", score=90.0), pattern(symbol="KO", score=50.0)]
        found = machine.process_pattern_scans(scans)
        assert [bracket.symbol for bracket in found] == ["MSFT", "AAPL"]
        assert machine.get_portfolio_status()["open_positions"] == 0

    def test_manual_makes_no_signals_of_scans(self, automation: Open) -> None:
        machine = automation(automation_mode=AutomationMode.MANUAL)
        with pytest.raises(ConfigError) as failure:
            machine.process_pattern_scans([pattern()])
        assert failure.value.code == "LIVE_MANUAL_MODE"
        entered(machine, aapl())

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"target_price": 159.0}, Reason.MIN_REWARD_RISK),
            ({"strength": "WEAK"}, Reason.MIN_STRENGTH),
            ({"score": 59.0}, Reason.MIN_SCORE),
        ],
    )
    def test_filters(self, automation: Open, changes: dict[str, Any], reason: Reason) -> None:
        machine = automation()
        signal = aapl(**changes)
        assert machine.process_signal(signal) is None
        assert machine.verdict(signal.signal_id).reason is reason
        (recommendation,) = machine.journal.recommendations(source="paper")
        assert recommendation.status == "ignored"
        assert reason.label in recommendation.decision

    def test_max_open_positions(self, automation: Open) -> None:
        machine = automation(risk_per_trade_pct=1.0)
        for ticker in "ABCDE":
            entered(machine, wide(ticker, risk_per_trade_pct=1.0))
        sixth = wide("F", risk_per_trade_pct=1.0)
        assert machine.process_signal(sixth) is None
        assert machine.verdict(sixth.signal_id).reason is Reason.MAX_POSITIONS

    def test_trailing_stop_takes_the_profit(self, automation: Open) -> None:
        machine = automation()
        entered(machine, aapl())
        machine.update_positions({"AAPL": 159.0})
        (trade,) = machine.update_positions({"AAPL": 151.0})  # the trail is at 151.05, and the price below it
        assert (trade.close_code, trade.exit_price) == ("trail", 151.0)
        assert trade.pnl == 166.0
        assert trade.mfe == pytest.approx(166 * 9.0)

    def test_without_trailing_the_stop_stays(self, automation: Open) -> None:
        machine = automation(use_trailing_stops=False)
        entered(machine, aapl())
        machine.update_positions({"AAPL": 159.0})
        assert machine.update_positions({"AAPL": 151.0}) == []

    def test_daily_loss_limit_engages_the_kill_switch(self, automation: Open, clock: FakeClock) -> None:
        machine = automation(**roomy())
        entered(machine, aapl())
        machine.update_positions({"AAPL": 144.0})  # through the stop: 400 * 6 = 2,400, 2.4 %
        status = machine.get_portfolio_status()
        assert status["daily_loss"] == pytest.approx(2.4)
        assert status["halt_state"] == "HALTED"
        assert status["kill_switch"]["engaged"] is True
        assert "2.40 %" in status["kill_switch"]["reason"]
        assert machine.process_signal(wide("MSFT")) is None
        clock.advance(timedelta(days=1))
        assert machine.process_signal(wide("KO")) is None  # it holds until a person ends it
        machine.broker_manager.kill_switch.arm("ada", "a new day")
        assert machine.process_signal(wide("PEP")) is not None

    def test_without_the_kill_switch_the_halt_ends_with_the_session(
        self, automation: Open, clock: FakeClock
    ) -> None:
        machine = automation(**roomy(kill_switch_enabled=False))
        entered(machine, aapl())
        machine.update_positions({"AAPL": 144.0})
        assert machine.get_portfolio_status()["kill_switch"]["engaged"] is False
        refused = wide("MSFT")
        assert machine.process_signal(refused) is None
        assert machine.verdict(refused.signal_id).reason is Reason.DAILY_LOSS_HALT
        clock.advance(timedelta(days=1))
        assert machine.process_signal(wide("KO")) is not None

    def test_emergency_close_all(self, automation: Open) -> None:
        machine = automation()
        for ticker in ("A", "B"):
            entered(machine, wide(ticker))
        machine.process_signal(wide("C"))
        machine.update_positions({"A": 110.0, "B": 97.0})
        machine.broker_manager.engage_kill_switch("crash", "ada")
        assert machine.emergency_close_all(reason="market_crash") == 2
        assert machine.emergency_close_all() == 0
        assert machine.pending_signals() == []
        pnl = {trade.symbol: trade.pnl for trade in machine.journal.trades("closed", source="paper")}
        assert pnl == {"A": 1_000.0, "B": -300.0}
        assert {t.close_reason for t in machine.journal.trades("closed", source="paper")} == {"market_crash"}

    def test_close_position_at_the_last_price(self, automation: Open) -> None:
        machine = automation()
        entered(machine, aapl())
        machine.update_positions({"AAPL": 153.0})
        assert machine.close_position("AAPL").exit_price == 153.0
        with pytest.raises(UnknownNameError) as failure:
            machine.close_position("AAPL")
        assert failure.value.code == "LIVE_NO_POSITION"

    def test_status_keys(self, automation: Open) -> None:
        status = automation().get_portfolio_status()
        assert {
            "portfolio_heat", "performance", "positions", "equity", "cash", "kill_switch", "daily_loss",
            "greeks",
        } <= status.keys()  # fmt: skip
        assert math.isnan(status["performance"]["win_rate"])  # no trade yet, and it formats
        assert (status["equity"], status["positions"], status["greeks"]) == (100_000.0, [], {})

    def test_a_journal_is_kept(self, automation: Open, clock: FakeClock, tmp_path: Path) -> None:
        machine = automation(journal=tmp_path / "trades.db")
        assert "trades.db" in machine.journal_note
        entered(machine, aapl())
        machine.close_position("AAPL", exit_price=155.0)
        machine.close()
        with TradeJournal(tmp_path / "trades.db", source="paper", clock=clock) as journal:
            (trade,) = journal.trades()
            assert (trade.pnl, trade.stop_price, trade.target_price) == (830.0, 145.0, 160.0)
            assert trade.granted_quantity == 166.0
            assert trade.recommendation_id == 1
        assert (tmp_path / "trades.db.switch").is_dir()

    def test_without_a_journal_it_says_so(self, automation: Open) -> None:
        assert "temporary" in automation().journal_note

    def test_the_example_runs_every_workflow(self) -> None:
        script = Path(__file__).resolve().parents[1] / "examples" / "paper_trading_example.py"
        done = subprocess.run(
            [*forked(), str(script)], capture_output=True, text=True, timeout=120, check=True
        )
        for words in (
            "166 of 400 granted, by the rule 'sector'",
            "Portfolio Heat: 0.00%",
            "Win Rate: 100.00%",
            "Replayed through a backtest: equal in every byte (3 bars)",
            "FULL_AUTO: 0 waits for a person, 1 open",
            "CAT: refused by the rule heat",
            "Closed 3 positions",
            "ended by trail: +871.50",  # 83 shares at 155.50, 83 at 155
            "Engaged: True, daily loss limit: 2.80 % lost",
            "its review request was rejected: High volatility",
            "daily-loss halts with kill switch",
            "Replayed through a backtest: equal in every byte (257 bars)",
        ):
            assert words in done.stdout, words
        assert " none " not in done.stdout  # every kind of event happened in the year
