"""The kill path itself under faults: no room, no right, no clock, no journal, nobody to tell."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from live import kill_files
from live.kill_files import MARK, TOKEN, read_record
from live.kill_switch import KillSwitch, KillSwitchError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "switch")


def refuse(
    monkeypatch: pytest.MonkeyPatch, name: str, when: Callable[..., bool], number: int = errno.ENOSPC
) -> None:
    """Let a call of the system fail where `when` says so of its arguments."""
    real = getattr(os, name)

    def failing(*args: Any, **named: Any) -> Any:
        if when(*args):
            raise OSError(number, os.strerror(number))
        return real(*args, **named)

    monkeypatch.setattr(os, name, failing)


def in_full_disk(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python where no file can grow."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


def test_a_full_disk_halts_and_says_that_nothing_is_recorded(switch: KillSwitch) -> None:
    done = in_full_disk(
        "from live.kill_switch import KillSwitch\n"
        f"switch = KillSwitch({str(switch.folder)!r})\n"
        "halt = switch.engage('crash', 'ada')\n"
        "assert (halt.state, halt.complete, halt.recorded) == ('HALTED', True, False), halt\n"
        "assert 'record cannot be written' in halt.problems[0], halt\n"
        "status = switch.status\n"
        "assert status['reason'] == 'crash' and status['problems'], status\n"
    )
    assert done.returncode == 0, done.stderr
    after = KillSwitch(switch.folder)
    assert after.state == "HALTED"
    assert "no kill is on record" in after.status["why"]


def test_a_full_disk_before_the_first_start_stays_halted(tmp_path: Path) -> None:
    folder = tmp_path / "switch"
    done = in_full_disk(
        "from live.kill_switch import KillSwitch\n"
        f"switch = KillSwitch({str(folder)!r})\n"
        "assert switch.state == 'HALTED' and switch.status['problems'], switch.status\n"
        "switch.engage('crash', 'ada')\n"
    )
    assert done.returncode == 0, done.stderr
    assert KillSwitch(folder).state == "HALTED"  # the kill has begun the folder, so it is not fresh


def test_a_full_disk_arms_nothing_and_leaves_no_draft(switch: KillSwitch) -> None:
    switch.engage("x", "ada")
    done = in_full_disk(
        "from live.kill_switch import KillSwitch, KillSwitchError\n"
        "try:\n"
        f"    KillSwitch({str(switch.folder)!r}).arm('ada', 'go')\n"
        "except KillSwitchError as error:\n"
        "    print(error.code)\n"
    )
    assert done.stdout.strip() == "LIVE_ARM_FAILED", done.stderr
    assert switch.state == "HALTED"
    assert sorted(os.listdir(switch.folder)) == [".arming.lock", "switch.jsonl"]


def test_where_the_mark_cannot_be_written_reducing_halts(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "open", lambda path, *_: str(path).endswith(MARK))
    halt = switch.reduce("overfill", "reconciliation")
    assert (halt.state, halt.recorded) == ("HALTED", True)
    assert "halted instead" in halt.problems[0]


def test_a_record_that_failed_is_written_with_the_next(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        refuse(patched, "write", lambda *_: True)
        assert not switch.engage("first", "ada").recorded
    assert switch.status["reason"] == "first"
    assert switch.engage("second", "bob").recorded
    assert [entry["reason"] for entry in read_record(switch.folder)][1:] == ["first", "second"]
    assert KillSwitch(switch.folder).status["engaged_by"] == "ada"


def test_a_token_that_cannot_be_removed_is_emptied(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "unlink", lambda path: str(path).endswith(TOKEN), errno.EACCES)
    halt = switch.engage("x", "ada")
    assert (halt.state, halt.complete) == ("HALTED", True)
    assert (switch.folder / TOKEN).stat().st_size == 0
    assert KillSwitch(switch.folder).state == "HALTED"


def test_a_token_that_can_be_neither_removed_nor_emptied_halts_this_process_and_says_so(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        refuse(patched, "unlink", lambda path: str(path).endswith(TOKEN), errno.EROFS)
        refuse(
            patched,
            "open",
            lambda path, flags, *_: str(path).endswith(TOKEN) and bool(flags & os.O_TRUNC),
            errno.EROFS,
        )
        halt = switch.engage("x", "ada")
    assert (halt.state, halt.complete) == ("HALTED", False)
    assert "cannot be removed" in halt.problems[0]
    assert switch.state == "HALTED"
    assert KillSwitch(switch.folder).state == "ACTIVE"  # another process: this is why it is reported
    with pytest.raises(KillSwitchError):
        switch.check()
    switch.engage("once more", "ada")
    switch.arm("ada", "the disk is writable again")
    assert not switch.status["engaged"]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "unlink", "listdir", "mkdir", "close"])
def test_whatever_single_call_fails_the_kill_returns_and_halts(
    switch: KillSwitch, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Fail the n-th call, n = 1, 2, 3, ..., until the kill passes clean."""
    real = getattr(os, call)
    for n in range(30):
        folder = switch.folder / str(n)
        mine = KillSwitch(folder)
        count = 0

        def failing(*args: Any, n: int = n, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == n + 1:
                if call == "close":
                    real(*args)
                raise OSError(errno.EIO, "input/output error")
            return real(*args, **named)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing)
            halt = mine.engage("x", "ada")
        assert halt.state == "HALTED"
        assert mine.state == "HALTED"
        assert halt.complete
        assert KillSwitch(folder).state == "HALTED"
        if count <= n:
            return
    pytest.fail("it never passed clean")


