"""The examples in the docstrings run, and importing costs nothing heavy."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULES = (
    "chain", "chain_columns", "chain_guard", "chain_time", "importers", "iv_index", "iv_proxy", "iv_rank",
    "iv_term", "snapshots",
)  # fmt: skip
WITH_EXAMPLES = ("chain", "iv_proxy", "iv_rank")
HEAVY = ("arch", "exchange_calendars", "numba", "pandas", "pyarrow", "scipy")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = import_module(f"simulator.options.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert (result.attempted > 0) == (name in WITH_EXAMPLES)


def test_importing_them_imports_nothing_heavy() -> None:
    lines = "; ".join(f"import simulator.options.{name}" for name in MODULES)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {lines}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
