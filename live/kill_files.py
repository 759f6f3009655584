"""The files of a kill switch, and how each is written and read.

`ARMED` is the token without which nothing is submitted, `REDUCING` is the mark that lets only exits pass,
`switch.jsonl` is the record: one line of JSON per event, only ever appended. Drafts of a token are called
`.ARMED.*`; whoever kills removes them too, which is how a kill overtakes an arming that is under way.

The token carries a checksum, so that a file that was halved, edited or scribbled over is no token. The
record is read leniently: a line that a full disk has cut off is skipped.

Words are escaped before they are written and after they are read: a sign that a terminal would obey, or half
of a character, which no page and no log takes, must hide from nobody why trading is halted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = [
    "ENDING",
    "MARK",
    "RECORD",
    "TOKEN",
    "Identity",
    "Token",
    "append",
    "arming",
    "escaped",
    "identity",
    "is_fresh",
    "read_record",
    "read_token",
    "remove_tokens",
    "switch_folder",
    "sync_folder",
    "write_draft",
]

TOKEN: Final = "ARMED"  # noqa: S105 - a file's name
MARK: Final = "REDUCING"
RECORD: Final = "switch.jsonl"
ENDING: Final = ".switch"
"""What the name of a journal's switch folder ends with."""

_JOINERS: Final = "\u200c\u200d"
"""Signs without a shape of their own that names of several languages are written with."""
_DRAFT: Final = ".ARMED."
_LOCK: Final = ".arming.lock"
_LARGEST: Final = 16_384
"""Bytes that a token may have; a longer file is none."""

_TRIES: Final = 5
_STEP_SECONDS: Final = 0.01

Identity = tuple[int, int, int, int]
"""Inode, size, and times of change of a file: the same four mean the same content."""


@dataclass(frozen=True, slots=True)
class Token:
    """What an ARMED file says."""

    scope: str
    by: str
    at: str
    """ISO 8601, UTC."""
    reason: str
    mark: str
    """Random, so that no two armings write the same token."""


def switch_folder(journal: str | os.PathLike[str]) -> Path:
    """Return the folder of the kill switch that belongs to a journal: beside it, ending in `.switch`."""
    path = Path(os.path.realpath(Path(journal).expanduser()))
    return path.with_name(path.name + ENDING)


def escaped(text: str) -> str:
    r"""Return text on one line with every control character and lone surrogate as its escape.

    >>> escaped("quotes\nare \x1b[2Jfrozen \ud800")
    'quotes are \\x1b[2Jfrozen \\ud800'
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        one if one.isprintable() or one in _JOINERS else one.encode("unicode_escape").decode("ascii")
        for one in line
    )


def is_fresh(folder: Path) -> bool:
    """Whether nobody has ever armed, reduced or killed in this folder; an unreadable one is not fresh."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return not {TOKEN, MARK, RECORD} & set(names)


def identity(found: os.stat_result) -> Identity:
    """Return what tells one content of a file from another without reading it."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_token(path: Path) -> tuple[Identity, Token]:
    """Read a token.

    Raises
    ------
    OSError
        It is absent, unreadable, or a link or folder.
    ValueError
        It is too long, not whole, or not a token.
    """
    # not blocking and not following: a pipe or a link is no token
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        seen = identity(os.fstat(handle))
        content = os.read(handle, _LARGEST + 1)
    finally:
        os.close(handle)
    if len(content) > _LARGEST:
        raise ValueError("too long")
    return seen, _decoded(content)


def write_draft(folder: Path, token: Token) -> Path:
    """Write a token under the name of a draft, safe from a power cut; renaming it to ARMED arms."""
    draft = folder / f"{_DRAFT}{os.getpid()}.{token.mark}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            _write(handle, _encoded(token))
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return draft


def remove_tokens(folder: Path) -> list[str]:
    """Remove ARMED and every draft of it; returns what stood in the way, nothing where none is left.

    Where ARMED cannot be removed, as in a folder without the right to, it is emptied: no token either.
    """
    problems: list[str] = []
    # A draft may become ARMED between the two removals, so look again until neither is there.
    for _ in range(_TRIES):
        problems = _remove_once(folder)
        if not problems and not _stands(folder / TOKEN):
            return []
    return problems or ["ARMED comes back as often as it is removed"]


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Append one line to the record and make it survive a power cut; raises OSError.

    Where there is no room the file is there all the same, empty: the folder is then no longer fresh.
    """
    handle = os.open(folder / RECORD, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        _write(handle, (b"\n" if torn else b"") + json.dumps(entry).encode("ascii") + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    if size == 0:
        sync_folder(folder)


def read_record(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the record, oldest first, words escaped; raises OSError where it cannot be read."""
    try:
        content = (folder / RECORD).read_bytes()
    except FileNotFoundError:
        return []
    entries = []
    for line in content.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                entries.append({escaped(name): _readable(value) for name, value in entry.items()})
    return entries


@contextlib.contextmanager
def arming(folder: Path, wait: float) -> Iterator[None]:
    """Hold the right to arm; raises BlockingIOError where another has it for longer than `wait` seconds."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_STEP_SECONDS)
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_once(folder: Path) -> list[str]:
    problems = []
    try:
        os.unlink(folder / TOKEN)
    except FileNotFoundError:
        pass
    except OSError as error:
        if not _emptied(folder / TOKEN):
            problems.append(f"{TOKEN} cannot be removed ({error.strerror})")
    try:
        for name in os.listdir(folder):
            if name.startswith(_DRAFT):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(folder / name)
    except FileNotFoundError:
        pass
    except OSError as error:
        problems.append(f"a draft of {TOKEN} may be left ({error.strerror})")
    return problems


def _emptied(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _stands(path: Path) -> bool:
    """Whether somebody may take this file for a token; one that cannot be read here may be read elsewhere."""
    try:
        read_token(path)
    except (FileNotFoundError, ValueError):
        return False
    except OSError:
        pass
    return True


def _encoded(token: Token) -> bytes:
    fields = asdict(token)
    return (json.dumps({**fields, "sum": _sum(fields)}, indent=1) + "\n").encode("ascii")


def _decoded(content: bytes) -> Token:
    try:
        fields = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if not isinstance(fields, dict) or fields.pop("sum", None) != _sum(fields):
        raise ValueError("its checksum does not fit")
    try:
        return Token(**{name: _word(value) for name, value in fields.items()})
    except TypeError as error:
        raise ValueError("fields are missing or unknown") from error


def _readable(value: object) -> object:
    """Return what a line of the record says of one thing: numbers as they are, all else as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return escaped(value if isinstance(value, str) else json.dumps(value))


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a field is no text")
    return escaped(value)


def _sum(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("ascii")).hexdigest()


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
