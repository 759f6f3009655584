"""The kill switch: fails safe, halts whatever breaks, and is armed only by a person."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from live import kill_files as files
from live.kill_files import MARK, RECORD, TOKEN, read_record, remove_tokens, switch_folder, write_draft
from live.kill_switch import KillSwitch, KillSwitchError
from simulator.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOON


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "switch", clock=clock)


def events(switch: KillSwitch) -> list[str]:
    return [entry["event"] for entry in read_record(switch.folder)]


def code(switch: KillSwitch) -> str:
    with pytest.raises(KillSwitchError) as caught:
        switch.check()
    return caught.value.code


def test_a_fresh_paper_folder_is_armed_once_and_on_record(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "deep" / "switch", clock=clock)
    switch.check()
    assert switch.state == "ACTIVE"
    (entry,) = read_record(switch.folder)
    assert (entry["event"], entry["by"], entry["at"]) == ("arm", "twinstep", NOON.isoformat())
    assert KillSwitch(switch.folder).state == "ACTIVE"
    assert events(switch) == ["arm"]


def test_a_live_folder_is_never_armed_by_itself(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path, scope="live")
    assert switch.state == "HALTED"
    assert code(switch) == "LIVE_HALTED"
    switch.arm("ada", "the first day")
    assert KillSwitch(tmp_path, scope="live").state == "ACTIVE"


def test_looking_neither_arms_nor_makes_anything(tmp_path: Path) -> None:
    assert KillSwitch(tmp_path / "nowhere", arm_fresh=False).state == "HALTED"
    assert not (tmp_path / "nowhere").exists()


def test_a_kill_says_who_when_and_why_and_outlives_a_restart(switch: KillSwitch) -> None:
    halt = switch.engage("market crash", "ada")
    assert (halt.state, halt.complete, halt.recorded, halt.problems) == ("HALTED", True, True, ())
    for one in (switch, KillSwitch(switch.folder)):
        status = one.status
        assert status["engaged"] is True
        assert (status["engaged_by"], status["engaged_at"]) == ("ada", NOON.isoformat())
        assert status["reason"] == "market crash"
        with pytest.raises(
            KillSwitchError, match=r"killed by ada at 2026-03-02T12:00:00\+00:00: market crash"
        ):
            one.check()


def test_the_first_kill_is_the_cause_until_somebody_arms(switch: KillSwitch) -> None:
    switch.engage("daily loss", "risk manager")
    switch.engage("me too", "ada")
    assert switch.status["reason"] == "daily loss"
    switch.arm("ada", "looked at it")
    assert switch.status["engaged"] is False
    assert switch.status["engaged_by"] is None
    assert switch.status["armed_by"] == "ada"
    switch.engage("again", "bob")
    assert switch.status["reason"] == "again"
    assert events(switch) == ["arm", "kill", "kill", "arm", "kill"]


def test_a_kill_before_the_first_start_holds(tmp_path: Path) -> None:
    KillSwitch(tmp_path / "later", arm_fresh=False).engage("not today", "ada")
    assert KillSwitch(tmp_path / "later").state == "HALTED"


def test_reducing_lets_exits_pass_and_ends_by_arming(switch: KillSwitch) -> None:
    halt = switch.reduce("overfill", "reconciliation")
    assert (halt.state, switch.state) == ("REDUCING", "REDUCING")
    assert code(switch) == "LIVE_REDUCING"
    assert KillSwitch(switch.folder).status["reason"] == "overfill"
    assert switch.status["engaged"] is False
    switch.engage("worse", "ada")
    assert switch.state == "HALTED"
    switch.arm("ada", "all well")
    assert KillSwitch(switch.folder).state == "ACTIVE"
    assert not (switch.folder / MARK).exists()


def test_a_killed_switch_that_is_reduced_stays_halted(switch: KillSwitch) -> None:
    switch.engage("crash", "ada")
    switch.reduce("less than that", "bob")
    assert switch.state == "HALTED"


@pytest.mark.parametrize("by", ["", "  ", "system", "Twinstep", "auto", "unknown"])
def test_only_a_named_person_arms(switch: KillSwitch, by: str) -> None:
    switch.engage("x", "ada")
    with pytest.raises(KillSwitchError) as caught:
        switch.arm(by, "because")
    assert caught.value.code == "LIVE_ARM_NAME"
    assert switch.state == "HALTED"


def test_arming_needs_a_reason(switch: KillSwitch) -> None:
    switch.engage("x", "ada")
    with pytest.raises(KillSwitchError) as caught:
        switch.arm("ada", " \n")
    assert caught.value.code == "LIVE_ARM_REASON"
    assert switch.state == "HALTED"


def test_arming_what_is_armed_says_by_whom(switch: KillSwitch) -> None:
    with pytest.raises(KillSwitchError, match="armed already, by twinstep") as caught:
        switch.arm("ada", "to be sure")
    assert caught.value.code == "LIVE_ARMED"
    assert events(switch) == ["arm"]


def test_of_many_arming_at_once_one_does(tmp_path: Path) -> None:
    KillSwitch(tmp_path).engage("x", "ada")
    answers: list[str] = []
    start = threading.Barrier(8)

    def one(number: int) -> None:
        mine = KillSwitch(tmp_path)
        start.wait()
        try:
            mine.arm(f"person {number}", "go")
            answers.append("armed")
        except KillSwitchError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["LIVE_ARMED"] * 7 + ["armed"]
    assert [entry["event"] for entry in read_record(tmp_path)] == ["arm", "kill", "arm"]


def test_whoever_waits_too_long_for_another_arming_is_told(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from live.kill_files import arming

    switch.engage("x", "ada")
    monkeypatch.setattr("live.kill_switch.ARM_WAIT_SECONDS", 0.02)
    with arming(switch.folder, 1.0), pytest.raises(KillSwitchError) as caught:
        switch.arm("ada", "go")
    assert caught.value.code == "LIVE_ARM_BUSY"
    assert switch.state == "HALTED"


# The token


def mutations() -> list[pytest.param]:  # type: ignore[valid-type]  # pytest names no type for it
    def change(**fields: object):  # type: ignore[no-untyped-def]
        return lambda text: json.dumps({**json.loads(text), **fields})

    return [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[: len(text) // 2], id="half"),
        pytest.param(lambda text: "\x00" * len(text), id="zeros"),
        pytest.param(lambda text: text.replace("twinstep", "somebody"), id="edited"),
        pytest.param(change(scope="live"), id="scope changed"),
        pytest.param(change(more=1), id="more"),
        pytest.param(lambda text: "[" * 10_000, id="nested"),
        pytest.param(lambda text: "null", id="null"),
        pytest.param(lambda text: "x" * 100_000, id="long"),
        pytest.param(lambda text: '{"sum": 1}', id="bare"),
    ]


@pytest.mark.parametrize("mutate", mutations())
def test_a_token_that_is_not_whole_halts(switch: KillSwitch, mutate) -> None:  # type: ignore[no-untyped-def]
    token = switch.folder / TOKEN
    token.write_text(mutate(token.read_text()))
    for one in (switch, KillSwitch(switch.folder)):
        assert one.state == "HALTED"
        assert "damaged" in one.status["why"]
        assert code(one) == "LIVE_HALTED"
    switch.arm("ada", "wrote it anew")
    assert KillSwitch(switch.folder).state == "ACTIVE"


def test_a_token_of_another_scope_halts(tmp_path: Path) -> None:
    KillSwitch(tmp_path)
    live = KillSwitch(tmp_path, scope="live")
    assert live.state == "HALTED"
    assert live.status["why"] == "the ARMED token is for paper, not for live"


def test_a_token_that_was_removed_by_hand_halts_and_is_not_made_again(switch: KillSwitch) -> None:
    (switch.folder / TOKEN).unlink()
    again = KillSwitch(switch.folder)
    assert again.state == "HALTED"
    assert "no kill is on record" in again.status["why"]


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "socket name too"])
def test_what_is_no_regular_file_is_no_token(switch: KillSwitch, tmp_path: Path, kind: str) -> None:
    token = switch.folder / TOKEN
    copy = tmp_path / "copy"
    token.rename(copy)
    if kind == "folder":
        token.mkdir()
    elif kind == "link":
        token.symlink_to(copy)
    elif kind == "pipe":
        os.mkfifo(token)
    else:
        token.write_text("")
    assert switch.state == "HALTED"
    assert KillSwitch(switch.folder).state == "HALTED"


def test_a_folder_that_is_gone_halts_whoever_runs(switch: KillSwitch) -> None:
    for name in os.listdir(switch.folder):
        (switch.folder / name).unlink()
    switch.folder.rmdir()
    assert switch.state == "HALTED"


def test_the_scope_is_checked() -> None:
    with pytest.raises(ConfigError) as caught:
        KillSwitch("x", scope="real")  # type: ignore[arg-type]
    assert caught.value.code == "LIVE_SCOPE"


# Races


def kill_before(point: int, killer: KillSwitch, patched: pytest.MonkeyPatch) -> list[str]:
    """Let somebody kill right before a call of the system; returns a list that then is no longer empty."""
    count = itertools.count()
    killed: list[str] = []

    def patch(name: str) -> None:
        real = getattr(os, name)

        def counted(*args: Any, **named: Any) -> Any:
            if not killed and next(count) == point:
                killed.append(name)  # from here on nothing is counted: the kill makes calls too
                killer.engage("second", "bob")
            return real(*args, **named)

        patched.setattr(os, name, counted)

    for name in ("open", "write", "fsync", "unlink", "rename"):
        patch(name)
    return killed


def test_a_kill_overtakes_an_arming_at_every_point_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill right before each system call that an arming makes, one after the other, until none is left."""
    outcomes: list[str] = []
    for point in range(60):
        folder = tmp_path / str(point)
        KillSwitch(folder).engage("first", "ada")
        arming, outcome = KillSwitch(folder), "armed"
        with monkeypatch.context() as patched:
            killed = kill_before(point, KillSwitch(folder), patched)
            try:
                arming.arm("ada", "go")
            except KillSwitchError as error:
                outcome = error.code
        if not killed:
            break
        outcomes.append(outcome)
        kinds = [entry["event"] for entry in read_record(folder)]
        after = KillSwitch(folder)
        if not after.status["engaged"]:
            # only where the kill came before the arming had written anything
            assert (outcome, kinds) == ("armed", ["arm", "kill", "kill", "arm"])
        elif outcome == "armed":
            assert kinds == ["arm", "kill", "arm", "kill"]  # armed, and killed at once
        else:
            assert outcome == "LIVE_ARM_OVERTAKEN"
            assert after.status["engaged_by"] == "ada"
    assert set(outcomes) == {"armed", "LIVE_ARM_OVERTAKEN"}
    assert len(outcomes) >= 8


