"""Entries and exits that a broker shows, joined with what was recommended and planned."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal, schema
from tests.journal.making import Clock, put_spread, signal, sizing
from tests.journal.tracked import LONG, NEXT_LONG, NEXT_SHORT, SHORT, Desk, desk, near, rows

__all__ = ["desk"]  # a fixture


# Entries


def test_an_order_that_was_recommended_executes_the_recommendation(desk: Desk) -> None:
    number = desk.recommend(hours=2)
    desk.open_spread(packages=4)
    report = desk.tracker.sync()
    assert (report.status, report.entries, report.linked, report.external) == ("ok", (1,), (1,), ())
    trade = desk.journal.trade(1)
    assert (trade.recommendation_id, trade.strategy, trade.source) == (number, "short-put-spread", "paper")
    assert (trade.quantity, trade.side, trade.entry_price, trade.fees) == (4.0, -1, near(1.90), 8.0)
    assert (trade.iv_rank, trade.score, trade.spot, trade.probability) == (62.0, 74.0, 100.0, 0.71)
    assert trade.granted_quantity == 5.0
    assert trade.max_profit == near(760.0)  # 4 x 190, from the fill and not the recommended 185
    assert trade.initial_risk == near(1240.0)
    recommendation = desk.journal.recommendation(number)
    assert (recommendation.status, recommendation.decision) == ("executed", "trade 1")


def test_a_synced_entry_is_what_one_logs_by_hand(desk: Desk, tmp_path: Path) -> None:
    number = desk.recommend(hours=2)
    desk.open_spread(packages=5)
    desk.tracker.sync()
    desk.close_spread(days=10)
    desk.tracker.sync()
    clock = Clock()
    with TradeJournal(tmp_path / "other.db", clock=clock, source="paper") as other:
        other.log_recommendation(put_spread(), sizing(5), reason="scan")
        clock.forward(hours=2)
        other.log_trade_entry(number, 5, entry_credit=1.90, fees=10.0)
        clock.forward(days=10)
        other.log_trade_exit(1, exit_debit=0.90, close_reason="50% profit rule")
        wanted, found = other.trade(1), desk.journal.trade(1)
        apart = {"id", "details", "legs", "account", "signal_expires_ts", "entry_notes"}
        for name in wanted.__dataclass_fields__:
            if name not in apart:
                assert getattr(found, name) == near(getattr(wanted, name)), name
        assert [one.text for one in desk.journal.insights(1)] == [one.text for one in other.insights(1)]
        figures = [
            [{k: v for k, v in row.items() if k != "id"} for row in rows(one, schema.performance_metrics)]
            for one in (desk.journal, other)
        ]
        assert len(figures[0]) == 3
        for mine, theirs in zip(*figures, strict=True):
            assert mine == near(theirs)


@pytest.mark.parametrize("why", ["expired", "ignored", "later", "other side", "other legs", "far price"])
def test_what_does_not_fit_a_recommendation_is_external(desk: Desk, why: str) -> None:
    if why != "later":
        number = desk.recommend(hours=2)
    if why == "ignored":
        desk.journal.ignore_recommendation(number)
    legs = [(SHORT, -5.0, 2.85), (LONG, 5.0, 0.95)]
    if why == "other side":
        legs = [(symbol, -quantity, price) for symbol, quantity, price in legs]
    if why == "other legs":
        legs[1] = ("SPY260220P00089000", 5.0, 0.95)
    if why == "far price":
        legs = [(SHORT, -5.0, 1.2), (LONG, 5.0, 0.95)]
    desk.trade(*legs, days=8 if why == "expired" else 0)
    if why == "later":
        desk.clock.forward(hours=1)
        desk.recommend()
    report = desk.tracker.sync()
    assert (report.external, report.linked) == ((1,), ())
    assert desk.journal.trade(1).strategy == "external"
    assert desk.journal.trade(1).recommendation_id is None


def test_a_recommendation_that_expired_after_the_fill_still_counts(desk: Desk) -> None:
    number = desk.recommend(hours=2)
    desk.open_spread()
    desk.clock.forward(days=20)
    assert desk.tracker.sync().linked == (1,)
    assert desk.journal.recommendation(number).status == "executed"


def test_of_two_recommendations_the_nearest_price_counts(desk: Desk) -> None:
    desk.journal.log_recommendation(signal(entry_price=52.0))
    nearest = desk.journal.log_recommendation(signal(entry_price=50.0, signal_id="s-2"))
    desk.trade(("AAPL", 60, 50.2), hours=1)
    desk.tracker.sync()
    trade = desk.journal.trade(1)
    assert trade.recommendation_id == nearest
    assert (trade.quantity, trade.stop_price, trade.target_price) == (60.0, 48.0, 56.0)
    assert trade.initial_risk == near(60 * 2.2)
    assert (trade.sector, trade.signal_type) == ("Technology", "breakout")


def test_two_recommendations_of_one_stock_are_two_trades_closed_in_turn(desk: Desk) -> None:
    first = desk.journal.log_recommendation(signal())
    desk.trade(("AAPL", 100, 50.0), hours=1)
    second = desk.journal.log_recommendation(signal(entry_price=53.0, stop_loss=51.0, signal_id="s-2"))
    desk.trade(("AAPL", 40, 53.0), hours=1)
    desk.tracker.sync()
    assert [trade.recommendation_id for trade in desk.journal.trades()] == [first, second]
    desk.trade(("AAPL", -120, 56.0), days=1)
    report = desk.tracker.sync()
    assert (report.exits, report.partial_closes, report.status) == ((1,), (2,), "ok")
    assert [trade.open_quantity for trade in desk.journal.trades()] == [0.0, 20.0]
    assert desk.journal.trade(1).pnl == near(600.0)
    desk.tracker.sync()
    assert len(desk.journal.trades()) == 2


def test_an_order_filled_in_parts_stays_one_recommended_trade(desk: Desk) -> None:
    desk.recommend(hours=2)
    order = desk.open_spread(packages=2)
    desk.tracker.sync()
    more = [
        replace(done, execution_id=f"more{index}", quantity=3.0, time=desk.clock.now + timedelta(minutes=5))
        for index, done in enumerate(desk.account.executions())
    ]
    assert {done.order_id for done in more} == {order}
    desk.account._executions += more
    assert desk.tracker.sync().status == "ok"
    (trade,) = desk.journal.trades()
    assert (trade.quantity, trade.initial_risk) == (5.0, near(1550.0))
    assert trade.recommendation_id == 1


# Exits


@pytest.mark.parametrize(
    ("price", "days", "code"),
    [(0.90, 10, "profit_target"), (1.70, 25, "dte"), (1.70, 5, "other"), (3.00, 10, "other")],
)
def test_the_plan_tells_why_premium_was_closed(desk: Desk, price: float, days: int, code: str) -> None:
    desk.recommend(hours=2)
    desk.open_spread()
    desk.close_spread(price=price, days=days)
    desk.tracker.sync()
    trade = desk.journal.trade(1)
    assert trade.close_code == code
    assert (trade.close_reason == "closed at broker") == (code == "other")


@pytest.mark.parametrize(("price", "code"), [(47.95, "stop"), (56.1, "target"), (52.0, "other")])
def test_the_plan_tells_why_shares_were_sold(desk: Desk, price: float, code: str) -> None:
    desk.journal.log_recommendation(signal())
    desk.trade(("AAPL", 100, 50.0), hours=1)
    desk.tracker.sync()
    desk.trade(("AAPL", -100, price), days=2)
    desk.tracker.sync()
    trade = desk.journal.trade(1)
    assert (trade.close_code, trade.pnl) == (code, near(100 * (price - 50)))
    assert trade.r_multiple == near((price - 50) / 2)


def test_a_partial_close_leaves_the_rest_open(desk: Desk) -> None:
    desk.open_spread(5)
    desk.tracker.sync()
    desk.close_spread(2, days=1)
    report = desk.tracker.sync()
    assert (report.partial_closes, report.exits) == ((1,), ())
    trade = desk.journal.trade(1)
    assert (trade.status, trade.open_quantity, trade.pnl) == ("open", 3.0, near(190.0))
    assert [leg.open_quantity for leg in trade.legs] == [3.0, 3.0]


def test_a_roll_continues_the_trade(desk: Desk) -> None:
    desk.recommend(hours=2)
    desk.open_spread(5)
    desk.tracker.sync()
    desk.trade((SHORT, 5, 2.0), (LONG, -5, 0.5), (NEXT_SHORT, -5, 3.0), (NEXT_LONG, 5, 1.2), days=20)
    report = desk.tracker.sync()
    assert (report.exits, report.entries, report.external) == ((1,), (2,), ())
    first, second = desk.journal.trades()
    assert (first.close_code, second.rolled_from_id, second.campaign_id) == ("roll", 1, 1)
    assert second.strategy == "short-put-spread"


def test_the_order_tells_which_of_two_trades_is_closed(desk: Desk) -> None:
    desk.open_spread(1)
    desk.trade((SHORT, -1, 2.9), hours=1)  # a single put of the same contract, younger
    desk.tracker.sync()
    desk.trade((SHORT, 1, 1.0), (LONG, -1, 0.3), days=1)
    assert desk.tracker.sync().exits == (1,)
    desk.open_spread(1, hours=1)
    desk.trade((SHORT, 1, 0.5), days=1)
    assert desk.tracker.sync().exits == (2,)


def test_options_that_expire_are_closed_at_nothing(desk: Desk) -> None:
    desk.open_spread(5)
    desk.tracker.sync()
    desk.clock.forward(days=46)
    for symbol, quantity in ((SHORT, 5), (LONG, -5)):
        desk.account.settle("expiry", symbol, quantity, time=desk.clock.now)
    report = desk.tracker.sync()
    assert (report.status, report.exits, report.expiries) == ("ok", (1,), (1,))
    trade = desk.journal.trade(1)
    assert (trade.close_code, trade.pnl) == ("expiry", near(950.0 - 10.0))


@pytest.mark.parametrize("kind", ["assignment", "exercise"])
def test_assigned_and_exercised_options_become_shares_of_one_campaign(desk: Desk, kind: Any) -> None:
    side = -1 if kind == "assignment" else 1
    desk.trade((SHORT, side * 2, 3.0))
    desk.tracker.sync()
    desk.clock.forward(days=30)
    desk.account.settle(
        kind, SHORT, -side * 2, time=desk.clock.now, shares=("SPY", -side * 200, 95.0)
    )  # a sold put brings shares, a bought put delivers them
    report = desk.tracker.sync()
    assert (report.status, report.exits, report.entries) == ("ok", (1,), (2,))
    assert report.assignments == (1,)
    option, shares = desk.journal.trades()
    assert (option.close_code, option.pnl) == ("assignment", near(-side * 600.0))
    assert (shares.side, shares.quantity, shares.entry_price, shares.campaign_id) == (-side, 200.0, 95.0, 1)


def test_a_weekly_index_option_executes_what_was_recommended_on_the_index(desk: Desk) -> None:
    desk.journal.log_recommendation(put_spread(symbol="SPX"), sizing(5))
    desk.trade(("SPXW260220P00095000", -2, 2.85), ("SPXW260220P00090000", 2, 0.95), hours=1)
    assert desk.tracker.sync().linked == (1,)
    assert desk.journal.trade(1).symbol == "SPX"


def test_a_recommendation_is_executed_once(desk: Desk) -> None:
    desk.recommend(hours=2)
    desk.open_spread()
    desk.open_spread(minutes=1)
    report = desk.tracker.sync()
    assert (report.linked, report.external) == ((1,), (2,))
    desk.open_spread(minutes=1)
    assert desk.tracker.sync().external == (3,)
