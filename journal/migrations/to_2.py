"""To version 2: the worth of accounts has a table, so that SQL can ask for it.

It begins empty. What sessions were worth before is still in the logs of their steps.
"""

from __future__ import annotations

from sqlalchemy import Connection

from journal.schema import equity

__all__ = ["upgrade"]


def upgrade(connection: Connection) -> None:
    """Make the table."""
    equity.create(connection)
