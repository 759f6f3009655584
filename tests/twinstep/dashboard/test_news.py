"""Streams of news: one watcher for all, a limit of how many, and nothing left behind when pages go."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.door.guard import MOST_STREAMS
from twinstep.dashboard.news import News
from twinstep.dashboard.reading.desk import desks_of


@pytest.fixture
def dashboard(journal: Path) -> Iterator[Dashboard]:
    """Return a dashboard of the test's own: what is counted goes on for a moment after a page has gone."""
    with Dashboard(journal) as served:
        assert desks_of(served.reader).load().wait(60.0)  # it changes the version when it is done
        yield served


RETRY, CHANGED, ALIVE = b"retry: 2000\n\n", b"event: changed\ndata: {}\n\n", b": alive\n\n"


def test_every_stream_begins_with_a_change_once_the_files_have_been_looked_at() -> None:
    """What changes between the drawing of a page and the first look would be told by nobody."""

    async def told() -> list[bytes]:
        news = News(lambda: 0, look_seconds=0.01, spread_seconds=0.0, alive_seconds=60.0)
        first, second = news.stream(), news.stream()
        found = [await asyncio.wait_for(anext(first), 20) for _ in range(2)]
        found += [await asyncio.wait_for(anext(second), 20) for _ in range(2)]  # it has looked long since
        await first.aclose()
        await second.aclose()
        third = news.stream()  # and another watcher begins
        found += [await asyncio.wait_for(anext(third), 20) for _ in range(2)]
        await third.aclose()
        return found

    assert asyncio.run(told()) == [RETRY, CHANGED] * 3


def test_one_watcher_tells_twenty_streams_and_ends_with_the_last() -> None:
    version = [0]

    async def told() -> tuple[list[bytes], bool, bool]:
        news = News(lambda: version[0], look_seconds=0.02, alive_seconds=60.0)
        streams = [news.stream() for _ in range(20)]
        heads = [await anext(stream) for stream in streams]
        heads += await asyncio.wait_for(asyncio.gather(*(anext(stream) for stream in streams)), 20)
        begin, looked = time.monotonic(), news.looks
        while news.looks < looked + 2:
            await asyncio.sleep(0.02)
        # of one watcher, and not of twenty
        before = news.looks - looked <= 2 + (time.monotonic() - begin) / 0.02
        version[0] = 1
        said = await asyncio.wait_for(asyncio.gather(*(anext(stream) for stream in streams)), 20)
        for stream in streams:
            await stream.aclose()
        return heads + said, before, news.watching

    said, few, watching = asyncio.run(told())
    assert said == [RETRY] * 20 + [CHANGED] * 40
    assert few
    assert not watching


def test_a_stream_without_news_says_that_it_lives_and_a_disk_that_fails_is_no_news() -> None:
    def version() -> int:
        failing.append(1)
        if len(failing) % 2 == 0:
            raise OSError("gone for a moment")
        return 0

    failing: list[int] = []

    async def told() -> list[bytes]:
        news = News(version, look_seconds=0.01, alive_seconds=0.05)
        stream = news.stream()
        found: list[bytes] = []
        while found.count(ALIVE) < 2 or CHANGED not in found:
            found.append(await asyncio.wait_for(anext(stream), 20))
        await stream.aclose()
        return found

    assert [one for one in asyncio.run(told()) if one != ALIVE] == [RETRY, CHANGED]
    assert len(failing) > 3


def test_a_watcher_outlives_whatever_keeps_it_from_looking() -> None:
    looks = [0]

    def version() -> int:
        looks[0] += 1
        if looks[0] in (1, 3, 4):
            raise (OSError if looks[0] == 1 else RuntimeError)("can't start new thread")
        return looks[0]  # changes with every look

    async def told() -> tuple[list[bytes], bool]:
        news = News(version, look_seconds=0.01, pause_seconds=0.01, spread_seconds=0.0)
        stream = news.stream()
        found = [await asyncio.wait_for(anext(stream), 10) for _ in range(4)]
        alive = news.watching
        await stream.aclose()
        return found, alive

    assert asyncio.run(told()) == ([RETRY, *[CHANGED] * 3], True)


