"""`twinstep optimize strategy`: search parameters, and say what the best of them is worth."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import emit, note, table
from twinstep.machine_options import Scheduler, Workers, check_machines
from twinstep.options import OUTPUT, Hypothesis, Json, NoTrials, Param, Spec
from twinstep.parameters import parse_parameters
from twinstep.search_options import (
    SEARCH,
    Objectives,
    ReportFile,
    Search,
    answer,
    check_report,
    check_storage,
    costs_word,
    names_of,
    objectives_of,
)
from twinstep.search_progress import Far, stoppable
from twinstep.trials import counting
from twinstep.wiring import describe_bars, find_strategy, title

if TYPE_CHECKING:
    from optimize.strategy import StrategyStudy

__all__ = ["EXAMPLES", "strategy"]

SHOWN: Final = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")

LEAST_TRADES: Final = 10
"""A first set with fewer is remarked on."""

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep optimize strategy donchian-breakout --trials 200 --report out/study.html\n"
    "  twinstep optimize strategy sma-cross --search fast,slow --sampler qmc --min-trades 30\n"
    "  twinstep optimize strategy atr-channel --objective sharpe --objective calmar --sampler nsga2\n"
    "  twinstep optimize strategy gap-fade --trials 2000 --storage studies.db --workers 2"
)


@bundled
def strategy(
    strategy: Spec,
    search: Search,
    market: Market,
    account: Account,
    param: Param = None,
    objective: Objectives = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Stop poor sets on early parts of the history: median, percentile, halving or hyperband.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
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
            help="Keep the study, in studies.db or postgresql://user@host/studies; the same command goes on "
            "where it was, and on several machines shares it.",
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
    workers: Workers = 1,
    scheduler: Scheduler = None,
    report: ReportFile = None,
    no_trials: NoTrials = False,
    hypothesis: Hypothesis = None,
    as_json: Json = False,
) -> None:
    """Search a strategy's parameters.

    The best figure in sample is no evidence: it is the largest of many. The last line says how far the number
    of sets explains it.
    """
    check_machines(workers, scheduler)
    check_storage(storage, study, workers, scheduler)
    goals = objectives_of(objective) or ["sharpe"]
    check_report(report)
    settings = settings_of(market, account)
    chosen = find_strategy(strategy, parse_parameters(param or ()))
    bars = market.bars(settings)
    head = describe_bars(bars)
    from optimize.strategy import tune_strategy

    def stopped(far: Far) -> str:
        return _stopped(far, goals, storage, None if sink is None else hypothesis or chosen.name)

    with (
        counting(settings, off=no_trials, hypothesis=hypothesis) as sink,
        stoppable("trials", stopped) as progress,
    ):
        found = tune_strategy(
            bars,
            chosen,
            space=names_of(search.search),
            objective=goals if len(goals) > 1 else goals[0],
            trials=search.trials,
            sampler=search.sampler,
            pruner=pruner,
            min_trades=search.min_trades,
            max_drawdown_pct=search.max_drawdown_pct,
            cash=settings.account.cash,
            risk=settings.risk,
            costs=settings.costs,
            conventions=settings.conventions,
            batch=batch,
            seed=search.seed,
            storage=storage,
            study=study,
            workers=workers,
            scheduler=scheduler,
            progress=progress,
            sink=sink,
        )
    answer(
        found, report, as_json=as_json, document=lambda: _document(found, head, top),
        show=lambda: _show(found, f"{title(head)}, {costs_word(settings, bars)}", top),
    )  # fmt: skip
    if storage is not None and not as_json:
        note(f"the study is {found.name!r} in {storage}")


def _stopped(far: Far, goals: list[str], storage: str | None, counted: str | None) -> str:
    done = f"{far.done:,} of {far.total:,} trials"
    if storage is not None:
        return f"{done} are kept in {storage}; the same command goes on from there"
    best = "" if math.isnan(far.best) else f", the best {goals[0]} so far is {far.best:.4g}"
    sets = "" if counted is None else f", its sets are shown by: twinstep trials {shlex.quote(counted)}"
    return f"{done} are done{best}. The study is not kept{sets}; with --storage studies.db it would go on"


def _show(found: StrategyStudy, market: str, top: int) -> None:
    goals = [one.name for one in found.objectives]
    counts = found.table["state"].value_counts()
    emit(f"{found.strategy.name} on {market}: {len(found.table):,} trials")
    without = int((~found.table["feasible"]).sum())
    if without:
        emit(
            f"{without:,} of them pruned, refused, without a figure or outside the constraints "
            f"({int(counts.get('complete', 0)):,} completed)"
        )
    names = list(dict.fromkeys([*goals, *(name for name in SHOWN if name in found.default)]))
    several = len(goals) > 1
    ranked = found.pareto if several else found.top(len(found.table))
    # sets that made the same trades are one result, and would fill the table
    apart = ranked.drop_duplicates(names)
    best = apart.head(top)
    given = found.strategy.parameters()
    metrics = {**found.default, **found.default_values}
    rows = [["as given", *(given[name] for name in found.space), *(_metric(metrics, name) for name in names)]]
    rows += [
        [f"{place}", *(row[name] for name in found.space), *(_metric(row, name) for name in names)]
        for place, row in enumerate(best.to_dict("records"), start=1)
    ]
    table(["front" if several else "set", *found.space, *names], rows)
    alike = ranked[names].merge(best[names].drop_duplicates()).shape[0] - len(best)
    if alike > 0:
        emit(
            f"{alike:,} more {'set has' if alike == 1 else 'sets have'} the figures of one above: same trades"
        )
    few = int(best["trades"].iloc[0]) if len(best) and "trades" in best else LEAST_TRADES
    if few < LEAST_TRADES:
        made = "1 trade" if few == 1 else f"{few} trades"
        emit(f"the first set made {made}, which shows next to nothing; --min-trades 30 leaves such sets out")
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
