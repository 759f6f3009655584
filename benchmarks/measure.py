"""Measuring: medians of alternating runs, and peak memory in a process of its own.

Runs of the engines alternate, so that a slow minute of the machine meets all of them; each is measured right
after runs of the same that are not, at least one and at least a tenth of a second of them, so that none pays
for what another left in the processor's caches and branch predictors.
Memory is the growth of the resident peak from after the warm-up to the end of the run, in a fresh process per
engine.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1024.0 * 1024.0
WARM_SECONDS = 0.1


def alternating(
    runs: Mapping[str, Callable[[], object]], repeats: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Run all functions in turn, `repeats` times; returns seconds by name. `warm`: see the module."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(timed(run, warm=warm))
    return seconds


def timed(run: Callable[[], object], *, warm: bool = False) -> float:
    """Return the seconds that one call takes, garbage of earlier calls collected before."""
    gc.collect()
    begin = time.perf_counter()
    while warm:
        run()
        warm = time.perf_counter() - begin < WARM_SECONDS
    begin = time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - begin
    del kept
    return seconds


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def peak_growth(run: Callable[[], object]) -> int:
    """Return by how many bytes the resident peak exceeds what was resident before `run`."""
    gc.collect()
    reset = _reset_peak()
    before = _status("VmRSS") if reset else _max_rss()
    kept = run()
    after = _status("VmHWM") if reset else _max_rss()
    del kept
    return max(0, after - before)


def resident_peak() -> int:
    """Return the resident peak of this process, in bytes."""
    return _status("VmHWM") if Path("/proc/self/status").exists() else _max_rss()


def _reset_peak() -> bool:
    # Linux: 5 sets the peak back to the present, so that what compiling took does not hide the run
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmHWM") > 0
    except OSError:
        return False


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _max_rss() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_own_process(task: str, **options: Any) -> dict[str, Any]:
    """Run a task of `benchmarks.worker` in a fresh process; returns what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", task, json.dumps(options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"benchmarks.worker {task} {options} failed:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, Python and the versions of the engines."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("numpy", "numba", "pandas", "vectorbt", "vectorbt-rust", "backtrader"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor() or "unknown"
    return platform.processor() or "unknown"
