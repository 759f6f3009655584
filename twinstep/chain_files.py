"""Files of option chains, as the commands read and write them: drafts, layouts, Parquet, daily snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError, DataError, UnknownNameError

if TYPE_CHECKING:
    from simulator.options.chain import Chain
    from simulator.options.chain_columns import Draft
    from simulator.options.chain_guard import ChainReport

__all__ = ["examined", "layout_of", "layouts_of", "read_drafts", "store_days", "store_file"]


def layout_of(path: Path) -> str | None:
    """Return the layout of option quotes that a file's columns belong to, None where they are none.

    Only the header is read. A file that cannot be opened has no layout: whoever reads it says why.
    """
    import gzip
    import re

    from simulator.options.importers import detect

    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            import pyarrow.parquet as parquet

            labels = parquet.read_schema(path).names
        else:
            with (
                gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
                if name.endswith(".gz")
                else path.open(encoding="utf-8-sig", errors="replace") as file
            ):
                labels = [label.strip().strip('"') for label in re.split("[,;\t]", file.readline())]
        return detect(labels).name
    except (OSError, ValueError):  # no layout fits, or no table at all
        return None


def read_drafts(
    source: str,
    layout: str | None,
    symbol: str | None,
    time: str | None,
    underlying: float | None,
    calendar: str,
) -> list[Draft]:
    """Return what `load_chain` would read, before the guard; `time` is a date or a time with its zone."""
    from simulator.options.chain_time import given_time
    from simulator.options.importers import read

    at = None if time is None else given_time(time, calendar)
    return read(source, layout=layout, symbol=symbol, calendar=calendar, time=at, underlying=underlying)


def examined(drafts: Sequence[Draft], calendar: str) -> ChainReport:
    """Return what the guard finds in the drafts of one underlying."""
    from simulator.options.chain_columns import joined, sorted_draft
    from simulator.options.chain_guard import check_draft

    return check_draft(sorted_draft(joined(drafts)), calendar=calendar)


def store_file(chain: Chain, out: Path | None, *, force: bool) -> str:
    """Write the canonical Parquet file, by default SYMBOL.parquet in the working folder.

    Raises `ConfigError` CLI_EXISTS for a file that is there, without `force`, and CLI_WRITE.
    """
    path = Path(f"{chain.symbol.strip('^').replace('/', '_')}.parquet") if out is None else out
    if not path.name.lower().endswith((".parquet", ".pq")):
        raise ConfigError(f"{path} is to be a Parquet file; give a name in .parquet", code="CLI_WRITE")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; --force replaces it", code="CLI_EXISTS")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(chain.to_parquet(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}", code="CLI_WRITE") from error
    except DataError as error:
        raise ConfigError(str(error.args[0]), code="CLI_WRITE") from error


def store_days(chain: Chain, folder: Path, *, force: bool) -> list[str]:
    """Write a snapshot file per session; all or, where `force` is missing for one of them, none.

    Raises `ConfigError` CLI_EXISTS, and CLI_WRITE for a folder that cannot be written.
    """
    import numpy as np

    from simulator.options.snapshots import save_snapshot, snapshot_days

    days = np.unique(chain.session)
    try:
        there = np.intersect1d(days, snapshot_days(folder, chain.symbol))
    except UnknownNameError:  # nothing of this underlying yet
        there = days[:0]
    if len(there) and not force:
        raise ConfigError(
            f"{folder} holds {np.datetime64(int(there[0]), 'D')} of {chain.symbol} already, and "
            f"{len(there) - 1} more of these sessions; --force replaces them",
            code="CLI_EXISTS",
        )
    try:
        return [str(save_snapshot(chain.rows(chain.session == day), folder, replace=force)) for day in days]
    except DataError as error:
        raise ConfigError(str(error.args[0]), code="CLI_WRITE") from error


def layouts_of(source: str, layout: str | None) -> list[str]:
    """Return the layouts of a file or of the files of a folder; a named one goes before what columns say."""
    if layout is not None:
        return [layout]
    path = Path(source)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return sorted({name for name in map(layout_of, files) if name is not None})
