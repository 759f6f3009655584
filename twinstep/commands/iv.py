"""`twinstep iv`: how high implied volatility stands among its own last year.

What is ranked decides what a rank means, so every output names it by grade: an `index` as a VIX, the 30-day
volatility at the money of an option `chain`, or a `proxy` made of prices, which is no implied volatility at
all. Rank and percentile are unknown, never 0 and never 50, until there is a full window of sessions; sessions
of the calendar without a value count as missing, so that gaps in one's own snapshots cannot pass as a year.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from twinstep.console import emit, emit_json, note, table
from twinstep.iv_page import plotly_or_error, write_page
from twinstep.iv_sources import IvHistory, history_of, proxy_of
from twinstep.options import OUTPUT, ConfigFile, End, Json, Set, Source, Start, settings_from

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXAMPLES", "iv"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep iv --iv sample:vix --plot out/vix.html\n"
    "  twinstep iv AAPL --proxy garch\n"
    "  twinstep iv SPX --iv chains/ --json"
)

PROXIES: Final = ("realised", "garch")
BLOCKS: Final = "▁▂▃▄▅▆▇█"
SPARK_WIDTH: Final = 72


def iv(
    symbol: Annotated[
        str | None,
        typer.Argument(
            metavar="SYMBOL",
            help="The underlying; without --iv its prices give a proxy.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--iv",
            metavar="SOURCE",
            help="Implied volatility: sample:vix, a CSV or Parquet file of an index, a file or folder "
            "of option quotes, or a folder of daily snapshots.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What stands in for implied volatility without --iv: realised, the default, or garch.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    data: Source = None,
    start: Start = None,
    end: End = None,
    window: Annotated[int, typer.Option(min=2, help="Sessions that make the year.")] = 252,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write the history as a page that needs no network.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    no_plot: Annotated[
        bool,
        typer.Option("--no-plot", help="Leave the small chart of the year out.", rich_help_panel=OUTPUT),
    ] = False,
    config: ConfigFile = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Show IV rank and IV percentile, and what they are ranks of."""
    _check(symbol, source, proxy, plot, no_plot)
    settings = settings_from(config, changes, source=data, start=start, end=end)
    if source is not None:
        history = history_of(source, symbol, settings)
    else:
        history = proxy_of(str(symbol), proxy or PROXIES[0], settings)
    ranked = _ranked(history, window, settings.data.calendar)
    answer = _answer(history, ranked, window)
    if as_json:
        emit_json(answer | {"files": [] if plot is None else [write_page(history, ranked, plot, window)]})
        return
    _show(history, ranked, answer, window, chart=not no_plot)
    if plot is not None:
        note(f"wrote {write_page(history, ranked, plot, window)}")


def _check(
    symbol: str | None, source: str | None, proxy: str | None, plot: Path | None, no_plot: bool
) -> None:
    """Refuse what cannot be done before anything is read."""
    if symbol is None and source is None:
        raise ConfigError(
            "nothing to rank: name a SYMBOL, or implied volatility with --iv SOURCE, as sample:vix",
            code="CLI_RANK",
        )
    for name, given, other, excluded in (
        ("--iv", source is not None, "--proxy", proxy is not None),
        ("--plot", plot is not None, "--no-plot", no_plot),
    ):
        if given and excluded:
            raise ConfigError(f"{name} and {other} exclude each other; drop one", code="CLI_EXCLUSIVE")
    if proxy is not None and proxy not in PROXIES:
        raise UnknownNameError(
            f"there is no proxy {proxy!r} of implied volatility.{did_you_mean(proxy, PROXIES)}",
            code="NAME_PROXY",
        )
    if plot is not None:
        if plot.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{plot} is to be a page; give a name that ends in .html", code="CLI_WRITE")
        plotly_or_error()


