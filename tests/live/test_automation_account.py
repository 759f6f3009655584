"""The account of an automation is a session: symbols that join, previews, and the replay of everything.

Whatever the order in which symbols join, the state is that of an account that knew them from the start, and
`verify_parity` finds the backtest driver's bytes in what was recorded.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from journal.database import Database
from live.automation.account import PricedSession, to_time
from live.automation.config import AutomationConfig
from live.clock import Clock, FakeClock
from live.parity import verify_parity
from live.sessions.trades import StepRecord
from simulator.errors import EngineError
from simulator.kernel.state import to_bytes
from tests.budget import cases
from tests.live.automations import START

SYMBOLS = ("AAPL", "MSFT", "XOM", "KO")

prices = st.integers(80, 120).map(float)
moves = st.tuples(
    st.dictionaries(st.sampled_from(SYMBOLS), prices, min_size=1, max_size=3),
    st.booleans(),  # whether the first of them comes with a signal
    st.sampled_from([None, "close", "close_all", "kill", "arm", "reduce"]),
    st.sampled_from([0, 0, 1, 26, 26 * 24]),  # hours to the next price
)


class NoLog:
    """Writes no trades."""

    def write(self, connection: Connection, step: StepRecord) -> list[int]:
        return []


def account(folder: Path, clock: Clock, database: Database | None = None) -> PricedSession:
    rules = AutomationConfig(max_sector_exposure_pct=50.0, max_days_in_trade=20).rules()
    return PricedSession(
        database or Database(folder / "trades.db", clock=clock), rules, name="test", clock=clock,
        calendar="XNYS", sectors={"AAPL": "Technology"}, trade_log=NoLog(),
    )  # fmt: skip


def signal(symbol: str, price: float) -> dict[str, Any]:
    return {
        "symbol": symbol, "side": 1, "qty": 300.0, "stop": price * 0.95, "target": price * 1.2,
        "trail_percent": 4.0, "entry": "close", "exit": "close", "strength": 2,
    }  # fmt: skip


def drive(found: PricedSession, clock: FakeClock, script: Sequence[Any]) -> None:
    priced: set[str] = set()
    for ticks, with_signal, command, hours in script:
        symbol, price = next(iter(ticks.items()))
        asked: list[tuple[str, str | None, float | None]] = []
        if command == "close":
            asked = [("close", symbol, 97.0)] if symbol in priced else []
        elif command is not None:
            asked = [(command, None, None)]
        found.push(ticks, signal(symbol, price) if with_signal else None, asked)
        priced.update(ticks)
        clock.advance(timedelta(hours=hours))


@given(st.lists(moves, min_size=1, max_size=20))
@cases(many=25, few=8)
def test_whatever_comes_a_replay_gives_the_same_bytes(script: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        clock = FakeClock(START)
        found = account(Path(name), clock)
        drive(found, clock, script)
        before = to_bytes(found.state)
        found.session.database.close()
        receipt = verify_parity(Path(name) / "trades.db", "test")
        assert receipt.ok, str(receipt)
        assert receipt.bars == len(script)
        again = account(Path(name), clock)
        assert to_bytes(again.state) == before
        assert again.symbols == tuple(dict.fromkeys(itertools.chain(*(prices for prices, *_ in script))))
        again.session.database.close()


def test_a_rehearsal_says_what_the_price_will_do_and_changes_nothing(tmp_path: Path) -> None:
    clock = FakeClock(START)
    found = account(tmp_path, clock)
    for day in range(80):
        found.push({"AAPL": 100.0 + day % 7, "MSFT": 50.0 + day % 7})
        clock.advance(timedelta(days=1))
    found.push({"AAPL": 100.0}, signal("AAPL", 100.0))
    before = to_bytes(found.state)
    for symbol, price in (("MSFT", 50.0), ("XOM", 90.0)):
        expected = found.rehearse({symbol: price}, signal(symbol, price))
        assert to_bytes(found.state) == before
        assert symbol in expected.symbols
        logs = found.push({symbol: price}, signal(symbol, price)).logs
        for log in ("verdicts", "fills", "trades"):
            columns = [c for c in logs[log].dtype.names or () if c != "ts"]
            assert logs[log][columns].tobytes() == expected.logs[log][columns].tobytes(), log
        assert to_bytes(found.state) == to_bytes(expected.state)
        before = to_bytes(found.state)
    found.session.database.close()


def test_prices_of_one_instant_are_a_microsecond_apart(tmp_path: Path) -> None:
    found = account(tmp_path, FakeClock(START))
    times = [to_time(found.push({"AAPL": 100.0}).ts) for _ in range(3)]
    assert times == [START + timedelta(microseconds=number) for number in range(3)]
    found.session.database.close()


def test_the_last_price_is_known_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with Database(tmp_path / "trades.db", clock=clock) as database:
        found = account(tmp_path, clock, database)
        found.push({"AAPL": 100.0})
        found.push({"MSFT": 50.0})
        again = account(tmp_path, clock, database)
        assert (again.last_price("AAPL"), again.last_price("MSFT", since=1)) == (100.0, 50.0)
        assert (again.last_price("AAPL", since=1), again.last_price("KO")) == (None, None)


def test_a_symbol_keeps_the_sector_that_it_joined_with(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with Database(tmp_path / "trades.db", clock=clock) as database:
        found = account(tmp_path, clock, database)
        found.sectors["MSFT"] = "Software"
        found.push({"AAPL": 100.0, "MSFT": 50.0, "KO": 60.0})
        again = account(tmp_path, clock, database)
        assert again.sectors == {"AAPL": "Technology", "MSFT": "Software", "KO": "Unknown"}
        again.push({"AAPL": 100.0, "PEP": 70.0})


def test_a_clock_that_goes_back_is_refused(tmp_path: Path) -> None:
    clock = FakeClock(START)
    found = account(tmp_path, clock)
    found.push({"AAPL": 100.0})
    clock.advance(timedelta(seconds=-59))
    found.push({"AAPL": 100.0})  # a corrected clock
    clock.advance(timedelta(minutes=-5))
    with pytest.raises(EngineError) as failure:
        found.push({"AAPL": 100.0})
    assert failure.value.code == "LIVE_CLOCK"
    assert found.session.bars == 2
    found.session.database.close()


def test_a_clock_without_a_zone_is_refused(tmp_path: Path) -> None:
    clock = FakeClock(START)
    with Database(tmp_path / "trades.db", clock=clock) as database:
        found = account(tmp_path, clock, database)
        found._clock = lambda: datetime(2026, 3, 2)  # noqa: DTZ001 - the point
        with pytest.raises(EngineError) as failure:
            found.push({"AAPL": 100.0})
        assert failure.value.code == "LIVE_CLOCK"
