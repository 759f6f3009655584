"""Every Python block of README and `docs/` runs: those of a page in order, in one namespace, in one folder.

The folder holds what the pages speak of: a journal with trades and a session, bars, quotes, studies. What
cannot run says why; its imports are made all the same, and its calls are compiled.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.snippets.blocks import Block, blocks_of, pages

PACKAGES = ("simulator", "strategies", "journal", "optimize", "live", "twinstep")
PAGES = [page for page in pages() if blocks_of(page, "python")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("builtins.input", lambda prompt="": "")  # a reader who presses Enter at once
    names: dict[str, object] = {"__name__": "snippet"}
    for block in blocks_of(page, "python"):
        code = compile(_of(block), f"{block.page}:{block.line}", "exec")
        exec(code, names)  # noqa: S102 - the snippet is the test


def _of(block: Block) -> ast.Module:
    tree = ast.parse(block.text)
    if block.skipped:
        tree.body = [node for node in tree.body if _ours(node)]
    return ast.increment_lineno(tree, block.line)  # a traceback then names the line of the page


def _ours(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES
