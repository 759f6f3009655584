"""What a session saw and did, as bytes: named arrays and JSON, versioned, without pickle.

A piece is one bar with what came with it: the rows of all symbols, corporate actions, quotes, the signals
that were known at its close, and a person's commands. `encode_piece` writes it, `decode_piece` gives it back,
and equal pieces are equal bytes. What all bars of a session share (symbols, instruments, surfaces) is written
once, see `live.sessions.frames`; decoding a piece needs it.

Layout: eight bytes of mark and version, the length of the head and the CRC-32 of it and of everything behind
(four bytes each, little endian), the head as JSON (names, types and shapes of the arrays, plain values), and
the arrays as they lie in memory. Records of the kernel are named by their type and a check sum of its fields:
a release with other fields refuses what it would misread.

>>> import numpy as np
>>> data = pack({"close": np.array([1.5, 2.5])}, {"symbol": "ABC"})
>>> arrays, values = unpack(data)
>>> arrays["close"].tolist(), values["symbol"]
([1.5, 2.5], 'ABC')
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.commands import Command
from simulator.errors import EngineError
from simulator.kernel import dtypes
from simulator.kernel.dtypes import COMMAND, LEG, PACKAGE, SIGNAL
from simulator.signals import Signals
from simulator.types import CommandKind

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = [
    "Piece",
    "decode_piece",
    "encode_piece",
    "one_set",
    "pack",
    "records_of_commands",
    "same_market",
    "unpack",
]

Array = npt.NDArray[Any]
Records = npt.NDArray[np.void]
Entry = tuple[str, str, tuple[int, ...]]  # name, type and shape of an array

_MARK: Final = b"TWREC\x00\x00\x01"
_HEAD: Final = len(_MARK) + 8
_ALIGNED: Final = 8  # arrays are read where they lie


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One bar and what came with it.

    Attributes
    ----------
    bars
        One row.
    signals
        Those known at the bar's close, aligned with the bar, ATRs worked out; tags and strategies by the
        tables of the session.
    commands
        COMMAND records, row 0, in the order in which they were given.
    """

    bars: Bars
    signals: Signals
    commands: Records

    @property
    def ts(self) -> int:
        """Label of the bar, UTC nanoseconds."""
        return int(self.bars.ts[0])

    def given_commands(self) -> list[Command]:
        """Return the commands as `Stepper.push` and `backtest` take them."""
        if not len(self.commands):
            return []
        import pandas as pd

        time, symbols = pd.Timestamp(self.ts, unit="ns", tz="UTC"), self.bars.symbols
        return [
            Command(
                time,
                CommandKind(int(record["kind"])).label,
                symbols[record["sym"]] if record["sym"] >= 0 else None,
                None if np.isnan(record["value"]) else float(record["value"]),
            )
            for record in self.commands
        ]


def pack(arrays: Mapping[str, Array], values: Mapping[str, Any] | None = None) -> bytes:
    """Return named arrays and plain values as bytes; arrays of numbers or of the kernel's records only."""
    laid = [np.ascontiguousarray(array) for array in arrays.values()]
    entries = tuple(
        (name, _type_name(array.dtype), array.shape) for name, array in zip(arrays, laid, strict=True)
    )
    head = _usual_head(entries) if not values else _head(entries, values)
    size = len(head).to_bytes(4, "little")
    body = b"".join([head, *[array.tobytes() for array in laid]])
    return b"".join([_MARK, size, zlib.crc32(body, zlib.crc32(size)).to_bytes(4, "little"), body])


