"""The journal's pages in a real Chromium: search, leaf to a trade, write down, on a phone, by keyboard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journal.trade_journal import TradeJournal
from tests.twinstep.dashboard.conftest import SERIOUS
from twinstep.dashboard import Dashboard

LONG = "supercalifragilistic" * 12


@pytest.fixture(scope="module")
def noted(journal: Path) -> int:
    """Return a trade of which everything is known, and that is hard to lay out."""
    with TradeJournal(journal, source="paper") as opened:
        number = opened.log_trade_entry(
            symbol="SPY", strategy="put-spread", actual_contracts=2, entry_credit=1.9, notes=LONG,
            tags=[LONG[:70]],
            legs=[{"side": -1, "kind": "put", "strike": 95.0, "expiry": "2026-03-20"},
                  {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2026-03-20"}],
            when=datetime(2026, 1, 5, 15, tzinfo=UTC),
        )  # fmt: skip
        opened.log_trade_exit(
            number, 0.95, LONG, when=datetime(2026, 1, 20, 16, tzinfo=UTC), mae=-10.0, mfe=20.0
        )
        opened.add_lesson(number, LONG)
        opened.add_mistake(number, "late_entry", LONG)
    return number


def test_from_the_calendar_to_a_trade_and_a_lesson_written_down(
    page: Any, dashboard: Dashboard, noted: int, journal: Path
) -> None:
    page.get_by_role("link", name="Journal").click()
    page.get_by_role("link", name="2026-01-20: ").click()
    page.get_by_role("link", name=str(noted), exact=True).click()
    assert page.title() == f"Trade {noted} · Twinstep"
    page.get_by_label("What it taught").fill("keep to <b>the plan</b>")
    page.get_by_role("button", name="Add lesson").click()
    page.get_by_role("listitem").filter(has_text="keep to <b>the plan</b>").wait_for()
    assert page.get_by_label("What it taught").input_value() == ""
    page.get_by_label("Tag", exact=True).fill("reviewed")
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("link", name="reviewed").click()
    assert page.locator("tbody th a").all_inner_texts() == [str(noted)]
    with TradeJournal(journal, read_only=True) as opened:
        assert "reviewed" in opened.tags(noted)


def test_a_search_is_kept_in_its_form(page: Any, dashboard: Dashboard, noted: int) -> None:
    page.goto(f"{dashboard.url}/journal")
    page.get_by_label("Symbol").fill("spy")
    page.get_by_label("Outcome").select_option("win")
    page.get_by_role("button", name="Search").click()
    assert page.locator("tbody th a").all_inner_texts() == [str(noted)]
    assert (page.get_by_label("Symbol").input_value(), page.get_by_label("Outcome").input_value()) == (
        "SPY",
        "win",
    )
    page.get_by_role("link", name="Everything").click()
    assert page.get_by_label("Symbol").input_value() == ""


def test_a_search_needs_no_script(browser: Any, dashboard: Dashboard, noted: int) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(dashboard.link())
    opened.goto(f"{dashboard.url}/journal")
    opened.get_by_label("Symbol").fill("SPY")
    opened.get_by_label("Symbol").press("Enter")
    opened.get_by_role("link", name=str(noted), exact=True).click()
    assert opened.locator("svg.chart").is_visible()
    context.close()


def test_the_days_can_be_skipped_and_reached_by_keyboard(page: Any, dashboard: Dashboard, noted: int) -> None:
    page.goto(f"{dashboard.url}/journal")
    skip = page.get_by_role("link", name="Skip the days")
    skip.focus()
    assert skip.bounding_box()["x"] > 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("day ")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=*")
    assert page.locator("tbody th a").count() > 0


def test_colours_of_days_are_seven_and_differ(page: Any, dashboard: Dashboard, noted: int) -> None:
    page.goto(f"{dashboard.url}/journal")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        steps = (
            "[...document.querySelectorAll('.legend .day')].map(one => getComputedStyle(one).backgroundColor)"
        )
        assert len(set(page.evaluate(steps))) == 7


@pytest.mark.parametrize("path", ["/journal", "/journal?q=nothing", "/trades/{noted}", "/trades/1"])
def test_a_phone_scrolls_one_way_only(page: Any, dashboard: Dashboard, noted: int, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{dashboard.url}{path.format(noted=noted)}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", ["/journal", "/journal?q=nothing", "/trades/{noted}", "/trades/1"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_a_screen_readers_way(
    page: Any, dashboard: Dashboard, noted: int, path: str, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=theme)
    page.goto(f"{dashboard.url}{path.format(noted=noted)}", wait_until="load")
    found = Axe().run(page)
    bad = [one for one in found.response["violations"] if one["impact"] in SERIOUS]
    assert bad == [], found.generate_report()
