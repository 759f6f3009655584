"""The pages in a real Chromium: log in, watch, kill, arm, on a phone, in the dark, for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from tests.twinstep.dashboard.looking import look_over
from twinstep.dashboard import Dashboard


def test_what_is_held_is_drawn_between_its_stop_and_its_target(page: Any, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    assert page.title() == "Now · Twinstep"
    row = page.locator("section:has(#positions) tbody tr").first
    assert "stop" in row.locator("svg.ladder").get_attribute("aria-label")
    page.locator(".gauges meter").first.wait_for()  # the risk manager is loaded beside the page
    assert page.get_by_role("heading", name="Limits in force").is_visible()
    assert page.locator(".chip.mode-paper").inner_text() == "PAPER"


def test_killing_takes_one_click_and_arming_a_word(page: Any, dashboard: Dashboard, journal: Path) -> None:
    def state() -> str:
        return KillSwitch(switch_folder(journal), arm_fresh=False).state

    page.goto(dashboard.url)
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


def test_a_bar_that_is_stepped_elsewhere_appears_by_itself(
    page: Any, dashboard: Dashboard, journal: Path
) -> None:
    page.goto(dashboard.url)
    before = page.locator("main .sub").first.inner_text()
    bars = load_bars("sample:stocks")
    switch = KillSwitch(switch_folder(journal))
    with Session(
        journal, like=bars, strategies=[strategy_class("donchian-breakout")()], kill_switch=switch
    ) as session:
        session.push(bars[session.bars : session.bars + 1])
        expected = f"{session.bars} bars"
    page.get_by_text(expected).wait_for()
    assert page.locator("main .sub").first.inner_text() != before


def test_what_somebody_types_is_not_swept_away(page: Any, dashboard: Dashboard, journal: Path) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")
    try:
        page.goto(dashboard.url)
        page.get_by_label("Your name").fill("Ada Lov")
        switch.arm("ada", "to halt once more")  # a halt that is there already stays as it is
        with page.expect_response("**/state"):  # the page has looked, and the head alone was drawn anew
            switch.engage("again", "ada")
        page.wait_for_timeout(200)
        assert page.get_by_label("Your name").input_value() == "Ada Lov"
    finally:
        switch.arm("ada", "the test is over")


def test_an_answer_that_comes_late_sweeps_nothing_away(page: Any, dashboard: Dashboard) -> None:
    """The halt comes by the stream of news before the click on Kill is answered, and with it a form."""
    held: list[tuple[Any, Any]] = []
    page.route("**/do/kill", lambda route: held.append((route, route.fetch())))
    page.goto(dashboard.url)
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("heading", name="HALTED").wait_for()
    words = {"Your name": "Ada", "Why trading may go on": "news are over", "Type PAPER to confirm": "paper"}
    for label, text in words.items():
        page.get_by_label(label).fill(text)
    route, answer = held[0]
    with page.expect_response("**/now"):
        route.fulfill(response=answer)
    page.unroute("**/do/kill")
    page.wait_for_timeout(200)
    assert {label: page.get_by_label(label).input_value() for label in words} == words
    assert page.evaluate("document.activeElement.name") == "typed"
    page.get_by_role("button", name="Arm").click()
    page.get_by_role("button", name="Kill").wait_for()


def test_the_theme_stays_as_it_was_chosen(page: Any, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    page.get_by_role("button", name="Theme").click()
    chosen = page.evaluate("document.documentElement.dataset.theme")
    assert chosen == "dark"
    page.goto(f"{dashboard.url}/queue")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("path", ["/", "/queue", "/login"])
def test_nothing_stands_in_a_screen_readers_way_and_a_phone_scrolls_one_way(
    page: Any, dashboard: Dashboard, path: str, journal: Path
) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")  # the form of arming is there then
    try:
        look_over(page, f"{dashboard.url}{path}")
    finally:
        switch.arm("ada", "the test is over")


def test_a_dashboard_that_has_gone_is_said_to_be(visitor: Any, journal: Path) -> None:
    with Dashboard(journal) as served:
        visitor.goto(served.link())
        visitor.wait_for_timeout(300)
    visitor.get_by_text("No news arrives").wait_for()
