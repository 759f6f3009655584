"""Import of a broker statement: one file, one transaction, every execution once.

Each row gets a key: broker, account and the broker's execution id. Where a statement has no ids, the key is a
digest of all that tells rows apart and the how-manieth of its kind the row is within the file. So 26
identical fills are 26 rows, the same file again finds all 26 keys taken, and of two overlapping statements
the one that shows more of a kind counts. Statements must be cut between two moments, not within one, which
is how brokers cut them.

>>> from journal.statements import import_statement                  # doctest: +SKIP
>>> print(import_statement(journal, "activity.csv"))                # doctest: +SKIP
tastytrade: 4 rows, 4 new; 2 trades opened, 1 closed, 0 linked
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from journal import schema
from journal.ledger.lookup import chosen
from journal.statements.alpaca import parse_alpaca_csv, parse_alpaca_json
from journal.statements.ib_flex import parse_ib_flex
from journal.statements.rows import NEW_YORK, StatementRow
from journal.statements.storing import Outcome, inserted_number, regroup, stored_row
from journal.statements.tastytrade import HEADER, parse_tastytrade
from journal.tracking.rows import covered
from simulator.errors import DataError

if TYPE_CHECKING:
    from journal.database import Database

__all__ = ["BROKERS", "ImportResult", "import_statement"]

BROKERS = ("tastytrade", "alpaca", "ib")
"""Names for `broker`."""

_KEYS_PER_QUERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did.

    Attributes
    ----------
    broker, accounts
        Whose statement it was.
    rows_read, rows_new, duplicates
        Rows of the file, those stored by this import, and those that were known.
    opened, closed, linked
        Trades that are new, that are closed now and were not before, and that had been logged by hand.
    unmatched
        Sentences about rows that belong to no trade, each with its reason.
    statement_id
        Row in `statements`; None where the very file had been imported before.
    """

    broker: str
    accounts: tuple[str, ...]
    rows_read: int
    rows_new: int
    duplicates: int
    opened: int
    closed: int
    linked: int
    unmatched: tuple[str, ...]
    statement_id: int | None

    def __str__(self) -> str:
        text = (
            f"{self.broker}: {self.rows_read} rows, {self.rows_new} new; {self.opened} trades opened, "
            f"{self.closed} closed, {self.linked} linked"
        )
        return "\n  ".join([text, *self.unmatched])


def import_statement(
    journal: Any,
    path: str | os.PathLike[str],
    *,
    broker: str | None = None,
    account: str | None = None,
    source: str = "live",
    zone: str | None = None,
) -> ImportResult:
    """Import a statement into a journal.

    Parameters
    ----------
    journal
        A `TradeJournal` or a `Database`.
    path
        tastytrade: transactions CSV. Alpaca: account activities, JSON or CSV. Interactive Brokers: Flex XML.
    broker
        "tastytrade", "alpaca" or "ib"; None tells them apart by the layout.
    account
        Name of the account. Statements of Interactive Brokers and Alpaca (JSON of the broker API) name it
        themselves; give it for the others if you have several, and then always the same.
    source
        "live", "paper" or "backtest".
    zone
        Zone of wall-clock times in Flex statements; New York unless your account's settings say otherwise.

    Returns
    -------
    ImportResult
        Counts, and a sentence for each row that found no trade.

    Raises
    ------
    DataError
        JOURNAL_STATEMENT_FILE for a file that cannot be read as text, JOURNAL_STATEMENT_LAYOUT for one of no
        known layout, JOURNAL_STATEMENT_ROW for a bad cell (file, line, column and value are named), and
        JOURNAL_STATEMENT_ACCOUNT for rows that are stored under another account. Nothing is stored then.
        JOURNAL_CHOICE for an unknown broker or source.

    Notes
    -----
    Modifies the journal in one transaction.
    """
    if broker is not None:
        chosen("broker", broker, BROKERS)
    chosen("source", source, schema.SOURCES)
    database: Database = getattr(journal, "database", journal)
    file = Path(path)
    text, digest = _read(file)
    found, rows = _parse(text, file.name, broker, ZoneInfo(zone) if zone else NEW_YORK)
    keyed = _keyed(found, [(account or stated, row) for stated, row in rows])
    with database.write() as connection:
        return _store(connection, found, source, file.name, digest, keyed)


def _read(file: Path) -> tuple[str, str]:
    try:
        data = file.read_bytes()
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", code="JOURNAL_STATEMENT_FILE") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is no UTF-8 text (byte {error.start}); export it again as CSV, JSON or XML",
            code="JOURNAL_STATEMENT_FILE",
        ) from error


