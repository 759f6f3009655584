"""Reports in a browser and on paper: of a run, of a search, of a week; nothing comes from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from journal.learning_system import TradeLearningSystem
from journal.trade_journal import TradeJournal
from journal.weekly_report import WeeklyReport
from simulator import Bars, RiskLimits, Signals, backtest, load_bars
from simulator.results import Result

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"
NOW = datetime(2026, 3, 12, 15, tzinfo=UTC)
A4, LETTER = (595, 842), (612, 792)


@pytest.fixture(scope="module")
def chromium() -> str:
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium; .ci/run installs it")
        pytest.skip("no Chromium here")
    return BROWSER


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def often(bars: Bars) -> Signals:
    rows, symbols = np.meshgrid(np.arange(20, len(bars) - 1, 9), np.arange(len(bars.symbols)), indexing="ij")
    return Signals.from_arrays(
        bars, rows.ravel(), symbols.ravel(), 1, stop_percent=4.0, target_r=2.5, max_bars=6, tag=HOSTILE,
        strategy=HOSTILE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Result:
    result = backtest(
        load_bars("synthetic:3x700?seed=3&sectors=2"),
        often,
        risk=RiskLimits(max_sector_exposure_pct=90.0, max_correlation=1.0),
    )
    assert len(result.trades) > 110
    result.interval()
    return result


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> WeeklyReport:
    where = tmp_path_factory.mktemp("week") / "journal.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        for k in range(40):
            number = journal.log_trade_entry(
                symbol=("SPY", "QQQ", "IWM")[k % 3], strategy=HOSTILE, actual_contracts=1 + k % 4,
                entry_credit=1.9, iv_rank=20.0 + k, dte=45, max_loss=310.0,
                when=NOW - timedelta(days=k % 4 + 12),
            )  # fmt: skip
            journal.log_trade_exit(
                number,
                exit_debit=0.95 if k % 3 else 3.4,
                close_reason=HOSTILE,
                when=NOW - timedelta(days=k % 4),
            )
        journal.add_lesson(1, HOSTILE)
        journal.log_trade_entry(
            symbol="NVDA", strategy="short-put", actual_contracts=2, entry_credit=3.0,
            expiry=date(2026, 3, 16),
        )  # fmt: skip
        return TradeLearningSystem(journal, out=lambda _: None).weekly_report()


@pytest.fixture(scope="module")
def files(run: Result, week: WeeklyReport, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from optimize import tune_strategy
    from optimize.report import write_report
    from strategies import strategy_class

    folder = tmp_path_factory.mktemp("pages")
    study = tune_strategy(
        load_bars("synthetic:2x300?seed=1"), strategy_class("gap-fade")(), trials=4, sampler="qmc",
        progress=False,
    )  # fmt: skip
    return {
        "run": run.report(folder / "run.html", title=HOSTILE),
        "week": week.write(folder / "week.html"),
        "study": write_report(study, folder / "study.html", title=HOSTILE),
    }


# In a browser


@dataclass
class Opened:
    page: Any
    asked: list[str]
    complaints: list[str]


def open_file(browser: Any, path: Path, **settings: Any) -> Opened:
    """Open a file in a browser that lets nothing else through."""
    context = browser.new_context(**settings)
    page = context.new_page()
    found = Opened(page, [], [])
    page.on("request", lambda one: found.asked.append(one.url))
    page.on("console", lambda one: found.complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: found.complaints.append(str(one)))

    def close(dialog: Any) -> None:
        # what a hostile name would open
        found.complaints.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", close)
    context.route("**", lambda one: one.continue_() if one.request.url == path.as_uri() else one.abort())
    page.goto(path.as_uri())
    return found


@pytest.mark.parametrize("kind", ["run", "week", "study"])
def test_a_page_asks_for_nothing_runs_nothing_foreign_and_fits_a_phone(
    kind: str, browser: Any, files: dict[str, Path]
) -> None:
    opened = open_file(browser, files[kind], viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = opened.page
    assert page.locator("img, iframe, link, object").count() == 0
    assert HOSTILE in page.inner_text("main") or HOSTILE in page.inner_text("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(13, 17, 23)"
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(243, 245, 247)"
    assert [url for url in opened.asked if not url.startswith("data:")] == [files[kind].as_uri()]
    assert opened.complaints == []
    page.context.close()


@pytest.mark.parametrize(
    "kind",
    [pytest.param("run", marks=pytest.mark.slow), "week", pytest.param("study", marks=pytest.mark.slow)],
)
def test_a_page_has_no_serious_fault_of_accessibility(
    kind: str, browser: Any, files: dict[str, Path]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    opened = open_file(browser, files[kind], bypass_csp=True, color_scheme="dark")
    for scheme in ("dark", "light"):
        opened.page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(opened.page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    opened.page.context.close()


@pytest.mark.parametrize("kind", ["run", "week", "study"])
def test_on_paper_nothing_is_cut_off_and_colours_are_light(
    kind: str, browser: Any, files: dict[str, Path]
) -> None:
    opened = open_file(browser, files[kind], viewport={"width": 1100, "height": 1000}, color_scheme="dark")
    page = opened.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    wide = (
        "w => [...document.querySelectorAll('table, svg, section, dl')]"
        ".filter(e => e.getBoundingClientRect().right > w + 1).map(e => e.id || e.outerHTML.slice(0, 80))"
    )
    for width in (703, 725):  # between the margins of A4, of Letter
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate(wide, width) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(21, 27, 35)"
    for hidden in ("#theme", "nav.sections", ".tools"):
        assert page.locator(f"{hidden}:visible").count() == 0
    assert page.locator("[role=tabpanel]:visible").count() == page.locator("[role=tabpanel]").count()
    # a long table beside a short one would leave half of the next page empty
    beside = "[...document.querySelectorAll('.pair.flat')].map(e => e.children[1].offsetTop - e.offsetTop)"
    assert all(down > 100 for down in page.evaluate(beside))
    page.context.close()


# On paper


@dataclass
class Printed:
    pages: list[str]
    sizes: set[tuple[int, int]]
    lines: list[int]
    title: str


def read(path: Path) -> Printed:
    """Return text, size and count of line segments of each page."""
    from pypdf import PdfReader

    reader = PdfReader(path)
    texts = [" ".join(page.extract_text().split()) for page in reader.pages]
    sizes = {(round(page.mediabox.width), round(page.mediabox.height)) for page in reader.pages}
    lines = []
    for page in reader.pages:
        contents = page.get_contents()
        data = b"" if contents is None else contents.get_data()
        lines.append(len(re.findall(rb"[\d.]+ [\d.-]+ l\s", data)))
    return Printed(texts, sizes, lines, "" if reader.metadata is None else str(reader.metadata.title))


@pytest.mark.usefixtures("chromium")
def test_the_pdf_of_a_run_has_every_part_drawn_charts_and_page_numbers(run: Result, tmp_path: Path) -> None:
    printed = read(run.report(tmp_path / "deep" / "run.pdf", title="Plain <b>run</b>"))
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["run.pdf"]
    assert 4 <= len(printed.pages) <= 12
    assert printed.sizes == {A4}
    assert printed.title.startswith("Plain <b>run</b>")
    for number, text in enumerate(printed.pages, 1):
        assert f"{number} of {len(printed.pages)}" in text
    text = " ".join(printed.pages)
    for needed in (
        "Plain <b>run</b>", "SYNTHETIC DATA", "Synthetic prices.", "Equity and drawdown", "Monthly returns",
        "Trades on price", "R-multiples", "Convention interval", "Provenance", run.fingerprint,
        f"100 of {len(run.trades)} trades, by exited, descending", HOSTILE,
    ):  # fmt: skip
        assert "".join(needed.split()) in "".join(text.split()), needed
    # every table of the breakdown, not only the chosen tab
    for word in ("YEAR", "SYMBOL", "SECTOR", "EXIT REASON"):
        assert word in text.upper()
    # the head of the trades stands on each of their pages
    trades = [page for page in printed.pages if len(re.findall(r"20\d\d-\d\d-\d\d", page)) > 20]
    assert len(trades) > 1
    assert all("Quantity" in page for page in trades)
    assert "Drag to zoom" not in text
    # the curve of equity, a point for each of 700 bars, and the years below it, are the script's
    assert printed.lines[0] > 700
    assert "2023" in printed.pages[0]


@pytest.mark.usefixtures("chromium")
def test_the_pdf_of_a_week_on_letter(week: WeeklyReport, tmp_path: Path) -> None:
    printed = read(week.write(tmp_path / "week.pdf", paper="letter"))
    assert printed.sizes == {LETTER}
    assert f"{len(printed.pages)} of {len(printed.pages)}" in printed.pages[-1]
    text = " ".join(printed.pages)
    for needed in (
        "Week of 2026-03-09", "PAPER", "Best and worst", "R-multiples", "Lessons", "Learned parameters",
        "Next steps", "expires in 4 days", f"{week.total_pnl:,.2f}".lstrip("-"),
    ):  # fmt: skip
        assert needed in text, needed
