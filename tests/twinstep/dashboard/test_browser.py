"""The pages in a real Chromium: log in, watch, kill, arm, on a phone, in the dark, for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from tests.twinstep.dashboard.conftest import SERIOUS
from twinstep.dashboard import Dashboard


def test_what_is_held_is_drawn_between_its_stop_and_its_target(page: Any) -> None:
    assert page.title() == "Now · Twinstep"
    row = page.locator("section:has(#positions) tbody tr").first
    assert "stop" in row.locator("svg.ladder").get_attribute("aria-label")
    assert page.locator("meter").count() == 1
    assert page.locator(".chip.mode-paper").inner_text() == "PAPER"


def test_killing_takes_one_click_and_arming_a_word(page: Any, journal: Path) -> None:
    def state() -> str:
        return KillSwitch(switch_folder(journal), arm_fresh=False).state

    page.get_by_role("button", name="Kill").click()
    page.get_by_role("heading", name="HALTED").wait_for()
    assert state() == "HALTED"
    page.get_by_role("button", name="Kill").wait_for(state="detached")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Why trading may go on").fill("news are over")
    page.get_by_label("Type PAPER to confirm").fill("real")
    page.get_by_role("button", name="Arm").click()
    page.get_by_text("'real' was typed").wait_for()
    assert state() == "HALTED"
    page.get_by_label("Type PAPER to confirm").fill("paper")
    page.get_by_role("button", name="Arm").click()
    page.get_by_role("button", name="Kill").wait_for()
    assert state() == "ACTIVE"


def test_a_bar_that_is_stepped_elsewhere_appears_by_itself(page: Any, journal: Path) -> None:
    before = page.locator("main .sub").first.inner_text()
    bars = load_bars("sample:stocks")
    switch = KillSwitch(switch_folder(journal))
    with Session(
        journal, like=bars, strategies=[strategy_class("donchian-breakout")()], kill_switch=switch
    ) as session:
        session.push(bars[session.bars : session.bars + 1])
        expected = f"{session.bars} bars"
    page.get_by_text(expected).wait_for(timeout=10_000)
    assert page.locator("main .sub").first.inner_text() != before


def test_what_somebody_types_is_not_swept_away(page: Any, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")
    try:
        page.get_by_label("Your name").fill("Ada Lov")
        switch.engage("again", "ada")
        page.wait_for_timeout(1500)
        assert page.get_by_label("Your name").input_value() == "Ada Lov"
    finally:
        switch.arm("ada", "the test is over")


def test_the_theme_stays_as_it_was_chosen(page: Any, dashboard: Dashboard) -> None:
    page.get_by_role("button", name="Theme").click()
    chosen = page.evaluate("document.documentElement.dataset.theme")
    assert chosen == "dark"
    page.goto(f"{dashboard.url}/queue")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("path", ["/", "/queue"])
def test_a_phone_scrolls_one_way_only(page: Any, dashboard: Dashboard, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{dashboard.url}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", ["/", "/queue", "/login"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_a_screen_readers_way(
    page: Any, dashboard: Dashboard, path: str, theme: str, journal: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")  # the form of arming is there then
    try:
        page.emulate_media(color_scheme=theme)
        page.goto(f"{dashboard.url}{path}", wait_until="load")
        found = Axe().run(page)
        bad = [one for one in found.response["violations"] if one["impact"] in SERIOUS]
        assert bad == [], found.generate_report()
    finally:
        switch.arm("ada", "the test is over")


def test_a_dashboard_that_has_gone_is_said_to_be(browser: Any, journal: Path) -> None:
    with Dashboard(journal) as served:
        opened = browser.new_page()
        opened.goto(served.link())
        opened.wait_for_timeout(300)
    opened.get_by_text("No news arrives").wait_for(timeout=10_000)
    opened.close()
