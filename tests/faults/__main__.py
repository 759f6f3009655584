"""`make faults`: everything goes wrong, everywhere, and the figures that are promised are measured.

    python -m tests.faults                    all of it, some minutes
    python -m tests.faults --quick            a look, under a minute
    python -m tests.faults --seed 7           the same random points again

Exit code 1 where an invariant is broken, an acknowledged event is lost, or a figure misses its target.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

from tests.faults.sweep import Fault
from tests.faults.test_table import ROOT, every_test, faults_of_the_table

__all__ = ["main"]

T = TypeVar("T")
Run = Callable[[int], Fault]

HALT_SECONDS: Final = 0.1
SHELL_SECONDS: Final = 0.5
RECOVERY_SECONDS: Final = 5.0


@dataclass
class Totals:
    """What is printed at the end."""

    points: int = 0
    kills: int = 0
    lost: int = 0
    broken: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Run it all and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="random points as in the run that printed it")
    parser.add_argument("--kills", type=int, default=None, help="kill -9 so many times; 500")
    parser.add_argument("--quick", action="store_true", help="every few points, a few kills, a week")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(10**9) if given.seed is None else given.seed
    kills = given.kills if given.kills is not None else 20 if given.quick else 500
    print(f"seed {seed}", flush=True)
    totals = Totals()
    began = time.monotonic()
    _swept(totals, stride=9 if given.quick else 1)
    _killed(totals, kills, seed)
    _timed(totals, seed, times=3 if given.quick else 20)
    _soaked(totals, seed, days=5 if given.quick else 30)
    if not given.quick:
        _tested(totals)
    print(f"\nfault points swept      {totals.points:,}")
    print(f"kills                   {totals.kills:,}")
    print(f"lost events             {totals.lost}")
    print(f"broken invariants       {len(totals.broken)}")
    print(f"took {time.monotonic() - began:.0f} s, seed {seed}")
    for problem in [*totals.broken, *totals.missed]:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if totals.broken or totals.missed or totals.lost else 0


def _swept(totals: Totals, *, stride: int) -> None:
    from tests.faults.broker_story import Kind
    from tests.faults.story import fault_free
    from tests.faults.sweep import BUSY, FULL, IOERR, sweep
    from tests.faults.test_broker_sweep import CALLS, played
    from tests.faults.test_storage_sweep import killed_at, refused_at

    with _scratch() as folder:
        expected = fault_free(folder / "journal.db")

    def refused(error: tuple[int, str]) -> Run:
        return lambda at: refused_at(at, error, expected)

    def killed(*, after: bool) -> Run:
        return lambda at: killed_at(at, expected, after=after)

    def desk(kind: Kind, *, paper: bool = False) -> Run:
        return lambda at: played(at, kind, paper=paper).points

    kinds: tuple[Kind, ...] = (*CALLS, "full", "kill before", "kill after")
    sweeps: list[tuple[str, Run, bool]] = [
        *((f"session, {error[1]}", refused(error), False) for error in (FULL, BUSY, IOERR)),
        ("session, killed before a write", killed(after=False), True),
        ("session, killed after a write", killed(after=True), True),
        *((f"desk, {kind}", desk(kind), kind.startswith("kill")) for kind in kinds),
        *(
            (f"paper broker, {kind}", desk(kind, paper=True), kind.startswith("kill"))
            for kind in ("lost before", "lost after", "kill after")
        ),
    ]
    for name, run, kills in sweeps:
        met = _done(totals, name, partial(sweep, run, stride=stride), 0)
        totals.points += met
        totals.kills += met if kills else 0
        print(f"  {name:32} {met:5,} points", flush=True)


def _killed(totals: Totals, kills: int, seed: int) -> None:
    from tests.faults.kills import Kills, killed_sessions

    with _scratch() as folder:
        found = _done(totals, "kills", lambda: killed_sessions(folder, kills, seed), Kills())
    totals.kills += found.kills
    totals.lost += found.lost
    totals.broken += found.problems
    print(
        f"  kill -9 at random points {found.kills:>13,}: {found.in_mid_run} in mid-run, "
        f"{found.while_opening} while opening, {found.sessions} sessions to their end, "
        f"{found.receipts} receipts",
        flush=True,
    )
    if kills and not found.in_mid_run:
        totals.missed.append("no kill met a session in mid-run")


def _timed(totals: Totals, seed: int, *, times: int) -> None:
    from tests.faults.kills import recovery_times, times_to_halt

    with tempfile.TemporaryDirectory() as name:  # a disk, not memory: that is what a kill has to write to
        folder = Path(name)

        def halt(*, command: bool) -> Callable[[], list[float]]:
            return lambda: times_to_halt(folder, seed, times, command=command)

        def recovery() -> list[float]:
            return recovery_times(folder, seed, max(2, times // 2))

        for words, limit, measure in (
            ("time to halt, switch", HALT_SECONDS, halt(command=False)),
            ("time to halt, twinstep kill", SHELL_SECONDS, halt(command=True)),
            ("recovery after kill -9", RECOVERY_SECONDS, recovery),
        ):
            found: list[float] = _done(totals, words, measure, [])
            if not found:
                continue
            print(
                f"  {words:28} median {1e3 * median(found):6.1f} ms, worst {1e3 * max(found):6.1f} ms "
                f"(limit {1e3 * limit:.0f} ms, {len(found)} times)",
                flush=True,
            )
            if max(found) >= limit:
                totals.missed.append(f"{words}: {max(found):.3f} s, the limit is {limit:g} s")


def _soaked(totals: Totals, seed: int, *, days: int) -> None:
    from tests.faults.soak import Soak, soak

    with _scratch() as folder:
        found = _done(totals, "soak", lambda: soak(folder, seed, days=days), Soak())
    totals.broken += found.problems
    totals.kills += found.faults["kill -9"]
    what = ", ".join(f"{kind} {count}" for kind, count in sorted(found.faults.items()))
    print(f"  soak of {days} days, {found.bars} bars: {what}", flush=True)


def _tested(totals: Totals) -> None:
    """Run the tests that the table names and that nothing above has run."""
    names = [name for names in faults_of_the_table().values() for name in names]
    swept = ("tests/faults/test_storage", "tests/faults/test_broker")
    wanted = sorted({name for name in names if not name.startswith(swept)})
    known = every_test(sorted({name.partition("::")[0] for name in wanted}))
    missing = [name for name in wanted if name not in known]
    totals.broken += [f"the table names {name}, which is no test" for name in missing]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "tests"
        listed.write_text("\n".join(name for name in wanted if name in known), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"@{listed}"],
            cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
    print(f"  tests of the table {len(wanted):>19,}", flush=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        totals.broken += lines or [done.stdout[-2_000:] + done.stderr[-2_000:]]


def _done(totals: Totals, name: str, do: Callable[[], T], otherwise: T) -> T:
    try:
        return do()
    except Exception as error:
        totals.broken.append(f"{name}: {type(error).__name__}: {error}")
        return otherwise


@contextmanager
def _scratch() -> Iterator[Path]:
    from tests.live.sessions import scratch

    with scratch() as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