def unpack(data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return what `pack` was given; the arrays are read-only.

    Raises
    ------
    EngineError
        LIVE_RECORDING for bytes of another version, of other records, or damaged ones.
    """
    if data[: len(_MARK)] != _MARK:
        raise EngineError(
            f"these {len(data)} bytes are no recording of version {_MARK[-1]}, or their beginning is damaged",
            code="LIVE_RECORDING",
        )
    body = memoryview(data)[_HEAD:]
    size = data[len(_MARK) : len(_MARK) + 4]
    if zlib.crc32(body, zlib.crc32(size)) != int.from_bytes(data[_HEAD - 4 : _HEAD], "little"):
        raise EngineError(
            f"a recording of {len(data)} bytes is damaged: its check sum does not fit", code="LIVE_RECORDING"
        )
    at = int.from_bytes(size, "little")
    head = bytes(body[:at])
    # with nothing but arrays, heads are few and come with every bar
    entries, values = (_usual_entries(head), {}) if head.rstrip().endswith(b",{}]") else _read_head(head)
    arrays = {}
    for name, kind, shape in entries:
        dtype = _dtype(kind)
        count = prod(shape)
        arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return arrays, values


def _head(entries: tuple[Entry, ...], values: Mapping[str, Any]) -> bytes:
    head = json.dumps([entries, values], separators=(",", ":"), sort_keys=True).encode()
    return head + b" " * (-(_HEAD + len(head)) % _ALIGNED)


def _read_head(head: bytes) -> tuple[list[Entry], dict[str, Any]]:
    entries, values = json.loads(head)
    return entries, values


@functools.lru_cache(maxsize=64)
def _usual_head(entries: tuple[Entry, ...]) -> bytes:
    return _head(entries, {})


@functools.lru_cache(maxsize=64)
def _usual_entries(head: bytes) -> list[Entry]:
    return _read_head(head)[0]


# One bar


def encode_piece(piece: Piece) -> bytes:
    """Return a piece as bytes."""
    arrays = _arrays_of(piece.bars)
    values: dict[str, Any] = {}
    signals = piece.signals
    if len(signals):
        arrays["signals"] = signals.records
        for name, names in (("tag", signals.tags), ("strategy", signals.strategies)):
            used = sorted(set(signals.records[name].tolist()) - {0})
            if used:
                values[name] = [[code, names[code]] for code in used]
        if len(signals.packages):
            arrays |= {"packages": signals.packages, "legs": signals.legs}
    if len(piece.commands):
        arrays["commands"] = piece.commands
    return pack(arrays, values)


def decode_piece(data: bytes, like: Bars) -> Piece:
    """Return the piece that `encode_piece` wrote; `like` is what its session's bars share.

    Raises
    ------
    EngineError
        LIVE_RECORDING.
    """
    arrays, values = unpack(data)
    signals = Signals(
        arrays.get("signals", _NO_SIGNALS),
        like.symbols,
        tags=_names(values.get("tag", ())),
        strategies=_names(values.get("strategy", ())),
        sectors=like.sector_names,
        packages=arrays.get("packages", _NO_PACKAGES),
        legs=arrays.get("legs", _NO_LEGS),
    )
    return Piece(_bars_of(arrays, like), signals, arrays.get("commands", _NO_COMMANDS))


def one_set(pieces: Sequence[Piece]) -> tuple[Signals, list[Command]]:
    """Return signals and commands of consecutive bars as one set, rows and packages counted through."""
    commands = [one for piece in pieces if len(piece.commands) for one in piece.given_commands()]
    parts, packages, legs, count = [], [], [], 0
    for row, piece in enumerate(pieces):
        signals = piece.signals
        if not len(signals):
            continue
        records = signals.records.copy()
        records["row"] = row
        records["package"] += np.where(records["package"] > 0, count, 0)
        parts.append(records)
        packages.append(signals.packages)
        legs.append(signals.legs)
        count += len(signals.packages)
    like = pieces[0].signals
    if not parts:
        return like, commands
    # names are not needed: the records carry the session's own codes
    signals = Signals(
        np.concatenate(parts), like.symbols, sectors=like.sectors,
        packages=np.concatenate(packages) if count else None, legs=np.concatenate(legs) if count else None,
    )  # fmt: skip
    return signals, commands


def records_of_commands(commands: list[Command], symbols: tuple[str, ...]) -> Records:
    """Return commands as COMMAND records for one bar."""
    records = np.zeros(len(commands), COMMAND)
    kinds = {kind.label: int(kind) for kind in CommandKind}
    for index, command in enumerate(commands):
        sym = -1 if command.symbol is None else symbols.index(command.symbol)
        value = np.nan if command.value is None else command.value
        records[index] = (0, index + 1, kinds[command.kind], sym, value)
    return records


def same_market(one: Bars, other: Bars) -> bool:
    """Whether two single bars say the same, byte for byte; announced earnings, which come late, aside."""
    mine, theirs = _arrays_of(one), _arrays_of(other)
    for each in (mine, theirs):
        each.pop("actions", None)
        each["clock"] = each["clock"][:2]
    return mine.keys() == theirs.keys() and all(
        array.tobytes() == theirs[name].tobytes() for name, array in mine.items()
    )


def _arrays_of(bars: Bars) -> dict[str, Array]:
    panel = bars.panel[0]
    clock = np.array([bars.ts[0], bars.session[0], bars.session_no[0]], np.int64)
    arrays: dict[str, Array] = {"clock": clock}
    known = ~np.isnan(panel).all(axis=1)
    if 2 * int(known.sum()) < len(known):
        arrays |= {"columns": np.flatnonzero(known), "panel": panel[known]}
    else:
        arrays["panel"] = panel
    if not bars.daily:
        arrays["times"] = np.array([bars.open_ts[0], bars.close_ts[0]], np.int64)
    if bars.spread.size:
        arrays["spread"] = bars.spread[0]
    if len(bars.actions):
        arrays["actions"] = bars.actions
    options = bars.options
    if options is not None:
        arrays["rates"] = options.rates
        if options.volatility.size:
            arrays["volatility"] = options.volatility[0]
        if len(options.quotes):
            arrays["quotes"] = options.quotes
    detail = bars.detail
    if detail is not None and len(detail):
        arrays["detail"] = detail.panel
        arrays["detail_clock"] = np.stack(
            [detail.ts, detail.session, detail.session_no, detail.open_ts, detail.close_ts]
        )
    return arrays


def _bars_of(arrays: dict[str, Array], like: Bars) -> Bars:
    ts, session, number = (arrays["clock"][index : index + 1] for index in range(3))
    panel = arrays["panel"]
    if "columns" in arrays:
        panel = np.full((len(like.symbols), 5), np.nan)
        panel[arrays["columns"]] = arrays["panel"]
    parts: dict[str, Any] = {}
    if "times" in arrays:
        parts = {"open_ts": arrays["times"][:1], "close_ts": arrays["times"][1:]}
    if like.options is not None:
        quotes = arrays.get("quotes", like.options.quotes)
        volatility = arrays["volatility"][None] if "volatility" in arrays else like.options.volatility
        parts["options"] = type(like.options)(
            volatility, arrays["rates"], like.options.yields, like.options.surfaces, quotes,
            np.array([0, len(quotes)], np.int64),
        )  # fmt: skip
    if like.detail is not None:
        finer = like.detail
        if "detail" in arrays:
            clock = arrays["detail_clock"]
            names = ("ts", "session", "session_no", "open_ts", "close_ts")
            finer = finer.replaced(panel=arrays["detail"], **dict(zip(names, clock, strict=True)))
        parts |= {"detail": finer, "detail_start": np.array([0, len(finer)], np.int64)}
    return like.replaced(
        panel=panel[None],
        ts=ts,
        session=session,
        session_no=number,
        actions=arrays.get("actions", like.actions),
        spread=arrays["spread"][None] if "spread" in arrays else _NO_SPREAD,
        **parts,
    )


def _names(used: Any) -> tuple[str, ...]:
    # Codes are those of the session; names of codes that this bar does not use are left empty.
    names = [""] * (1 + max((code for code, _ in used), default=0))
    for code, name in used:
        names[code] = name
    return tuple(names)


_RECORDS: Final = {
    name: dtype
    for name, dtype in vars(dtypes).items()
    if name.isupper() and isinstance(dtype, np.dtype) and dtype.names
}
_TYPE_NAMES: Final = {
    dtype: f"{name}:{zlib.crc32(repr(dtype.descr).encode()):08x}" for name, dtype in _RECORDS.items()
}
_TYPES: Final = {name: dtype for dtype, name in _TYPE_NAMES.items()}
_PLAIN: Final = {text: np.dtype(text) for text in ("<f8", "<i8")}

_NO_SPREAD: Final = np.zeros((0, 0))
_NO_SIGNALS: Final = np.zeros(0, SIGNAL)
_NO_PACKAGES: Final = np.zeros(0, PACKAGE)
_NO_LEGS: Final = np.zeros((0, 4), LEG)
_NO_COMMANDS: Final = np.zeros(0, COMMAND)


def _type_name(dtype: np.dtype[Any]) -> str:
    if dtype.names:
        name = _TYPE_NAMES.get(dtype)
        if name is not None:
            return name
    elif dtype.str in _PLAIN:
        return dtype.str
    raise EngineError(
        f"arrays of {dtype} are not recorded; numbers are float64 or int64", code="LIVE_RECORDING"
    )


def _dtype(name: str) -> np.dtype[Any]:
    found = _PLAIN.get(name, _TYPES.get(name))
    if found is None:
        raise EngineError(
            f"a recording holds {name.partition(':')[0]} records of another release; read it with that one",
            code="LIVE_RECORDING",
        )
    return found