def _parse(
    text: str, file: str, broker: str | None, zone: ZoneInfo
) -> tuple[str, list[tuple[str, StatementRow]]]:
    layout = _layout(text)
    found = layout.partition(" ")[0]
    if not layout or (broker is not None and broker != found):
        said = f"looks like {found}, not {broker}" if layout else "is no statement of a known layout"
        raise DataError(
            f"{file} {said}; known are the transactions CSV of tastytrade, account activities of Alpaca "
            "(JSON or CSV) and Flex queries of Interactive Brokers (XML)",
            code="JOURNAL_STATEMENT_LAYOUT",
        )
    if layout == "ib":
        return found, parse_ib_flex(text, file, zone=zone)
    if layout == "tastytrade":
        return found, [("", row) for row in parse_tastytrade(text, file)]
    parse = parse_alpaca_json if layout == "alpaca json" else parse_alpaca_csv
    return found, [(str(row.raw.get("account_id") or ""), row) for row in parse(text, file)]


def _layout(text: str) -> str:
    start = text.lstrip()[:4000]
    header = start.partition("\n")[0]
    if start.startswith("<"):
        return "ib"
    if start.startswith(("[", "{")):
        return "alpaca json"
    if "activity_type" in header:
        return "alpaca csv"
    named = sum(name in header for name in HEADER)
    return "tastytrade" if named > len(HEADER) // 2 else ""


def _keyed(broker: str, rows: Iterable[tuple[str, StatementRow]]) -> list[tuple[str, StatementRow]]:
    """Return rows with their keys, each once: pages of an API may overlap within one file."""
    counts: dict[tuple[str, str], int] = {}
    result: dict[str, tuple[str, StatementRow]] = {}
    for account, row in rows:
        name = row.key
        if not name:
            digest = hashlib.sha256(row.identity.encode()).hexdigest()[:24]
            count = counts.get((account, digest), 0) + 1
            counts[account, digest] = count
            name = f"#{digest}:{count}"
        key = f"{broker}:{account}:{name}"
        result.setdefault(key, (account, replace(row, key=key)))
    return list(result.values())


def _store(
    connection: Connection,
    broker: str,
    source: str,
    file: str,
    digest: str,
    rows: Sequence[tuple[str, StatementRow]],
) -> ImportResult:
    known = _known(connection, [row.key for _, row in rows])
    fresh = [(account, row) for account, row in rows if row.key not in known]
    known |= covered(connection, broker, fresh)  # synced from the broker, by ids that the statement lacks
    fresh = [(account, row) for account, row in fresh if row.key not in known]
    accounts = tuple(sorted({account for account, _ in rows}))
    _refuse_other_account(connection, broker, file, fresh)
    statements = schema.statements
    seen = connection.execute(
        select(statements.c.id).where(statements.c.digest == digest, statements.c.broker == broker).limit(1)
    ).one_or_none()
    number: int | None = None
    if fresh or seen is None:
        made = connection.execute(
            insert(statements).values(
                broker=broker,
                account=", ".join(accounts),
                digest=digest,
                file=file,
                imported_ts=time.time_ns(),
                rows_read=len(rows),
                rows_new=len(fresh),
            )
        )
        number = inserted_number(made)
    outcome = Outcome()
    if fresh:
        connection.execute(
            insert(schema.fills),
            [
                stored_row(row, broker=broker, account=account, source=source, statement=number)
                for account, row in fresh
            ],
        )
        for account, underlying in sorted({(account, row.underlying) for account, row in fresh}):
            regroup(connection, source, broker, account, underlying, outcome)
        outcome.finish(connection, source)
    return ImportResult(
        broker=broker,
        accounts=accounts,
        rows_read=len(rows),
        rows_new=len(fresh),
        duplicates=len(rows) - len(fresh),
        opened=len(outcome.opened),
        closed=len(outcome.closed),
        linked=len(outcome.linked),
        unmatched=tuple(outcome.unmatched),
        statement_id=number,
    )


def _known(connection: Connection, keys: Sequence[str]) -> set[str]:
    column = schema.fills.c.execution_key
    known: set[str] = set()
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = keys[start : start + _KEYS_PER_QUERY]
        known.update(connection.execute(select(column).where(column.in_(some))).scalars())
    return known


def _refuse_other_account(
    connection: Connection, broker: str, file: str, fresh: Sequence[tuple[str, StatementRow]]
) -> None:
    """Refuse rows that stand under another account already: that would double every trade of them."""
    moved = [row.key.split(":", 2)[2] for _, row in fresh if row.order_id or row.kind != "trade"]
    if not moved:
        return
    fills = schema.fills
    others = (
        connection.execute(select(fills.c.account).where(fills.c.broker == broker).distinct()).scalars().all()
    )
    mine = {account for account, _ in fresh}
    for other in set(others) - mine:
        same = _known(connection, [f"{broker}:{other}:{name}" for name in moved])
        same |= covered(connection, broker, [(other, row) for _, row in fresh])
        if same:
            raise DataError(
                f"{file}: {len(same)} of its rows are stored under account {other!r} already, and would be "
                f"stored again under {', '.join(map(repr, sorted(mine)))}; give account={other!r}",
                code="JOURNAL_STATEMENT_ACCOUNT",
            )
