"""From settings to the public calls of the other packages, in one place.

Imports stand inside the functions: they cost up to a second, and a command that fails on a typing error
should not pay for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from simulator.errors import ConfigError, StrategyError
from twinstep.config import Settings
from twinstep.console import working

if TYPE_CHECKING:
    from simulator.approval import Approval
    from simulator.bars import Bars
    from simulator.bars.adjust import Adjust
    from simulator.bars.panel import GuardPolicy
    from simulator.conventions import Conventions
    from simulator.results import Result
    from simulator.results.pdf import Paper
    from simulator.types import TrialSink

__all__ = [
    "describe_bars",
    "find_strategy",
    "possible_sets",
    "read_bars",
    "read_benchmark",
    "sector_warning",
    "simulate",
    "title",
    "write_outputs",
]


def read_bars(settings: Settings, *, source: str | None = None) -> Bars:
    """Load the bars that the settings name, or another source over the same dates."""
    from simulator.bars import load_bars

    data = settings.data
    with working(f"reading {source or data.source}"):
        return load_bars(
            source or data.source,
            symbols=(list(data.symbols) or None) if source is None else None,
            start=data.start,
            end=data.end,
            calendar=data.calendar,
            guard=cast("GuardPolicy", data.guard),
            cache_dir=data.cache_dir,
            interval=data.timeframe,
            adjust=cast("Adjust", data.adjust),
            sectors=data.sector_of or None,
        )


def find_strategy(spec: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """Load a strategy by name, file or module, with parameters."""
    from strategies import load_strategy

    return load_strategy(spec, **(parameters or {}))


def possible_sets(strategy: Any, grid: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return the combinations of a grid that the strategy accepts: fast below slow, for instance.

    Raises the strategy's own error where it accepts none of them, or does not know a parameter.
    """
    from simulator.sweeps import expand_grid

    accepted, refusal = [], None
    for parameters in expand_grid(grid):
        try:
            type(strategy)(**parameters)
        except StrategyError as error:
            if error.code != "STRATEGY_PARAM_VALUE":
                raise
            refusal = refusal or error
        else:
            accepted.append(parameters)
    if refusal is not None and not accepted:
        raise refusal
    return accepted


def simulate(
    bars: Bars,
    strategy: Any,
    settings: Settings,
    *,
    conventions: Conventions | None = None,
    approval: Approval | None = None,
    sink: TrialSink | None = None,
) -> Result:
    """Backtest a strategy under the settings, or under other conventions, or with a person in the loop."""
    from simulator import backtest

    with working(_engine_words()):
        return backtest(
            bars,
            strategy,
            cash=settings.account.cash,
            risk=settings.risk,
            costs=settings.costs,
            conventions=conventions or settings.conventions,
            approval=approval,
            sink=sink,
        )


def read_benchmark(bars: Bars, settings: Settings) -> Bars | str | None:
    """Return what the settings name as a benchmark: a symbol of the bars, the bars of a source, or None."""
    name = settings.report.benchmark
    return name if name is None or name in bars.symbols else read_bars(settings, source=name)


def write_outputs(result: Result, settings: Settings, *, paper: Paper = "a4") -> list[str]:
    """Write the report and the export that the settings ask for; returns the paths. `paper` is a PDF's."""
    report = settings.report
    written: list[str] = []
    if report.path is not None:
        written.append(str(result.report(report.path, paper=paper)))
    if report.export is not None:
        kind = cast('Literal["csv", "parquet", "json"]', report.export_format)
        written += [str(path) for path in result.export(report.export, format=kind)]
    return written


def sector_warning(bars: Bars, settings: Settings) -> str | None:
    """Return what follows where no symbol has a sector: they share one limit, and how to change that."""
    from simulator.bars.panel import UNKNOWN_SECTOR

    cap = None if settings.risk is None else settings.risk.max_sector_exposure_pct
    if cap is None or any(sector != UNKNOWN_SECTOR for sector in bars.sectors):
        return None
    count, first = len(bars.symbols), bars.symbols[0]
    more = "--set risk.max_sector_exposure_pct=100"
    if count == 1:
        return f"{first} may hold {cap:g} % of the equity, the limit on a sector; {more} allows more"
    return (
        f"no sector is known: all {count} symbols count as one (max {cap:g} % of the equity). Say them in "
        f'twinstep.toml, under [data], as sectors = ["{first}=Technology"], or allow more with {more}'
    )


def title(head: Mapping[str, Any]) -> str:
    """Return the head of bars as a line; bars that are not real say so."""
    symbols = ", ".join(head["symbols"][:8]) + (", …" if len(head["symbols"]) > 8 else "")
    origin = " (synthetic)" if head["origin"] == "synthetic" else ""
    return f"{head['name']}{origin}: {symbols}; {head['first'][:10]} to {head['last'][:10]}"


def _engine_words() -> str:
    """Return what to say while the engine works; the first run on a machine compiles it."""
    from simulator.kernel._jit import CACHE_FOLDER

    compiled = CACHE_FOLDER is not None and any(CACHE_FOLDER.glob("**/*.nbc"))
    return "simulating" if compiled else "compiling the engine, once; this takes some seconds"


def describe_bars(bars: Bars) -> dict[str, Any]:
    """Name, span and origin of bars, for the head of an output."""
    if len(bars) == 0:
        raise ConfigError(f"{bars.name} has no bar between the dates that were asked for", code="DATA_EMPTY")
    return {
        "name": bars.name,
        "origin": bars.origin,
        "symbols": list(bars.symbols),
        "bars": len(bars),
        "first": bars.index[0].isoformat(),
        "last": bars.index[-1].isoformat(),
        "notes": list(bars.notes),
        # prices of options: from quotes, from the modelled surface, or none at all
        "options": None if bars.options is None else bars.options.grade,
    }