def test_a_clock_that_fails_halts_all_the_same(tmp_path: Path) -> None:
    def broken() -> datetime:
        raise RuntimeError("no time")

    switch = KillSwitch(tmp_path)
    halt = KillSwitch(tmp_path, clock=broken).engage("x", "ada")
    assert (halt.state, halt.recorded) == ("HALTED", True)
    assert "no time" in halt.problems[0]
    assert switch.status["engaged_at"]


def test_nobody_to_tell_halts_all_the_same(tmp_path: Path) -> None:
    def gone(entry: dict[str, Any]) -> None:
        raise ConnectionError("the database is gone")

    halt = KillSwitch(tmp_path, tell=gone).engage("x", "ada")
    assert (halt.state, halt.complete, halt.recorded) == ("HALTED", True, True)
    assert "the database is gone" in halt.problems[0]


def test_who_is_told_gets_the_record(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    switch = KillSwitch(tmp_path, tell=told.append)
    switch.engage("x", "ada")
    assert told == read_record(tmp_path)
    assert [entry["event"] for entry in told] == ["arm", "kill"]


class Unsayable:
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("reason", [None, 5, b"\xff", "\ud800", "a\nb", Unsayable()])
def test_any_reason_is_good_enough_to_kill(switch: KillSwitch, reason: Any) -> None:
    halt = switch.engage(reason, reason)
    assert (halt.state, halt.complete, halt.recorded) == ("HALTED", True, True)
    assert "\n" not in switch.status["reason"]


HOSTILE = {
    "half a character": "\ud800",
    "a terminal's orders": "\x1b]0;all is well\x07\x1b[2J",
    "a text that runs backwards": "\u202edemra",
    "bytes that no line has": "a\x00b\x85c\u2028d",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_words_that_no_page_takes_are_escaped_wherever_they_are_told(tmp_path: Path, what: str) -> None:
    told: list[dict[str, Any]] = []
    switch = KillSwitch(tmp_path, tell=told.append)
    halt = switch.engage(HOSTILE[what], HOSTILE[what])
    assert (halt.state, halt.complete, halt.recorded, halt.problems) == ("HALTED", True, True, ())
    for entry in (told[-1], read_record(tmp_path)[-1]):
        for word in (entry["by"], entry["reason"]):
            assert word.isprintable()
            assert word.encode()
    assert KillSwitch(tmp_path).status["why"].isprintable()
    with pytest.raises(KillSwitchError) as caught:
        switch.check()
    assert str(caught.value).encode()
    switch.arm(f"ada {HOSTILE[what]}", HOSTILE[what])
    assert switch.state == "ACTIVE"
    assert switch.status["armed_by"].isprintable()
    assert switch.status["arm_reason"].isprintable()


def test_words_that_were_written_unescaped_are_escaped_when_they_are_read(switch: KillSwitch) -> None:
    switch.engage("x", "ada")
    before = {"event": "kill", "by": "\x1b[2J\ud800", "reason": ["\x1b"], "at": {"a": 1}, "mark": [1]}
    arm = {"event": "arm", "by": "bob", "reason": "go", "at": "2026-01-05T12:00:00+00:00", "mark": "m"}
    undone = {"event": "arm_undone", "mark": [1]}
    with (switch.folder / kill_files.RECORD).open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in (undone, arm, before))
    status = KillSwitch(switch.folder).status
    assert status["engaged_by"] == r"\x1b[2J\ud800"
    assert all(status[name].isprintable() for name in ("reason", "engaged_at", "why"))
    assert status["armed_by"] == "bob"


def test_a_name_that_joins_its_letters_stays_as_it_is(switch: KillSwitch) -> None:
    name = "\u0645\u06cc\u200c\u062e"
    switch.engage("زیاد — Größe €", name)
    assert (switch.status["engaged_by"], switch.status["reason"]) == (name, "زیاد — Größe €")


def test_an_error_without_a_text_is_told_by_its_kind(tmp_path: Path) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def fails(entry: dict[str, Any]) -> None:
        raise Mute

    def broken() -> datetime:
        raise Mute

    halt = KillSwitch(tmp_path, tell=fails, clock=broken).engage("x", "ada")
    assert (halt.state, halt.complete, halt.recorded, len(halt.problems)) == ("HALTED", True, True, 2)
    assert all("Mute" in one for one in halt.problems)


def test_words_without_end_halt_and_arm(switch: KillSwitch) -> None:
    halt = switch.engage("x" * 100_000, "y" * 100_000)
    assert (halt.state, halt.recorded) == ("HALTED", True)
    # twelve bytes each, once they are written
    switch.arm("\U0001f40b" * 5000, "\U0001f40b" * 5000)
    assert switch.state == "ACTIVE"
    assert switch.status["arm_reason"].endswith("…")


def test_a_record_nested_without_end_is_skipped(switch: KillSwitch) -> None:
    switch.engage("x", "ada")
    with (switch.folder / kill_files.RECORD).open("ab") as file:
        file.write(b"[" * 100_000 + b"\n")
    assert KillSwitch(switch.folder).status["reason"] == "x"


def test_a_damaged_record_hides_nothing_but_the_reason(switch: KillSwitch) -> None:
    switch.engage("x", "ada")
    (switch.folder / kill_files.RECORD).write_bytes(b"\xff\x00garbage\n[1]\nnull\n")
    again = KillSwitch(switch.folder)
    assert again.state == "HALTED"
    assert again.status["reason"] is None
    again.arm("ada", "go")
    assert not again.status["engaged"]
