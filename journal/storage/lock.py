"""One writing process per journal.

The writer holds an advisory lock (`flock`) on `<journal>.lock` from its first write until it closes. The
kernel releases it when the process ends, however it ends, so no lock is ever stale and nobody has to delete
one; the file itself stays. Its content (process, host, start of the machine) only serves the message that a
second writer gets.

The lock belongs to the object that took it: a second one is refused in the same process too (databases of
one process share theirs). A forked child does not inherit it.

>>> with Lock(Path("trade_journal.db")) as lock:   # doctest: +SKIP
...     lock.holder
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from journal.storage.files import lock_file
from simulator.errors import JournalError

__all__ = ["WAIT_SECONDS", "Holder", "Lock", "holder"]

WAIT_SECONDS = 0.5
"""How long a second writer waits by default: enough for a short command to end, and below one second."""

_STEP_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes to a journal."""

    pid: int
    host: str
    boot: str
    """Identity of the machine's start: another one means that the entry is left over."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """The right to write to the journal at `path`; `acquire` takes it, `release` gives it back."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self._handle: int | None = None
        _locks.add(self)

    @property
    def taken(self) -> bool:
        """Whether this object has the right."""
        return self._handle is not None

    def acquire(self, wait: float = WAIT_SECONDS) -> None:
        """Take the lock.

        Raises
        ------
        JournalError
            JOURNAL_LOCKED where another has it after `wait` seconds; JOURNAL_READ_ONLY and JOURNAL_ACCESS
            where the lock file cannot be made or locked.
        """
        if self._handle is None:
            self._handle = _take(self.path, wait)

    def release(self) -> None:
        """Give the lock back; releasing twice is nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.ftruncate(handle, 0)
            os.close(handle)

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> Holder | None:
    """Return the process that has the lock of the journal at `path`, or None where nobody has it."""
    path = Path(os.path.realpath(path))
    try:
        handle = os.open(lock_file(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # shared, so that two who only look do not see each other as the holder
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(handle)
    finally:
        os.close(handle)
    return None


def _take(path: Path, wait: float) -> int:
    file = lock_file(path)
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        forbidden = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        raise JournalError(
            f"the journal {path} cannot be written: its lock file {file} cannot be opened "
            f"({error.strerror}). The likely cause is a missing or read-only folder",
            code="JOURNAL_READ_ONLY" if forbidden else "JOURNAL_ACCESS",
        ) from error
    until = time.monotonic() + wait
    try:
        while not _try(handle, path):
            if time.monotonic() >= until:
                raise _locked(path, _read(handle))
            time.sleep(_STEP_SECONDS)
        _sign(handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _sign(handle: int) -> None:
    me = _me()
    # only the message of a second writer needs it, so a full disk is no reason to fail
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": me.pid, "host": me.host, "boot": me.boot}).encode(), 0)


def _try(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise JournalError(
            f"the journal {path} cannot be locked ({error.strerror}): its file system knows no locks. Keep "
            "the journal on a local disk",
            code="JOURNAL_ACCESS",
        ) from error
    return True


def _locked(path: Path, who: Holder | None) -> JournalError:
    whose = "another process" if who is None else str(who)
    return JournalError(
        f"{whose} writes to the journal {path}, and only one process may. Open it for reading, send the "
        "command through its inbox, or end that process",
        code="JOURNAL_LOCKED",
    )


def _read(handle: int) -> Holder | None:
    """Who wrote the lock file; None where an earlier start of this machine left it, or it is not whole."""
    try:
        entry = json.loads(os.pread(handle, 4096, 0))
        found = Holder(int(entry["pid"]), str(entry["host"]), str(entry["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.host != platform.node() or found.boot == _boot() else None


def _me() -> Holder:
    return Holder(os.getpid(), platform.node(), _boot())


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _in_child() -> None:
    # closing the inherited handles leaves the lock with the parent, and lets it end with the parent
    for lock in list(_locks):
        handle, lock._handle = lock._handle, None
        if handle is not None:
            os.close(handle)


os.register_at_fork(after_in_child=_in_child)
