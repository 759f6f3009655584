"""A forked command is what a started one would be: folder, environment, channels, signals, exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.forked import COMMANDS, forked

ASKED = """
import os, sys
print(os.getcwd(), os.environ["WHO"], sys.argv[1:], input(), __name__)
print("aside", file=sys.stderr)
sys.exit(4)
"""


@pytest.mark.parametrize("kind", ["-c", "file"])
def test_it_is_what_a_started_one_would_be(tmp_path: Path, kind: str) -> None:
    (tmp_path / "asked.py").write_text(ASKED, encoding="utf-8")
    words = ["-c", ASKED, "one"] if kind == "-c" else ["asked.py", "one"]
    env = os.environ | {"WHO": "Ada"}
    started, other = (
        subprocess.run(
            [*python, *words],
            input="hello\n",
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        for python in ([sys.executable], forked(COMMANDS))
    )
    assert started.returncode == other.returncode == 4
    assert (other.stdout, other.stderr) == (started.stdout, started.stderr)
    assert other.stdout == f"{tmp_path} Ada ['one'] hello __main__\n"


@pytest.mark.parametrize("given", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it_and_end_it(given: signal.Signals) -> None:
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    process = subprocess.Popen(
        [*forked(COMMANDS), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    number = process.stdout.readline().strip()
    process.send_signal(given)
    process.communicate(timeout=20)
    assert process.returncode == -given
    until = time.monotonic() + 20.0
    while Path(f"/proc/{number}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{number}").exists()


@pytest.mark.parametrize(("code", "exit_code", "words"), [("1 / 0", 1, "ZeroDivisionError"), ("pass", 0, "")])
def test_an_error_is_told(code: str, exit_code: int, words: str) -> None:
    done = subprocess.run([*forked(COMMANDS), "-c", code], capture_output=True, text=True)
    assert done.returncode == exit_code
    assert words in done.stderr
