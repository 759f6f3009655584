"""docs/faults.md names every fault and the tests that meet it, and those tests exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = [*map(str, range(1, 31)), *(f"E{n}" for n in range(1, 9))]

_ROW = re.compile(r"^\| (E?\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_MORE = re.compile(r"`::(test_\w+)`")


def faults_of_the_table() -> dict[str, list[str]]:
    """Test ids by the number of the fault; `::test_x` is of the file named before it."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for number, _, tests in _ROW.findall(page):
        file = ""
        names = found.setdefault(number, [])
        for word in tests.split(", "):
            whole, more = _TEST.fullmatch(word), _MORE.fullmatch(word)
            if whole:
                file = whole[1]
                names.append(f"{file}::{whole[2]}")
            elif more:
                names.append(f"{file}::{more[1]}")
    return found


def every_test(files: Iterable[str]) -> set[str]:
    """Ids of all test functions of some files, without their parameters."""
    found = set()
    for file in files:
        path = ROOT / file
        if path.is_file():
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found.add(f"{file}::{node.name}")
    return found


def test_every_fault_has_its_row_and_its_test() -> None:
    table = faults_of_the_table()
    assert list(table) == NUMBERS
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    for number, names in table.items():
        reason = re.search(rf"^\| {number} \| .+? \| (none: .+?) \|$", page, re.MULTILINE)
        assert bool(names) != bool(reason), f"fault {number}: a test, or a reason for none, not both"


def test_every_test_of_the_table_exists() -> None:
    named = {name for names in faults_of_the_table().values() for name in names}
    known = every_test({name.partition("::")[0] for name in named})
    assert sorted(named - known) == []


def test_nothing_in_the_table_is_overlooked() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    written = sum(len(_TEST.findall(row)) + len(_MORE.findall(row)) for _, _, row in _ROW.findall(page))
    assert written == sum(map(len, faults_of_the_table().values()))
