"""A journal's file, opened to look and nothing else.

Past every check that the journal itself makes, read-only, beside whoever writes to it. On a read-only disk
SQLite cannot make the files that it keeps beside a journal; where none of them holds anything, the file alone
is all there is, and is read as one that nobody changes.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

__all__ = ["open_stored"]

WAIT_SECONDS: Final = 0.2
"""How long a locked journal is waited for."""


def open_stored(path: str | Path) -> sqlite3.Connection:
    """Return a connection that can only read; raises `sqlite3.Error` and `OSError`."""
    file = Path(path).expanduser().absolute()
    address = f"file:{quote(str(file))}?mode=ro"
    connection = _connected(address)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        log = file.with_name(file.name + "-wal")
        pending = log.exists() and log.stat().st_size
        if not file.exists() or os.access(file.parent, os.W_OK) or pending:
            raise
        return _connected(address + "&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
