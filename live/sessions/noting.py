"""What a session says of itself in notes of one key each, for whoever reads the journal.

A note is stored where the value differs from the last one, so that a restart adds none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from live.session import Session

__all__ = ["note_changed", "noted"]


def noted(session: Session, key: str) -> str | None:
    """Return the last value of a key among a session's notes; None where it has none."""
    told = (note.value for note in reversed(session.notes()) if isinstance(note.value, dict))
    return next((str(one[key]) for one in told if key in one), None)


def note_changed(session: Session, values: Mapping[str, str]) -> None:
    """Note each value that is not the last one of its key.

    Raises
    ------
    JournalError
        Where it cannot be stored; notes before it are.
    """
    for key, value in values.items():
        if noted(session, key) != value:
            session.note({key: value})
