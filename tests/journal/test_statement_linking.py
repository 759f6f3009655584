from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from journal import TradeJournal, schema
from journal.statements import import_statement

FOLDER = Path(__file__).parent / "statements"
PUT_SPREAD = (
    {"side": -1, "kind": "put", "strike": 500.0, "expiry": date(2026, 4, 17)},
    {"side": 1, "kind": "put", "strike": 495.0, "expiry": date(2026, 4, 17)},
)

approx: Any = pytest.approx  # stands in tuples, which its own type does not


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "journal.db", clock=lambda: datetime(2026, 5, 1, tzinfo=UTC)) as one:
        yield one


def statement(tmp_path: Path, before: str) -> Path:
    lines = (FOLDER / "tastytrade.csv").read_text().splitlines()
    path = tmp_path / f"until_{before}.csv"
    path.write_text("\n".join([lines[0], *[line for line in lines[1:] if line < before]]) + "\n")
    return path


def fills(journal: TradeJournal, trade_id: int) -> list[Any]:
    with journal.database.read() as connection:
        return list(connection.execute(select(schema.fills).where(schema.fills.c.trade_id == trade_id)))


def log_spread(journal: TradeJournal) -> int:
    return journal.log_trade_entry(
        symbol="SPY",
        strategy="short-put-spread",
        actual_contracts=26,
        entry_credit=0.62,
        notes="before the meeting",
        legs=PUT_SPREAD,
        when=datetime(2026, 3, 3, 15, 30, tzinfo=UTC),
    )


def test_a_trade_logged_by_hand_is_linked_and_not_doubled(journal: TradeJournal) -> None:
    number = log_spread(journal)
    journal.add_tag(number, "patient")
    result = import_statement(journal, FOLDER / "tastytrade.csv")
    assert (result.linked, result.opened) == (1, 6)
    (spread,) = journal.trades(symbol="SPY")
    assert (spread.id, spread.entry_notes, spread.strategy) == (
        number,
        "before the meeting",
        "short-put-spread",
    )
    assert (spread.entry_price, spread.status) == (approx(0.60), "closed")
    assert spread.gross_pnl == approx(1260.0)
    assert all(fill.statement_id is not None for fill in fills(journal, number))
    assert journal.search("patient") or journal.trades(tag="patient")
    assert import_statement(journal, FOLDER / "tastytrade.csv").rows_new == 0


def test_a_typed_exit_stays_until_a_statement_shows_it(journal: TradeJournal, tmp_path: Path) -> None:
    number = log_spread(journal)
    journal.log_trade_exit(
        number,
        exit_debit=0.31,
        quantity=10,
        close_reason="50% profit rule",
        when=datetime(2026, 3, 20, 17, tzinfo=UTC),
    )
    import_statement(journal, statement(tmp_path, "2026-03-10"))
    (spread,) = journal.trades(symbol="SPY")
    assert (spread.id, spread.open_quantity) == (number, 16.0)
    assert spread.gross_pnl == approx(10 * (60 - 31))
    import_statement(journal, statement(tmp_path, "2026-03-21"))
    (spread,) = journal.trades(symbol="SPY")
    assert (spread.id, spread.open_quantity) == (number, 16.0)
    assert spread.gross_pnl == approx(10 * (60 - 30))
    assert all(fill.statement_id is not None for fill in fills(journal, number))


def test_typed_exits_are_covered_one_after_the_other(journal: TradeJournal, tmp_path: Path) -> None:
    number = log_spread(journal)
    for quantity, debit, day in ((10, 0.31, 20), (16, 0.20, 27)):
        journal.log_trade_exit(
            number, exit_debit=debit, quantity=quantity, when=datetime(2026, 3, day, 17, tzinfo=UTC)
        )
    import_statement(journal, statement(tmp_path, "2026-03-21"))  # shows the first ten
    (spread,) = journal.trades(symbol="SPY")
    assert (spread.id, spread.status) == (number, "closed")
    assert spread.gross_pnl == approx(10 * (60 - 30) + 16 * (60 - 20))
    assert sum(fill.statement_id is None for fill in fills(journal, number)) == 1


def test_another_quantity_is_another_trade(journal: TradeJournal) -> None:
    number = journal.log_trade_entry(
        symbol="SPY",
        strategy="short-put-spread",
        actual_contracts=25,
        entry_credit=0.62,
        legs=PUT_SPREAD,
        when=datetime(2026, 3, 3, 15, 30, tzinfo=UTC),
    )
    result = import_statement(journal, FOLDER / "tastytrade.csv")
    assert result.linked == 0
    assert any(f"trade {number}" in line for line in result.unmatched)


def test_an_exit_typed_for_an_imported_trade_is_replaced_by_the_statement(
    journal: TradeJournal, tmp_path: Path
) -> None:
    import_statement(journal, statement(tmp_path, "2026-03-10"))
    (put,) = journal.trades(symbol="SCHG")
    journal.log_trade_exit(
        put.id, exit_debit=0.0, close_reason="assigned", when=datetime(2026, 3, 20, 22, tzinfo=UTC)
    )
    import_statement(journal, FOLDER / "tastytrade.csv")
    put = journal.trade(put.id)
    assert (put.status, put.gross_pnl) == ("closed", approx(205.0))
    assert all(fill.statement_id is not None for fill in fills(journal, put.id))
