"""`twinstep optimize`: search, and say what was found is worth; here its commands are put together."""

from __future__ import annotations

import typer

from twinstep.commands import optimize_forward, optimize_journal, optimize_strategy

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Search parameters, and say what the best of them is worth.",
    rich_markup_mode="rich",
)
app.command("strategy", epilog=optimize_strategy.EXAMPLES)(optimize_strategy.strategy)
app.command("journal", epilog=optimize_journal.EXAMPLES)(optimize_journal.journal)
app.command("walk-forward", epilog=optimize_forward.EXAMPLES)(optimize_forward.walk_forward)
