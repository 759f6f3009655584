"""No room: the write that finds none is undone as a whole, what was stored stays, and it goes on later."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from journal.backup import verify
from journal.database import Database
from journal.inbox import Inbox
from journal.schema import tags, trades
from simulator.errors import JournalError
from tests.journal.test_database import a_trade, add, symbols


def write_pair(database: Database, number: int) -> None:
    """One transaction of two rows, large enough to need new pages."""
    with database.write() as connection:
        connection.execute(insert(trades).values(**a_trade(id=number, entry_notes="x" * 9000)))
        connection.execute(insert(tags).values(trade_id=number, tag="whole"))


def written_until_refused(database: Database, last: int) -> tuple[int, str]:
    """Write transactions until one is refused; the number of the last that was stored, and the code."""
    for number in range(last + 1, last + 200):
        try:
            write_pair(database, number)
        except JournalError as error:
            return number - 1, error.code
    raise AssertionError("there was room for all")


def pairs(path: Path) -> int:
    """How many whole transactions the journal holds; its structure is checked too."""
    with Database(path, read_only=True) as database, database.read() as connection:
        database.check(full=True)
        found = connection.execute(
            text(
                "SELECT count(*), count(t.tag), coalesce(max(id), 0) "
                "FROM trades LEFT JOIN tags t ON trade_id = id"
            )
        ).one()
    assert found[0] == found[1] == found[2]
    return int(found[0])


def test_a_full_database_refuses_whole_writes_and_goes_on_when_there_is_room(journal_path: Path) -> None:
    with Database(journal_path) as database:
        written = 0
        for extra in (5, 40, 41, 42, 80):  # it runs full in different tables and indices
            with database.write() as connection:
                pages = connection.execute(text("PRAGMA page_count")).scalar_one()
                connection.execute(text(f"PRAGMA max_page_count = {pages + extra}"))
            written, code = written_until_refused(database, written)
            assert code == "JOURNAL_FULL"
            assert pairs(journal_path) == written
            with database.write() as connection:
                connection.execute(text("PRAGMA max_page_count = 1000000"))
        write_pair(database, written + 1)
    assert pairs(journal_path) == written + 1


def test_a_limit_on_file_size_at_any_byte_undoes_the_whole_write(journal_path: Path) -> None:
    Database(journal_path).close()
    for step in range(0, 40, 3):
        child = os.fork()
        if not child:
            status = 1
            try:
                status = limited(journal_path, step)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pairs(journal_path)
    assert pairs(journal_path) > 12
    verify(journal_path)


def limited(path: Path, step: int) -> int:
    """Write under a limit that is met somewhere, then without it; 0 is as it must be."""
    first = pairs(path) + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Database(path) as database:
        database.lock()
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192 + step * 1777, hard))
        written, refusals = first - 1, 0
        for number in range(first, first + 6):
            try:
                write_pair(database, number)
            except JournalError as error:
                refusals += 1
                if error.code not in ("JOURNAL_ACCESS", "JOURNAL_FULL"):
                    return 2
                break
            written = number
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if pairs(path) != written:
            return 3
        write_pair(database, written + 1)
    if pairs(path) != written + 1:
        return 4
    return 0 if refusals else 5


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from journal.backup import backup, verify
from journal.database import Database
from journal.inbox import Inbox
from simulator.errors import JournalError
from tests.journal.test_faults_room import pairs, write_pair

folder = Path(sys.argv[1])
path = folder / "journal.db"
ballast = folder / "ballast"
ballast.write_bytes(bytes(300_000))
written, codes = 0, []
with Database(path) as database:
    while True:
        try:
            write_pair(database, written + 1)
            written += 1
        except JournalError as error:
            codes.append(error.code)
            break
    assert pairs(path) == written, "a part of a write was stored"
    fill = lambda: [Inbox(path).drop("x", {"t": "y" * 90000}) for _ in range(99)]
    for act in (lambda: backup(database), fill):
        try:
            act()
        except JournalError as error:
            codes.append(error.code)
    for file in (folder / "journal.db.inbox").glob("*"):
        file.unlink()
    ballast.unlink()
    write_pair(database, written + 1)
assert pairs(path) == written + 1
verify(path)
print(*codes)
"""


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    if unshare is None or mount is None:
        pytest.skip("no unshare and mount to make a small disk with")
    own = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--mount", "--map-root-user"]
    script = f'{mount} -t tmpfs -o size=1400k tmpfs "$1" || exit 77; shift; exec "$@"'
    command = [*own, "sh", "-c", script, "sh", str(disk), sys.executable, "-c", ON_A_SMALL_DISK, str(disk)]
    done = subprocess.run([*command, *sys.path], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount a small disk")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["JOURNAL_FULL"] * 3


@pytest.mark.parametrize("nested", [False, True])
def test_a_write_that_goes_on_after_it_was_undone_stores_nothing(journal_path: Path, nested: bool) -> None:
    with Database(journal_path) as database:
        with database.write() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages + 3}"))

        def careless() -> None:
            with database.write() as connection:
                connection.execute(insert(trades).values(**a_trade(symbol="FIRST")))
                with contextlib.suppress(JournalError):
                    if nested:
                        add(database, entry_notes="x" * 90_000)
                    else:
                        connection.execute(insert(trades).values(**a_trade(entry_notes="x" * 90_000)))
                connection.execute(insert(trades).values(**a_trade(symbol="SECOND")))

        with pytest.raises(JournalError) as error:
            careless()
        assert error.value.code == "JOURNAL_UNDONE"
        assert symbols(database) == []
        with database.write() as connection:
            connection.execute(text("PRAGMA max_page_count = 1000000"))
        careless()
    with Database(journal_path) as database:
        assert symbols(database) == ["FIRST", "AAPL", "SECOND"]


def test_a_command_waits_in_the_inbox_until_there_is_room(journal_path: Path) -> None:
    with Database(journal_path) as database:
        inbox = Inbox(journal_path)
        inbox.drop("note", {"notes": "x" * 50_000})
        with database.write() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages + 3}"))

        def apply(_connection: object, command: object) -> None:
            add(database, entry_notes=command.arguments["notes"])  # type: ignore[attr-defined]  # a Command

        with pytest.raises(JournalError) as error:
            inbox.drain(database, apply)
        assert error.value.code == "JOURNAL_FULL"
        assert symbols(database) == []
        with database.write() as connection:
            connection.execute(text("PRAGMA max_page_count = 1000000"))
        assert [outcome.state for outcome in inbox.drain(database, apply)] == ["applied"]
        assert symbols(database) == ["AAPL"]
