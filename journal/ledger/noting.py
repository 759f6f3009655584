"""What a trader writes down about a trade, open or closed: notes, mistakes and lessons.

All are words on a trade and change no figure of it. Automatic mistakes are stored by
`journal.performance.mistakes`; those written here stay when a trade is analysed again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, delete, insert, update

from journal.ledger.lookup import chosen, get_trade, resolve
from journal.ledger.sums import inserted
from journal.performance.mistakes import MistakeCategory
from journal.schema import lessons, mistakes, trades
from journal.values import text
from simulator.errors import DataError

__all__ = ["note_lesson", "note_mistake", "note_words", "remove_mistake"]


def note_mistake(
    connection: Connection,
    trade_id: int | str,
    category: MistakeCategory | str,
    description: str,
    *,
    now: int,
) -> int:
    """Store a mistake that was made in a trade and return its number.

    Raises
    ------
    UnknownNameError
        JOURNAL_TRADE for a trade that is not in the journal.
    DataError
        JOURNAL_CHOICE for what is no `MistakeCategory`.
    """
    name = chosen("mistake_category", category, [each.value for each in MistakeCategory])
    values = {"category": str(name), "description": text("description", description), "automatic": 0}
    return _store(connection, mistakes, trade_id, values, now)


def remove_mistake(connection: Connection, trade_id: int | str, category: MistakeCategory | str) -> int:
    """Take a category off a trade, also where it was found automatically; returns how many went."""
    number = resolve(connection, trade_id)
    gone = delete(mistakes).where(mistakes.c.trade_id == number, mistakes.c.category == str(category))
    return connection.execute(gone).rowcount


def note_lesson(connection: Connection, trade_id: int | str, lesson: str, *, now: int) -> int:
    """Store what was learned from a trade and return its number.

    Raises
    ------
    UnknownNameError
        JOURNAL_TRADE for a trade that is not in the journal.
    DataError
        JOURNAL_VALUE for an empty lesson.
    """
    words = text("lesson", lesson).strip()
    if not words:
        raise DataError("a lesson is empty; say what was learned", code="JOURNAL_VALUE")
    return _store(connection, lessons, trade_id, {"lesson": words}, now)


def note_words(connection: Connection, trade_id: int | str, note: str) -> str:
    """Add a line to the notes of a trade, to those at entry while it is open, and return all of them.

    Raises
    ------
    UnknownNameError
        JOURNAL_TRADE for a trade that is not in the journal.
    DataError
        JOURNAL_VALUE for an empty note.
    """
    words = text("note", note).strip()
    if not words:
        raise DataError("a note is empty; say what is to be remembered", code="JOURNAL_VALUE")
    trade = get_trade(connection, trade_id)
    where = "entry_notes" if trade.status == "open" else "exit_notes"
    whole = "\n".join(filter(None, (getattr(trade, where), words)))
    connection.execute(update(trades).where(trades.c.id == trade.id).values({where: whole}))
    return whole


def _store(
    connection: Connection, table: Table, trade_id: int | str, values: dict[str, Any], now: int
) -> int:
    number = resolve(connection, trade_id)
    return inserted(connection.execute(insert(table), values | {"trade_id": number, "ts": now}))
