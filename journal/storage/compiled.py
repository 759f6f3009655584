"""Statements compiled once a process, for all journals that it opens.

SQLAlchemy keeps what it compiled per engine and by the dialect object, and every `Database` has its own
of both. A page of the dashboard, which opens the journal anew, would compile the same few dozen statements
again each time, and that takes longer than to answer them. Here they are kept by what the dialect is: its
name, its driver, and the version of its server.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from sqlalchemy import Dialect

__all__ = ["Compiled"]

MOST: Final = 2_000


class Compiled(MutableMapping[Any, Any]):
    """What the execution option `compiled_cache` of every engine is set to."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a compiled statement; this is asked for every statement."""
        return self._kept.get(_shared(key), default)

    def __getitem__(self, key: Any) -> Any:
        return self._kept[_shared(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[_shared(key)] = value

    def __delitem__(self, key: Any) -> None:
        del self._kept[_shared(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _shared(key: Any) -> Any:
    # a key that begins otherwise is of a version that is not known here: it is kept as it is
    if not (isinstance(key, tuple) and isinstance(key[0], Dialect)):
        return key
    dialect = key[0]
    return (dialect.name, dialect.driver, getattr(dialect, "server_version_info", None), *key[1:])
