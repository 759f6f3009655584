"""The journal as its owner uses it: recommend, enter, exit, look up; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journal import TradeJournal
from journal.entry import Entry, EntryDetails
from journal.ledger.recommending import TRANSITIONS
from journal.schema import RECOMMENDATION_STATES
from simulator.errors import DataError, TwinstepError, UnknownNameError
from simulator.opportunity import OptionLeg, ParameterSource, PastPerformance, TrackRecord
from tests.journal.making import EXPIRY, START, Desk, put_spread, short_put, signal, sizing


@pytest.fixture
def desk(where: str) -> Iterator[Desk]:
    made = Desk(where)
    yield made
    made.journal.close()


def failing(code: str) -> pytest.RaisesExc[TwinstepError]:
    return pytest.RaisesExc(TwinstepError, check=lambda error: error.code == code)


# The trader's workflow


def test_the_whole_workflow(desk: Desk) -> None:
    journal, opp = desk.journal, put_spread()
    rec_id = journal.log_recommendation(opp, sizing(), reason="Scanner auto-generated")
    assert rec_id == 1
    journal.log_trade_entry(
        rec_id=1,
        actual_contracts=7,
        entry_credit=1.90,
        iv_rank=68.5,
        notes="Entered at better price than expected",
    )
    desk.clock.forward(days=12)
    outcome = journal.log_trade_exit(
        trade_id=1,
        exit_debit=0.95,
        close_reason="50% profit rule",
        notes="Closed in 12 days for $665 profit",
    )
    assert outcome.pnl == pytest.approx(665.0)
    assert outcome.closed
    assert any("IV rank" in line for line in outcome.insights)
    trade = journal.trade(1)
    assert (trade.status, trade.close_code, trade.days) == ("closed", "profit_target", 12.0)
    assert trade.capture_percent == pytest.approx(50.0)
    # 500 - 190 can be lost per package, seven of them
    assert trade.initial_risk == pytest.approx(2170.0)
    assert trade.r_multiple == pytest.approx(665.0 / 2170.0)
    assert trade.exit_notes == "Closed in 12 days for $665 profit"
    assert journal.recommendation(1).status == "executed"
    assert [line.text for line in journal.insights(1)] == list(outcome.insights)
    assert str(outcome).startswith("trade 1 closed: P&L +665.00 (+0.31R)")


def test_what_was_recommended_is_kept_whole(desk: Desk) -> None:
    desk.journal.log_recommendation(put_spread(), sizing(), reason="Scanner auto-generated")
    kept = desk.journal.recommendation(1)
    assert (kept.status, kept.kind, kept.side, kept.symbol) == ("recommended", "option", -1, "SPY")
    assert (kept.quantity, kept.entry_price, kept.multiplier, kept.credit) == (5.0, 1.85, 100.0, 1.85)
    assert (kept.max_profit, kept.max_loss, kept.width, kept.mid_price) == (185.0, 315.0, 5.0, 1.90)
    assert (kept.iv_rank, kept.iv, kept.dte, kept.expiry) == (62.0, 0.21, 46, "2026-02-20")
    assert (kept.probability, kept.score, kept.delta, kept.grade) == (0.71, 74.0, 12.0, "quoted")
    assert (kept.sizing_rule, kept.account_size, kept.total_risk) == ("risk_per_trade", 46_000.0, 1575.0)
    assert (kept.created_time, kept.expires_time) == (START, START + timedelta(days=5))
    assert json.loads(kept.break_evens or "") == [93.15]
    assert json.loads(kept.details or "")["sizing_reasons"] == ["5 % of 46,000 is 2,300"]
    assert [str(leg) for leg in kept.legs] == ["-95P", "+90P"]
    assert [leg.symbol for leg in kept.legs] == ["SPY260220P00095000", "SPY260220P00090000"]
    assert [leg.open_quantity for leg in kept.legs] == [None, None]


def test_unbounded_loss_and_unknown_numbers_are_null(desk: Desk) -> None:
    opp = put_spread(max_loss=float("inf"), iv=float("nan"), iv_rank=None, width=None)
    desk.journal.log_recommendation(opp)
    kept = desk.journal.recommendation(1)
    assert (kept.max_loss, kept.max_loss_unlimited) == (None, 1)
    assert (kept.max_profit, kept.max_profit_unlimited) == (185.0, 0)
    assert (kept.iv, kept.iv_rank, kept.iv_rank_definition, kept.width) == (None, None, None, None)


def test_a_trade_inherits_the_snapshot_and_what_is_said_goes_before_it(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(put_spread(), sizing())
    journal.log_trade_entry(1, 7, 1.90, 68.5, vix=19.5, sector="Index", spot=101.0, tags=["weekly"])
    trade = journal.trade(1)
    assert (trade.iv_rank, trade.spot, trade.vix, trade.sector) == (68.5, 101.0, 19.5, "Index")
    assert (trade.iv, trade.dte, trade.expiry, trade.width) == (0.21, 46, "2026-02-20", 5.0)
    assert (trade.delta, trade.score, trade.probability, trade.grade) == (12.0, 74.0, 0.71, "quoted")
    assert trade.iv_rank_definition == journal.recommendation(1).iv_rank_definition
    assert (trade.recommendation_id, trade.granted_quantity, trade.quantity) == (1, 5.0, 7.0)
    assert trade.signal_expires_time == START + timedelta(days=5)
    # 1.90 instead of 1.85 lowers the largest loss by 5 per package and raises the largest profit by as much
    assert trade.max_loss == pytest.approx(7 * 310.0)
    assert trade.max_profit == pytest.approx(7 * 190.0)
    assert trade.buying_power == pytest.approx(7 * 316.0)
    assert trade.slippage == pytest.approx(0.0)
    assert [(str(leg), leg.open_quantity) for leg in trade.legs] == [("-95P", 7.0), ("+90P", 7.0)]
    assert trade.legs[0].bid == 2.85
    assert journal.tags(1) == ["weekly"]


def test_a_stock_signal_is_recommended_and_traded(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(signal(), reason="breakout above the range")
    kept = journal.recommendation(1)
    assert (kept.kind, kept.side, kept.quantity, kept.entry_price) == ("stock", 1, 100.0, 50.0)
    assert (kept.stop_price, kept.target_price, kept.reward_risk, kept.risk) == (48.0, 56.0, 3.0, 2.0)
    trade_id = journal.log_trade_entry(1, entry_price=50.10, fees=1.0)
    trade = journal.trade(trade_id)
    assert (trade.kind, trade.multiplier, trade.quantity, trade.strategy) == ("stock", 1.0, 100.0, "breakout")
    assert (trade.strength, trade.score, trade.sector) == (3, 81.0, "Technology")
    assert trade.initial_risk == pytest.approx(210.0)
    outcome = journal.log_trade_exit(trade_id, exit_price=56.0, close_reason="target", fees=1.0)
    assert outcome.pnl == pytest.approx(590.0 - 2.0)
    assert outcome.r_multiple == pytest.approx(588.0 / 210.0)
    assert journal.trade(trade_id).capture_percent is None


def test_a_short_sale_and_a_debit_package(desk: Desk) -> None:
    journal = desk.journal
    short = journal.log_trade_entry(symbol="XYZ", side=-1, quantity=50, entry_price=20.0, stop_price=22.0)
    assert journal.log_trade_exit(short, exit_price=17.0).r_multiple == pytest.approx(1.5)
    call = journal.log_trade_entry(
        symbol="SPY",
        strategy="long-call",
        actual_contracts=2,
        entry_credit=-3.0,
        legs=[{"side": 1, "kind": "call", "strike": 100.0, "expiry": "2026-03-20"}],
    )
    trade = journal.trade(call)
    assert (trade.side, trade.entry_price, trade.entry_credit) == (1, 3.0, -3.0)
    assert (trade.max_loss, trade.max_profit, trade.initial_risk) == (600.0, None, 600.0)
    assert (trade.expiry, trade.dte) == ("2026-03-20", 74)
    assert journal.log_trade_exit(call, exit_debit=-4.5).pnl == pytest.approx(300.0)
    assert journal.trade(call).capture_percent is None  # nothing bounds what a call can make
    spread = journal.log_trade_entry(
        symbol="SPY",
        strategy="long-call-spread",
        actual_contracts=1,
        entry_credit=-2.0,
        expiry="2026-03-20",
        legs=[{"side": 1, "kind": "call", "strike": 100.0}, {"side": -1, "kind": "call", "strike": 105.0}],
    )
    journal.log_trade_exit(spread, exit_price=3.5)
    assert journal.trade(spread).capture_percent == pytest.approx(50.0)  # 150 of 300
    assert journal.trade(spread).r_multiple == pytest.approx(0.75)


def test_risk_is_the_largest_loss_where_one_is_defined_also_of_a_put(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(short_put())
    trade = journal.trade(journal.log_trade_entry(1, 2, 3.00))
    assert (trade.initial_risk, trade.max_loss) == (18_400.0, 18_400.0)
    assert trade.granted_quantity is None  # nobody sized it
    legs = [{"side": -1, "kind": "put", "strike": 20.0, "expiry": "2026-03-20"}]
    by_hand = journal.trade(
        journal.log_trade_entry(symbol="F", actual_contracts=1, entry_credit=1.0, legs=legs)
    )
    assert (by_hand.initial_risk, by_hand.max_loss) == (1900.0, 1900.0)
    assert journal.log_trade_exit(by_hand.id, 0.05).r_multiple == pytest.approx(0.05)


def test_risk_without_a_defined_loss_is_what_the_recommendation_stated(desk: Desk) -> None:
    journal = desk.journal
    call = (OptionLeg(-1, "call", 105.0, EXPIRY, 1, 2.90, 3.00),)
    journal.log_recommendation(short_put(legs=call, max_loss=math.inf))
    trade = journal.trade(journal.log_trade_entry(1, 2, 3.00))
    assert (trade.initial_risk, trade.max_loss) == (1400.0, None)
    unknown = journal.log_trade_entry(
        symbol="SPY", strategy="short-strangle", actual_contracts=1, entry_credit=2
    )
    assert journal.trade(unknown).initial_risk is None
    assert journal.log_trade_exit(unknown, 1.0).r_multiple is None


# States of a recommendation


def state_of(desk: Desk, status: str) -> int:
    """Bring a new recommendation into a state."""
    rec_id = desk.journal.log_recommendation(put_spread(), sizing())
    if status == "executed":
        desk.journal.log_trade_entry(rec_id, 1, 1.85)
    elif status == "ignored":
        desk.journal.ignore_recommendation(rec_id, "too many put spreads")
    elif status == "expired":
        desk.clock.forward(days=5, seconds=1)
    return rec_id


@pytest.mark.parametrize("status", RECOMMENDATION_STATES)
def test_only_what_waits_can_be_ignored(desk: Desk, status: str) -> None:
    rec_id = state_of(desk, status)
    assert desk.journal.recommendation(rec_id).status == status
    if "ignored" in TRANSITIONS[status]:
        desk.journal.ignore_recommendation(rec_id, "why")
        kept = desk.journal.recommendation(rec_id)
        assert (kept.status, kept.decision, kept.decided_time) == ("ignored", "why", desk.clock.now)
    else:
        with failing("JOURNAL_STATUS"):
            desk.journal.ignore_recommendation(rec_id)
        assert desk.journal.recommendation(rec_id).status == status


@pytest.mark.parametrize("status", ["executed", "ignored", "expired"])
def test_an_entry_against_the_state_needs_a_word_and_is_remembered(desk: Desk, status: str) -> None:
    rec_id = state_of(desk, status)
    before = len(desk.journal.trades())
    with failing("JOURNAL_STATUS"):
        desk.journal.log_trade_entry(rec_id, 1, 1.85)
    assert len(desk.journal.trades()) == before
    trade = desk.journal.trade(desk.journal.log_trade_entry(rec_id, 1, 1.85, override=True))
    assert json.loads(trade.details or "")["override"] == status
    assert desk.journal.recommendation(rec_id).status == "executed"
    desk.journal.log_trade_exit(trade.id, 1.0)
    with desk.journal.database.read() as connection:
        tags = connection.exec_driver_sql("SELECT category FROM mistakes WHERE automatic = 1").scalars().all()
    assert ("late_entry" in tags) == (status == "expired")


def test_expiry_happens_by_itself(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(put_spread(), expires=timedelta(hours=2))
    journal.log_recommendation(put_spread(), expires=START + timedelta(days=1))
    desk.clock.forward(hours=2)
    assert journal.recommendation(1).status == "recommended"  # its last moment
    assert journal.expire_recommendations() == 0
    desk.clock.forward(seconds=1)
    # a reader sees it before anybody wrote it
    assert journal.recommendation(1).status == "expired"
    assert [rec.id for rec in journal.recommendations("expired")] == [1]
    assert [rec.id for rec in journal.recommendations("recommended")] == [2]
    assert journal.expire_recommendations() == 1
    assert journal.expire_recommendations() == 0
    desk.clock.forward(days=1)
    journal.log_trade_entry(symbol="XYZ", quantity=1, entry_price=5.0)  # any write expires what is late
    with journal.database.read() as connection:
        stored = connection.exec_driver_sql(
            "SELECT status, decided_ts, expires_ts FROM recommendations"
        ).all()
    assert [row[0] for row in stored] == ["expired", "expired"]
    assert all(row[1] == row[2] for row in stored)


def test_what_was_entered_in_time_may_be_logged_late(desk: Desk) -> None:
    desk.journal.log_recommendation(put_spread())
    entered = desk.clock.forward(days=4)
    desk.clock.forward(days=4)
    trade = desk.journal.trade(desk.journal.log_trade_entry(1, 2, 1.85, when=entered))
    assert trade.details is None
    assert trade.entry_time == entered
    assert desk.journal.recommendation(1).status == "executed"


def test_an_option_is_not_recommended_beyond_its_expiry_unless_the_market_is_of_the_past(desk: Desk) -> None:
    desk.clock.now = datetime(2026, 2, 19, 15, tzinfo=UTC)
    desk.journal.log_recommendation(put_spread())
    assert desk.journal.recommendation(1).expires_time == datetime(2026, 2, 21, tzinfo=UTC)
    desk.clock.now = datetime(2027, 1, 4, 15, tzinfo=UTC)
    desk.journal.log_recommendation(put_spread())
    assert desk.journal.recommendation(2).expires_time == datetime(2027, 1, 9, 15, tzinfo=UTC)
    assert desk.journal.log_trade_entry(2, 1, 1.85) == 1


# Names and finding


def test_numbers_and_names_are_the_same_trade(desk: Desk) -> None:
    journal = desk.journal
    for name in (None, "TRADE_003", "earnings play"):
        journal.log_trade_entry(symbol="SPY", quantity=1, entry_price=10.0, name=name)
    assert {journal.trade(one).id for one in (1, "1", "TRADE_001", "TRADE_1", "trade_0001", 1.0)} == {1}  # type: ignore[arg-type]  # a whole float is a number
    assert journal.trade("TRADE_003").id == 2  # a name goes before a number
    assert journal.trade(3).name == "earnings play"
    assert journal.log_trade_exit("earnings play", exit_price=11.0).trade_id == 3
    with pytest.raises(UnknownNameError, match="Did you mean 'earnings play'"):
        journal.trade("earning play")
    with pytest.raises(UnknownNameError, match="Numbers run from 1 to 3"):
        journal.trade(7)


def test_views_filter_and_never_mix_sources_unasked(desk: Desk) -> None:
    journal = desk.journal
    for number, (symbol, source) in enumerate(
        [("SPY", None), ("QQQ", "paper"), ("SPY", "backtest"), ("SPY", None)]
    ):
        desk.clock.forward(days=1)
        trade_id = journal.log_trade_entry(
            symbol=symbol,
            quantity=1,
            entry_price=10.0,
            source=source,
            strategy=f"s{number}",
            tags=[f"t{number % 2}"],
        )
        if number < 3:
            journal.log_trade_exit(trade_id, exit_price=11.0 if number else 9.0, notes="Fed day, 100% sure")

    def ids(**chosen: Any) -> list[int]:
        return [trade.id for trade in journal.trades(**chosen)]

    assert ids() == [1, 4]
    assert ids(source="all") == [1, 2, 3, 4]
    assert ids(source=["paper", "backtest"]) == [2, 3]
    assert ids(source="all", symbol="SPY", status="closed") == [1, 3]
    assert ids(source="all", strategy="s1") == [2]
    assert ids(source="all", tag="t1") == [2, 4]
    assert ids(source="all", limit=2) == [3, 4]
    assert ids(source="all", since=START + timedelta(days=2), until=START + timedelta(days=3)) == [2, 3]
    assert [trade.id for trade in journal.search("FED", source="all")] == [1, 2, 3]
    assert [trade.id for trade in journal.search("100%", source="all")] == [1, 2, 3]
    assert [trade.id for trade in journal.search("1_0", source="all")] == []
    assert [trade.id for trade in journal.search("t1", source="all")] == [2, 4]
    assert journal.past_performance("SPY") == TrackRecord(1, 0.0, -1.0)
    assert journal.past_performance("QQQ") is None
    assert TradeJournal(journal.database, source="paper").past_performance("QQQ") == TrackRecord(
        1, 100.0, 1.0
    )


def test_tags_come_and_go(desk: Desk) -> None:
    journal = desk.journal
    journal.log_trade_entry(symbol="SPY", quantity=1, entry_price=10.0, tags=["b", "a", "b"])
    journal.add_tag("TRADE_001", "c")
    journal.add_tag(1, "c")
    journal.remove_tag(1, "b")
    assert journal.tags(1) == journal.tags() == ["a", "c"]
    with failing("JOURNAL_TAG"):
        journal.remove_tag(1, "b")


def test_a_moved_stop_stands_beside_the_planned_one(desk: Desk) -> None:
    journal = desk.journal
    journal.log_trade_entry(symbol="SPY", quantity=10, entry_price=50.0, stop_price=48.0)
    journal.move_stop(1, 47.0)
    trade = journal.trade(1)
    assert (trade.stop_price, trade.current_stop_price, trade.initial_risk) == (48.0, 47.0, 20.0)


def test_the_same_execution_is_stored_once(desk: Desk) -> None:
    journal = desk.journal
    journal.log_trade_entry(
        symbol="SPY", quantity=10, entry_price=50.0, execution_key="alpaca:1:x1", broker="alpaca"
    )
    with failing("JOURNAL_DUPLICATE"):
        journal.log_trade_entry(symbol="SPY", quantity=10, entry_price=50.0, execution_key="alpaca:1:x1")
    assert len(journal.trades()) == 1
    journal.log_trade_exit(1, exit_price=51.0, quantity=4, execution_key="alpaca:1:x2")
    with failing("JOURNAL_DUPLICATE"):
        journal.log_trade_exit(1, exit_price=51.0, quantity=4, execution_key="alpaca:1:x2")
    assert journal.trade(1).open_quantity == 6.0


def test_what_was_logged_is_there_when_the_journal_is_opened_again(desk: Desk, where: str) -> None:
    desk.journal.log_recommendation(put_spread(), sizing())
    desk.journal.log_trade_entry(1, 5, 1.85)
    before = desk.journal.trade(1)
    desk.journal.close()
    with TradeJournal(where, clock=desk.clock) as journal:
        assert journal.trade(1) == before
        assert len(journal.fills(1)) == 1


def test_the_journal_is_what_the_scanner_asks(desk: Desk) -> None:
    assert isinstance(desk.journal, PastPerformance)
    assert isinstance(desk.journal, ParameterSource)
    assert dict(desk.journal.parameters_for("options_scanner")) == {}


def test_learned_parameters_come_from_the_store_and_mark_what_they_led_to(desk: Desk) -> None:
    from journal import ParameterStore

    store = ParameterStore(desk.journal.database)
    proposed = store.propose("options_scanner", {"min_iv_rank": 55.0}, evidence={"trades": 40}, source="live")
    store.approve(proposed.id, by="owner")
    assert dict(desk.journal.parameters_for("options_scanner")) == {"min_iv_rank": 55.0}
    desk.journal.log_recommendation(put_spread(), sizing())
    trade = desk.journal.trade(desk.journal.log_trade_entry(1, 5, 1.85))
    assert (desk.journal.recommendation(1).parameter_set_id, trade.parameter_set_id) == (
        proposed.id,
        proposed.id,
    )


def test_arguments_of_an_entry_are_the_fields_of_its_record() -> None:
    positional = {"rec_id", "actual_contracts", "entry_credit", "iv_rank", "notes"}
    assert set(Entry.__dataclass_fields__) == set(EntryDetails.__annotations__) | positional
    types = {name: str(kind) for name, kind in EntryDetails.__annotations__.items()}
    for name, field in Entry.__dataclass_fields__.items():
        if name not in positional:
            assert str(field.type) in types[name], name


def test_errors_are_of_the_kinds_that_callers_expect(desk: Desk) -> None:
    with pytest.raises(ValueError, match="JOURNAL_SYMBOL"):
        desk.journal.log_trade_entry(quantity=1, entry_price=1.0)
    with pytest.raises(LookupError, match="JOURNAL_TRADE"):
        desk.journal.log_trade_exit(1, 1.0)
    with pytest.raises(DataError, match="JOURNAL_CHOICE"):
        TradeJournal(desk.journal.database, source="demo")


@pytest.mark.parametrize("module", ["insights", "mistakes", "running"])
def test_an_exit_whose_analysis_fails_has_not_happened(
    desk: Desk, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    desk.journal.log_recommendation(put_spread(), sizing())
    desk.journal.log_trade_entry(1, 5, 1.85)
    before = desk.journal.trade(1)
    name = {"insights": "analyse", "mistakes": "detect", "running": "update"}[module]
    monkeypatch.setattr(importlib.import_module(f"journal.performance.{module}"), name, fail)
    with pytest.raises(OSError, match="disk is gone"):
        desk.journal.log_trade_exit(1, 0.90, "50% profit rule")
    assert desk.journal.trade(1) == before
    assert len(desk.journal.fills(1)) == 1
    assert desk.journal.insights() == []
    monkeypatch.undo()
    assert desk.journal.log_trade_exit(1, 0.90).closed


def test_a_database_given_open_stays_open(desk: Desk) -> None:
    with TradeJournal(desk.journal.database, source="paper") as other:
        other.log_trade_entry(symbol="XYZ", quantity=1, entry_price=5.0)
    assert [trade.source for trade in desk.journal.trades(source="all")] == ["paper"]


def test_records_say_what_they_are(desk: Desk) -> None:
    journal = desk.journal
    journal.log_trade_entry(
        symbol="SPY", actual_contracts=2, entry_credit=1.5, name="put play", strategy="short-put"
    )
    assert str(journal.trade(1)) == "#1 'put play' SPY short-put: sold 2 at 1.50 on 2026-01-05, 2 open"
    journal.log_trade_exit(1, 0.5, when=START)
    assert str(journal.trade(1)).endswith("closed at 0.50, P&L +200.00")
    [opening, closing] = journal.fills(1)
    assert (opening.cash, closing.cash, closing.time) == (300.0, -100.0, START)
    assert repr(journal).startswith("TradeJournal(")
