"""Trade quality beside recommendations: in scans, in the journal, in listings, and across the inbox."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from journal import TradeJournal, schema
from journal.ledger.commands import pack, unpack
from optimize import JournalQuality, trade_quality
from simulator.opportunity import Quality, QualitySource
from strategies import OptionsScanner
from tests.journal.making import put_spread, signal, sizing
from twinstep.cli import run

DAY = 86_400_000_000_000
FIRST = 1_400_000_000_000_000_000
SCANNED = (
    "short-put-spread", "iron-condor", "short-put", "short-call-spread", "short-straddle", "covered-call",
    "short-strangle", "cash-secured-put", "jade-lizard",
)  # fmt: skip
"""What a scan of the bundled market finds."""

Run = Callable[..., str]


def fill(
    where: Path,
    trades: int,
    *,
    edge: bool,
    source: str = "live",
    kind: str = "option",
    strategies: tuple[str, ...] = SCANNED,
) -> None:
    """Trades one after another; with an edge three of four above the middle win, and one of four below it."""
    rows = []
    for k in range(trades):
        level = (37 * k) % 100
        won = (k % 4 != 0) == (level >= 50) if edge else k % 2 == 0
        option: dict[str, Any] = {"iv_rank": float(level), "dte": 30 + (k * 7) % 30, "width": 5.0}
        stock: dict[str, Any] = {"score": float(level), "stop_price": 9.0, "target_price": 12.0}
        rows.append(
            {
                "source": source, "status": "closed", "kind": kind, "symbol": "SPX",
                "strategy": strategies[k // 2 % len(strategies)], "side": -1 if kind == "option" else 1,
                "quantity": 1.0,
                "open_quantity": 0.0, "entry_price": 1.5 if kind == "option" else 10.0,
                "entry_ts": FIRST + 7 * k * DAY, "exit_ts": FIRST + (7 * k + 5) * DAY, "exit_price": 1.0,
                "initial_risk": 350.0, "pnl": 100.0 if won else -150.0,
                **(option if kind == "option" else stock),
            }
        )  # fmt: skip
    with TradeJournal(where) as journal, journal.database.write() as connection:
        connection.execute(insert(schema.trades), rows)


@pytest.fixture
def run_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str) -> str:
        capsys.readouterr()
        assert run(arguments) == 0
        return capsys.readouterr().out

    return call


def test_it_is_a_source_of_quality(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 5, edge=True)
    assert isinstance(JournalQuality(tmp_path / "j.db", cache=False), QualitySource)


def test_a_scanner_shows_it_beside_each_opportunity(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=True)
    source = JournalQuality(tmp_path / "j.db", cache=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanner = OptionsScanner(min_iv_rank=0, quality=source)
        plain = OptionsScanner(min_iv_rank=0)
    found, without = scanner.scan_for_opportunities(), plain.scan_for_opportunities()
    assert [one.strikes for one in found] == [one.strikes for one in without]  # the order is the same
    assert all(one.quality is None for one in without)
    assert "iron-condor" in {one.strategy for one in found}
    for one in found:
        assert one.quality is not None
        assert one.quality.base_rate == pytest.approx(0.5, abs=0.02)
        assert one.quality.probability is not None
        assert one.iv_rank is not None
        assert (one.quality.probability > 0.5) == (one.iv_rank > 50)
    assert any("beats the base rate" in note for note in scanner.notes)
    from rich.console import Console

    screen = io.StringIO()
    Console(width=300, file=screen).print(scanner.table())
    assert "P(success)" in screen.getvalue()
    assert "quality" not in [column.header for column in plain.table().columns]


def test_a_refusal_is_a_note_and_nothing_more(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanner = OptionsScanner(min_iv_rank=0, quality=JournalQuality(tmp_path / "j.db", cache=False))
    assert all(one.quality is None for one in scanner.scan_for_opportunities())
    assert "none is shown" in scanner.notes[-1]
    assert "quality" not in [column.header for column in scanner.table().columns]


def test_scan_and_listing_on_the_command_line(run_line: Run) -> None:
    fill(Path("j.db"), 240, edge=True)
    words = run_line("scan", "--journal", "j.db", "--min-iv-rank", "0")
    assert "beats the base rate of 51%" in words
    assert "quality: P(success)" in words
    kept = list(Path("cache/twinstep/quality").glob("*.json"))
    assert len(kept) == 1
    document = json.loads(run_line("scan", "--journal", "j.db", "--min-iv-rank", "0", "--json"))
    (first, *_) = document["opportunities"]
    assert 0 < first["quality"]["probability"] < 1
    listed = run_line("journal", "show", "--recommendations", "all", "--journal", "j.db")
    assert "P(success)" in listed
    one = run_line("journal", "show", "--recommendations", "1", "--journal", "j.db")
    assert f"P(success) {first['quality']['probability']:.0%} (all 51%)" in one
    document = json.loads(
        run_line("journal", "show", "--recommendations", "all", "--journal", "j.db", "--json")
    )
    assert document["recommendations"][0]["quality"]["trades"] == 240


def test_a_listing_judges_open_signals_as_of_now(run_line: Run) -> None:
    fill(Path("j.db"), 240, edge=True, kind="stock", strategies=(signal().signal_type,))
    with TradeJournal("j.db") as journal:
        journal.log_recommendation(signal(score=95.0), expires=timedelta(days=3))
        gone = journal.log_recommendation(signal(score=95.0), expires=timedelta(days=3))
        journal.ignore_recommendation(gone)
    document = json.loads(
        run_line("journal", "show", "--recommendations", "all", "--journal", "j.db", "--json")
    )
    first, second = document["recommendations"]
    assert first["quality"]["probability"] > 0.6
    assert second["quality"] is None
    assert "quality of stock trades" in document["quality"][0]


def test_a_journal_of_a_beginner_says_how_many_are_missing(run_line: Run) -> None:
    with TradeJournal("j.db") as journal:
        journal.log_recommendation(put_spread(), sizing(), expires=timedelta(days=3))
    words = run_line("journal", "show", "--recommendations", "all", "--journal", "j.db")
    assert "about 60 more trades are needed" in words


def test_what_was_said_is_kept_with_the_recommendation(tmp_path: Path) -> None:
    from twinstep.quality import stored_quality

    said = Quality(0.71, 0.62, None, None, 240, ("iv_rank 95 is outside of what was traded, 5 to 70",))
    with TradeJournal(tmp_path / "j.db", clock=lambda: datetime(2026, 1, 5, tzinfo=UTC)) as journal:
        number = journal.log_recommendation(put_spread(quality=said), sizing())
        assert stored_quality(journal.recommendation(number)) == said
        assert stored_quality(journal.recommendation(journal.log_recommendation(put_spread()))) is None


def test_it_goes_through_the_inbox() -> None:
    found = put_spread(quality=Quality(None, None, 0.2, 0.05, 80, ("a note",)))
    back = unpack(json.loads(json.dumps(pack(found))))
    assert back == found
    assert back.quality.notes == ("a note",)


def test_what_is_missing_is_said_in_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    fill(tmp_path / "j.db", 240, edge=True)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    source = JournalQuality(tmp_path / "j.db", cache=False)
    assert source.quality_of(put_spread()) is None
    assert "pip install 'twinstep[quality]'" in source.quality_note("option")


def test_beyond_what_was_traded_the_nearest_counts_and_a_note_says_so(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=True)
    source = JournalQuality(tmp_path / "j.db", cache=False)
    near, far = (source.quality_of(put_spread(dte=days, iv_rank=90.0)) for days in (59, 400))
    assert near is not None
    assert far is not None
    assert far.probability == pytest.approx(near.probability)
    assert near.notes == ()
    assert far.notes == ("dte 400 is outside of what was traded, 30 to 59",)
    unknown = source.quality_of(put_spread(dte=45, iv_rank=None))
    assert unknown is not None
    assert unknown.notes == ("iv_rank is unknown: its median counts",)
    assert unknown.probability is not None
    assert math.isfinite(unknown.probability)


def test_words_of_a_quality() -> None:
    assert str(Quality(0.714, 0.62, 0.214, 0.05, 1240)) == (
        "P(success) 71% (all 62%), +0.21R (all +0.05R), 1,240 trades"
    )
    assert str(Quality(None, None, -0.1, 0.05, 80, ("n",))) == "-0.10R (all +0.05R), 80 trades, n"


def test_nothing_is_shown_for_a_strategy_that_was_never_traded(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=True, strategies=SCANNED[:1])
    source = JournalQuality(tmp_path / "j.db", cache=False)
    known = source.quality_of(put_spread(strategy="short-put-spread"))
    assert known is not None
    assert known.notes == ()
    assert source.quality_of(put_spread(strategy="iron-condor")) is None
    assert source.quality_note("option").endswith("shown for what was traded alone: short-put-spread")


def test_a_strategy_that_was_hardly_traded_is_marked(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=True, strategies=SCANNED[:1])
    with TradeJournal(tmp_path / "j.db") as journal, journal.database.write() as connection:
        connection.execute(
            update(schema.trades).where(schema.trades.c.id <= 3).values(strategy="iron-condor")
        )
    source = JournalQuality(tmp_path / "j.db", cache=False)
    rare = source.quality_of(put_spread(strategy="iron-condor"))
    assert rare is not None
    assert rare.notes == ("only 3 of them iron-condor",)
    assert "short-put-spread, iron-condor" in source.quality_note("option")


def test_trades_of_another_source_are_pointed_at(tmp_path: Path) -> None:
    fill(tmp_path / "j.db", 240, edge=True, source="paper")
    found = trade_quality(tmp_path / "j.db", cache=False)
    assert found.elsewhere == {"paper": 240}
    assert found.sentence().endswith(
        "the journal has none of this source, but 240 paper ones: name the source"
    )
    assert trade_quality(tmp_path / "j.db", source="paper", cache=False).elsewhere == {}
    assert "none of this source" not in trade_quality(tmp_path / "j.db", kind="stock", cache=False).sentence()
