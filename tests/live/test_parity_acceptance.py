"""At least thirty sessions of every kind, killed and opened anew at random bars: not a byte differs.

Stocks, options, and both; decisions by hand, half by hand and by strategies alone. Children are killed (-9)
before a transaction, in the middle of one and after one, and the next child goes on; the receipt of what is
left must be clean, and equal to that of a session that nobody disturbed. A kernel that was changed, in a copy
of its folder and without compiling, is found.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import Session, verify_parity
from live.sessions.core import Core
from simulator import Bars, Costs, Signals, load_bars
from strategies.registry import strategy_class
from tests.live.sessions import answer_of, backtest_of, few, opened, push_all, scratch
from tests.live.test_session_parity import first_difference
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.test_package_drivers import with_packages

ROOT = Path(__file__).parents[2]
KINDS = ("stocks", "options", "mixed")
MODES = ("manual", "semi_auto", "full_auto")
GROUPS = (1, 1, 7)


def only(signals: Signals, mine: Any) -> Signals:
    return Signals(
        signals.records[mine], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip


def of_kind(c: Configuration, kind: str, seed: int) -> Configuration:
    if kind == "stocks":
        return c
    if c.bars.detail is not None:
        c = dataclasses.replace(c, bars=c.bars.replaced(detail=None, detail_start=None))
    c = with_packages(c, seed, 25 if kind == "options" else 12)
    if kind == "options":
        c = dataclasses.replace(c, signals=only(c.signals, c.signals.records["package"] > 0))
    return c


def decided(c: Configuration, mode: str, random: np.random.Generator) -> tuple[Configuration, Any]:
    """Who decides: a person on everything, a person on what strategies propose, or strategies alone."""
    if mode == "manual":
        return c, ()
    if mode == "semi_auto":
        return dataclasses.replace(c, signals=only(c.signals, random.random(len(c.signals)) < 0.6)), ()
    return c, [c.signals]


def child(play: Callable[[], None], *, spare: bool) -> bool:
    """Run in a process of its own; returns whether it was killed."""
    pid = os.fork()
    if not pid:
        try:
            play()
            os._exit(0)
        except BaseException:
            # a child never comes back into the test
            os._exit(3)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(status) == 0
    assert not (spare and killed)
    return killed


def until_killed(path: Path, c: Configuration, asked: Any, group: int, row: int, where: int) -> bool:
    """Go on where the session is, and die at a row: before its transaction, inside it, or after it."""

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def play() -> None:
        session = opened(path, c, group=group, strategies=asked)
        if where == 1:
            usual = Core.packed  # asked for when inputs and steps are written and the snapshot is not
            setattr(Core, "packed", lambda core: usual(core) if core.bars <= row else die())  # noqa: B010
        for first in range(session.bars, len(c.bars), group):
            last = min(first + group, len(c.bars))
            if where == 0 and last > row:
                die()
            push_all(session, _given(c, asked), [first, last])
            if where == 2 and last > row:
                die()

    return child(play, spare=row >= len(c.bars))


def _given(c: Configuration, asked: Sequence[Any]) -> Configuration:
    # what strategies know nobody hands over
    return dataclasses.replace(c, signals=only(c.signals, slice(0, 0))) if asked else c


def survives(c: Configuration, kind: str, mode: str, seed: int) -> int:
    """Play a session that is killed and opened anew; returns the kills."""
    random = np.random.default_rng(seed)
    c = of_kind(c, kind, seed)
    c, asked = decided(c, mode, random)
    group = int(random.choice(GROUPS))
    rows = sorted(random.integers(0, len(c.bars), 2).tolist())
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        opened(path, c, group=group, strategies=asked).close()
        kills = 0
        for row in [*rows, len(c.bars)]:
            kills += until_killed(path, c, asked, group, row, int(random.integers(3)))
            receipt = verify_parity(path)
            assert receipt.ok, str(receipt)
        assert receipt.bars == len(c.bars)
        with opened(path, c, group=group, strategies=asked) as session:
            found = answer_of(session)
        assert first_difference(backtest_of(c), found) == ""
    return kills


@few(1)
@given(st.lists(configurations(most_bars=40), min_size=9, max_size=9), st.integers(0, 2**31))
def test_nine_sessions(cs: list[Configuration], seed: int) -> None:
    kills = sum(survives(c, KINDS[index % 3], MODES[index // 3], seed + index) for index, c in enumerate(cs))
    assert kills > 5


@pytest.mark.slow
def test_thirty_six_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"sessions": 0, "kills": 0, "bars": 0}

    @few(36)
    @given(configurations(), st.integers(0, 2**31))
    def play(c: Configuration, seed: int) -> None:
        number = counted["sessions"]
        # every second one in stretches of a few bars, as a session of years is read
        monkeypatch.setattr("live.comparing.replay._ROWS", (4_096, 13)[number // 9 % 2])
        counted["kills"] += survives(c, KINDS[number % 3], MODES[number // 3 % 3], seed)
        counted["sessions"] += 1
        counted["bars"] += len(c.bars)

    play()
    print(counted)
    assert counted["sessions"] >= 30
    assert counted["kills"] >= 40


def test_memory_does_not_grow_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.comparing.replay._ROWS", 100)
    many, peaks = load_bars("synthetic:3x1600?seed=2"), []
    for count in (400, 1_600):
        with Session(tmp_path / "long.db", like=many, name=str(count), group=100) as session:
            session.push(many[:count])
        verify_parity(tmp_path / "long.db", str(count))
        tracemalloc.start()
        try:
            assert verify_parity(tmp_path / "long.db", str(count)).bars == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


# A kernel that was changed


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:3x90?seed=11")


@pytest.fixture(scope="module")
def recorded(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "journal.db"
    trailing = Signals.from_arrays(
        bars, [15, 30, 40, 55], [0, 1, 2, 0], [1, -1, 1, 1], stop_percent=4.0, trail_percent=2.0, qty=20.0
    )
    strategies = [strategy_class("donchian-breakout")(), trailing]
    with Session(
        path,
        like=bars,
        strategies=strategies,
        costs=Costs(commission_per_share=0.005, commission_min=1.0),
        group=30,
    ) as session:
        session.push(bars)
    assert verify_parity(path).ok
    return path


def elsewhere(folder: Path, journal: Path, *changes: tuple[str, str, str]) -> dict[str, Any]:
    """The receipt of a copy of the simulator in plain Python, with some of its lines changed."""
    shutil.copytree(
        ROOT / "simulator", folder / "simulator", ignore=shutil.ignore_patterns("__pycache__"), symlinks=False
    )
    for file, old, new in changes:
        source = folder / "simulator" / "kernel" / file
        text = source.read_text()
        assert text.count(old) == 1, f"{file} no longer says {old!r}"
        source.write_text(text.replace(old, new))
    code = (
        "import json, sys\nfrom live import verify_parity\nimport simulator\n"
        f"assert simulator.__file__.startswith({str(folder)!r})\n"
        "print(json.dumps(verify_parity(sys.argv[1]).plain()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(journal)],
        capture_output=True, text=True, check=False, timeout=300, cwd=folder,
        env=os.environ | {
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "NUMBA_DISABLE_JIT": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_same_kernel_in_plain_python_answers_with_the_same_bytes(recorded: Path, tmp_path: Path) -> None:
    receipt = elsewhere(tmp_path, recorded)
    assert receipt["ok"], receipt
    here = verify_parity(recorded)
    assert (receipt["result"], receipt["rows"], receipt["engine"]) == (here.result, here.rows, here.engine)


MUTATIONS = {
    "a fee": (
        "money.py",
        'fee = params["commission_min"]\n    if',
        'fee = 2.0 * params["commission_min"]\n    if',
    ),
    "a trail": (
        "stops.py",
        'return peak - abs(peak) * position["trail_distance"]',
        'return peak - 0.9 * abs(peak) * position["trail_distance"]',
    ),
    "a phase": ("step.py", 'account["row"] += bars', 'account["row"] += 2 * bars'),
}
EXPECTED = {"a fee": ("fills", "fee"), "a trail": ("fills", ""), "a phase": ("state", "")}


@pytest.mark.parametrize("what", [*MUTATIONS])
def test_a_mutated_kernel_is_found(recorded: Path, tmp_path: Path, what: str) -> None:
    receipt = elsewhere(tmp_path, recorded, MUTATIONS[what])
    found = receipt["difference"]
    assert not receipt["ok"]
    assert (found["log"], found["field"]) == EXPECTED[what]
    assert found["recorded"] != found["replayed"]
    assert receipt["bars"] == found["bar"]  # nothing differs before the bar that is named
    assert any("replayed by" in note for note in receipt["notes"])
