"""Performance, learning and system in a real Chromium: on a phone, in the dark, and without the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from journal import ParameterStore
from journal.database import Database
from tests.twinstep.dashboard.figures_journal import fill_journal
from tests.twinstep.dashboard.looking import look_over, without_script
from twinstep.dashboard import Dashboard

PATHS = ("/performance", "/learning", "/system")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_journal(tmp_path_factory.mktemp("figures") / "desk.db")


def test_a_set_is_approved_and_rolled_back_by_typing_its_component(
    page: Any, dashboard: Dashboard, journal: Path
) -> None:
    def in_force() -> int | None:
        with Database(journal, read_only=True) as database:
            found = ParameterStore(database).in_force("options_scanner")
        return None if found is None else found.version

    page.goto(f"{dashboard.url}/learning")
    form = page.locator("form[data-send='/do/parameters/2/approve']")
    form.get_by_label("Your name").fill("Ada")
    form.get_by_label("Type options_scanner to confirm").fill("yes")
    form.get_by_role("button", name="Approve").click()
    page.get_by_text("'yes' was typed").wait_for()
    assert in_force() == 1
    form.get_by_label("Type options_scanner to confirm").fill("options_scanner")
    form.get_by_role("button", name="Approve").press("Enter")
    page.get_by_role("heading", name="Version 2 is in force").wait_for()
    assert in_force() == 2
    form = page.locator("form[data-send='/do/parameters/roll-back']")
    form.get_by_label("Your name").fill("Ada")
    form.get_by_label("Why back to version 1").fill("losses")
    form.get_by_label("Type options_scanner to confirm").fill("options_scanner")
    form.get_by_role("button", name="Roll back").click()
    page.get_by_role("heading", name="Version 1 is in force").wait_for()
    assert in_force() == 1


def test_forms_that_go_to_the_same_place_keep_what_is_written_apart(
    page: Any, dashboard: Dashboard, journal: Path
) -> None:
    with Database(journal) as database:
        ParameterStore(database).approve(3, "Ada", reason="a set of each component is in force")
    page.goto(f"{dashboard.url}/learning")
    forms = page.locator("form[data-send='/do/parameters/roll-back']")
    reasons = [forms.nth(number).locator("[name=reason]") for number in range(forms.count())]
    assert len(reasons) == 2
    reasons[0].fill("of the first alone")
    page.get_by_role("button", name="Theme").focus()
    with Database(journal) as database:
        ParameterStore(database).propose("options_scanner", {"min_iv_rank": 71.0})
    page.get_by_text("71").first.wait_for()  # the page was drawn anew
    assert [one.input_value() for one in reasons] == ["of the first alone", ""]


def test_charts_are_drawn_in_the_width_that_there_is(page: Any, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/performance")
    for width in (1180, 390):
        page.set_viewport_size({"width": width, "height": 800})
        charts = page.locator(".plot svg")
        assert charts.count() == 3
        for number in range(3):
            box, card = charts.nth(number).bounding_box(), page.locator("section.card").first.bounding_box()
            assert 0.6 * card["width"] < box["width"] < card["width"]
            assert box["height"] > 60
    colours = page.evaluate(
        "[...document.querySelectorAll('.plot .bar')].map((one) => getComputedStyle(one).fill)"
    )
    assert len(set(colours)) == 2


def test_a_halt_that_is_made_elsewhere_appears_on_the_system_page(
    page: Any, dashboard: Dashboard, journal: Path
) -> None:
    from live.kill_switch import KillSwitch, switch_folder

    page.goto(f"{dashboard.url}/system")
    KillSwitch(switch_folder(journal), arm_fresh=False).engage("bad prints", "ada")
    page.locator("section:has(#switch) tbody tr", has_text="bad prints").wait_for()


@pytest.mark.parametrize("path", PATHS)
def test_nothing_stands_in_a_screen_readers_way_and_a_phone_scrolls_one_way(
    page: Any, dashboard: Dashboard, path: str
) -> None:
    look_over(page, f"{dashboard.url}{path}")


def test_without_the_script_a_page_is_whole(page: Any, dashboard: Dashboard) -> None:
    with without_script(page):
        for path in PATHS:
            page.goto(f"{dashboard.url}{path}")
            assert page.locator("main section.card").count() >= 3, path
            assert page.locator("main table").count() >= 3, path
