"""The journal's pages in a real Chromium: search, leaf to a trade, write down, on a phone, by keyboard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journal.trade_journal import TradeJournal
from tests.twinstep.dashboard.looking import look_over, without_script
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
    page.goto(dashboard.url)
    page.get_by_role("link", name="Journal").click()
    page.get_by_role("link", name="2026-01-20: ").click()
    page.get_by_role("link", name=str(noted), exact=True).click()
    page.wait_for_url(f"**/trades/{noted}")
    assert page.title() == f"Trade {noted} · Twinstep"
    page.get_by_label("What it taught").fill("keep to <b>the plan</b>")
    page.get_by_role("button", name="Add lesson").click()
    page.get_by_role("listitem").filter(has_text="keep to <b>the plan</b>").wait_for()
    assert page.get_by_label("What it taught").input_value() == ""
    # what is half written in other forms is there when one has been sent
    page.get_by_label("Note", exact=True).fill("half a thought")
    page.get_by_role("combobox", name="Mistake").select_option("oversized")
    page.get_by_label("Tag", exact=True).fill("reviewed")
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("link", name="reviewed").wait_for()
    assert page.get_by_label("Note", exact=True).input_value() == "half a thought"
    assert page.get_by_role("combobox", name="Mistake").input_value() == "oversized"
    assert page.get_by_label("Tag", exact=True).input_value() == ""
    page.get_by_role("link", name="reviewed").click()
    page.wait_for_url("**tag=reviewed*")
    assert page.locator("tbody th a").all_inner_texts() == [str(noted)]
    with TradeJournal(journal, read_only=True) as opened:
        assert "reviewed" in opened.tags(noted)


def test_a_search_is_kept_in_its_form(page: Any, dashboard: Dashboard, noted: int) -> None:
    page.goto(f"{dashboard.url}/journal")
    page.get_by_label("Symbol").fill("spy")
    page.get_by_label("Outcome").select_option("win")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/journal?**")
    assert page.locator("tbody th a").all_inner_texts() == [str(noted)]
    assert (page.get_by_label("Symbol").input_value(), page.get_by_label("Outcome").input_value()) == (
        "SPY",
        "win",
    )
    page.get_by_role("link", name="Everything").click()
    page.wait_for_url(lambda address: "symbol" not in address)
    assert page.get_by_label("Symbol").input_value() == ""


def test_a_search_needs_no_script(page: Any, dashboard: Dashboard, noted: int) -> None:
    with without_script(page):
        page.goto(f"{dashboard.url}/journal")
        page.get_by_label("Symbol").fill("SPY")
        page.get_by_label("Symbol").press("Enter")
        page.wait_for_url("**/journal?**")
        page.get_by_role("link", name=str(noted), exact=True).click()
        page.wait_for_url(f"**/trades/{noted}")
        assert page.locator("svg.chart:visible").count() == 1


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


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/journal", "html"),
        ("/journal?q=nothing", "section:has(#trades)"),  # the rest of it is the same
        ("/trades/{noted}", "html"),
        ("/trades/1", "html"),
    ],
)
def test_nothing_stands_in_a_screen_readers_way_and_a_phone_scrolls_one_way(
    page: Any, dashboard: Dashboard, noted: int, path: str, part: str
) -> None:
    look_over(page, f"{dashboard.url}{path.format(noted=noted)}", part=part)
