"""The reference pages of `docs/`: tables complete, links good.

That their generated parts are fresh is tested where they are made: `tests/twinstep/test_docs.py`; that their
snippets and commands run, in `tests/snippets`; and that they become a site, in `tests/test_docs_site.py`.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from journal.learning.text import money
from journal.learning.weekly_text import signed
from simulator import RiskLimits
from simulator.bars.guard import ERROR_RULES
from simulator.conventions import CHOICES
from simulator.results.metrics import format_metric
from simulator.signals import COLUMNS
from simulator.types import CommandKind, Entry, ExitReason, OrderState, PriceRule, Reason
from twinstep.dashboard import words
from twinstep.reference_conventions import EXAMPLES, run_example, story
from twinstep.reference_pictures import drawings

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
SOURCES: Final = ("simulator", "strategies", "twinstep", "journal", "live", "optimize")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def cells(text: str, heading: str) -> list[list[str]]:
    """Rows of the table below a heading, as cells."""
    section = text.split(f"\n{heading}\n", 1)[1]
    section = re.split(r"\n#+ ", section)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def named(rows: list[list[str]], column: int = 0) -> list[str]:
    """Every name in backquotes in a column."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[column])]


# The tests


def test_every_convention_and_value_has_its_picture_and_outcome() -> None:
    text = page("conventions.md")
    assert set(EXAMPLES) == {*CHOICES, "volume_cap"}
    drawn = re.findall(r"!\[([^\]]+)\]\(pictures/(convention_[\w.]+)\)", text)
    assert [file for _, file in drawn] == list(drawings())
    assert all(len(words.split()) > 10 for words, _ in drawn)  # what it shows, for who cannot see it
    for choice, values in CHOICES.items():
        section = text.split(f"### {choice}\n")[1].split("\n### ")[0]
        assert [f"`{value}`" in section for value in values] == [True] * len(values), choice
        outcomes = [story(run_example(choice, value, EXAMPLES[choice][-1])) for value in values]
        assert len(set(outcomes)) >= 2, f"the example of {choice} shows no difference"


def test_the_order_of_operations_is_that_of_the_step() -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / "simulator/kernel/step.py").read_text(encoding="utf-8")))
    assert docstring is not None
    phases = re.findall(r"^ {4}(\d[abc]?)  +\S", docstring, re.MULTILINE)
    rows = cells(page("conventions.md"), "## The order of operations")
    assert [row[0] for row in rows] == phases


def test_every_limit_is_explained_and_every_policy_value_named() -> None:
    rows = cells(page("risk.md"), "## Limits")
    assert named(rows) == [spec.name for spec in dataclasses.fields(RiskLimits)]
    text = page("risk.md").split("\n## Rules\n")[1]
    for spec in dataclasses.fields(RiskLimits):
        assert f"`{spec.name}" in text, spec.name


def test_the_reason_table_is_the_enumeration() -> None:
    rows = cells(page("risk.md"), "## Reasons of verdicts") + cells(page("orders.md"), "## Reasons of events")
    listed = [(int(row[0]), row[1].strip("`")) for row in rows]
    assert listed == [(int(reason), reason.label) for reason in Reason]
    assert all(len(row[2].split()) >= 3 for row in rows)


def test_every_rule_with_numbers_is_worked() -> None:
    worked = {row[2].strip("`") for row in cells(page("risk.md"), "## Worked numbers")}
    assert worked >= {
        "admitted", "risk_per_trade", "heat", "sector", "position_size", "gross_exposure", "net_exposure",
        "buying_power", "min_quantity", "min_strength", "min_score", "min_reward_risk", "max_positions",
        "correlation", "correlation_unknown", "no_stop", "invalid_stop", "invalid_target", "killed",
        "strategy_cap", "symbol_cap", "cooldown", "drawdown_halt", "daily_loss_halt", "net_delta", "gamma",
        "theta", "vega", "same_side_open", "opposite_side_open", "nothing_to_close", "reducing",
    }  # fmt: skip


def test_every_column_of_signals_is_documented() -> None:
    listed = named(cells(page("orders.md"), "## Columns of a signal"))
    assert sorted(listed) == sorted(COLUMNS)


@pytest.mark.parametrize(
    ("heading", "members"),
    [
        ("## Entries", [entry.label for entry in Entry if entry <= Entry.MOC]),
        ("## States", [state.name for state in OrderState]),
        ("## Exit reasons", [reason.label for reason in ExitReason if reason]),
        ("## Price rules", [rule.label for rule in PriceRule]),
        ("## Commands", [kind.label for kind in CommandKind]),
    ],
)
def test_every_word_of_an_order_is_documented(heading: str, members: list[str]) -> None:
    rows = cells(page("orders.md"), heading)
    assert named(rows) == members
    assert all(row[1] for row in rows)


