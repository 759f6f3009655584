"""Option chains from files and tables: one module per vendor's layout, and what they share.

A layout is recognised by its column names; where a table fits none, the error names the nearest one and the
columns it lacks. `read` returns drafts (canonical columns with the file and row of every quote), `chain_of`
judges them with the guard and makes the chain. Most callers want `simulator.options.chain.load_chain`.

| layout | vendor |
|---|---|
| `canonical` | the project's own tables and Parquet files |
| `optionsdx` | OptionsDX, end of day and intraday |
| `ivolatility` | iVolatility, end of day |
| `cboe_datashop` | CBOE DataShop, Option EOD Summary (the 15:45 snapshot) |
| `orats`, `orats_service` | ORATS, strikes file and data service |
| `yfinance` | yfinance, `Ticker.option_chain` |
| `lambdaclass` | the samples of lambdaclass's backtester |
| `cboe_whitepaper` | the strips printed in the CBOE VIX white paper |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.bars.clock import check_calendar
from simulator.errors import DataError, UnknownNameError, did_you_mean
from simulator.options.chain_columns import Draft, joined, sorted_draft
from simulator.options.importers import (
    canonical,
    cboe_datashop,
    cboe_whitepaper,
    ivolatility,
    lambdaclass,
    optionsdx,
    orats,
    yfinance,
)
from simulator.options.importers.parse import Layout, Source, Table, plain, ticker

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars.panel import GuardPolicy
    from simulator.options.chain import Chain

__all__ = ["LAYOUTS", "Layout", "chain_of", "detect", "drafts_of", "read", "read_frame"]

LAYOUTS: Final[Mapping[str, Layout]] = {
    layout.name: layout
    for layout in (
        canonical.LAYOUT,
        optionsdx.LAYOUT,
        ivolatility.LAYOUT,
        cboe_datashop.LAYOUT,
        orats.LAYOUT,
        orats.SERVICE,
        yfinance.LAYOUT,
        lambdaclass.LAYOUT,
        cboe_whitepaper.LAYOUT,
    )
}


def read(
    source: Any,
    *,
    layout: str | None = None,
    symbol: str | None = None,
    calendar: str = "XNYS",
    time: int | None = None,
    underlying: float | None = None,
) -> list[Draft]:
    """Return the drafts of a path, a table, or an answer of yfinance, as `load_chain` does."""
    import pandas as pd

    known = Source("table", symbol, check_calendar(calendar), time, underlying)
    if layout is not None:
        _layout(layout)
    if isinstance(source, pd.DataFrame):
        return drafts_of(source, known, layout)
    if yfinance.is_answer(source):
        return yfinance.read_answer(source, replace(known, name="yfinance"))
    drafts: list[Draft] = []
    for file in _files(Path(source)):
        drafts += _read_file(file, replace(known, name=file.name), layout)
    return drafts


def read_frame(
    frame: pd.DataFrame,
    *,
    symbol: str | None = None,
    origin: str | None = None,
    calendar: str = "XNYS",
    layout: str | None = None,
) -> list[Draft]:
    """Return the drafts of a table."""
    return drafts_of(frame, Source("table", symbol, check_calendar(calendar), origin=origin), layout)


def chain_of(drafts: Sequence[Draft], *, calendar: str, guard: GuardPolicy) -> Chain:
    """Return the drafts of one underlying as a guarded chain.

    Raises `DataError` DATA_UNDERLYING where they hold several, DATA_EMPTY where nothing is left, and the
    codes of the guard.
    """
    from simulator.options.chain import Chain
    from simulator.options.chain_guard import apply_guard

    symbols = sorted({draft.symbol for draft in drafts})
    if len(symbols) > 1:
        shown = ", ".join(symbols[:10]) + (", ..." if len(symbols) > len(symbols[:10]) else "")
        raise DataError(
            f"{drafts[0].files[0]} holds {len(symbols)} underlyings ({shown}); a chain has one: give symbol",
            code="DATA_UNDERLYING",
        )
    calendar = check_calendar(calendar)
    draft, notes = apply_guard(sorted_draft(joined(drafts)), calendar=calendar, policy=guard)
    if not len(draft):
        raise DataError(f"{drafts[0].files[0]}: the guard left no quote of {symbols[0]}", code="DATA_EMPTY")
    return Chain.from_draft(draft, calendar=calendar, notes=notes)


def detect(columns: Iterable[object], *, name: str = "table") -> Layout:
    """Return the layout that these columns belong to.

    Raises `DataError` DATA_LAYOUT, with the nearest layout and the columns it lacks, where none fits.
    """
    found = {plain(label) for label in columns}
    fitting = [layout for layout in LAYOUTS.values() if layout.columns <= found]
    if fitting:
        return max(fitting, key=lambda layout: len(layout.columns))
    nearest = max(LAYOUTS.values(), key=lambda layout: len(layout.columns & found) / len(layout.columns))
    lacking = sorted(nearest.columns - found)
    if len(lacking) == len(nearest.columns):
        hint = f"known layouts are {', '.join(LAYOUTS)}"
    else:
        near = [f"{label!r}{_near(label, found)}" for label in lacking]
        hint = f"the nearest is {nearest.name!r} ({nearest.vendor}), which also needs {', '.join(near)}"
    raise DataError(
        f"{name}: no layout of option chains has the columns {', '.join(sorted(found)[:12])}; {hint}",
        code="DATA_LAYOUT",
    )


def drafts_of(frame: pd.DataFrame, source: Source, layout: str | None) -> list[Draft]:
    """Return the drafts of a table in a named or recognised layout, of the wanted underlying only."""
    if not len(frame):
        raise DataError(f"{source.name} has no rows", code="DATA_EMPTY")
    chosen = detect(frame.columns, name=source.name) if layout is None else _layout(layout)
    table = Table(frame, source)
    lacking = sorted(chosen.columns - set(table.names))
    if lacking:
        raise DataError(
            f"{source.name} is not in the layout {chosen.name!r}: column {lacking[0]!r} is missing."
            f"{did_you_mean(lacking[0], table.names)}",
            code="DATA_COLUMNS",
        )
    return _wanted(chosen.read(table), source)


def _wanted(drafts: list[Draft], source: Source) -> list[Draft]:
    symbols = [draft.symbol for draft in drafts]
    if source.symbol is None or symbols == [source.symbol]:
        return drafts
    wanted = ticker(source.symbol)
    chosen = [draft for draft in drafts if ticker(draft.symbol) == wanted]
    if not chosen:
        near = did_you_mean(wanted, symbols)
        near = near if near.startswith(" Did") or len(symbols) < 20 else ""
        raise UnknownNameError(
            f"{source.name} has no options on {source.symbol!r}.{near}", code="NAME_SYMBOL"
        )
    return chosen


def _read_file(path: Path, source: Source, layout: str | None) -> list[Draft]:
    from simulator.bars.files import read_table

    if path.name.lower().endswith((".parquet", ".pq")) and layout in (None, "canonical"):
        try:
            drafts = canonical.read_arrow(path, source)
        except (OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read: {error}", code="DATA_FILE") from error
        if drafts is not None:
            return _wanted(drafts, source)
    return drafts_of(read_table(path), source, layout)


def _files(path: Path) -> list[Path]:
    from simulator.bars.files import SUFFIXES

    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = did_you_mean(path.name, siblings)
        raise DataError(
            f"there is no file or folder {path}.{near if near.startswith(' Did') else ''}", code="DATA_FILE"
        )
    if not path.is_dir():
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError(f"{path}: files must end in {', '.join(SUFFIXES)}", code="DATA_FILE")
        return [path]
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".")
    ]
    if not files:
        raise DataError(f"the folder {path} holds no {', '.join(SUFFIXES)} files", code="DATA_EMPTY")
    return files


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise UnknownNameError(
            f"layout {name!r} of option chains is unknown.{did_you_mean(name, LAYOUTS)}", code="NAME_LAYOUT"
        )
    return LAYOUTS[name]


def _near(label: str, found: set[str]) -> str:
    near = did_you_mean(label, found)
    return f" ({near.strip()[len('Did you mean ') : -1]} is there)" if near.startswith(" Did") else ""
