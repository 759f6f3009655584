"""docs/faults.md names every fault, docs/broker_traps.md every trap, and the tests that they name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = [*map(str, range(1, 31)), *(f"E{n}" for n in range(1, 9))]

_ROW = re.compile(r"^\| (E?\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_TRAP = re.compile(r"^\| (\d+) \| .+? \| .+? \| (.+?) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_MORE = re.compile(r"`::(test_\w+)`")


def page_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def named_in(cell: str) -> list[str]:
    """Test ids of a cell; `::test_x` is of the file named before it."""
    file, names = "", []
    for word in cell.split(", "):
        whole, more = _TEST.fullmatch(word), _MORE.fullmatch(word)
        if whole:
            file = whole[1]
            names.append(f"{file}::{whole[2]}")
        elif more:
            names.append(f"{file}::{more[1]}")
    return names


def faults_of_the_table() -> dict[str, list[str]]:
    """Test ids by the number of the fault, of both tables."""
    found: dict[str, list[str]] = {}
    for number, _, tests in _ROW.findall(page_of("faults.md")):
        found.setdefault(number, []).extend(named_in(tests))
    return found


def traps_of_the_table() -> dict[str, list[str]]:
    """Test ids by the number of the trap."""
    return {number: named_in(tests) for number, tests in _TRAP.findall(page_of("broker_traps.md"))}


def every_test(files: Iterable[str]) -> set[str]:
    """Ids of all tests of some files, those of classes too, without their parameters."""
    found = set()
    for file in files:
        path = ROOT / file
        if path.is_file():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found.add(f"{file}::{node.name}")
    return found


def missing(named: Iterable[str]) -> list[str]:
    """Return the named tests that there are not."""
    wanted = set(named)
    return sorted(wanted - every_test({name.partition("::")[0] for name in wanted}))


def test_every_fault_has_its_row_and_its_test() -> None:
    table = faults_of_the_table()
    assert list(table) == NUMBERS
    page = page_of("faults.md")
    for number, names in table.items():
        reason = re.search(rf"^\| {number} \| .+? \| (none: .+?) \|$", page, re.MULTILINE)
        assert bool(names) != bool(reason), f"fault {number}: a test, or a reason for none, not both"


def test_every_fault_of_brokers_has_tests_that_all_brokers_share() -> None:
    table = faults_of_the_table()
    for number in range(18, 31):
        shared = [name for name in table[str(number)] if "/brokers/faults_" in name]
        assert shared, f"fault {number}"
        assert all(f"::test_{number}_" in name for name in shared)


def test_every_test_of_the_table_exists() -> None:
    assert missing(name for names in faults_of_the_table().values() for name in names) == []


def test_nothing_in_the_table_is_overlooked() -> None:
    rows = _ROW.findall(page_of("faults.md"))
    written = sum(len(_TEST.findall(row)) + len(_MORE.findall(row)) for _, _, row in rows)
    assert written == sum(map(len, faults_of_the_table().values()))


def test_every_shared_fault_is_in_the_table() -> None:
    shared = {f"tests/live/brokers/faults_{part}.py" for part in ("orders", "parts", "line", "time")}
    named = {name for names in faults_of_the_table().values() for name in names}
    assert sorted(every_test(shared) - named) == []


def test_every_trap_has_its_test_and_those_tests_exist() -> None:
    traps = traps_of_the_table()
    assert list(traps) == [str(number) for number in range(1, len(traps) + 1)]
    assert len(traps) >= 80
    rows = [line for line in page_of("broker_traps.md").splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == len(traps)
    for number, names in traps.items():
        row = rows[int(number) - 1]
        assert names, row
        assert len(names) == len(_TEST.findall(row)) + len(_MORE.findall(row)), row
    assert missing(name for names in traps.values() for name in names) == []
