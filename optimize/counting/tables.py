"""Tables of the trial ledger, on SQLite and on PostgreSQL alike.

One row per trial, and one that says which version of the tables this is. A file of the ledger is told from
others by the application id in its header; a file that holds something else is left alone.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    Table,
    func,
    inspect,
    select,
    text,
)

from journal.storage.columns import Big, Real, Words
from optimize.statistics.sharpe import sharpe_sample
from simulator.errors import JournalError
from simulator.ran import plain
from simulator.trials import SOURCES, Trial

__all__ = [
    "begin_file", "begin_on_server", "check_version", "foreign", "has_schema", "recording",
    "row_of", "stopped_early", "trials_table",
]  # fmt: skip

VERSION: Final = 1
_FIGURES: Final = ("sharpe", "sessions", "skewness", "kurtosis", "metrics", "returns", "run", "source")
_APPLICATION_ID: Final = 0x54574C47  # "TWLG" in the header of the file

_metadata: Final = MetaData()
_among: Final = ", ".join(f"'{source}'" for source in SOURCES)
_schema: Final = Table(
    "trial_schema", _metadata,
    Column("version", Big("version"), primary_key=True, autoincrement=False),
    sqlite_strict=True,
)  # fmt: skip
trials_table: Final = Table(
    "trials",
    _metadata,
    Column("id", Words("id"), primary_key=True),
    Column("hypothesis", Words("hypothesis"), nullable=False),
    Column("strategy", Words("strategy"), nullable=False),
    Column("data", Words("data"), nullable=False),
    Column("parameters", Words("parameters"), nullable=False),  # JSON
    Column("first_ts", Big("first_ts"), nullable=False),
    Column("last_ts", Big("last_ts"), nullable=False),
    Column("sharpe", Real("sharpe")),  # per session
    Column("sessions", Big("sessions"), nullable=False),
    Column("skewness", Real("skewness")),
    Column("kurtosis", Real("kurtosis")),
    Column("metrics", Words("metrics"), nullable=False),  # JSON
    Column("rules", Words("rules"), nullable=False),
    Column("version", Words("version"), nullable=False),
    Column("run", Words("run"), nullable=False),
    Column("source", Words("source"), CheckConstraint(f"source IN ({_among})"), nullable=False),
    Column("returns", LargeBinary),  # float32, of sessions
    Column("recorded_ts", Big("recorded_ts"), nullable=False),
    Index("ix_trials_hypothesis", "hypothesis"),
    sqlite_strict=True,
)


def begin_file(connection: Connection, name: str) -> None:
    """Make the tables in an empty file; JournalError OPTIMIZE_LEDGER for a file of something else."""
    application = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
    if application == _APPLICATION_ID:
        return
    if application or inspect(connection).get_table_names():
        raise foreign(name)
    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
    _create(connection)


def begin_on_server(connection: Connection) -> None:
    """Make the tables on a server, where no other process has."""
    # one after the other: two that create the same table at once would both fail
    connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _APPLICATION_ID})
    if not has_schema(connection):
        _create(connection)


def check_version(connection: Connection, name: str) -> None:
    """Raise JournalError OPTIMIZE_LEDGER for tables of a newer release."""
    version = int(connection.execute(select(func.max(_schema.c.version))).scalar_one() or 0)
    if version > VERSION:
        raise JournalError(
            f"the trial ledger {name} has version {version}, this release knows {VERSION}: a newer release "
            "wrote it; use that one. Nothing was changed",
            code="OPTIMIZE_LEDGER",
        )


def has_schema(connection: Connection) -> bool:
    """Return whether the tables are there."""
    return inspect(connection).has_table(_schema.name)


def foreign(name: str) -> JournalError:
    """Return the refusal of a file of something else."""
    return JournalError(
        f"{name} is no trial ledger but a database of something else; give the ledger a file of its own. "
        "Nothing was written",
        code="OPTIMIZE_LEDGER",
    )


def recording(dialect: Any) -> Any:
    """Return the statement that stores rows and answers when each was recorded, the others left out.

    A row that is there stays, unless its trial was stopped early and is now run to its end.
    """
    statement = dialect.insert(trials_table)
    late = {name: statement.excluded[name] for name in _FIGURES}
    return statement.on_conflict_do_update(
        index_elements=[trials_table.c.id],
        set_=late,
        where=stopped_early() & (statement.excluded.sessions > 0),
    ).returning(trials_table.c.recorded_ts)


def stopped_early() -> ColumnElement[bool]:
    """Return the condition of trials that were not run to their end: no Sharpe ratio, no sessions."""
    return trials_table.c.sharpe.is_(None) & (trials_table.c.sessions == 0)


def row_of(trial: Trial, now: int) -> dict[str, Any]:
    """Return the row of a trial; `now` in UTC ns."""
    returns, skewness, kurtosis = None, trial.skewness, trial.kurtosis
    if trial.returns is not None:
        returns = np.asarray(trial.returns, "<f4").tobytes()
        if math.isnan(skewness) and math.isnan(kurtosis):
            sample = sharpe_sample(trial.returns)
            skewness, kurtosis = sample.skewness, sample.kurtosis
    return {
        "id": trial.id, "hypothesis": trial.hypothesis, "strategy": trial.strategy, "data": trial.data,
        "parameters": json.dumps(plain(trial.parameters), sort_keys=True),
        "first_ts": int(trial.first_ts), "last_ts": int(trial.last_ts),
        "sharpe": _known(trial.sharpe), "sessions": int(trial.sessions),
        "skewness": _known(skewness), "kurtosis": _known(kurtosis),
        "metrics": json.dumps(plain(trial.metrics), sort_keys=True),
        "rules": trial.rules, "version": trial.version, "run": trial.run, "source": trial.source,
        "returns": returns, "recorded_ts": now,
    }  # fmt: skip


def _create(connection: Connection) -> None:
    _metadata.create_all(connection)
    connection.execute(_schema.insert().values(version=VERSION))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
