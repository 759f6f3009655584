"""CSV and Parquet files, one or a folder of them.

A file holds either one symbol (named after the file) or many, told apart by a column `symbol` or `ticker`.
In a folder, every `.csv`, `.csv.gz`, `.tsv`, `.txt` and `.parquet` file is read; `sectors.csv` (symbol,
sector) and `actions.csv` (symbol, date, kind, value) are side tables. A column `sector` of a long table
gives sectors too. Columns are matched as in `simulator.bars.frames`; commas, semicolons and tabs are
recognised.

Where a table has an adjusted close, `adjust` decides what becomes of it, as `simulator.bars.adjust`
describes: by default open, high, low and close are all brought onto its basis.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.actions import ActionRow, to_rows
from simulator.bars.adjust import Adjust, check_adjust, from_adjusted_close
from simulator.bars.arrays import DAY, FIELDS
from simulator.bars.clock import check_calendar
from simulator.bars.frames import ADJUSTED, SYMBOL_COLUMNS, column_names, time_index, times_of
from simulator.bars.panel import Bars, GuardPolicy
from simulator.errors import DataError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_files", "read_table"]

SUFFIXES: Final = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".pq")
SECTOR_FILE: Final = "sectors.csv"
ACTION_FILE: Final = "actions.csv"
ABSENT: Final = ["", "NA", "N/A", "#N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None", "-", "."]


def load_files(
    path: Path,
    *,
    symbols: tuple[str, ...] | None = None,
    calendar: str = "XNYS",
    guard: GuardPolicy = "raise",
    sectors: Mapping[str, str] | None = None,
    adjust: Adjust = "all",
) -> Bars:
    """Return the bars of a file or a folder.

    Raises
    ------
    DataError
        DATA_FILE for what cannot be found, opened or parsed; DATA_EMPTY for a file without rows or a folder
        without files; everything that `Bars.from_frames` raises.
    UnknownNameError
        NAME_SYMBOL where a wanted symbol is in no file.
    """
    check_adjust(adjust)
    calendar = check_calendar(calendar)
    files, known_sectors, actions = _collect(path)
    frames: dict[str, pd.DataFrame] = {}
    for file in files:
        for symbol, frame in _split(file, known_sectors, wanted=symbols).items():
            if symbol in frames:
                raise DataError(
                    f"symbol {symbol} occurs in more than one file of {path}", code="DATA_SYMBOLS"
                )
            frames[symbol] = _timed(file, symbol, frame)
    missing = [symbol for symbol in symbols or () if symbol not in frames]
    if missing:
        known = [_symbol_of(file) for file in files] if path.is_dir() else list(known_sectors)
        near = did_you_mean(missing[0], known)
        near = near if near.startswith(" Did") or len(known) < 50 else ""
        raise UnknownNameError(f"{path} has no symbol {missing[0]!r}.{near}", code="NAME_SYMBOL")
    for symbol, frame in frames.items():
        frames[symbol], found = _on_basis(symbol, frame, calendar, adjust)
        actions += found
    given = {**{name: text for name, text in known_sectors.items() if text}, **(sectors or {})}
    return Bars.from_frames(
        {symbol: frames[symbol] for symbol in symbols or frames},
        sectors=given,
        actions=[row for row in actions if row[0] in frames],
        calendar=calendar,
        raw=adjust == "none",
        name=path.name,
        origin="user",
        guard=guard,
    )


def read_table(path: Path) -> pd.DataFrame:
    """Return a CSV or Parquet file as it is; `DataError` DATA_FILE or DATA_EMPTY where it cannot be read."""
    import pandas as pd

    try:
        if path.name.endswith((".parquet", ".pq")):
            table = pd.read_parquet(path)
        else:
            table = _read_csv(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty", code="DATA_EMPTY") from None
    except (OSError, ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read: {error}", code="DATA_FILE") from error
    if not len(table):
        raise DataError(f"{path} has a header but no rows", code="DATA_EMPTY")
    return table


def _collect(path: Path) -> tuple[list[Path], dict[str, str], list[ActionRow]]:
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = did_you_mean(path.name, siblings)
        raise DataError(
            f"there is no file or folder {path}.{near if near.startswith(' Did') else ''}", code="DATA_FILE"
        )
    if not path.is_dir():
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError(f"{path}: files must end in {', '.join(SUFFIXES)}", code="DATA_FILE")
        return [path], {}, []
    files = [
        file
        for file in sorted(path.iterdir())
        if file.name.lower().endswith(SUFFIXES) and file.name not in (SECTOR_FILE, ACTION_FILE)
    ]
    if not files:
        raise DataError(f"the folder {path} holds no {', '.join(SUFFIXES)} files", code="DATA_EMPTY")
    return files, _read_sectors(path / SECTOR_FILE), _read_actions(path / ACTION_FILE)


def _read_sectors(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    table = read_table(path)
    names = column_names(table)
    if "symbol" not in names or "sector" not in names:
        raise DataError(
            f"{path} needs the columns symbol and sector; it has {', '.join(map(str, table.columns))}",
            code="DATA_COLUMNS",
        )
    return dict(zip(table[names["symbol"]].astype(str), table[names["sector"]].astype(str), strict=True))


def _read_actions(path: Path) -> list[ActionRow]:
    return to_rows(read_table(path)) if path.exists() else []


def _split(path: Path, sectors: dict[str, str], *, wanted: tuple[str, ...] | None) -> dict[str, pd.DataFrame]:
    """Return a file's table by symbol; sectors that it names are added to `sectors`."""
    table = read_table(path)
    names = column_names(table)
    label = next((names[name] for name in SYMBOL_COLUMNS if name in names), None)
    if label is None:
        symbol = _symbol_of(path)
        sectors.setdefault(symbol, "")
        return {symbol: table} if wanted is None or symbol in wanted else {}
    owner = table[label].astype(str).str.strip()
    absent = table[label].isna() | (owner == "")
    if absent.any():
        at = int(np.flatnonzero(absent.to_numpy())[0])
        raise DataError(f"{path}: row {at} has no symbol", code="DATA_SYMBOLS")
    parts = {str(symbol): part for symbol, part in table.groupby(owner, sort=True)}
    for symbol, part in parts.items():
        sectors.setdefault(symbol, str(part[names["sector"]].iloc[0]) if "sector" in names else "")
    if wanted is not None:
        missing = [symbol for symbol in wanted if symbol not in parts]
        return {symbol: parts[symbol] for symbol in wanted if symbol not in missing}
    return parts


