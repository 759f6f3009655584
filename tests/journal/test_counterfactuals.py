"""The ledger in the journal: what people decided against, stored once, brought forward while it is open."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, select

from journal import TradeJournal, schema
from journal.counterfactuals import CounterfactualLedger
from simulator import Bars, Signals, backtest, load_bars
from simulator.options.market import OptionMarket
from simulator.types import SignalStrength, TradingSignal
from tests.journal.making import Clock, put_spread

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, of the first bar."""
NS = 1_000_000_000


def falling(days: int = 40, *, symbol: str = "SPY") -> Bars:
    """Weekdays on which the price goes from 100 down by 1 % each."""
    session = np.datetime64(FIRST.date(), "D")
    dates = np.busday_offset(session, np.arange(days)).astype("datetime64[ns]").astype(np.int64)
    close = 100.0 * 0.99 ** np.arange(days)
    panel = np.stack([close, close * 1.002, close * 0.998, close, np.full(days, 1e6)], axis=-1)
    return Bars.from_arrays([symbol], dates, panel[:, None, :], daily=True)


def idea(moment: datetime, **changes: Any) -> TradingSignal:
    """Long SPY at 100, stop 95, target 110."""
    given: dict[str, Any] = {
        "signal_id": f"S-{moment:%m%d}", "ticker": "SPY", "side": 1, "entry_price": 100.0, "stop_loss": 95.0,
        "target_price": 110.0, "position_size": 200, "strength": SignalStrength.STRONG,
        "risk_amount": 1_000.0, "reward_amount": 2_000.0, "risk_reward_ratio": 2.0,
        "signal_type": "breakout", "created_at": moment,
    }  # fmt: skip
    return TradingSignal(**{**given, **changes})


@pytest.fixture
def clock() -> Clock:
    return Clock(FIRST + timedelta(days=1, hours=22))  # Tuesday after the close


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Any:
    with TradeJournal(tmp_path / "j.db", source="paper", clock=clock) as opened:
        yield opened


def test_an_ignored_recommendation_is_run_from_the_next_open(journal: TradeJournal, clock: Clock) -> None:
    bars = falling()
    number = journal.log_recommendation(idea(clock.now))
    journal.ignore_recommendation(number, "no time")
    ledger = CounterfactualLedger(journal)
    found = ledger.update_decisions(bars)
    (entry,) = ledger.entries()
    assert (entry.origin, entry.case.rule, entry.recommendation) == ("decision", "recommendation ignored", 1)
    # what a backtest of that signal gives: in on Wednesday's open, out at the stop
    signals = Signals.from_arrays(bars, [1], "SPY", 1, stop=95.0, target=110.0, qty=200.0)
    (trade,) = backtest(bars, signals, risk=None, cash=1e6).trades.to_dict("records")
    case = entry.case
    assert (case.entry_price, case.exit_price, case.exit_reason) == (
        trade["entry_price"], trade["exit_price"], "stop"
    )  # fmt: skip
    assert case.pnl == pytest.approx(trade["pnl"])
    assert case.r == pytest.approx(trade["r_multiple"])
    assert case.mae == pytest.approx(trade["mae"])
    assert found.stored is not None
    assert (found.stored.new, found.stored.forward, found.stored.unchanged) == (1, 0, 0)
    (line,) = ledger.lines("decision")
    assert line.saved == -case.r
    assert line.saved > 0.9
    assert "not enough evidence" in ledger.report()


def test_a_second_look_adds_nothing_and_an_open_one_goes_on(journal: TradeJournal, clock: Clock) -> None:
    bars = falling()
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now)))
    ledger = CounterfactualLedger(journal)
    ledger.update_decisions(bars[:4])
    (before,) = ledger.entries()
    assert before.case.state == "open"
    assert ledger.lines("decision")[0].closed == 0
    found = ledger.update_decisions(bars[:5])
    assert found.stored is not None
    assert found.stored.forward == 1
    assert ledger.update_decisions(bars[:5]).stored == type(found.stored)(0, 0, 1)
    ledger.update_decisions(bars)
    (after,) = ledger.entries()
    assert after.case.state == "closed"
    assert ledger.update_decisions(bars).entries == []
    with journal.database.read() as connection:
        assert len(connection.execute(select(schema.counterfactuals)).all()) == 1


