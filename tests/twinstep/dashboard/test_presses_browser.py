"""Buttons in a real Chromium while the page changes under them: pressed, or about to be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from live.brokers.interface import Leg, OrderRequest
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue
from twinstep.dashboard import Dashboard

ORDERS = count()


@pytest.fixture
def switch(journal: Path) -> Iterator[KillSwitch]:
    """Return the switch of the journal; it is armed before and after."""
    found = KillSwitch(switch_folder(journal), arm_fresh=False)
    yield found
    if found.state != "ACTIVE":
        found.arm("ada", "the test is over")


@pytest.fixture
def laid(switch: KillSwitch) -> Iterator[Any]:
    """Return what lays an order before a person; it is taken away again."""
    queue = ReviewQueue(switch.folder / "reviews", switch)
    numbers: list[str] = []

    def lay() -> None:
        order = OrderRequest(
            client_order_id=f"tw-{next(ORDERS)}", legs=(Leg("AAPL", 10.0),), kind="limit",
            limit_price=150.0, reason="a test",
        )  # fmt: skip
        numbers.append(queue.add(order, broker="paper", price=150.0).request_id)

    yield lay
    for number in numbers:
        queue.reject(number, "the test is over", rejected_by="ada")


def press(page: Any, button: Any) -> None:
    """Press the mouse on a button, and do not release it yet."""
    button.hover()
    page.mouse.down()


def test_news_that_come_while_kill_is_pressed_take_the_click_from_nobody(
    page: Any, dashboard: Dashboard, switch: KillSwitch, laid: Any
) -> None:
    page.goto(dashboard.url)
    press(page, page.get_by_role("button", name="Kill"))
    with page.expect_response("**/state"):  # the head says how many wait
        laid()
    page.wait_for_timeout(200)
    page.mouse.up()
    page.get_by_role("heading", name="HALTED").wait_for()
    assert switch.state == "HALTED"
    # nothing is swept away that is pressed, and all of it comes when it is not
    page.get_by_role("button", name="Kill").wait_for(state="detached")
    page.locator("[data-waiting]", has_text="1").wait_for()


def test_news_that_come_while_a_form_is_sent_by_mouse_let_it_be_sent(
    page: Any, dashboard: Dashboard, switch: KillSwitch, laid: Any
) -> None:
    switch.engage("a test", "ada")
    page.goto(dashboard.url)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Why trading may go on").fill("news are over")
    page.get_by_label("Type PAPER to confirm").fill("paper")
    press(page, page.get_by_role("button", name="Arm"))
    with page.expect_response("**/now*"):
        laid()
    page.wait_for_timeout(200)
    page.mouse.up()
    page.get_by_role("button", name="Kill").wait_for()
    assert switch.state == "ACTIVE"


def test_what_is_held_down_for_long_does_not_stop_the_news(
    page: Any, dashboard: Dashboard, switch: KillSwitch
) -> None:
    page.goto(dashboard.url)
    press(page, page.locator("main .sub").first)
    switch.engage("bad prints", "ada")
    page.get_by_role("heading", name="HALTED").wait_for()
    page.mouse.up()


@pytest.mark.parametrize(
    ("path", "where", "role"),
    [("/", "[data-live]", "button"), ("/", "[data-state]", "button"), ("/system", "[data-live]", "link")],
)
def test_who_goes_by_keyboard_stays_where_he_is_when_news_come(
    path: str, where: str, role: str, page: Any, dashboard: Dashboard, switch: KillSwitch, laid: Any
) -> None:
    if (where, role) == ("[data-live]", "button"):
        switch.engage("a test", "ada")
    page.goto(f"{dashboard.url}{path}")
    wanted = page.locator(where).get_by_role(role).last
    wanted.focus()
    words = page.evaluate("document.activeElement.textContent")
    wanted.evaluate("(one) => { one.dataset.before = ''; }")
    laid()
    page.locator("[data-before]").wait_for(state="detached")  # it was drawn anew
    assert page.evaluate("document.activeElement.textContent") == words
