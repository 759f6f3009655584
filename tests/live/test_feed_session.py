"""A live feed and a session together: strategies, holds, restarts, and the receipt at the end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.feeds.holds import Hold
from live.kill_switch import KillSwitch
from live.parity import verify_parity
from live.session import Session
from simulator import Signals, load_bars
from simulator.bars import Bars
from tests.live.yahoo_world import World

pytest.importorskip("yfinance")


class Eager:
    """Enters whatever bar it sees, and leaves what it has after two."""

    def signals(self, bars: Bars) -> Signals:
        rows = np.arange(len(bars))
        return Signals.from_arrays(
            bars, rows, np.zeros(len(bars), int), 1, qty=1.0, stop_percent=50.0, max_bars=2
        )

    def __repr__(self) -> str:
        return "Eager()"


def entries(session: Session, outcomes: list[Any]) -> list[str]:
    found = []
    for outcome in outcomes:
        fills = outcome.logs["fills"]
        found += [str(np.datetime64(int(fill["ts"]), "ns"))[11:16] for fill in fills[fills["kind"] == 0]]
    return found


def run(world: World, session: Session, until: str) -> list[Any]:
    outcomes: list[Any] = []
    end = world.until(until)

    def tell(session: Session, outcome: Any) -> None:
        outcomes.append(outcome)

    feed: Any = session.feed
    feed.bars = lambda **more: type(feed).bars(feed, **more | {"stopped": lambda: end() or more["stopped"]()})
    session.run(tell=tell, signals=False)
    return outcomes


def test_nothing_is_entered_in_the_warm_up_nor_in_a_gap_and_parity_holds(tmp_path: Path) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    journal = tmp_path / "a.db"
    feed: Any = world.feed("AAPL", tmp_path / "cache", interval="5m", warm=20)
    with Session(journal, feed=feed, strategies=Eager(), risk=None) as session:
        outcomes = run(world, session, "2024-03-08T10:16:00-05:00")
        # the newest bar of the warm-up is as good as any: it fills at the next open
        assert entries(session, outcomes) == ["15:00"]
        assert sum(len(one.holds) for one in outcomes) == 19
        notes = [note.value for note in session.notes()]
        assert len(notes) == 19
        assert notes[0]["entries"] == 1
        assert "WARM" in notes[0]["held"][0]
        bars = session.bars
    world.now += 40 * 60
    again: Any = world.feed("AAPL", tmp_path / "cache", interval="5m", warm=20)
    with Session(journal, feed=again, strategies=Eager(), risk=None) as session:
        assert session.bars == bars
        outcomes = run(world, session, "2024-03-08T11:11:00-05:00")
        assert session.bars == bars + 11
        held = [[hold.code for hold in one.holds] for one in outcomes]
        assert held == [["GAP"]] * 8 + [[]] * 3
        # what was decided before is filled as it would have been; nothing else until a bar is fresh
        assert entries(session, outcomes) == ["15:15", "16:00"]
        # and time exits work in the gap
        exits = [int(one["exit_ts"][0]) for one in (out.logs["trades"] for out in outcomes) if len(one)]
        assert any(at < outcomes[7].ts for at in exits)
        assert sum(len(one.gaps) for one in outcomes) == 0
    receipt = verify_parity(journal, "paper")
    assert receipt.ok, receipt


def test_a_spike_is_not_entered_on_and_the_receipt_agrees(tmp_path: Path) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    spike = int(datetime.fromisoformat("2024-03-08T10:05:00-05:00").timestamp())
    world.edit = lambda symbol, rows: {
        at: (*(value * 10 for value in row[:4]), row[4]) if at == spike else row for at, row in rows.items()
    }
    feed: Any = world.feed("AAPL", tmp_path / "cache", interval="5m", warm=3)
    with Session(tmp_path / "a.db", feed=feed, strategies=Eager(), risk=None) as session:
        outcomes = run(world, session, "2024-03-08T10:26:00-05:00")
        codes = [hold.code for one in outcomes for hold in one.holds]
    assert codes == ["WARM", "WARM", "PRICE_BAND"]
    assert verify_parity(tmp_path / "a.db", "paper").ok


def test_a_revised_bar_is_recorded_and_decides_nothing(tmp_path: Path) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    wrong = int(datetime.fromisoformat("2024-03-08T10:00:00-05:00").timestamp())

    def edit(symbol: str, rows: dict[int, Any]) -> dict[int, Any]:
        late = world.now > wrong + 400
        return {
            at: (row[0], row[1] + 0.5, *row[2:]) if at == wrong and late else row for at, row in rows.items()
        }

    world.edit = edit
    feed: Any = world.feed("AAPL", tmp_path / "cache", interval="5m", warm=3)
    with Session(tmp_path / "a.db", feed=feed, risk=None) as session:
        outcomes = run(world, session, "2024-03-08T10:26:00-05:00")
        refused = [one.kind for outcome in outcomes for one in outcome.refused]
        assert refused == ["revised"]
        assert session.bars == 3 + 5


def test_a_stale_feed_reduces_the_account_by_the_switch_and_a_person_arms(tmp_path: Path) -> None:
    world = World("2024-03-08T10:00:30-05:00")
    switch = KillSwitch(tmp_path / "switch", clock=world.clock)
    feed: Any = world.feed("AAPL", tmp_path / "cache", interval="5m", warm=3)
    watch = feed.watch(switch, every=3600)
    frozen = [False]
    world.edit = lambda symbol, rows: {} if frozen[0] else rows
    world.plan("2024-03-08T10:11:00-05:00", lambda: frozen.__setitem__(0, True))
    world.plan("2024-03-08T10:21:00-05:00", lambda: watch.look())
    world.plan("2024-03-08T10:22:00-05:00", lambda: frozen.__setitem__(0, False))
    with Session(tmp_path / "a.db", feed=feed, strategies=Eager(), kill_switch=switch, risk=None) as session:
        outcomes = run(world, session, "2024-03-08T10:36:00-05:00")
        assert int(session.state.account["reducing"][0]) == 1
        first = [hold.code for one in outcomes for hold in one.holds].index("GAP")
        assert first > 0
        # after the watch nothing more was entered, although data came back
        late = [at for at in entries(session, outcomes) if at > "15:15"]
        assert late == []
        switch.arm("ada", "prices move again")
        outcomes = run(world, session, "2024-03-08T10:56:00-05:00")
        assert entries(session, outcomes)
    assert verify_parity(tmp_path / "a.db", "paper").ok


def test_holds_may_be_given_by_hand_and_closes_pass(tmp_path: Path) -> None:
    bars = load_bars("synthetic:2x20?seed=1")
    first, second = bars.symbols
    with Session(tmp_path / "a.db", like=bars, risk=None) as session:
        both = Signals.from_arrays(bars, [0, 0], [first, second], 1, qty=1.0, stop_percent=50.0)
        outcome = session.push(bars[0:1], both, holds=[Hold(int(bars.ts[0]), second, "STALE_QUOTE", "old")])
        assert outcome.signals == 1
        assert [hold.symbol for hold in outcome.holds] == [second]
        assert session.notes()[0].value["entries"] == 1
        outcome = session.push(bars[1:2])
        assert [session.symbols[fill["sym"]] for fill in outcome.logs["fills"]] == [first]
        close = Signals.from_arrays(bars, [2], [first], 0)
        outcome = session.push(bars[2:3], close, holds=[Hold(int(bars.ts[2]), None, "GAP", "late")])
        assert outcome.signals == 1
        assert len(session.notes()) == 1
        outcome = session.push(bars[3:4])
        assert len(outcome.logs["trades"]) == 1
    assert verify_parity(tmp_path / "a.db", "paper").ok
