"""Paper sessions: from a bar's arrival to its decision on the disk, and replays that share transactions.

Fifty symbols, ten open positions, limits on. `push` returns when the bar is durable, so the disk decides most
of its time: what is left without the commit, and an empty durable transaction, are given beside. The replay
stores a few hundred bars per transaction; the parity of what it recorded is checked at the end.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from benchmarks.report import Check, Section
from live import Session, verify_parity
from simulator import Bars, RiskLimits, Signals, load_bars

SYMBOLS = 50
POSITIONS = 10
PUSHES = 1_000
REPLAYED = 11_000
GROUP = 500
WARM = 100
LIMIT_MS = 10.0
"""Most for a durable bar, 99 of 100."""
OWN_MS = 1.0
"""Most of one without the commit, in the middle."""
BARS_PER_SECOND = 2_000.0
"""Least of a replay that shares transactions."""

LIMITS = RiskLimits(
    max_open_positions=POSITIONS, max_portfolio_heat_pct=60.0, max_sector_exposure_pct=100.0,
    max_correlation=1.0, daily_loss_limit=50.0, max_days_in_trade=None, max_gross_exposure_pct=100.0,
    risk_per_trade_pct=1.0,
)  # fmt: skip


def live_section(*, quick: bool) -> Section:
    """Measure pushes one by one, then a replay in groups."""
    section = Section("live", f"paper session: {SYMBOLS} symbols, {POSITIONS} open positions, durable bars")
    pushes, replayed = (200, 4_000) if quick else (PUSHES, REPLAYED)
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
                "without commit p50 ms": float(np.percentile(own, 50)),
                "without commit p99 ms": float(np.percentile(own, 99)),
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
    section.checks += [
        Check("push, p99 ms", section.rows[0]["p99 ms"], LIMIT_MS, at_least=False),
        Check(
            "push without its commit, p50 ms",
            section.rows[0]["without commit p50 ms"],
            OWN_MS,
            at_least=False,
        ),
        Check("replay, bars per second", section.rows[1]["bars per second"], BARS_PER_SECOND),
    ]
    section.notes += [
        f"session {receipt.session}: {receipt.bars:,} bars replayed through the backtest driver, "
        + ("equal in every byte" if receipt.ok else str(receipt.difference))
        for receipt in receipts
    ]
    return section


def _pushed(path: Path, bars: Bars) -> tuple[list[float], list[float], int, list[float]]:
    """Return milliseconds of each push, of it without its commit, positions held, and of empty writes."""
    wall, own, empty = [], [], []
    committing = _Committing()
    with Session(path, like=bars, risk=LIMITS, name="live") as session:
        session.push(bars[:WARM], _entries(bars))
        for row in range(WARM, len(bars)):
            with committing:
                begin = time.perf_counter()
                session.push(bars[row : row + 1])
                wall.append(1e3 * (time.perf_counter() - begin))
            own.append(wall[-1] - 1e3 * committing.seconds)
        for _ in range(100):
            begin = time.perf_counter()
            with session.database.write() as connection:
                connection.execute(text("UPDATE sessions SET created_ts = created_ts + 1"))
            empty.append(1e3 * (time.perf_counter() - begin))
        held = int(session.state.account["n_positions"][0])
    return wall, own, held, empty


class _Committing:
    """Measures the time that commits take, while it is entered."""

    def __enter__(self) -> None:
        self.seconds = 0.0
        self._usual: Any = DefaultDialect.do_commit

        def measured(dialect: Any, connection: Any) -> None:
            begin = time.perf_counter()
            self._usual(dialect, connection)
            self.seconds += time.perf_counter() - begin

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
