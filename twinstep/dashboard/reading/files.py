"""Small files that other processes leave in a folder: read whole, as JSON, never followed or waited for."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from live.decisions import decisions_folder

__all__ = ["approver", "json_of"]

LARGEST: Final = 1 << 20


def json_of(file: Path) -> Any:
    """Return what a file holds.

    Raises
    ------
    OSError
        Where it is not there, or cannot be read.
    ValueError, RecursionError
        Where it is no JSON; a pipe, a device or a folder is none.
    """
    # a link or a pipe must not be followed or waited for
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as held:
        if not stat.S_ISREG(os.fstat(held.fileno()).st_mode):
            raise ValueError(f"{file} is no file")
        return json.loads(held.read(LARGEST))


def approver(reviews: Path, request_id: str) -> str:
    """Return who has approved a request that no session has taken up yet; "" where nobody has.

    Parameters
    ----------
    reviews
        Folder of the review queue.
    """
    try:
        return str(json_of(decisions_folder(reviews) / f"{request_id}.json")["by"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
