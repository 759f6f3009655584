"""Decisions on review requests, left by another process for the one that trades.

Approving means judging anew at the price of now, and sending: only the process that runs the session knows
the price, asks the risk manager and reaches the broker. So a second terminal, or the dashboard, leaves its
yes as a small file beside the requests, and the session takes it at its next look. The file goes when the
request has ended, whichever way: a yes that could not be judged (the folder was locked, the price unknown) is
taken again at the next look. A request ends once, so a decision that is taken twice changes nothing.

>>> leave_decision("reviews", "R-0123456789abcdef", "ada")            # doctest: +SKIP
>>> take_decisions("reviews", manager.approve_request)                # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from journal.storage.files import write_whole
from live.people import check_name
from live.review_queue import ReviewAnswer
from simulator.errors import JournalError, UnknownNameError

__all__ = ["Taken", "decisions_folder", "leave_decision", "take_decisions", "waiting_decisions"]

LARGEST_BYTES: Final = 1 << 16
_FILE: Final = re.compile(r"(R-[0-9a-f]{16})\.json")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one decision.

    Attributes
    ----------
    answer
        What the queue said; None where it could not be asked.
    problem
        Why it could not be asked, or why the request waits on; "" where there is nothing to tell.
    waits
        Whether the decision is taken again at the next look.
    """

    request_id: str
    by: str
    answer: ReviewAnswer | None
    problem: str = ""
    waits: bool = False


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
    check_name(approved_by)
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
    """Take every decision that waits; never raises, and one that fails does not stand in the way of the next.

    Parameters
    ----------
    approve
        As `BrokerManager.approve_request`: judges anew, and sends.
    """
    return [_take(file, approve) for file in _files(queue)]


def _take(file: Path, approve: Callable[[str, str], ReviewAnswer]) -> Taken:
    request_id = file.stem
    try:
        by = _name(file)
    except OSError as error:
        return Taken(request_id, "", None, f"{file} cannot be read ({error.strerror})", waits=True)
    except Exception as error:  # whatever the file holds, it is no decision, and never becomes one
        return _removed(file, Taken(request_id, "", None, f"{file} is no decision ({error})"))
    try:
        answer = approve(request_id, by)
    except UnknownNameError as error:
        return _removed(file, Taken(request_id, by, None, str(error)))
    except Exception as error:  # of a store, a feed or a broker: nobody knows whether the next try fails too
        return Taken(request_id, by, None, f"{type(error).__name__}: {error}", waits=True)
    if answer.request.state == "pending":
        return Taken(request_id, by, answer, answer.message, waits=True)
    return _removed(file, Taken(request_id, by, answer))


def _removed(file: Path, taken: Taken) -> Taken:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        problem = taken.problem or f"{file} cannot be removed ({error.strerror})"
        return replace(taken, problem=problem, waits=True)
    return taken


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
