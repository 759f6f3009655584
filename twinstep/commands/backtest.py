"""`twinstep backtest`: one strategy, one set of bars, one result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import emit, emit_json, note, working
from twinstep.journals import StoreIn, check_journal, store_result, stored_words
from twinstep.options import OUTPUT, Hypothesis, Json, NoTrials, Param, Spec
from twinstep.parameters import parse_parameters
from twinstep.runs import keep_run, kept_words, runs_beside
from twinstep.trials import counting
from twinstep.wiring import (
    describe_bars,
    find_strategy,
    read_benchmark,
    sector_warning,
    simulate,
    write_outputs,
)

if TYPE_CHECKING:
    from simulator.approval import Approval
    from simulator.approval_study import ApprovalStudy
    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.results.interval import IntervalReport
    from twinstep.config import Settings

__all__ = ["EXAMPLES", "backtest"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep backtest donchian-breakout --report out/report.html\n"
    "  twinstep backtest sma-cross --param fast=10 --costs ibkr-fixed\n"
    "  twinstep backtest my_idea.py:MyIdea --data prices/ --start 2015-01-01 --json\n"
    "  twinstep backtest short-put-spread --underlying sample:spx --iv sample:vix --cash 1000000\n"
    "  twinstep backtest sma-cross --journal trade_journal.db --note 'with costs'\n"
    "  twinstep backtest atr-channel --interval --set risk.max_open_positions=8\n"
    "  twinstep backtest sma-cross --approval delay=exp:2h,veto=0.1,expiry=1d --approval-seeds 100"
)


PERSON: Final = "Person in the loop"


@bundled
def backtest(
    strategy: Spec,
    market: Market,
    account: Account,
    param: Param = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Measure alpha, beta and capture against a symbol of the bars or a source, as sample:spx.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    approval: Annotated[
        str | None,
        typer.Option(
            metavar="delay=2h,…",
            help="A person approves entries: delay=2h or exp:2h, expiry=1d, veto=0.1, drift=1 (percent), "
            "seed=7, hours=09:00-17:00@Europe/Berlin.",
            rich_help_panel=PERSON,
            show_default=False,
        ),
    ] = None,
    approval_seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="With --approval: also draw so many seeds, and show what waiting costs.",
            rich_help_panel=PERSON,
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        bool,
        typer.Option(
            "--interval",
            help="Also run the worst and best conventions, and count the trades that depend on them.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a report, one file: HTML, or PDF where the name ends in .pdf.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            metavar="a4|letter",
            help="Paper of a report that is a PDF; a4.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write trades, fills, equity and verdicts as files.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    export_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="csv|parquet|json",
            help="Kind of exported files.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    journal: StoreIn = None,
    open_report: Annotated[
        bool, typer.Option("--open", help="Open the report in a browser.", rich_help_panel=OUTPUT)
    ] = False,
    no_keep: Annotated[
        bool,
        typer.Option(
            "--no-keep", help="Do not keep this run in `runs` beside the journal.", rich_help_panel=OUTPUT
        ),
    ] = False,
    remark: Annotated[
        str,
        typer.Option(
            "--note",
            metavar="TEXT",
            help="Words that are kept with the run, to find it by.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = "",
    no_trials: NoTrials = False,
    hypothesis: Hypothesis = None,
    as_json: Json = False,
) -> None:
    """Backtest a strategy under the risk manager."""
    settings = settings_of(
        market,
        account,
        report__path=None if report is None else str(report),
        report__export=None if export is None else str(export),
        report__export_format=export_format,
        report__benchmark=benchmark,
        report__interval=interval or None,
    )
    if open_report and settings.report.path is None:
        raise ConfigError("--open has nothing to open; name a report with --report FILE", code="CLI_OPEN")
    from simulator.results.pdf import check_report_path, paper_of

    sheet = paper_of(paper or "a4")
    if paper is not None and not str(settings.report.path).lower().endswith(".pdf"):
        raise ConfigError("--paper belongs to a --report that ends in .pdf", code="CLI_EXCLUSIVE")
    check_report_path(settings.report.path)
    if approval_seeds is not None and approval is None:
        raise ConfigError("--approval-seeds belongs to --approval", code="CLI_EXCLUSIVE")
    person = None if approval is None else _person(approval)
    check_journal(journal)
    chosen = find_strategy(strategy, parse_parameters(param or ()))
    bars = market.bars(settings)
    head = describe_bars(bars)
    benchmark_bars = read_benchmark(bars, settings)
    with counting(settings, journal=journal, off=no_trials, hypothesis=hypothesis) as sink:
        result = simulate(bars, chosen, settings, approval=person, sink=sink).with_benchmark(benchmark_bars)
    study = None
    if person is not None and approval_seeds is not None:
        study = _study(bars, chosen, person, approval_seeds, settings)
    spread = None
    if settings.report.interval:
        with working("the worst and best conventions"):
            spread = result.interval()
    if not as_json:
        # before files are written: a folder that cannot be written should not cost the result
        _show(result, spread, sector_warning(bars, settings), study)
    written = write_outputs(result, settings, paper=sheet)
    stored = None if journal is None else store_result(result, journal)
    kept = keep_run(result, settings, chosen, journal=journal, off=no_keep, note=remark)
    runs = runs_beside(journal or settings.journal.path)
    if as_json:
        from simulator.results.cut import cut_of

        cut = cut_of(result.raw)
        document: dict[str, Any] = {
            "strategy": repr(chosen),
            "data": head,
            "config": settings.path,
            "metrics": result.metrics,
            "verdicts": result.verdict_counts.to_dict(orient="index"),
            "cut": None if cut is None else cut.plain(),
            "interval": None if spread is None else spread.to_dict(),
            "review": None if result.reviewed is None else result.reviewed.counts,
            "approval": None if study is None else study.plain(),
            "fingerprint": result.fingerprint,
            "files": written,
            "journal": stored,
            "kept": None if kept is None else {"id": kept.id, "folder": str(runs)},
        }
        emit_json(document)
    else:
        for file in written:
            note(f"wrote {file}")
        if stored is not None:
            note(stored_words(stored))
        if kept is not None:
            note(kept_words(kept, runs))
    if open_report:
        typer.launch(str(Path(str(settings.report.path)).resolve()))


def _show(
    result: Result, spread: IntervalReport | None, sectors: str | None, study: ApprovalStudy | None
) -> None:
    from simulator.results.summary import summary_of

    emit(summary_of(result, interval=spread is None))
    if sectors is not None and result.verdicts["rule"].eq("sector").any():
        note(f"warning: {sectors}")
    for more in (spread, result.reviewed, study):
        if more is not None:
            emit()
            emit(str(more))


def _person(text: str) -> Approval:
    from simulator.approval import Approval

    return Approval.parse(text)


def _study(bars: Bars, strategy: Any, person: Approval, seeds: int, settings: Settings) -> ApprovalStudy:
    from simulator.approval_study import approval_study

    with working(f"{seeds:,} seeds of the person in the loop"):
        return approval_study(
            bars, strategy, person, seeds=seeds, cash=settings.account.cash, risk=settings.risk,
            costs=settings.costs, conventions=settings.conventions,
        )  # fmt: skip
