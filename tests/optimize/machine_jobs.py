"""Jobs that other processes import; the module is small because they do."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from simulator.errors import StrategyError


def square(folder: str, job: int) -> int:
    """Note that a job was begun, and return its square."""
    with (Path(folder) / str(job)).open("a") as note:
        note.write(f"{os.getpid()}\n")
    return job * job


def dies_once(folder: str, job: int) -> int:
    """Kill its process when job 3 is run for the first time."""
    found = square(folder, job)
    if job == 3 and len((Path(folder) / "3").read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return found


def fails(job: int) -> int:
    """Raise an error of this project."""
    if job == 2:
        raise StrategyError("the strategy broke", code="STRATEGY_SIGNALS")
    return job


class OddError(Exception):
    """An error that cannot be rebuilt from its arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def fails_oddly(job: int) -> int:
    """Raise an error that does not travel."""
    raise OddError("odd", "ly")


def class_name(kind: Any, job: int) -> str:
    """Tell which class this is."""
    return f"{kind.__name__} {kind.MARK} {job}"
