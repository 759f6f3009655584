"""Whose book a file is: the real account, and the terms that the book was opened with, beside its events."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.errors import ConfigError, DataError

__all__ = ["Owner", "read_owner", "write_owner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who is shadowed, since when (ISO 8601, aware), and with which leverage."""

    broker: str
    account: str
    opened: str
    leverage: float


def read_owner(path: Path) -> Owner | None:
    """Return whose the book at a path is, None where there is no book yet.

    Raises
    ------
    DataError
        LIVE_SHADOW_FILE where it cannot be read.
    ConfigError
        LIVE_SHADOW_OTHER for a file of events that is no shadow's.
    """
    try:
        found = json.loads(_beside(path).read_text())
        return Owner(**found)
    except FileNotFoundError:
        if not path.exists():
            return None
        raise ConfigError(
            f"{path} is a file of events that no shadow has begun; name another", code="LIVE_SHADOW_OTHER"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{_beside(path)} says whose shadow {path.name} is, and cannot be read ({error}); restore it, or "
            "begin a new book under another path",
            code="LIVE_SHADOW_FILE",
        ) from error


def write_owner(path: Path, owner: Owner) -> None:
    """Write whose a book is, before its first event; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    draft = beside.with_name(f"{beside.name}.new")
    draft.write_text(json.dumps(asdict(owner)) + "\n")
    os.replace(draft, beside)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.owner")
