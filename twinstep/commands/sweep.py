"""`twinstep sweep`: a strategy over a grid of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, UnknownNameError, did_you_mean
from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import emit, emit_json, note, progress_bar, table
from twinstep.machine_options import Scheduler, Workers, check_machines
from twinstep.options import OUTPUT, Hypothesis, Json, NoTrials, Spec
from twinstep.parameters import Value, grid_size, parse_grid
from twinstep.trials import counting
from twinstep.wiring import describe_bars, find_strategy, possible_sets, title

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.types import TrialSink
    from twinstep.config import Settings

__all__ = ["EXAMPLES", "sweep"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep sweep sma-cross --param fast=5:50:5 --param slow=60:200:20\n"
    "  twinstep sweep donchian-breakout --param length=20,55 --metric calmar --top 5 --csv out/grid.csv\n"
    "  twinstep sweep atr-channel --param stop_atr=1:5:0.5 --workers 2\n\n"
    "A range names both ends: 5:50:5 is 5, 10, …, 50."
)

SHOWN: Final = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")
SMALLER_IS_BETTER: Final = frozenset(
    {"volatility", "max_drawdown_sessions", "turnover", "fees", "longest_losing_streak", "sessions_halted"}
)


@bundled
def sweep(
    strategy: Spec,
    market: Market,
    account: Account,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="low:high:step with both ends, a,b,c, or one value. May be repeated.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="Metric that ranks the rows, best first.")] = "sharpe",
    top: Annotated[int, typer.Option(min=0, help="Rows to show; 0: all.", rich_help_panel=OUTPUT)] = 10,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; without it, one per core.", show_default=False)
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write every row to a CSV file.", rich_help_panel=OUTPUT, show_default=False
        ),
    ] = None,
    no_trials: NoTrials = False,
    hypothesis: Hypothesis = None,
    as_json: Json = False,
) -> None:
    """Try every combination of parameters, and rank them.

    The best of many is partly luck: the more sets were tried, the less the winner's figure means.
    """
    grid = parse_grid(param or ())
    if not grid:
        raise ConfigError(
            "a sweep needs at least one --param NAME=low:high:step; `twinstep strategies` lists the names",
            code="CLI_PARAM",
        )
    check_machines(workers, scheduler)
    settings = settings_of(market, account)
    chosen = find_strategy(strategy)
    bars = market.bars(settings)
    head = describe_bars(bars)
    with counting(settings, off=no_trials, hypothesis=hypothesis) as sink:
        rows = _run(bars, chosen, grid, settings, threads, sink, workers, scheduler)
    rows = _rank(rows, metric, list(grid))
    if csv is not None:
        _write(rows, csv)
    shown = rows.head(top) if top else rows
    if as_json:
        emit_json(
            {
                "strategy": chosen.name,
                "data": head,
                "metric": metric,
                "sets": len(rows),
                "csv": csv,
                "rows": shown.to_dict(orient="records"),
            }
        )
        return
    columns = [*grid, *dict.fromkeys([metric, *(name for name in SHOWN if name in rows.columns)])]
    emit(f"{chosen.name} on {title(head)}: {len(rows):,} parameter set{'' if len(rows) == 1 else 's'}")
    from simulator.results.metrics import format_metric

    rows_shown = [
        [
            value if name in grid else format_metric(name, value)
            for name, value in zip(columns, row, strict=True)
        ]
        for row in shown[columns].itertuples(index=False)
    ]
    table(columns, rows_shown)
    if csv is not None:
        note(f"every row is in {csv}")


def _run(
    bars: Bars,
    strategy: Any,
    grid: dict[str, list[Value]],
    settings: Settings,
    threads: int | None,
    sink: TrialSink | None,
    workers: int,
    scheduler: str | None,
) -> pd.DataFrame:
    from functools import partial

    from simulator import sweep as run_sweep

    if workers > 1 or scheduler is not None:
        from optimize.machines import sweep as spread

        run_sweep = partial(spread, workers=workers, scheduler=scheduler)

    sets = possible_sets(strategy, grid)
    skipped = grid_size(grid) - len(sets)
    if skipped:
        note(f"{skipped:,} of {grid_size(grid):,} combinations are none that {strategy.name} accepts")
    with progress_bar("parameter sets") as progress:
        return run_sweep(
            bars,
            strategy,
            sets,
            cash=settings.account.cash,
            risk=settings.risk,
            costs=settings.costs,
            conventions=settings.conventions,
            threads=threads,
            progress=progress,
            sink=sink,
        )


def _rank(rows: pd.DataFrame, metric: str, parameters: list[str]) -> pd.DataFrame:
    metrics = [str(name) for name in rows.columns if name not in parameters]
    if metric not in metrics:
        raise UnknownNameError(f"no metric {metric!r}.{did_you_mean(metric, metrics)}", code="NAME_METRIC")
    return rows.sort_values(metric, ascending=metric in SMALLER_IS_BETTER, kind="stable", na_position="last")


def _write(rows: pd.DataFrame, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(path, index=False)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}", code="CLI_WRITE") from error
