"""kill -9 at random points of a running session, and how long halting and coming back take.

The figures are those that are promised: no acknowledged bar is lost, however often the process dies; from a
kill no new order reaches a broker after 100 ms; five seconds after a kill -9 a new process has taken the
session up, compared its books with the broker, and stepped a bar.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from live import verify_parity
from live.kill_switch import KillSwitch
from tests.faults.invariants import Evidence, broken
from tests.faults.test_process import forked, session_of
from tests.live.sessions import answer_of

__all__ = ["Kills", "killed_sessions", "recovery_times", "times_to_halt"]

MOST_BARS: Final = 60
START_SECONDS: Final = 0.06
AFTER_SECONDS: Final = 0.006
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass
class Kills:
    """What came of so many kills; `lost` counts acknowledged bars that were not there afterwards."""

    kills: int = 0
    in_mid_run: int = 0
    while_opening: int = 0
    sessions: int = 0
    receipts: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)


def killed_sessions(folder: Path, kills: int, seed: int, *, receipt_every: int = 10) -> Kills:
    """Kill a session so many times, each time somewhere else, and begin a new one whenever one has ended."""
    drawn = random.Random(seed)  # noqa: S311 - of a test
    with session_of(folder / "whole.db") as session:
        session.run(signals=False)
        expected = answer_of(session)
    whole = len(expected["states"])
    done = Kills()
    stored = 0
    path = folder / "0.db"
    for kill in range(kills):
        # one in four while it starts; the others after so many bars, however fast the machine is
        bars = drawn.randint(1, MOST_BARS) if kill % 4 else 0
        told, opened = _killed(path, bars, drawn.uniform(0.0, AFTER_SECONDS if bars else START_SECONDS))
        done.kills += 1
        done.while_opening += not opened
        if not path.exists():
            continue
        with session_of(path) as session:  # as every start does: this is the recovery
            now = session.bars
        done.lost += max(0, max(told, stored) - now)
        done.in_mid_run += 0 < now < whole
        stored = now
        evidence = Evidence(path, expected=expected, acknowledged=told, complete=now == whole)
        done.problems += [f"kill {kill}: {problem}" for problem in broken(evidence)]
        if kill % receipt_every == 0 or now == whole:
            done.receipts += 1
            receipt = verify_parity(path)
            if not receipt.ok:
                done.problems.append(f"kill {kill}: {receipt}")
        if now == whole:
            path.unlink()
            done.sessions += 1
            path, stored = folder / f"{done.sessions}.db", 0
    return done


def times_to_halt(folder: Path, seed: int, times: int, *, command: bool) -> list[float]:
    """Seconds from a kill to the last submit that began, measured at the broker, in another process.

    Parameters
    ----------
    command
        Whether `twinstep kill` kills, counted from its start; else the switch, counted from the call.
    """
    drawn = random.Random(seed)  # noqa: S311 - of a test
    found = []
    for number in range(times):
        place = folder / f"{'command' if command else 'switch'}-{number}"
        place.mkdir()
        reader, writer = os.pipe()
        child = forked(lambda place=place, writer=writer: _submit_for_ever(place, writer))  # type: ignore[misc]
        os.close(writer)
        heard = b""
        while len(heard) < 8 * 5:  # it is submitting
            part = os.read(reader, 8)
            assert part, "the process that submits has ended"
            heard += part
        time.sleep(drawn.uniform(0.05, 0.15))
        began = time.monotonic_ns()
        if command:
            subprocess.run(
                [sys.executable, "-m", "twinstep", "kill", "--folder", str(place / "switch")],
                env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True, cwd=place,
            )  # fmt: skip
        else:
            KillSwitch(place / "switch").engage("a test", "ada")
        time.sleep(0.15)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while part := os.read(reader, 1 << 16):
            heard += part
        os.close(reader)
        stamps = [int.from_bytes(heard[at : at + 8], "little") for at in range(0, len(heard) - 7, 8)]
        found.append(max(0.0, (stamps[-1] - began) / 1e9))
    return found


def recovery_times(folder: Path, seed: int, times: int) -> list[float]:
    """Seconds from a kill -9 until a new process has recovered, reconciled, and stored its first bar."""
    drawn = random.Random(seed)  # noqa: S311 - of a test
    path = folder / "journal.db"
    running = _started(path)
    _heard(running)
    found = []
    for _ in range(times):
        time.sleep(drawn.uniform(0.0, 0.3))
        began = time.monotonic()
        running.kill()
        running.wait()
        assert running.stdout is not None
        running.stdout.close()
        running = _started(path)
        said = _heard(running)
        found.append(time.monotonic() - began)
        assert said["clean"], said
    running.kill()
    running.wait()
    assert running.stdout is not None
    running.stdout.close()
    return found


def _killed(path: Path, bars: int, wait: float) -> tuple[int, bool]:
    """Run a child and kill it some time after it acknowledged so many bars.

    Returns the last bar that it acknowledged, and whether it had opened the session.
    """
    reader, writer = os.pipe()

    def run() -> None:
        os.close(reader)
        with session_of(path) as session:
            os.write(writer, session.bars.to_bytes(4, "little"))
            session.run(tell=lambda it, _: os.write(writer, it.bars.to_bytes(4, "little")), signals=False)
        os.write(writer, b"ended")
        time.sleep(60)

    child = forked(run)
    os.close(writer)
    heard = b""
    while len(heard) < 4 * (bars + 1) * (bars > 0) and not heard.endswith(b"ended"):
        part = os.read(reader, 4)
        assert part, "the child has failed"
        heard += part
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reader, 1 << 16):
        heard += part
    os.close(reader)
    heard = heard.removesuffix(b"ended")
    whole = len(heard) // 4 * 4
    return (int.from_bytes(heard[whole - 4 : whole], "little") if whole else 0), bool(whole)


def _submit_for_ever(folder: Path, writer: int) -> None:
    from live.brokers.interface import Leg, OrderRequest, Submitted
    from tests.faults.broker_story import Desk, PointBroker, Points
    from tests.live.memory_broker import MemoryBroker

    world = MemoryBroker()
    world.move({"AAPL": 100.0})

    class Broker(PointBroker):
        def submit_order(self, request: OrderRequest) -> Submitted:
            os.write(writer, time.monotonic_ns().to_bytes(8, "little"))
            return super().submit_order(request)

    desk = Desk(folder, world, Broker(world, Points(0), []))
    desk.reconciler.start()
    number = 0
    while True:
        number += 1
        side = 1.0 if number % 2 else -1.0
        desk.manager.submit_order(
            OrderRequest(client_order_id=f"halt-{number}", legs=(Leg("AAPL", side),)), price=100.0
        )


_RUN: Final = """
import json, sys
from pathlib import Path
from tests.faults.kills import running_desk
running_desk(Path(sys.argv[1]), lambda said: print(json.dumps(said), flush=True))
"""


def running_desk(path: Path, say: Callable[[dict[str, Any]], None]) -> None:
    """Run a session with a desk beside it, as a process does; `say` is called after each bar."""
    from tests.faults.broker_story import Desk, PointBroker, Points
    from tests.live.memory_broker import MemoryBroker

    world = MemoryBroker()
    world.move({"AAPL": 100.0})
    broker = PointBroker(world, Points(0), [])
    desk = Desk(path.parent, world, broker, path)
    if desk.manager.intents.find("before") is None:
        desk.ordered("before", "AAPL", 100.0)
    world.hold("AAPL", sum(desk.reconciler.ledger("memory").positions().values()))
    report = desk.reconciler.start()
    with session_of(path, speed=20.0) as session:
        session.run(tell=lambda it, _: say({"bars": it.bars, "clean": report.clean}), signals=False)


def _started(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _heard(running: subprocess.Popen[str]) -> dict[str, Any]:
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line, f"the process ended with {running.wait()}"
    found: dict[str, Any] = json.loads(line)
    return found
