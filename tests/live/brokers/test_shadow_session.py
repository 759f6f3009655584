"""A session that is shadowed from end to end: plan, orders, fills and their explanation, and nothing sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from live.brokers.shadow import ShadowBroker
from live.brokers.shadowing.status import ShadowStatus
from live.following import BrokerSession
from live.following.explain import Explanation, explain
from live.parity import verify_parity
from simulator import Bars
from simulator.brokerage import Execution
from tests.live.brokers.shadows import Shadowed
from tests.live.following.scripted import Scripted, bars

NAME = "shadowed"
BROKERS = ("alpaca", pytest.param("interactive_brokers", marks=pytest.mark.slow))


@dataclass
class Played:
    """What is left of a shadowed session."""

    journal: Path
    fills: list[tuple[str, int, float, float]]
    status: ShadowStatus
    explanation: Explanation
    held: dict[str, float]
    working: int


def lead(one: Shadowed, bar: Bars) -> None:
    """Let the market trade at a bar's close, at its end."""
    closes = {symbol: float(bar.panel[0, column, 3]) for column, symbol in enumerate(bar.symbols)}
    ends = datetime.fromtimestamp(int(bar.close_ts[0]) / 1e9, one.now().tzinfo)
    one.move(closes, minutes=max(0.0, (ends - one.now()) / timedelta(minutes=1)))


@contextmanager
def session_of(one: Shadowed, journal: Path, like: Bars) -> Iterator[BrokerSession]:
    with BrokerSession(
        journal, one.real, like=like, strategies=[Scripted()], name=NAME, shadow=True, clock=one.now
    ) as session:
        yield session


def play(name: str, folder: Path, *, restart_at: int | None = None) -> Played:
    whole = bars()
    journal = folder / "trade_journal.db"
    one = Shadowed(name)
    try:
        row = 0
        for end in [len(whole)] if restart_at is None else [restart_at, len(whole)]:
            lead(one, whole[row : row + 1])
            with session_of(one, journal, whole[:1]) as session:
                assert isinstance(session.broker, ShadowBroker)
                for number in range(row, end):
                    lead(one, whole[number : number + 1])
                    session.push(whole[number : number + 1])
                session.poll()
                row = end
                status, shadow = session.broker.status(), session.broker
                played = Played(
                    journal,
                    [_fill(fill) for fill in shadow.executions()],
                    status,
                    explain(journal, NAME),
                    {held.symbol: held.quantity for held in shadow.get_positions()},
                    len(shadow.get_orders()),
                )
                assert session.kind == "SHADOW"
                assert session.status().problems == ()
        assert one.writes() == []
        assert one.orders() == 0
        assert list(one.real.get_positions()) == []
        return played
    finally:
        one.close()


def _fill(fill: Execution) -> tuple[str, int, float, float]:
    return fill.symbol, fill.side, fill.quantity, fill.price


@pytest.fixture(scope="module", params=BROKERS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Played]:
    return request.param, play(request.param, tmp_path_factory.mktemp(request.param))


def test_the_plan_is_a_backtest_and_the_shadow_followed_it(played: tuple[str, Played]) -> None:
    _, done = played
    assert verify_parity(done.journal, NAME).ok
    assert (done.held, done.working) == ({}, 0)
    bought: dict[str, float] = {}
    for symbol, side, quantity, _ in done.fills:
        bought[symbol] = bought.get(symbol, 0.0) + quantity * (side > 0)
    assert bought == {"AAPL": 35.0, "MSFT": 20.0, "NVDA": 10.0, "SPY": 10.0}


def test_every_difference_from_the_plan_has_its_cause(played: tuple[str, Played]) -> None:
    _, done = played
    assert done.explanation.ok, str(done.explanation)
    assert len(done.explanation.trades) == 5
    # what the shadow filled is what the journal has of it
    total = sum(-side * quantity * price for _, side, quantity, price in done.fills)
    assert done.explanation.fact_profit == pytest.approx(total)


def test_the_status_counts_what_was_computed_and_nothing_that_was_sent(played: tuple[str, Played]) -> None:
    name, done = played
    assert (done.status.broker, done.status.sent, done.status.working) == (name, 0, 0)
    assert done.status.computed >= 6
    assert [line.symbol for line in done.status.lines] == ["AAPL", "MSFT", "NVDA", "SPY"]
    assert all(line.real.fills == 0 for line in done.status.lines)


@pytest.mark.slow
def test_a_session_that_was_interrupted_ends_as_one_that_was_not(
    played: tuple[str, Played], tmp_path: Path
) -> None:
    name, done = played
    again: Any = play(name, tmp_path, restart_at=7)
    assert again.fills == done.fills
    assert again.explanation.fact_profit == pytest.approx(done.explanation.fact_profit)
