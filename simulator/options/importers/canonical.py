"""The project's own layout: what `Chain.to_frame` and `Chain.to_parquet` write, one row per quote.

Columns are time, symbol, root, expiry, kind, strike, bid, ask, bid_size, ask_size, volume, open_interest, iv,
delta, underlying, style, multiplier, settlement and origin; only time, expiry, kind, strike, bid and ask are
needed. Words are stored as dictionaries, so that reading a Parquet file touches no text per row. The origin
is a column, not a note beside it: a modelled chain stays modelled through any other program.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.arrays import DAY, Ints
from simulator.errors import DataError
from simulator.options.chain_columns import (
    KIND_NAMES,
    NUMBERS,
    SETTLEMENTS,
    STYLES,
    Column,
    Draft,
    Origin,
    check_origin,
    worst_origin,
)
from simulator.options.importers.parse import Layout, Source, Table, at_close

if TYPE_CHECKING:
    import pandas as pd

    from simulator.options.chain import Chain

__all__ = ["LAYOUT", "read", "read_arrow", "to_frame", "write"]

_WORDS: Final = {"style": STYLES, "settlement": SETTLEMENTS}
_ZONE: Final = r":\d\d.*(?:Z|[+-]\d\d:?\d\d)\s*$"
_ORDER: Final = (
    "time", "symbol", "root", "expiry", "kind", "strike", "bid", "ask", "bid_size", "ask_size", "volume",
    "open_interest", "iv", "delta", "underlying", "style", "multiplier", "settlement", "origin",
)  # fmt: skip


def read(table: Table) -> list[Draft]:
    """Return the drafts of a table in this layout."""
    columns: dict[str, Any] = {
        "ts": _times(table),
        "expiry": table.days("expiry"),
        "kind": table.kinds("kind"),
        **{
            name: table.numbers(name) for name in NUMBERS if name in table or name in ("strike", "bid", "ask")
        },
        **{name: table.mapped(name, _word(name, table.source), np.int8) for name in _WORDS if name in table},
    }
    for name in ("bid", "ask", "strike"):
        table.series(name)
    return table.by_symbol(
        table.coded("symbol") if "symbol" in table else None,
        root=table.coded("root", empty=True) if "root" in table else None,
        origin=_origin(table.coded("origin")[0] if "origin" in table else (), table.source),
        **columns,
    )


def read_arrow(path: Path, source: Source) -> list[Draft] | None:
    """Return the drafts of a Parquet file as `write` makes it; None for others, which `read` judges."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    if schema.names != list(_ORDER) or str(schema.field("time").type) != "timestamp[ns, tz=UTC]":
        return None
    words = ["symbol", "root", "kind", "style", "settlement", "origin"]
    data = pq.read_table(path, read_dictionary=words)
    if not data.num_rows:
        raise DataError(f"{source.name} has no rows", code="DATA_EMPTY")
    if any(data[name].null_count for name in (*words, "time", "expiry")):
        return None
    columns: dict[str, Any] = {name: data[name].to_numpy() for name in NUMBERS}
    columns["ts"] = data["time"].cast("int64").to_numpy()
    columns["expiry"] = data["expiry"].cast("int32").to_numpy().astype(np.int64)
    meanings = {name: {text: code for code, text in enumerate(known)} for name, known in _WORDS.items()}
    meanings["kind"] = {text: code for code, text in KIND_NAMES.items()}
    for name, meaning in meanings.items():
        texts, codes = _dictionary(data[name])
        if not set(texts) <= set(meaning):
            return None
        columns[name] = np.array([meaning[text] for text in texts], np.int8)[codes]
    table = Table(data.select([]).to_pandas(), source)
    table.size = data.num_rows
    return table.by_symbol(
        _dictionary(data["symbol"]),
        root=_dictionary(data["root"]),
        origin=_origin(_dictionary(data["origin"])[0], source),
        **columns,
    )


