"""Every console block of README and `docs/` runs through the command line, in a prepared folder.

The lines of a page run one after the other, as a reader types them; those of `cli.md`, which belong to no
story, each in a fresh folder. Searches and sessions are run shorter than written (`SHORTER`): what is tested
is that a line is accepted and ends well, not what comes of it. What cannot run says why on its page; its
command, options and values are parsed all the same.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from tests.snippets.blocks import ROOT, Block, blocks_of, pages
from twinstep.cli import app, run

PAGES: Final = [page for page in pages() if blocks_of(page, "console", "sh", "bash")]
ALONE: Final = "cli.md"
ELSEWHERE: Final = {"tutorial.md": "tests/docs"}
"""Pages that another test follows word for word."""
EMPTY: Final = {"README.md"}
"""Pages that a reader types into an empty folder, with what their own lines leave there."""
PARSED: Final = {
    "dashboard.md": "serves pages or starts a browser; tests/twinstep/dashboard runs it",
    "broker_alpaca.md": "needs an account",
    "broker_ib.md": "needs an account",
    "broker_tastytrade.md": "needs an account",
}
"""Pages whose commands are parsed alone, and why."""
SHORTER: Final = (
    (r"--trials \d+", "--trials 3"),
    (r"--approval-seeds \d+", "--approval-seeds 2"),
    (r"--workers \d+", "--workers 1"),
    (r" --speed [\d.]+", ""),
    (r"(optimize (?:walk-forward|strategy) [\w-]+)(?!.*--trials)", r"\1 --trials 3"),
    (r"(optimize (?:walk-forward|strategy) [\w-]+)", r"\1 --start 2008-01-01"),
    (r"(lookahead [\w.:-]+)(?!.*--(?:start|data))", r"\1 --start 2011-01-01"),
    (r"(lookahead [\w.:-]+)(?!.*--last)", r"\1 --last 60"),
    (r"--proxy garch", "--proxy garch --start 2010-01-01"),
    (r"\bpaper (?=--)(?=.*--strategy)(?!.*--bars)", "paper --bars 200 --group 50 "),
)
MOST_SECONDS: Final = 240
ENDS_WITH: Final = {0, 3}
"""Done, or a check that found something: also an answer. So is the wish to be confirmed."""


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End a command that serves or waits, which would otherwise hold the tests up for ever."""

    def late(*_: object) -> None:
        raise TimeoutError(f"after {MOST_SECONDS} seconds; a command that serves is marked as not run")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def blocks(page: Path) -> list[Block]:
    return blocks_of(page, "console", "sh", "bash")


def parts(command: str) -> list[list[str]]:
    """Return the words of what is typed: one list per command that `&&` joins, comments left out."""
    words = shlex.split(command, comments=True)
    found: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            found.append([])
        else:
            found[-1].append(word)
    return [part for part in found if part]


def carried_out(words: list[str], env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run one command; what is none of ours is looked up, not run."""
    if words[0] == "export":
        for given in words[1:]:
            env.setenv(*given.split("=", 1))
        return
    if words[0].endswith("twinstep"):
        capsys.readouterr()
        code = run(words[1:])
        out, err = capsys.readouterr()
        assert code in ENDS_WITH or "[CLI_CONFIRM]" in err, (
            f"{shlex.join(words)}\n{out[-500:]}\n{err[-1500:]}"
        )
        return
    known(words)


def known(words: list[str]) -> None:
    """Check that a command exists, with its options and values; nothing is run."""
    if words[0].endswith("twinstep"):
        parsed(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets, words
    elif words[:2] == ["pip", "install"] or words[:4] == ["python", "-m", "pip", "install"]:
        extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        for extra in re.findall(r"twinstep\[([\w,]+)\]", " ".join(words)):
            assert [one for one in extra.split(",") if f"\n{one} = [" not in extras] == []
    elif words[:3] == ["python", "-m", "pytest"] or words[0] == "pytest":
        files = [word for word in words if word.startswith("tests/")]
        assert [file for file in files if not (ROOT / file).exists()] == []
    else:
        assert words[0] in OTHERS, f"what is {words[0]!r}?"


OTHERS: Final = {"git", "cd", "dask", "export", "python", "source"}


def parsed(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("twinstep", [], resilient_parsing=True)
    rest = list(arguments)
    while hasattr(command, "commands"):
        name = rest.pop(0)
        assert name in command.commands, f"no command {name!r} in {arguments}"
        command = command.commands[name]
    command.make_context(command.name, rest, parent=context)


def shorter(command: str) -> str:
    for pattern, less in SHORTER:
        command = re.sub(pattern, less, command)
    return command


def lines(page: Path) -> Iterator[tuple[Block, str]]:
    for block in blocks(page):
        for command in block.commands:
            yield block, command


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in {ALONE, *ELSEWHERE}], ids=lambda page: page.stem
)
def test_the_commands_of_a_page_run(
    page: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path if page.name in EMPTY else request.getfixturevalue("folder"))
    for block, command in lines(page):
        for words in parts(shorter(command)):
            if block.why_not(command) or page.name in PARSED:
                known(words)
            else:
                carried_out(words, monkeypatch, capsys)


REFERENCE: Final = [
    pytest.param(block, command, id=f"{block.line}-{'-'.join(shlex.split(command)[1:3])}")
    for block, command in lines(ROOT / "docs" / ALONE)
]


@pytest.mark.parametrize(("block", "command"), REFERENCE)
def test_an_example_of_the_reference_runs(
    block: Block,
    command: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in parts(shorter(command)):
        if block.why_not(command):
            known(words)
        else:
            copied = shutil.copytree(
                request.getfixturevalue("prepared"), tmp_path / "reader", dirs_exist_ok=True
            )
            monkeypatch.chdir(copied)
            if "new-strategy" in words:
                for written in Path().glob("*my_idea.py"):  # by whoever typed the other lines
                    written.unlink()
            if "backup" in words:  # which never replaces a file, and `restore` wants one
                for written in Path("out").glob("*.db"):
                    written.unlink()
            if "arm" in words:
                run(["kill"])
            carried_out(words, monkeypatch, capsys)
