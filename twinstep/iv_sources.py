"""Where implied volatility comes from: an index, an option chain, or a proxy made of prices.

`history_of` opens whatever a source turns out to be: bars of an index (`sample:vix`, a file), a file of
dates and one column, a file or folder of option quotes, a folder of daily snapshots. `proxy_of` stands in
where there is nothing but prices. Each answers with one value per session, its unit, its grade and its
definition, because what is ranked decides what a rank means.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from simulator.errors import DataError, UnknownNameError
from twinstep.chain_files import layout_of
from twinstep.config import Settings
from twinstep.console import working
from twinstep.wiring import describe_bars, read_bars

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars

__all__ = ["IvHistory", "history_of", "proxy_of"]

Unit = Literal["points", "fraction"]

LARGEST_FRACTION: Final = 3.0  # 300 %; no index in points has ever closed so low
TIMES: Final = ("datetime", "timestamp", "date", "time")


@dataclass(frozen=True)
class IvHistory:
    """Volatility per session (UTC midnight; NaN unknown), and what it is.

    An index is in `unit` "points" (20.0 is 20 %), or in fractions if no value is above 3; all others are
    fractions. `origin` is that of the quotes (real or modelled) or of the bars (real, user or synthetic).
    """

    values: pd.Series[Any]
    name: str
    grade: Literal["index", "chain", "proxy"]
    origin: str
    definition: str
    unit: Literal["points", "fraction"]

    @property
    def label(self) -> str:
        """What goes wherever the numbers are shown."""
        return f"{self.name}, grade {self.grade} ({self.origin})"

    def in_words(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{value:.2f} points" if self.unit == "points" else f"{100 * value:.2f} %"


def history_of(source: str, symbol: str | None, settings: Settings) -> IvHistory:
    """Return the implied volatility that a source holds, between the dates of the settings.

    A directory is a folder of snapshots where it has files `UNDERLYING/2024-01-19.parquet`, else one of
    option quotes; a file is a chain where its columns say so, else an index; anything else is bars.

    Raises
    ------
    DataError
        DATA_EMPTY where nothing lies between the dates, and what reading such a source raises.
    UnknownNameError
        NAME_SYMBOL where the source holds several symbols and none, or an unknown one, was named.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        stored = sorted({file.parent.name for file in path.glob("*/[0-9]*.parquet")})
        return _snapshots(path, stored, symbol, settings) if stored else _chain(path, symbol, settings)
    if path.is_file():
        return _chain(path, symbol, settings) if layout_of(path) else _index_file(path, symbol, settings)
    bars = read_bars(settings, source=source)
    return _index(bars, symbol, f"closes of {bars.name}", settings)


def _index(bars: Bars, symbol: str | None, definition: str, settings: Settings) -> IvHistory:
    if symbol is None and len(bars.symbols) > 1:
        raise UnknownNameError(
            f"{bars.name} holds {', '.join(bars.symbols[:8])}: name the SYMBOL of the index",
            code="NAME_SYMBOL",
        )
    # an index is named after itself: with one symbol in the source, SYMBOL says what it is the index of
    column = 0 if len(bars.symbols) == 1 else bars.column(str(symbol))
    values = _by_session(bars.session, bars.close[:, column]).loc[settings.data.start : settings.data.end]
    if not len(values):
        raise DataError(f"{bars.name} has no value between these dates", code="DATA_EMPTY")
    unit: Literal["points", "fraction"] = "fraction" if values.max() <= LARGEST_FRACTION else "points"
    name = bars.symbols[column] if symbol is None else symbol
    return IvHistory(values, name, "index", bars.origin, definition, unit)


