"""A trader's afternoon at the dashboard, in a real Chromium, beside a session that runs in its own process.

The session replays stored days at the paper broker and asks a person before each entry. Nothing here tells
the page to look again: what changes on it came by the stream of news.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from journal.performance_tracker import PerformanceTracker
from journal.trade_journal import TradeJournal
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue, ReviewRequest
from simulator import backtest, load_bars
from strategies import strategy_class
from twinstep.account_lines import AccountLines, stored_lines
from twinstep.dashboard import Dashboard
from twinstep.dashboard.drawn import PAGES
from twinstep.runs import runs_beside
from twinstep.stored import open_stored

STRATEGY = f"{Path(__file__).with_name('patient.py')}:Patient"
SECONDS = 60.0
"""Longest wait for anything; the machine may be busy."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the journal of a session that runs: four days a second, entries wait for a person."""
    folder = tmp_path_factory.mktemp("afternoon")
    words = [
        "live", "--strategy", STRATEGY, "--mode", "manual_review", "--data",
        str(quiet_days(folder / "days")), "--speed", "4", "--journal", "desk.db", "--name", "afternoon",
        "--lines", "1", "--set", "risk.max_days_in_trade=3000",
    ]  # fmt: skip
    with (folder / "session.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "twinstep", *words], cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    where = folder / "desk.db"
    try:
        until(lambda: len(waiting(where)) >= 2, lambda: (folder / "session.log").read_text()[-2000:])
        yield where
        assert running.poll() is None, (folder / "session.log").read_text()[-2000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGTERM)
        running.wait(SECONDS)


def quiet_days(folder: Path) -> Path:
    """Write 3,000 days on which prices hardly move: an approval is refused where they have moved far."""
    days = load_bars("sample:stocks").index[:3000]
    folder.mkdir()
    for phase, symbol in enumerate(("AAPL", "IBM", "MSFT")):
        close = 100.0 + 0.2 * np.sin(np.arange(len(days)) / 3.0 + phase)
        lines = [
            f"{day:%Y-%m-%d},{one:.4f},{one + 0.1:.4f},{one - 0.1:.4f},{one:.4f},1000000"
            for day, one in zip(days, close.tolist(), strict=True)
        ]
        text = "\n".join(["time,open,high,low,close,volume", *lines, ""])
        (folder / f"{symbol}.csv").write_text(text, encoding="ascii")
    return folder


def until(holds: Callable[[], bool], why: Callable[[], object] = lambda: "") -> None:
    """Wait for what another process does."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, why()
        time.sleep(0.05)


def waiting(journal: Path) -> list[ReviewRequest]:
    folder = switch_folder(journal)
    if not (folder / "reviews").is_dir():
        return []
    return ReviewQueue(folder / "reviews", KillSwitch(folder, arm_fresh=False)).pending()


def request_of(journal: Path, number: str) -> ReviewRequest:
    folder = switch_folder(journal)
    return ReviewQueue(folder / "reviews", KillSwitch(folder, arm_fresh=False)).get(number)


def account(journal: Path) -> AccountLines:
    found = stored_lines(journal, "afternoon")
    assert found is not None
    return found


def test_a_link_lets_in_whoever_follows_it_first(visitor: Any, dashboard: Dashboard) -> None:
    visitor.context.clear_cookies()
    link = dashboard.link()
    visitor.goto(link)
    assert visitor.title() == "Now · Twinstep"
    visitor.context.clear_cookies()
    visitor.goto(link)
    visitor.get_by_text("This link has been used").wait_for()
    visitor.goto(f"{dashboard.url}/queue")
    assert visitor.url.endswith("/login")


def test_an_afternoon(page: Any, dashboard: Dashboard, journal: Path) -> None:
    page.goto(dashboard.url)
    # bars are stepped elsewhere, and appear
    page.evaluate("window.reloaded = false")
    bars, equity = page.locator("main .sub").first, page.locator(".tiles dd").first
    seen = {(bars.inner_text().split(" bars")[0], equity.inner_text())}

    def more() -> bool:
        seen.add((bars.inner_text().split(" bars")[0], equity.inner_text()))
        return len(seen) > 3

    until(more)
    assert len({one for _, one in seen}) > 1, "equity stands still"
    assert page.evaluate("window.reloaded") is False
    decide(page, dashboard, journal)
    halt_and_go_on(page, dashboard, journal)
    write_down(page, dashboard, journal)


def decide(page: Any, dashboard: Dashboard, journal: Path) -> None:
    """Approve one request and reject another, with all that is known of them in view."""
    wanted, unwanted = waiting(journal)[:2]
    page.goto(f"{dashboard.url}/queue")
    card = page.locator("section.request", has=page.locator(f"#{wanted.request_id}"))
    facts = [one.inner_text() for one in card.locator(".facts > div").all()]
    price, stop, target = wanted.price, wanted.order.stop_loss, wanted.order.take_profit
    assert price is not None
    assert stop is not None
    assert target is not None
    risk = 20.0 * (price - stop)
    assert [one.splitlines()[0] for one in facts] == [
        "Verdict", "Reward : risk", "The symbol so far", "Heat with it",
    ]  # fmt: skip
    assert "admitted" in facts[0]
    assert "20 granted of 20 asked" in facts[0]
    assert f"{20.0 * (target - price) / risk:.2f} : 1" in facts[1]
    assert f"loses {risk:,.2f}" in facts[1]
    assert "no closed paper trade" in facts[2]
    before, _, after = facts[3].splitlines()[1].partition(" → ")
    share = 100.0 * risk / account(journal).equity
    assert float(after.rstrip(" %")) - float(before.rstrip(" %")) == pytest.approx(share, abs=0.02)
    assert "of 6.0 %" in facts[3].replace("\u00a0", " ")
    # what is typed stays while bars go on
    card.get_by_label("Your name").fill("Ada")
    card.get_by_label(f"Type {wanted.order.symbol} to confirm").fill(wanted.order.symbol)
    card.get_by_role("button", name="Approve").click()
    page.get_by_text("Approved; the session judges it").wait_for()
    until(lambda: request_of(journal, wanted.request_id).state == "approved")
    until(lambda: request_of(journal, wanted.request_id).outcome == "confirmed")
    assert sent(journal)[wanted.order.client_order_id] == "confirmed"
    card.wait_for(state="detached")
    other = page.locator("section.request", has=page.locator(f"#{unwanted.request_id}"))
    other.get_by_label("Why not").fill("earnings tomorrow")
    other.get_by_role("button", name="Reject").click()
    other.wait_for(state="detached")
    lately = page.locator("section:has(#lately) li").all_inner_texts()
    assert f"{unwanted.order.symbol} rejected" in lately[0]
    assert f"{wanted.order.symbol} approved by Ada: confirmed" in lately[1]
    ended = request_of(journal, unwanted.request_id)
    assert (ended.state, ended.note) == ("rejected", "earnings tomorrow")
    assert unwanted.order.client_order_id not in sent(journal)


def sent(journal: Path) -> dict[str, str]:
    """Return what became of the orders that the session has sent, by client order id."""
    with contextlib.closing(open_stored(journal)) as connection:
        return dict(connection.execute("SELECT client_order_id, outcome FROM orders").fetchall())


def halt_and_go_on(page: Any, dashboard: Dashboard, journal: Path) -> None:
    """Kill with one click, see that the session itself has halted, and arm it by a typed word."""
    page.goto(dashboard.url)
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("heading", name="HALTED").wait_for()
    until(lambda: account(journal).halt == "HALTED")
    stood = account(journal).bars
    until(lambda: account(journal).bars > stood)  # it goes on looking at the market
    assert account(journal).halt == "HALTED"
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Why trading may go on").fill("the news are over")
    page.get_by_label("Type PAPER to confirm").fill("paper")
    page.get_by_role("button", name="Arm").click()
    page.get_by_role("button", name="Kill").wait_for()
    until(lambda: account(journal).halt == "ACTIVE")


def write_down(page: Any, dashboard: Dashboard, journal: Path) -> None:
    """Open a trade from the journal and add a lesson, which the session takes from its inbox."""
    page.goto(f"{dashboard.url}/journal")
    page.locator("tbody th a").first.click()
    page.locator("svg.chart:not(.narrow)").wait_for()
    number = int(page.title().split()[1])
    page.get_by_label("What it taught").fill("let it run")
    page.get_by_role("button", name="Add lesson").click()
    page.get_by_role("listitem").filter(has_text="let it run").wait_for(timeout=1000 * SECONDS)
    with TradeJournal(journal, read_only=True) as opened:
        assert "let it run" in PerformanceTracker(opened).record(number).lessons


def test_a_theme_is_chosen_kept_and_given_back(page: Any, dashboard: Dashboard) -> None:
    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.goto(dashboard.url)
    switch = page.get_by_role("button", name="Theme")
    light = ground()
    switch.click()
    dark = ground()
    assert dark != light
    page.goto(f"{dashboard.url}/queue")
    assert (ground(), page.evaluate("document.documentElement.dataset.theme")) == (dark, "dark")
    # also where nobody is logged in, and before any script of the page has run
    page.goto(f"{dashboard.url}/login")
    assert ground() == dark
    page.goto(f"{dashboard.url}/queue")
    switch.click()
    assert ground() == light
    switch.click()
    assert switch.get_attribute("aria-label") == "Theme: system"
    page.emulate_media(color_scheme="dark")
    assert ground() == dark


def test_a_phone_scrolls_one_way_only(page: Any, dashboard: Dashboard) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for path, _ in PAGES:
        page.goto(f"{dashboard.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    # the menu scrolls, and what is shown is in sight
    assert 0 < page.locator("nav.menu a[aria-current]").bounding_box()["x"] < 390


def test_two_backtests_are_compared(page: Any, dashboard: Dashboard, journal: Path) -> None:
    bars = load_bars("sample:stocks")[:400]
    for length in (20, 40):
        strategy = strategy_class("donchian-breakout")(length=length)
        backtest(bars, strategy).keep(runs_beside(str(journal)), strategy=strategy)
    page.goto(dashboard.url)
    page.get_by_role("link", name="Backtests").click()
    page.locator("tbody tr").nth(1).wait_for()
    assert page.locator("tbody tr").count() == 2
    page.get_by_role("button", name="Compare A and B").click()
    page.wait_for_url("**/runs/compare?**")
    text = page.locator("main").inner_text()
    assert "20" in text
    assert "40" in text
    assert page.locator("main svg").count() >= 1
