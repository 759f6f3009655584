"""What a journal says beside a kill switch, read in a way that no state of the journal can disturb.

The file is opened read-only by its name, past every check that the journal itself makes: here a damaged or
locked journal is no error, its figures are unknown.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from live.kill_files import ENDING
from twinstep.switches import configured_journal

__all__ = ["figures"]

WAIT_SECONDS: Final = 0.2
"""How long a locked journal is waited for."""

_OPEN: Final = "SELECT source, count(*) FROM trades WHERE status = 'open' GROUP BY source ORDER BY source"
_SESSION: Final = (
    "SELECT s.name, max(t.ts) FROM sessions s JOIN steps t ON t.session_id = s.id "
    "GROUP BY s.id ORDER BY 2 DESC LIMIT 1"
)


def figures(folder: Path, journal: str | None) -> dict[str, Any]:
    """Return path, open trades by source, and the last session with its last bar; None is unknown."""
    path = Path(journal).expanduser() if journal else _beside(folder)
    found: dict[str, Any] = {"path": str(path), "open_trades": None, "session": None, "problems": []}
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)) as connection:
            rows = connection.execute(_OPEN).fetchall()
            found["open_trades"] = ", ".join(f"{count} {source}" for source, count in rows) or "none"
            last = connection.execute(_SESSION).fetchone()
            found["session"] = "none" if last is None else f"{last[0]}, last bar {_time(last[1])}"
    except (sqlite3.Error, OSError, ValueError) as error:
        found["problems"].append(f"the journal {path} cannot be read ({error})")
    return found


def _beside(folder: Path) -> Path:
    if folder.name.endswith(ENDING):
        return folder.with_name(folder.name.removesuffix(ENDING))
    return Path(configured_journal()).expanduser()


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat()