def to_frame(chain: Chain) -> pd.DataFrame:
    """Return a chain as a table in this layout, with times in UTC and words as categories."""
    import pandas as pd

    def words(codes: Column, names: tuple[str, ...]) -> pd.Categorical[Any]:
        return pd.Categorical.from_codes(codes, pd.Index(names, dtype="str"))

    columns: dict[str, Any] = {name: getattr(chain, name) for name in NUMBERS}
    columns["time"] = pd.to_datetime(chain.ts, unit="ns", utc=True)
    columns["expiry"] = chain.expiry.astype("datetime64[D]").astype("datetime64[s]")
    constant = np.zeros(len(chain), np.int8)
    columns["symbol"] = words(constant, (chain.symbol,))
    columns["origin"] = words(constant, (chain.origin,))
    columns["root"] = words(chain.root, chain.roots)
    columns["kind"] = words((chain.kind < 0).astype(np.int8), tuple(KIND_NAMES.values()))
    for name, known in _WORDS.items():
        columns[name] = words(getattr(chain, name), known)
    return pd.DataFrame({name: columns[name] for name in _ORDER})


def write(chain: Chain, path: Path) -> Path:
    """Write a chain as Parquet: first beside its place, then moved there in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = to_frame(chain)
    data: dict[str, Any] = {name: pa.array(frame[name]) for name in _ORDER}
    data["time"] = pa.array(chain.ts).cast(pa.timestamp("ns", tz="UTC"))
    data["expiry"] = pa.array(chain.expiry.astype(np.int32)).cast(pa.date32())
    for name in NUMBERS:
        data[name] = pa.array(getattr(chain, name))  # NaN stays NaN: a null would cost a pass when read
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(pa.table(data), beside, compression="zstd", use_dictionary=True)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error}", code="DATA_FILE") from error
    return path


def _times(table: Table) -> Ints:
    import pandas as pd

    series = table.series("time")
    if series.dtype.kind == "i":
        return series.to_numpy(np.int64)
    form, utc = None, False
    if series.dtype.kind in "OSUT":
        zoned = series.astype("str").str.contains(_ZONE).fillna(False)
        form, utc = "ISO8601", bool(zoned.all())
        if zoned.any() and not utc:
            row = int(np.argmin(zoned.to_numpy())) + 1
            raise DataError(
                f"{table.source.name}: row {row} has no time with a zone, as others have", code="DATA_NAIVE"
            )
    try:
        read = pd.to_datetime(series, format=form, utc=utc)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{table.source.name}: column time cannot be read: {error}", code="DATA_TIME"
        ) from error
    if read.isna().any():
        row = int(np.argmax(read.isna().to_numpy())) + 1
        raise DataError(f"{table.source.name}: row {row} has no time", code="DATA_TIME")
    if read.dt.tz is not None:
        return np.asarray(pd.DatetimeIndex(read).tz_convert("UTC").as_unit("ns").asi8, np.int64)
    ts = np.asarray(pd.DatetimeIndex(read).as_unit("ns").asi8, np.int64)
    if (ts % DAY != 0).any():
        row = int(np.argmax(ts % DAY != 0)) + 1
        raise DataError(
            f"{table.source.name}: row {row} has a time of day without a time zone; localise the column time",
            code="DATA_NAIVE",
        )
    return at_close(table.source.calendar, ts // DAY)


def _word(name: str, source: Source) -> Any:
    known = _WORDS[name]

    def read(value: Any) -> int:
        text = str(value).strip().lower()
        if text not in known:
            raise DataError(
                f"{source.name}: {name} {value!r} is none of {', '.join(known)}", code="DATA_TYPE"
            )
        return known.index(text)

    return read


def _origin(found: tuple[str, ...], source: Source) -> Origin:
    given = [] if source.origin is None else [check_origin(source.origin)]
    return worst_origin([*given, *(check_origin(text) for text in found)])


def _dictionary(column: Any) -> tuple[tuple[str, ...], Column]:
    """Return a dictionary column's distinct texts, sorted, and the position of each row's text."""
    one = column.combine_chunks()
    if hasattr(one, "num_chunks"):
        one = one.unify_dictionaries().combine_chunks()
    texts = one.dictionary.to_pylist()
    codes = one.indices.to_numpy(zero_copy_only=False)
    used = sorted({texts[code] for code in np.flatnonzero(np.bincount(codes))})
    table = np.array([used.index(text) if text in used else 0 for text in texts], np.int16)
    return tuple(used), table[codes]


LAYOUT: Final = Layout(
    "canonical", "the project's own", frozenset({"time", "expiry", "kind", "strike", "bid", "ask"}), read
)
