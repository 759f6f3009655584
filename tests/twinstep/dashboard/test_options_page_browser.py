"""The page "options" in a real Chromium: on a phone, in the dark, by itself, and without the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal
from simulator.opportunity import OptionLeg
from tests.twinstep.dashboard.looking import look_over, without_script
from tests.twinstep.dashboard.options_journal import EXPIRY, NOW, fill_options
from twinstep.dashboard import Dashboard


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_options(tmp_path_factory.mktemp("options") / "desk.db")


@pytest.fixture(autouse=True)
def then(dashboard: Dashboard) -> None:
    dashboard.reader._clock = lambda: NOW


def test_nothing_stands_in_a_screen_readers_way_and_a_phone_scrolls_one_way(
    page: Any, dashboard: Dashboard
) -> None:
    look_over(page, f"{dashboard.url}/options")


def test_labels_of_a_payoff_lie_within_it_and_not_over_one_another(page: Any, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/options")
    boxes = page.evaluate(
        """[...document.querySelectorAll('svg.payoff')].map((one) => [one.getBoundingClientRect().toJSON(),
        [...one.querySelectorAll('text.middle')].map((text) => text.getBoundingClientRect().toJSON())])"""
    )
    assert len(boxes) == 5
    for whole, labels in boxes:
        for at, one in enumerate(labels):
            assert whole["left"] <= one["left"]
            assert one["right"] <= whole["right"]
            assert whole["top"] <= one["top"]
            assert one["bottom"] <= whole["bottom"]
            for other in labels[at + 1 :]:
                wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
                tall = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
                assert wide <= 0 or tall <= 4  # the room between two lines of text


def test_a_trade_that_is_logged_elsewhere_appears(page: Any, dashboard: Dashboard, journal: Path) -> None:
    page.goto(f"{dashboard.url}/options")
    with TradeJournal(journal, source="live", clock=lambda: NOW) as writer:
        writer.log_trade_entry(
            symbol="GLD", strategy="short-put", actual_contracts=1, entry_credit=2.0,
            legs=[OptionLeg(-1, "put", 250.0, EXPIRY)],
        )  # fmt: skip
    page.get_by_role("heading", name="Journal, live 1 open").wait_for()
    page.get_by_role("link", name="GLD").click()
    page.locator("h3", has_text="GLD short-put").wait_for()


def test_without_the_script_the_page_is_whole(page: Any, dashboard: Dashboard) -> None:
    with without_script(page):
        page.goto(f"{dashboard.url}/options")
        assert page.locator("svg.payoff").count() >= 5
        assert page.locator("svg.ranks").count() == 1
        assert page.locator("main table").count() >= 8
