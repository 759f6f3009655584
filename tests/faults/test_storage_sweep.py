"""Fails at the n-th write of a running session, n = 1, 2, 3 ...: full, busy, bad sector, and kill -9."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live import verify_parity
from tests.faults.invariants import Evidence, broken
from tests.faults.story import FIRST, LAST, fault_free, play, played_until_killed
from tests.faults.sweep import BUSY, FULL, IOERR, Fault, counted_writes, in_a_child, sweep
from tests.live.sessions import scratch

FULLY = bool(os.environ.get("TWINSTEP_FAULTS"))


@pytest.fixture(scope="module")
def expected() -> Iterator[dict[str, Any]]:
    with scratch() as folder:
        yield fault_free(Path(folder) / "journal.db")


def refused_at(at: int, error: tuple[int, str], expected: dict[str, Any], *, once: bool = False) -> Fault:
    """Play with a database that refuses the n-th write and all after it, until there is room again."""
    fault = Fault(at, error=error, once=once)
    with scratch() as folder, counted_writes(fault):
        path = Path(folder) / "journal.db"
        played = play(path, fault)
        problems = broken(
            Evidence(path, expected=expected, acknowledged=played.acknowledged, exposure=played.exposure)
        )
        assert problems == [], f"{error[1]} at write {at} ({fault.where}): {problems}"
        # once there is room the very next attempt succeeds
        assert len(played.refusals) == fault.fired, f"{error[1]} at write {at}: {played.refusals}"
    return fault


def killed_at(at: int, expected: dict[str, Any], *, after: bool) -> Fault:
    """Play in a child that dies at the n-th write, then go on with what it left."""
    fault = Fault(at, after=after)
    with scratch() as folder:
        path = Path(folder) / "journal.db"

        def child() -> None:
            with counted_writes(fault):
                played_until_killed(path, fault)

        said = in_a_child(child)
        told = int.from_bytes(said[-4:], "little") if said else 0
        fault.fired = told < LAST - FIRST
        if path.exists():
            problems = broken(Evidence(path, expected=expected, acknowledged=told, complete=False))
            assert problems == [], f"killed at write {at}: {problems}"
        play(path, Fault(0))
        problems = broken(Evidence(path, expected=expected, acknowledged=told))
        assert problems == [], f"killed at write {at}, then taken up: {problems}"
        assert verify_parity(path).ok
    return fault


@pytest.mark.parametrize("error", [FULL, BUSY, IOERR], ids=["full", "busy", "ioerr"])
def test_a_write_that_is_refused_anywhere_undoes_its_bar_and_nothing_else(
    expected: dict[str, Any], error: tuple[int, str]
) -> None:
    first = 1 if FULLY else 1 + [FULL, BUSY, IOERR].index(error)
    met = sweep(lambda at: refused_at(at, error, expected), stride=1 if FULLY else 19, first=first)
    print(f"{met} points swept")
    assert met > 5


def test_one_write_that_is_refused_while_the_next_would_do_is_repeated_whole(
    expected: dict[str, Any],
) -> None:
    met = sweep(lambda at: refused_at(at, BUSY, expected, once=True), stride=1 if FULLY else 37, first=4)
    assert met > 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_write_loses_nothing_that_was_acknowledged(
    expected: dict[str, Any], after: bool
) -> None:
    met = sweep(lambda at: killed_at(at, expected, after=after), stride=1 if FULLY else 29, first=3)
    print(f"{met} points swept")
    assert met > 3


def test_the_invariants_notice_what_is_broken(expected: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    play(path, Fault(0))
    assert broken(Evidence(path, expected=expected, acknowledged=LAST - FIRST)) == []
    assert broken(Evidence(path, acknowledged=LAST - FIRST + 1))[0].startswith("(d)")
    assert broken(Evidence(path, expected={**expected, "states": ["x"]}))[0].startswith("(a)")
    assert broken(Evidence(path, expected={**expected, "fills": b""})) == ["(a) the fills differ"]
    assert broken(Evidence(path, sent=["a", "b", "a"])) == ["(c) order a was sent 2 times"]
    assert broken(Evidence(path, exposure=[(1.0, 2.0)]))[0].startswith("(e)")
    there = ({"AAPL": 100.0}, frozenset({"B1"}))
    mine: tuple[dict[str, float], frozenset[str]] = ({}, frozenset())
    assert len(broken(Evidence(path, broker=there, known=mine))) == 2
    assert broken(Evidence(path, broker=there, known=mine, noted=frozenset({"AAPL", "B1"}))) == []
    for statement, sign in (
        ("DELETE FROM trades WHERE id = (SELECT max(id) FROM trades)", "(c)"),
        ("DELETE FROM steps WHERE bar = 4", "(d)"),
    ):
        with Database(path) as database, database.write() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table in ("fills", "insights", "mistakes", "performance_metrics", "legs") * (
                "trades" in statement
            ):
                connection.exec_driver_sql(
                    f"DELETE FROM {table} WHERE trade_id = (SELECT max(id) FROM trades)"  # noqa: S608
                )
            connection.exec_driver_sql(statement)
        assert broken(Evidence(path))[0].startswith(sign), statement
