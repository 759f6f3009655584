"""What README, changelog and `docs/` name in backquotes exists: commands, options, keys, codes, files, names.

The blocks of a page are run (`tests/snippets`), and so is the tutorial. A command in a sentence or in a table
is not: here it is parsed. TOML that a page shows is read as the configuration that it is.
"""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from live.brokers.opening import ADAPTERS
from tests.snippets.blocks import ROOT, Block, blocks_of, inline, pages
from twinstep.cli import app
from twinstep.config import load_settings
from twinstep.schema import SECTIONS

PACKAGES: Final = ("simulator", "strategies", "journal", "optimize", "live", "twinstep")
PAGES: Final = [*pages(), ROOT / "CHANGELOG.md"]
EVERYWHERE: Final = {"--help", "--version", "--debug"}
NO_CODES: Final = {"PAPER_ONLY", "LIVE_REVIEW"}
"""A mode, and how some codes begin."""
KEYS: Final = {section.name: set(section.keys) for section in SECTIONS}
SHOWN: Final = [block for page in pages() for block in blocks_of(page, "toml")]
_VARIABLE: Final = re.compile(r"\bTWINSTEP_[A-Z_]+\b")


@cache
def whole() -> Any:
    return typer.main.get_command(app)


def walked(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words lead to, and the words that are left."""
    command = whole()
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith(("-", ".", "…")):
        assert rest[0] in command.commands, f"no command {rest[0]!r} in {words}"
        command = command.commands[rest.pop(0)]
    return command, rest


@cache
def every_option() -> set[str]:
    return options(whole()) | EVERYWHERE


def options(command: Any) -> set[str]:
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return own.union(*(options(child) for child in getattr(command, "commands", {}).values()))


@cache
def of_other_programs() -> str:
    """Return the sources of what takes options beside `twinstep`."""
    files = [*(ROOT / "benchmarks").glob("*.py"), ROOT / "journal" / "learning_system.py"]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def unknown(page: Path) -> Iterator[str]:
    for text in inline(page):
        if text.startswith("twinstep "):
            command, rest = walked(shlex.split(text)[1:])
            given = {word.partition("=")[0] for word in rest if word.startswith("--")}
            if not given <= options(command) | EVERYWHERE:
                yield text
        elif text.startswith("--"):
            name = re.split(r"[ =|]", text)[0]
            if name not in every_option() and f'"{name}"' not in of_other_programs():
                yield text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_exist(page: Path) -> None:
    assert list(unknown(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sections_and_keys_exist(page: Path) -> None:
    for text in inline(page):
        section = re.fullmatch(r"\[([a-z_]+)(?:\.live)?\]( [a-z_]+)?", text)
        if section is not None and section[1] not in ADAPTERS:
            assert section[1] in KEYS, text
            assert section[2] is None or section[2].strip() in KEYS[section[1]], text
        key = re.fullmatch(r"--set ([a-z]+)\.([a-z_]+)=\S+", text)
        if key is not None and key[1] != "section":
            assert key[2] in KEYS[key[1]], text
        # other sections are called like a package (`live.open_desk`) or a value (`report.metrics`)
        risk = re.fullmatch(r"(risk|data|broker|costs|account)\.([a-z_]+)", text)
        if risk is not None and risk[2] != "toml":
            assert risk[2] in KEYS[risk[1]], text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_codes_are_documented(page: Path) -> None:
    pattern = re.compile(r"[A-Z]+_[A-Z_]*[A-Z]")
    known = set(filter(pattern.fullmatch, inline(ROOT / "docs" / "errors.md")))
    areas = {one.partition("_")[0] for one in known} - {"TWINSTEP"}
    named = {text for text in inline(page) if pattern.fullmatch(text) and text.partition("_")[0] in areas}
    if page.name == "errors.md":  # whose tables are compared with the code; here only its sentences
        known = {one for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")
                 for one in re.findall(r"`([A-Z_]+)`", line.split("|")[1])}  # fmt: skip
    assert named - known - NO_CODES == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_exist(page: Path) -> None:
    pattern = re.compile(rf"(?:{'|'.join(PACKAGES)}|tests|examples|benchmarks)/[\w./-]+\w")
    named = [file for text in inline(page) for file in pattern.findall(text.partition("::")[0])]
    # `twinstep/quality` is a folder of the user's cache, `/twinstep/step` an address of the exchange
    assert [one for one in named if not (ROOT / one).exists() and not one.startswith("twinstep/")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_of_the_packages_exist(page: Path) -> None:
    pattern = re.compile(rf"((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)(?:\(.*)?")
    for text in inline(page):
        name = pattern.fullmatch(text)
        # `journal.trades()` is a call of a journal, `journal.path` a key, `live.db` a file
        if name is not None and (name[1].count(".") > 1 or not name[1].startswith(("journal.", "live.db"))):
            assert found(name[1]) or name[1].endswith((".py", ".toml")), text


def found(name: str) -> bool:
    """Whether a dotted name leads somewhere: modules first, then attributes."""
    parts = name.split(".")
    value: Any = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if hasattr(value, part):
            value = getattr(value, part)
            continue
        try:
            value = importlib.import_module(".".join(parts[:number]))
        except ImportError:
            return False
    return True


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"{block.page}-{block.line}")
def test_toml_is_the_configuration_that_it_says(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("# credentials.toml"):
        for broker, names in tomllib.loads(block.text).items():
            assert set(names) <= {*ADAPTERS[broker].needed, *ADAPTERS[broker].optional}
        return
    file = tmp_path / "twinstep.toml"
    file.write_text(block.text, encoding="utf-8")
    load_settings(file)


def test_every_environment_variable_is_documented_and_every_documented_one_is_read() -> None:
    sources = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    written = {name for file in sources for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))}
    credentials = {
        f"TWINSTEP_{broker}_{live}{name}".upper()
        for broker, one in ADAPTERS.items()
        for name in (*one.needed, *one.optional)
        for live in ("", "live_")
    }
    of_tests = {"TWINSTEP_VALIDATION_DATA"}
    told = {name for page in PAGES for name in _VARIABLE.findall(page.read_text(encoding="utf-8"))}
    assert told - written - credentials - of_tests == set()
    table = {text for text in inline(ROOT / "docs" / "cli.md") if _VARIABLE.fullmatch(text)}
    assert written - credentials - of_tests - table == set()
