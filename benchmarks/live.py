"""Paper sessions: from a bar's arrival to its decision on the disk, replays in groups, and memory.

Fifty symbols, ten open positions, limits on. `push` returns when the bar is durable, so the disk decides most
of its time; an empty durable transaction is given beside. Our own part is the processor time of the thread
without that of the commit: what other programs do on the machine is in the wall times and not in it. The
replay stores a few hundred bars per transaction. The long replay makes its bars of two symbols as it goes, in
a process of its own; parity of everything recorded is checked at the end, in stretches.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from benchmarks.measure import ROOT
from benchmarks.report import Check, Section
from live import Session, verify_parity
from simulator import Bars, RiskLimits, Signals, load_bars

SYMBOLS = 50
POSITIONS = 10
PUSHES = 1_000
REPLAYED = 11_000
LONG = 100_000
"""Bars of the long replay; `python -m benchmarks.live 1000000` runs one of another length."""
GROUP = 500
WARM = 100
LIMIT_MS = 10.0
"""Most for a durable bar, 99 of 100."""
OWN_MS = 1.0
"""Most of it that is ours, 99 of 100."""
BARS_PER_SECOND = 2_000.0
"""Least of a replay that shares transactions."""
GROWTH_MB = 20.0
"""Most that memory may grow from a tenth of the long replay to its end."""

LIMITS = RiskLimits(
    max_open_positions=POSITIONS, max_portfolio_heat_pct=60.0, max_sector_exposure_pct=100.0,
    max_correlation=1.0, daily_loss_limit=50.0, max_days_in_trade=None, max_gross_exposure_pct=100.0,
    risk_per_trade_pct=1.0,
)  # fmt: skip
MINUTE_NS = 60_000_000_000


def live_section(*, quick: bool) -> Section:
    """Measure pushes one by one, then a replay in groups, then a long one."""
    section = Section("live", f"paper session: {SYMBOLS} symbols, {POSITIONS} open positions, durable bars")
    pushes, replayed, long = (200, 4_000, 10_000) if quick else (PUSHES, REPLAYED, LONG)
    bars = load_bars(f"synthetic:{SYMBOLS}x{WARM + max(pushes, replayed)}?seed=1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        wall, own, held, empty = _pushed(path, bars[: WARM + pushes])
        section.rows.append(
            {
                "what": "push, one bar per transaction",
                "bars": pushes,
                "positions": held,
                "p50 ms": float(np.percentile(wall, 50)),
                "p99 ms": float(np.percentile(wall, 99)),
                "own p50 ms": float(np.percentile(own, 50)),
                "own p99 ms": float(np.percentile(own, 99)),
                "empty transaction p50 ms": float(np.percentile(empty, 50)),
                "empty transaction p99 ms": float(np.percentile(empty, 99)),
            }
        )
        seconds, used, size = _replayed(path, bars)
        section.rows.append(
            {
                "what": f"replay, {GROUP} bars per transaction",
                "bars": len(bars),
                "bars per second": len(bars) / seconds,
                "of processor time": len(bars) / used,
                "MB": size / 1e6,
            }
        )
        receipts = [verify_parity(path, name) for name in ("live", "replay")]
    long_run = _elsewhere(long)
    section.rows.append({name: long_run[name] for name in ("what", "bars", "bars per second", "MB")})
    grown = long_run["RSS at 100 %"] - long_run["RSS at 10 %"]
    section.checks += [
        Check("push, p99 ms", section.rows[0]["p99 ms"], LIMIT_MS, at_least=False),
        Check("push, our own p99 ms", section.rows[0]["own p99 ms"], OWN_MS, at_least=False),
        Check("replay, bars per second", section.rows[1]["bars per second"], BARS_PER_SECOND),
        Check(f"memory grown over {long:,} bars, MB", grown, GROWTH_MB, at_least=False),
    ]
    section.notes += [
        f"session {receipt.session}: {receipt.bars:,} bars replayed through the backtest driver, "
        + ("equal in every byte" if receipt.ok else str(receipt.difference))
        for receipt in receipts
    ]
    resident = ", ".join(f"{long_run[f'RSS at {share} %']:.0f} at {share} %" for share in (10, 50, 100))
    section.notes += [
        f"resident MB of the replay of minutes: {resident}",
        f"its parity: {long_run['parity']}, {long_run['parity bars per second']:,.0f} bars per second, "
        f"{long_run['parity grew MB']:.0f} MB more",
    ]
    return section


def _pushed(path: Path, bars: Bars) -> tuple[list[float], list[float], int, list[float]]:
    """Return milliseconds of each push, of our own part of it, positions held, and of empty writes."""
    wall, own, empty = [], [], []
    committing = _Committing()
    with Session(path, like=bars, risk=LIMITS, name="live") as session:
        session.push(bars[:WARM], _entries(bars))
        for row in range(WARM, len(bars)):
            bar = bars[row : row + 1]
            with committing:
                begin, used = time.perf_counter(), time.thread_time()
                session.push(bar)
                used = time.thread_time() - used
                wall.append(1e3 * (time.perf_counter() - begin))
            own.append(1e3 * (used - committing.used))
        for _ in range(100):
            begin = time.perf_counter()
            with session.database.write() as connection:
                connection.execute(text("UPDATE sessions SET created_ts = created_ts + 1"))
            empty.append(1e3 * (time.perf_counter() - begin))
        held = int(session.state.account["n_positions"][0])
    return wall, own, held, empty


class _Committing:
    """Measures the processor time that commits take of this thread, while it is entered."""

    def __enter__(self) -> None:
        self.used = 0.0
        self._usual: Any = DefaultDialect.do_commit

        def measured(dialect: Any, connection: Any) -> None:
            begin = time.thread_time()
            self._usual(dialect, connection)
            self.used += time.thread_time() - begin

        DefaultDialect.do_commit = measured  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        DefaultDialect.do_commit = self._usual  # type: ignore[method-assign]


def _replayed(path: Path, bars: Bars) -> tuple[float, float, int]:
    with Session(path, like=bars, risk=LIMITS, name="replay", group=GROUP) as session:
        begin, used = time.perf_counter(), time.process_time()
        session.push(bars, _entries(bars))
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
    return seconds, processor, path.stat().st_size


def _entries(bars: Bars) -> Signals:
    # held for good: a stop far below
    columns = np.arange(POSITIONS)
    return Signals.from_arrays(bars, np.full(POSITIONS, WARM - 10), columns, 1, qty=10.0, stop_percent=90.0)


# A long replay


def _elsewhere(count: int) -> dict[str, Any]:
    # what the sections before have used must not hide what this one uses
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live", str(count)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def lasting(count: int) -> dict[str, Any]:
    """Play so many bars of two symbols, made as they are needed; resident megabytes, and parity."""
    random, last = np.random.default_rng(1), np.array([100.0, 50.0])
    part, marks = max(1, count // 50), {}
    limits = RiskLimits(max_correlation=None, max_open_positions=2, min_risk_reward_ratio=0.5)
    with tempfile.TemporaryDirectory() as folder:
        path, first = Path(folder) / "journal.db", _minutes(0, 2, random, last)[0]
        pushing = 0.0
        with Session(path, like=first, group=GROUP, risk=limits, name="long") as session:
            for done in range(0, count, part):
                bars, last = _minutes(done, min(part, count - done), random, last)
                rows = np.arange(7, len(bars), 200)
                signals = Signals.from_arrays(
                    bars, rows, rows // 200 % 2, 1, stop_percent=0.5, target_percent=0.5
                )
                begin = time.perf_counter()
                session.push(bars, signals)
                pushing += time.perf_counter() - begin
                marks[done + len(bars)] = _resident_mb()
            trades = int(session.state.metrics["trades"][0])
        size, before = path.stat().st_size, _resident_mb()
        begin = time.perf_counter()
        receipt = verify_parity(path, "long")
        checking = time.perf_counter() - begin
    at = [min(marks, key=lambda bars: abs(bars - share * count)) for share in (0.1, 0.5, 1.0)]
    return {
        "what": f"replay of minutes, 2 symbols, {trades:,} trades",
        "bars": count,
        "bars per second": count / pushing,
        "MB": size / 1e6,
        **{f"RSS at {share} %": marks[bars] for share, bars in zip((10, 50, 100), at, strict=True)},
        "parity": "equal in every byte" if receipt.ok else str(receipt.difference),
        "parity bars per second": count / checking,
        "parity grew MB": _resident_mb() - before,
    }


def _minutes(
    first: int, count: int, random: np.random.Generator, last: Any
) -> tuple[Bars, np.ndarray[Any, np.dtype[np.float64]]]:
    close = last * np.exp(np.cumsum(0.0005 * random.standard_normal((count, 2)), axis=0))
    start = np.vstack([last, close[:-1]])
    high, low = 1.0003 * np.maximum(start, close), 0.9997 * np.minimum(start, close)
    panel = np.stack([start, high, low, close, np.full((count, 2), 1e5)], axis=2)
    ts = (19_000 * 1_440 + first + np.arange(count)) * MINUTE_NS
    bars = Bars.from_arrays(["A", "B"], ts, panel, calendar="24/7", daily=False, name="minutes")
    return bars, close[-1]


def _resident_mb() -> float:
    """Resident memory now; of a system that does not say, the peak so far."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024.0
    from benchmarks.measure import resident_peak

    return resident_peak() / (1024.0 * 1024.0)


if __name__ == "__main__":
    print(json.dumps(lasting(int(sys.argv[1]) if len(sys.argv) > 1 else LONG)))
