"""The event file of a venue: everything that it was told, one checksummed line each, and nothing else.

A line is written before what it says is done, so that a crash loses no order that was answered; what was
written and not answered is found again by its client order id. A line that was cut off by the crash is
dropped at the next start. A line that is damaged anywhere else stops the start: nothing after it can be
trusted. Nothing is buffered, so a line that could not be written is not written later either.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from simulator.errors import ConfigError, DataError

__all__ = ["EventFile"]

FORMAT: Final = 2
"""Changes with the rules, too: by other rules the same events make another account."""

_CHECK: Final = 9  # eight hexadecimal digits and a blank


class EventFile:
    """An append-only file that one process at a time writes.

    Parameters
    ----------
    path
        Made if it is not there; its folder must exist.
    head
        What the account was opened with; a file that says something else is refused.
    sync
        Whether each line waits for the disk: needed against power loss, not against a killed process.

    Raises
    ------
    ConfigError
        VENUE_FILE_LOCKED where another process has it; VENUE_FILE_HEAD where it belongs to another account.
    DataError
        VENUE_FILE where it is damaged.
    """

    def __init__(self, path: Path, head: dict[str, Any], *, sync: bool = False) -> None:
        self.path = path
        self._sync = sync
        self._file = path.open("a+b", buffering=0)
        self._torn = False  # whether half a line may lie behind the end
        try:
            self._lock()
            self._last = self._end = os.fstat(self._file.fileno()).st_size
            first = next(self._read(), None)
            if first is None:
                self.head = head
                self.append(head)
            else:
                self.head = self._matching(first, head)
        except BaseException:
            self._file.close()
            raise

    def events(self) -> Iterator[dict[str, Any]]:
        """Return what the file holds, oldest first; to the end, and before more is appended."""
        lines = self._read()
        next(lines, None)  # the head
        yield from lines

    def append(self, event: dict[str, Any]) -> None:
        """Write one event; where that fails nothing of it stays."""
        text = json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        if self._torn:
            self._cut()
        self._torn = True
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            if self._sync:
                os.fsync(self._file.fileno())
            self._last, self._end = self._end, self._end + len(line)
        except BaseException:
            with suppress(OSError):  # else before the next line
                self._cut()
            raise
        self._torn = False

    def take_back(self) -> None:
        """Remove the line that was appended last. Raises `OSError` where the file does not shrink."""
        self._end, self._torn = self._last, True
        self._cut()

    def _cut(self) -> None:
        self._file.truncate(self._end)
        self._torn = False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{self.path} is in use by another process; one venue writes a file", code="VENUE_FILE_LOCKED"
            ) from error

    def _read(self) -> Iterator[dict[str, Any]]:
        good = 0
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            reader.seek(0)
            while line := reader.readline():
                if not line.endswith(b"\n"):
                    self._last = self._end = good  # cut off while it was written
                    self._cut()
                    return
                text = line[_CHECK:-1]
                if line[: _CHECK - 1] != b"%08x" % zlib.crc32(text):
                    raise DataError(
                        f"{self.path}: the line at byte {good} is damaged; restore the file from a copy, or "
                        "cut it there and lose what came later",
                        code="VENUE_FILE",
                    )
                good += len(line)
                yield json.loads(text)

    def _matching(self, found: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
        if found.get("format") != head["format"]:
            raise ConfigError(
                f"{self.path} was written by version {found.get('format')!r} of the rules; these are version "
                f"{head['format']}, by which its events would make another account. Name another file",
                code="VENUE_FILE_HEAD",
            )
        for name, value in head.items():
            if name != "salt" and found.get(name) != value:
                raise ConfigError(
                    f"{self.path} belongs to an account with {name} {found.get(name)!r}, not {value!r}: "
                    "start it with what it has, or open another account (a session under another name)",
                    code="VENUE_FILE_HEAD",
                )
        return found
