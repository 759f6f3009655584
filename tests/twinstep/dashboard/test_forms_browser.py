"""Forms in a real Chromium while the page changes under them: half written, or on their way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from live.kill_switch import KillSwitch, switch_folder
from twinstep.dashboard import Dashboard


def halt_anew(switch: KillSwitch, reason: str) -> None:
    """A halt that is there already stays as it is."""
    switch.arm("ada", "to halt once more")
    switch.engage(reason, "ada")


def test_a_form_on_its_way_is_not_drawn_anew(page: Any, dashboard: Dashboard, journal: Path) -> None:
    """It would come back as one that was never sent, and be sent twice."""
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")
    held: list[Any] = []
    page.route("**/do/arm", lambda route: held.append(route))  # a built-in method is not taken
    page.goto(dashboard.url)
    words = {"Your name": "Ada", "Why trading may go on": "news are over", "Type PAPER to confirm": "paper"}
    for label, text in words.items():
        page.get_by_label(label).fill(text)
    button = page.get_by_role("button", name="Arm")
    button.click()
    with page.expect_response("**/state"):  # the page has looked, and the head alone was drawn anew
        halt_anew(switch, "again")
    page.wait_for_timeout(200)
    assert button.is_disabled()
    assert {label: page.get_by_label(label).input_value() for label in words} == words
    held[0].continue_()
    page.get_by_role("button", name="Kill").wait_for()
    page.unroute("**/do/arm")
    assert switch.state == "ACTIVE"


def test_what_is_half_written_stays_while_the_rest_of_the_page_goes_on(
    page: Any, dashboard: Dashboard, journal: Path
) -> None:
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    switch.engage("a test", "ada")
    try:
        page.goto(dashboard.url)
        page.get_by_label("Why trading may go on").fill("the news")
        page.get_by_role("button", name="Theme").focus()
        halt_anew(switch, "another reason")
        page.get_by_text("another reason").first.wait_for()
        assert page.get_by_label("Why trading may go on").input_value() == "the news"
    finally:
        switch.arm("ada", "the test is over")
