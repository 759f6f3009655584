"""The commands of `docs/validation.md` run the tests that they name: none is left out by its mark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.snippets.blocks import inline

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "validation.md"
COMMANDS: Final = sorted(
    {text for text in inline(PAGE) if re.match(r"make (unit|validate) ARGS=.*tests/", text)}
)
_WHOLE: Final = re.compile(r"^pytestmark = .*mark\.(?:slow|thorough|validation)\b", re.MULTILINE)
_SOME: Final = re.compile(r"mark\.(?:slow|thorough|validation)\b|from tests\.budget import|import drawn\b")


def sources(command: str) -> list[str]:
    """Return the test files that a command names, a folder's all."""
    found: list[str] = []
    for name in re.findall(r"tests/[\w./]+", command):
        path = ROOT / name
        files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        found += [file.read_text(encoding="utf-8") for file in files]
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_what_it_names(command: str) -> None:
    texts = sources(command)
    assert texts
    if command.startswith("make unit"):  # draws few and leaves out what takes long
        assert not all(map(_WHOLE.search, texts))
        assert not any(map(_WHOLE.search, texts)) or len(texts) > 2
    else:  # runs nothing else
        assert any(map(_SOME.search, texts))


def test_sections_of_the_benchmarks_exist() -> None:
    source = (ROOT / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        for section in re.findall(r"benchmarks --only ([a-z]+)", page.read_text(encoding="utf-8")):
            assert f'"{section}": "' in source, f"{page.name}: {section}"