def test_what_has_ended_stays_as_it_is(journal: TradeJournal, clock: Clock) -> None:
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now)))
    ledger = CounterfactualLedger(journal)
    (entry,) = ledger.update_decisions(falling()).entries
    other = replace(entry, case=replace(entry.case, exit_price=1.0, pnl=-1.0))
    stored = ledger.record([other]).stored
    assert stored is not None
    assert (stored.new, stored.forward, stored.unchanged) == (0, 0, 1)
    assert ledger.entries()[0].case.pnl == entry.case.pnl


def test_what_ran_out_counts_apart_from_what_was_ignored(journal: TradeJournal, clock: Clock) -> None:
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now)))
    journal.log_recommendation(idea(clock.now, signal_id="S-2"), expires=timedelta(days=1))
    journal.log_recommendation(idea(clock.now, signal_id="S-3"), expires=timedelta(days=60))
    clock.forward(days=10)
    ledger = CounterfactualLedger(journal)
    ledger.update_decisions(falling())
    assert {line.name: line.n for line in ledger.lines("decision")} == {
        "recommendation expired": 1, "recommendation ignored": 1
    }  # fmt: skip
    table = ledger.by_decision()
    assert table.index.name == "decision"
    assert table["n"].sum() == 2


def automation_details(**changes: Any) -> str:
    given: dict[str, Any] = {
        "automation": "paper", "ended_by": None, "review": None, "client_order_id": None,
        "verdict": {"reason": "heat"}, "notes": [],
    }  # fmt: skip
    return json.dumps({**given, **changes})


def test_what_an_automation_noted_says_who_refused(journal: TradeJournal, clock: Clock) -> None:
    review = {"request_id": "R-1", "decided_by": "ada"}
    endings: list[dict[str, Any]] = [
        {"ended_by": "risk"},
        {"ended_by": "halt", "verdict": {"reason": "killed"}},
        {"ended_by": "risk", "client_order_id": "tw-1"},  # a verdict of a step: the session has it
        {"ended_by": "broker"},  # it was wanted
        {"ended_by": "review", "review": {**review, "state": "rejected"}},
        {"ended_by": "review", "review": {**review, "state": "expired", "decided_by": ""}},
        {"ended_by": "time"},
        {"ended_by": "person"},
    ]
    for index, ending in enumerate(endings):
        number = journal.log_recommendation(idea(clock.now, signal_id=f"S-{index}"))
        journal.ignore_recommendation(number)
        with journal.database.write() as connection:
            table = schema.recommendations
            connection.execute(
                table.update().where(table.c.id == number).values(details=automation_details(**ending))
            )
    ledger = CounterfactualLedger(journal)
    ledger.update_decisions(falling())
    assert {line.name: line.n for line in ledger.lines("rule")} == {"heat": 1, "killed": 1}
    assert {line.name for line in ledger.lines("decision")} == {
        "review rejected", "review expired", "recommendation expired", "recommendation ignored"
    }  # fmt: skip
    by = {entry.case.rule: entry.decided_by for entry in ledger.entries(origin="decision")}
    assert by["review rejected"] == "ada"


def put_review(journal: TradeJournal, clock: Clock, name: str, **changes: Any) -> None:
    order = {
        "client_order_id": f"tw-{name}", "legs": [{"symbol": "SPY", "quantity": 100.0}], "kind": "market",
        "limit_price": None, "stop_price": None, "take_profit": 110.0, "stop_loss": 95.0, "tif": "gtc",
    }  # fmt: skip
    order |= changes.pop("order", {})
    row = {
        "account": "desk", "review": name, "kind": "request", "state": "rejected", "broker": "paper",
        "symbol": "SPY", "purpose": "entry", "created_ts": int(clock.now.timestamp()) * NS,
        "decided_by": "ada", "data": json.dumps({"order": order}),
    }  # fmt: skip
    with journal.database.write() as connection:
        connection.execute(insert(schema.reviews).values(**{**row, **changes}))


def test_a_rejected_review_request_is_run_as_the_order_that_it_is(
    journal: TradeJournal, clock: Clock
) -> None:
    put_review(journal, clock, "R-1")
    resting = {"kind": "limit", "limit_price": 50.0, "tif": "day", "stop_loss": 45.0, "take_profit": 60.0}
    put_review(journal, clock, "R-2", state="expired", order=resting)
    put_review(journal, clock, "R-3", state="approved")
    put_review(journal, clock, "R-4", purpose="exit")
    put_review(journal, clock, "R-5", broker="alpaca")  # real money: source live
    put_review(journal, clock, "R-6", order={"legs": [{"symbol": "SPY260220P00095000", "quantity": -1.0}]})
    ledger = CounterfactualLedger(journal)
    ledger.update_decisions(falling())
    found = {entry.key: entry for entry in ledger.entries()}
    assert set(found) == {"review:desk:R-1", "review:desk:R-2"}
    one, other = found["review:desk:R-1"].case, found["review:desk:R-2"].case
    assert (one.rule, one.state, one.exit_reason, one.qty) == ("review rejected", "closed", "stop", 100.0)
    assert (other.rule, other.state, other.why) == ("review expired", "never_filled", "tif_expired")
    live = CounterfactualLedger(journal, source="live")
    live.update_decisions(falling())
    assert [entry.key for entry in live.entries()] == ["review:desk:R-5"]


