"""What is said where a scheduler or a storage cannot be reached: at once, and in no library's words."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

import optimize.workers.dask as on_dask
from optimize.machines import run_jobs
from optimize.studies.storage import open_storage
from simulator.errors import ConfigError, EngineError, JournalError, TwinstepError


def test_a_host_that_there_is_not_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def nobody(*_: object, **__: object) -> socket.socket:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", nobody)
    begin = time.monotonic()
    with pytest.raises(ConfigError, match="there is no host 'foo'") as caught:
        run_jobs(abs, [1], scheduler="foo")
    assert caught.value.code == "OPTIMIZE_SCHEDULER"
    assert time.monotonic() - begin < on_dask.WAIT_SECONDS / 2
    assert "Traceback" not in capfd.readouterr().err


def test_a_scheduler_that_does_not_listen_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "WAIT_SECONDS", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match="Start one with: dask scheduler") as caught:
            run_jobs(abs, [1], scheduler=f"tcp://127.0.0.1:{port}")
    assert caught.value.code == "OPTIMIZE_SCHEDULER"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:port", "tcp://127.0.0.1:99999999"])
def test_what_is_no_address_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "WAIT_SECONDS", 0.5)
    with pytest.raises(TwinstepError) as caught:
        run_jobs(abs, [1], scheduler=address)
    assert caught.value.code == "OPTIMIZE_SCHEDULER"


def test_a_storage_says_why_in_the_words_of_its_driver_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database\n" * 200, encoding="utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = f"postgresql://ada:secret@127.0.0.1:{taken.getsockname()[1]}/studies"
        for storage, words in (
            (str(text), "file is not a database"),
            (refused, "refused"),
            ("mysql://ada:secret@127.0.0.1/studies", "in a file or on PostgreSQL"),
            ("nonsense://x", "in a file or on PostgreSQL"),
        ):
            with pytest.raises(JournalError, match=words) as caught:
                open_storage(storage)
            said = str(caught.value)
            assert caught.value.code == "OPTIMIZE_STORAGE"
            for foreign in ("sqlalche", "[SQL", "Background", "sqlite3.", "psycopg", "DB access", "secret"):
                assert foreign not in said
