"""The documentation names every command, option and key, and its generated tables are fresh."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer.main

from strategies import STRATEGIES, strategy_class
from twinstep.cli import app
from twinstep.reference import PAGES, refreshed
from twinstep.reference_conventions import EXAMPLES
from twinstep.reference_pictures import drawings
from twinstep.schema import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("simulator", "strategies", "twinstep")


pictures = cache(drawings)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def commands(command: Any, path: str = "twinstep") -> dict[str, Any]:
    children = getattr(command, "commands", None)
    if children is None:
        return {path: command}
    shown = {name: child for name, child in children.items() if not child.hidden}  # hidden: a former name
    return {k: v for name, child in shown.items() for k, v in commands(child, f"{path} {name}").items()}


@pytest.mark.parametrize("name", list(PAGES))
def test_generated_tables_are_fresh(name: str) -> None:
    assert page(name) == refreshed(page(name), PAGES[name]), "stale: run `make docs`"


@pytest.mark.parametrize("file", [f"convention_{name}.svg" for name in EXAMPLES])
def test_pictures_are_fresh(file: str) -> None:
    stored = (ROOT / "docs" / "pictures" / file).read_text(encoding="utf-8")
    assert stored == pictures()[file], "stale: run `make docs`"
    shown = ElementTree.fromstring(stored)  # noqa: S314 - our own drawing
    assert shown.find("{http://www.w3.org/2000/svg}title") is not None


def test_every_marker_in_the_docs_has_its_generator() -> None:
    found = {
        file.name: re.findall(r"^<!-- generated: (.+) -->$", file.read_text(encoding="utf-8"), re.MULTILINE)
        for file in (ROOT / "docs").glob("*.md")
    }
    assert {name: marks for name, marks in found.items() if marks} == {
        name: list(blocks) for name, blocks in PAGES.items()
    }


def test_a_stale_part_is_made_anew_and_a_missing_marker_is_an_error() -> None:
    text = "before\n<!-- generated: a -->\nold\n<!-- end -->\nafter\n"
    fresh = refreshed(text, {"a": lambda: "new"})
    assert fresh == "before\n<!-- generated: a -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert refreshed(fresh, {"a": lambda: "new"}) == fresh
    for broken in (text.replace("generated: a", "generated: b"), text.replace("<!-- end -->", "")):
        with pytest.raises(LookupError, match="generated: a"):
            refreshed(broken, {"a": lambda: "new"})


def test_every_command_and_option_is_documented() -> None:
    text = page("cli.md")
    found = commands(typer.main.get_command(app))
    assert len(found) == 78
    for path, command in found.items():
        assert f"### {path}\n" in text
        section = text.split(f"### {path}\n")[1].split("\n### ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert f"`{parameter.opts[0]}" in section, f"{path} {parameter.opts[0]}"


def test_every_example_uses_what_exists() -> None:
    found = commands(typer.main.get_command(app))
    lines = re.findall(r"^\$ (twinstep [^#\n]*)", page("cli.md") + page("configuration.md"), re.MULTILINE)
    assert len(lines) > 20
    for line in lines:
        path = max((path for path in found if line.startswith(path)), key=len)
        words = line.removeprefix(path).split()
        options = {option for parameter in found[path].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
        if words and words[0] in STRATEGIES and "--param" in words:
            given = {value.partition("=")[0] for flag, value in pairwise(words) if flag == "--param"}
            assert given <= {row["name"] for row in strategy_class(words[0]).describe()}, line


def test_every_key_is_documented() -> None:
    text = page("configuration.md")
    for section in SECTIONS:
        assert f"### [{section.name}]" in text
        for key in section.keys:
            assert f"| `{key}` |" in text


def test_every_error_code_of_the_front_door_is_documented() -> None:
    codes = set()
    for file in (ROOT / "twinstep").rglob("*.py"):
        codes |= set(re.findall(r"\b(?:CLI|CONFIG)_[A-Z_]+\b", file.read_text(encoding="utf-8")))
    text = page("cli.md") + page("configuration.md")
    assert sorted(code for code in codes if code not in text) == []


def test_every_environment_variable_is_documented() -> None:
    names = set()
    for source in SOURCES:
        for file in (ROOT / source).rglob("*.py"):
            names |= set(re.findall(r"\bTWINSTEP_[A-Z_]+\b", file.read_text(encoding="utf-8")))
    text = page("cli.md")
    assert sorted(name for name in names if name not in text) == []


def test_what_the_documentation_shows_of_errors_is_what_is_printed(tmp_path: Path) -> None:
    from twinstep.config import load_settings

    shown = re.search(r"error \[CONFIG_KEY\]: twinstep.toml:7: (.*)", page("configuration.md"))
    assert shown is not None
    path = tmp_path / "twinstep.toml"
    path.write_text("\n" * 5 + "[risk]\nmax_open_position = 8\n", encoding="utf-8")
    with pytest.raises(Exception, match=re.escape(f":7: {shown.group(1)}")):
        load_settings(path)
