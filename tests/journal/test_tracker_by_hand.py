"""Trades that were logged by hand, and then shown by the broker: one trade, not two."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from journal import schema
from tests.journal.making import START
from tests.journal.tracked import LONG, SHORT, Desk, desk, everything, near, rows

__all__ = ["desk"]  # a fixture


def test_an_entry_logged_by_hand_is_linked_and_not_doubled(desk: Desk) -> None:
    number = desk.recommend(hours=2)
    logged = desk.journal.log_trade_entry(number, 5, entry_credit=1.88, notes="mine", tags=["earnings"])
    desk.open_spread(minutes=3)
    report = desk.tracker.sync()
    assert (report.status, report.entries, report.linked) == ("ok", (), (logged,))
    (trade,) = desk.journal.trades()
    assert (trade.entry_price, trade.fees) == (near(1.90), 10.0)  # the broker's fill counts
    assert (trade.entry_notes, desk.journal.tags(1), trade.recommendation_id) == ("mine", ["earnings"], 1)


def test_two_lots_of_a_stock_logged_by_hand_stay_two(desk: Desk) -> None:
    for price, hours in ((50.0, 1), (51.0, 24)):
        desk.clock.forward(hours=hours)
        desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=price)
        desk.trade(("AAPL", 100, price))
    report = desk.tracker.sync()
    assert (report.status, report.linked, report.entries) == ("ok", (1, 2), ())
    assert [trade.quantity for trade in desk.journal.trades()] == [100.0, 100.0]


def test_an_order_half_filled_is_the_one_logged_by_hand(desk: Desk) -> None:
    desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0)
    desk.trade(("AAPL", 60, 50.0), minutes=1)
    assert desk.tracker.sync().status == "ok"
    (trade,) = desk.journal.trades()
    assert trade.quantity == 60.0


def test_what_was_logged_by_hand_long_ago_is_closed_by_executions(desk: Desk) -> None:
    desk.journal.log_trade_entry(
        symbol="SPY", actual_contracts=5, entry_credit=1.90, fees=10.0, max_loss=1550.0,
        legs=[
            {"side": -1, "kind": "put", "strike": 95.0, "expiry": "2026-02-20"},
            {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2026-02-20"},
        ],
    )  # fmt: skip
    desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0, stop_price=48.0)
    desk.open_spread()
    desk.trade(("AAPL", 100, 50.0))
    desk.account.forget()
    desk.clock.forward(days=5)
    desk.trade((SHORT, 2, 1.10), (LONG, -2, 0.20))
    desk.trade(("AAPL", -100, 47.9))
    report = desk.tracker.sync()
    assert (report.exits, report.partial_closes, report.entries) == ((2,), (1,), ())
    assert report.status == "ok"
    spread, stock = desk.journal.trades()
    assert (stock.pnl, stock.close_code, stock.account) == (near(-210.0), "stop", "paper")
    assert (spread.open_quantity, spread.pnl) == (3.0, near(2 * 100.0 - 10.0))
    assert desk.journal.insights(2)
    desk.trade((SHORT, 3, 1.10), (LONG, -3, 0.20), days=1)
    assert desk.tracker.sync().exits == (1,)
    spread = desk.journal.trade(1)
    assert (spread.pnl, spread.close_code) == (near(490.0), "profit_target")
    before = everything(desk.journal)
    desk.tracker.sync(since=START - timedelta(days=1))
    assert everything(desk.journal) == before


def test_one_execution_closes_two_lots_logged_by_hand(desk: Desk) -> None:
    for _ in range(2):
        desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0)
    desk.trade(("AAPL", 200, 50.0))
    desk.account.forget()
    desk.trade(("AAPL", -250, 52.0), days=5, fees=5.0)  # 50 more than were logged: a short sale
    report = desk.tracker.sync()
    assert (report.status, report.exits, report.external) == ("ok", (1, 2), (3,))
    assert [(trade.pnl, trade.side) for trade in desk.journal.trades()] == [
        (near(198.0), 1), (near(198.0), 1), (near(-1.0), -1),
    ]  # fmt: skip
    before = everything(desk.journal)
    assert desk.tracker.sync().executions == 0
    assert everything(desk.journal) == before


def test_an_option_logged_by_hand_that_is_assigned_brings_shares_in_its_campaign(desk: Desk) -> None:
    desk.journal.log_trade_entry(
        symbol="SPY", strategy="wheel", actual_contracts=1, entry_credit=2.0,
        legs=[{"side": -1, "kind": "put", "strike": 95.0, "expiry": "2026-02-20"}],
    )  # fmt: skip
    desk.trade((SHORT, -1, 2.0))
    desk.account.forget()
    desk.clock.forward(days=46)
    desk.account.settle("assignment", SHORT, 1, time=desk.clock.now, shares=("SPY", 100, 95.0))
    report = desk.tracker.sync()
    assert (report.status, report.exits, report.assignments) == ("ok", (1,), (1,))
    option, shares = desk.journal.trades()
    assert (option.close_code, option.pnl) == ("assignment", near(200.0))
    assert (shares.kind, shares.quantity, shares.entry_price) == ("stock", 100.0, 95.0)
    assert (shares.campaign_id, shares.strategy) == (1, "wheel")
    desk.trade(("SPY", -100, 96.0), days=1)
    desk.tracker.sync()
    assert desk.journal.campaign(1).pnl == near(300.0)


def test_an_exit_typed_before_the_broker_shows_it_is_not_doubled(desk: Desk) -> None:
    desk.open_spread()
    desk.tracker.sync()
    desk.clock.forward(days=3)
    desk.journal.log_trade_exit(1, exit_debit=0.95, close_reason="50% profit rule")
    first = desk.tracker.sync()
    assert first.status == "differences"  # closed here, held there
    assert {one.symbol for one in first.differences} == {SHORT, LONG}
    desk.close_spread(price=0.92, minutes=1)
    assert desk.tracker.sync().status == "ok"
    (trade,) = desk.journal.trades()
    assert (trade.pnl, trade.close_reason) == (near(5 * 98.0 - 10.0), "50% profit rule")


def test_what_was_closed_before_it_was_logged_closes_nothing(desk: Desk) -> None:
    desk.trade(("AAPL", 100, 50.0))
    desk.trade(("AAPL", 100, 50.0))
    desk.account.forget()
    desk.trade(("AAPL", -100, 52.0), hours=1)
    desk.clock.forward(hours=1)
    desk.journal.log_trade_entry(symbol="AAPL", side=1, quantity=100, entry_price=50.0)
    report = desk.tracker.sync()
    assert (report.exits, report.external) == ((), (2,))
    assert [trade.open_quantity for trade in desk.journal.trades()] == [100.0, 100.0]
    (difference,) = report.differences
    assert (difference.journal, difference.broker) == (0.0, 100.0)


def test_the_order_tells_which_of_two_trades_logged_by_hand_is_closed(desk: Desk) -> None:
    put = {"side": -1, "kind": "put", "strike": 95.0, "expiry": "2026-02-20"}
    wing = {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2026-02-20"}
    desk.journal.log_trade_entry(symbol="SPY", actual_contracts=1, entry_credit=2.85, legs=[put])
    desk.trade((SHORT, -1, 2.85))
    desk.clock.forward(hours=1)
    desk.journal.log_trade_entry(symbol="SPY", actual_contracts=1, entry_credit=1.90, legs=[put, wing])
    desk.open_spread(1)
    desk.account.forget()
    desk.close_spread(1, days=5)
    report = desk.tracker.sync()
    assert (report.status, report.exits) == ("ok", (2,))


def test_a_late_opening_fill_opens_a_closed_trade_again_and_takes_it_out_of_the_figures(desk: Desk) -> None:
    order = desk.open_spread(2)
    opening = list(desk.account.executions())
    desk.close_spread(2, days=1)
    desk.tracker.sync()
    assert len(rows(desk.journal, schema.performance_metrics)) == 3
    assert desk.journal.insights(1)
    desk.account._executions += [
        replace(done, execution_id=f"late{index}", quantity=1.0) for index, done in enumerate(opening)
    ]
    assert {done.order_id for done in opening} == {order}
    report = desk.tracker.sync()
    assert (report.status, report.entries) == ("ok", ())
    trade = desk.journal.trade(1)
    assert (trade.status, trade.open_quantity, trade.quantity) == ("open", 1.0, 3.0)
    assert rows(desk.journal, schema.performance_metrics) == []
    assert desk.journal.insights(1) == []
