"""The tick file of an automation: everything that went in, on the disk before it is stepped.

One line of JSON per tick, each with a check sum, forced to the disk before the account sees it. So a restart
steps the same ticks again and is where it was; what a crash kept from the journal is written there then. A
last line that is torn was never stepped and is cut off; any other damage is an error, because what came after
it cannot be trusted. The first line says under which rules and which engine the account was opened.

A lock on the file keeps a second automation away from the same account.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from pathlib import Path
from typing import Any, Final

from simulator.errors import ConfigError, JournalError

__all__ = ["TickFile"]

NAME: Final = "ticks.jsonl"


class TickFile:
    """The tick file in a folder, locked for this automation.

    Parameters
    ----------
    folder
        Made where it is missing.
    head
        What the account was opened under, as plain values. Its `run`, an id, is that of the first.

    Raises
    ------
    ConfigError
        LIVE_ACCOUNT_BUSY where another automation has it, LIVE_ACCOUNT_CHANGED where it was opened under
        other rules.
    JournalError
        LIVE_TICK_FILE where it cannot be read or is damaged.
    """

    def __init__(self, folder: Path, head: dict[str, Any]) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(self.path, "a+b", buffering=0)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be opened: {error}", code="LIVE_TICK_FILE") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ConfigError(
                f"another automation trades the account in {folder}; give this one its own state_folder or "
                "journal",
                code="LIVE_ACCOUNT_BUSY",
            ) from error
        try:
            lines = self._read()
            if not lines:
                self.append(head)
            self.head = json.loads(json.dumps(head)) if not lines else self._same(lines[0], head)
        except BaseException:
            self._file.close()
            raise
        self.entries = lines[1:]

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry; when this returns it is on the disk.

        Raises
        ------
        JournalError
            LIVE_TICK_FILE; what was written of it is taken back.
        """
        body = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode()
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        self._before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
            os.fsync(self._file.fileno())
        except OSError as error:
            self.take_back()
            raise JournalError(
                f"{self.path} cannot be written ({error}), so the tick was not stepped", code="LIVE_TICK_FILE"
            ) from error

    def take_back(self) -> None:
        """Cut off the entry that was written last: it was not stepped."""
        self._file.truncate(self._before)

    def close(self) -> None:
        """Give the account back."""
        self._file.close()

    def _read(self) -> list[dict[str, Any]]:
        self._file.seek(0)
        data = self._file.read()
        lines = data.split(b"\n")
        torn = lines.pop()
        found = [self._entry(number, line) for number, line in enumerate(lines, 1)]
        if torn:
            self._file.truncate(len(data) - len(torn))
        return found

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        body = line[9:]
        try:
            if int(line[:8], 16) != zlib.crc32(body):
                raise ValueError("its check sum does not fit")
            entry: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise JournalError(
                f"{self.path}, line {number} is damaged: {error}; restore the file, or begin another account "
                "in another state_folder",
                code="LIVE_TICK_FILE",
            ) from error
        return entry

    def _same(self, was: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
        now = json.loads(json.dumps(head))
        names = [name for name in now if name != "run" and now[name] != was.get(name)]
        if names:
            raise ConfigError(
                f"the account in {self.path.parent} was opened with other {', '.join(names)}; open it as it "
                "was, or begin another one in another state_folder",
                code="LIVE_ACCOUNT_CHANGED",
            )
        return was
