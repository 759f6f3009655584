"""One writing process: who holds the lock, who is refused, and that a dead process holds nothing."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from journal.database import Database
from journal.storage.lock import Lock, holder
from simulator.errors import JournalError

HOLD = """
import sys
from journal.database import Database
database = Database(sys.argv[1])
database.lock()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(where: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the journal for writing until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_writing_process_is_refused_within_a_second(where: str) -> None:
    with Database(where) as database, other_process(where) as other:
        began = time.monotonic()
        with pytest.raises(JournalError) as error, database.write():
            pass
        assert time.monotonic() - began < 1.0
        assert error.value.code == "JOURNAL_LOCKED"
        assert f"process {other.pid} on {platform.node()}" in str(error.value)
        with database.read():
            pass  # reading goes on


def test_a_killed_process_holds_nothing(where: str) -> None:
    with Database(where) as database, other_process(where) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        database.lock()


def test_closing_gives_the_lock_back(where: str) -> None:
    Database(where).close()
    with Database(where) as database:
        database.lock()
    with other_process(where):
        pass


def test_reading_takes_no_lock(journal_path: Path) -> None:
    Database(journal_path).close()
    with Database(journal_path), Database(journal_path, read_only=True):
        assert holder(journal_path) is None
        with Lock(journal_path):
            pass


def test_the_holder_is_known(journal_path: Path) -> None:
    assert holder(journal_path) is None
    with other_process(str(journal_path)) as other:
        found = holder(journal_path)
        assert found is not None
        assert (found.pid, found.host) == (other.pid, platform.node())
    assert holder(journal_path) is None


def test_a_lock_waits_for_a_short_command(journal_path: Path) -> None:
    with other_process(str(journal_path)) as other:
        pid = os.fork()
        if not pid:
            time.sleep(0.3)
            os.kill(other.pid, signal.SIGKILL)
            os._exit(0)
        Lock(journal_path).acquire(wait=10.0)
        os.waitpid(pid, 0)


def test_a_lock_is_refused_to_a_second_object_of_the_same_process(journal_path: Path) -> None:
    with Lock(journal_path) as first:
        assert first.taken
        with pytest.raises(JournalError, match=str(os.getpid())) as error:
            Lock(journal_path).acquire(wait=0.0)
        assert error.value.code == "JOURNAL_LOCKED"
    assert not first.taken
    Lock(journal_path).acquire(wait=0.0)


def test_an_entry_from_before_the_last_start_of_the_machine_names_nobody(journal_path: Path) -> None:
    file = journal_path.with_name(journal_path.name + ".lock")
    with Lock(journal_path):
        file.write_text(f'{{"pid": 1, "host": "{platform.node()}", "boot": "another"}}')
        assert holder(journal_path) is None
        with pytest.raises(JournalError, match="another process writes"):
            Lock(journal_path).acquire(wait=0.0)
        file.write_text("not JSON")
        with pytest.raises(JournalError, match="another process writes"):
            Lock(journal_path).acquire(wait=0.0)


def test_one_file_has_one_lock_by_whatever_path(journal_path: Path) -> None:
    link = journal_path.with_name("link.db")
    Database(journal_path).close()
    link.symlink_to(journal_path)
    with Lock(journal_path), pytest.raises(JournalError):
        Lock(link).acquire(wait=0.0)
    with Database(link) as database:
        assert database.path == journal_path
        database.lock()
        assert holder(journal_path) is not None
    assert {file.name for file in journal_path.parent.glob("link*")} == {"link.db"}
