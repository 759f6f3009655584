"""Backtests in a real Chromium: two are compared, a report is opened and can reach nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.twinstep.dashboard.looking import look_over, without_script
from tests.twinstep.dashboard.runs_folder import HOSTILE, fill_runs
from twinstep.dashboard import Dashboard

HOSTILE_ID = "e" * 16


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    where = tmp_path_factory.mktemp("runs") / "desk.db"
    return where, [run.id for run in fill_runs(where)]


@pytest.fixture(scope="module")
def journal(filled: tuple[Path, list[str]]) -> Path:
    return filled[0]


@pytest.fixture
def ids(filled: tuple[Path, list[str]]) -> list[str]:
    """Return the runs as they were kept: fast 5, fast 10, the hostile one."""
    return filled[1]


def test_two_runs_are_chosen_by_keyboard_and_compared(
    page: Any, dashboard: Dashboard, ids: list[str]
) -> None:
    page.goto(dashboard.url)
    page.get_by_role("link", name="Backtests").click()
    page.get_by_role("heading", name="Backtests").wait_for()
    page.get_by_role("link", name="Return").click()
    page.locator("th[aria-sort=descending]", has_text="Return").wait_for()
    page.get_by_role("link", name="Kept").click()
    page.locator("th[aria-sort=descending]", has_text="Kept").wait_for()
    chosen = page.locator("input[name=a]:checked")
    assert chosen.get_attribute("value") == ids[1]
    chosen.focus()
    chosen.press("ArrowDown")  # to the next run of the list
    assert page.locator("input[name=a]:checked").get_attribute("value") == ids[0]
    page.get_by_label("Compare as B: sma-cross", exact=False).first.check()
    page.get_by_role("button", name="Compare A and B").press("Enter")
    page.get_by_role("heading", name="Settings that differ").wait_for()
    address, _, query = page.url.partition("?")
    assert (address, parse_qs(query)) == (f"{dashboard.url}/runs/compare", {"a": [ids[0]], "b": [ids[1]]})
    row = page.locator(".differ tbody tr", has_text="fast")
    assert row.locator("td").all_inner_texts() == ["5", "10"]
    drawn = page.get_by_role("img", name="Total return in percent")
    assert drawn.locator("path").count() == 2
    strokes = page.evaluate(
        "[...document.querySelectorAll('.plot path.line')].map((one) => getComputedStyle(one).stroke)"
    )
    assert len(set(strokes)) == 2
    page.get_by_role("link", name="Swap A and B").click()
    page.wait_for_url(f"{dashboard.url}/runs/compare?a={ids[1]}&b={ids[0]}")


def test_a_report_opens_in_its_own_tab_and_draws_itself(
    page: Any, dashboard: Dashboard, ids: list[str]
) -> None:
    page.goto(f"{dashboard.url}/runs/{ids[1]}")
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Open the report").click()
    report = opening.value
    report.wait_for_load_state()
    complaints: list[str] = []
    report.on("pageerror", lambda one: complaints.append(str(one)))
    report.locator("#theme").click()  # hidden unless its script runs
    assert report.evaluate("document.documentElement.dataset.theme") == "dark"
    assert report.evaluate("window.opener") is None
    assert complaints == []
    report.close()


def test_a_report_has_nobodys_origin_no_cookie_and_no_way_out(visitor: Any, dashboard: Dashboard) -> None:
    assert any(one["name"] == dashboard.cookie() for one in visitor.context.cookies())
    # a script that got in, as the tools of the browser let one in past the policy
    visitor.goto(f"{dashboard.url}/runs/{HOSTILE_ID}/report")
    assert visitor.evaluate("origin") == "null"
    for reach in (
        "document.cookie",
        "localStorage.length",
        "sessionStorage.length",
        "indexedDB.open('x').name",
    ):
        with pytest.raises(Exception, match=r"SecurityError|sandboxed|denied|insecure"):
            visitor.evaluate(reach)
    asked: list[str] = []
    visitor.on("request", lambda one: asked.append(one.url))
    for attempt in (
        f"fetch('{dashboard.url}/state').then(() => 'read')",
        f"fetch('{dashboard.url}/do/kill', {{method: 'POST', body: '{{}}'}}).then(() => 'done')",
        "fetch('http://localhost:9/').then(() => 'out')",
    ):
        with pytest.raises(Exception, match="Failed to fetch"):
            visitor.evaluate(attempt)
    assert asked == []
    # a window of the dashboard cannot be opened from it either
    assert visitor.evaluate(f"window.open('{dashboard.url}/') === null")


def test_a_script_in_a_report_does_not_run(visitor: Any, dashboard: Dashboard) -> None:
    refused: list[str] = []
    visitor.on("console", lambda one: refused.append(one.text))
    visitor.goto(f"{dashboard.url}/runs/{HOSTILE_ID}/report")
    assert HOSTILE in visitor.content() or "taken" in visitor.content()
    assert visitor.title() != "taken"
    assert sum("Content Security Policy" in one for one in refused) >= 2
    # the report's own script has run all the same
    assert visitor.locator("#theme").is_visible()


def test_a_script_in_a_name_does_not_run_on_our_pages(
    page: Any, dashboard: Dashboard, ids: list[str]
) -> None:
    for path in ("/runs", f"/runs/{HOSTILE_ID}", f"/runs/compare?a={HOSTILE_ID}&b={ids[0]}"):
        page.goto(f"{dashboard.url}{path}")
        assert "taken" not in page.title().replace(HOSTILE, "")
        assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("which", ["list", "one", "pair"])
def test_nothing_stands_in_a_screen_readers_way_and_a_phone_scrolls_one_way(
    page: Any, dashboard: Dashboard, ids: list[str], which: str
) -> None:
    path = {"list": "/runs", "one": f"/runs/{ids[1]}", "pair": f"/runs/compare?a={ids[0]}&b={ids[1]}"}[which]
    look_over(page, f"{dashboard.url}{path}")


def test_without_the_script_runs_are_compared_all_the_same(page: Any, dashboard: Dashboard) -> None:
    with without_script(page):
        page.goto(f"{dashboard.url}/runs")
        page.get_by_role("button", name="Compare A and B").click()
        page.wait_for_url("**/runs/compare?**")
        assert page.locator("main section.card").count() >= 5
