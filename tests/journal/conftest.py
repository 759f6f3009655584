"""A private PostgreSQL server for the tests, and fresh journals on it and on SQLite.

The server is started from whatever PostgreSQL is installed, with its data in a temporary folder and a socket
there instead of a port. It refuses to run as root, so a root user starts it as `postgres`. Where nothing is
installed the tests are skipped, with that reason; under CI (the variable `CI` is set) they fail instead.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECONDS_TO_START = 30.0


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a running server without a database: `postgresql://twinstep@/{}?host=...`."""
    programs = _programs()
    if programs is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a short path: a socket's name has about 100 characters
    identity = _identity(folder)
    data = folder / "data"
    server = None
    try:
        made = ["--auth=trust", "--username=twinstep", "--no-sync", "--encoding=UTF8", "--locale=C"]
        _run([str(programs / "initdb"), "-D", str(data), *made], identity)
        # tests need its rules, not its durability
        settings = {
            "listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off",
            "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "40",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(data), *options], stdout=log, stderr=log, **identity
            )
        _wait(programs, folder, server)
        yield f"postgresql://twinstep@/{{}}?host={folder}"
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=SECONDS_TO_START)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of an empty database of its own."""
    import psycopg

    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(postgres_server.format("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield postgres_server.format(name)
    with psycopg.connect(postgres_server.format("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def journal_path(tmp_path: Path) -> Path:
    """Where a journal file may be begun."""
    return tmp_path / "trade_journal.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest) -> str:
    """Place of an empty journal, on SQLite and on PostgreSQL in turn."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("journal_path"))
    return str(request.getfixturevalue("postgres_url"))


def _programs() -> Path | None:
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(installed, key=lambda file: int(file.parts[-3]), default=None)
    return newest.parent if newest else None


def _identity(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[str], identity: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **identity)
    assert done.returncode == 0, done.stderr


def _wait(programs: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS_TO_START
    ask = [str(programs / "pg_isready"), "-q", "-h", str(folder)]
    while subprocess.run(ask, check=False).returncode:
        assert server.poll() is None, (folder / "log").read_text(errors="replace")
        assert time.monotonic() < until, "the server did not start in time"
        time.sleep(0.05)
