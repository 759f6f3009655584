"""Tables of `docs/` that are written by hand list what the code has: settings, events, causes, codes, names.

What is generated is fresh by a test of its own (`tests/twinstep/test_docs.py`), and the tables of orders,
signals, limits and errors are compared in `tests/test_docs_reference.py`. These are the others: a name that
is added, dropped or spelt otherwise in the code, or on the page, is found here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from journal.performance.mistakes import MistakeCategory
from journal.schema import metadata
from journal.tax.matching import METHODS
from live.alerts import KINDS
from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from live.brokers.interface import Outcome
from live.brokers.opening import ADAPTERS
from live.comparing.causes import CAUSES
from live.comparing.replay import _WHAT
from live.feeds.holds import HoldCode
from live.reconciling.differences import LASTING, Cause
from optimize.forward.windows import Mode
from optimize.objectives import OBJECTIVES
from optimize.portfolio.fitting import Method
from optimize.quality_model.judging import Answer
from optimize.studies.samplers import PRUNERS, SAMPLERS
from simulator import RiskLimits
from simulator.approval import DECISIONS
from simulator.conventions import CHOICES
from simulator.costs import Costs
from simulator.options.packages import _RULES
from simulator.options.surface import SURFACES, Surface
from simulator.signals import COLUMNS
from simulator.types import ExitReason, HaltState
from strategies import PositionSizer
from strategies.registry import PREMIUM, strategy_class
from strategies.scanner_settings import FILTERS
from tests.snippets.blocks import inline

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
PACKAGES: Final = ("simulator", "strategies", "journal", "optimize", "live", "twinstep")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(name: str, *head: str) -> list[list[str]]:
    """Return the cells of the tables of a page whose first columns have these heads, as they are written."""
    found: list[list[str]] = []
    inside = False
    for line in page(name).splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        one = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if inside and not set(line) <= set("|-: "):
            found.append(one)
        inside = inside or tuple(one[: len(head)]) == head
    assert found, f"{name} has no table {head}"
    return found


def quoted(cells: Iterable[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def names(name: str, *head: str) -> list[str]:
    """Return what the first column of a table has in backquotes."""
    return quoted(row[0] for row in rows(name, *head))


def strings(file: str) -> set[str]:
    """Return the texts that a module has in quotes."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


