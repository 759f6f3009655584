"""Fitted models in the user's cache, by the content of the journal that they were fitted to.

A file holds numbers and names as JSON and is checked when it is read; what does not fit is fitted anew. No
pickle is ever read, so a file can give a wrong answer at worst, not run code. The name of a file is a hash of
the trades, the settings and the versions: another trade, another file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

__all__ = ["FORMAT", "key_of", "load", "save"]

FORMAT: Final = 1
"""Raised whenever the same trades would give another model."""

_KEPT: Final = 64
"""Files that stay, the latest ones."""
_LARGEST: Final = 1_000_000
"""Bytes above which a file is none of ours."""


def key_of(digest: str, confidence: float) -> str:
    """Return the name of what is fitted to these trades under these settings."""
    try:
        release = version("scikit-learn")
    except PackageNotFoundError:
        release = "none"
    return hashlib.sha256(repr((FORMAT, digest, confidence, release)).encode()).hexdigest()


def load(folder: Path, key: str) -> Mapping[str, Any] | None:
    """Return what was kept under a key, None where nothing readable is."""
    path = folder / f"{key}.json"
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("key") == key else None


def save(folder: Path, key: str, document: Mapping[str, Any]) -> None:
    """Keep a document under a key; where that cannot be, it is fitted again next time."""
    beside = folder / f".{key}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_text(json.dumps({**document, "key": key}, allow_nan=False), encoding="utf-8")
        os.replace(beside, folder / f"{key}.json")
        _trim(folder)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _trim(folder: Path) -> None:
    aged = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in aged[:-_KEPT]:
        path.unlink(missing_ok=True)
