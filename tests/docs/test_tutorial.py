"""A newcomer's path: `docs/tutorial.md` word for word, on a fresh clone, in a home of its own.

What is cloned is a snapshot of the checkout, with what is not committed yet. Installing takes minutes, so the
fast test lays an environment into the clone before `make setup` is typed: it has the packages of the one that
runs, and not its Twinstep, whose place is taken by the clone's. There `twinstep` is forked from a process of
the clone that has made the imports (`tests.forked`). The slow test installs from nothing and starts each.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Final

import pytest
from numba.core.caching import UserProvidedCacheLocator

from simulator.kernel._jit import kernel_jit as kernel
from strategies.indicators._jit import _COMPILER as indicators
from strategies.patterns._jit import _COMPILER as patterns
from tests.docs.walkthrough import Block, blocks_of, follow
from tests.forked import ENGINE, serve

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "tutorial.md"
FOREIGN: Final = (
    "TWINSTEP_", "PYTHON", "PYTEST", "COV", "GIT_", "XDG_", "VIRTUAL_ENV", "NUMBA_",
    "MAKE", "MFLAGS", "VENV", "OUT", "ARGS", "WORKERS",
)  # fmt: skip
"""What the tests, or a `make` around them, leave in the environment, and a newcomer has not."""
PROMISED_SECONDS: Final = 15 * 60.0


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return blocks_of(PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, of what the checkout is now."""
    copy = tmp_path / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    git = ["git", "-c", "user.name=tutorial", "-c", "user.email=tutorial@example.invalid", "-c", "gc.auto=0"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Snapshot"]):
        subprocess.run([*git, *words], cwd=copy, check=True)
    return copy


def surroundings(tmp_path: Path, repository: Path) -> tuple[Path, dict[str, str]]:
    """A folder to work in, and an environment with nothing of the tests' own."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in kept.get("PATH", "").split(os.pathsep) if part != own)
    extra = {"HOME": str(home), "PATH": path, "REPOSITORY": str(repository), "COLUMNS": "100"}
    # as on a terminal: what is said on both channels comes in its order
    return work, kept | extra | {"PYTHONUNBUFFERED": "1", "PIP_NO_INPUT": "1"}


def lay_environment(clone: Path) -> None:
    """Give the clone a `.venv` that has what the running one has, with the clone's own Twinstep."""
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([python, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    inside = next((clone / ".venv" / "lib").glob("python*")) / "site-packages"
    # a plain path: what its own .pth files name, such as the checkout, is not taken over
    (inside / "clone.pth").write_text(f"{clone}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    content = b"".join((clone / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    (clone / ".venv" / f".installed-{cksum(content)}").touch()


def lay_command(clone: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Give the clone the command `twinstep`, and return the server that forks it."""
    folder = clone / ".venv" / "bin"
    server, command = serve(str(folder / "python"), ENGINE, root=clone, env=environment)
    (folder / "start.py").write_text(
        "import sys\nfrom twinstep.entry import main\nsys.exit(main())\n", encoding="utf-8"
    )
    script = folder / "twinstep"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} {folder}/start.py "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return server


def cksum(content: bytes) -> str:
    found = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout
    return found.decode().split()[0]


def hand_over_compiled(clone: Path, home: Path) -> None:
    """Give the clone the compiled engine of the checkout, whose sources are the same bytes.

    The cache is named after the content of the sources and the folder that they lie in. Where there is none
    for this content, the first backtest of the page compiles, as it does for a newcomer.
    """
    for compiler in (kernel, indicators, patterns):
        if compiler.folder is None:
            continue
        for part in ("simulator/kernel", "simulator/options", "strategies/indicators", "strategies/patterns"):
            there = compiler.folder / subfolder(ROOT / part / "any.py")
            if there.is_dir():
                to = home / ".cache" / "twinstep" / "kernel" / compiler.folder.name
                shutil.copytree(there, to / subfolder(clone / part / "any.py"))


def subfolder(source: Path) -> str:
    return str(UserProvidedCacheLocator.get_suitable_cache_subpath(str(source)))  # type: ignore[no-untyped-call]


class Reader:
    """What a newcomer does besides typing, and what is looked at on the way."""

    def __init__(self, work: Path, environment: dict[str, str], *, install: bool) -> None:
        self.clone = work / "twinstep"
        self.home = Path(environment["HOME"])
        self.environment = environment
        self.install = install
        self.server: subprocess.Popen[str] | None = None
        self.pages: list[str] = []

    def before(self, command: str) -> None:
        if command == "make setup" and not self.install:
            lay_environment(self.clone)
            hand_over_compiled(self.clone, self.home)
            self.server = lay_command(self.clone, self.environment)

    def close(self) -> None:
        if self.server is not None:
            self.server.communicate()

    def after(self, command: str, said: str) -> None:
        if command == "make setup":
            where = "import simulator, twinstep; print(simulator.__file__, twinstep.__file__)"
            found = subprocess.run(
                [self.clone / ".venv" / "bin" / "python", "-c", where],
                cwd=self.home, env=self.environment, capture_output=True, text=True, check=True,
            ).stdout.split()  # fmt: skip
            assert [Path(file).parent.parent for file in found] == [self.clone, self.clone]
        if command.startswith("twinstep dashboard"):
            link = next(line for line in said.splitlines() if "/login?token=" in line)
            self.look(link.strip())

    def look(self, link: str) -> None:
        """Open the link, as a browser would, and the pages that the tutorial names."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        base = link.partition("/login")[0]
        for address in (link, f"{base}/", f"{base}/trades/12"):
            with opener.open(address, timeout=20) as answer:
                self.pages.append(answer.read().decode())


def walk(tmp_path: Path, repository: Path, blocks: list[Block], *, install: bool, seconds: float) -> float:
    """Follow the page, and return the seconds that its commands took."""
    work, environment = surroundings(tmp_path, repository)
    reader = Reader(work, environment, install=install)
    with contextlib.closing(reader):
        took = follow(blocks, work, environment, before=reader.before, after=reader.after, seconds=seconds)
    assert any("first target" in text for text in reader.pages), "the lesson is on no page of the dashboard"
    for name in ("first.html", "dip.html", "week.html"):
        assert (reader.clone / "out" / name).stat().st_size > 10_000
    left = {file.name for file in reader.clone.iterdir()}
    assert {name for name in left if name.startswith(("trade_journal.db", "trials.db", "runs"))} == set()
    for command, used in sorted(took, key=lambda one: -one[1]):
        print(f"{used:7.2f} s  {command}")
    return sum(used for _, used in took)


def test_the_tutorial_works_word_for_word(tmp_path: Path, repository: Path, blocks: list[Block]) -> None:
    assert walk(tmp_path, repository, blocks, install=False, seconds=120.0) < PROMISED_SECONDS


@pytest.mark.slow
def test_the_tutorial_works_where_nothing_is_installed(
    tmp_path: Path, repository: Path, blocks: list[Block]
) -> None:
    assert walk(tmp_path, repository, blocks, install=True, seconds=900.0) < PROMISED_SECONDS
