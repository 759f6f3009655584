"""Positions that end in parts: partial exits, additions, single legs, rolls, assignment, expiry, cash.

Figures are worked by hand in the comments; the sum of the fills' cash is checked against every profit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.errors import DataError
from simulator.types import ExitReason
from tests.journal.making import START, Desk, put_spread, short_put, sizing


@pytest.fixture
def desk(journal_path: Path) -> Iterator[Desk]:
    made = Desk(journal_path)
    yield made
    for trade in made.journal.trades("closed", source="all"):
        cash = sum(fill.cash for fill in made.journal.fills(trade.id))
        assert trade.pnl == pytest.approx(cash, abs=1e-9)
        assert trade.gross_pnl - trade.fees == pytest.approx(trade.pnl, abs=1e-9)
        assert [leg.open_quantity for leg in trade.legs] == [0.0] * len(trade.legs)
    made.journal.close()


def shares(desk: Desk, quantity: float = 100.0, price: float = 50.0, stop: float = 48.0) -> int:
    return desk.journal.log_trade_entry(
        symbol="XYZ", quantity=quantity, entry_price=price, stop_price=stop, fees=1.0
    )


def spread(desk: Desk, contracts: int = 7, credit: float = 1.90) -> int:
    desk.journal.log_recommendation(put_spread(), sizing())
    return desk.journal.log_trade_entry(1, contracts, credit, fees=7.0)


# Parts


def test_partial_exits_add_up(desk: Desk) -> None:
    journal, trade_id = desk.journal, shares(desk)
    first = journal.log_trade_exit(trade_id, exit_price=52.0, quantity=40, fees=0.5, close_reason="scale out")
    # 40 x 2 - 1 - 0.5
    assert (first.closed, first.pnl, first.realised, first.r_multiple) == (False, 78.5, 80.0, None)
    trade = journal.trade(trade_id)
    assert (trade.status, trade.open_quantity, trade.exit_price, trade.fees) == ("open", 60.0, 52.0, 1.5)
    assert (trade.close_code, trade.r_multiple) == ("scale_out", None)
    assert journal.insights(trade_id) == []
    desk.clock.forward(days=3)
    last = journal.log_trade_exit(
        trade_id, exit_price=49.0, fees=0.5, close_reason="stop", mae=-130.0, mfe=210.0
    )
    # 80 - 60 - 2 fees; risk 200
    assert (last.closed, last.pnl, last.realised, last.r_multiple) == (True, 18.0, -60.0, 0.09)
    trade = journal.trade(trade_id)
    assert trade.exit_price == pytest.approx((40 * 52 + 60 * 49) / 100)
    assert (trade.status, trade.close_code, trade.days, trade.fees) == ("closed", "stop", 3.0, 2.0)
    assert (trade.mae, trade.mfe) == (-130.0, 210.0)


def test_parts_may_be_logged_out_of_order(desk: Desk) -> None:
    journal, trade_id = desk.journal, shares(desk)
    desk.clock.forward(days=9)
    journal.log_trade_exit(trade_id, exit_price=52.0, quantity=40, when=START + timedelta(days=8))
    journal.log_trade_exit(trade_id, exit_price=51.0, when=START + timedelta(days=2))
    trade = journal.trade(trade_id)
    assert (trade.exit_time, trade.days) == (START + timedelta(days=8), 8.0)
    assert [fill.quantity for fill in journal.fills(trade_id)] == [100.0, 60.0, 40.0]


def test_additions_average_the_entry_and_raise_the_risk(desk: Desk) -> None:
    journal, trade_id = desk.journal, shares(desk)
    trade = journal.log_trade_add(trade_id, 50, entry_price=53.0, fees=1.0, notes="pyramid")
    # (100 x 50 + 50 x 53) / 150; risk 100 x 2 + 50 x 5
    assert (trade.quantity, trade.open_quantity, trade.entry_price) == (150.0, 150.0, 51.0)
    assert (trade.initial_risk, trade.pnl, trade.entry_notes) == (450.0, -2.0, "pyramid")
    assert journal.log_trade_exit(trade_id, exit_price=54.0).pnl == pytest.approx(450.0 - 2.0)


def test_an_addition_to_a_spread_moves_its_bounds(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 2, 1.90)
    trade = journal.log_trade_add(trade_id, 2, entry_credit=1.50, mid_price=1.55)
    # 2 x (500 - 190) + 2 x (500 - 150); 2 x 190 + 2 x 150
    bounds = (trade.max_loss, trade.max_profit, trade.initial_risk)
    assert bounds == pytest.approx((1320.0, 680.0, 1320.0))
    assert trade.entry_price == pytest.approx(1.70)
    assert [leg.open_quantity for leg in trade.legs] == [4.0, 4.0]
    assert trade.slippage == pytest.approx(2 * 0.0 + 2 * 0.05 * 100)  # sold at 1.50 with the mid at 1.55
    journal.log_trade_exit(trade_id, exit_debit=0.85)
    assert journal.trade(trade_id).capture_percent == pytest.approx(50.0)


def test_parts_of_a_spread_close_their_legs_with_it(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk)
    journal.log_trade_exit(trade_id, exit_debit=0.95, quantity=3, fees=3.0)
    assert [leg.open_quantity for leg in journal.trade(trade_id).legs] == [4.0, 4.0]
    outcome = journal.log_trade_exit(trade_id, exit_debit=2.90, fees=4.0)
    # 3 x 95 - 4 x 100 - 14
    assert outcome.pnl == pytest.approx(285.0 - 400.0 - 14.0)


def test_legs_may_be_closed_one_by_one(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 2)
    first = journal.log_leg_exit(trade_id, "-95P", 1.00, fees=1.0)
    trade = journal.trade(trade_id)
    assert (first.closed, trade.open_quantity) == (False, 2.0)
    assert [leg.open_quantity for leg in trade.legs] == [0.0, 2.0]
    # what is left is sold: a credit closes what a credit opened
    outcome = journal.log_trade_exit(trade_id, exit_debit=-0.20, fees=1.0)
    # 2 x (190 - 100 + 20) - 7 - 2
    assert outcome.closed
    assert outcome.pnl == pytest.approx(211.0)
    assert journal.trade(trade_id).exit_price == pytest.approx(0.80)


def test_the_last_leg_closes_the_trade(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 2)
    journal.log_leg_exit(trade_id, 0, 1.00, quantity=1)
    assert journal.trade(trade_id).open_quantity == 2.0
    journal.log_leg_exit(trade_id, 1, 0.25, quantity=1)
    assert journal.trade(trade_id).open_quantity == 1.0
    journal.log_leg_exit(trade_id, "SPY   260220P00095000", 1.50)
    outcome = journal.log_leg_exit(trade_id, "+90P", 0.30, close_reason="cut the loss")
    # 2 x 190 - 100 - 150 + 25 + 30 - 7
    assert outcome.closed
    assert outcome.pnl == pytest.approx(178.0)
    assert journal.trade(trade_id).close_code == "stop"


# Rolls


def test_a_roll_continues_the_trade_in_one_campaign(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 2)
    desk.clock.forward(days=20)
    outcome, follower = journal.log_roll(
        trade_id, 2.40, 2.10, expiry="2026-03-20", exit_fees=2.0, fees=2.0, iv_rank=70.0
    )
    # 2 x (190 - 240) - 7 - 2
    assert outcome.pnl == pytest.approx(-109.0)
    old, new = journal.trade(trade_id), journal.trade(follower)
    assert (old.close_code, old.campaign_id) == ("roll", trade_id)
    assert (new.rolled_from_id, new.campaign_id, new.quantity) == (trade_id, trade_id, 2.0)
    assert (new.symbol, new.strategy, new.iv_rank, new.recommendation_id) == ("SPY", old.strategy, 70.0, None)
    assert [leg.symbol for leg in new.legs] == ["SPY260320P00095000", "SPY260320P00090000"]
    assert new.dte == 54
    assert new.max_loss == pytest.approx(2 * 290.0)
    outcome, third = journal.log_roll(
        follower,
        1.0,
        0.5,
        legs=[
            {"side": -1, "kind": "put", "strike": 92.0, "expiry": "2026-04-17"},
            {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2026-04-17"},
        ],
    )
    journal.log_trade_exit(third, 0.10)
    campaign = journal.campaign(third)
    assert [trade.id for trade in campaign.trades] == [trade_id, follower, third]
    # -109, 2 x 110 - 2, 2 x 40
    assert campaign.pnl == pytest.approx(-109.0 + 218.0 + 80.0)
    assert campaign.fees == pytest.approx(11.0)
    assert not campaign.open


def test_a_part_may_be_rolled(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 7)
    _, follower = journal.log_roll(trade_id, 2.0, 2.2, expiry="2026-03-20", exit_quantity=3)
    assert (journal.trade(trade_id).open_quantity, journal.trade(follower).quantity) == (4.0, 3.0)
    assert journal.campaign(trade_id).open
    journal.log_trade_exit(trade_id, 1.0)


# Assignment, exercise, expiry


def test_an_assigned_put_becomes_shares_at_its_strike(desk: Desk) -> None:
    journal = desk.journal
    journal.log_recommendation(short_put())
    put = journal.log_trade_entry(1, 2, 3.00, fees=2.0)
    desk.clock.forward(days=46)
    outcome, stock = journal.log_assignment(put, fees=5.0, spot=91.0)
    assert outcome.closed
    assert outcome.pnl == pytest.approx(600.0 - 2.0)
    assert stock is not None
    option, held = journal.trade(put), journal.trade(stock)
    assert (option.close_code, option.close_reason, option.exit_price) == ("assignment", "assignment", 0.0)
    assert (held.kind, held.side, held.quantity, held.entry_price) == ("stock", 1, 200.0, 95.0)
    assert (held.campaign_id, option.campaign_id, held.fees, held.spot) == (put, put, 5.0, 91.0)
    assert [fill.kind for fill in journal.fills(put)] == ["trade", "assignment"]
    assert [fill.kind for fill in journal.fills(stock)] == ["assignment"]
    journal.log_trade_exit(stock, exit_price=92.0)
    # 600 of credit, 200 x -3 of the shares, 7 of fees
    assert journal.campaign(stock).pnl == pytest.approx(-7.0)


def test_a_spread_with_one_leg_assigned_lives_on_in_the_other(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 2)
    outcome, stock = journal.log_assignment(trade_id)
    trade = journal.trade(trade_id)
    assert (outcome.closed, trade.status, trade.open_quantity) == (False, "open", 2.0)
    assert [leg.open_quantity for leg in trade.legs] == [0.0, 2.0]
    assert stock is not None
    # the long put is exercised: the shares go out at 90, and nothing is left
    outcome, left = journal.log_assignment(trade_id, "+90P", fees=5.0)
    assert (outcome.closed, left) == (True, None)
    assert journal.trade(stock).status == "closed"
    # 2 x (190 - 500) - 7 - 5: the largest loss of the spread
    assert journal.campaign(trade_id).pnl == pytest.approx(-620.0 - 12.0)
    assert [fill.kind for fill in journal.fills(trade_id)] == ["trade", "assignment", "exercise"]


def test_the_long_put_left_of_an_assigned_spread_may_be_sold(desk: Desk) -> None:
    journal, trade_id = desk.journal, spread(desk, 1)
    _, stock = journal.log_assignment(trade_id, 0)
    assert stock is not None
    journal.log_trade_exit(trade_id, exit_debit=-1.10, close_reason="sold the long put")
    journal.log_trade_exit(stock, exit_price=89.0)
    # 190 + 110 - 600 - 7
    assert journal.campaign(trade_id).pnl == pytest.approx(-307.0)


def test_a_covered_call_that_is_called_away_delivers_the_shares_of_its_campaign(desk: Desk) -> None:
    journal = desk.journal
    stock = journal.log_trade_entry(symbol="XYZ", quantity=300, entry_price=50.0)
    call = journal.log_trade_entry(
        symbol="XYZ",
        strategy="covered-call",
        actual_contracts=2,
        entry_credit=1.0,
        legs=[{"side": -1, "kind": "call", "strike": 55.0, "expiry": "2026-02-20"}],
        campaign=stock,
    )
    _, opened = journal.log_assignment(call)
    assert opened is None
    assert journal.trade(stock).open_quantity == 100.0
    assert journal.trade(stock).pnl == pytest.approx(1000.0)
    journal.log_trade_exit(stock, exit_price=60.0)
    # 200 x 5 + 100 x 10 + 200 of premium
    assert journal.campaign(call).pnl == pytest.approx(2200.0)


def test_shares_that_are_more_than_what_is_held_open_the_rest_and_pay_fees_once(desk: Desk) -> None:
    journal = desk.journal
    stock = journal.log_trade_entry(symbol="XYZ", quantity=100, entry_price=50.0)
    call = journal.log_trade_entry(
        symbol="XYZ",
        actual_contracts=3,
        entry_credit=1.0,
        legs=[{"side": -1, "kind": "call", "strike": 55.0, "expiry": "2026-02-20"}],
        campaign=stock,
    )
    _, opened = journal.log_assignment(call, fees=5.0)
    assert opened is not None
    short = journal.trade(opened)
    assert (short.side, short.quantity, short.entry_price, short.fees) == (-1, 200.0, 55.0, 0.0)
    assert (journal.trade(stock).status, journal.trade(stock).fees) == ("closed", 5.0)
    assert journal.campaign(stock).fees == 5.0


def test_worthless_and_cash_settled(desk: Desk) -> None:
    journal, worthless = desk.journal, spread(desk, 3)
    desk.clock.forward(days=46)
    outcome = journal.log_expiry(worthless)
    assert outcome.pnl == pytest.approx(570.0 - 7.0)
    trade = journal.trade(worthless)
    assert (trade.close_code, trade.days) == ("expiry", 46.0)
    assert trade.capture_percent == pytest.approx(100.0)
    settled = journal.log_trade_entry(
        symbol="SPX", strategy="short-call-spread", actual_contracts=1, entry_credit=2
    )
    assert journal.log_expiry(settled, 3.25, fees=1.0).pnl == pytest.approx(-126.0)
    assert [fill.kind for fill in journal.fills(settled)] == ["trade", "expiry"]


def test_dividends_and_single_fees_belong_to_their_trade(desk: Desk) -> None:
    journal, trade_id = desk.journal, shares(desk)
    assert journal.log_cash(trade_id, 25.0).pnl == pytest.approx(24.0)
    journal.log_trade_exit(trade_id, exit_price=51.0)
    assert journal.trade(trade_id).pnl == pytest.approx(124.0)
    trade = journal.log_cash(trade_id, 4.0, "fee", when=desk.clock.now + timedelta(hours=1))
    assert (trade.pnl, trade.fees, trade.r_multiple) == (120.0, 5.0, 0.6)
    assert trade.exit_time == START
    with journal.database.read() as connection:
        total = connection.exec_driver_sql(
            "SELECT total_pnl FROM performance_metrics WHERE scope = 'all' ORDER BY id DESC LIMIT 1"
        ).scalar()
    assert total == pytest.approx(120.0)


def test_what_cannot_be_assigned_rolled_or_expire(desk: Desk) -> None:
    journal, stock = desk.journal, shares(desk)
    for call in (
        lambda: journal.log_assignment(stock),
        lambda: journal.log_roll(stock, 1.0, 1.0, expiry="2026-03-20"),
        lambda: journal.log_expiry(stock),
        lambda: journal.log_leg_exit(stock, 0, 1.0),
    ):
        with pytest.raises(DataError):
            call()
    assert journal.trade(stock).open_quantity == 100.0
    assert len(journal.fills(stock)) == 1


@pytest.mark.parametrize("reason", [reason for reason in ExitReason if reason])
def test_every_exit_reason_of_the_simulator_is_understood(desk: Desk, reason: ExitReason) -> None:
    trade_id = shares(desk)
    desk.journal.log_trade_exit(trade_id, exit_price=50.0, close_reason=reason.label)
    assert desk.journal.trade(trade_id).close_code == reason.label
