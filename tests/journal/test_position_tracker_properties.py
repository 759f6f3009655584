from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select

from journal import PositionTracker, TradeJournal, schema
from simulator.brokerage import Execution, Holding
from simulator.paper_positions import PaperPositions
from tests.budget import cases, many_or_few
from tests.journal.making import START, Clock, put_spread, signal, sizing

SPREADS = (("SPY260220P00095000", "SPY260220P00090000"), ("SPY260320P00095000", "SPY260320P00090000"))
STOCKS = ("AAPL", "SPY")
Step = tuple[str, int, int, float]

steps = st.lists(
    st.tuples(
        st.sampled_from(["stock", "spread", "close", "roll", "expire", "assign", "put", "both"]),
        st.integers(1, 4),
        st.integers(0, 1),
        st.integers(4, 40).map(lambda ticks: ticks / 8),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Market:
    """An account in which steps are carried out as far as its holdings allow."""

    account: PaperPositions
    clock: Clock

    def held(self, symbol: str) -> float:
        held = PaperPositions.holdings(self.account)
        return next((one.quantity for one in held if one.symbol == symbol), 0.0)

    def do(self, step: Step) -> None:
        what, count, which, price = step
        now = self.clock.forward(minutes=7)
        short, long = SPREADS[which]
        other_short, other_long = SPREADS[1 - which]
        fees = count * 0.5
        if what == "stock":
            side = 1 if price > 2 else -1
            self.account.trade([(STOCKS[which], side * count * 100, 90 + price)], time=now, fees=fees)
        elif what == "spread":
            legs: list[tuple[str, float, float]] = [(short, -count, price + 1.0), (long, count, 1.0)]
            self.account.trade(legs, time=now, multiplier=100.0, fees=fees)
        elif what == "put":
            self.account.trade([(short, -count, price)], time=now, multiplier=100.0, fees=fees)
        elif what == "both":  # closes puts, whatever trades hold them
            held = -self.held(short)
            if held > 0:
                self.account.trade([(short, min(held, count), price)], time=now, multiplier=100.0)
        elif what in ("close", "roll"):
            size = min(-self.held(short), self.held(long), count)
            if size > 0:
                legs = [(short, size, price + 0.5), (long, -size, 0.5)]
                if what == "roll":
                    legs += [(other_short, -size, price + 1.0), (other_long, size, 0.75)]
                self.account.trade(legs, time=now, multiplier=100.0, fees=fees)
        else:
            held = -self.held(short)
            if held > 0:
                size = min(held, count)
                if what == "expire":
                    self.account.settle("expiry", short, size, time=now)
                else:
                    strike = 95.0
                    self.account.settle(
                        "assignment", short, size, time=now, shares=("SPY", size * 100, strike)
                    )


def seeded(path: Path, clock: Clock) -> TradeJournal:
    journal = TradeJournal(path, clock=clock, source="paper")
    journal.log_recommendation(put_spread(credit=2.0), sizing(3))
    journal.log_recommendation(put_spread(credit=3.0), sizing(3))
    journal.log_recommendation(signal(entry_price=92.0, stop_loss=90.0, target_price=95.0))
    return journal


def picture(journal: TradeJournal) -> list[Any]:
    """Trades, legs, links and fills without numbers, which tell only in what order they were found."""
    with journal.database.read() as connection:
        fills = connection.execute(select(schema.fills)).all()
        keys: dict[Any, list[Any]] = {None: []}
        for fill in fills:
            same = (fill.execution_key.partition("~")[0], fill.effect, fill.side, fill.quantity, fill.kind)
            keys.setdefault(fill.trade_id, []).append((*same, round(fill.fees, 9)))
        names = {number: tuple(sorted(some)) for number, some in keys.items()}
        told = [
            (names[insight.trade_id], insight.code, insight.text)
            for insight in connection.execute(select(schema.insights))
        ]
        latest: dict[str, Any] = {}
        for row in connection.execute(select(schema.performance_metrics).order_by("id")):
            latest[row.scope] = (row.trades, row.wins, round(row.total_pnl, 6))
    result = []
    for trade in journal.trades(source="all"):
        plain = {name: getattr(trade, name) for name in schema.trades.c.keys()}
        for hidden in ("id", "rolled_from_id", "campaign_id", "details"):
            del plain[hidden]
        plain = {name: round(v, 6) if isinstance(v, float) else v for name, v in plain.items()}
        legs = sorted((leg.symbol, leg.side, leg.ratio, leg.open_quantity) for leg in trade.legs)
        links = names.get(trade.rolled_from_id), names.get(trade.campaign_id)
        result.append((names[trade.id], sorted(plain.items(), key=lambda item: item[0]), links, legs))
    return [sorted(result, key=lambda item: item[0]), names[None], sorted(told), sorted(latest.items())]


@cases(many=20, few=8)
@given(steps, st.sets(st.integers(0, 13)))
def test_syncs_at_any_time_give_what_one_sync_at_the_end_gives(plan: list[Step], stops: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        often, once = (seeded(Path(folder) / f"{name}.db", clock) for name in ("often", "once"))
        market = Market(PaperPositions(), clock)
        tracker = PositionTracker(often, market.account)
        for number, step in enumerate(plan):
            market.do(step)
            if number in stops:
                assert tracker.sync().status == "ok"
        reports = [tracker.sync(), PositionTracker(once, market.account).sync()]
        assert [report.status for report in reports] == ["ok", "ok"]
        assert picture(often) == picture(once)
        conserved(often, market.account)
        often.close()
        once.close()


def conserved(journal: TradeJournal, account: PaperPositions) -> None:
    """Every execution is in some trade, and all cash that moved is profit or stands in open trades."""
    done = account.executions()
    moved = sum(-one.side * one.quantity * one.price * one.multiplier - one.fees for one in done)
    trades = journal.trades(source="all")
    fills = [fill for trade in trades for fill in journal.fills(trade.id)]
    assert sum(fill.cash for fill in fills) == pytest.approx(moved, abs=1e-6)
    tied_up = sum(
        -trade.side * trade.entry_price * trade.open_quantity * trade.multiplier for trade in trades
    )
    assert sum(trade.pnl for trade in trades) + tied_up == pytest.approx(moved, abs=1e-6)
    for trade in trades:
        if trade.status == "closed":
            own = sum(fill.cash for fill in journal.fills(trade.id))
            assert trade.pnl == pytest.approx(own, abs=1e-6)


class Flaky(PaperPositions):
    """Fails at the calls whose numbers are given."""

    def __init__(self, fails: set[int]) -> None:
        super().__init__()
        self.fails, self.calls, self.up = fails, 0, False

    def _call(self) -> None:
        self.calls += 1
        if not self.up and self.calls in self.fails:
            raise TimeoutError(f"call {self.calls}")

    def holdings(self) -> Sequence[Holding]:
        answer = super().holdings()
        self._call()
        return answer

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        answer = super().executions(since)
        self._call()
        return answer


@cases(many=10, few=8)
@given(steps, st.sets(st.integers(1, 40), min_size=1))
def test_failing_queries_never_change_the_journal_wrongly(plan: list[Step], fails: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        flaky, steady = (seeded(Path(folder) / f"{name}.db", clock) for name in ("flaky", "steady"))
        account, twin = Flaky(fails), PaperPositions()
        market = Market(account, clock)
        tracker = PositionTracker(flaky, account)
        for step in plan:
            market.do(step)
            before = picture(flaky)
            report = tracker.sync()
            if report.status == "unknown":
                assert picture(flaky) == before
                assert report.differences == ()
            else:
                assert report.status == "ok"
        account.up = True
        assert tracker.sync().status == "ok"
        twin._executions = list(account._executions)
        assert PositionTracker(steady, twin).sync().status == "ok"
        assert picture(flaky) == picture(steady)
        flaky.close()
        steady.close()


@contextmanager
def fault_at(write: int) -> Iterator[list[int]]:
    """Fail at the n-th statement that writes, or at the commit behind the last of them."""
    count = [0]

    def before(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            count[0] += 1
            if count[0] == write:
                raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield count
    finally:
        event.remove(Engine, "before_cursor_execute", before)


def busy_week(journal: TradeJournal, clock: Clock) -> Market:
    """Let an account trade everything that a sync knows; some of it logged by hand."""
    journal.log_trade_entry(
        symbol="SPY", actual_contracts=1, entry_credit=2.0,
        legs=[{"side": -1, "kind": "put", "strike": 85.0, "expiry": "2026-02-20"}],
    )  # fmt: skip
    market = Market(PaperPositions(), clock)
    plan: list[Step] = [
        ("spread", 2, 0, 2.0), ("stock", 1, 0, 2.5), ("put", 1, 1, 1.0), ("close", 1, 0, 1.0),
        ("roll", 1, 0, 1.5), ("assign", 1, 1, 1.0), ("expire", 1, 1, 1.0),
    ]  # fmt: skip
    for step in plan:
        market.do(step)
    market.account.trade([("SPY260220P00085000", 1, 0.4)], time=clock.forward(minutes=1), multiplier=100.0)
    return market


def dump(journal: TradeJournal) -> dict[str, list[str]]:
    tables = [table for table in schema.metadata.sorted_tables if table.name != "schema_history"]
    with journal.database.read() as connection:
        return {table.name: [repr(row) for row in connection.execute(select(table))] for table in tables}


@pytest.mark.thorough
def test_a_sync_that_dies_at_any_write_is_whole_or_nothing(tmp_path: Path) -> None:
    def fresh(name: str) -> tuple[TradeJournal, Market]:
        clock = Clock()
        journal = seeded(tmp_path / f"{name}.db", clock)
        return journal, busy_week(journal, clock)

    journal, market = fresh("whole")
    before = dump(journal)
    PositionTracker(journal, market.account).sync()
    wanted = dump(journal)
    journal.close()
    assert len(wanted["trades"]) > 4
    journal, market = fresh("dies")
    tracker = PositionTracker(journal, market.account)
    write, died = 1, True
    while died:
        with fault_at(write) as count:
            try:
                tracker.sync()
                died = False
            except KeyboardInterrupt:
                assert dump(journal) == before
        write += many_or_few(1, 3)
    assert write > 40
    assert count[0] < write
    assert dump(journal) == wanted
    tracker.sync()
    assert dump(journal) == wanted
    journal.close()


def test_a_late_execution_finds_its_place(tmp_path: Path) -> None:
    clock = Clock()
    journal = seeded(tmp_path / "late.db", clock)
    market = busy_week(journal, clock)
    complete = list(market.account._executions)
    market.account._executions = complete[:4] + complete[6:]  # one order is reported late
    tracker = PositionTracker(journal, market.account)
    tracker.sync()
    market.account._executions = complete
    clock.now = START + timedelta(days=1)
    tracker.sync()
    with_all = picture(journal)
    again, other_clock = seeded(tmp_path / "other.db", Clock()), Clock()
    busy_week(again, other_clock)
    PositionTracker(again, market.account).sync()
    assert with_all[0] == picture(again)[0]
    journal.close()
    again.close()


def test_a_sync_is_the_same_on_every_database(where: str, tmp_path: Path) -> None:
    pictures = []
    for place in (where, str(tmp_path / "beside.db")):
        clock = Clock()
        with TradeJournal(place, clock=clock, source="paper") as journal:
            market = busy_week(journal, clock)
            report = PositionTracker(journal, market.account).sync()
            assert report.exits
            pictures.append(picture(journal))
    assert pictures[0] == pictures[1]
