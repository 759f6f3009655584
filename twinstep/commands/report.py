"""`twinstep report`: a week of the journal, or how it went over some days.

Text goes to standard output, wrapped to the terminal; `--html` and `--pdf` write the week as a file as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.commands.learn import Run
from twinstep.console import emit, emit_json, note, working
from twinstep.journals import (
    JournalPath,
    JournalSource,
    Place,
    SymbolName,
    chosen_source,
    day,
    place,
    reading,
)
from twinstep.options import OUTPUT, Json

__all__ = ["EXAMPLES", "report"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep report --weekly\n"
    "  twinstep report --weekly --week 2026-01-05 --html out/week.html\n"
    "  twinstep report --weekly --pdf out/week.pdf --paper letter\n"
    "  twinstep report --days 30"
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
            help="With --weekly: also write it as one HTML file.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --weekly: also print it to a PDF, by an installed Chromium.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            metavar="a4|letter", help="Paper of --pdf; a4.", rich_help_panel=OUTPUT, show_default=False
        ),
    ] = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Report a week, or the performance of some days: figures, mistakes, lessons, recommendations."""
    chosen = place(journal, source)
    weekly_only = {"--week": week, "--html": html, "--pdf": pdf, "--run": run}
    others = {"--days": days, "--symbol": symbol, "--strategy": strategy}
    for name, value in (others if weekly else weekly_only).items():
        if value is not None:
            words = "and --weekly exclude each other" if weekly else "needs --weekly"
            raise ConfigError(f"{name} {words}", code="CLI_EXCLUSIVE")
    if paper is not None and pdf is None:
        raise ConfigError("--paper belongs to --pdf", code="CLI_EXCLUSIVE")
    if weekly:
        _weekly(chosen, source, week, run, html, pdf, paper or "a4", as_json=as_json)
    else:
        _performance(chosen, source, days, symbol, strategy, as_json=as_json)


def _weekly(
    chosen: Place,
    source: str | None,
    week: str | None,
    run: int | None,
    html: Path | None,
    pdf: Path | None,
    paper: str,
    *,
    as_json: bool,
) -> None:
    from journal.learning_system import TradeLearningSystem
    from simulator.results.pdf import find_chromium, paper_of
    from simulator.results.terminal import terminal_width

    sheet = paper_of(paper)
    if pdf is not None:
        _is_called("--pdf", pdf, ".pdf")
        find_chromium()
    if html is not None and html.suffix.lower() == ".pdf":
        raise ConfigError(f"--html {html} has the name of a PDF; --pdf writes one", code="CLI_EXCLUSIVE")
    with reading(chosen) as opened:
        learner = TradeLearningSystem(opened, source=chosen_source(opened, chosen, source), run=run)
        found = learner.weekly_report(day("--week", week))
    if as_json:
        emit_json(found.as_dict())
    else:
        emit(found.text(width=terminal_width()))
    if html is not None:
        note(f"wrote {found.write(html)}")
    if pdf is not None:
        with working("printing the report"):
            found.write(pdf, paper=sheet)
        note(f"wrote {pdf}")


def _is_called(option: str, path: Path, ending: str) -> None:
    if path.suffix.lower() != ending:
        raise ConfigError(
            f"{option} {path} does not end in {ending}; name it {path.with_suffix(ending)}",
            code="CONFIG_OUTPUT",
        )


def _performance(
    chosen: Place,
    source: str | None,
    days: float | None,
    symbol: str | None,
    strategy: str | None,
    *,
    as_json: bool,
) -> None:
    from journal.performance.readable import plain
    from journal.performance_tracker import PerformanceTracker
    from simulator.results.terminal import fitted, printable, terminal_width

    wanted = {"symbol": symbol, "strategy": strategy}
    given = {name: value for name, value in wanted.items() if value is not None}
    with reading(chosen) as opened:
        found = PerformanceTracker(opened, source=chosen_source(opened, chosen, source)).generate_report(
            days, **given
        )
    if as_json:
        emit_json(plain(found))
        return
    text = "\n".join(map(printable, str(found).split("\n")))
    width = terminal_width()
    emit(text if width is None else fitted(text, width))