TABLES: Final[dict[str, tuple[Callable[[], list[str]], Iterable[str]]]] = {
    "kinds of alerts": (lambda: names("alerts.md", "kind"), set(KINDS) - {"test"}),
    "causes of differences": (lambda: names("reconcile.md", "cause", "what"), get_args(Cause)),
    "holds of feeds": (lambda: names("feeds.md", "code"), get_args(HoldCode)),
    "what a receipt compares": (lambda: names("paper.md", "difference"), _WHAT),
    "causes against other bars": (lambda: [row[0] for row in rows("paper.md", "cause")], CAUSES),
    "outcomes of orders": (lambda: names("brokers.md", "outcome"), [one.name for one in Outcome]),
    "modes of a manager": (lambda: names("brokers.md", "mode"), [one.name for one in ExecutionMode]),
    "modes of an automation": (lambda: names("automation.md", "mode"), [one.name for one in AutomationMode]),
    "execution": (lambda: names("automation.md", "execution"), [one.name for one in ExecutionMode]),
    "states of an account": (lambda: names("risk.md", "state", "entries", "adds"), HaltState.__members__),
    "states of the switch": (lambda: names("kill_switch.md", "state"), HaltState.__members__),
    "states at the gate": (lambda: names("brokers.md", "state"), HaltState.__members__),
    "decisions of a person": (lambda: names("human_in_the_loop.md", "decision"), DECISIONS),
    "modes of walk-forward": (lambda: names("walk_forward.md", "mode"), get_args(Mode)),
    "methods of weights": (lambda: names("weights.md", "method"), get_args(Method)),
    "answers of quality": (lambda: names("quality.md", "`answer`"), get_args(Answer)),
    "objectives": (lambda: names("optimize.md", "name", "definition"), OBJECTIVES),
    "samplers": (lambda: names("optimize.md", "sampler"), SAMPLERS),
    "methods of tax lots": (lambda: names("tax_lots.md", "`method`"), METHODS),
    "premium strategies": (lambda: names("premium.md", "name"), PREMIUM),
    "parameters of surfaces": (
        lambda: names("surface.md", "parameter"),
        {field.name for field in dataclasses.fields(Surface)} - {"name"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLES)
def test_a_table_has_the_names_of_the_code(what: str) -> None:
    listed, known = TABLES[what]
    assert sorted(listed()) == sorted(known)


def test_every_mistake_is_listed() -> None:
    others = page("performance.md").split("\nOthers are")[1].split("\n\n")[0]
    listed = [*names("performance.md", "Category"), *quoted([others])]
    assert sorted(listed) == sorted(MistakeCategory)


def test_what_only_a_person_ends_has_a_star() -> None:
    starred = quoted(row[0] for row in rows("reconcile.md", "cause", "what") if row[0].endswith("*"))
    assert set(starred) == LASTING


def test_insights_are_those_of_the_rules() -> None:
    tree = ast.parse((ROOT / "journal/performance/insights.py").read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding"
    ]
    said = {
        inner.value
        for call in calls
        for inner in ast.walk(call.args[0])
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }
    listed = set(names("performance.md", "Code"))
    assert said - listed == set()
    assert listed <= strings("journal/performance/insights.py")


def test_every_pruner_is_named() -> None:
    assert set(PRUNERS) <= set(re.findall(r"\w+", " ".join(inline(DOCS / "optimize.md"))))


def test_settings_of_an_automation_have_their_defaults() -> None:
    told: dict[str, str] = {}
    for row in rows("automation.md", "setting"):
        listed, values = quoted([row[0]]), row[1].replace("`", "").split(", ")
        told |= dict(zip(listed, values * len(listed) if len(values) == 1 else values, strict=False))
    expected = {}
    for field in dataclasses.fields(AutomationConfig):
        value = field.default
        shown = value.name if isinstance(value, Enum) else "none" if value is None else str(value)
        expected[field.name] = shown
    assert told == {name: expected[name] for name in told}
    section = page("automation.md").split("\n## Settings\n")[1].split("\n## ")[0]
    assert set(expected) <= set(quoted([section]))


def test_settings_of_the_sizer_have_their_defaults() -> None:
    told = {quoted([row[0]])[0]: row[1] for row in rows("scanner.md", "limit", "default", "rule")}
    parameters = inspect.signature(PositionSizer).parameters
    assert set(told) == set(parameters) - {"account_size", "limits"}
    sizer, limits = PositionSizer(46_000), RiskLimits()
    assert told["risk_per_trade_pct"] == str(limits.risk_per_trade_pct)
    assert told["max_portfolio_heat_pct"] == str(limits.max_portfolio_heat_pct)
    assert told["max_position_pct"] == str(limits.max_sector_exposure_pct)
    assert told["max_buying_power_pct"] == str(sizer.max_buying_power_pct)
    assert told["max_contracts"] == str(sizer.max_contracts)


def test_parameters_of_premium_strategies_have_their_defaults() -> None:
    known: dict[str, set[str]] = {}
    for name in PREMIUM:
        for one in strategy_class(name).describe():
            known.setdefault(one["name"], set()).add(_number(one["default"]))
    for row in rows("premium.md", "parameter"):
        listed, values = quoted([row[0]]), row[1].replace("`", "").split(", ")
        assert set(listed) <= set(known), row
        for name, value in zip(listed, values * len(listed) if len(values) == 1 else values, strict=True):
            assert value == "above" or value in known[name], (name, value, known[name])


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        f"{value:.2f}"
        if isinstance(value, float) and value != int(value)
        else (str(int(value)) if isinstance(value, float) else str(value))
    )


def test_parameters_of_surfaces_have_their_values() -> None:
    presets = ("index", "single-name", "flat")
    for row in rows("surface.md", "parameter"):
        listed = quoted([row[0]])
        for preset, cell in zip(presets, row[2:5], strict=True):
            if cell == "same":
                cell = row[2]
            for name, told in zip(listed, cell.split(", "), strict=True):
                value = getattr(SURFACES[preset], name)
                shown = told.strip("()").replace("−", "-")
                over, _, under = shown.partition("/")
                if isinstance(value, str):
                    assert shown == value, row
                else:
                    assert float(over) / float(under or 1) == pytest.approx(value), (preset, name)


def test_rules_and_exits_of_packages_are_named() -> None:
    assert set(_RULES) <= set(re.findall(r"\w+", " ".join(inline(DOCS / "packages.md"))))
    reasons = quoted(row[1] for row in rows("packages.md", "rule", "exit reason"))
    assert set(reasons) - {"roll"} <= {reason.label for reason in ExitReason}


def test_every_table_of_the_journal_is_named() -> None:
    files = ("journal.md", "paper.md", "reconcile.md", "counterfactuals.md")
    listed = {name for file in files for name in inline(DOCS / file)}
    kept_for_itself = {"commands", "schema_history"}
    assert set(metadata.tables) - kept_for_itself <= listed
    for name, head in (("journal.md", "table"), ("paper.md", "table"), ("reconcile.md", "table")):
        assert set(names(name, head)) <= set(metadata.tables)


def test_events_of_orders_are_those_that_are_written() -> None:
    (row,) = [row for row in rows("reconcile.md", "table") if row[0] == "`events`"]
    listed = set(quoted([row[1]]))
    sources = [
        file.read_text(encoding="utf-8")
        for file in (ROOT / "live").rglob("*.py")
        if file.parts[-2] not in ("feeds", "exchange", "alerting")
    ]
    noted = {name for text in sources for name in re.findall(r"\.note\(\s*\"([a-z_]+)\"", text)}
    assert noted <= listed
    assert {name for name in listed if not any(f'"{name}"' in text for text in sources)} == set()


def test_events_of_the_switch_are_those_that_are_written() -> None:
    (row,) = [row for row in rows("kill_switch.md", "file") if row[0] == "`switch.jsonl`"]
    source = (ROOT / "live" / "kill_switch.py").read_text(encoding="utf-8")
    assert set(quoted([row[1]])) == set(re.findall(r"self\._(?:note|entry)\(\"([a-z_]+)\"", source))


def test_names_of_what_was_refused_are_those_of_the_ledger() -> None:
    words = strings("journal/counterfactual/decisions.py")
    for name in names("counterfactuals.md", "name"):
        kind, _, what = name.partition(" ")
        known = set(FILTERS) if kind == "scanner" else {*words, *(f"{kind} {word}" for word in words)}
        assert {name, what} & known, name


def test_credentials_are_those_that_are_asked_for() -> None:
    told = {
        row[0].lower().replace(" ", "_"): set(quoted([row[1]])) for row in rows("live.md", "broker", "names")
    }
    assert told == {name: {*one.needed, *one.optional} for name, one in ADAPTERS.items()}


def test_every_path_of_the_exchange_is_listed() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "live" / "exchange").glob("*.py"))
    served = set(re.findall(r'Route\("([^"]+)"', source))
    told = " ".join(row[0] for row in rows("exchange.md", "path"))
    for path in served:  # `/v2/positions/{symbol}` is told as "/v2/positions/{symbol or asset id}"
        assert re.sub(r"\{\w+\}$", "", path.removesuffix("/exercise")).rstrip("/") in told, path
    for path in re.findall(r"(/(?:v2|twinstep|stream)[\w/:]*)", told):
        assert any(one.startswith(path.rstrip("/")) for one in served), path


def test_every_class_of_errors_is_listed_with_its_standard_one() -> None:
    known: dict[str, str] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if "brokers" not in file.parts[:-2]:  # what an adapter raises is its own, and a ConnectionError
                text = file.read_text(encoding="utf-8")
                known |= dict(re.findall(r"^class (\w+)\(TwinstepError, (\w+)\)", text, re.MULTILINE))
    listed = {quoted([row[0]])[0]: quoted([row[1]])[0] for row in rows("errors.md", "class")}
    assert listed == known


@pytest.mark.parametrize("peer", ["backtrader", "vectorbt", "backtesting_py", "freqtrade"])
def test_what_became_of_a_setting_exists(peer: str) -> None:
    known = (
        COLUMNS
        | set(CHOICES)
        | {field.name for field in dataclasses.fields(Costs)}
        | {"costs", "risk", "conventions"}
    )
    right = [row[1] for row in rows(f"migrating_{peer}.md", peer.replace("_", "."), "here")]
    given = re.findall(r"\b([a-z]\w+)=", " ".join(quoted(right)))
    assert given
    assert set(given) <= known
