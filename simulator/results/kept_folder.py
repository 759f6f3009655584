"""The files of kept runs: a folder with one ZIP file per run, named by the begin of the run's fingerprint.

`head.json` is what a list shows, `run.json` has settings, equity by session and trades, `report.html` is the
report as it was made. Nothing in it is code, and a file may come from anywhere: whatever it holds is checked.
One that is damaged, renamed, too large or of a newer format is named among the problems; the others are read.
What unpacking may cost is limited before anything is unpacked, since a small file can hold a very large one.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard

import numpy as np

from simulator.errors import DataError, TwinstepError, UnknownNameError
from simulator.results.kept import MOST_TRADES, KeptRun, KeptRuns, KeptTrade, Scalar, WholeRun

__all__ = ["FORMAT", "HEAD", "ID_DIGITS", "LIMITS", "REPORT", "RUN", "SUFFIX", "RunFolder", "kept_runs"]

FORMAT: Final = 1
"""Version of the files; a higher one is not read."""
ID_DIGITS: Final = 16
SUFFIX: Final = ".zip"
HEAD, RUN, REPORT = "head.json", "run.json", "report.html"
LIMITS: Final = {HEAD: 256 * 1024, RUN: 8 * 1024 * 1024, REPORT: 12 * 1024 * 1024}
"""Most bytes of each part, unpacked: a longer one is neither written nor read."""
_MOST_BYTES: Final = 16 * 1024 * 1024
_MOST_RATIO: Final = 200
"""How many times its packed size a part may have; 6 is usual, 15,000 trades with one long tag come to 64."""
_ANY_RATIO: Final = 512 * 1024
"""Bytes up to which any ratio passes: a flat curve packs to almost nothing."""
_MOST_DIRECTORY: Final = 4096
"""Bytes of an archive's directory; that of three parts has about 170."""
_END: Final = struct.Struct("<4s4H2LH")
"""The end record of an archive."""
_LOCATOR: Final = 20
"""Bytes of what stands before the end record of a very large archive."""
_MOST_DAYS: Final = 106_000
"""Days from 1970, either way, that nanoseconds can hold."""
_TEXT: Final = 4000
_DAY_NS: Final = 86_400_000_000_000
_FILE: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}\{SUFFIX}")
_HASH: Final = re.compile(r"[A-Za-z0-9+/]{43}=")