def _ranked(history: IvHistory, window: int, calendar: str) -> pd.DataFrame:
    """Return iv, rank and percentile of the calendar's sessions from the first known value to the last."""
    import numpy as np
    import pandas as pd

    from simulator.bars.arrays import DAY
    from simulator.bars.clock import calendar_sessions
    from simulator.options import iv_percentile, iv_rank

    values = history.values
    last = values.last_valid_index()
    if last is None:
        raise DataError(
            f"{history.label} has no volatility on any of its {len(values)} sessions: {history.definition}",
            code="DATA_EMPTY",
        )
    days = pd.DatetimeIndex(values.index).as_unit("ns").asi8 // DAY
    own = np.union1d(calendar_sessions(calendar, int(days[0]), int(days[-1])), days)
    everyday = pd.DatetimeIndex(own * DAY, tz="UTC", name="session")
    known = values.set_axis(pd.DatetimeIndex(days * DAY, tz="UTC", name="session")).reindex(everyday)
    known = known.loc[values.first_valid_index() : last]
    return pd.DataFrame(
        {"iv": known, "rank": iv_rank(known, window), "percentile": iv_percentile(known, window)}
    )


def _answer(history: IvHistory, ranked: pd.DataFrame, window: int) -> dict[str, Any]:
    year = ranked["iv"].dropna().iloc[-window:]
    rank, percentile = (float(ranked[name].iloc[-1]) for name in ("rank", "percentile"))
    behind = int((history.values.index > ranked.index[-1]).sum())
    return {
        "name": history.name,
        "grade": history.grade,
        "origin": history.origin,
        "definition": history.definition,
        "unit": history.unit,
        "as_of": _day(ranked.index[-1]),
        "level": float(year.iloc[-1]),
        "window": window,
        "sessions": len(year),
        "iv_rank": rank,
        "iv_percentile": percentile,
        "unknown": None if rank == rank else _reason(year, ranked, window),
        "sessions_without_iv_since": behind,
        "range": {
            "first": _day(year.index[0]),
            "low": float(year.min()),
            "low_on": _day(year.idxmin()),
            "high": float(year.max()),
            "high_on": _day(year.idxmax()),
            "mean": float(year.mean()),
        },
    }


def _day(when: Any) -> str:
    return str(when)[:10]


def _reason(year: pd.Series[Any], ranked: pd.DataFrame, window: int) -> str:
    if len(year) < window:
        return f"{len(year)} of {window} sessions are there"
    if year.max() == year.min():
        return f"the last {window} values are equal"
    reach = int((ranked.index >= year.index[0]).sum())
    return f"{reach - window} of {reach} sessions are missing, more than 5 %"


def _show(
    history: IvHistory, ranked: pd.DataFrame, answer: dict[str, Any], window: int, *, chart: bool
) -> None:
    extremes = answer["range"]
    words = {
        name: "unknown" if answer["unknown"] else f"{answer[name]:.1f}"
        for name in ("iv_rank", "iv_percentile")
    }
    emit(history.label)
    emit(f"definition: {history.definition}")
    table(
        ("measure", "value", "session"),
        [
            ("level", history.in_words(answer["level"]), answer["as_of"]),
            ("IV rank", words["iv_rank"], answer["as_of"]),
            ("IV percentile", words["iv_percentile"], answer["as_of"]),
            ("lowest", history.in_words(extremes["low"]), extremes["low_on"]),
            ("highest", history.in_words(extremes["high"]), extremes["high_on"]),
            ("mean", history.in_words(extremes["mean"]), f"{answer['sessions']} sessions"),
        ],
    )
    if answer["unknown"]:
        emit(f"rank and percentile are unknown: {answer['unknown']}")
    if answer["sessions_without_iv_since"]:
        emit(f"{answer['sessions_without_iv_since']} later session(s) have no volatility")
    if chart:
        emit(_spark(ranked["iv"].dropna().to_numpy()[-window:]))
        emit(f"{extremes['first']} to {answer['as_of']}")


def _spark(values: Any) -> str:
    """Return a line of blocks, each as high as the mean of its share of the values."""
    import numpy as np

    means = [float(part.mean()) for part in np.array_split(values, min(SPARK_WIDTH, len(values)))]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)
