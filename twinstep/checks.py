"""What `twinstep doctor` examines. Each check returns findings; none raises or changes anything but caches.

A finding is "ok", a "note" (works, but you may want to know) or a "problem" (something will fail).
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import platformdirs

from simulator.errors import TwinstepError
from twinstep.config import load_settings

__all__ = ["NOTE", "OK", "PROBLEM", "Finding", "examine"]

OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"

REQUIRED: Final = ("numpy", "numba", "pandas", "pyarrow", "exchange_calendars", "typer", "rich", "jinja2")
SAMPLES: Final = ("arch", "bokeh_sampledata")
EXTRAS: Final = {
    "yfinance": ("yahoo", "prices from Yahoo"),
    "plotly": ("report", "charts"),
    "vectorbt": ("vectorbt", "hand-over to vectorbt"),
    "quantstats": ("quantstats", "hand-over to quantstats"),
}
# Before this release two connections that write and checkpoint at once may corrupt a WAL database
# (sqlite.org, "the WAL-reset bug", March 2026).
SQLITE_SAFE: Final = (3, 51, 3)
LOW_DISK_BYTES: Final = 1_000_000_000
SLOW_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    name: str
    state: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def examine(config: Path | None = None, *, start_engine: bool = True) -> list[Finding]:
    """Return all findings; starting the engine may compile it, which takes some seconds once."""
    findings = [*_python(), *_packages(), *_extras(), *_sqlite(), *_configuration(config), *_disk()]
    if start_engine:
        findings += _engine()
    return findings


def _python() -> Iterator[Finding]:
    yield Finding("twinstep", OK, _version("twinstep") or "run from source, not installed")
    yield Finding("python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    for name in (*REQUIRED, *SAMPLES):
        found = _version(name)
        yield Finding(name, OK if found else PROBLEM, found or f"missing: pip install {name}")


def _extras() -> Iterator[Finding]:
    for name, (extra, purpose) in EXTRAS.items():
        found = _version(name)
        detail = (
            f"{found} ({purpose})"
            if found
            else f"not installed; for {purpose}: pip install 'twinstep[{extra}]'"
        )
        yield Finding(name, OK if found else NOTE, detail)


def _sqlite() -> Iterator[Finding]:
    found = sqlite3.sqlite_version
    if tuple(int(part) for part in found.split(".")) >= SQLITE_SAFE:
        yield Finding("sqlite", OK, found)
        return
    safe = ".".join(str(part) for part in SQLITE_SAFE)
    yield Finding(
        "sqlite",
        NOTE,
        f"{found}: before {safe} two processes that write a WAL database at once may corrupt it (the "
        "WAL-reset bug). Let one process write and others read, or use a Python with a newer SQLite.",
    )


def _configuration(config: Path | None) -> Iterator[Finding]:
    """Check the file, and the folder for downloaded bars, which the file may move."""
    folder = Path(platformdirs.user_cache_dir("twinstep"))
    try:
        settings = load_settings(config)
    except TwinstepError as error:
        yield Finding("configuration", PROBLEM, str(error))
    else:
        detail = "defaults, no file" if settings.path is None else f"{settings.path}: good"
        yield Finding("configuration", OK, detail)
        folder = Path(settings.data.cache_dir or folder).expanduser()
    yield _writable("data cache", folder)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / 1e9:,.1f} GB free here"
    yield Finding("disk", OK if free >= LOW_DISK_BYTES else NOTE, detail)


def _engine() -> Iterator[Finding]:
    from simulator.kernel._jit import CACHE_FOLDER, ENGINE_HASH, jit_disabled

    if jit_disabled():
        yield Finding("kernel", NOTE, "compilation is switched off (NUMBA_DISABLE_JIT): right, and very slow")
    if CACHE_FOLDER is None:
        yield Finding("kernel cache", NOTE, "no writable folder: the engine compiles in every process")
        warm = False
    else:
        files = list(CACHE_FOLDER.glob("**/*.nbc"))
        warm = bool(files)
        size = sum(file.stat().st_size for file in files) / 1e6
        state = f"{len(files)} compiled functions, {size:.1f} MB" if warm else "empty"
        yield Finding("kernel cache", OK, f"{CACHE_FOLDER}: {state}")
    began = time.perf_counter()
    try:
        fingerprint = _first_backtest()
    except Exception as error:  # whatever breaks the engine is the finding, and doctor has to go on
        yield Finding("engine", PROBLEM, f"{type(error).__name__}: {' '.join(str(error).split())}")
        return
    seconds = time.perf_counter() - began
    how = "with compiled code from the cache" if warm else "compilation included"
    yield Finding(
        "engine",
        OK if seconds < SLOW_START_SECONDS else NOTE,
        f"first backtest in {seconds:.1f} s, {how}; engine {ENGINE_HASH[:12]}, result {fingerprint[:12]}",
    )


def _first_backtest() -> str:
    import numpy as np

    from simulator import RiskLimits, Signals, backtest
    from simulator.bars import Bars

    day = 86_400_000_000_000
    ts = np.arange(20, dtype=np.int64) * day + 18_262 * day  # from 2020-01-01
    close = 100.0 + np.arange(20.0)
    panel = np.stack([close - 0.5, close + 1.0, close - 1.0, close, np.full(20, 1e6)], axis=1)[:, None, :]
    bars = Bars.from_arrays(("TEST",), ts, panel, calendar="24/7")
    signals = Signals.from_arrays(bars, np.array([5]), np.array([0]), 1, stop=95.0, target=125.0)
    return backtest(bars, signals, risk=RiskLimits()).fingerprint


def _writable(name: str, folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding(name, OK, str(folder))
    except OSError as error:
        return Finding(name, PROBLEM, f"{folder} cannot be written: {error.strerror or error}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
