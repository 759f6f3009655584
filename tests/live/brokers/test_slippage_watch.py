"""The watch beside a desk: a drift is told once, demotes across restarts, and only a person promotes."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from live.alerts import Alerts, Target
from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from live.brokers.interface import Outcome, Submitted
from live.intents import IntentLog, Sent
from live.reconciling.fill_ledger import FillLedger
from live.review_queue import ReviewRequest
from live.slippage import Calibration, SlippageWatch, calibrate, promote, samples, standing, watch_slippage
from live.slippage.expecting import Expectation, Expectations
from simulator.brokerage import Execution
from simulator.errors import ConfigError, JournalError
from tests.live.desks import Desk, order

FULL, SEMI = AutomationMode.FULL_AUTO, AutomationMode.SEMI_AUTO


def opened(folder: Path, **options: Any) -> Desk:
    desk = Desk(folder, **options)
    desk.reconciler.start()
    return desk


def booked(desk: Desk, first: int, n: int, worse: float = 0.0) -> None:
    """Write down `n` market orders, buys and sales in turn, that fill `worse` beyond a mid of 100 or so."""
    ledger = FillLedger(desk.log, "main", "test")
    quotes = Expectation(quotes={"AAPL": (99.99, 100.01)}).plain
    with desk.log.together():
        for number in range(first, first + n):
            side = 1 if number % 2 == 0 else -1
            price = 100.0 + side * (worse + 0.0001 * (37 * number % 10))
            one = order(number, float(side))
            there = Submitted(outcome=Outcome.CONFIRMED, client_order_id=one.client_order_id)
            sent = Sent(
                request=one, broker="main", at=desk.clock(), submitted=there, in_flight=False, final=True
            )
            desk.log.begin(sent, expected=quotes)
            ledger.own(f"B{number}", one.client_order_id, "entry")
            ledger.take(
                [
                    Execution(
                        execution_id=f"X{number}", order_id=f"B{number}", time=desk.clock(), symbol="AAPL",
                        side=side, quantity=1.0, price=price,
                    )
                ],
                desk.clock(),
            )  # fmt: skip
            desk.wait(1.0)


def bought(desk: Desk, first: int, n: int, worse: float = 0.0) -> None:
    """Buy at the market, through manager and reconciler."""
    desk.manager.expectations = Expectations(lambda symbols: dict.fromkeys(symbols, (99.99, 100.01)))
    for number in range(first, first + n):
        desk.memory.prices["AAPL"] = 100.0 + worse + 0.0001 * (37 * number % 10)
        assert isinstance(desk.manager.submit_order(order(number, 1.0)), Submitted)
        desk.wait(1.0)
    desk.settled()


@contextmanager
def told() -> Iterator[tuple[Alerts, list[str]]]:
    heard: list[str] = []

    def deliver(title: str, body: str) -> bool:
        heard.append(f"{title} | {body}")
        return True

    with Alerts(targets=[Target("test", deliver)]) as alerts:
        yield alerts, heard


def full_auto() -> AutomationConfig:
    return AutomationConfig(automation_mode=FULL)


@pytest.fixture
def calibrated(tmp_path: Path) -> Iterator[tuple[Desk, Calibration]]:
    """A desk with 40 orders that cost nothing much, and what they say."""
    desk = opened(tmp_path)
    booked(desk, 0, 40)
    yield desk, calibrate(samples(desk.log))
    desk.database.close()


def test_a_drift_is_told_once_and_demotes_across_restarts(calibrated: tuple[Desk, Calibration]) -> None:
    desk, calibration = calibrated
    config = full_auto()
    with told() as (alerts, heard):
        watch = watch_slippage(desk, calibration, alerts, demote=config)
        assert watch.look() == []
        booked(desk, 40, 19, 0.30)
        assert watch.look() == []
        assert config.automation_mode is FULL
        booked(desk, 59, 1, 0.30)
        (drift,) = watch.look()
        assert (drift.count, drift.kind) == (20, "market")
        assert drift.now - drift.usual == pytest.approx(30.0, abs=0.2)
        assert config.automation_mode.name == "SEMI_AUTO"
        # it goes on, and nothing new is said; nor after a restart, which demotes what says FULL_AUTO again
        booked(desk, 60, 40, 0.30)
        assert watch.look() == []
        desk.restart()
        again = full_auto()
        watch = watch_slippage(desk, calibration, alerts, demote=again)
        assert again.automation_mode is SEMI
        assert watch.look() == []
        alerts.flush()
    assert len(heard) == 1
    assert heard[0].startswith("main: fills have become worse | 20 market orders (stock) at main until")
    assert [event.kind for event in desk.log.events("slippage_drift", "demoted")] == [
        "demoted",
        "slippage_drift",
    ]


def test_only_a_person_promotes_and_a_setting_does_not(calibrated: tuple[Desk, Calibration]) -> None:
    desk, calibration = calibrated
    config = full_auto()
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    watch.look()
    config.automation_mode = FULL
    watch.look()
    assert config.automation_mode.name == "SEMI_AUTO"
    # calibrating anew ends the drift, and gives nothing back by itself either
    desk.restart()
    config = full_auto()
    watch = watch_slippage(desk, calibrate(samples(desk.log)), demote=config)
    assert config.automation_mode is SEMI
    assert watch.status()["drifts"] == []
    for nobody in ("", "twinstep", " system "):
        with pytest.raises(ConfigError) as caught:
            promote(desk.switch.folder, "desk", by=nobody, reason="")
        assert caught.value.code == "LIVE_REVIEW_NAME"
    promote(desk.switch.folder, "another desk", by="ada", reason="not this one")
    watch.look()
    assert config.automation_mode.name == "SEMI_AUTO"
    promote(desk.switch.folder, "desk", by="ada", reason="new venue, calibrated")
    watch.look()
    assert config.automation_mode.name == "FULL_AUTO"
    assert standing(desk.log) is None
    (event,) = desk.log.events("promoted")
    assert (event.data["by"], event.data["reason"]) == ("ada", "new venue, calibrated")
    # once: neither the next look nor a restart takes the same promotion up again
    desk.restart()
    config = full_auto()
    watch_slippage(desk, calibrate(samples(desk.log)), demote=config)
    assert config.automation_mode is FULL
    assert len(list(desk.log.events("promoted"))) == 1


def test_a_promotion_between_two_sessions_is_taken_up_by_the_next(
    calibrated: tuple[Desk, Calibration],
) -> None:
    desk, calibration = calibrated
    watch = watch_slippage(desk, calibration, demote=full_auto())
    booked(desk, 40, 20, 0.30)
    watch.look()
    found = standing(desk.log, desk.switch.folder)
    assert found is not None
    assert "20 market orders" in found.why
    assert str(found).startswith("demoted since 2026-03-02")
    promote(desk.switch.folder, "desk", by="ada", reason="looked at it")
    assert standing(desk.log, desk.switch.folder) is None
    desk.restart()
    config = full_auto()
    watch_slippage(desk, calibration, demote=config)
    assert config.automation_mode is FULL


def test_a_drift_that_goes_on_after_a_promotion_is_told_and_demotes_again(
    calibrated: tuple[Desk, Calibration],
) -> None:
    desk, calibration = calibrated
    config = full_auto()
    with told() as (alerts, heard):
        watch = watch_slippage(desk, calibration, alerts, demote=config)
        booked(desk, 40, 20, 0.30)
        watch.look()
        promote(desk.switch.folder, "desk", by="ada", reason="it will pass")
        watch.look()
        assert config.automation_mode is FULL
        assert watch.look() == []
        booked(desk, 60, 20, 0.30)
        assert len(watch.look()) == 1
        assert config.automation_mode.name == "SEMI_AUTO"
        alerts.flush()
    assert len(heard) == 2


def test_another_process_promotes_while_the_session_holds_the_journal(
    calibrated: tuple[Desk, Calibration],
) -> None:
    desk, calibration = calibrated
    config = full_auto()
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    watch.look()
    other = multiprocessing.get_context("fork").Process(
        target=promote, args=(desk.switch.folder, "desk"), kwargs={"by": "ada", "reason": "from home"}
    )
    other.start()
    other.join(30.0)
    assert other.exitcode == 0
    watch.look()
    assert config.automation_mode is FULL


def test_a_manager_that_is_demoted_lays_orders_before_a_person(calibrated: tuple[Desk, Calibration]) -> None:
    desk, calibration = calibrated
    watch = watch_slippage(desk, calibration, demote=desk.manager)
    booked(desk, 40, 20, 0.30)
    assert len(watch.look()) == 1
    assert desk.manager.mode.name == "MANUAL_REVIEW"
    assert isinstance(desk.manager.submit_order(order(900)), ReviewRequest)
    desk.restart()
    assert desk.manager.mode is ExecutionMode.PAPER_ONLY
    watch = watch_slippage(desk, calibration, demote=desk.manager)
    assert desk.manager.mode.name == "MANUAL_REVIEW"
    promote(desk.switch.folder, "desk", by="ada", reason="looked")
    watch.look()
    assert desk.manager.mode.name == "PAPER_ONLY"


def test_a_manager_without_a_queue_cannot_be_demoted(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.manager.review_queue = None
    with pytest.raises(ConfigError) as caught:
        watch_slippage(desk, None, demote=desk.manager)
    assert caught.value.code == "LIVE_NO_QUEUE"


@pytest.mark.parametrize("mode", [AutomationMode.MANUAL, SEMI])
def test_what_does_not_trade_by_itself_is_left_alone_and_stays_so(
    calibrated: tuple[Desk, Calibration], mode: AutomationMode
) -> None:
    desk, calibration = calibrated
    config = AutomationConfig(automation_mode=mode)
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    assert len(watch.look()) == 1
    assert config.automation_mode is mode
    promote(desk.switch.folder, "desk", by="ada", reason="looked")
    watch.look()
    assert config.automation_mode is mode


def test_what_a_person_has_set_meanwhile_is_not_undone_by_a_promotion(
    calibrated: tuple[Desk, Calibration],
) -> None:
    desk, calibration = calibrated
    config = full_auto()
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    watch.look()
    config.automation_mode = AutomationMode.MANUAL
    promote(desk.switch.folder, "desk", by="ada", reason="looked")
    watch.look()
    assert config.automation_mode.name == "MANUAL"


def test_without_something_to_demote_a_drift_is_told_and_nothing_stands(
    calibrated: tuple[Desk, Calibration],
) -> None:
    desk, calibration = calibrated
    watch = watch_slippage(desk, calibration)
    booked(desk, 40, 20, 0.30)
    assert len(watch.look()) == 1
    assert watch.demotion is None
    assert standing(desk.log) is None
    # who attaches something later has it demoted for what was told before
    config = full_auto()
    again = watch_slippage(desk, calibration, demote=config)
    assert config.automation_mode is SEMI
    assert again.look() == []


def test_a_demotion_holds_without_a_calibration_and_the_status_says_so(
    calibrated: tuple[Desk, Calibration], tmp_path: Path
) -> None:
    desk, calibration = calibrated
    path = tmp_path / "slippage.json"
    calibration.save(path)
    watch = watch_slippage(desk, path, demote=full_auto())
    assert calibration.until is not None
    assert watch.status() == {
        "orders": 40, "calibrated_until": calibration.until.isoformat(), "drifts": [], "demoted_since": None,
        "demoted_why": "", "problem": "",
    }  # fmt: skip
    booked(desk, 40, 20, 0.30)
    (drift,) = watch.look()
    status = watch.status()
    assert (status["orders"], status["drifts"], status["demoted_why"]) == (60, [drift.message], drift.message)
    json.dumps(status)
    desk.restart()
    config = full_auto()
    without = watch_slippage(desk, None, demote=config)
    assert config.automation_mode is SEMI
    assert without.status()["demoted_since"] == status["demoted_since"]
    assert without.status()["calibrated_until"] is None


def test_a_journal_that_cannot_be_written_demotes_all_the_same_and_the_drift_is_told_when_it_can(
    calibrated: tuple[Desk, Calibration], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, calibration = calibrated
    config = full_auto()
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    real = desk.log.note

    def full(*_: Any, **__: Any) -> bool:
        raise JournalError("the disk is full", code="JOURNAL_FULL")

    monkeypatch.setattr(desk.log, "note", full)
    for _ in range(2):
        assert watch.look() == []
        assert config.automation_mode.name == "SEMI_AUTO"
        assert "the disk is full" in watch.status()["problem"]
    monkeypatch.setattr(desk.log, "note", real)
    assert len(watch.look()) == 1
    assert watch.status()["problem"] == ""
    assert standing(desk.log) is not None


def test_looks_read_only_what_is_new(calibrated: tuple[Desk, Calibration]) -> None:
    desk, calibration = calibrated
    watch = SlippageWatch(desk.log, calibration, clock=desk.clock)
    watch.look()
    asked: list[int] = []
    real = desk.log.events

    def counted(*kinds: str, after: int = 0) -> Any:
        asked.append(after)
        return real(*kinds, after=after)

    desk.log.events = counted  # type: ignore[method-assign]
    watch.look()
    assert asked
    assert min(asked) == max(event.number for event in real("fill"))


def test_fills_that_come_late_twice_and_in_disorder_are_one_drift(
    tmp_path: Path,
) -> None:
    desk = opened(tmp_path)
    bought(desk, 0, 40)
    calibration = calibrate(samples(desk.log))
    with told() as (alerts, heard):
        watch = watch_slippage(desk, calibration, alerts)
        desk.faulty.shuffle = desk.faulty.repeat_executions = True
        for first in range(40, 80, 5):
            desk.faulty.delay_executions = first % 2
            bought(desk, first, 5, 0.30)
            watch.look()
        desk.restart()
        assert watch_slippage(desk, calibration, alerts).look() == []
        alerts.flush()
    assert len(samples(desk.log)) == 80
    assert len(heard) == 1


@pytest.mark.parametrize(
    "cut", [b'{"mark": "x"', b"[]\n", b"\xff\xfe\n", b'{"mark": 1, "account": "desk"}\n']
)
def test_a_line_that_is_no_promotion_promotes_nobody(
    calibrated: tuple[Desk, Calibration], cut: bytes
) -> None:
    desk, calibration = calibrated
    config = full_auto()
    watch = watch_slippage(desk, calibration, demote=config)
    booked(desk, 40, 20, 0.30)
    watch.look()
    (desk.switch.folder / "promotions.jsonl").write_bytes(cut)
    watch.look()
    assert config.automation_mode.name == "SEMI_AUTO"
    assert watch.status()["problem"] == ""
    promote(desk.switch.folder, "desk", by="ada", reason="after the torn line")
    watch.look()
    assert config.automation_mode.name == "FULL_AUTO"


def test_a_promotion_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        promote(tmp_path / "nowhere", "desk", by="ada", reason="")
    assert caught.value.code == "LIVE_REVIEW_STORE"


def test_a_calibration_of_another_account_compares_nothing_and_says_so(
    calibrated: tuple[Desk, Calibration], tmp_path: Path
) -> None:
    _, calibration = calibrated
    watch = SlippageWatch(IntentLog.in_memory(), calibration)
    assert watch.look() == []
    assert "nothing is compared" in watch.status()["problem"]


def test_limits_that_cannot_be_are_refused_when_it_is_attached(calibrated: tuple[Desk, Calibration]) -> None:
    desk, calibration = calibrated
    with pytest.raises(ConfigError) as caught:
        watch_slippage(desk, calibration, block=5)
    assert caught.value.code == "LIVE_SLIPPAGE_DRIFT"
