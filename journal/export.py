"""Export of trades with all that hangs on them: CSV, Excel, Parquet and JSON.

Every format says which source its trades are from, and holds one source unless several were asked for by
name. Times are ISO 8601 in UTC with a Z, money is in currency, percent is percent, unknown is empty. Numbers
stay numbers. A spreadsheet runs text that begins with =, +, - or @; in CSV and Excel such text gets an
apostrophe in front. A file is written whole or not at all, and an existing file is replaced.

>>> escaped("=1+1"), escaped("-0.5 delta"), escaped(-0.5)
("'=1+1", "'-0.5 delta", -0.5)
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from journal import schema
from journal.ledger.lookup import chosen
from journal.storage.columns import Big, Real
from journal.storage.files import write_whole
from journal.values import symbol_of
from simulator.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from journal.database import Database

__all__ = ["FORMATS", "escaped", "export_trades", "iso_time", "write_csv"]

FORMATS: Final = {".csv": "csv", ".xlsx": "excel", ".parquet": "parquet", ".json": "json"}
"""Format by the ending of the file."""

RULE: Final = (
    "Trades of one source (live, paper or backtest) stand in one file; sources are only mixed when they were "
    "asked for by name, and the column 'source' then tells them apart."
)
"""The rule as it is written into the files."""

_CHILDREN: Final = {
    "legs": schema.legs,
    "fills": schema.fills,
    "insights": schema.insights,
    "mistakes": schema.mistakes,
    "lessons": schema.lessons,
    "tags": schema.tags,
}
_FLAT: Final = ("legs", "insights", "mistakes", "lessons", "tags")
_RUN_BY_SPREADSHEETS: Final = ("=", "+", "-", "@", "\t", "\r")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LONGEST_CELL: Final = 32_767  # characters in a cell of a workbook
_TRADES_PER_QUERY: Final = 500


def export_trades(
    journal: Any,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    source: str | Sequence[str] | None = None,
    symbol: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Path:
    """Write trades with legs, fills, insights, mistakes, lessons and tags.

    Parameters
    ----------
    journal
        A `TradeJournal` or a `Database`.
    path
        File to write; its folder must exist.
    format
        "csv", "excel", "parquet" or "json"; None goes by the ending of the file. CSV and Parquet have one row
        per trade; Excel has a sheet per table and one that explains; JSON has trades with lists in them.
    source
        "live", "paper", "backtest", several of them, or "all"; None is that of the journal.
    symbol
        Only trades in it.
    since, until
        Entry time from (inclusive) and to (exclusive), UTC nanoseconds.

    Raises
    ------
    DataError
        JOURNAL_CHOICE for an unknown format or source, JOURNAL_EXPORT where the file cannot be written.
    MissingExtraError
        JOURNAL_EXTRA_EXCEL: Excel needs the extra "excel".
    """
    target = Path(path)
    kind = FORMATS.get(target.suffix.lower(), "") if format is None else format
    chosen("format", kind or target.name, FORMATS.values())
    sources = _sources(source, getattr(journal, "source", "live"))
    database: Database = getattr(journal, "database", journal)
    with database.read() as connection:
        tables = _read(connection, sources, symbol, since, until)
    writers = {"csv": _csv, "excel": _excel, "parquet": _parquet, "json": _json}
    return _write(target, writers[kind](tables, sources))


def write_csv(path: str | os.PathLike[str], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table as CSV, with escaped text, whole or not at all; returns the path."""
    return _write(Path(path), _csv_bytes(names, rows))


def escaped(value: Any) -> Any:
    """Return a value as it may stand in a spreadsheet: text that would be run has an apostrophe in front."""
    if isinstance(value, str) and value.startswith(_RUN_BY_SPREADSHEETS):
        return f"'{value}"
    return value


