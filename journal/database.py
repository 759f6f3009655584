"""One door to the journal's file or server: open, check, read, write.

Every write is one `BEGIN IMMEDIATE` transaction on a file in WAL mode with `synchronous=FULL`, so that what
was acknowledged survives a crash of the process and of the machine, and half a write is never seen. Every
read is one consistent snapshot. PostgreSQL is reached by its URL and gets the same tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from journal.schema import metadata

__all__ = ["Database"]


class Database:
    """An open journal database."""

    def __init__(self, where: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.url = _url(where)
        self.read_only = read_only
        self.engine = _engine(self.url)
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection inside one write transaction: all of it is stored, or nothing."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _url(where: str | os.PathLike[str]) -> str:
    text = os.fspath(where)
    return text if "://" in text else f"sqlite:///{Path(text).absolute()}"


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
