"""What a journal says beside a kill switch, read in a way that no state of the journal can disturb.

The file is opened past every check that the journal itself makes: here a damaged or locked journal is no
error, its figures are unknown.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from live.kill_files import ENDING
from twinstep.stored import open_stored
from twinstep.switches import journal_file

__all__ = ["figures", "unread"]

_OPEN: Final = "SELECT source, count(*) FROM trades WHERE status = 'open' GROUP BY source ORDER BY source"
_SESSION: Final = (
    "SELECT s.name, max(t.ts) FROM sessions s JOIN steps t ON t.session_id = s.id "
    "GROUP BY s.id ORDER BY 2 DESC LIMIT 1"
)


def figures(folder: Path, journal: str | None) -> dict[str, Any]:
    """Return path, open trades by source, and the last session with its last bar; None is unknown."""
    path = Path(journal_file(journal)).expanduser() if journal else _beside(folder)
    found: dict[str, Any] = {"path": str(path), "open_trades": None, "session": None, "problems": []}
    try:
        with closing(open_stored(path)) as connection:
            rows = connection.execute(_OPEN).fetchall()
            found["open_trades"] = ", ".join(f"{count} {source}" for source, count in rows) or "none"
            last = connection.execute(_SESSION).fetchone()
            found["session"] = "none" if last is None else f"{last[0]}, last bar {_time(last[1])}"
    except (sqlite3.Error, OSError, ValueError) as error:
        why = error if path.exists() else "it is not there"
        found["problems"].append(unread(f"the journal {path}", why))
    return found


def unread(what: str, why: object) -> str:
    """Return how it is said that something in a journal cannot be read."""
    error_code = "CLI_JOURNAL_UNREAD"
    return f"[{error_code}] {what} cannot be read ({why})"


def _beside(folder: Path) -> Path:
    if folder.name.endswith(ENDING):
        return folder.with_name(folder.name.removesuffix(ENDING))
    return Path(journal_file(None)).expanduser()


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat()
