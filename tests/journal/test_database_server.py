"""A journal on a server: passwords stay secret, lost sessions are named, the driver is optional."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text

from journal.database import Database
from journal.storage import postgres as _postgres
from simulator.errors import ConfigError, JournalError, MissingExtraError, TwinstepError
from tests.journal.test_database import add, symbols

SECRET = "g3h31m"  # noqa: S105 - the canary of these tests


@pytest.mark.parametrize(
    "where",
    [
        f"postgresql://trader:{SECRET}@127.0.0.1:1/trading",
        f"postgresql+psycopg://trader:{SECRET}@127.0.0.1:1/trading?sslmode=disable",
        f"postgresql://trader@127.0.0.1:1/trading?password={SECRET}",
        f"postgresql://trader:{SECRET}@127.0.0.1:notaport/trading",
        f"postgresql://trader:{SECRET}@127.0.0.1",
        f"mysql://trader:{SECRET}@127.0.0.1/trading",
        f"postgresql+asyncpg://trader:{SECRET}@127.0.0.1/trading",
    ],
)
def test_a_password_is_in_no_message_and_no_representation(where: str) -> None:
    with pytest.raises(TwinstepError) as error:
        Database(where)
    assert error.value.code in ("JOURNAL_SERVER", "JOURNAL_WHERE")
    assert SECRET not in repr(error.value)
    said = "".join(traceback.format_exception(error.value)).replace(f'"{where}"', "")
    assert SECRET not in said


def test_an_open_journal_does_not_show_its_password(postgres_url: str) -> None:
    where = postgres_url.replace("twinstep@", f"twinstep:{SECRET}@")
    with Database(where) as database:
        assert SECRET not in repr(database) + database.name
        with pytest.raises(JournalError) as error, database.read() as connection:
            connection.execute(text("SELECT nothing"))
        assert SECRET not in "".join(traceback.format_exception(error.value))
        add(database)
        assert symbols(database) == ["AAPL"]


def test_a_wrong_login_is_named(postgres_url: str) -> None:
    with pytest.raises(JournalError, match="nobody_at_all") as error:
        Database(postgres_url.replace("twinstep@", "nobody_at_all@"))
    assert error.value.code == "JOURNAL_SERVER"
    with pytest.raises(JournalError, match="no_such_database") as error:
        Database(postgres_url.replace("/test_", "/no_such_database_"))
    assert error.value.code == "JOURNAL_SERVER"


def test_a_session_ended_by_the_server_is_named_and_taken_up_again(postgres_url: str) -> None:
    import psycopg

    with Database(postgres_url) as database:
        add(database, symbol="BEFORE")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(JournalError) as error:
            add(database, symbol="LOST")
        assert error.value.code == "JOURNAL_SERVER"
        add(database, symbol="AFTER")  # a new session, which has the lock again
        assert symbols(database) == ["BEFORE", "AFTER"]
        with pytest.raises(JournalError) as error:
            _second_writer(postgres_url)
        assert error.value.code == "JOURNAL_LOCKED"


def test_schemas_of_one_database_are_journals_of_their_own(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("CREATE SCHEMA mine")
    with (
        Database(postgres_url) as first,
        Database(f"{postgres_url}&options=-csearch_path%3Dmine") as second,
    ):
        add(first, symbol="PUBLIC")
        add(second, symbol="MINE")  # neither locks the other out
        assert symbols(first) == ["PUBLIC"]
        assert symbols(second) == ["MINE"]


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[postgres\]") as error:
        Database("postgresql://host/trading")
    assert error.value.code == "JOURNAL_EXTRA_POSTGRES"
    with pytest.raises(ConfigError):
        Database("mysql://host/trading")


def test_the_journal_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom journal.database import Database\nDatabase('journal.db').close()\n"
        "print([name for name in ('numpy', 'pandas', 'numba', 'psycopg', 'pyarrow') if name in sys.modules])"
    )
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _second_writer(where: str) -> None:
    """A session of its own, as another process has it."""
    from sqlalchemy import create_engine

    engine = create_engine(_postgres.address(where))
    try:
        with engine.connect() as connection:
            _postgres.acquire(connection, "the journal", 0.1)
    finally:
        engine.dispose()
