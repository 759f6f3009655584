"""The event file: what was answered survives a kill, and a restart is a replay."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.venue import Venue, VenueLeg, VenueRejected, VenueRequest, intake
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


class Full:
    """A file on a full disk: five bytes are written and no more; perhaps it does not shrink either."""

    def __init__(self, real: Any, *, shrinks: bool) -> None:
        self._real = real
        self._shrinks = shrinks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def write(self, text: bytes) -> int:
        self._real.write(text[:5])
        raise OSError(28, "No space left on device")

    def truncate(self, size: int) -> int:
        if not self._shrinks:
            raise OSError(28, "No space left on device")
        return int(self._real.truncate(size))


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_full_disk_changes_nothing(tmp_path: Path, shrinks: bool) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    before = d.venue.fingerprint()
    assert d.venue._file is not None
    real = d.venue._file._file
    d.venue._file._file = Full(real, shrinks=shrinks)  # type: ignore[assignment]
    with pytest.raises(OSError, match="space"):
        d.ask(10)
    assert d.venue.fingerprint() == before
    d.venue._file._file = real
    d.ask(10)
    d.venue.close()
    assert Venue(path=path).position("A").qty == 10


LIMITED = """
import resource, signal, sys
from tests.live.venue.desk import Desk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
d = Desk(path=sys.argv[1])
d.tick(A=100.0)
for room in range(0, 80, 7):
    size = open(sys.argv[1], "rb").seek(0, 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
    try:
        d.ask(10, client_order_id=f"refused-{room}")
        print("taken")
    except OSError:
        print("refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    d.tick(A=101.0)
print(d.venue.fingerprint())
"""


def test_what_a_file_at_its_limit_refused_is_not_written_later(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    again = Venue(path=path)
    assert done.stdout.split() == [*["refused"] * 12, again.fingerprint()]
    assert again.orders("all") == []


HALF_A_LEG = VenueLeg(symbol="A", side="buy", ratio_qty="1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"qty": "5"},
        {"qty": True},
        {"qty": float("nan")},
        {"qty": 5, "kind": "limit", "limit_price": "95"},
        {"qty": 5, "client_order_id": 7},
        {"qty": 5, "kind": 3},
        {"qty": 1, "symbol": "", "order_class": "mleg", "legs": [("A", "buy")]},
        {"qty": 1, "symbol": "", "order_class": "mleg", "legs": (HALF_A_LEG,)},
    ],
)
def test_a_value_of_the_wrong_type_is_refused_before_it_is_written(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    size = path.stat().st_size
    with pytest.raises(VenueRejected) as caught:
        d.venue.submit(VenueRequest(**{"symbol": "A", **fields}))
    assert caught.value.code == "VENUE_ORDER"
    known: dict[str, Any] = {"qty": np.int64(5), "kind": "limit", "limit_price": np.float32(50.0)}
    order = d.venue.submit(VenueRequest(symbol="A", **known))
    assert path.stat().st_size > size
    with pytest.raises(VenueRejected):
        d.venue.replace(order.id, qty="6")  # type: ignore[arg-type]
    calls: list[Callable[[], None]] = [
        lambda: d.venue.deposit(float("inf")),
        lambda: d.venue.action(d.now, "split", "A", float("nan")),
    ]
    for call in calls:
        with pytest.raises(VenueRejected) as caught:
            call()
        assert caught.value.code == "VENUE_ACTION"
    before = d.venue.fingerprint()
    d.venue.close()
    assert Venue(path=path).fingerprint() == before


def test_an_event_that_fails_has_not_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "venue.events"
    d = Desk(path=path)
    d.tick(A=100.0)
    d.ask(10)
    before, told, text = d.venue.fingerprint(), len(d.updates), path.read_bytes()

    real = intake._to_market

    def once(*_: Any) -> None:
        monkeypatch.setattr(intake, "_to_market", real)
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "_to_market", once)  # the order is in the book by then
    with pytest.raises(ZeroDivisionError):
        d.ask(5)
    assert (d.venue.fingerprint(), len(d.updates), path.read_bytes()) == (before, told, text)
    d.ask(5)
    assert d.events()[told:] == ["new", "fill"]
    before = d.venue.fingerprint()
    d.venue.close()
    assert Venue(path=path).fingerprint() == before


def test_a_file_of_other_rules_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "venue.events"
    Venue(path=path).close()
    text = path.read_bytes()[9:-1].replace(b'"format":2', b'"format":1')
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    with pytest.raises(ConfigError, match="version 1") as caught:
        Venue(path=path)
    assert caught.value.code == "VENUE_FILE_HEAD"