@cache
def codes_in_source() -> dict[str, set[str]]:
    """Error and warning codes that the sources raise, and the calls whose code is built from a name."""
    found: dict[str, set[str]] = {"fixed": set(), "built": set()}
    for package in SOURCES:
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            # parsing takes a while, and only files with such a word can hold a code
            if re.search(r"[\"'][A-Z]+_[A-Z_]+[\"']", text):
                found["fixed"] |= set(_codes(ast.parse(text)))
            found["fixed"] |= set(re.findall(r"error \[(CLI_\w+)\]", text))
    found["fixed"] |= {f"DATA_{rule.upper()}" for rule in ERROR_RULES}
    unchecked = {
        "time",
        "priority",
        "strategy",
        "sector",
        "tag",
    }  # every value is possible, or has codes above
    found["built"] = {f"SIGNAL_{name.upper()}" for name in (COLUMNS - unchecked) | {"trail", "row"}}
    return found


def _codes(tree: ast.AST) -> Iterator[str]:
    # given as code=... or "code": ..., stored in something called code, or returned by such a function
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from _words(node.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code":
                    yield from _words(value)
        elif isinstance(node, ast.Assign) and "code" in ast.unparse(node.targets[0]):
            yield from _words(node.value)
        elif isinstance(node, ast.FunctionDef) and "code" in node.name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _words(inner.value)


def _words(tree: ast.AST) -> Iterator[str]:
    for constant in ast.walk(tree):
        if isinstance(constant, ast.Constant) and re.fullmatch(r"[A-Z]+_[A-Z_]+", str(constant.value)):
            yield str(constant.value)


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    source = codes_in_source()
    text = page("errors.md")
    rows = [
        row for heading in re.findall(r"^## .*$", text, re.MULTILINE) for row in _rows_below(text, heading)
    ]
    listed = named(rows)
    assert len(set(listed)) == len(listed)
    assert sorted((source["fixed"] | source["built"]) - set(listed)) == []
    assert sorted(set(listed) - source["fixed"] - source["built"]) == []
    for row in rows:
        assert len(row) == 3, row
        assert row[1].endswith("."), row
        assert row[2].endswith("."), row


def _rows_below(text: str, heading: str) -> list[list[str]]:
    return cells(text, heading) if "| code |" in text.split(f"\n{heading}\n")[1].split("\n## ")[0] else []


def test_codes_follow_one_pattern() -> None:
    areas = {
        "ALERT", "CLI", "CONFIG", "COST", "DASHBOARD", "DATA", "ENGINE", "EXCHANGE", "FEED", "FETCH",
        "JOURNAL", "LIVE", "NAME", "OPTIMIZE", "PAPER", "SIGNAL", "STRATEGY", "SURFACE", "TUNING", "VENUE",
    }  # fmt: skip
    assert {code.partition("_")[0] for code in codes_in_source()["fixed"]} == areas


def test_figures_are_written_as_the_page_says() -> None:
    table = [line for line in page("figures.md").split("\n## ")[0].splitlines() if line.startswith("|")][2:]
    shown = {cells[1].strip(): [re.findall(r"`([^`]+)`", cell) for cell in cells[2:5]]
             for cells in (line.split("|") for line in table)}  # fmt: skip
    moment = datetime(2026, 11, 22, 8, 38, 41, tzinfo=UTC)

    def plain(text: str) -> list[str]:
        return [text.replace("\N{NO-BREAK SPACE}", " ")]

    assert shown == {
        "percent": [plain(words.percent(45.96)), [format_metric("win_rate", 0.4596)], ["46%"]],
        "money": [[words.money(1484.4)], [format_metric("final_equity", 1484.4)], [money(1484.4)]],
        "profit": [[words.signed(1484.4)], [format_metric("expectancy", 1484.4)], [signed(1484.4)]],
        "loss": [[words.signed(-772.6)], [format_metric("expectancy", -772.6)], [signed(-772.6)]],
        "R": [[words.signed(0.283)], [format_metric("average_r", 0.283)], [f"{0.283:+.2f}R"]],
        "ratio, profit factor": [[words.factor(1.69)], [format_metric("profit_factor", 1.69)], []],
        "price": [[words.price(19.58), words.price(0.0531)], ["19.58"], []],
        "shares, contracts": [[words.quantity(1694)], [format_metric("trades", 1694)], []],
        "time": [[words.stamp(moment)], ["2026-11-22"], ["2026-11-22"]],
        "unknown, undefined": [[words.NONE], [format_metric("sharpe", float("nan"))], []],
    }


def test_the_index_names_every_page_and_every_link_leads_somewhere() -> None:
    index = page("index.md")
    for file in DOCS.glob("*.md"):
        if file.name != "index.md":
            assert f"]({file.name})" in index, file.name
        for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8")):
            assert (DOCS / link).exists(), f"{file.name}: {link}"


def test_the_validation_page_names_commands_that_exist() -> None:
    text = page("validation.md")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    paths = re.findall(r"tests/[\w/]+\.py", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    lines = [row[0] for row in cells(text, "## Acceptance")]
    assert lines == sorted(lines, key=lambda line: (int(re.sub(r"\D", "", line)), line))
