"""`twinstep journal`: the trade journal from the shell.

The commands stand in modules by what they are about; here they are put together.
"""

from __future__ import annotations

from typing import Final

import typer

from twinstep.commands import (
    journal_data,
    journal_log,
    journal_moves,
    journal_show,
    journal_tax,
    parameters,
)

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal log 1 --contracts 7 --credit 1.90 --iv-rank 68.5\n"
    '  twinstep journal close 1 --debit 0.95 --reason "50% profit rule"\n'
    "  twinstep journal show\n"
    "  twinstep journal export trades.xlsx"
)

TRADES: Final = "Trades"
LESSONS: Final = "What was learned"
DATA: Final = "Data"

app = typer.Typer(
    no_args_is_help=True,
    help="Log trades and what was learned from them; look them up.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)
app.command("log", epilog=journal_log.LOG_EXAMPLES, rich_help_panel=TRADES)(journal_log.log)
app.command("add", epilog=journal_moves.ADD_EXAMPLES, rich_help_panel=TRADES)(journal_moves.add)
app.command("close", epilog=journal_moves.CLOSE_EXAMPLES, rich_help_panel=TRADES)(journal_moves.close)
app.command("roll", epilog=journal_moves.ROLL_EXAMPLES, rich_help_panel=TRADES)(journal_moves.roll)
app.command("assign", epilog=journal_moves.ASSIGN_EXAMPLES, rich_help_panel=TRADES)(journal_moves.assign)
app.command("expire", epilog=journal_moves.EXPIRE_EXAMPLES, rich_help_panel=TRADES)(journal_moves.expire)
app.command("stop", epilog=journal_moves.STOP_EXAMPLES, rich_help_panel=TRADES)(journal_moves.stop)
app.command("ignore", epilog=journal_log.IGNORE_EXAMPLES, rich_help_panel=TRADES)(journal_log.ignore)
app.command("show", epilog=journal_show.SHOW_EXAMPLES, rich_help_panel=TRADES)(journal_show.show)
app.command("search", epilog=journal_show.SEARCH_EXAMPLES, rich_help_panel=TRADES)(journal_show.search)
app.command("tag", epilog=journal_show.TAG_EXAMPLES, rich_help_panel=LESSONS)(journal_show.tag)
app.command("note", epilog=journal_show.NOTE_EXAMPLES, rich_help_panel=LESSONS)(journal_show.note)
app.command("lesson", epilog=journal_show.LESSON_EXAMPLES, rich_help_panel=LESSONS)(journal_show.lesson)
app.command("mistake", epilog=journal_show.MISTAKE_EXAMPLES, rich_help_panel=LESSONS)(journal_show.mistake)
# by its former name; the documentation has one
app.add_typer(parameters.app, name="params", hidden=True)
app.command("import", epilog=journal_data.IMPORT_EXAMPLES, rich_help_panel=DATA)(journal_data.import_)
app.command("export", epilog=journal_data.EXPORT_EXAMPLES, rich_help_panel=DATA)(journal_data.export)
app.command("tax", epilog=journal_tax.EXAMPLES, rich_help_panel=DATA)(journal_tax.tax)
app.command("sql", epilog=journal_data.SQL_EXAMPLES, rich_help_panel=DATA)(journal_data.sql)
app.command("backup", epilog=journal_data.BACKUP_EXAMPLES, rich_help_panel=DATA)(journal_data.backup)
app.command("restore", epilog=journal_data.RESTORE_EXAMPLES, rich_help_panel=DATA)(journal_data.restore)
app.command("check", epilog=journal_data.CHECK_EXAMPLES, rich_help_panel=DATA)(journal_data.check)