def test_a_kill_right_after_another_first_start_is_not_armed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = files.is_fresh, itertools.count()

    def fresh(folder: Path) -> bool:
        if next(asked):
            return real(folder)
        monkeypatch.setattr(files, "is_fresh", real)
        KillSwitch(folder).engage("at once", "ada")  # between the look and the arming of the one below
        return True

    monkeypatch.setattr(files, "is_fresh", fresh)
    assert KillSwitch(tmp_path / "switch").state == "HALTED"


def test_a_draft_that_is_left_is_removed_by_a_kill_and_arms_nothing(switch: KillSwitch) -> None:
    from live.kill_files import Token

    draft = write_draft(switch.folder, Token("paper", "ada", "now", "x", "m"))
    assert remove_tokens(switch.folder) == []
    assert not draft.exists()


def test_killing_from_another_process_is_seen_at_the_next_look(switch: KillSwitch) -> None:
    code = f"from live.kill_switch import KillSwitch; KillSwitch({str(switch.folder)!r}).engage('x', 'ada')"
    switch.check()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert switch.state == "HALTED"


def test_a_look_costs_microseconds(switch: KillSwitch) -> None:
    from time import perf_counter

    best = float("inf")
    for _ in range(20):
        began = perf_counter()
        for _ in range(200):
            switch.check()
        best = min(best, (perf_counter() - began) / 200)
    assert best < 50e-6


def test_the_switch_imports_nothing_heavy() -> None:
    code = "import live.kill_switch, live.submit_gate, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numba", "numpy", "pandas", "sqlalchemy", "typer", "rich"} & set(loaded)


def test_the_folder_of_a_journal_lies_beside_it(tmp_path: Path) -> None:
    assert switch_folder(tmp_path / "trade_journal.db") == tmp_path.resolve() / "trade_journal.db.switch"


def test_a_record_with_a_torn_line_is_read_and_continued(switch: KillSwitch) -> None:
    with (switch.folder / RECORD).open("a") as file:
        file.write('{"event": "ki')
    switch.engage("x", "ada")
    assert events(switch) == ["arm", "kill"]
