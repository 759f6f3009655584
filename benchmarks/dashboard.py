"""The dashboard beside a session: what a bar takes with twenty pages open and with none, and the first page.

The session pushes bars one by one in this process, as `benchmarks.live` does, each durable; the dashboard
serves the same journal in a process of its own, started as a user starts it. Each of the clients follows the
stream of news, and asks for its fragment over a connection that stays when it is told of a change, for the
head of the page when the answer says that it is another: what the script of a page does. Rounds with clients
and without come in pairs, whose order alternates; the ratio of the two p99 is taken in each pair, and of
these the median. The journal of the first page has 200,000 trades; cold is the first request that a new
process answers, warm the median of those that follow.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.live import LIMITS, POSITIONS, SYMBOLS, WARM
from benchmarks.measure import ROOT
from benchmarks.report import Check, Section
from live import Session
from simulator import Bars, Signals, load_bars

CLIENTS = 20
TRADES = 200_000
ROUNDS = 9
PUSHES = 300
"""Bars of a round; three of them are above its p99."""
PACE_SECONDS = 0.05
"""Between two bars: twenty a second is more than any feed of bars brings, and every look finds a change."""
SLOWER = 1.10
"""Most that the p99 of a bar may be with clients, of what it is without."""
FIRST_MS = 300.0
"""Most for the first page."""
_NICE = 10
"""The clients stand for browsers of other machines, or of a desktop that gives way."""
PAGES = ("/now", "/queue/live", "/system/live", "/options/live")


def dashboard_section(*, quick: bool) -> Section:
    """Measure bars with clients and without, in alternation, then the first page of a large journal."""
    section = Section("dashboard", f"dashboard: {CLIENTS} clients beside a session, and {TRADES:,} trades")
    rounds, pushes, trades = (3, 100, TRADES // 10) if quick else (ROUNDS, PUSHES, TRADES)
    with tempfile.TemporaryDirectory() as folder:
        alone, attached, asked = _bars_beside(Path(folder) / "session.db", rounds, pushes)
        ratio = statistics.median(one / other for one, other in zip(attached, alone, strict=True))
        for what, found in (("no client", alone), (f"{CLIENTS} clients", attached)):
            section.rows.append(
                {"what": f"bar, {what}", "p99 ms": statistics.median(found), "least ms": min(found),
                 "most ms": max(found)}
            )  # fmt: skip
        cold, warm = _first_page(Path(folder) / "large.db", trades)
    section.rows.append({"what": f"first page, {trades:,} trades, cold", "p99 ms": cold})
    section.rows.append({"what": f"first page, {trades:,} trades, warm", "p99 ms": warm})
    section.checks += [
        Check(
            f"p99 of a bar with {CLIENTS} clients over without, median of pairs",
            ratio,
            SLOWER,
            at_least=False,
        ),
        Check("first page, cold, ms", cold, FIRST_MS, at_least=False),
        Check("first page, warm, ms", warm, FIRST_MS, at_least=False),
    ]
    section.notes.append(
        f"{rounds} rounds of {pushes} bars each way, {1 / PACE_SECONDS:.0f} bars a second; the clients asked "
        f"for {asked:,} pages"
    )
    return section


def _bars_beside(path: Path, rounds: int, pushes: int) -> tuple[list[float], list[float], int]:
    """Return the p99 of each round without clients and with them, in ms, and the pages asked for."""
    bars = load_bars(f"synthetic:{SYMBOLS}x{WARM + 2 * rounds * pushes}?seed=1")
    alone: list[float] = []
    attached: list[float] = []
    asked = 0
    with Session(path, like=bars, risk=LIMITS, name="live") as session:
        session.push(bars[:WARM], _entries(bars))
        row = WARM
        with served(path) as link:
            for number in range(2 * rounds):
                # the order within a pair alternates too: a slow minute meets both
                watched = number % 4 in (1, 2)
                if watched:
                    with attached_clients(link(), CLIENTS) as counted:
                        attached.append(_p99(session, bars, row, pushes))
                    asked += counted[0]
                else:
                    alone.append(_p99(session, bars, row, pushes))
                row += pushes
    return alone, attached, asked


def _entries(bars: Bars) -> Signals:
    # held for good: a stop far below
    columns = np.arange(POSITIONS)
    return Signals.from_arrays(bars, np.full(POSITIONS, WARM - 10), columns, 1, qty=10.0, stop_percent=90.0)


def _p99(session: Session, bars: Bars, first: int, count: int) -> float:
    taken = []
    for row in range(first, first + count):
        bar = bars[row : row + 1]
        begin = time.perf_counter()
        session.push(bar)
        taken.append(1e3 * (time.perf_counter() - begin))
        time.sleep(PACE_SECONDS)
    return float(np.percentile(taken, 99))


def _first_page(path: Path, trades: int) -> tuple[float, float]:
    """Return milliseconds of the first page of a new process, and the median of the next twenty."""
    from journal.database import Database
    from journal.performance import running
    from tests.journal.generate import generate, store

    with Database(path) as database, database.write() as connection:
        store(connection, generate(3, trades, sources=("paper",), per_day=40.0))
        running.rebuild(connection, "paper")
    with served(path) as link:
        host, cookie = _logged_in(link())
        found = []
        for _ in range(21):
            begin = time.perf_counter()
            _get(host, "/", cookie)
            found.append(1e3 * (time.perf_counter() - begin))
    return found[0], statistics.median(found[1:])


@contextmanager
def served(journal: Path) -> Iterator[_Link]:
    """Serve a journal by `twinstep dashboard` in a process of its own; gives what returns login links."""
    running = subprocess.Popen(
        [sys.executable, "-m", "twinstep", "dashboard", "--journal", str(journal), "--port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        if running.stdout is None or not running.stdout.readline():
            raise RuntimeError("the dashboard did not come up")
        first = running.stdout.readline().strip()
        yield _Link(journal, first)
    finally:
        running.terminate()
        running.wait(30)


class _Link:
    """Returns login links of a dashboard that runs: its own first, then others that its token asks for."""

    def __init__(self, journal: Path, first: str) -> None:
        self._file = journal.with_name(f"{journal.name}.switch") / "dashboard.token"
        self._first: str | None = first

    def __call__(self) -> str:
        if self._first is not None:
            link, self._first = self._first, None
            return link
        told = json.loads(self._file.read_text(encoding="ascii"))
        connection = http.client.HTTPConnection(urlsplit(told["url"]).netloc, timeout=30)
        connection.request(
            "POST", "/do/link", b"{}",
            {"authorization": f"Bearer {told['token']}", "content-type": "application/json"},
        )  # fmt: skip
        return str(json.loads(connection.getresponse().read())["link"])


@contextmanager
def attached_clients(link: str, count: int) -> Iterator[list[int]]:
    """Attach clients, in a process of their own, until the end; gives how many pages they asked for."""
    asked = [0]
    # in this process they would take the interpreter from the session, which no browser does
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.dashboard", link, str(count)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if running.stdout is None or running.stdout.readline().strip() != "attached":
            raise RuntimeError("the clients did not come up")
        yield asked
    finally:
        out, _ = running.communicate("\n", timeout=60)
        asked[0] = int(out.split()[-1])


def follow(link: str, count: int) -> int:
    """Follow the stream with so many clients, which reload on every change, until standard input ends."""
    os.nice(_NICE)
    host, cookie = _logged_in(link)
    asked, ended = [0], threading.Event()
    threads = [
        threading.Thread(
            target=_follow, args=(host, cookie, PAGES[one % len(PAGES)], asked, ended), daemon=True
        )
        for one in range(count)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    print("attached", flush=True)
    sys.stdin.readline()
    ended.set()
    return asked[0]


def _follow(host: str, cookie: str, page: str, asked: list[int], ended: threading.Event) -> None:
    stream = http.client.HTTPConnection(host, timeout=20)
    stream.request("GET", "/events", headers={"cookie": cookie})
    news, kept = stream.getresponse(), http.client.HTTPConnection(host, timeout=30)
    head = ""
    while not ended.is_set():
        try:
            line = news.readline()
        except OSError:
            break
        if line.startswith(b"event: changed"):
            asked[0] += 1
            state = _asked(kept, page, cookie)
            if state != head:
                asked[0] += 1
                head = _asked(kept, "/state", cookie)
    for connection in (stream, kept):
        connection.close()


def _asked(kept: http.client.HTTPConnection, path: str, cookie: str) -> str:
    """Ask for a fragment over a connection that stays; returns what the head of the page should show."""
    kept.request("GET", path, headers={"cookie": cookie})
    answer = kept.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return str(answer.getheader("x-state"))


def _logged_in(link: str) -> tuple[str, str]:
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}")
    cookie = (connection.getresponse().getheader("set-cookie") or "").partition(";")[0]
    return parts.netloc, cookie


def _get(host: str, path: str, cookie: str) -> bytes:
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path, headers={"cookie": cookie})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    connection.close()
    return text


if __name__ == "__main__":
    print(follow(sys.argv[1], int(sys.argv[2])))
