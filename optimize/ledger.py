"""The trial ledger: everything that was ever tried, counted once, for all processes.

It lies in `trials.db` beside the journal, or on a PostgreSQL server, and answers what the best of all trials
of a hypothesis is worth: the more was tried, the less. Trials are only ever added. A trial that is delivered
twice, by a retry or by two workers, counts once, and what was stored first stays; only a trial that was
stopped early gets its figures when it is run to its end.

Any number of processes may record at once. On SQLite (WAL, `synchronous=FULL`) each `record` is one
`BEGIN IMMEDIATE` transaction on a connection of its own, under a file lock that is held just as long; on a
server rows that are already there are passed over. When `record` returns, its trials are on the disk.

>>> import tempfile
>>> from optimize.trials import Trial
>>> ledger = TrialLedger(tempfile.mkdtemp() + "/trials.db")
>>> one = Trial(strategy="sma-cross", data="ab12", parameters={"fast": 10}, source="sweep", sharpe=0.05)
>>> ledger.record([one]), ledger.record([one]), ledger.count()
(1, 0, 1)
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    NullPool,
    create_engine,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect

from journal.storage import postgres, sqlite
from journal.storage.faults import translate
from journal.storage.files import located
from journal.storage.lock import Lock
from optimize.counting.summary import HypothesisRecord, summarise
from optimize.counting.tables import (
    begin_file,
    begin_on_server,
    check_version,
    foreign,
    has_schema,
    recording,
    row_of,
    trials_table,
)
from simulator.errors import ConfigError, JournalError
from simulator.trials import Trial

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE", "HypothesisRecord", "TrialLedger"]

FILE: Final = "trials.db"
"""Name of the ledger beside a journal."""
BUSY_SECONDS: Final = 30.0


class TrialLedger:
    """Where trials are counted.

    It holds nothing open on SQLite, so it may be pickled, forked and kept; a missing file is begun by the
    first `record`, and reads as empty until then.

    Parameters
    ----------
    where
        Path of an SQLite file, or a `postgresql://` address of a database or schema of its own.
    busy_seconds
        How long to wait for others that record.

    Raises
    ------
    ConfigError
        JOURNAL_WHERE for an address that means no database.
    JournalError
        OPTIMIZE_LEDGER for a file of something else or of a newer release, OPTIMIZE_LEDGER_BUSY where others
        record for longer than `busy_seconds`; and the codes of a journal's database for faults of file or
        server.
    MissingExtraError
        JOURNAL_EXTRA_POSTGRES for a PostgreSQL address without psycopg.
    """

    def __init__(self, where: str | os.PathLike[str] = FILE, *, busy_seconds: float = BUSY_SECONDS) -> None:
        given = os.fspath(where)
        self._where = given
        self._busy_seconds = busy_seconds
        self.path: Path | None = None
        self._url = postgres.address(given) if "://" in given else None
        if self._url is None:
            self.path = _path(given)
        self.name = str(self.path) if self.path else postgres.shown(self._url)  # type: ignore[arg-type]
        self._engines: dict[tuple[int, bool], Engine] = {}

    @classmethod
    def beside(cls, journal: str | os.PathLike[str]) -> TrialLedger:
        """Return the ledger of a journal: `trials.db` in its folder, or tables on its server."""
        given = os.fspath(journal)
        return cls(given if "://" in given else located(given).with_name(FILE))

    def __repr__(self) -> str:
        return f"TrialLedger({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._where, self._busy_seconds)

    # Writing

    def record(self, trials: Sequence[Trial]) -> int:
        """Store trials, all or none, and return how many of them were new."""
        if not trials:
            return 0
        now = time.time_ns()
        # in the order of their ids, so that two writers on a server cannot wait for each other
        rows = sorted({trial.id: row_of(trial, now) for trial in trials}.values(), key=lambda row: row["id"])
        dialect: Any = sqlite_dialect if self.path else postgresql_dialect
        statement = recording(dialect)
        with self._writing() as connection:
            stored = connection.execute(statement, rows).scalars().all()
            return sum(recorded == now for recorded in stored)

    # Reading

    def count(self, hypothesis: str | None = None) -> int:
        """Return how many trials there are, of one hypothesis or of all."""
        question = select(func.count()).select_from(trials_table)
        if hypothesis is not None:
            question = question.where(trials_table.c.hypothesis == hypothesis)
        with self._reading() as connection:
            return int(connection.execute(question).scalar_one()) if connection is not None else 0

    def hypotheses(self) -> list[str]:
        """Return the hypotheses, the one recorded last first."""
        newest = func.max(trials_table.c.recorded_ts)
        question = select(trials_table.c.hypothesis).group_by(trials_table.c.hypothesis)
        with self._reading() as connection:
            if connection is None:
                return []
            return list(
                connection.execute(question.order_by(newest.desc(), trials_table.c.hypothesis)).scalars()
            )

    def frame(self, hypothesis: str | None = None) -> pd.DataFrame:
        """Return the trials as a table in the order of recording: parameters and metrics as mappings."""
        import pandas as pd

        columns = [column for column in trials_table.c if column.name != "returns"]
        question = select(*columns).order_by(trials_table.c.recorded_ts, trials_table.c.id)
        if hypothesis is not None:
            question = question.where(trials_table.c.hypothesis == hypothesis)
        with self._reading() as connection:
            rows = connection.execute(question).all() if connection is not None else []
        table = pd.DataFrame([tuple(row) for row in rows], columns=[column.name for column in columns])
        for name in ("parameters", "metrics"):
            table[name] = [json.loads(value) for value in table[name]]
        for name in ("sharpe", "skewness", "kurtosis"):
            table[name] = table[name].astype(np.float64)
        return table

    def summary(self, hypothesis: str) -> HypothesisRecord:
        """Return what the best trial of a hypothesis is worth, given all others."""
        with self._reading() as connection:
            return summarise(connection, hypothesis)

    # Connections

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self.path is None:
            with self._engine(write=True).begin() as connection:
                if not has_schema(connection):
                    begin_on_server(connection)
                check_version(connection, self.name)
                yield connection
            return
        lock = Lock(self.path)
        try:
            lock.acquire(self._busy_seconds)
        except JournalError as error:
            raise self._busy(error) from error
        with lock:
            if not self.path.exists():
                _touch(self.path)
            with self._engine(write=True).begin() as connection:
                begin_file(connection, self.name)
                check_version(connection, self.name)
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        if self.path is not None and (not self.path.exists() or not self.path.stat().st_size):
            yield None
            return
        with self._engine(write=False).connect() as connection, connection.begin():
            if not has_schema(connection):
                # a file without any table is just being begun
                if self.path is not None and inspect(connection).get_table_names():
                    raise foreign(self.name)
                yield None
                return
            check_version(connection, self.name)
            yield connection

    def _engine(self, *, write: bool) -> Engine:
        key = (os.getpid(), write)  # a forked process connects anew
        if key not in self._engines:
            self._engines[key] = self._new_engine(write=write)
        return self._engines[key]

    def _new_engine(self, *, write: bool) -> Engine:
        if self._url is not None:
            engine = postgres.engine(
                self._url, write=write, busy_seconds=self._busy_seconds, statement_seconds=None
            )
        else:
            engine = create_engine(
                "sqlite://", creator=lambda: self._connect(write=write), poolclass=NullPool
            )
            event.listen(
                engine,
                "begin",
                lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN"),
            )
        event.listen(engine, "handle_error", self._translated, retval=True)
        return engine

    def _connect(self, *, write: bool) -> sqlite3.Connection:
        assert self.path is not None  # noqa: S101 - only files are connected to in this way
        try:
            return sqlite.connect(self.path, write=write, busy_seconds=self._busy_seconds)
        except sqlite3.DatabaseError as error:
            raise translate(error, self.name) or error from error

    def _translated(self, context: ExceptionContext) -> BaseException | None:
        if context.is_pre_ping:
            return None
        return translate(context.original_exception, self.name)

    def _busy(self, error: JournalError) -> JournalError:
        if error.code != "JOURNAL_LOCKED":
            return error
        return JournalError(
            f"others have been recording trials in {self.name} for longer than {self._busy_seconds:g} s; "
            "nothing was stored, so record them again",
            code="OPTIMIZE_LEDGER_BUSY",
        )


def _rebuilt(where: str, busy_seconds: float) -> TrialLedger:
    return TrialLedger(where, busy_seconds=busy_seconds)


def _path(given: str) -> Path:
    if not given or given == ":memory:" or given.startswith("file:"):
        raise ConfigError(
            f"{given!r} is no place for a trial ledger: it has to outlive the process. "
            "Give the path of a file",
            code="JOURNAL_WHERE",
        )
    path = located(given)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; a trial ledger is a file in it", code="JOURNAL_WHERE")
    return path


def _touch(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise JournalError(
            f"the trial ledger {path} cannot be begun ({error.strerror}); check its folder",
            code="JOURNAL_ACCESS",
        ) from error
