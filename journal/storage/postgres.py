"""A journal on a PostgreSQL server: its address, its driver, and the lock of its one writer.

`postgresql://` means psycopg 3 here. The password of an address never leaves this module: messages and
representations show user, host and database. The writer's lock is an advisory lock of the session that
writes, so it ends with that session, whatever ends it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from journal.schema import APPLICATION_ID
from journal.storage.lock import WAIT_SECONDS
from simulator.errors import ConfigError, JournalError, MissingExtraError

__all__ = ["acquire", "address", "engine", "shown", "version"]

_DRIVER = "postgresql+psycopg"
_STEP_SECONDS = 0.02
_LONGEST_NAME = 63
_CONNECT_SECONDS = 5

_TAKE = text("SELECT pg_try_advisory_lock(:journal, hashtext(current_schema()))")
_HOLDER = text(
    "SELECT a.application_name, coalesce(host(a.client_addr), 'the host of the server') FROM pg_locks l "
    "JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :journal "
    "AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_VERSION = text("SELECT max(version) FROM schema_history")
_HAS_HISTORY = text("SELECT to_regclass('schema_history') IS NOT NULL")
_HAS_TABLES = text("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")


def address(where: str) -> URL:
    """Return the parsed address of a journal on a server.

    Raises
    ------
    ConfigError
        JOURNAL_WHERE for an address that is not one of PostgreSQL.
    MissingExtraError
        JOURNAL_EXTRA_POSTGRES where psycopg is not installed.
    """
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in ("postgresql", "postgres", _DRIVER) or not url.database:
        # the text may hold a password, so only its scheme is shown
        raise ConfigError(
            f"the address {where.partition('://')[0]}://... is not one of a journal; give the path of a "
            "file, or postgresql://user:password@host/database",
            code="JOURNAL_WHERE",
        ) from None
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(
            "a journal on PostgreSQL needs psycopg 3; install it with: pip install 'twinstep[postgres]'",
            code="JOURNAL_EXTRA_POSTGRES",
        )
    return url.set(drivername=_DRIVER)


def shown(url: URL) -> str:
    """Return the address as messages may show it: without password and options."""
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{url.host or ''}{port}/{url.database}"


def engine(url: URL, *, write: bool, busy_seconds: float, statement_seconds: float | None) -> Engine:
    """Return an engine whose transactions write, or see one snapshot and cannot write."""
    name = f"twinstep {os.getpid()}@{platform.node()}"[:_LONGEST_NAME]
    settings = [f"-c lock_timeout={int(busy_seconds * 1000)}"]
    if statement_seconds is not None:
        settings.append(f"-c statement_timeout={int(statement_seconds * 1000)}")
    given = url.query.get("options")
    options = " ".join([*([given] if isinstance(given, str) else given or ()), *settings])
    made = create_engine(
        url.difference_update_query(["options"]),
        connect_args={
            "application_name": name,
            "connect_timeout": _CONNECT_SECONDS,
            "options": options,
        },
        pool_pre_ping=not write,
    )
    if write:
        return made
    return made.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def acquire(connection: Connection, name: str, wait: float = WAIT_SECONDS) -> None:
    """Take the writer's lock for the session of `connection`.

    Raises
    ------
    JournalError
        JOURNAL_LOCKED where another session has it after `wait` seconds.
    """
    key = {"journal": APPLICATION_ID}
    until = time.monotonic() + wait
    while True:
        with connection.begin():
            if connection.execute(_TAKE, key).scalar_one():
                return
            row = connection.execute(_HOLDER, key).first() if time.monotonic() >= until else None
        if time.monotonic() >= until:
            raise _locked(name, row)
        time.sleep(_STEP_SECONDS)


def version(connection: Connection) -> int | None:
    """Return the schema version of the journal on this server, or None where none was begun.

    Raises
    ------
    JournalError
        JOURNAL_FOREIGN where the schema holds tables that are not ours.
    """
    if connection.execute(_HAS_HISTORY).scalar_one():
        found: int | None = connection.execute(_VERSION).scalar_one()
        return found
    if connection.execute(_HAS_TABLES).scalar_one():
        raise JournalError(
            "the schema of the database holds tables of something else; give the journal a database or a "
            "schema of its own",
            code="JOURNAL_FOREIGN",
        )
    return None


def _locked(name: str, row: Any) -> JournalError:
    whose = "another session"
    if row is not None and str(row[0]).startswith("twinstep "):
        pid, _, host = str(row[0]).removeprefix("twinstep ").partition("@")
        whose = f"process {pid} on {host}"
    elif row is not None:
        whose = f"a session of {row[0] or 'an unnamed program'} from {row[1]}"
    return JournalError(
        f"{whose} writes to the journal {name}, and only one process may. Open it for reading, or end that "
        "process",
        code="JOURNAL_LOCKED",
    )
