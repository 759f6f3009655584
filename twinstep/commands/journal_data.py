"""The journal as a whole: `import`, `export`, `sql`, `backup`, `restore` and `check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from simulator.errors import JournalError
from twinstep.console import EXIT_FOUND, emit, emit_json, note, table
from twinstep.journals import (
    AccountName,
    JournalPath,
    JournalSource,
    Place,
    SymbolName,
    day,
    place,
    reading,
    writing,
)
from twinstep.options import Json

__all__ = ["backup", "check", "export", "import_", "restore", "sql"]

IMPORT_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal import transactions.csv\n"
    "  twinstep journal import flex.xml --broker ib --source paper"
)
EXPORT_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal export trades.xlsx\n"
    "  twinstep journal export spy.parquet --symbol SPY --since 2026-01-01"
)
SQL_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    '  twinstep journal sql "SELECT symbol, count(*), sum(pnl) FROM trades GROUP BY symbol"\n'
    '  twinstep journal sql "SELECT id, entry_ts, pnl FROM trades" --times --json'
)
BACKUP_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal backup\n  twinstep journal backup out/today.db"
RESTORE_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep journal restore\n  twinstep journal restore out/today.db"
)
CHECK_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal check --full"


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Statement of tastytrade, Alpaca or Interactive Brokers.")
    ],
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="tastytrade|alpaca|ib",
            help="Whose it is; told from the layout by default.",
            show_default=False,
        ),
    ] = None,
    account: AccountName = None,
    zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Zone of wall-clock times in Flex statements; America/New_York by default.",
            show_default=False,
        ),
    ] = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Import a broker's statement; importing it again changes nothing, overlapping statements merge."""
    from journal.statements import import_statement

    chosen = place(journal, source)
    with writing(chosen, begin=True) as opened:
        done = import_statement(
            opened, file, broker=broker, account=account, source=chosen.one_source, zone=zone
        )
    if as_json:
        emit_json(asdict(done))
    else:
        emit(str(done))


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Ends in .csv, .xlsx, .parquet or .json; is replaced.")
    ],
    symbol: SymbolName = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Entered since.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Entered before.", show_default=False)
    ] = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Write trades with legs, fills, insights, mistakes, lessons and tags."""
    from journal.export import export_trades

    chosen = place(journal, source)
    with reading(chosen) as opened:
        written = export_trades(
            opened, file, source=chosen.source, symbol=symbol, since=_stamp("--since", since),
            until=_stamp("--until", until),
        )  # fmt: skip
    if as_json:
        emit_json({"file": written, "source": chosen.source})
    else:
        note(f"wrote {written}")


def sql(
    question: Annotated[str, typer.Argument(metavar="SELECT", help="One question; tables are in the docs.")],
    times: Annotated[
        bool, typer.Option("--times", help="Show columns that end in _ts as times, not as nanoseconds.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many rows.")] = 1000,
    seconds: Annotated[float, typer.Option(metavar="S", help="Give up after so long.")] = 30.0,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Ask the journal in SQL; nothing can be changed."""
    from twinstep.journal_sql import ask

    names, rows, more = ask(place(journal, "live"), question, limit=limit, seconds=seconds, times=times)
    if as_json:
        emit_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        table(names, [[_exact(value) for value in row] for row in rows])
    if more:
        note(f"there are more rows; --limit is {limit}")


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="File to write; named by the time, in JOURNAL.backups/.", show_default=False
        ),
    ] = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Copy the journal, also while it is written to, and check the copy."""
    from journal.backup import backup as copy

    made = copy(place(journal, "live").where, file)
    _copied("backed up to", made, as_json=as_json)


def restore(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The copy; the newest in JOURNAL.backups/ by default.", show_default=False
        ),
    ] = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Put a checked copy in the journal's place, and keep what was there."""
    from journal.backup import restore as bring_back

    made = bring_back(place(journal, "live").where, file)
    _copied("restored", made, as_json=as_json)


def check(
    full: Annotated[
        bool, typer.Option("--full", help="Also compare every index with its table; reads the file twice.")
    ] = False,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Check that the journal is whole, and say what is in it; leaves with 3 if it is damaged."""
    chosen = place(journal, "live")
    try:
        found = _state(chosen, full=full)
    except JournalError as error:
        if error.code != "JOURNAL_DAMAGED":
            raise
        if as_json:
            emit_json({"journal": chosen.where, "ok": False, "reason": error.args[0]})
        else:
            emit(f"damaged: {error.args[0]}")
        raise typer.Exit(EXIT_FOUND) from None
    if as_json:
        emit_json(found)
        return
    emit(f"{found['journal']}: good, schema version {found['schema_version']}")
    table(("table", "rows"), [(name, rows) for name, rows in found["rows"].items() if rows])
    for name, words in (("waiting", "commands wait in the inbox"), ("rejected", "rejected commands")):
        if found[name]:
            emit(f"{found[name]} {words}")
    last = f", the last {found['backups'][-1]}" if found["backups"] else ""
    emit(f"{len(found['backups'])} backups{last}")


def _state(chosen: Place, *, full: bool) -> dict[str, Any]:
    from sqlalchemy import func, inspect, select

    from journal import schema
    from journal.backup import backups
    from journal.database import Database
    from journal.inbox import Inbox

    with Database(chosen.where, read_only=True) as database:
        database.check(full=full)
        with database.read() as connection:
            there = inspect(connection).get_table_names()  # an older journal lacks the newest
            rows = {
                name: int(connection.execute(select(func.count()).select_from(one)).scalar_one())
                for name, one in schema.metadata.tables.items()
                if name in there
            }
            version = connection.execute(select(func.max(schema.schema_history.c.version))).scalar_one()
        path = database.path
        inbox = None if path is None else Inbox(path)
        return {
            "journal": database.name,
            "ok": True,
            "schema_version": int(version),
            "rows": rows,
            "waiting": 0 if inbox is None else len(inbox.waiting()),
            "rejected": 0 if inbox is None else len(list(inbox.rejected.glob("*.json"))),
            "backups": [] if path is None else [str(file) for file in backups(path)],
        }


def _copied(words: str, made: Any, *, as_json: bool) -> None:
    if as_json:
        emit_json(asdict(made))
        return
    emit(f"{words} {made.path}: {sum(made.rows.values()):,} rows, {made.size:,} bytes, checked")
    if made.replaced is not None:
        emit(f"what was there is kept in {made.replaced}")


def _stamp(name: str, text: str | None) -> int | None:
    from journal.values import nanoseconds

    moment = day(name, text)
    return None if moment is None else nanoseconds(moment)


def _exact(value: object) -> object:
    return f"{value:,.2f}" if isinstance(value, float) else value
