"""`twinstep optimize walk-forward`: tune on the past, score on what follows, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import emit, table
from twinstep.machine_options import Scheduler, Workers, check_machines
from twinstep.options import Hypothesis, Json, NoTrials, Param, Spec
from twinstep.parameters import parse_parameters
from twinstep.search_options import (
    SEARCH,
    ReportFile,
    Search,
    answer,
    check_report,
    costs_word,
    names_of,
)
from twinstep.search_progress import Far, stoppable
from twinstep.trials import counting
from twinstep.wiring import describe_bars, find_strategy, title

if TYPE_CHECKING:
    from optimize.forward import WalkForward
    from optimize.forward.windows import Mode

__all__ = ["EXAMPLES", "walk_forward"]

WINDOWS: Final = "Windows"

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep optimize walk-forward donchian-breakout --trials 40 --report out/forward.html\n"
    "  twinstep optimize walk-forward sma-cross --mode anchored --train 1000 --test 250 --workers 2\n"
    "  twinstep optimize walk-forward atr-channel --mode combinatorial --folds 6 --embargo 50"
)


def _length(text: str) -> Any:
    return typer.Option(metavar="SESSIONS", min=0, help=text, rich_help_panel=WINDOWS, show_default=False)


@bundled
def walk_forward(
    strategy: Spec,
    search: Search,
    market: Market,
    account: Account,
    param: Param = None,
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="What each fold maximises.", rich_help_panel=SEARCH)
    ] = "sharpe",
    mode: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="rolling and anchored train on the past alone; kfold and combinatorial on both sides.",
            rich_help_panel=WINDOWS,
        ),
    ] = "rolling",
    train: Annotated[
        int | None, _length("Sessions to train on; four for each tested one by default.")
    ] = None,
    test: Annotated[
        int | None, _length("Sessions to test on; with --mode combinatorial how many groups are tested.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=1, help="How many; 6 by default.", rich_help_panel=WINDOWS, show_default=False),
    ] = None,
    purge: Annotated[int | None, _length("Sessions between training and test that neither uses.")] = None,
    embargo: Annotated[
        int | None, _length("Sessions after a test that no training uses; 1 % of all by default.")
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    report: ReportFile = None,
    no_trials: NoTrials = False,
    hypothesis: Hypothesis = None,
    as_json: Json = False,
) -> None:
    """Tune a strategy on one part of the history and score it on another, which the tuning has not seen.

    The strategy as it was given trades the same sessions beside it. The last line says what that shows.
    """
    check_machines(workers, scheduler)
    check_report(report)
    settings = settings_of(market, account)
    chosen = find_strategy(strategy, parse_parameters(param or ()))
    bars = market.bars(settings)
    head = describe_bars(bars)
    from optimize.forward import walk_forward as walk

    with (
        counting(settings, off=no_trials, hypothesis=hypothesis) as sink,
        stoppable("folds", _stopped) as progress,
    ):
        found = walk(
            bars,
            chosen,
            space=names_of(search.search),
            objective=objective,
            mode=cast("Mode", mode),
            train=train,
            test=test,
            folds=folds,
            purge=purge,
            embargo=embargo,
            trials=search.trials,
            sampler=search.sampler,
            seed=search.seed,
            min_trades=search.min_trades,
            max_drawdown_pct=search.max_drawdown_pct,
            cash=settings.account.cash,
            risk=settings.risk,
            costs=settings.costs,
            conventions=settings.conventions,
            workers=workers,
            scheduler=scheduler,
            sink=sink,
            progress=progress,
        )
    answer(
        found, report, as_json=as_json, document=lambda: _document(found, head),
        show=lambda: _show(found, f"{title(head)}, {costs_word(settings, bars)}"),
    )  # fmt: skip


def _stopped(far: Far) -> str:
    return (
        f"{far.done:,} of {far.total:,} folds are done. A walk-forward is not kept: the same command begins "
        "it anew"
    )


def _show(found: WalkForward, market: str) -> None:
    from simulator.results.metrics import format_metric

    emit(f"{found.name} on {market}")
    goal = found.objective.name
    rows = []
    for at, row in enumerate(found.folds.to_dict("records")):
        figures = [row[name] for name in ("in_sample", "out_of_sample", "out_of_sample_default")]
        gains = [row[name] for name in ("total_return", "total_return_default")]
        rows.append(
            [
                row["fold"],
                found.tested(at),
                row["trades"],
                *(format_metric(goal, float(value)) for value in figures),
                *(format_metric("total_return", float(value)) for value in gains),
            ]
        )
    names = (
        *("fold", "tested", "trades", f"{goal} in sample", "out of sample", "out of sample as given"),
        *("return", "return as given"),
    )
    table(names, rows)
    emit(str(found))


def _document(found: WalkForward, head: dict[str, Any]) -> dict[str, Any]:
    import dataclasses

    return {
        "strategy": found.name,
        "data": head,
        "mode": found.mode,
        "objective": found.objective.name,
        "tried": found.tried,
        "sharpe": found.sharpe,
        "default_sharpe": found.default_sharpe,
        "default_beats_tuned": found.default_beats_tuned,
        "verdict": dataclasses.asdict(found.verdict),
        "sentence": found.sentence(),
        "folds": [
            {**row, "tested": found.tested(at)} for at, row in enumerate(found.folds.to_dict("records"))
        ],
        "paths": found.paths.to_dict("records"),
    }
