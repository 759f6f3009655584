"""`twinstep optimize`: search parameters, and say what the best of them is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, emit_json, note, table
from twinstep.option_market import Iv, RatePct, SurfaceName, with_options
from twinstep.options import (
    OUTPUT,
    Cash,
    ConfigFile,
    ConventionsName,
    CostsName,
    End,
    Json,
    NoRisk,
    Param,
    Set,
    Source,
    Spec,
    Start,
    Symbols,
    Timeframe,
    settings_from,
)
from twinstep.parameters import parse_parameters
from twinstep.wiring import describe_bars, find_strategy, read_bars, title

if TYPE_CHECKING:
    from optimize.strategy import StrategyStudy

__all__ = ["STRATEGY_EXAMPLES", "app", "strategy"]

SEARCH: Final = "Search"
SHOWN: Final = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")

STRATEGY_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep optimize strategy donchian-breakout --trials 200\n"
    "  twinstep optimize strategy sma-cross --search fast,slow --sampler qmc --min-trades 30\n"
    "  twinstep optimize strategy atr-channel --objective sharpe --objective calmar --sampler nsga2\n"
    "  twinstep optimize strategy gap-fade --trials 2000 --storage studies.db"
)

app = typer.Typer(no_args_is_help=True, help="Search parameters, and say what the best of them is worth.")


@app.command("strategy", epilog=STRATEGY_EXAMPLES)
def strategy(
    strategy: Spec,
    param: Param = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Search only these parameters; without it, all that the strategy declares a space for.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to maximise: sharpe (the default), sortino, calmar, average_r, expectancy_r, sqn, "
            "profit_per_margin_day or tail_penalised. Several give a Pareto front.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all; a study in a storage goes on.", rich_help_panel=SEARCH)
    ] = 100,
    sampler: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="tpe, qmc, random, grid, nsga2, nsga3, gp or cmaes.",
            rich_help_panel=SEARCH,
        ),
    ] = "tpe",
    pruner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Stop poor sets on early parts of the history: median, percentile, halving or hyperband.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    min_trades: Annotated[
        int | None,
        typer.Option(min=0, help="Fewest trades of a set.", rich_help_panel=SEARCH, show_default=False),
    ] = None,
    max_drawdown_pct: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Largest drawdown of a set, as 20.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same study.", rich_help_panel=SEARCH)
    ] = 0,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trials proposed and run at a time; without it, what suits the sampler.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Keep the study, as in studies.db; the same command goes on where it was.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the study in the storage; without it, made of what is measured.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Sets to show.", rich_help_panel=OUTPUT)] = 10,
    data: Source = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    iv: Iv = None,
    surface: SurfaceName = "index",
    rate_pct: RatePct = 0.0,
    cash: Cash = None,
    config: ConfigFile = None,
    conventions: ConventionsName = None,
    costs: CostsName = None,
    no_risk: NoRisk = False,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Search a strategy's parameters.

    The best figure in sample is no evidence: it is the largest of many. The last line says how far the number
    of sets explains it.
    """
    settings = settings_from(
        config,
        changes,
        source=data,
        symbols=symbols,
        start=start,
        end=end,
        timeframe=timeframe,
        cash=cash,
        conventions=conventions,
        costs=costs,
        no_risk=no_risk,
    )
    chosen = find_strategy(strategy, parse_parameters(param or ()))
    bars = with_options(read_bars(settings), iv, surface, rate_pct, settings)
    head = describe_bars(bars)
    from optimize.strategy import tune_strategy

    found = tune_strategy(
        bars,
        chosen,
        space=_names(search),
        objective=objective or "sharpe",
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        min_trades=min_trades,
        max_drawdown_pct=max_drawdown_pct,
        cash=settings.account.cash,
        risk=settings.risk,
        costs=settings.costs,
        conventions=settings.conventions,
        batch=batch,
        seed=seed,
        storage=storage,
        study=study,
    )
    if as_json:
        emit_json(_document(found, head, top))
        return
    _show(found, head, top)
    if storage is not None:
        note(f"the study is {found.name!r} in {storage}")


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--search names no parameter, as in --search fast,slow", code="CLI_PARAM")
    return names


def _show(found: StrategyStudy, head: dict[str, Any], top: int) -> None:
    goals = [one.name for one in found.objectives]
    counts = found.table["state"].value_counts()
    emit(f"{found.strategy.name} on {title(head)}: {len(found.table):,} trials")
    without = int((~found.table["feasible"]).sum())
    if without:
        emit(
            f"{without:,} of them pruned, refused, without a figure or outside the constraints "
            f"({int(counts.get('complete', 0)):,} completed)"
        )
    names = list(dict.fromkeys([*goals, *(name for name in SHOWN if name in found.default)]))
    several = len(goals) > 1
    best = (found.pareto if several else found.top(top)).head(top)
    given = found.strategy.parameters()
    metrics = {**found.default, **found.default_values}
    rows = [["as given", *(given[name] for name in found.space), *(_metric(metrics, name) for name in names)]]
    rows += [
        [f"{place}", *(row[name] for name in found.space), *(_metric(row, name) for name in names)]
        for place, row in enumerate(best.to_dict("records"), start=1)
    ]
    table(["front" if several else "set", *found.space, *names], rows)
    importance = found.importance()
    if importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in importance.items())
        emit(f"what the {found.objectives[0].label} depends on: {shares}")
    emit(found.sentence())


def _metric(row: Mapping[Any, Any], name: str) -> str:
    from simulator.results.metrics import format_metric

    return format_metric(name, float(row.get(name, float("nan"))))


def _document(found: StrategyStudy, head: dict[str, Any], top: int) -> dict[str, Any]:
    import dataclasses

    counts = found.table["state"].value_counts()
    deflated = found.deflated
    return {
        "strategy": found.strategy.name,
        "data": head,
        "study": found.name,
        "objectives": [one.name for one in found.objectives],
        "constraints": found.limits,
        "trials": len(found.table),
        "completed": int(counts.get("complete", 0)),
        "best": found.best,
        "best_value": found.best_value,
        "as_given": {"parameters": found.strategy.parameters(), "metrics": found.default},
        "importance": found.importance(),
        "deflated_sharpe": None if deflated is None else dataclasses.asdict(deflated),
        "sentence": found.sentence(),
        "rows": (found.pareto if len(found.objectives) > 1 else found.top(top)).head(top).to_dict("records"),
    }