def _timed(path: Path, symbol: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its times as its index: here, an error about them can name the file."""
    names = column_names(frame)
    if any(name not in names for name in FIELDS[:4]):
        return frame  # which is an error of its own
    return frame.set_axis(time_index(f"{path}, {symbol}", frame), axis=0)


def _on_basis(
    symbol: str, frame: pd.DataFrame, calendar: str, adjust: Adjust
) -> tuple[pd.DataFrame, list[ActionRow]]:
    """Return the table on the wanted price basis, and the actions that its adjusted close implies."""
    import pandas as pd

    names = column_names(frame)
    if ADJUSTED not in names or any(name not in names for name in FIELDS[:4]):
        return frame, []
    ts, _ = times_of(symbol, frame, calendar)
    if (np.diff(ts) <= 0).any():
        # Unsorted or repeated times are for the guard to judge, and have no factor to read before that.
        frame = frame.iloc[np.argsort(ts, kind="stable")] if len(np.unique(ts)) == ts.size else frame
        return frame, []
    labels = [names[name] for name in FIELDS if name in names]
    numbers = frame[[*labels, names[ADJUSTED]]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    values = numbers[:, :-1] if "volume" in names else np.column_stack([numbers[:, :-1], np.zeros(ts.size)])
    quoted = from_adjusted_close(ts // DAY, values, numbers[:, -1], adjust)
    made = frame.copy()
    for position, label in enumerate(labels):
        made[label] = np.where(np.isnan(values[:, position]), frame[label], quoted.values[:, position])
    return made, [(symbol, when, kind, value) for when, kind, value in quoted.events]


def _symbol_of(path: Path) -> str:
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    opener: Any = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig") as stream:
        header = stream.readline()
    if not header.strip():
        raise pd.errors.EmptyDataError
    separator = max(",;\t", key=header.count)
    labels = [label.strip().strip('"') for label in header.rstrip("\r\n").split(separator)]
    # A ticker such as NA or NAN is a name, not an absent value.
    absent = {label: ABSENT for label in labels if label.lower() not in SYMBOL_COLUMNS}
    return pd.read_csv(path, sep=separator, na_values=absent, keep_default_na=False, encoding="utf-8-sig")
