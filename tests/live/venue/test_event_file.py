"""The event file: what was answered survives a kill, and a restart is a replay."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from live.venue import Venue, VenueRejected, VenueRequest
from simulator.costs import Costs
from simulator.errors import ConfigError, DataError
from tests.live.venue.desk import Desk
from tests.live.venue.streams import act, play

ROOT = Path(__file__).parents[3]

WRITER = """
import random, sys
from tests.live.venue.desk import Desk
from tests.live.venue.streams import act
desk = Desk(path=sys.argv[1], cash=50_000.0)
draw = random.Random(int(sys.argv[2]))
print(desk.venue.fingerprint(), flush=True)
while True:
    act(desk, draw)
    print(desk.venue.fingerprint(), flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_gives_the_same_account(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path, cash=50_000.0, costs="alpaca", leverage=2.0)
    play(d, random.Random(seed), 150)  # noqa: S311 - of a test
    before = (d.venue.fingerprint(), d.venue.account(), d.venue.orders("all"), d.venue.activities())
    d.venue.close()
    again = Venue(path=path, cash=50_000.0, costs="alpaca", leverage=2.0)
    assert (again.fingerprint(), again.account(), again.orders("all"), again.activities()) == before
    assert len(before[2]) > 20


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_was_answered_is_lost_by_a_kill(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "venue.events"
    draw = random.Random(seed)  # noqa: S311 - of a test
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    known = [writer.stdout.readline().strip() for _ in range(draw.randrange(5, 60))]
    os.kill(writer.pid, signal.SIGKILL)
    known += [line.strip() for line in writer.stdout]
    writer.wait()
    writer.stdout.close()
    d = Desk(path=path, cash=50_000.0)
    found = d.venue.fingerprint()
    d.venue.close()
    # the same steps again, one at a time: the state is that of the last answer, or of a step or so later
    # whose answer nobody heard
    other = Desk(cash=50_000.0)
    other.venue._state.orders.salt = d.venue._state.orders.salt
    other.venue._state.ledger._salt = d.venue._state.ledger._salt
    steps = random.Random(seed)  # noqa: S311 - of a test
    seen = [other.venue.fingerprint()]
    for _ in range(len(known) + 5):
        act(other, steps)
        seen.append(other.venue.fingerprint())
    complete = [line for line in known if len(line) == 64]
    assert seen[: len(complete)] == complete
    assert found in seen[len(complete) - 1 :]


def test_every_cut_of_the_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    d.ask(10)
    before = d.venue.fingerprint()
    size = path.stat().st_size
    d.ask(5)
    d.venue.close()
    whole = path.read_bytes()
    for cut in range(size, len(whole), 7):
        path.write_bytes(whole[:cut])
        again = Venue(path=path)
        assert again.fingerprint() == before
        assert path.stat().st_size == size
        assert again.submit(VenueRequest(symbol="A", qty=1)).status == "filled"
        again.close()


def test_a_damaged_line_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    d.ask(10)
    d.venue.close()
    text = path.read_bytes()
    path.write_bytes(text.replace(b"100.0", b"900.0"))
    with pytest.raises(DataError) as caught:
        Venue(path=path)
    assert caught.value.code == "VENUE_FILE"
    path.write_bytes(text)
    Venue(path=path).close()  # nothing was let go half


def test_one_process_writes_a_file_and_one_account_has_it(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    first = Venue(path=path)
    with pytest.raises(ConfigError) as caught:
        Venue(path=path)
    assert caught.value.code == "VENUE_FILE_LOCKED"
    first.close()
    with pytest.raises(ConfigError) as caught:
        Venue(path=path, costs=Costs(slippage_bps=1.0))
    assert caught.value.code == "VENUE_FILE_HEAD"
    Venue(path=path).close()


def test_refusals_are_replayed_as_refusals(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path, cash=100.0, sync=True)
    d.tick(A=100.0)
    for _ in range(2):
        with pytest.raises(VenueRejected):
            d.ask(10, client_order_id="big")
    d.ask(1, client_order_id="big")
    before = d.venue.fingerprint()
    d.venue.close()
    again = Venue(path=path, cash=100.0)
    assert again.fingerprint() == before
    assert again.order_by_client_id("big").filled_qty == 1


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    before = d.venue.fingerprint()
    assert d.venue._file is not None
    real = d.venue._file._file

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def write(self, text: bytes) -> int:
            real.write(text[:5])
            raise OSError(28, "No space left on device")

    d.venue._file._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="space"):
        d.ask(10)
    assert d.venue.fingerprint() == before
    d.venue._file._file = real
    d.ask(10)
    d.venue.close()
    assert Venue(path=path).position("A").qty == 10
