from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from journal import TradeJournal
from journal.export import RULE, escaped, export_trades, iso_time, write_csv
from simulator.errors import DataError, MissingExtraError

EVIL = '=HYPERLINK("http://x")'


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "journal.db", clock=lambda: datetime(2024, 6, 1, tzinfo=UTC)) as one:
        legs = (
            {"side": -1, "kind": "put", "strike": 95.0, "expiry": date(2024, 3, 15)},
            {"side": 1, "kind": "put", "strike": 90.0, "expiry": date(2024, 3, 15)},
        )
        first = one.log_trade_entry(
            symbol="SPY",
            strategy="short-put-spread",
            actual_contracts=7,
            entry_credit=1.9,
            iv_rank=62.0,
            notes=EVIL,
            legs=legs,
            when=datetime(2024, 2, 1, 15, 30, 0, 120_000, tzinfo=UTC),
        )
        one.log_trade_exit(
            first, exit_debit=0.95, close_reason="50% profit rule", when=datetime(2024, 2, 21, 19, tzinfo=UTC)
        )
        one.add_tag(first, "-patient")
        one.add_tag(first, "zeta")
        one.log_trade_entry(
            symbol="AAPL", side=-1, quantity=10, entry_price=180.5, when=datetime(2024, 5, 1, 15, tzinfo=UTC)
        )
        one.log_trade_entry(
            symbol="MSFT",
            side=1,
            quantity=1,
            entry_price=400.0,
            source="paper",
            when=datetime(2024, 5, 2, tzinfo=UTC),
        )
        yield one


def test_csv_has_a_row_per_trade_with_numbers_times_and_escaped_text(
    journal: TradeJournal, tmp_path: Path
) -> None:
    path = export_trades(journal, tmp_path / "trades.csv")
    rows = list(csv.DictReader(path.open(newline="")))
    assert [(row["source"], row["symbol"]) for row in rows] == [("live", "SPY"), ("live", "AAPL")]
    spread, short = rows
    trade = journal.trade(1)
    assert float(spread["pnl"]) == trade.pnl == pytest.approx(665.0)
    assert spread["entry_time"] == "2024-02-01T15:30:00.12Z"
    assert spread["entry_notes"] == f"'{EVIL}"
    assert spread["tags"] == "'-patient | zeta"
    assert spread["legs"].startswith("sell 1 SPY")
    assert spread["insights"] == " | ".join(one.text for one in journal.insights(1))
    assert (short["side"], short["exit_time"], short["pnl"]) == ("-1", "", "0.0")


def test_json_holds_everything_and_says_its_source(journal: TradeJournal, tmp_path: Path) -> None:
    found = json.loads(export_trades(journal, tmp_path / "trades.json").read_text())
    assert (found["sources"], found["rule"]) == (["live"], RULE)
    spread = found["trades"][0]
    assert spread["entry_notes"] == EVIL
    assert spread["tags"] == [{"tag": "-patient"}, {"tag": "zeta"}]
    assert [leg["strike"] for leg in spread["legs"]] == [95.0, 90.0]
    assert [fill["effect"] for fill in spread["fills"]] == ["open", "close"]
    assert len(spread["insights"]) == len(journal.insights(1))


def test_parquet_comes_back_with_types(journal: TradeJournal, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(export_trades(journal, tmp_path / "trades.parquet", source="all"))
    assert table.schema.metadata[b"sources"] == b"backtest, paper, live"
    rows = table.to_pylist()
    assert [row["symbol"] for row in rows] == ["SPY", "AAPL", "MSFT"]
    assert (rows[0]["iv_rank"], rows[0]["id"], rows[0]["tags"]) == (62.0, 1, ["-patient", "zeta"])
    assert (rows[1]["exit_price"], rows[1]["tags"]) == (None, [])
    assert rows[0]["entry_notes"] == EVIL


def test_a_workbook_has_a_sheet_per_table_and_no_formula(journal: TradeJournal, tmp_path: Path) -> None:
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    book = load_workbook(export_trades(journal, tmp_path / "trades.xlsx"))
    assert book.sheetnames == ["Trades", "Legs", "Fills", "Insights", "Mistakes", "Lessons", "Tags", "About"]
    names, *rows = book["Trades"].iter_rows(values_only=True)
    spread = dict(zip(names, rows[0], strict=True))
    assert (spread["pnl"], spread["entry_notes"]) == (pytest.approx(665.0), f"'{EVIL}")
    for sheet in book:
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True)}
    assert (about["Sources"], about["Rule"]) == ("live", RULE)


def test_without_openpyxl_the_extra_is_named(
    journal: TradeJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[excel\]"):
        export_trades(journal, tmp_path / "trades.xlsx")
    assert not (tmp_path / "trades.xlsx").exists()


def test_sources_are_mixed_only_when_asked(journal: TradeJournal, tmp_path: Path) -> None:
    def symbols(**more: Any) -> list[str]:
        path = export_trades(journal, tmp_path / "trades.json", **more)
        return [trade["symbol"] for trade in json.loads(path.read_text())["trades"]]

    assert symbols() == ["SPY", "AAPL"]
    assert symbols(source="paper") == ["MSFT"]
    assert symbols(source=["live", "paper"]) == symbols(source="all") == ["SPY", "AAPL", "MSFT"]
    assert symbols(symbol="AAPL") == ["AAPL"]
    assert symbols(since=1_714_000_000 * 10**9) == ["AAPL"]
    assert symbols(until=1_714_000_000 * 10**9) == ["SPY"]
    with pytest.raises(DataError, match="Did you mean 'paper'"):
        symbols(source="papper")


def test_unknown_formats_and_places_are_refused(journal: TradeJournal, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="JOURNAL_CHOICE"):
        export_trades(journal, tmp_path / "trades.ods")
    with pytest.raises(DataError, match="JOURNAL_EXPORT"):
        export_trades(journal, tmp_path / "none" / "trades.csv")


def test_a_failed_export_leaves_the_old_file(
    journal: TradeJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_trades(journal, tmp_path / "trades.csv")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        export_trades(journal, path, source="all")
    assert path.read_bytes() == before


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_escaped(start: str, tmp_path: Path) -> None:
    assert escaped(f"{start}1") == f"'{start}1"
    path = write_csv(tmp_path / "x.csv", ["a", "b"], [[f"{start}1", -1.5]])
    assert list(csv.reader(path.open(newline="")))[1] == [f"'{start}1", "-1.5"]


def test_times_keep_their_nanoseconds() -> None:
    assert iso_time(1_577_923_200_000_000_001) == "2020-01-02T00:00:00.000000001Z"