def iso_time(stamp: int) -> str:
    """Return UTC nanoseconds as ISO 8601 with a Z; fractions of a second only where there are any.

    >>> iso_time(1_577_923_200_000_000_000), iso_time(1_577_923_200_120_000_000)
    ('2020-01-02T00:00:00Z', '2020-01-02T00:00:00.12Z')
    """
    from journal.values import from_nanoseconds

    whole, rest = divmod(stamp, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{from_nanoseconds(whole * 1_000_000_000):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _sources(given: str | Sequence[str] | None, own: str) -> tuple[str, ...]:
    if given == "all":
        return schema.SOURCES
    names = (own,) if given is None else (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        chosen("source", name, (*schema.SOURCES, "all"))
    return names


def _read(
    connection: Connection, sources: Sequence[str], symbol: str | None, since: int | None, until: int | None
) -> dict[str, list[dict[str, Any]]]:
    trades = schema.trades
    query = select(trades).where(trades.c.source.in_(list(sources)))
    if symbol is not None:
        query = query.where(trades.c.symbol == symbol_of("symbol", symbol))
    if since is not None:
        query = query.where(trades.c.entry_ts >= since)
    if until is not None:
        query = query.where(trades.c.entry_ts < until)
    rows = [_plain(row) for row in connection.execute(query.order_by(trades.c.entry_ts, trades.c.id))]
    tables = {"trades": rows}
    for name, table in _CHILDREN.items():
        tables[name] = _of(connection, table, [row["id"] for row in rows])
    return tables


def _of(connection: Connection, table: Table, numbers: Sequence[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    order = (table.c.trade_id, table.c.id if "id" in table.c else table.c.tag)
    for start in range(0, len(numbers), _TRADES_PER_QUERY):
        some = table.c.trade_id.in_(numbers[start : start + _TRADES_PER_QUERY])
        found.extend(_plain(row) for row in connection.execute(select(table).where(some).order_by(*order)))
    return found


def _plain(row: Any) -> dict[str, Any]:
    """Return a row with times in words: `entry_ts` becomes `entry_time`, `ts` becomes `time`."""
    result = {}
    for name, value in row._mapping.items():
        if name == "ts" or name.endswith("_ts"):
            result[f"{name[:-2]}time"] = None if value is None else iso_time(value)
        else:
            result[name] = value
    return result


def _names(table: Table) -> list[str]:
    return [f"{name[:-2]}time" if name == "ts" or name.endswith("_ts") else name for name in table.c.keys()]


def _by_trade(tables: dict[str, list[dict[str, Any]]], name: str) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in tables[name]:
        found.setdefault(row["trade_id"], []).append(row)
    return found


_IN_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "legs": lambda row: f"{'buy' if row['side'] > 0 else 'sell'} {row['ratio']:g} {row['symbol']}",
    "insights": lambda row: row["text"],
    "mistakes": lambda row: ": ".join(part for part in (row["category"], row["description"]) if part),
    "lessons": lambda row: row["lesson"],
    "tags": lambda row: row["tag"],
}


def _flat(tables: dict[str, list[dict[str, Any]]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return column names, `source` first, and a row per trade with lists of words for what hangs on it."""
    grouped = {name: _by_trade(tables, name) for name in _FLAT}
    names = ["source", *(name for name in _names(schema.trades) if name != "source"), *_FLAT]
    rows = []
    for trade in tables["trades"]:
        words = {name: [_IN_WORDS[name](one) for one in grouped[name].get(trade["id"], [])] for name in _FLAT}
        rows.append({**trade, **words})
    return names, rows


def _csv(tables: dict[str, list[dict[str, Any]]], sources: Sequence[str]) -> bytes:
    del sources  # every row has its own
    names, rows = _flat(tables)
    joined = ([" | ".join(row[name]) if name in _FLAT else row[name] for name in names] for row in rows)
    return _csv_bytes(names, joined)


def _csv_bytes(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(names)
    writer.writerows([escaped(value) for value in row] for row in rows)
    return stream.getvalue().encode()


def _json(tables: dict[str, list[dict[str, Any]]], sources: Sequence[str]) -> bytes:
    grouped = {name: _by_trade(tables, name) for name in _CHILDREN}
    trades = [
        {**trade, **{name: [_own(one) for one in grouped[name].get(trade["id"], [])] for name in _CHILDREN}}
        for trade in tables["trades"]
    ]
    whole = {
        "rule": RULE,
        "sources": list(sources),
        "schema_version": schema.SCHEMA_VERSION,
        "trades": trades,
    }
    return (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode()


def _own(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("trade_id", "recommendation_id")}


def _parquet(tables: dict[str, list[dict[str, Any]]], sources: Sequence[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, rows = _flat(tables)
    numbers = {column.name for column in schema.trades.c if isinstance(column.type, Real)}
    whole = {column.name for column in schema.trades.c if isinstance(column.type, Big)}
    types = [
        pa.list_(pa.string())
        if name in _FLAT
        else pa.float64()
        if name in numbers
        else pa.int64()
        if name in whole
        else pa.string()
        for name in names
    ]
    about = {"rule": RULE, "sources": ", ".join(sources), "schema_version": str(schema.SCHEMA_VERSION)}
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(zip(names, types, strict=True)), metadata=about))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _excel(tables: dict[str, list[dict[str, Any]]], sources: Sequence[str]) -> bytes:
    try:
        from openpyxl import Workbook  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "writing a workbook needs openpyxl: pip install 'twinstep[excel]', or write CSV",
            code="JOURNAL_EXTRA_EXCEL",
        ) from error
    book = Workbook(write_only=True)
    names, flat = _flat(tables)
    sheet = book.create_sheet("Trades")
    sheet.append(names)
    for row in flat:
        sheet.append([_cell(" | ".join(row[name]) if name in _FLAT else row[name]) for name in names])
    for name, table in _CHILDREN.items():
        sheet = book.create_sheet(name.capitalize())
        columns = [column for column in _names(table) if column != "recommendation_id"]
        sheet.append(columns)
        for row in tables[name]:
            sheet.append([_cell(row[column]) for column in columns])
    about = book.create_sheet("About")
    for line in (
        ("Sources", ", ".join(sources)),
        ("Rule", RULE),
        ("Times", "ISO 8601, UTC"),
        ("Unknown", "empty"),
    ):
        about.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return escaped(_UNPRINTABLE.sub(" ", value))[:_LONGEST_CELL]


def _write(path: Path, content: bytes) -> Path:
    try:
        write_whole(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}", code="JOURNAL_EXPORT") from error
    return path
