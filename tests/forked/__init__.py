"""Commands that a test starts as processes of their own, at a tenth of what starting Python costs.

A server makes the imports and loads the compiled engine once for a worker, and forks a process for each
command. `[*forked(ENGINE), "-m", "twinstep", "status"]` is used as `[sys.executable, "-m", "twinstep",
"status"]` would be: with its folder, environment, channels, signals and exit code. What is asked of the start
itself (what it imports, how long it takes) has to start Python.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["COMMANDS", "ENGINE", "end", "forked", "serve"]

ROOT: Final = Path(__file__).resolve().parents[2]
COMMANDS: Final = """
import functools, typer.main
import journal.trade_journal
from twinstep.cli import app
typer.main.get_command = functools.cache(typer.main.get_command)
typer.main.get_command(app)
"""
"""The command line and a journal: nothing that computes."""
ENGINE: Final = f"""{COMMANDS}
import journal, live, strategies
from simulator.engine import warm
warm()
"""
"""All that a backtest or a session needs."""


@cache
def forked(preload: str = ENGINE) -> tuple[str, ...]:
    """Return what stands for the interpreter at the front of a command; `preload` is run once."""
    server, command = serve(sys.executable, preload)
    atexit.register(end, server)
    return command


def serve(
    python: str, preload: str, *, root: Path = ROOT, env: dict[str, str] | None = None
) -> tuple[subprocess.Popen[str], tuple[str, ...]]:
    """Start a server, which ends when its standard input is closed, and return how to reach it."""
    # a socket's path has about a hundred letters at most, and the folders of tests are deep
    where = Path(tempfile.mkdtemp(prefix="forked-", dir="/tmp")) / "socket"
    server = subprocess.Popen(
        [python, "-m", "tests.forked.server", str(where), preload], cwd=root, env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    return server, (python, "-I", "-S", str(root / "tests" / "forked" / "client.py"), str(where))


def end(server: subprocess.Popen[str]) -> None:
    """End a server, once what it has forked has ended."""
    try:
        server.communicate(timeout=20)
    except subprocess.TimeoutExpired:  # a test has left something running
        server.kill()
