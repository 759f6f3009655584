"""The cache of compiled code: cut off, scribbled on, not writable, or of an older source.

A folder of two small sources stands for the kernel: the same compiler, the same healing, a second to compile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

KERNEL = """
from pathlib import Path
from simulator.kernel._jit import Compiler, self_healing
from constants import FACTOR

compiler = Compiler(Path(__file__).parent)

@compiler.entry
def scaled(value):
    return value * FACTOR

print(self_healing(compiler, lambda: scaled(21.0)), compiler.folder)
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "kernel.py").write_text(KERNEL, encoding="utf-8")
    (folder / "constants.py").write_text("FACTOR = 2.0\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which everything is compiled."""
    cache = tmp_path_factory.mktemp("cache")
    assert run(sources, cache)[0] == 42.0
    return cache


def run(sources: Path, cache: Path) -> tuple[float, str]:
    """Run the small kernel in a process of its own; its number, and where its code is kept."""
    environment = os.environ | {"TWINSTEP_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "kernel.py"], cwd=sources, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    value, _, folder = done.stdout.strip().partition(" ")
    return float(value), folder


def compiled(cache: Path) -> list[Path]:
    return sorted(file for file in cache.rglob("*") if file.suffix in (".nbi", ".nbc"))


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_made_anew_with_the_same_numbers(
    sources: Path, whole: Path, tmp_path: Path, damage: str
) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    files = compiled(cache)
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for file in files:
        content = file.read_bytes()
        if damage == "cut":
            file.write_bytes(content[: len(content) // 2])
        elif file.suffix == ".nbc":
            file.unlink()
    assert run(sources, cache)[0] == 42.0
    healed = compiled(cache)
    assert [file.name for file in healed] == [file.name for file in compiled(whole)]
    assert [file.stat().st_size for file in healed] == [file.stat().st_size for file in compiled(whole)]


def test_a_cache_that_cannot_be_written_costs_time_only(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way of the folder")
    assert run(sources, tmp_path / "file") == (42.0, "None")


def test_a_constant_changed_in_another_file_is_never_served_from_the_cache(
    sources: Path, whole: Path, tmp_path: Path
) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    before = {file.parent for file in compiled(cache)}
    changed = shutil.copytree(sources, tmp_path / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    (changed / "constants.py").write_text("FACTOR = 3.0\n", encoding="utf-8")
    value, folder = run(changed, cache)
    assert value == 63.0
    assert Path(folder) not in before
