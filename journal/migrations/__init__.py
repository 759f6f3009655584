"""Numbered steps from each schema version to the next.

A step is one function in a module of its own (`to_2.py`: `def upgrade(connection): ...`), listed in `STEPS`
under the version that it reaches. A step and its record (a row of `schema_history`, and `user_version` in
SQLite) are one transaction, so that a process killed at any point leaves either version whole, and the next
start goes on from there. A backup is taken before the first step. A new journal is made from
`journal.schema` at once; a test compares it with a stored database of each version after its steps.

A newer journal is refused without a write; there are no steps downwards: restore the backup instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert, text

from journal.migrations import to_2
from journal.schema import schema_history

__all__ = ["PROGRAM", "STEPS", "Step", "apply", "record"]

Step = Callable[[Connection], None]

PROGRAM = "twinstep"

STEPS: Mapping[int, Step] = {2: to_2.upgrade}
"""Version reached -> function that changes the version before into it."""


def apply(connection: Connection, version: int, step: Step, now: int) -> None:
    """Take one step inside the caller's transaction, and record it there."""
    step(connection)
    record(connection, version, now)


def record(connection: Connection, version: int, now: int) -> None:
    """Record that the tables now have schema `version`."""
    connection.execute(insert(schema_history).values(version=version, applied_ts=now, program=PROGRAM))
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"PRAGMA user_version = {version:d}"))
