"""Decisions on review requests, left by another process for the one that trades.

Approving means judging anew at the price of now, and sending: only the process that runs the session knows
the price, asks the risk manager and reaches the broker. So a second terminal, or the dashboard, leaves its
yes as a small file beside the requests, and the session takes it at its next look. A request ends once, so a
decision that is taken twice, because a crash came before its file was removed, changes nothing.

>>> leave_decision("reviews", "R-0123456789abcdef", "ada")            # doctest: +SKIP
>>> take_decisions("reviews", manager.approve_request)                # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from journal.storage.files import write_whole
from live.review_queue import ReviewAnswer
from simulator.errors import ConfigError, JournalError

__all__ = ["Taken", "decisions_folder", "leave_decision", "take_decisions", "waiting_decisions"]

LARGEST_BYTES: Final = 1 << 16
_FILE: Final = re.compile(r"(R-[0-9a-f]{16})\.json")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one decision.

    Attributes
    ----------
    answer
        What the queue said; None where it could not be asked, and then `problem` says why.
    """

    request_id: str
    by: str
    answer: ReviewAnswer | None
    problem: str = ""


def decisions_folder(queue: str | os.PathLike[str]) -> Path:
    """Return the folder of the decisions on a review queue's requests."""
    return Path(queue) / "decisions"


def leave_decision(queue: str | os.PathLike[str], request_id: str, approved_by: str) -> Path:
    """Leave an approval; when this returns, it survives a power cut. A later one replaces an earlier one.

    Raises
    ------
    ConfigError
        LIVE_REVIEW_NAME for an approval in nobody's name.
    JournalError
        LIVE_REVIEW_STORE where the file cannot be written.
    """
    if not approved_by.strip():
        raise ConfigError("an approval needs a name: approved_by is empty", code="LIVE_REVIEW_NAME")
    folder = decisions_folder(queue)
    file = folder / f"{request_id}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, json.dumps({"request_id": request_id, "by": approved_by}).encode())
    except OSError as error:
        raise JournalError(
            f"the decision on {request_id} cannot be stored in {folder} ({error.strerror}); nothing was "
            "approved. Make room, or check the rights",
            code="LIVE_REVIEW_STORE",
        ) from error
    return file


def waiting_decisions(queue: str | os.PathLike[str]) -> list[str]:
    """Return the ids of the requests that somebody has decided on, and nobody has taken up yet."""
    return [file.stem for file in _files(queue)]


def take_decisions(queue: str | os.PathLike[str], approve: Callable[[str, str], ReviewAnswer]) -> list[Taken]:
    """Take every decision that waits; one that fails never stands in the way of the next.

    Parameters
    ----------
    approve
        As `BrokerManager.approve_request`: judges anew, and sends.
    """
    return [_take(file, approve) for file in _files(queue)]


def _take(file: Path, approve: Callable[[str, str], ReviewAnswer]) -> Taken:
    request_id, by, problem = file.stem, "", ""
    answer: ReviewAnswer | None = None
    try:
        by = _name(file)
        answer = approve(request_id, by)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        problem = problem or f"{file} cannot be removed ({error.strerror})"
    return Taken(request_id, by, answer, problem)


def _name(file: Path) -> str:
    # a link or a pipe in the folder must not be followed or waited for
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        found: Any = json.loads(opened.read(LARGEST_BYTES))
    by = found["by"]
    if found["request_id"] != file.stem or not isinstance(by, str) or not by.strip():
        raise ValueError("its request or its name is not what it must be")
    return by


def _files(queue: str | os.PathLike[str]) -> list[Path]:
    try:
        return sorted(file for file in decisions_folder(queue).iterdir() if _FILE.fullmatch(file.name))
    except FileNotFoundError:
        return []
