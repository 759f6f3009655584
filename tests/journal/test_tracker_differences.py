"""Where account and journal differ, and where the account cannot be asked: nothing is assumed flat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from journal import PositionTracker, schema
from simulator.brokerage import Execution, Holding
from simulator.paper_positions import PaperPositions
from tests.journal.making import START
from tests.journal.tracked import SHORT, Desk, desk, everything, rows

__all__ = ["desk"]  # a fixture


# Differences


def test_a_holding_that_nothing_explains_is_a_difference_until_it_is_explained(desk: Desk) -> None:
    class Early(PaperPositions):
        hidden = True

        def executions(self, since: datetime | None = None) -> Sequence[Execution]:
            return [] if self.hidden else super().executions(since)

    account = Early()
    account.trade([("MSFT", 10, 300.0)], time=START)
    tracker = PositionTracker(desk.journal, account)
    first, second = tracker.sync(), tracker.sync()
    assert first.status == "differences"
    assert first.differences == second.differences
    (one,) = first.differences
    assert (one.symbol, one.journal, one.broker, one.trades) == ("MSFT", 0.0, 10.0, ())
    assert (one.since, len(one.id)) == (None, 12)
    assert desk.journal.trades() == []
    assert json.loads(json.dumps(first.as_dict()))["differences"][0]["id"] == one.id
    assert one.id in str(first)
    account.hidden = False
    assert tracker.sync().status == "ok"


def test_a_vanished_holding_is_reported_and_never_closed(desk: Desk) -> None:
    desk.open_spread()
    desk.tracker.sync()
    kept = desk.account._executions
    desk.account._executions = []  # the broker answers: flat, and nothing happened
    before = everything(desk.journal)
    report = desk.tracker.sync()
    assert [(one.journal, one.broker) for one in report.differences] == [(5.0, 0.0), (-5.0, 0.0)]
    assert all(one.since == START for one in report.differences)
    assert everything(desk.journal) == before
    assert desk.journal.trade(1).status == "open"
    desk.account._executions = kept
    assert desk.tracker.sync().differences == ()


def test_an_entry_that_no_execution_confirms_is_a_difference(desk: Desk) -> None:
    desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0)
    (one,) = desk.tracker.sync().differences
    assert (one.symbol, one.journal, one.broker, one.trades) == ("AAPL", 100.0, 0.0, (1,))
    assert "no execution confirms it" in one.cause


def test_a_package_without_legs_cannot_be_compared_and_is_said(desk: Desk) -> None:
    desk.journal.log_trade_entry(symbol="SPY", actual_contracts=5, entry_credit=1.9)
    (one,) = desk.tracker.sync().differences
    assert (one.symbol, one.journal) == ("SPY", -5.0)
    assert "without legs" in one.cause


@pytest.mark.parametrize(("held", "said"), [(40.0, "4:1"), (15.0, "3:2"), (1.0, "1:10"), (17.0, "")])
def test_a_split_is_a_difference_that_is_named(desk: Desk, held: float, said: str) -> None:
    class Split(PaperPositions):
        def holdings(self) -> Sequence[Holding]:
            return [Holding(symbol="AAPL", quantity=held)]

    account = Split()
    account.trade([("AAPL", 10, 50.0)], time=START)
    (one,) = PositionTracker(desk.journal, account).sync().differences
    assert (one.journal, one.broker) == (10.0, held)
    assert (f"split of {said}." in one.cause) if said else "split" not in one.cause


def test_an_option_past_its_expiry_waits_for_the_broker(desk: Desk) -> None:
    desk.trade((SHORT, -1, 3.0))
    desk.tracker.sync()
    desk.clock.forward(days=50)
    desk.account.holdings = lambda: []  # type: ignore[method-assign]
    (one,) = desk.tracker.sync().differences
    assert "expired on 2026-02-20" in one.cause
    assert desk.journal.trade(1).status == "open"


def test_a_close_without_its_opening_is_kept_and_said(desk: Desk) -> None:
    desk.account.settle("expiry", SHORT, 1, time=START)
    report = desk.tracker.sync()
    assert len(report.unmatched) == 1
    assert desk.journal.trades() == []
    assert [fill["trade_id"] for fill in rows(desk.journal, schema.fills)] == [None]


# Failed queries


class Failing(PaperPositions):
    fail = ""

    def holdings(self) -> Sequence[Holding]:
        if self.fail == "holdings":
            raise TimeoutError("no answer after 10 s")
        return super().holdings()

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        if self.fail == "executions":
            raise ConnectionError("502 Bad Gateway")
        return super().executions(since)


@pytest.mark.parametrize("call", ["holdings", "executions"])
def test_a_failed_query_is_unknown_and_never_flat(desk: Desk, call: str) -> None:
    account = Failing()
    tracker = PositionTracker(desk.journal, account)
    account.trade([("AAPL", 10, 50.0)], time=START)
    tracker.sync()
    account.trade([("AAPL", -10, 55.0)], time=START + timedelta(hours=1))
    before = everything(desk.journal)
    account.fail = call
    report = tracker.sync()
    assert (report.status, report.differences, report.executions) == ("unknown", (), 0)
    assert ("TimeoutError" in report.message) or ("ConnectionError" in report.message)
    assert everything(desk.journal) == before
    account.fail = ""
    assert tracker.sync().exits == (1,)


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": float("nan")}, {"quantity": 0.0}, {"price": float("inf")}, {"execution_id": ""},
        {"time": datetime(2026, 1, 5)}, {"side": 0}, {"kind": "gift"}, {"symbol": " "},  # noqa: DTZ001
        {"fees": float("nan")}, {"multiplier": 0.0}, {"price": -1.0},
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_is_unknown(desk: Desk, change: dict[str, Any]) -> None:
    desk.trade(("AAPL", 10, 50.0))
    desk.trade(("MSFT", 10, 50.0))
    first, second = desk.account.executions()
    answer = [first, replace(second, **change)]
    desk.account.executions = lambda since=None: answer  # type: ignore[method-assign]
    desk.account.holdings = lambda: []  # type: ignore[method-assign]
    report = desk.tracker.sync()
    assert report.status == "unknown"
    assert "the broker's answer has" in report.message
    assert rows(desk.journal, schema.fills) == []


def test_one_id_for_two_executions_is_unknown(desk: Desk) -> None:
    desk.trade(("AAPL", 10, 50.0))
    (one,) = desk.account.executions()
    desk.account._executions = [one, replace(one, price=51.0)]
    assert desk.tracker.sync().status == "unknown"
    desk.account._executions = [one, one]  # the same page twice is no contradiction
    desk.account.holdings = lambda: [Holding(symbol="AAPL", quantity=10)]  # type: ignore[method-assign]
    report = desk.tracker.sync()
    assert (report.status, report.executions) == ("ok", 1)


def test_an_account_that_keeps_changing_is_unknown(desk: Desk) -> None:
    class Busy(PaperPositions):
        count = 0.0

        def holdings(self) -> Sequence[Holding]:
            self.count += 1
            return [Holding(symbol="AAPL", quantity=self.count)]

    report = PositionTracker(desk.journal, Busy()).sync()
    assert (report.status, "kept changing" in report.message) == ("unknown", True)


def test_a_fill_between_two_queries_makes_no_difference(desk: Desk) -> None:
    class Moving(PaperPositions):
        asked = 0

        def executions(self, since: datetime | None = None) -> Sequence[Execution]:
            self.asked += 1
            if self.asked == 1:
                answer = super().executions(since)
                self.trade([("AAPL", 10, 50.0)], time=START)
                return answer
            return super().executions(since)

    assert PositionTracker(desk.journal, Moving()).sync().status == "ok"
