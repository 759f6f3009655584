"""Follows a page word for word: its commands in shells, its files on disk, its output against what comes.

A ```console block holds commands after `$` and what they show. A word after `console` names the terminal:
without one it is the first, any other is a shell of its own, whose last command may still run when the page
goes on. A block that begins with output is what that command says later, and `^C` is the key. A ```python or
```toml block whose line above names a file in backquotes and ends with a colon is that file.

In shown output a line `…` stands for any lines, `…` in a line for any text, and empty lines count for
nothing. Hashes and the reader's own numbers of requests are told by their form: a request keeps the number
that it got, and later commands are given that one, as a reader would type it. All else must be equal.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Block", "Command", "Terminal", "blocks_of", "follow", "matches"]

_FENCE: Final = re.compile(r"^```(\w*)[ ]?(.*)$")
_NAMED: Final = re.compile(r"`([\w./-]+\.(?:py|toml))`[^`]*:$")
_REQUEST: Final = re.compile(r"R-[0-9a-f]{16}")
_FORMS: Final = (
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b"), r"[0-9a-f]{12,64}"),
    (re.compile("…"), r".*"),
)
_QUIET_SECONDS: Final = 0.02


@dataclass
class Command:
    """A line to type, and the lines that are shown below it."""

    text: str
    shown: list[str] = field(default_factory=list)


@dataclass
class Block:
    """One block of a page: commands for a terminal, or a file with its text."""

    line: int
    terminal: str = ""
    before: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    file: str = ""
    text: str = ""


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page that a reader acts on, in order."""
    found: list[Block] = []
    lines = iter(enumerate(page.splitlines(), 1))
    above = ""
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            above = line if line and not line.startswith("<!--") else above
            continue
        body = _body(lines)
        kind, rest = fence.groups()
        named = _NAMED.search(above)
        if kind == "console":
            found.append(_console(number, rest.strip(), body))
        elif kind in ("python", "toml") and named is not None:
            found.append(Block(number, file=named.group(1), text="\n".join(body) + "\n"))
        above = ""
    return found


def _body(lines: Iterator[tuple[int, str]]) -> list[str]:
    body: list[str] = []
    for _, line in lines:
        if line == "```":
            return body
        body.append(line)
    raise AssertionError("a block of the page has no end")


def _console(number: int, terminal: str, body: list[str]) -> Block:
    block = Block(number, terminal=terminal)
    for line in body:
        if line.startswith("$ ") or line == "^C":
            block.commands.append(Command(line.removeprefix("$ ")))
        elif block.commands:
            block.commands[-1].shown.append(line)
        else:
            block.before.append(line)
    return block


def matches(shown: list[str], came: str, requests: dict[str, str] | None = None) -> bool:
    """Whether what came is what the page shows; the numbers of requests that it shows are noted."""
    lines = [line.rstrip() for line in shown if line.strip()]
    text = "".join(line.rstrip() + "\n" for line in came.splitlines() if line.strip())
    seen: list[str] = []
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else _line(line, seen) + r"\n" for line in lines)
    found = re.fullmatch(pattern, text)
    if found is None:
        return False
    if requests is not None:
        requests.update(zip(seen, (found[_group(name)] for name in seen), strict=True))
    return True


def _line(line: str, seen: list[str]) -> str:
    parts, at = [], 0
    while at < len(line):
        request = _REQUEST.match(line, at)
        if request is not None:
            name = request.group()
            parts.append(
                rf"(?P={_group(name)})" if name in seen else rf"(?P<{_group(name)}>R-[0-9a-f]{{16}})"
            )
            seen.extend([] if name in seen else [name])
            at = request.end()
            continue
        for form, pattern in _FORMS:
            hit = form.match(line, at)
            if hit is not None:
                parts.append(pattern)
                at = hit.end()
                break
        else:
            parts.append(re.escape(line[at]))
            at += 1
    return "".join(parts)


def _group(request: str) -> str:
    return "request_" + request[2:]


