"""The weekly report: three renderings of one week, and which week is meant."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from journal.counterfactual.rows import Entry
from journal.counterfactuals import CounterfactualLedger
from journal.learning_system import TradeLearningSystem
from journal.parameters import ParameterStore
from journal.trade_journal import TradeJournal
from journal.weekly_report import WeeklyReport
from simulator.errors import DataError
from simulator.results.counterfactuals import Case

NOW = datetime(2020, 3, 12, 15, tzinfo=UTC)  # a Thursday
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def journal(where: str) -> Iterator[TradeJournal]:
    with TradeJournal(where, clock=lambda: NOW) as opened:
        for days_ago, symbol, debit in ((9, "QQQ", 0.5), (3, "SPY", 0.95), (1, "SPY", 3.9), (0, NASTY, 1.0)):
            number = opened.log_trade_entry(
                symbol=symbol, strategy="short-put-spread", actual_contracts=7, entry_credit=1.90,
                iv_rank=68.5, dte=45, max_loss=2170.0, when=NOW - timedelta(days=days_ago + 12),
            )  # fmt: skip
            why = NASTY if symbol == NASTY else "50% profit rule"
            opened.log_trade_exit(
                number, exit_debit=debit, close_reason=why, when=NOW - timedelta(days=days_ago)
            )
        opened.log_trade_entry(
            symbol="NVDA", strategy="short-put", actual_contracts=2, entry_credit=3.0, iv_rank=40.0,
            expiry=date(2020, 4, 17),
        )  # fmt: skip
        yield opened


@pytest.fixture
def report(journal: TradeJournal) -> WeeklyReport:
    return TradeLearningSystem(journal, out=lambda text: None).generate_weekly_report()


def test_the_week_runs_from_monday_to_sunday_and_counts_what_closed_in_it(report: WeeklyReport) -> None:
    assert (report.monday, report.sunday) == (date(2020, 3, 9), date(2020, 3, 15))
    assert [trade.pnl for trade in report.closed] == pytest.approx([665.0, -1400.0, 630.0])
    assert (report.wins, report.losses) == (2, 1)
    assert report.total_pnl == pytest.approx(-105.0)
    assert report.interval is not None
    assert report.interval.low == pytest.approx(20.77, abs=0.01)
    assert report.weeks[-2].pnl == pytest.approx(980.0)
    assert [position.symbol for position in report.open_positions] == ["NVDA"]
    assert report.open_positions[0].days_left == 36


def test_the_text_has_its_sections(report: WeeklyReport) -> None:
    text = report.text()
    at = -1
    for part in (
        "WEEKLY REPORT: 2020-03-09 to 2020-03-15", "Trades closed this week: 3", "Total P&L: -$105.00",
        "Win rate: 67% (2 won, 1 lost; 95%: 21-94%)", "Week before: 1 trade, +$980.00",
        "BEST AND WORST:", "best   2020-03-09 SPY", "R-MULTIPLES (3 trades", "KEY INSIGHTS:",
        "MISTAKES:", "LESSONS:", "OPEN POSITIONS (1, as of 2020-03-12):", "NVDA short-put: sold 2 at 3.00",
        "REFUSED SIGNALS", "LEARNED PARAMETERS:", "PARAMETER RECOMMENDATIONS", "NEXT STEPS:",
    ):  # fmt: skip
        assert part in text
        assert text.index(part) > at
        at = text.index(part)
    assert "High IV rank" in text


def test_an_earlier_week_is_told_by_any_of_its_days_and_learns_from_nothing_later(
    journal: TradeJournal,
) -> None:
    learner = TradeLearningSystem(journal, out=lambda text: None)
    before = learner.weekly_report(date(2020, 3, 8))
    assert (before.monday, len(before.closed)) == (date(2020, 3, 2), 1)
    assert before.analysis.examination.records["all"].trades == 1
    assert learner.weekly_report(datetime(2020, 3, 2, tzinfo=UTC)).monday == date(2020, 3, 2)
    with pytest.raises(DataError, match="without a zone"):
        learner.weekly_report(datetime(2020, 3, 2))  # noqa: DTZ001 - a naive time is what is tested
    empty = learner.weekly_report(date(2019, 1, 1))
    assert empty.win_rate is None
    assert "Trades closed this week: 0" in empty.text()
    assert "No trade was closed this week" in empty.html()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_escapes_everything_and_allows_one_script(report: WeeklyReport) -> None:
    html = report.html()
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert page.tags.count("script") == 1
    digest = hashlib.sha256(html.rpartition("<script>")[2].partition("</script>")[0].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in html
    assert all(address.startswith("#") and f'id="{address[1:]}"' in html for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", html)
    assert html.lower().count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2  # a symbol is upper-case
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert "−$105.00" in html
    assert "NVDA" in html


def test_json_has_the_same_figures(report: WeeklyReport) -> None:
    packed = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert packed["monday"] == "2020-03-09"
    assert packed["total_pnl"] == pytest.approx(report.total_pnl)
    assert [one["pnl"] for one in packed["closed"]] == [one.pnl for one in report.closed]
    assert len(packed["weeks"]) == 12


def test_writing_makes_the_folder_and_says_why_it_cannot(report: WeeklyReport, tmp_path: Path) -> None:
    made = report.write(tmp_path / "new" / "week.html")
    assert made.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(DataError) as caught:
        report.write(made / "below-a-file.html")
    assert caught.value.code == "JOURNAL_EXPORT"


def case(ts: datetime, r: float, rule: str = "heat") -> Case:
    stamp = int(ts.timestamp()) * 1_000_000_000
    values: dict[str, Any] = dict.fromkeys(Case.__slots__, 0.0)
    values |= {
        "ts": stamp, "symbol": "SPY", "side": 1, "rule": rule, "outcome": "rejected", "strategy": "",
        "tag": "",
        "state": "closed", "weight": 1.0, "qty": 1.0, "entry_ts": stamp, "exit_ts": stamp + 86_400 * 10**9,
        "exit_reason": "stop", "r": r, "pnl": 100.0 * r, "why": "",
    }  # fmt: skip
    return Case(**values)


def test_refusals_count_the_week_and_weigh_all_cases_until_its_end(journal: TradeJournal) -> None:
    found = [case(NOW - timedelta(days=14 * k), 1.5 + 0.1 * (k % 2)) for k in range(12)]
    later = case(NOW + timedelta(days=9), -50.0)
    elsewhere = case(NOW - timedelta(days=30), -1.0, "sector")
    CounterfactualLedger(journal).record(
        [Entry(f"k{k}", "live", "rule", one) for k, one in enumerate([*found, later, elsewhere])]
        + [Entry("d", "live", "decision", case(NOW, -1.0, "vetoed")), Entry("p", "paper", "rule", found[0])]
    )
    report = TradeLearningSystem(journal, out=lambda text: None).weekly_report()
    rule, person = report.refusals
    assert (rule.origin, rule.name, rule.week, rule.total, rule.measured) == ("rule", "heat", 1, 12, 12)
    assert rule.saved_r == pytest.approx(-(6 * 1.5 + 6 * 1.6))
    assert rule.decided
    assert (person.origin, person.name, person.saved_r, person.decided) == ("decision", "vetoed", 1.0, False)
    text = report.text()
    assert "heat (rule): 1 this week, 12 so far; saved -18.6R (95%: " in text
    assert "vetoed (person): 1 this week, 1 so far; saved +1.0R over 1, not enough evidence" in text
    assert any("the 12 signals it refused would have made 18.6 R" in step for step in report.next_steps)
    assert "−18.6" in report.html()


def test_lessons_sets_and_next_steps_say_what_to_do(journal: TradeJournal) -> None:
    learner = TradeLearningSystem(journal, out=lambda text: None)
    assert any(
        "No lesson was written this week, and 1 trade lost" in one
        for one in learner.weekly_report().next_steps
    )
    number = learner.weekly_report().closed[1].id
    journal.add_lesson(number, "Wait\x1b[31m a\nday")
    store = ParameterStore(journal)
    store.approve(store.propose("options_scanner", {"min_iv_rank": 55.0}).id, by="Ada")
    waiting = store.propose("options_scanner", {"target_dte": 40})
    report = learner.weekly_report()
    assert [(one.trade_id, one.symbol) for one in report.lessons] == [(number, "SPY")]
    assert [(one.status, one.words) for one in report.learned] == [
        ("in_force", "min_iv_rank=55.0"), ("proposed", "target_dte=40")
    ]  # fmt: skip
    assert any(f"twinstep parameters approve {waiting.id}" in one for one in report.next_steps)
    assert not any("No lesson" in one for one in report.next_steps)
    text = report.text()
    assert "Wait?[31m a day" in text
    assert "\x1b" not in text
    assert "(in force, by Ada): min_iv_rank=55.0" in text
    # a week before, the lesson was not yet written
    assert learner.weekly_report(date(2020, 3, 2)).lessons == ()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_text_fits_a_terminal_and_loses_no_word(width: int, report: WeeklyReport) -> None:
    text = report.text(width=width)
    assert max(map(len, text.splitlines())) <= width
    whole = report.text()
    assert "".join(text.replace("=", "").split()) == "".join(whole.replace("=", "").split())


def test_best_and_worst_are_the_ends_of_the_week(report: WeeklyReport) -> None:
    assert [one.pnl for one in report.best] == pytest.approx([665.0, 630.0])
    assert [one.pnl for one in report.worst] == pytest.approx([-1400.0])
    packed = report.as_dict()
    assert packed["next_steps"] == list(report.next_steps)
    assert {"lessons", "refusals", "parameters"} <= set(packed)
