"""The tables of a new journal file, written out once a process.

SQLAlchemy puts the same sixty statements together anew for every journal that is begun, which takes as long
as most tests that begin one. What SQLite is given is the same, statement by statement, and so is what fails.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, create_mock_engine

from journal.schema import metadata

__all__ = ["install"]

_as_usual = metadata.create_all


def install() -> None:
    """Begin files with the statements that are written out."""
    setattr(metadata, "create_all", _create_all)  # noqa: B010 - a method of one object


@cache
def _statements() -> tuple[str, ...]:
    made: list[str] = []
    engine: Any = create_mock_engine(
        "sqlite://", lambda ddl, *_, **__: made.append(str(ddl.compile(dialect=engine.dialect)))
    )
    _as_usual(engine, checkfirst=False)
    return tuple(made)


def _create_all(bind: Any, **options: Any) -> None:
    fresh = (
        isinstance(bind, Connection)
        and bind.dialect.name == "sqlite"
        and not bind.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    )
    if not fresh:
        _as_usual(bind, **options)
        return
    for statement in _statements():
        bind.exec_driver_sql(statement)
