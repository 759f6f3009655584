"""(e) Start-up, in fresh processes: the imports, a first backtest cold and warm, `twinstep --help`.

Cold means an empty kernel cache: `TWINSTEP_CACHE_DIR` names an empty folder. Bytecode is compiled beforehand,
as `make` does, and processes run without `PYTHONDONTWRITEBYTECODE`: an import without compiled bytecode takes
seconds, on either side of the comparison.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROOT, median
from benchmarks.report import Check, Section

IMPORTS = "import pandas, numba"
PACKAGES = ("simulator", "strategies", "journal", "optimize", "live", "twinstep", "benchmarks")


def startup_section(*, quick: bool) -> Section:
    """Measure start-up; medians of five, the cold start of three."""
    repeats, cold_repeats = (2, 1) if quick else (5, 3)
    section = Section("startup", "(e) start-up in fresh processes")
    python = sys.executable
    subprocess.run(
        [python, "-m", "compileall", "-q", *(name for name in PACKAGES if (ROOT / name).is_dir())],
        cwd=ROOT, env=_environment(), check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    first = [python, "-m", "benchmarks.worker", "first_backtest"]
    with tempfile.TemporaryDirectory() as folder:
        cold = []
        for index in range(cold_repeats):
            empty = Path(folder) / f"cold{index}"
            empty.mkdir()
            cold.append(_seconds(first, TWINSTEP_CACHE_DIR=str(empty)))
        warm_cache = str(Path(folder) / "cold0")
        imports, warm, help_ = [], [], []
        for _ in range(repeats):
            imports.append(_seconds([python, "-c", IMPORTS]))
            warm.append(_seconds(first, TWINSTEP_CACHE_DIR=warm_cache))
            help_.append(_seconds([python, "-m", "twinstep", "--help"]))
    for name, values in (
        (f'python -c "{IMPORTS}"', imports),
        ("first backtest, empty kernel cache", cold),
        ("first backtest, warm kernel cache", warm),
        ("twinstep --help", help_),
    ):
        section.rows.append({"what": name, "median s": median(values), "runs": len(values)})
    section.checks += [
        Check("cold start, seconds over the imports", median(cold) - median(imports), 20.0, at_least=False),
        Check("warm start, times the imports", median(warm) / median(imports), 2.0, at_least=False),
        Check("twinstep --help, seconds", median(help_), 0.5, at_least=False),
    ]
    section.notes.append(
        "first backtest: sma-cross on sample:stocks under the default risk limits, metrics included"
    )
    return section


def _environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **extra}


def _seconds(command: list[str], **environment: str) -> float:
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(**environment), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return seconds
