"""The page "performance" shows what the journal's own tracker says, as it says it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from journal import PerformanceTracker, TradeJournal
from journal.database import Database
from tests.journal.making import put_spread, sizing
from tests.twinstep.dashboard.conftest import Client
from tests.twinstep.dashboard.figures_journal import HOSTILE, fill_journal
from twinstep.dashboard import Dashboard
from twinstep.dashboard.charts.axes import HEIGHT, WIDTH
from twinstep.dashboard.charts.figures import curve, distribution, fall, span
from twinstep.dashboard.reading import parts
from twinstep.dashboard.reading.performance import MOST_GROUPS, read_performance
from twinstep.dashboard.reading.queue import _past
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.words import percent, signed

BREAKDOWNS = ("symbol", "sector", "strategy", "iv_rank", "dte")
DAY = 86_400_000_000_000
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_journal(tmp_path_factory.mktemp("performance") / "desk.db")


@pytest.fixture
def tracker(journal: Path) -> Iterator[PerformanceTracker]:
    with Database(journal, read_only=True) as database:
        yield PerformanceTracker(database, source="paper")


def plain(body: str) -> str:
    """Return the text of a page, with single spaces, no-break ones too."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def section(body: str, heading: str) -> str:
    (found,) = re.findall(rf'<section[^>]*aria-labelledby="{heading}".*?</section>', body, re.DOTALL)
    return str(found)


def test_the_figures_are_those_of_the_tracker(client: Client, tracker: PerformanceTracker) -> None:
    text = plain(client.ask("/performance?source=paper").body)
    all_ = tracker.metrics()
    assert all_.mean_r_interval is not None
    assert all_.win_rate_interval is not None
    for words in (
        f"Result {signed(all_.total_pnl)} of {all_.trades} trades",
        f"Mean R {signed(all_.mean_r)} {signed(all_.mean_r_interval.low)} to "
        f"{signed(all_.mean_r_interval.high)}",
        f"Win rate {percent(all_.win_rate)} {percent(all_.win_rate_interval.low)} to "
        f"{percent(all_.win_rate_interval.high)}",
        f"Profit factor {all_.profit_factor:.2f}",
        f"Largest drawdown {signed(all_.max_drawdown)}",
        f"{all_.r_count} of {all_.trades} trades have a known risk",
    ):
        assert words.replace("\N{NO-BREAK SPACE}", " ") in text


@pytest.mark.parametrize("by", BREAKDOWNS)
def test_every_group_of_a_breakdown_has_its_own_figures(
    client: Client, tracker: PerformanceTracker, by: str
) -> None:
    rows = re.findall(r"<tr>.*?</tr>", section(client.ask("/performance?source=paper").body, f"by-{by}"))
    shown = [plain(row) for row in rows[1:]]
    wanted = []
    for label, one in tracker.breakdown(by).items():
        interval, wins = one.mean_r_interval, one.win_rate_interval
        assert wins is not None
        known = (
            "interval unknown" if interval is None else f"{signed(interval.low)} to {signed(interval.high)}"
        )
        factor = "–" if one.profit_factor is None else f"{one.profit_factor:.2f}"
        wanted.append(
            f"{label} {one.trades} {signed(one.total_pnl)} {signed(one.mean_r)} {known} "
            f"{percent(one.win_rate)} {percent(wins.low)} to {percent(wins.high)} {factor}".replace(
                "\N{NO-BREAK SPACE}", " "
            )
        )
    assert shown == wanted
    assert len(shown) > 2


def test_the_curve_is_the_running_series_of_the_journal(client: Client, tracker: PerformanceTracker) -> None:
    body = client.ask("/performance?source=paper").body
    series = tracker.history()
    totals = [row["total_pnl"] for row in series]
    assert f"ends at {signed(totals[-1])}, highest {signed(max(0.0, *totals))}" in body
    assert f"{signed(min(row['max_drawdown'] for row in series))} at its deepest" in body


def test_the_curve_may_stand_over_trades_in_place_of_time(
    client: Client, tracker: PerformanceTracker
) -> None:
    many = tracker.metrics().trades
    body = client.ask("/performance?source=paper&days=36500&by=trade").body
    part = section(body, "curve")
    assert f"Result of closed trades from trade 1 to trade {many}: ends at" in part
    (path,) = re.findall(r'class="line [a-z]+" d="(?!M0 0)([^"]*)"', part)
    across = [float(one) for one in re.findall(r"H([-\d.]+)", path)]
    assert across == pytest.approx([WIDTH * one / (many - 1) for one in range(many)], abs=0.06)
    assert 'href="/performance?source=paper&amp;days=36500#curve"' in part
    # the choice goes along to other sources and periods
    assert 'href="/performance?source=live&amp;days=36500&amp;by=trade"' in body
    assert 'href="/performance?source=paper&amp;days=90&amp;by=trade"' in body
    assert "by=trade" in section(client.ask("/performance?source=paper").body, "curve")


def test_the_queue_says_the_same_of_a_symbol(journal: Path, tracker: PerformanceTracker) -> None:
    for symbol, one in tracker.breakdown("symbol").items():
        past = _past(Reader(journal), symbol, "paper")
        assert past is not None
        ends = (None, None) if one.mean_r_interval is None else one.mean_r_interval[:2]
        assert (past.mean_r, past.low, past.high) == pytest.approx((one.mean_r, *ends), rel=1e-12)
        assert past.trades == one.trades


