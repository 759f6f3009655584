"""The submit gate: what passes in which state, and how soon after a kill nothing does."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from live.kill_switch import KillSwitch
from live.submit_gate import GateEntry, Purpose, SubmitGate, may_pass

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "switch")


TABLE = {
    "ACTIVE": {"entry", "exit", "protect", "cancel"},
    "REDUCING": {"exit", "protect", "cancel"},
    "HALTED": {"protect", "cancel"},
}
PURPOSES: tuple[Purpose, ...] = ("entry", "exit", "protect", "cancel")


def put(switch: KillSwitch, state: str) -> None:
    if state == "REDUCING":
        switch.reduce("x", "ada")
    elif state == "HALTED":
        switch.engage("x", "ada")
    assert switch.state == state


@pytest.mark.parametrize(("state", "purpose"), list(itertools.product(TABLE, PURPOSES)))
def test_what_passes_in_which_state(switch: KillSwitch, state: str, purpose: Purpose) -> None:
    put(switch, state)
    gate, sent = SubmitGate(switch), []
    passed = gate.submit("o1", purpose, lambda: sent.append(1) or "answer", shrinks=lambda: True)  # type: ignore[func-returns-value]  # append gives None
    allowed = purpose in TABLE[state]
    assert may_pass(switch.state, purpose) is allowed
    assert passed.entry.allowed is allowed
    assert passed.answer == ("answer" if allowed else None)
    assert len(sent) == allowed
    assert passed.entry.code == ("" if allowed else f"LIVE_{state}")
    assert list(gate.entries) == [passed.entry]


@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
@pytest.mark.parametrize(
    ("shrinks", "code"),
    [
        (lambda: False, "LIVE_NOT_REDUCING"),
        (lambda: None, "LIVE_POSITION_UNKNOWN"),
        (None, "LIVE_NOT_REDUCING"),
    ],
)
def test_outside_active_the_word_of_an_order_is_not_enough(
    switch: KillSwitch, state: str, shrinks: Callable[[], bool | None] | None, code: str
) -> None:
    put(switch, state)
    passed = SubmitGate(switch).submit("o1", "protect", lambda: pytest.fail("sent"), shrinks=shrinks)
    assert (passed.entry.allowed, passed.entry.code) == (False, code)


def test_while_active_nobody_is_asked_what_is_held(switch: KillSwitch) -> None:
    passed = SubmitGate(switch).submit("o1", "exit", lambda: 1, shrinks=lambda: pytest.fail("asked"))
    assert passed.answer == 1


def test_a_kill_while_sending_is_told(switch: KillSwitch) -> None:
    gate = SubmitGate(switch)
    assert gate.submit("o1", "entry", lambda: switch.engage("x", "ada")).overtaken
    assert not gate.submit("o2", "protect", lambda: 1, shrinks=lambda: True).overtaken


def test_a_kill_while_recording_keeps_the_order_back(switch: KillSwitch) -> None:
    seen: list[GateEntry] = []

    def record(entry: GateEntry) -> None:
        seen.append(entry)
        if len(seen) == 1:
            switch.engage("x", "ada")

    passed = SubmitGate(switch, record=record).submit("o1", "entry", lambda: pytest.fail("sent"))
    assert (passed.entry.allowed, passed.entry.code) == (False, "LIVE_HALTED")
    assert [entry.allowed for entry in seen] == [True, False]


@pytest.mark.parametrize(("how", "purpose"), [("reduce", "exit"), ("engage", "protect")])
def test_a_kill_while_recording_asks_anew_what_the_order_does(
    switch: KillSwitch, how: str, purpose: Purpose
) -> None:
    def record(entry: GateEntry) -> None:
        if switch.state == "ACTIVE":
            getattr(switch, how)("x", "ada")

    gate = SubmitGate(switch, record=record)
    passed = gate.submit("o1", purpose, lambda: pytest.fail("sent"), shrinks=lambda: False)
    assert passed.entry.code == "LIVE_NOT_REDUCING"
    assert [entry.allowed for entry in gate.entries] == [True, False]


def test_a_kill_while_it_is_asked_what_is_held_is_seen_too(switch: KillSwitch) -> None:
    def shrinks() -> bool:
        switch.engage("x", "ada")
        return True

    switch.reduce("x", "ada")
    passed = SubmitGate(switch).submit("o1", "exit", lambda: pytest.fail("sent"), shrinks=shrinks)
    assert passed.entry.code == "LIVE_HALTED"


def test_what_cannot_be_recorded_is_not_sent_unless_it_protects(switch: KillSwitch) -> None:
    def full(entry: GateEntry) -> None:
        raise OSError("disk full")

    gate = SubmitGate(switch, record=full)
    for purpose in ("entry", "exit"):
        passed = gate.submit("o1", purpose, lambda: pytest.fail("sent"))
        assert passed.entry.code == "LIVE_NOT_RECORDED"
    assert gate.submit("o2", "protect", lambda: 1).answer == 1
    assert gate.submit("o3", "cancel", lambda: 1).answer == 1


def test_what_sending_raises_goes_through(switch: KillSwitch) -> None:
    def lost() -> int:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError):
        SubmitGate(switch).submit("o1", "entry", lost)


def test_threads_stop_within_a_tenth_of_a_second_of_a_kill(switch: KillSwitch) -> None:
    gate, sent, stop = SubmitGate(switch), [], threading.Event()

    def trade() -> None:
        while not stop.is_set():
            gate.submit("o", "entry", lambda: sent.append(time.perf_counter()))

    threads = [threading.Thread(target=trade) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    killed = time.perf_counter()
    switch.engage("x", "ada")
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(sent) > 100
    assert max(sent) - killed < 0.1
    assert any(entry.code == "LIVE_HALTED" for entry in gate.entries)


SENDER = """
import sys, time
from live.kill_switch import KillSwitch
from live.submit_gate import SubmitGate
gate, last, count = SubmitGate(KillSwitch(sys.argv[1])), 0.0, 0
print("ready", flush=True)
until = time.monotonic() + 10
while time.monotonic() < until:
    passed = gate.submit("o", "entry", time.time)
    if passed.answer is None:
        time.sleep(0.15)
        assert gate.submit("o", "entry", time.time).answer is None
        break
    last, count = passed.answer, count + 1
print(last, count)
"""


def test_other_processes_stop_within_a_tenth_of_a_second_of_a_kill(switch: KillSwitch) -> None:
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, str(switch.folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for sender in senders:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n"
    time.sleep(0.1)
    killed = time.time()
    switch.engage("x", "ada")
    for sender in senders:
        last, count = sender.communicate(timeout=20)[0].split()
        assert int(count) > 10
        assert float(last) - killed < 0.1
