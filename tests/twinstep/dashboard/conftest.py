"""A paper session's journal, its dashboard on a free port, and whoever speaks to it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from twinstep.dashboard import Dashboard

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SERIOUS = {"serious", "critical"}
"""What axe must not find."""


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

    def __init__(self, dashboard: Dashboard) -> None:
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
        return self.ask(f"/do/{path}", "POST", json.dumps({"key": f"key-{len(str(form)):08d}", **form}))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a session that holds something."""
    where = tmp_path_factory.mktemp("dashboard") / "desk.db"
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


@pytest.fixture
def dashboard(journal: Path) -> Iterator[Dashboard]:
    with Dashboard(journal) as served:
        yield served


@pytest.fixture
def stranger(dashboard: Dashboard) -> Client:
    return Client(dashboard)


@pytest.fixture
def client(dashboard: Dashboard) -> Client:
    return Client(dashboard).log_in()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium; .ci/run installs it")
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, dashboard: Dashboard) -> Iterator[Any]:
    """Return a page that is logged in; whatever it complains of, and whatever leaves the machine, fails."""
    context = browser.new_context(viewport={"width": 1180, "height": 800})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    opened.on("pageerror", lambda one: complaints.append(str(one)))
    asked: list[str] = []
    opened.on("request", lambda one: asked.append(one.url))
    opened.goto(dashboard.link())
    yield opened
    context.close()
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{dashboard.port}"}
