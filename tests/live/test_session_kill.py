"""kill -9 at random points of a running session: whole bars or none, and the end is the same.

A child runs a session over a feed; the parent kills it after a random time and starts the next one on the
same journal, until the feed has ended. What was acknowledged through a pipe must be there, the receipt must
be clean after every kill, and the last state is that of a session that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from journal.database import Database
from live import ReplayFeed, Session, verify_parity
from simulator import load_bars
from strategies.registry import strategy_class
from tests.live.sessions import answer_of

SEED: Final = 20_260_721
SOURCE: Final = "synthetic:4x260?seed=11"
LONGEST_SECONDS: Final = 0.12


def session_of(path: Path, name: str = "paper", group: int = 1) -> Session:
    return Session(
        path, feed=ReplayFeed(load_bars(SOURCE)), strategies=strategy_class("donchian-breakout")(), name=name,
        group=group,
    )  # fmt: skip


def said(writer: int, number: int) -> None:
    os.write(writer, number.to_bytes(4, "little"))


def killed_session(path: Path, wait: float, group: int, *, running: bool) -> tuple[int, bool]:
    """Run a child and kill it; returns what it acknowledged, and whether it came to its end.

    `wait` is in seconds: from its first word on where it is to be `running`, however slow the machine is
    today, and else from its start, which meets the recovery.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            with session_of(path, group=group) as session:
                session.run(tell=lambda it, _: os.write(writer, it.bars.to_bytes(4, "little")), signals=False)
            said(writer, 2**32 - 1)
        finally:
            os._exit(0)
    os.close(writer)
    heard = os.read(reader, 4) if running else b""
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reader, 1 << 16):
        heard += part
    os.close(reader)
    numbers = [int.from_bytes(heard[at : at + 4], "little") for at in range(0, len(heard) - 3, 4)]
    ended = bool(numbers) and numbers[-1] == 2**32 - 1
    bars = [number for number in numbers if number < 2**32 - 1]
    return (bars[-1] if bars else 0), ended


def survive(path: Path, kills: int, *, group: int) -> int:
    """Kill so many children, beginning a new session whenever one has ended; returns the kills in mid-run."""
    drawn = random.Random(f"{SEED}/{group}")  # noqa: S311 - of a test
    with session_of(path.with_name("whole.db")) as session:
        session.run(signals=False)
        expected = answer_of(session)
        bars = session.bars
    seen = rounds = hit = 0
    for kill in range(kills):
        here = path.with_name(f"{rounds}.db")
        if not here.exists():
            session_of(here, group=group).close()
        acknowledged, _ = killed_session(
            here, drawn.uniform(0.0, LONGEST_SECONDS), group, running=kill % 3 > 0
        )
        seen = max(seen, acknowledged)
        with Database(here) as database:
            database.check(full=True)
        receipt = verify_parity(here)
        assert receipt.ok, f"kill {kill}: {receipt}"
        assert receipt.bars >= seen, f"kill {kill}: {seen} acknowledged, {receipt.bars} there"
        assert receipt.bars % group == 0 or receipt.bars == bars
        hit += 0 < receipt.bars < bars
        seen = receipt.bars
        if receipt.bars == bars:
            with session_of(here, group=group) as session:
                assert session.run(signals=False) == 0
                assert answer_of(session) == expected
            seen, rounds = 0, rounds + 1
    here = path.with_name(f"{rounds}.db")
    with session_of(here, group=group) as session:
        session.run(signals=False)
        assert answer_of(session) == expected
    return hit


def test_a_session_killed_at_random_points_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    begin = time.monotonic()
    hit = survive(tmp_path / "journal.db", 16, group=1)
    print(f"seed {SEED}: 16 kills, {hit} in the middle, {time.monotonic() - begin:.1f} s")
    assert hit > 3


def test_so_does_one_that_stores_several_bars_at_once(tmp_path: Path) -> None:
    assert survive(tmp_path / "journal.db", 10, group=7) > 1


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("TWINSTEP_FAULTS"), reason="set TWINSTEP_FAULTS=1: takes minutes")
def test_five_hundred_kills(tmp_path: Path) -> None:
    hit = survive(tmp_path / "journal.db", 500, group=1)
    print(f"seed {SEED}: 500 kills, {hit} in the middle")
    assert hit > 200
