"""The page "options": positions and the last scan, what is missing said, what others wrote escaped."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from journal import TradeJournal
from journal.database import Database
from optimize.tuning.refused import log_refused
from simulator.opportunity import OptionLeg
from strategies import OptionsScanner
from strategies.scanner_search import SCORE_WEIGHTS
from tests.twinstep.dashboard.conftest import Client
from tests.twinstep.dashboard.options_journal import (
    EXPIRY,
    HOSTILE,
    NOW,
    fill_options,
    log_scan,
    opportunity,
    size,
)
from twinstep.dashboard import Dashboard
from twinstep.dashboard.charts.options import payoff_chart, rank_chart
from twinstep.dashboard.reading.options.open_positions import read_positions
from twinstep.dashboard.reading.options.scan import read_scan
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.words import money, signed


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_options(tmp_path_factory.mktemp("options") / "desk.db")


@pytest.fixture
def filled_client(filled: Path) -> Iterator[Client]:
    with Dashboard(filled) as served:
        served.reader._clock = lambda: NOW
        yield Client(served).log_in()


def plain(body: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_positions_are_shown_with_their_figures(filled_client: Client, filled: Path) -> None:
    answer = filled_client.ask("/options")
    assert answer.status == 200
    text = plain(answer.body)
    found = read_positions(Reader(filled), NOW)
    for one in found.positions:
        assert f"{one.symbol} {one.strategy}" in text
        assert (answer.body.count(f'id="{one.key}"')) == 1
    condor = next(one for one in found.positions if one.strategy == "iron-condor")
    assert f"Result {signed(condor.result)}" in text
    assert f"Entry credit {money(condor.credit)}" in text
    assert f"Most it can lose {money(condor.max_loss)}" in text
    assert f"Mark {money(condor.mark)} by the model, 2 days old" in text
    assert f"Target {signed(condor.target)} Stop {signed(condor.stop)}" in text
    assert "today, by the model: the surface of a modelled market" in text
    assert "2 of 3 unknown, and so is the sum" in text
    assert plain(filled_client.ask("/options/live").body) in text


def test_what_others_wrote_is_text(filled_client: Client) -> None:
    body = filled_client.ask("/options").body
    assert HOSTILE not in body
    assert "&lt;img src=x onerror=alert(1)&gt;" in body
    assert " style=" not in body
    assert "<script>" not in body


def test_the_last_scan_says_what_it_found_and_why_the_rest_was_refused(
    filled_client: Client, filled: Path
) -> None:
    text = plain(filled_client.ask("/options").body)
    assert "Last scan 2026-03-09 13:20:00 UTC, 40 minutes old, logged as paper" in text
    assert (
        "SPY rec 2 iron-condor −570P +560P −630C +640C quoted 39 61 +3.10 74 % 0.45 66 1 recommended" in text
    )
    # what no contract of fits is no recommendation, and has a table of its own
    head, _, rest = text.partition("Found; none fits this account")
    assert "recommended" in head.partition("Last scan")[2]
    assert "0 fit: risk per trade" in rest.partition("Refused")[0]
    assert "unknown +2.40 74 % 0.32 51 70 days to expiry are out of bounds" in text
    assert "43 +2.40 74 % 0.32 49 IV rank 43.2 is below the least" in text
    # what the score is made of, as the scanner has it
    said = text.partition("The score, 0 to 100, weighs ")[2].partition(".")[0]
    weights = [float(one) for one in re.findall(r"\((\d+)\)", said)]
    assert weights == [SCORE_WEIGHTS[name] for name in ("iv_rank", "probability", "return", "dte")]
    assert "Stale" not in text
    scan = read_scan(Reader(filled), NOW)
    # the first recommendation was logged six days before the scan
    assert ([one.number for one in scan.recommended], [one.number for one in scan.unfit]) == ([2], [3])
    assert [one.number for one in scan.refused] == [5, 4]


def test_without_anything_the_page_says_what_to_run(tmp_path: Path) -> None:
    where = tmp_path / "new.db"
    Database(where).close()
    with Dashboard(where) as served:
        answer = Client(served).log_in().ask("/options")
    text = plain(answer.body)
    assert answer.status == 200
    assert "twinstep scan --journal new.db looks for some" in text
    assert "twinstep scan --journal new.db --log-refused scans and logs" in text
    assert 'role="alert"' not in answer.body


def test_without_a_journal_the_page_says_so(tmp_path: Path) -> None:
    with Dashboard(tmp_path / "none.db") as served:
        answer = Client(served).log_in().ask("/options")
    assert answer.status == 200
    assert "The session cannot be read: " in plain(answer.body)
    assert not (tmp_path / "none.db").exists()


def test_a_state_that_is_damaged_leaves_the_journals_trades(tmp_path: Path, filled: Path) -> None:
    where = tmp_path / "desk.db"
    with closing(sqlite3.connect(filled)) as source, closing(sqlite3.connect(where)) as copy:
        source.backup(copy)
        with copy:
            copy.execute("UPDATE snapshots SET state = x'00'")
    found = read_positions(Reader(where), NOW)
    assert [book.name for book in found.books] == ["journal, paper"]
    assert found.problems[0].startswith("The session cannot be read: ")


def test_a_session_that_is_not_there_is_said(filled: Path) -> None:
    found = read_positions(Reader(filled, session="desk"), NOW)
    assert "it has no session 'desk'" in found.problems[0]
    assert [book.name for book in found.books] == ["journal, paper"]


# Charts


def test_a_chart_says_in_words_what_it_draws(filled: Path) -> None:
    found = read_positions(Reader(filled), NOW)
    condor = next(one for one in found.positions if one.strategy == "iron-condor")
    drawn = payoff_chart(condor)
    assert condor.diagram is not None
    assert condor.target is not None
    low, high = condor.diagram.break_evens
    assert f"break-even at {low:.2f} and {high:.2f}; the underlying is at 520.00" in drawn
    assert f"target at {signed(condor.target)}" in drawn
    assert drawn.count('<circle class="even"') == 2
    assert drawn.count('<line class="tick"') == 4
    assert '<polyline class="today"' in drawn
    calendar = next(one for one in found.positions if one.symbol == "TLT")
    assert payoff_chart(calendar) == ""


def test_ranks_that_are_unknown_are_not_drawn(filled: Path) -> None:
    positions = read_positions(Reader(filled), NOW).positions
    scan = read_scan(Reader(filled), NOW)
    drawn = rank_chart(positions, scan.candidates)
    assert "4 open, 2 recommended, 1 refused" in drawn
    assert drawn.count("<circle") == 7
    assert rank_chart([], []) == ""


# Scans


def test_a_scan_grows_stale(tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="live", clock=lambda: NOW) as journal:
        log_scan(journal)
    reader = Reader(where)
    assert read_scan(reader, NOW + timedelta(hours=23)).stale == ""
    assert "older than a day" in read_scan(reader, NOW + timedelta(hours=25)).stale
    later = read_scan(reader, NOW + timedelta(days=30))
    assert {one.state for one in later.recommended} == {"expired"}
    assert later.source == "live"


def test_old_quotes_make_a_scan_of_today_stale(tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        put = OptionLeg(-1, "put", 4000.0, EXPIRY)
        journal.log_recommendation(
            opportunity("SPX", "short-put", [put], 3.0, as_of=NOW - timedelta(days=9)), sizing=size(1)
        )
    assert "Its quotes were 9 days old" in read_scan(Reader(where), NOW).stale


def test_what_became_of_a_recommendation_is_its_verdict(tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        log_scan(journal)
        journal.ignore_recommendation(1, f"too near to earnings {HOSTILE}")
    found = {one.number: one.verdict for one in read_scan(Reader(where), NOW).candidates}
    assert found[1] == f"not taken: too near to earnings {HOSTILE}"
    assert found[2] == "0 fit: risk per trade"
    later = read_scan(Reader(where), NOW + timedelta(days=30))
    assert [one.verdict for one in later.unfit] == ["0 fit: risk per trade; expired"]


def test_what_nobody_has_sized_is_not_said_to_fit_no_account(tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        put = OptionLeg(-1, "put", 4000.0, EXPIRY)
        journal.log_recommendation(opportunity("SPX", "short-put", [put], 3.0))
    (one,) = read_scan(Reader(where), NOW).recommended
    assert (one.unfit, one.contracts, one.verdict) == (False, None, "recommended")


def test_what_was_executed_is_no_longer_unfit(tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        log_scan(journal)
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        journal.log_trade_entry(2, actual_contracts=1, entry_credit=21.0)
    assert {one.number: one.verdict for one in read_scan(Reader(where), NOW).candidates}[
        2
    ] == "executed: trade 1"


def test_a_real_scan_is_read_back(tmp_path: Path) -> None:
    where = tmp_path / "real.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanner = OptionsScanner(min_iv_rank=50.0)
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        found = scanner.scan_for_opportunities()
        for each in found:
            journal.log_recommendation(each, sizing=size(1), reason="Scanner auto-generated")
        kept_out = log_refused(journal, scanner)
    scan = read_scan(Reader(where), NOW)
    assert found
    assert kept_out
    assert [one.number for one in scan.refused] == sorted(
        kept_out, key=lambda number: next(-(one.score or 0.0) for one in scan.refused if one.number == number)
    )
    assert all("below the least" in one.verdict or "out of bounds" in one.verdict for one in scan.refused)
    best = scan.recommended[0]
    assert (best.symbol, best.strategy, best.dte) == (found[0].symbol, found[0].strategy, found[0].dte)
    assert best.reward_risk == pytest.approx(found[0].max_profit / found[0].max_loss)
    assert best.probability == pytest.approx(100.0 * found[0].probability_of_profit)
    assert "Its quotes were" in scan.stale
