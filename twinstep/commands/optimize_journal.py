"""`twinstep optimize journal`: tune a component's settings from the trades of a journal."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, note, working
from twinstep.journals import JournalPath, JournalSource, closed_elsewhere, day, place, reading, writing
from twinstep.options import Json
from twinstep.search_options import SEARCH, ReportFile, answer, check_report, names_of

__all__ = ["EXAMPLES", "journal"]

RULE: Final = "When a change is adopted"

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep optimize journal --source paper\n"
    "  twinstep optimize journal --source backtest --look --report out/tuning.html\n"
    "  twinstep optimize journal --search min_iv_rank,target_dte --confidence 0.99"
)


def journal(
    component: Annotated[
        str, typer.Argument(metavar="COMPONENT", help="options_scanner, premium or signal_generator.")
    ] = "options_scanner",
    search: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Search only these settings, as min_iv_rank,target_dte; without it, those of the component.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Which stored backtest, with --source backtest; the last by default.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Only what had ended by then.",
            rich_help_panel=SEARCH,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same answer.", rich_help_panel=SEARCH)
    ] = 0,
    confidence: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Of the bound by which a change must be better.", rich_help_panel=RULE
        ),
    ] = 0.95,
    min_trades: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Fewest independent trades that a candidate must let through; 30 by default.",
            rich_help_panel=RULE,
            show_default=False,
        ),
    ] = None,
    look: Annotated[
        bool, typer.Option("--look", help="Only look: store nothing.", rich_help_panel=RULE)
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Let what is to be adopted wait for `twinstep parameters approve`, on paper too.",
            rich_help_panel=RULE,
        ),
    ] = False,
    report: ReportFile = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Ask the journal whether other settings would have been better.

    The answer is adopt, keep, or not enough evidence: about so many more trades. What is to be adopted is
    stored as a parameter set; on paper it takes force by itself, else `twinstep parameters approve` puts it
    in force. The next scan uses it.
    """
    chosen = place(journal, source)
    if look and wait:
        raise ConfigError("--look stores nothing that could wait; leave out --wait", code="CLI_EXCLUSIVE")
    if run is not None and chosen.one_source != "backtest":
        raise ConfigError(
            f"--run {run} names a stored backtest, and the trades are those of {chosen.source}; add --source "
            "backtest",
            code="CLI_SOURCE",
        )
    check_report(report)
    names = names_of(search)
    how: dict[str, Any] = {} if min_trades is None else {"min_trades": min_trades}
    opened_by = reading if look else writing
    with opened_by(chosen) as opened, working("asking the journal"):
        from optimize.journal import tune_journal

        found = tune_journal(
            opened,
            source=chosen.one_source,
            component=component,
            space=None if names is None else dict.fromkeys(names),
            run=run,
            as_of=day("--as-of", as_of, end=True),
            store=not look,
            apply=False if wait else None,
            seed=seed,
            confidence=confidence,
            **how,
        )
        elsewhere = closed_elsewhere(opened, chosen.one_source)
    answer(found, report, as_json=as_json, document=found.as_dict, show=lambda: emit(str(found)))
    if elsewhere:
        others = " or ".join(f"--source {name} ({count:,})" for name, count in elsewhere.items())
        note(f"the journal has no closed {chosen.source} trades, but others: {others}")