def test_a_dashboard_that_stops_ends_its_streams_itself(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live.serving.STOP_SECONDS", 60)  # after which the server hangs up on what is left
    served = Dashboard(journal).start()
    with listening(Client(served).log_in()) as news:
        begun(news)
        begin = time.monotonic()
        served.stop()
        assert news.read().strip() == b""  # an end, and no broken connection
    assert time.monotonic() - begin < 30.0


def begun(news: http.client.HTTPResponse) -> None:
    """Wait until the files have been looked at: what changes from now on is told."""
    assert [news.readline() for _ in range(5)] == [*RETRY.splitlines(True), *CHANGED.splitlines(True)]


@contextlib.contextmanager
def listening(client: Client) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", client.dashboard.port, timeout=60)
    connection.request("GET", "/events", headers={"cookie": client.cookie})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def test_there_is_a_limit_of_streams_and_a_page_that_goes_makes_room(client: Client) -> None:
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(listening(client)) for _ in range(MOST_STREAMS)]
        assert {one.status for one in streams} == {200}
        refused = client.ask("/events")
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert client.ask("/state").status == 200  # pages are still answered
    end = time.monotonic() + 20.0
    while True:
        with listening(client) as again:
            if again.status == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_kill_elsewhere_is_told_within_a_second_or_two(client: Client, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    with listening(client) as news:
        begun(news)
        switch.engage("a test", "ada")
        try:
            assert news.readline() == b"event: changed\n"
        finally:
            switch.arm("ada", "the test is over")


def test_the_version_reads_no_file_and_few_times(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    counted: list[str] = []
    real: Any = os.stat

    def counting(path: Any, **given: Any) -> Any:
        counted.append(str(path))
        return real(path, **given)

    def opening(*given: Any, **others: Any) -> None:
        raise AssertionError(f"opened {given}")

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", counting)
        patched.setattr("builtins.open", opening)
        patched.setattr(os, "open", opening)
        dashboard.reader.version()
    assert len(counted) <= 8


def test_pages_that_ask_at_once_look_at_the_journal_once(
    dashboard: Dashboard, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinstep.dashboard.reading.reader.KEPT_SECONDS", 60.0)  # the machine may be busy
    looks: list[int] = []
    real = dashboard.reader._look

    def looking(session: str) -> Any:
        looks.append(1)
        return real(session)

    monkeypatch.setattr(dashboard.reader, "_look", looking)
    first = [dashboard.reader.now() for _ in range(20)]
    assert len(looks) <= 1  # the server may have looked before
    assert len({one.view for one in first}) == 1
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")
    try:
        assert dashboard.reader.now().view.switch == "HALTED"  # what has changed is never kept
    finally:
        switch.arm("ada", "the test is over")
    assert dashboard.reader.now().view.switch == "ACTIVE"


def still(dashboard: Dashboard) -> None:
    """Let no time pass for what is kept: the machine may be busy."""
    dashboard.fragments._monotonic = lambda: 0.0


def test_twenty_pages_that_ask_at_once_cost_one_drawing_and_share_no_key(
    client: Client, dashboard: Dashboard
) -> None:
    still(dashboard)
    before = dashboard.fragments.drawn
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(client.ask, ["/state"] * 20))
    assert {one.status for one in answers} == {200}
    assert dashboard.fragments.drawn - before == 1
    keys = [re.findall(r'name="key" value="([\w-]+)"', one.body) for one in answers]
    assert [len(one) for one in keys] == [1] * 20
    assert len({one[0] for one in keys}) == 20
    assert {one.headers["x-state"] for one in answers} == {"PAPER ACTIVE 0"}
    whole = client.ask("/").body
    assert 'data-state="PAPER ACTIVE 0"' in whole


def test_what_is_kept_is_never_shown_after_a_change(client: Client, dashboard: Dashboard) -> None:
    def halted() -> bool:
        return "Kill</button>" not in client.ask("/state").body

    still(dashboard)
    switch = KillSwitch(switch_folder(dashboard.reader.journal), arm_fresh=False)
    with listening(client) as news:  # somebody watches, so that changes of the journal wait to be told
        begun(news)
        assert not halted()
        switch.engage("a test", "ada")
        try:
            assert halted()
            drawn = dashboard.fragments.drawn
            client.ask("/state")
            assert dashboard.fragments.drawn == drawn
            client.do("nothing")  # whoever has done something, whatever came of it, sees the newest
            assert halted()
            assert dashboard.fragments.drawn == drawn + 1
        finally:
            switch.arm("ada", "the test is over")
        assert not halted()


def test_what_a_page_is_told_of_its_head_is_never_newer_than_what_it_gets(
    client: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take an old head for the new one, and never ask for it again."""
    switch = KillSwitch(switch_folder(dashboard.reader.journal), arm_fresh=False)
    real = dashboard.fragments._app

    async def halted_while_drawn(scope: Any, receive: Any, send: Any) -> None:
        await real(scope, receive, send)
        switch.engage("a test", "ada")

    monkeypatch.setattr(dashboard.fragments, "_app", halted_while_drawn)
    try:
        answer = client.ask("/state")
        assert "Kill</button>" in answer.body
        assert answer.headers["x-state"] == "PAPER ACTIVE 0"
        assert client.ask("/state").headers["x-state"] == "PAPER HALTED 0"
    finally:
        switch.arm("ada", "the test is over")


def test_a_bar_is_drawn_once_it_has_been_told(client: Client, dashboard: Dashboard) -> None:
    still(dashboard)
    log = dashboard.reader.journal.with_name(f"{dashboard.reader.journal.name}-wal")
    with listening(client) as news:
        begun(news)
        client.ask("/now")
        drawn = dashboard.fragments.drawn
        log.touch()  # as a commit would
        client.ask("/now")
        assert dashboard.fragments.drawn == drawn
        assert news.readline() == b"event: changed\n"
        client.ask("/now")
        assert dashboard.fragments.drawn == drawn + 1


def test_other_addresses_are_other_fragments_and_no_error_is_kept(
    client: Client, dashboard: Dashboard
) -> None:
    before = dashboard.fragments.drawn
    assert client.ask("/trades/987654/live").status == 404
    assert client.ask("/trades/987654/live").status == 404
    assert client.ask("/now").body != client.ask("/state").body
    assert dashboard.fragments.drawn - before == 4
    for number in range(40):
        assert client.ask(f"/state?page={number}").status == 200
    assert len(dashboard.fragments._found) <= 32