class RunFolder:
    """A folder of kept runs; it need not be there yet.

    Listing reads each file's head once: a file that has not changed since is not opened again.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()
        self._known: dict[str, tuple[tuple[int, int, int], KeptRun | str]] = {}
        self._lock = threading.Lock()

    def look(self) -> KeptRuns:
        """Return what is there; a folder that is not there holds nothing."""
        try:
            with os.scandir(self.folder) as entries:
                marks = dict(_marks(one for one in entries if _FILE.fullmatch(one.name)))
        except FileNotFoundError:
            return KeptRuns()
        except OSError as error:
            return KeptRuns(problems=(f"{self.folder} cannot be read: {error.strerror or error}",))
        with self._lock:
            before = self._known
        known = {}
        for name, mark in marks.items():
            held = before.get(name)
            if held is None or held[0] != mark:
                read = self._head_or_why(name.removesuffix(SUFFIX))
                if read is None:
                    continue
                held = mark, read
            known[name] = held
        with self._lock:
            self._known = known
        found = [one for _, one in known.values()]
        runs = sorted((one for one in found if isinstance(one, KeptRun)), key=_newest)
        return KeptRuns(tuple(runs), tuple(sorted(one for one in found if isinstance(one, str))))

    def find(self, name: str) -> KeptRun:
        """Return the run whose id or fingerprint begins so.

        Raises
        ------
        UnknownNameError
            NAME_RUN where none does, or several.
        """
        wanted = name.strip().lower()
        runs = self.look().runs
        found = [one for one in runs if one.fingerprint.startswith(wanted)] if wanted else []
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(one.id for one in found[:5]) + (", …" if len(found) > 5 else "")
            raise UnknownNameError(
                f"{len(found)} kept runs begin with {name!r}: {several}; give more digits", code="NAME_RUN"
            )
        raise UnknownNameError(
            f"no kept run {name!r} in {self.folder}, which holds {len(runs):,}", code="NAME_RUN"
        )

    def head(self, run_id: str) -> KeptRun:
        """Return what a list shows of a run, by its id; raises as `open`."""
        with self._archive(run_id) as archive:
            return _head_of(_document(archive, HEAD), self.path(run_id))

    def open(self, run_id: str) -> WholeRun:
        """Return all of a run, by its id.

        Raises
        ------
        UnknownNameError
            NAME_RUN where it is not there.
        DataError
            DATA_RUN for a file that is damaged, too large, or of a newer format.
        """
        with self._archive(run_id) as archive:
            head = _head_of(_document(archive, HEAD), self.path(run_id))
            return _whole_of(head, _document(archive, RUN))

    def report(self, run_id: str) -> str | None:
        """Return the report as HTML, None where the run was kept without; raises as `open`."""
        with self._archive(run_id) as archive:
            return _part(archive, REPORT).decode("utf-8") if REPORT in archive.namelist() else None

    def delete(self, run_ids: Iterable[str]) -> int:
        """Delete runs by their ids, and return how many were there; raises DATA_RUN where one stays."""
        gone = 0
        for run_id in run_ids:
            path = self.path(run_id)
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DataError(
                    f"{path} cannot be deleted: {error.strerror or error}", code="DATA_RUN"
                ) from error
            gone += 1
        return gone

    def path(self, run_id: str) -> Path:
        """Return where a run lies; raises NAME_RUN for what is no id."""
        name = f"{run_id}{SUFFIX}"
        if not _FILE.fullmatch(name):
            raise UnknownNameError(
                f"{run_id!r} is no id of a run; it has {ID_DIGITS} digits, 0 to 9 and a to f", code="NAME_RUN"
            )
        return self.folder / name

    def _head_or_why(self, run_id: str) -> KeptRun | str | None:
        """Return a head, or why it cannot be read; None where the file has gone meanwhile."""
        try:
            return self.head(run_id)
        except UnknownNameError:
            return None
        except TwinstepError as error:
            return str(error.args[0])

    @contextmanager
    def _archive(self, run_id: str) -> Iterator[zipfile.ZipFile]:
        """Open a run's file, and say of it what is wrong, whatever that is."""
        path = self.path(run_id)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be waited for
                raise ValueError("it is no plain file")
            with path.open("rb") as file:
                _check_size(file)
                with zipfile.ZipFile(file) as archive:
                    yield archive
        except TwinstepError:
            raise
        except FileNotFoundError:
            raise UnknownNameError(f"no kept run {run_id!r} in {self.folder}", code="NAME_RUN") from None
        except Exception as error:  # whatever unpacking and reading raise: it is this file that is broken
            why = _printable(" ".join(str(error).split())) or type(error).__name__
            raise DataError(
                f"{path.name} is no kept run: {why[:200]}; delete it, or keep the run again", code="DATA_RUN"
            ) from error


def kept_runs(folder: str | os.PathLike[str]) -> KeptRuns:
    """Return the runs that are kept in a folder, last kept first; see `RunFolder`."""
    return RunFolder(folder).look()


# Files


def _newest(run: KeptRun) -> tuple[float, str]:
    return -run.updated.timestamp(), run.id


def _marks(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for one in entries:
        with suppress(FileNotFoundError):  # it was deleted since the folder was opened
            if one.is_file(follow_symlinks=False):
                yield one.name, _mark(one.stat(follow_symlinks=False))


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check_size(file: BinaryIO) -> None:
    """Refuse a file whose directory alone would cost much; its length stands at the end."""
    size = file.seek(0, os.SEEK_END)
    if size > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    back = min(size, _END.size + _LOCATOR)
    file.seek(size - back)
    tail = file.read(back)
    if len(tail) < _END.size or not tail[-_END.size :].startswith(b"PK\x05\x06"):
        raise ValueError("it is no archive, or not a whole one")
    *_, directory, _, comment = _END.unpack(tail[-_END.size :])
    if directory > _MOST_DIRECTORY or comment or tail.startswith(b"PK\x06\x07"):
        raise ValueError("it is an archive of something else")


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    found, most = archive.getinfo(name), LIMITS[name]
    if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in a way that no run is")
    if found.file_size > max(_ANY_RATIO, _MOST_RATIO * found.compress_size):
        raise ValueError(f"{name} would unpack to more than {_MOST_RATIO} times its size")
    with archive.open(found) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} has more than {most:,} bytes")
    return content


