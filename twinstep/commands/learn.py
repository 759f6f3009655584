"""`twinstep learn` and `twinstep report`: what the journal teaches, and how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, emit_json, note
from twinstep.journals import JournalPath, JournalSource, Place, SymbolName, day, place, reading, writing
from twinstep.options import OUTPUT, Json

__all__ = ["LEARN_EXAMPLES", "REPORT_EXAMPLES", "learn", "report"]

LEARN_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep learn\n  twinstep learn --source backtest --json\n  twinstep learn --propose"
)
REPORT_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep report --weekly\n"
    "  twinstep report --weekly --week 2026-01-05 --html out/week.html\n"
    "  twinstep report --days 30"
)

Run = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="Which stored backtest, with --source backtest; the last by default.",
        show_default=False,
    ),
]


def learn(
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only trades closed until then.", show_default=False),
    ] = None,
    run: Run = None,
    propose: Annotated[
        bool,
        typer.Option("--propose", help="Store significant advice as parameter sets that await approval."),
    ] = False,
    all_advice: Annotated[
        bool, typer.Option("--all", help="With --propose: also what is not significant.")
    ] = False,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Say what works, by the closed trades of the journal, and what to change."""
    from journal.learning_system import TradeLearningSystem

    chosen = place(journal, source)
    if all_advice and not propose:
        raise ConfigError("--all belongs to --propose", code="CLI_EXCLUSIVE")
    with reading(chosen) as opened:
        learner = TradeLearningSystem(opened, source=chosen.source, run=run)
        found = learner.analysis(as_of=day("--as-of", as_of, end=True))
    proposed = _propose(chosen, run, significant_only=not all_advice) if propose else []
    if as_json:
        emit_json(found.as_dict() | {"proposed": proposed})
        return
    emit(found.text())
    if propose:
        emit(
            "\n".join(f"proposed set {one['id']}: {one['component']} {one['settings']}" for one in proposed)
            or "nothing is proposed: no advice is significant"
        )


def report(
    weekly: Annotated[bool, typer.Option("--weekly", help="The report of a week.")] = False,
    week: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="With --weekly: the week of this day; this week.", show_default=False
        ),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Performance of the last days; of all time without.", show_default=False
        ),
    ] = None,
    symbol: SymbolName = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this strategy.", show_default=False)
    ] = None,
    run: Run = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --weekly: write it as one HTML file.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Report a week, or the performance of some days: figures, mistakes, lessons, recommendations."""
    chosen = place(journal, source)
    weekly_only = {"--week": week, "--html": html, "--run": run}
    others = {"--days": days, "--symbol": symbol, "--strategy": strategy}
    for name, value in (others if weekly else weekly_only).items():
        if value is not None:
            words = "and --weekly exclude each other" if weekly else "needs --weekly"
            raise ConfigError(f"{name} {words}", code="CLI_EXCLUSIVE")
    if weekly:
        _weekly(chosen, week, run, html, as_json=as_json)
    else:
        _performance(chosen, days, symbol, strategy, as_json=as_json)


def _weekly(chosen: Place, week: str | None, run: int | None, html: Path | None, *, as_json: bool) -> None:
    from journal.learning_system import TradeLearningSystem

    with reading(chosen) as opened:
        learner = TradeLearningSystem(opened, source=chosen.source, run=run)
        found = learner.weekly_report(day("--week", week))
    if as_json:
        emit_json(found.as_dict())
    else:
        emit(found.text())
    if html is not None:
        note(f"wrote {found.write(html)}")


def _performance(
    chosen: Place, days: float | None, symbol: str | None, strategy: str | None, *, as_json: bool
) -> None:
    from journal.performance.readable import plain
    from journal.performance_tracker import PerformanceTracker

    wanted = {"symbol": symbol, "strategy": strategy}
    given = {name: value for name, value in wanted.items() if value is not None}
    with reading(chosen) as opened:
        found = PerformanceTracker(opened, source=chosen.source).generate_report(days, **given)
    if as_json:
        emit_json(plain(found))
    else:
        emit(str(found))


def _propose(chosen: Place, run: int | None, *, significant_only: bool) -> list[dict[str, object]]:
    from journal.learning_system import TradeLearningSystem

    with writing(chosen) as opened:
        learner = TradeLearningSystem(opened, run=run)
        return [one.as_dict() for one in learner.propose(significant_only=significant_only)]
