"""A paper session's journal, its dashboard on a free port, and whoever speaks to it.

A journal is stepped once, and each module has a copy. A dashboard serves while its tests ask for the same
journal, and forgets in between who was let in and how often: to make one takes longer than most tests do.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from twinstep.dashboard import Dashboard
from twinstep.dashboard.drawn import drawing
from twinstep.dashboard.reading.desk import desks_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks HTTP as plainly as an attacker would: every header is what the test says."""

    made = itertools.count()

    def __init__(self, dashboard: Dashboard) -> None:
        self.number = next(self.made)
        self.dashboard = dashboard
        self.host = f"127.0.0.1:{dashboard.port}"
        self.cookie = ""

    def ask(self, path: str, method: str = "GET", body: bytes | str = b"", **headers: str | None) -> Answer:
        """Send one request; headers are written with underscores, None leaves one out."""
        given: dict[str, str | None] = {"host": self.host, **({"cookie": self.cookie} if self.cookie else {})}
        if method != "GET":
            given |= {"content-type": "application/json", "origin": f"http://{self.host}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.dashboard.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            data = body.encode() if isinstance(body, str) else body
            if data and "content-length" not in given:
                given["content-length"] = str(len(data))
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(data or None)
            found = connection.getresponse()
            text = found.read().decode()
            return Answer(found.status, {key.lower(): value for key, value in found.getheaders()}, text)
        finally:
            connection.close()

    def log_in(self) -> Client:
        path = self.dashboard.link().removeprefix(self.dashboard.url)
        answer = self.ask(path)
        assert answer.status == 303
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return self

    def do(self, path: str, **form: Any) -> Answer:
        """Send a form; without a key it has the one that this client gives to these words."""
        key = f"key-{crc32(f'{self.number}{path}{form}'.encode()):08x}"
        return self.ask(f"/do/{path}", "POST", json.dumps({"key": key, **form}))


@pytest.fixture(scope="session")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a session that holds something; it is copied and never written."""
    where = tmp_path_factory.mktemp("stepped") / "desk.db"
    bars = load_bars("sample:stocks")
    # a switch of its own, as the command line gives a session
    switch = KillSwitch(switch_folder(where))
    with Session(
        where, like=bars, strategies=[strategy_class("donchian-breakout")()], kill_switch=switch
    ) as session:
        session.push(bars[:250])
        for row in range(250, 600):
            session.push(bars[row : row + 1])
            if session.positions():
                break
        assert session.positions()
    return where


@pytest.fixture(scope="module")
def journal(stepped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the session's journal for one module."""
    copy = shutil.copytree(stepped.parent, tmp_path_factory.mktemp("dashboard") / "desk")
    return copy / stepped.name


@pytest.fixture(scope="session", autouse=True)
def templates_read_once() -> Iterator[None]:
    """Share the templates between dashboards: reading them is most of what the first page of one takes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("twinstep.dashboard.app.drawing", functools.cache(drawing))
        yield


class Served:
    """The dashboard of one journal at a time."""

    def __init__(self) -> None:
        self.now: Dashboard | None = None

    def of(self, journal: Path) -> Dashboard:
        """Return the dashboard of a journal, as one that has just begun: it knows nobody, and counts anew."""
        if self.now is None or self.now.reader.journal != journal or not self.now.serving:
            self.stop()
            self.now = Dashboard(journal).start()
        found = self.now
        assert desks_of(found.reader).load().wait(60.0)  # it changes the version when it is done
        doorman = found.doorman
        doorman._sessions.clear()
        doorman._links.clear()
        doorman._failures.clear()
        doorman._locked_until = -1.0
        found._served._app._writes.clear()
        doorman.write_token(found.token_file, found.url)  # another dashboard of the journal takes it away
        return found

    def stop(self) -> None:
        if self.now is not None:
            self.now.stop()
            self.now = None


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.stop()


@pytest.fixture
def dashboard(served: Served, journal: Path) -> Dashboard:
    return served.of(journal)


@pytest.fixture
def stranger(dashboard: Dashboard) -> Client:
    return Client(dashboard)


@pytest.fixture
def client(dashboard: Dashboard) -> Client:
    return Client(dashboard).log_in()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # not for the whole run: while it is open, the thread of the tests has an event loop that runs
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium; .ci/run installs it")
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """Return a page for all tests of a module: a new one is a new process, a second of work."""
    return browser.new_context().new_page()


@pytest.fixture
def visitor(tab: Any, client: Client) -> Iterator[Any]:
    """Return an empty page that is logged in, as if nobody had used it."""
    tab.set_viewport_size({"width": 1180, "height": 800})
    tab.emulate_media(color_scheme="light")
    name, _, value = client.cookie.partition("=")
    tab.context.clear_cookies()
    tab.context.add_cookies([{"name": name, "value": value, "url": client.dashboard.url}])
    yield tab
    if tab.url.startswith(client.dashboard.url) and not tab.url.endswith("/report"):
        tab.evaluate("localStorage.clear()")
    tab.goto("about:blank")


@pytest.fixture
def page(visitor: Any, client: Client) -> Iterator[Any]:
    """Return the page of a test in which it complains of nothing, and nothing leaves the machine."""
    complaints: list[str] = []
    asked: list[str] = []
    heard = {
        "console": lambda one: complaints.append(one.text) if one.type == "error" else None,
        "pageerror": lambda one: complaints.append(str(one)),
        "request": lambda one: asked.append(one.url),
    }
    for event, hear in heard.items():
        visitor.on(event, hear)
    yield visitor
    for event, hear in heard.items():
        visitor.remove_listener(event, hear)
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {client.host}