def _document(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    found = json.loads(_part(archive, name), parse_constant=_no_number)
    if not isinstance(found, dict):
        raise TypeError(f"{name} holds a {type(found).__name__}")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


# From documents; whatever they hold is checked


def _head_of(document: Mapping[str, Any], path: Path) -> KeptRun:
    version = document["format"]
    if not isinstance(version, int):
        raise TypeError("its format is no number")
    if version > FORMAT:
        raise DataError(
            f"{path.name} was kept by a newer version of Twinstep (format {version}, this one reads up to "
            f"{FORMAT}); update to read it",
            code="DATA_RUN",
        )
    fingerprint = _string(document, "fingerprint")
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint) or path.name != fingerprint[:ID_DIGITS] + SUFFIX:
        raise ValueError("its name is not that of its fingerprint")
    scripts = [str(one) for one in document["scripts"]]
    if not all(_HASH.fullmatch(one) for one in scripts):
        raise ValueError("a hash of its scripts is none")
    interval = document["sharpe_interval"]
    return KeptRun(
        id=fingerprint[:ID_DIGITS], fingerprint=fingerprint, created=_moment(document, "created"),
        updated=_moment(document, "updated"), version=_string(document, "version"),
        engine=_string(document, "engine"), strategy=_string(document, "strategy"),
        parameters=_scalars(document["parameters"]), note=_string(document, "note"),
        data=_scalars(document["data"]), conventions=_string(document, "conventions"),
        costs=_string(document, "costs"), risk=bool(document["risk"]), metrics=_figures(document["metrics"]),
        sharpe_interval=None if interval is None else (_number(interval[0]), _number(interval[1])),
        scripts=tuple(scripts),
    )  # fmt: skip


def _whole_of(head: KeptRun, document: Mapping[str, Any]) -> WholeRun:
    curve = document["curve"]
    day = np.asarray(curve["day"], np.int64)
    equity = np.asarray(curve["equity"], np.float64)
    if (
        day.ndim != 1
        or day.shape != equity.shape
        or (np.diff(day) < 0).any()
        or (abs(day) > _MOST_DAYS).any()
    ):
        raise ValueError("its equity curve is none")
    paid = np.zeros(len(day))
    for place, amount in curve["paid"]:
        paid[int(place)] = _number(amount)
    settings = {_word(name): _scalars(values) for name, values in document["settings"].items()}
    interval = {_word(name): _figures(values) for name, values in document["interval"].items()}
    found = WholeRun(
        head=head, settings=settings, cash=_number(document["cash"]), ts=day * _DAY_NS, equity=equity,
        paid=paid, every=max(1, _count(curve["every"])), trades=_trades(document["trades"]),
        left_out=_count(document["left_out"]), interval=interval,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        if not all(np.isfinite(part).all() for part in (equity, found.growth, found.drawdown)):
            raise ValueError("its equity curve holds what is no money")
    return found


def _trades(columns: Mapping[str, Any]) -> tuple[KeptTrade, ...]:
    parts = [list(map(_MAKERS.get(name, _or_nan), columns[name])) for name in KeptTrade._fields]
    if len(parts[0]) > MOST_TRADES:
        raise ValueError(f"it has more than {MOST_TRADES:,} trades")
    return tuple(KeptTrade(*row) for row in zip(*parts, strict=True))


def _word(value: object) -> str:
    return _printable(str(value)[:_TEXT])


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError("a count is none")
    return value


def _side(value: object) -> int:
    if value not in (-1, 1):
        raise ValueError("the side of a trade is none")
    return 1 if value == 1 else -1


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST_DAYS * _DAY_NS:
        raise ValueError("the time of a trade is none")
    return value


_MAKERS: Final[dict[str, Callable[[Any], Any]]] = {
    "symbol": _word, "side": _side, "entry_ts": _time, "exit_ts": _time, "exit_reason": _word, "tag": _word,
}  # fmt: skip


def _string(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or len(value) > _TEXT:
        raise ValueError(f"{name} is no text of at most {_TEXT:,} signs")
    return _printable(value)


def _printable(text: str) -> str:
    """Return a text without signs that a terminal would obey."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def _moment(document: Mapping[str, Any], name: str) -> datetime:
    found = datetime.fromisoformat(_string(document, name))
    if found.tzinfo is None:
        raise ValueError(f"{name} has no zone")
    return found.astimezone(UTC)


def _scalars(values: Any) -> dict[str, Scalar]:
    if not isinstance(values, dict) or not all(map(_is_scalar, values.values())):
        raise ValueError("settings are names with single values")
    return {
        _printable(name): _printable(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _is_scalar(value: object) -> TypeGuard[Scalar]:
    return (
        value is None
        or isinstance(value, (bool, int, float))
        or (isinstance(value, str) and len(value) <= _TEXT)
    )


def _figures(values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError("metrics are names with figures")
    return {_printable(name): _or_nan(value) for name, value in values.items()}


def _or_nan(value: object) -> float:
    if value in ("inf", "-inf"):
        return float(str(value))
    return math.nan if value is None else _number(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number"[:100])
    found = float(value)
    if not math.isfinite(found):
        raise ValueError("a figure is infinite")
    return found
