"""A dashboard that is killed leaves the session as it was, and the next one starts over what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard


def test_a_killed_dashboard_changes_nothing_for_a_session(tmp_path: Path) -> None:
    bars = load_bars("sample:stocks")[:260]
    kept: dict[str, list[bytes]] = {}
    for name in ("alone", "beside"):
        journal = tmp_path / f"{name}.db"
        switch = KillSwitch(switch_folder(journal))
        strategies = [strategy_class("donchian-breakout")()]
        with Session(journal, like=bars, strategies=strategies, kill_switch=switch) as session:
            session.push(bars[:200])
            if name == "beside":
                running, link = started(journal)
                session.push(bars[200:220])
                killed(running, link, journal)
                session.push(bars[220:])
                stale = switch_folder(journal) / "dashboard.token"
                before = json.loads(stale.read_text())
                with Dashboard(journal) as again:  # the file of the killed one lies there
                    assert json.loads(stale.read_text())["token"] != before["token"]
                    client = Client(again)
                    assert client.ask("/state", authorization=f"Bearer {before['token']}").status == 401
                    assert client.log_in().ask("/").status == 200
                assert not stale.exists()
            else:
                session.push(bars[200:])
            kept[name] = steps(journal)
    assert len(kept["alone"]) == 260
    assert kept["alone"] == kept["beside"]


def started(journal: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a dashboard as a user does; returns it and its link."""
    running = subprocess.Popen(
        [sys.executable, "-m", "twinstep", "dashboard", "--journal", str(journal), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=journal.parent,
    )  # fmt: skip
    assert running.stdout is not None
    assert "dashboard of" in running.stdout.readline()
    return running, running.stdout.readline().strip()


def killed(running: subprocess.Popen[str], link: str, journal: Path) -> None:
    """Kill it without a word, while a page is open and a question is asked."""
    import http.client
    from urllib.parse import urlsplit

    address = urlsplit(link)
    opened = http.client.HTTPConnection(address.netloc, timeout=60)
    opened.request("GET", f"{address.path}?{address.query}")
    answer = opened.getresponse()
    answer.read()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    opened.request("GET", "/events", headers={"cookie": cookie})
    assert opened.getresponse().status == 200
    asking = http.client.HTTPConnection(address.netloc, timeout=20)
    asking.request("GET", "/performance", headers={"cookie": cookie})
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(20) == -signal.SIGKILL
    opened.close()
    asking.close()
    assert KillSwitch(switch_folder(journal), arm_fresh=False).state == "ACTIVE"


def steps(journal: Path) -> list[bytes]:
    """Return what the session has recorded of each bar: its input's and its state's sums, and its logs."""
    from contextlib import closing

    from twinstep.stored import open_stored

    with closing(open_stored(journal)) as connection:
        rows = connection.execute("SELECT ts, code, input, state, logs FROM steps ORDER BY bar").fetchall()
    return [repr(row).encode() for row in rows]
