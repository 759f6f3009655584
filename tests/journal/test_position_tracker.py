from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from journal import PositionTracker, SyncReport, TradeJournal, schema
from journal.statements import import_statement
from simulator.brokerage import Execution, Holding
from simulator.errors import DataError
from simulator.paper_positions import PaperPositions
from tests.journal.making import START, Clock, put_spread, signal, sizing

SHORT, LONG = "SPY260220P00095000", "SPY260220P00090000"
NEXT_SHORT, NEXT_LONG = "SPY260320P00095000", "SPY260320P00090000"


class Forgetful(PaperPositions):
    """An account that holds everything and shows no executions before some time."""

    shown_from = 0

    def forget(self) -> None:
        self.shown_from = len(self._executions)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        shown = {done.execution_id for done in self._executions[self.shown_from :]}
        return [done for done in super().executions(since) if done.execution_id in shown]


class Desk:
    """A journal, a paper account and the tracker between them, at one clock."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = Clock()
        self.journal = TradeJournal(path, clock=self.clock, source="paper", **options)
        self.account = Forgetful()
        self.tracker = PositionTracker(self.journal, self.account)

    def trade(self, *legs: tuple[str, float, float], fees: float = 0.0, **later: float) -> str:
        when = self.clock.forward(**later) if later else self.clock.now
        multiplier = 100.0 if len(legs[0][0]) > 10 else 1.0
        return self.account.trade(legs, time=when, multiplier=multiplier, fees=fees)

    def open_spread(self, packages: int = 5, **later: float) -> str:
        return self.trade((SHORT, -packages, 2.85), (LONG, packages, 0.95), fees=packages * 2.0, **later)

    def close_spread(self, packages: int = 5, price: float = 0.90, **later: float) -> str:
        return self.trade((SHORT, packages, price + 0.20), (LONG, -packages, 0.20), **later)

    def recommend(self, **later: float) -> int:
        number = self.journal.log_recommendation(put_spread(), sizing(5), reason="scan")
        if later:
            self.clock.forward(**later)
        return number


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path / "journal.db")
    yield one
    one.journal.close()


def near(value: Any) -> Any:
    """Return a value that floats equal which differ from it by rounding."""
    return pytest.approx(value)


def rows(journal: TradeJournal, table: Any) -> list[dict[str, Any]]:
    with journal.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]


def everything(journal: TradeJournal) -> dict[str, Any]:
    tables = [table for table in schema.metadata.sorted_tables if table.name != "schema_history"]
    with journal.database.read() as connection:
        return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables}


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


# Logged by hand


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


# Accounts, sources, statements


def test_accounts_are_kept_apart(desk: Desk) -> None:
    first, second = PaperPositions("one"), PaperPositions("two")
    first.trade([("AAPL", 100, 50.0)], time=START)
    second.trade([("AAPL", 30, 50.0)], time=START)
    trackers = [PositionTracker(desk.journal, account) for account in (first, second)]
    assert [tracker.sync().status for tracker in trackers] == ["ok", "ok"]
    second.trade([("AAPL", -30, 60.0)], time=START + timedelta(hours=1))
    assert [tracker.sync().exits for tracker in trackers] == [(), (2,)]
    assert [(trade.account, trade.open_quantity) for trade in desk.journal.trades()] == [
        ("one", 100.0), ("two", 0.0)
    ]  # fmt: skip


def test_a_trade_without_an_account_is_not_compared_where_there_are_several(desk: Desk) -> None:
    first, second = PaperPositions("one"), PaperPositions("two")
    for account in (first, second):
        account.trade([("AAPL", 100, 50.0)], time=START)
        PositionTracker(desk.journal, account).sync()
    desk.journal.log_trade_entry(symbol="MSFT", side=1, quantity=5, entry_price=300.0)
    report = PositionTracker(desk.journal, first).sync()
    assert report.status == "ok"
    assert "1 open trades name no account" in report.message


def test_sources_are_kept_apart(tmp_path: Path) -> None:
    clock = Clock()
    with TradeJournal(tmp_path / "journal.db", clock=clock, source="live") as journal:
        paper, real = PaperPositions("A"), PaperPositions("A", broker="tastytrade")
        for account in (paper, real):
            account.trade([("AAPL", 100, 50.0)], time=START)
        reports = [PositionTracker(journal, account).sync() for account in (paper, real)]
        assert [(one.source, one.status) for one in reports] == [("paper", "ok"), ("live", "ok")]
        assert [trade.source for trade in journal.trades(source="all")] == ["paper", "live"]
        assert PositionTracker(journal, paper, source="backtest").source == "backtest"
        with pytest.raises(DataError):
            PositionTracker(journal, paper, source="demo")


def test_a_tracker_opens_a_journal_by_its_path(tmp_path: Path) -> None:
    account = PaperPositions()
    account.trade([("AAPL", 10, 50.0)], time=START)
    with PositionTracker(tmp_path / "journal.db", account, clock=Clock()) as tracker:
        report = tracker.sync()
        assert isinstance(report, SyncReport)
        assert report.status == "ok"
    with TradeJournal(tmp_path / "journal.db", source="paper") as journal:
        assert len(journal.trades()) == 1


ALPACA = """[
 {"activity_type": "FILL", "id": "20260105150000000::a", "order_id": "o1", "price": "50", "qty": "10",
  "side": "buy", "symbol": "AAPL", "transaction_time": "2026-01-05T15:00:00Z", "type": "fill",
  "cum_qty": "10", "leaves_qty": "0"}
]"""


def test_a_statement_does_not_double_what_was_synced(desk: Desk, tmp_path: Path) -> None:
    account = PaperPositions("A1", broker="alpaca")
    account.trade([("AAPL", 10, 50.0)], time=START)
    account._executions = [replace(account._executions[0], execution_id="20260105150000000::a")]
    tracker = PositionTracker(desk.journal, account)
    tracker.sync()
    file = tmp_path / "alpaca.json"
    file.write_text(ALPACA)
    result = import_statement(desk.journal, file, account="A1", source="paper")
    assert (result.rows_read, result.rows_new) == (1, 0)
    assert len(desk.journal.trades()) == 1
    assert tracker.sync().status == "ok"


CSV_HEADER = (
    "Date,Type,Sub Type,Action,Symbol,Instrument Type,Description,Value,Quantity,Average Price,"
    "Commissions,Fees,Multiplier,Root Symbol,Underlying Symbol,Expiration Date,"
    "Strike Price,Call or Put,Order #,Currency\n"
)


def csv_rows(count: int) -> str:
    line = (
        "2026-01-05T10:00:00-0500,Trade,Buy to Open,BUY_TO_OPEN,AAPL,Equity,Bought,-500.00,10,-50.00,0.00,"
        "0.00,1,,AAPL,,,,77,USD\n"
    )
    return CSV_HEADER + line * count


@pytest.mark.parametrize("first", ["sync", "statement"])
def test_a_statement_without_ids_and_a_sync_meet(desk: Desk, tmp_path: Path, first: str) -> None:
    account = PaperPositions("T1", broker="tastytrade")
    for _ in range(3):  # three fills that look alike
        account.trade([("AAPL", 10, 50.0)], time=START)
    tracker = PositionTracker(desk.journal, account, source="paper")
    file = tmp_path / "activity.csv"
    file.write_text(csv_rows(3 if first == "sync" else 2))
    if first == "sync":
        assert tracker.sync().executions == 3
        with pytest.raises(DataError) as caught:
            import_statement(desk.journal, file, source="paper")
        assert caught.value.code == "JOURNAL_STATEMENT_ACCOUNT"
        assert import_statement(desk.journal, file, source="paper", account="T1").rows_new == 0
    else:
        assert import_statement(desk.journal, file, source="paper", account="T1").rows_new == 2
        assert tracker.sync().executions == 1
    assert tracker.sync().executions == 0
    assert sum(trade.quantity for trade in desk.journal.trades()) == 30.0
    assert tracker.sync().status == "ok"


def test_a_report_reads_well(desk: Desk) -> None:
    desk.recommend(hours=1)
    desk.open_spread()
    report = desk.tracker.sync()
    assert str(report) == (
        "paper paper: 2 new executions: 1 entry (1 linked), 0 exits; journal and broker agree"
    )
    assert str(desk.tracker.sync()).endswith("0 new executions: 0 entries (0 linked), 0 exits; "
                                             "journal and broker agree")  # fmt: skip
    assert UTC is START.tzinfo


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


def test_brokers_with_accounts_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "journal.db", clock=Clock()) as journal:
        accounts = [PaperPositions("A", broker=broker) for broker in ("alpaca", "ib")]
        for count, account in enumerate(accounts, 1):
            account.trade([("AAPL", count * 10, 50.0)], time=START)
        for account in accounts * 2:
            assert PositionTracker(journal, account).sync().status == "ok"
        assert [trade.quantity for trade in journal.trades()] == [10.0, 20.0]


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