def test_a_request_of_a_recommendation_counts_once(journal: TradeJournal, clock: Clock) -> None:
    put_review(journal, clock, "R-1")
    number = journal.log_recommendation(idea(clock.now))
    journal.ignore_recommendation(number)
    review = {"request_id": "R-1", "state": "rejected", "decided_by": "ada"}
    with journal.database.write() as connection:
        connection.execute(
            schema.recommendations.update().values(
                details=automation_details(ended_by="review", review=review)
            )
        )
    ledger = CounterfactualLedger(journal)
    ledger.update_decisions(falling())
    assert [entry.key for entry in ledger.entries()] == ["recommendation:1"]


def test_an_ignored_package_is_run_by_its_legs(journal: TradeJournal, clock: Clock) -> None:
    bars = falling()
    number = journal.log_recommendation(put_spread())
    journal.ignore_recommendation(number)
    ledger = CounterfactualLedger(journal)
    found = ledger.update_decisions(bars)
    assert found.entries == []
    assert "knows nothing of options" in found.notes[0] or "know nothing of options" in found.notes[0]
    index = np.full(len(bars), 0.2)
    quoted = bars.with_options(OptionMarket.modelled(bars, {"SPY": index}))
    found = ledger.update_decisions(quoted)
    assert found.notes == []
    (entry,) = ledger.entries()
    # the market falls through both strikes: the stop at once the credit ends it
    assert (entry.case.state, entry.case.side, entry.case.exit_reason) == ("closed", -1, "stop")
    assert entry.case.r < 0
    kept = ledger.update_decisions(quoted, package_rules={"profit_target": 0.0})
    assert kept.entries == []


def test_what_cannot_be_run_is_said(journal: TradeJournal, clock: Clock) -> None:
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now, ticker="QQQ")))
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now, stop_loss=120.0)))
    early = journal.log_recommendation(idea(clock.now))
    journal.ignore_recommendation(early)
    late = falling().rows(np.arange(20, 40))
    ledger = CounterfactualLedger(journal)
    found = ledger.update_decisions(late)
    assert [note.split(":")[1].split(" ")[0] for note in found.notes] == ["1", "2", "3"]
    assert "no QQQ" in found.notes[0]
    assert "do not cover" in found.notes[2]
    found = ledger.update_decisions(falling())
    assert len(found.entries) == 1
    assert "target" in found.notes[1]


def test_looking_stores_nothing(journal: TradeJournal, clock: Clock) -> None:
    journal.ignore_recommendation(journal.log_recommendation(idea(clock.now)))
    ledger = CounterfactualLedger(journal)
    found = ledger.update_decisions(falling(), store=False)
    assert found.stored is None
    assert len(ledger.entries()) == 1
    assert CounterfactualLedger(journal).entries() == []
    assert "no case" in CounterfactualLedger(journal).report()


def test_a_backtest_can_be_kept_once(journal: TradeJournal) -> None:
    bars = load_bars("synthetic:4x300?seed=3")
    rows = np.arange(20, 280, 2)
    signals = Signals.from_arrays(bars, rows, rows % 4, 1, stop_percent=5.0, target_r=2.5, max_bars=12)
    result = backtest(bars, signals)
    ledger = CounterfactualLedger(journal, source="backtest")
    first, second = ledger.add_result(result), ledger.add_result(result)
    assert first.stored is not None
    assert second.stored is not None
    assert first.stored.new == len(result.counterfactuals().cases) > 10
    assert second.stored.new == 0
    mine, theirs = ledger.by_rule(), result.counterfactuals().by_rule()
    assert mine["text"].to_dict() == theirs["text"].to_dict()
    assert mine["mean_r"].to_dict() == pytest.approx(theirs["mean_r"].to_dict())
    assert CounterfactualLedger(journal).entries() == []
    json.dumps(ledger.plain())
