"""A week of the soak, a few of the kills, and the table's figures, in their short form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.__main__ import main
from tests.faults.kills import killed_sessions, recovery_times, times_to_halt
from tests.faults.soak import soak
from tests.live.sessions import scratch

FULLY = bool(os.environ.get("TWINSTEP_FAULTS"))
SEED = 20_261_121


def test_a_week_in_which_something_goes_wrong_every_other_hour() -> None:
    with scratch() as folder:
        found = soak(Path(folder), SEED, days=30 if FULLY else 4)
    assert found.problems == []
    assert sum(found.faults.values()) > (60 if FULLY else 5)


def test_sessions_killed_at_random_points_lose_nothing() -> None:
    with scratch() as folder:
        found = killed_sessions(Path(folder), 500 if FULLY else 9, SEED)
    assert (found.lost, found.problems) == (0, [])
    assert found.in_mid_run > 1


def test_a_kill_is_heeded_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    assert max(times_to_halt(tmp_path, SEED, 2, command=False)) < 0.1


@pytest.mark.skipif(not FULLY, reason="set TWINSTEP_FAULTS=1: `make faults` measures it")
def test_a_killed_process_is_back_within_five_seconds(tmp_path: Path) -> None:
    assert max(recovery_times(tmp_path, SEED, 3)) < 5.0


def test_the_command_fails_where_an_invariant_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.faults.__main__._timed", lambda *_, **__: None)
    monkeypatch.setattr("tests.faults.__main__._soaked", lambda *_, **__: None)
    monkeypatch.setattr("tests.faults.__main__._swept", lambda *_, **__: None)
    assert main(["--quick", "--kills", "0", "--seed", "5"]) == 0
    assert "seed 5" in capsys.readouterr().out
    monkeypatch.setattr("tests.faults.kills.broken", lambda evidence: ["(a) the end differs"])
    assert main(["--quick", "--kills", "3", "--seed", "5"]) == 1
    out, err = capsys.readouterr()
    assert "broken invariants       " in out
    assert "FAILED: kill" in err
