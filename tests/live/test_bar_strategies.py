"""Strategies that are called bar by bar trade live what they trade in a backtest, restarts or not."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live import Session, verify_parity
from simulator import Bars, RiskLimits, backtest, load_bars
from simulator.errors import StrategyError
from strategies.registry import strategy_class
from tests.live.sessions import answer_of
from tests.live.test_session_growth import first_symbols

LIMITS = RiskLimits(max_correlation=None, min_risk_reward_ratio=0.5, max_days_in_trade=None)


class Grumpy:
    """Buys what fell three bars in a row; after a loss it waits, and it closes what it has held for long."""

    name = "grumpy"
    warmup = 5

    def __init__(self, patience: int = 12) -> None:
        self.patience = patience
        self.held: dict[str, int] = {}
        self.worst = float("inf")
        self.calls = 0

    def on_bar(self, context: Any) -> None:
        self.calls += 1
        self.worst = min(self.worst, context.equity)
        for symbol in context.bars.symbols:
            if context.position(symbol):
                self.held[symbol] = self.held.get(symbol, 0) + 1
                if self.held[symbol] > self.patience:
                    context.close(symbol)
                continue
            self.held.pop(symbol, None)
            closes = [context.value(symbol, back=back) for back in range(4)]
            # what it remembers decides: equity at its worst, and how often it was called
            if closes[0] < closes[1] < closes[2] and self.calls % 3 and context.equity > self.worst - 1:
                context.buy(symbol, stop_percent=4.0, target_r=1.5, tag=f"after {self.calls}")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:4x140?seed=11")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.mark.parametrize("history", [None, 60])
@pytest.mark.parametrize(("group", "cuts"), [(1, ()), (1, (1, 33, 34, 90)), (17, (51,))])
def test_it_trades_what_a_backtest_trades(
    bars: Bars, path: Path, group: int, cuts: tuple[int, ...], history: int | None
) -> None:
    expected = backtest(bars, Grumpy(), risk=LIMITS)
    assert len(expected.trades) > 8
    mine = Grumpy()
    for first, last in itertools.pairwise((0, *cuts, len(bars))):
        with Session(path, like=bars, strategies=mine, risk=LIMITS, group=group, history=history) as session:
            session.push(bars[first:last])
            account = session.state.account.tobytes()
    assert account == expected.raw.account.tobytes()
    assert mine.calls == 0  # a copy is called
    assert verify_parity(path).ok


def test_several_in_one_account(bars: Bars, path: Path) -> None:
    answers = []
    for name, cuts in (("whole", ()), ("cut", (20, 70, 71))):
        for first, last in itertools.pairwise((0, *cuts, len(bars))):
            chosen = [Grumpy(), strategy_class("donchian-breakout")(), Grumpy(patience=4)]
            with Session(path, like=bars, strategies=chosen, risk=LIMITS, name=name) as session:
                for row in range(first, last):
                    session.push(bars[row : row + 1])
                if last == len(bars):
                    answers.append(answer_of(session))
                    with session.database.read() as connection:
                        found = connection.exec_driver_sql("SELECT DISTINCT strategy FROM trades")
                        assert {"grumpy", "donchian-breakout"} <= set(found.scalars())
        assert verify_parity(path, name).ok
    assert answers[0] == answers[1]


def test_a_bar_that_could_not_be_stored_was_not_lived_through(bars: Bars, path: Path) -> None:
    with Session(path, like=bars, strategies=Grumpy(), risk=LIMITS, name="whole") as session:
        session.push(bars[:60])
        expected = answer_of(session)
    broken = False
    with Session(path, like=bars, strategies=Grumpy(), risk=LIMITS) as session:
        usual = session._store.save

        def fails(*given: Any, **named: Any) -> None:
            if broken:
                raise OSError("no room")
            usual(*given, **named)

        session._store.save = fails  # type: ignore[method-assign]
        for row in range(60):
            broken = row % 7 == 3
            if broken:
                with pytest.raises(OSError, match="no room"):
                    session.push(bars[row : row + 1])
                broken = False
            session.push(bars[row : row + 1])
        assert answer_of(session) == expected


def test_symbols_that_join_and_other_limits_on_the_way(bars: Bars, path: Path) -> None:
    two = first_symbols(bars, 2)
    answers = []
    for name, cuts in (("whole", ()), ("cut", (10, 45, 60, 99))):
        grown = changed = False
        for first, last in itertools.pairwise(sorted({0, *cuts, 40, 80, len(bars)})):
            limits = LIMITS if first < 80 else RiskLimits(max_correlation=0.9, correlation_window=80)
            why = "other limits" if first >= 80 and not changed else None
            changed = changed or first >= 80
            with Session(
                path, like=two, strategies=Grumpy(), risk=limits, name=name, accept_change=why
            ) as session:
                if first >= 40 and not grown:
                    session.grow(bars)
                    grown = True
                session.push((bars if grown else two)[first:last])
                if last == len(bars):
                    answers.append(answer_of(session))
        assert verify_parity(path, name).ok
    assert answers[0] == answers[1]
    assert len(answers[0]["trades"]) > 0


def test_what_cannot_be_called_or_copied_is_refused(bars: Bars, path: Path) -> None:
    locked = Grumpy()
    locked.lock = threading.Lock()  # type: ignore[attr-defined]
    not_called = type("OnBar", (), {"on_bar": None})()
    for wrong in (locked, not_called):
        with pytest.raises(StrategyError) as caught:
            Session(path, like=bars, strategies=wrong)
        assert caught.value.code == "LIVE_ON_BAR"


def test_it_sees_no_further_than_its_bar(bars: Bars, path: Path) -> None:
    seen: list[tuple[int, float]] = []

    class Watching:
        name, warmup = "watching", 0

        def __deepcopy__(self, memory: Any) -> Watching:
            return self

        def on_bar(self, context: Any) -> None:
            seen.append((len(context.bars), float(context.bars.ts[-1])))
            assert np.isfinite(context.cash)

    with Session(path, like=bars, strategies=Watching(), group=9) as session:
        session.push(bars[:30])
    assert seen == [(row + 1, float(bars.ts[row])) for row in range(30)]