class Terminal:
    """A shell in a folder. Its commands get no keys; what they say is kept in the order in which it comes."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._script = log.with_suffix(".sh")
        self._count = 0
        self._from = 0
        with log.open("wb") as out:
            self._shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"], cwd=folder, env=environment, stdin=subprocess.PIPE,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def type(self, text: str, seconds: float) -> None:
        """Give the shell a line, once the line before has ended."""
        if self._count:
            self.wait(lambda said, code: code is not None, seconds)
        self._count += 1
        self._from = len(self._said())
        script = self._script.with_suffix(f".{self._count}.sh")
        script.write_text(text + "\n", encoding="utf-8")
        assert self._shell.stdin is not None
        self._shell.stdin.write(f". {script} < /dev/null; printf '{self._mark} %s\\n' $?\n".encode())
        self._shell.stdin.flush()

    def wait(self, done: Callable[[str, int | None], bool], seconds: float) -> tuple[str, int | None]:
        """Wait until what the command has said, and its exit code once it has ended, are enough."""
        until = time.monotonic() + seconds
        while True:
            said, found, rest = self._said()[self._from :].partition(self._mark)
            code = int(rest) if found and rest.endswith("\n") else None
            if done(said, code) or time.monotonic() > until:
                return said, code
            time.sleep(_QUIET_SECONDS)

    def seen(self) -> None:
        """Take what was said so far as read."""
        self._from = len(self._said().partition(self._mark)[0])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        children = Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children").read_text(
            encoding="ascii"
        )
        for child in children.split():
            os.kill(int(child), signal.SIGINT)

    def close(self) -> None:
        """End the shell and whatever runs in it."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        try:
            os.killpg(self._shell.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self._shell.wait(20)

    @property
    def _mark(self) -> str:
        return f"\x1e{self._count}\x1e"

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


def follow(
    blocks: list[Block],
    folder: Path,
    environment: dict[str, str],
    *,
    before: Callable[[str], None] = lambda command: None,
    after: Callable[[str, str], None] = lambda command, said: None,
    seconds: float = 60.0,
) -> list[tuple[str, float]]:
    """Do what the blocks say, and return each command with the seconds that it took.

    Parameters
    ----------
    folder
        In which every terminal opens. Files are written where the first terminal has gone by `cd`.
    before, after
        Are told of each command, and of what it has said.
    seconds
        In which a command has to say what the page shows.
    """
    walk = _Walk(folder, environment, before, after, seconds)
    try:
        for block in blocks:
            walk.do(block)
    finally:
        walk.close()
    return walk.took


class _Walk:
    """Where a reader is: the terminals that are open, the numbers of requests that were seen."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        before: Callable[[str], None],
        after: Callable[[str, str], None],
        seconds: float,
    ) -> None:
        self.took: list[tuple[str, float]] = []
        self._folder = self._place = folder
        self._environment = environment
        self._before, self._after = before, after
        self._seconds = seconds
        self._terminals: dict[str, Terminal] = {}
        self._requests: dict[str, str] = {}
        self._logs = folder.parent / "terminals"
        self._logs.mkdir(exist_ok=True)

    def do(self, block: Block) -> None:
        if block.file:
            (self._place / block.file).write_text(block.text, encoding="utf-8")
            return
        terminal = self._terminal(block.terminal)
        if block.before:
            said, _ = terminal.wait(lambda said, code: matches(block.before, said), self._seconds)
            assert matches(block.before, said), _told(block.line, "what runs", block.before, said)
        for command in block.commands:
            # the last command of another terminal may run on while the first one goes on
            runs_on = bool(block.terminal) and command is block.commands[-1] and bool(command.shown)
            self._type(block, terminal, command, runs_on)

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            log = self._logs / f"{name or 'first'}.log"
            self._terminals[name] = Terminal(self._folder, self._environment, log)
        return self._terminals[name]

    def _type(self, block: Block, terminal: Terminal, command: Command, runs_on: bool) -> None:
        text = _REQUEST.sub(lambda found: self._requests.get(found.group(), found.group()), command.text)
        self._before(text)
        began = time.monotonic()
        if text == "^C":
            terminal.interrupt()
        else:
            terminal.type(text, self._seconds)
        said, code = terminal.wait(
            lambda said, code: code is not None or (runs_on and matches(command.shown, said)), self._seconds
        )
        self.took.append((text, time.monotonic() - began))
        told = _told(block.line, text, command.shown, f"{said}\nexit code {code}")
        assert matches(command.shown, said, self._requests), told
        assert code == 0 or (runs_on and code is None) or (text == "^C" and code is not None), told
        if text.startswith("cd ") and not block.terminal:
            self._place = self._place / text.removeprefix("cd ")
        if runs_on:
            terminal.seen()
        self._after(text, said)


def _told(line: int, command: str, shown: list[str], came: str) -> str:
    page = "\n".join(f"  | {one}" for one in shown)
    real = "\n".join(f"  | {one}" for one in came.splitlines())
    return f"the block at line {line}, {command}\nthe page shows\n{page}\nand what came was\n{real}"
