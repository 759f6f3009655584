"""How a person answers, estimated from requests that have ended: delays, vetoes, what nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from journal import TradeJournal, schema
from live.brokers.interface import Leg, OrderRequest
from live.clock import FakeClock
from live.kill_switch import KillSwitch
from live.review.history import (
    LEAST_ANSWERS,
    PastRequest,
    estimate_approval,
    requests_in,
    requests_of,
)
from live.review_queue import ReviewQueue
from live.session import Session
from simulator import Signals, backtest, load_bars
from simulator.approval import Approval, Delay, WorkingHours
from strategies import load_strategy

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NS = 1_000_000_000


def request(minutes: float, state: str, *, life: float = 15.0, start: datetime = START) -> PastRequest:
    return PastRequest(start, start + minutes * MINUTE, start + life * MINUTE, state)


def test_delays_vetoes_and_what_nobody_answers() -> None:
    history = [request(k % 10 + 1, "rejected" if k % 5 == 0 else "approved") for k in range(40)]
    history += [request(15, "expired") for _ in range(10)]
    found = estimate_approval(history, price_drift_pct=1.0, seed=3)
    person = found.approval
    assert person is not None
    assert (found.requests, found.answered, found.vetoed, found.unanswered) == (50, 40, 8, 10)
    assert (person.veto, person.expiry, person.price_drift_pct, person.seed) == (0.2, 15 * MINUTE, 1.0, 3)
    delay = Delay.of(person.delay)
    assert delay.kind == "empirical"
    assert delay.never == pytest.approx(0.2)
    assert sorted(delay.values) == sorted((k % 10 + 1) * MINUTE for k in range(40))
    assert found.veto_low < 0.2 < found.veto_high
    assert found.median_delay is not None
    assert 6 * MINUTE <= found.median_delay <= 7 * MINUTE  # 62.5 % of those that are answered
    assert "40 of 50" in str(found)


def test_with_too_few_answers_there_is_no_estimate() -> None:
    found = estimate_approval([request(3, "approved")] * (LEAST_ANSWERS - 2) + [request(15, "expired")] * 30)
    assert found.approval is None
    assert f"{LEAST_ANSWERS - 2} of {LEAST_ANSWERS + 28}" in found.message
    assert "about 2 more" in found.message
    assert estimate_approval([]).approval is None
    assert estimate_approval([request(3, "approved")] * 5, least=5).approval is not None


def test_what_was_cut_short_is_not_taken_for_a_fast_answer() -> None:
    """True delays are exponential with a mean of 30 minutes; a third of requests is cut short at random."""
    random = np.random.default_rng(1)
    history = []
    for _ in range(3_000):
        delay, cut = random.exponential(30.0), random.exponential(60.0)
        state = "approved" if delay <= cut else "void"
        history.append(request(min(delay, cut), state, life=10_000.0))
    found = estimate_approval(history)
    assert found.approval is not None
    delay_found = Delay.of(found.approval.delay)
    assert delay_found.never < 0.02
    minutes = np.array([value / MINUTE for value in delay_found.values])
    assert abs(np.median(minutes) - 30.0 * np.log(2.0)) < 1.5
    assert abs(minutes.mean() - 30.0) < 2.0
    naive = [(one.ended - one.created) / MINUTE for one in history if one.state == "approved"]
    assert np.mean(naive) < 22.0


def test_waits_are_measured_on_the_clock_that_they_are_simulated_on() -> None:
    friday = datetime(2026, 3, 6, 21, tzinfo=UTC)  # 16:00 in New York
    monday = datetime(2026, 3, 9, 14, tzinfo=UTC)  # 10:00, an hour after the office opens
    overnight = [PastRequest(friday, monday, friday + timedelta(days=5), "approved")] * 20
    office = WorkingHours(time(9), time(17))
    plain = estimate_approval(overnight)
    assert plain.approval is not None
    assert set(Delay.of(plain.approval.delay).values) == {monday - friday}
    worked = estimate_approval(overnight, hours=office)
    assert worked.approval is not None
    assert set(Delay.of(worked.approval.delay).values) == {timedelta(hours=2)}
    assert worked.approval.hours == office
    # clocks change on that Sunday, so five days later it is 17:00: an hour on Friday, and three days
    assert worked.approval.expiry == timedelta(days=3, hours=1)
    bars = load_bars("synthetic:1x60?seed=1")
    opens, closes = bars.open_ts, bars.close_ts
    start = datetime.fromtimestamp(int(closes[10]) / NS, UTC)
    end = datetime.fromtimestamp(int(opens[12]) / NS, UTC) + timedelta(minutes=30)
    traded = estimate_approval([PastRequest(start, end, end, "approved")] * 20, bars=bars)
    assert traded.approval is not None
    assert set(Delay.of(traded.approval.delay).values) == {timedelta(days=1, minutes=30)}
    signals = Signals.from_arrays(bars, [20], 0, 1, stop_percent=5.0)
    reviewed = backtest(bars, signals, approval=traded.approval).reviewed
    assert reviewed is not None
    assert reviewed.reached.tolist() == [22]


def test_requests_come_from_the_queue(tmp_path: Path) -> None:
    clock = FakeClock(START)
    switch = KillSwitch(tmp_path / "switch", clock=clock)
    queue = ReviewQueue(tmp_path / "reviews", switch, clock=clock)
    for k in range(24):
        order = OrderRequest(client_order_id=f"tw-{k}", legs=(Leg("AAPL", 10.0),))
        made = queue.add(order, broker="paper", price=100.0)
        clock.advance((k % 4 + 1) * MINUTE)
        if k % 6 == 5:
            clock.advance(20 * MINUTE)
            assert queue.pending() == []
        elif k % 6 == 4:
            queue.reject(made.request_id, "no")
        else:
            assert queue.approve(made.request_id, "ada").accepted
    queue.add(OrderRequest(client_order_id="tw-w", legs=(Leg("AAPL", 10.0),)), broker="paper", price=1.0)
    history = requests_of(queue)
    assert len(history) == 24
    found = estimate_approval(history, least=10)
    assert (found.answered, found.vetoed, found.unanswered) == (20, 4, 4)
    assert found.approval is not None
    assert found.approval.expiry == 15 * MINUTE
    assert max(Delay.of(found.approval.delay).values) == 4 * MINUTE


def test_requests_come_from_the_journal(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "j.db") as journal:
        ts = int(START.timestamp()) * NS
        rows: list[dict[str, Any]] = [
            {"review": "R-1", "state": "approved", "decided_ts": ts + 60 * NS},
            {"review": "R-2", "state": "expired", "decided_ts": None},
            {"review": "R-3", "state": "pending", "decided_ts": None},
            {"review": "D-1", "state": "open", "decided_ts": None, "kind": "difference"},
        ]
        shared: dict[str, Any] = {
            "account": "desk", "kind": "request", "broker": "paper", "symbol": "AAPL", "created_ts": ts,
            "expires_ts": ts + 900 * NS,
        }  # fmt: skip
        with journal.database.write() as connection:
            for row in rows:
                connection.execute(insert(schema.reviews).values(**{**shared, **row}))
        found = requests_in(journal)
        assert requests_in(journal.database) == found
    assert [(one.state, one.ended - one.created) for one in found] == [
        ("approved", MINUTE), ("expired", 15 * MINUTE)
    ]  # fmt: skip


def test_a_session_trades_a_reviewed_strategy_as_a_backtest_does(tmp_path: Path) -> None:
    bars = load_bars("synthetic:3x200?seed=6")
    person = Approval(delay=Delay.exponential(8 * 60 * MINUTE), veto=0.2, expiry=timedelta(days=2), seed=5)
    strategy = load_strategy("sma-cross", fast=5, slow=15)
    with Session(tmp_path / "j.db", like=bars, strategies=person.applied_to(strategy)) as session:
        logs = [session.push(bars[row : row + 1]).logs for row in range(len(bars))]
    result = backtest(bars, strategy, approval=person)
    assert len(result.raw.verdicts) > 5
    for name in ("verdicts", "fills"):
        recorded = np.concatenate([log[name] for log in logs])
        expected = getattr(result.raw, name)
        for field in set(expected.dtype.names) - {"strategy", "tag"}:
            assert recorded[field].tobytes() == expected[field].tobytes()


def late_history(late: timedelta) -> list[PastRequest]:
    """Requests that live 15 minutes or 4 hours; what expired was looked at so much later."""
    draw, found = np.random.default_rng(1), []
    for number in range(100):
        created = START + number * timedelta(hours=6)
        life = 15 * MINUTE if number % 2 else 240 * MINUTE
        answer = float(draw.exponential(30.0)) * MINUTE
        if answer < life:
            found.append(PastRequest(created, created + answer, created + life, "approved"))
        else:
            found.append(PastRequest(created, created + life + late, created + life, "expired"))
    return found


def test_what_expired_ended_then_however_late_somebody_looked() -> None:
    assert estimate_approval(late_history(timedelta(hours=14))) == estimate_approval(
        late_history(timedelta(0))
    )


def test_a_queue_and_a_journal_say_when_a_request_expired(tmp_path: Path) -> None:
    clock = FakeClock(START)
    queue = ReviewQueue(tmp_path / "reviews", KillSwitch(tmp_path / "switch", clock=clock), clock=clock)
    queue.add(OrderRequest(client_order_id="tw-1", legs=(Leg("AAPL", 10.0),)), broker="paper")
    clock.advance(timedelta(hours=14))
    assert queue.pending() == []
    (stored,) = queue.all()
    assert stored.decided_at == START + timedelta(hours=14)
    (past,) = requests_of(queue)
    assert past.ended - past.created == 15 * MINUTE
    ts = int(START.timestamp()) * NS
    with TradeJournal(tmp_path / "j.db") as journal:
        row: dict[str, Any] = {
            "review": "R-1", "state": "expired", "created_ts": ts, "decided_ts": ts + 14 * 3600 * NS,
            "expires_ts": ts + 900 * NS, "account": "desk", "kind": "request", "broker": "paper",
            "symbol": "AAPL",
        }  # fmt: skip
        with journal.database.write() as connection:
            connection.execute(insert(schema.reviews).values(**row))
        assert requests_in(journal) == [past]
