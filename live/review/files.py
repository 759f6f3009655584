"""How requests (R-...) and differences (D-...) lie on disk: a file each, replaced as a whole.

Transitions hold the folder's lock, and read the file anew under it: two who decide at once, in one process or
in two, decide one after the other, and the second sees what the first has done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from simulator.errors import JournalError

__all__ = ["RequestFiles"]

_NAME: Final = re.compile(r"[RD]-[0-9a-f]{16}")
_WAIT_SECONDS: Final = 5.0
_STEP_SECONDS: Final = 0.01


class RequestFiles:
    """The folder of a review queue.

    They are files and no rows of the journal, because whoever decides is often another process: only one
    process may write to the journal, and a decision must also be possible while the journal is broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mine = threading.Lock()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to change requests.

        Raises
        ------
        JournalError
            LIVE_REVIEW_STORE where the folder cannot be made, or another process holds it for too long.
        """
        with self._mine, self._translated():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                until = time.monotonic() + _WAIT_SECONDS
                while not _try(handle):
                    if time.monotonic() >= until:
                        raise OSError("another process holds it")
                    time.sleep(_STEP_SECONDS)
                yield
            finally:
                os.close(handle)

    def write(self, name: str, fields: dict[str, Any]) -> None:
        """Store a request so that it survives a power cut; raises `JournalError` LIVE_REVIEW_STORE."""
        with self._translated():
            path = self.folder / f"{name}.json"
            draft = self.folder / f".{name}.{os.getpid()}.tmp"
            with draft.open("wb") as file:
                file.write(json.dumps(fields, indent=1).encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            handle = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a request, None where there is none.

        Raises
        ------
        JournalError
            LIVE_REVIEW_STORE where it cannot be read, or holds something else.
        """
        if not _NAME.fullmatch(name):
            return None
        path = self.folder / f"{name}.json"
        with self._translated():
            try:
                fields = json.loads(path.read_bytes())
            except FileNotFoundError:
                return None
            except (ValueError, RecursionError) as error:
                raise _damaged(path, str(error)) from error
            if not isinstance(fields, dict):
                raise _damaged(path, f"it holds a {type(fields).__name__}")
            return fields

    def names(self, letter: str = "R") -> list[str]:
        """Return the names of all requests, or of what else has this letter."""
        with self._translated():
            try:
                found = os.listdir(self.folder)
            except FileNotFoundError:
                return []
        return sorted(
            name.removesuffix(".json")
            for name in found
            if name.startswith(letter)
            and name.endswith(".json")
            and _NAME.fullmatch(name.removesuffix(".json"))
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"the review queue {self.folder} cannot be used: {error.strerror or error}. The likely cause "
                "is a full disk or a missing right",
                code="LIVE_REVIEW_STORE",
            ) from error


def _damaged(path: Path, why: str) -> JournalError:
    return JournalError(
        f"the review file {path} is damaged: {why}. Move it away; what it asked for is not sent",
        code="LIVE_REVIEW_STORE",
    )


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