def test_each_source_and_period_has_its_own_page(client: Client, journal: Path) -> None:
    with Database(journal, read_only=True) as database:
        live = PerformanceTracker(database, source="live").metrics()
    text = plain(client.ask("/performance?source=live").body)
    assert f"of {live.trades} trades" in text
    assert f"live {live.trades}" in text
    late = plain(client.ask("/performance?source=live&days=30").body)
    assert "No trade of source live was closed in the last 30 days." in late
    assert "No trade of source backtest has been closed yet." in plain(
        client.ask("/performance?source=backtest").body
    )


@pytest.mark.parametrize(
    "query",
    [
        "source=all",
        "source=",
        "days=0",
        "days=-1",
        "days=x",
        "days=99999999999999999999",
        "whole=pnl",
        "by=day",
    ],
)
def test_what_is_no_question_is_refused(client: Client, query: str) -> None:
    assert client.ask(f"/performance?{query}").status == 422


def test_a_name_that_is_a_script_is_text_and_many_groups_are_cut(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "j.db", source="paper") as journal:
        for number in range(MOST_GROUPS + 3):
            spread = put_spread(strategy=f"{HOSTILE} {number:02d}")
            trade = journal.log_trade_entry(journal.log_recommendation(spread, sizing(1)), 1, 1.85)
            journal.log_trade_exit(trade, 0.9, "target")
    with Dashboard(tmp_path / "j.db") as served:
        client = Client(served).log_in()
        body = client.ask("/performance").body
        assert "<script>alert" not in body
        part = section(body, "by-strategy")
        assert part.count("&lt;script&gt;alert(1)") == MOST_GROUPS
        assert "3 more" in plain(part)
        whole = section(client.ask("/performance?source=paper&whole=strategy").body, "by-strategy")
        assert whole.count("&lt;script&gt;alert(1)") == MOST_GROUPS + 3


def test_a_journal_that_is_not_there_or_damaged_is_said_to_be(tmp_path: Path) -> None:
    with Dashboard(tmp_path / "none.db") as served:
        answer = Client(served).log_in().ask("/performance")
        assert answer.status == 200
        assert "The journal none.db cannot be read: it is not there yet" in plain(answer.body)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "bad.db").write_bytes(b"no journal" * 1000)
    with Dashboard(tmp_path / "bad.db") as served:
        answer = Client(served).log_in().ask("/performance")
        assert answer.status == 200
        assert "The journal bad.db cannot be read: " in plain(answer.body)


def test_looking_opens_the_journal_read_only(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    opened: list[str] = []
    real = sqlite3.connect

    def noting(*given_: Any, **others: Any) -> Any:
        opened.append(str(given_[0]))
        return real(*given_, **others)

    monkeypatch.setattr(sqlite3, "connect", noting)
    found = read_performance(Reader(journal), real=False, source="paper")
    assert found.problems == ()
    assert len(opened) >= 2
    assert all("mode=ro" in one for one in opened)


finite = st.floats(-1e9, 1e9).map(lambda one: round(one, 4))


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 2000), elements=finite), gap=st.integers(0, 5))
def test_curves_stay_inside_and_keep_their_ends(values: Floats, gap: int) -> None:
    ts = 1_700_000_000_000_000_000 + np.arange(len(values), dtype=np.int64) * gap * DAY
    for chart in (curve(ts, values, "Result"), fall(ts, values, "Drawdown")):
        (path,) = re.findall(r'class="line [a-z]+" d="([^"]*)"', chart.drawing)
        across = [float(one) for one in re.findall(r"H([-\d.]+)", path)]
        down = [float(one) for one in re.findall(r"V([-\d.]+)", path)]
        assert across == sorted(across)
        assert across[-1] == WIDTH
        assert min(down) >= -0.1
        assert max(down) <= HEIGHT + 0.1
        assert len(chart.up) == chart.drawing.count('class="grid"')
        assert len(path) < 40_000
    assert f"lowest {signed(min(0.0, float(values.min())))}" in curve(ts, values, "Result").drawing


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 300), elements=st.floats(-50, 50)))
def test_every_trade_is_in_one_bar(values: Floats) -> None:
    chart = distribution(values, float(values.mean()), None)
    counts = [int(one) for one in re.findall(r"R: (\d+) trade", chart.drawing)]
    assert sum(counts) == len(values)
    losing = re.findall(r'class="bar down"[^>]*><title>[^<]*R: (\d+) trade', chart.drawing)
    assert sum(map(int, losing)) == int((values < 0).sum())


def test_an_interval_that_leaves_out_zero_is_coloured() -> None:
    ends = (-1.0, 2.0)
    assert "way up" in span(1.0, 0.5, 1.5, ends)
    assert "way down" in span(-0.5, -0.9, -0.1, ends)
    assert "way open" in span(0.2, -0.5, 1.5, ends)
    assert "way" not in span(0.2, None, None, ends)
    assert "circle" not in span(None, None, None, (0.0, 0.0))


def test_a_look_that_takes_too_long_ends_in_a_sentence(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    found = read_performance(Reader(journal), real=False, source="paper")
    assert found.report is None
    assert [one.partition(": ")[0] for one in found.problems] == ["The journal desk.db cannot be read"]
    assert found.counts["paper"] > 0