def _index_file(path: Path, symbol: str | None, settings: Settings) -> IvHistory:
    """Read an index from a file: its closes, or the one column beside the dates.

    Nothing but closes is used: a high below an open, of which the VIX's history has 47, is no obstacle.
    """
    from simulator.bars import Bars
    from simulator.bars.files import SUFFIXES, read_table
    from simulator.bars.frames import SYMBOL_COLUMNS, column_names

    frame = read_table(path) if path.name.lower().endswith(SUFFIXES) else None
    names = {} if frame is None else column_names(frame)
    values = [name for name in names if name not in TIMES]
    chosen = "close" if "close" in values else values[0] if len(values) == 1 else None
    if frame is None or chosen is None or not len(frame) or set(SYMBOL_COLUMNS) & set(values):
        bars = read_bars(settings, source=str(path))  # bars of several symbols, or it says what is wrong
    else:
        known = frame[frame[names[chosen]].notna()]
        four = dict.fromkeys(("open", "high", "low", "close"), known[names[chosen]])
        times = [names[name] for name in TIMES if name in names]
        closes = known[times].assign(**four)
        bars = Bars.from_frames(
            {path.name.split(".")[0]: closes},
            calendar=settings.data.calendar,
            name=path.name,
            origin="user",
        )
    return _index(bars, symbol, f"closes of {path.name}", settings)


def _snapshots(folder: Path, stored: list[str], symbol: str | None, settings: Settings) -> IvHistory:
    from urllib.parse import unquote

    from simulator.options.snapshots import iv_history

    if symbol is None and len(stored) > 1:
        known = ", ".join(unquote(name) for name in stored[:8])
        raise UnknownNameError(f"{folder} holds snapshots of {known}: name a SYMBOL", code="NAME_SYMBOL")
    name = unquote(stored[0]) if symbol is None else symbol
    data = settings.data
    with working(f"reading snapshots of {name}"):
        values = iv_history(folder, name, start=data.start, end=data.end, calendar=data.calendar)
    if not len(values):
        raise DataError(f"{folder} has no snapshot of {name} between these dates", code="DATA_EMPTY")
    return _of_chains(values, name)


def _chain(path: Path, symbol: str | None, settings: Settings) -> IvHistory:
    from simulator.bars.clock import session_of
    from simulator.options import load_chain
    from simulator.options.iv_index import constant_maturity_iv

    data = settings.data
    with working(f"reading {path}"):
        chain = load_chain(path, symbol=symbol, calendar=data.calendar)
        chain = chain.select(start=data.start, end=data.end)
        if not len(chain):
            raise DataError(f"{path} has no quotes between these dates", code="DATA_EMPTY")
        found = constant_maturity_iv(chain)
    values = _by_session(session_of(chain.calendar, chain.times), found.to_numpy())
    values.attrs.update(found.attrs)
    return _of_chains(values, chain.symbol)


def _of_chains(values: pd.Series[Any], name: str) -> IvHistory:
    definition, origin = str(values.attrs["definition"]), str(values.attrs["grade"])
    return IvHistory(values, name, "chain", origin, definition, "fraction")


def proxy_of(symbol: str, proxy: str, settings: Settings) -> IvHistory:
    """Return "realised" volatility or the "garch" forecast from the prices of a symbol of the settings' bars.

    Raises `UnknownNameError` NAME_SYMBOL, and what reading the bars raises.
    """
    from simulator.options.iv_proxy import garch_volatility, realised_volatility

    bars = read_bars(settings)
    describe_bars(bars)
    close = _by_session(bars.session, bars.close[:, bars.column(symbol)])
    with working("fitting the forecast" if proxy == "garch" else "measuring volatility"):
        made = garch_volatility(close) if proxy == "garch" else realised_volatility(close)
    return IvHistory(
        made.to_series(),
        str(symbol),
        "proxy",
        bars.origin,
        f"no implied volatility: {made.method}",
        "fraction",
    )


def _by_session(session: Any, values: Any) -> pd.Series[Any]:
    """Return the last value of every session, by its date."""
    import pandas as pd

    dates = pd.to_datetime(pd.Series(session), unit="D", utc=True)
    made = pd.Series(values, index=pd.DatetimeIndex(dates, name="session"), dtype="float64")
    return made[~made.index.duplicated(keep="last")]
