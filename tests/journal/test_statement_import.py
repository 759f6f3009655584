from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from journal import schema
from journal.database import Database
from journal.statements import import_statement
from simulator.errors import DataError

FOLDER = Path(__file__).parent / "statements"
FILES = ("tastytrade.csv", "alpaca.json", "ib_flex.xml")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path / "journal.db")
    yield one
    one.close()


def rows_of(database: Database, table: Any) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]


def canonical(database: Database) -> list[Any]:
    """Return the journal without numbers: what must not depend on the order of imports."""
    trades = {row["id"]: row for row in rows_of(database, schema.trades)}
    fills = rows_of(database, schema.fills)
    keys: dict[int | None, list[Any]] = {}
    for fill in fills:
        same = (
            fill["execution_key"].partition("~")[0],
            fill["effect"],
            fill["side"],
            fill["quantity"],
            fill["kind"],
        )
        keys.setdefault(fill["trade_id"], []).append((*same, round(fill["fees"], 9), fill["leg"]))
    names: dict[int | None, Any] = {number: tuple(sorted(keys[number])) for number in trades}
    names[None] = None
    hidden = ("id", "rolled_from_id", "campaign_id", "details")
    result = []
    for number, trade in trades.items():
        plain = {name: value for name, value in trade.items() if name not in hidden}
        links = names[trade["rolled_from_id"]], names[trade["campaign_id"]]
        legs = sorted(
            (row["symbol"], row["side"], row["ratio"], row["open_quantity"])
            for row in rows_of(database, schema.legs)
            if row["trade_id"] == number
        )
        result.append((names[number], sorted(plain.items(), key=lambda item: item[0]), links, legs))
    return [sorted(result, key=lambda item: item[0]), sorted(map(str, keys.get(None, [])))]


def trade(database: Database, **what: Any) -> dict[str, Any]:
    found = [
        row
        for row in rows_of(database, schema.trades)
        if all(row[key] == value for key, value in what.items())
    ]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name", FILES)
def test_importing_again_changes_nothing(database: Database, name: str) -> None:
    first = import_statement(database, FOLDER / name)
    before = {table.name: rows_of(database, table) for table in (schema.trades, schema.fills, schema.legs)}
    again = import_statement(database, FOLDER / name)
    assert first.rows_new == first.rows_read == again.duplicates
    assert (again.rows_new, again.opened, again.closed, again.statement_id) == (0, 0, 0, None)
    assert before == {
        table.name: rows_of(database, table) for table in (schema.trades, schema.fills, schema.legs)
    }
    assert len(rows_of(database, schema.statements)) == 1


@pytest.mark.parametrize("name", FILES)
def test_profit_of_all_trades_and_open_value_is_the_cash_of_all_fills(database: Database, name: str) -> None:
    import_statement(database, FOLDER / name)
    fills = [row for row in rows_of(database, schema.fills) if row["trade_id"] is not None]
    cash = sum(
        -row["side"] * row["quantity"] * row["price"] * row["multiplier"] - row["fees"] for row in fills
    )
    trades = rows_of(database, schema.trades)
    paid = sum(row["side"] * row["entry_price"] * row["open_quantity"] * row["multiplier"] for row in trades)
    assert sum(row["pnl"] for row in trades) - paid == pytest.approx(cash, abs=1e-6)


def test_26_identical_fills_stay_26_and_are_one_trade(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    with database.read() as connection:
        short = select(func.count()).where(
            schema.fills.c.symbol == "SPY260417P00500000", schema.fills.c.quantity == 1
        )
        assert connection.execute(short).scalar_one() == 26
    spread = trade(database, symbol="SPY")
    assert (spread["quantity"], spread["side"], spread["strategy"]) == (26.0, -1, "short-put-spread")
    assert spread["entry_price"] == pytest.approx(0.60)
    # 26 x 60 received; 10 closed at 1.00 - 0.70 = 0.30, the rest expired: 26 x 60 - 10 x 30
    assert spread["gross_pnl"] == pytest.approx(1260.0)
    assert spread["fees"] == pytest.approx(26 * 1.13 + 26 * 1.12 + 1.20 + 1.30)
    assert (spread["status"], spread["close_code"], spread["max_loss"]) == ("closed", "expiry", 26 * 440.0)


def test_a_roll_is_two_trades_of_one_campaign(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    first = trade(database, symbol="AAPL", expiry="2026-03-20")
    second = trade(database, symbol="AAPL", expiry="2026-04-17")
    assert first["close_code"] == "roll"
    assert first["gross_pnl"] == pytest.approx(320.0 - 480.0)
    assert (second["rolled_from_id"], second["campaign_id"]) == (first["id"], first["id"])
    assert (second["status"], second["close_code"]) == ("closed", "expiry")


def test_an_assignment_closes_the_put_and_opens_the_shares_of_its_campaign(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    put = trade(database, symbol="SCHG", strategy="short-put")
    shares = trade(database, symbol="SCHG", kind="stock")
    assert (put["status"], put["close_code"], put["gross_pnl"]) == (
        "closed",
        "assignment",
        pytest.approx(205.0),
    )
    assert (shares["campaign_id"], shares["entry_price"], shares["quantity"]) == (put["id"], 103.0, 100.0)
    # called away at 105, and one dividend of 11.50 while they were held
    assert (shares["status"], shares["gross_pnl"]) == ("closed", pytest.approx(200.0 + 11.5))
    kinds = {row["kind"] for row in rows_of(database, schema.fills) if row["symbol"] == "SCHG"}
    assert kinds == {"assignment", "dividend"}


def test_a_cash_settlement_closes_at_its_value(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    index = trade(database, symbol="SPX")
    assert index["gross_pnl"] == pytest.approx(360.0 - 364.0)
    assert index["fees"] == pytest.approx(9.88)


def test_rows_that_are_no_trade_are_kept(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    loose = [row for row in rows_of(database, schema.fills) if row["trade_id"] is None]
    assert {(row["kind"], row["price"], row["side"]) for row in loose} == {
        ("transfer", 25_000.0, -1),
        ("interest", 0.91, -1),
    }


def test_alpaca_flips_through_zero_and_joins_legs_by_time(database: Database) -> None:
    import_statement(database, FOLDER / "alpaca.json")
    longer, shorter = sorted(
        (row for row in rows_of(database, schema.trades) if row["symbol"] == "ACME"),
        key=lambda row: -row["side"],
    )
    assert (longer["quantity"], longer["gross_pnl"]) == (150.0, pytest.approx(100 * 1.0 + 50 * 0.98))
    assert (shorter["quantity"], shorter["gross_pnl"]) == (50.0, pytest.approx(25.0))
    spread = trade(database, symbol="AAPL")
    assert (spread["strategy"], spread["quantity"], spread["gross_pnl"]) == (
        "short-call-spread",
        2.0,
        pytest.approx(220.0),
    )
    # exercised at 500 although the price column says 90; then split 2 for 1 and sold at 260
    shares = trade(database, symbol="QQQ", kind="stock")
    call = trade(database, symbol="QQQ", kind="option")
    assert (shares["quantity"], shares["entry_price"]) == (400.0, 250.0)
    assert shares["gross_pnl"] == pytest.approx(400 * 260.0 - 200 * 500.0)
    assert shares["campaign_id"] == call["id"]


def test_flex_corrections_repeat_a_trade_id_and_book_trades_stand_twice(database: Database) -> None:
    result = import_statement(database, FOLDER / "ib_flex.xml")
    assert result.accounts == ("U0000001",)
    corrected = trade(database, symbol="CZR")
    # 2 executed, taken back, booked as 1 and 1; the commission of all four rows is 1.3666
    assert (corrected["quantity"], corrected["open_quantity"]) == (2.0, 2.0)
    assert corrected["fees"] == pytest.approx(1.3666)
    fly = trade(database, symbol="AA")
    assert (fly["strategy"], fly["quantity"], fly["close_code"]) == ("iron-butterfly", 1.0, "other")
    assert fly["gross_pnl"] == pytest.approx(100 * (1.37 + 1.5 - 0.1 - 0.08 - 0.38 - 2.14))
    shares = trade(database, symbol="CLF", kind="stock")
    assert (shares["quantity"], shares["open_quantity"], shares["status"]) == (400.0, 300.0, "open")
    assert shares["gross_pnl"] == pytest.approx(100 * 0.22 + 12.5)
    entered = next(row for row in rows_of(database, schema.fills) if row["execution_key"].endswith("04.01"))
    assert entered["ts"] == 1_784_224_362 * 10**9  # 13:52:42 in New York is 17:52:42 UTC


def split_by_time(text: str, cut: int, overlap: int) -> tuple[str, str]:
    """Cut a tastytrade statement, newest row first, into two overlapping ones between two moments."""
    header, *rows = text.splitlines()

    def whole_moments(at: int) -> int:
        while 0 < at < len(rows) and rows[at].split(",")[0] == rows[at - 1].split(",")[0]:
            at += 1
        return at

    newer = rows[: whole_moments(min(cut + overlap, len(rows)))]
    older = rows[whole_moments(cut) :]
    return "\n".join([header, *newer]) + "\n", "\n".join([header, *older]) + "\n"


@pytest.mark.parametrize("seed", range(12))
def test_any_split_into_overlapping_statements_in_any_order_gives_the_same_journal(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a reproducible mix
    text = (FOLDER / "tastytrade.csv").read_text()
    whole, parts = Database(tmp_path / "whole.db"), Database(tmp_path / "parts.db")
    import_statement(whole, FOLDER / "tastytrade.csv")
    files = []
    newer, older = split_by_time(text, chance.randrange(1, 60), chance.randrange(0, 20))
    oldest = split_by_time(older, chance.randrange(1, 20), chance.randrange(0, 10))
    for number, part in enumerate((newer, *oldest)):
        header, *rows = part.splitlines()
        chance.shuffle(rows)
        path = tmp_path / f"part{number}.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        files.append(path)
    chance.shuffle(files)
    results = [import_statement(parts, path) for path in files]
    assert sum(result.rows_new for result in results) == 71
    assert canonical(parts) == canonical(whole)
    whole.close()
    parts.close()


@pytest.mark.parametrize("seed", range(6))
def test_activities_one_at_a_time_in_any_order_give_the_same_journal(tmp_path: Path, seed: int) -> None:
    import json

    activities = json.loads((FOLDER / "alpaca.json").read_text())
    whole, parts = Database(tmp_path / "whole.db"), Database(tmp_path / "parts.db")
    import_statement(whole, FOLDER / "alpaca.json")
    random.Random(seed).shuffle(activities)  # noqa: S311 - a reproducible mix
    for number in range(0, len(activities), 2):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(activities[number : number + 3]))
        import_statement(parts, path)
    assert canonical(parts) == canonical(whole)
    whole.close()
    parts.close()


@pytest.mark.parametrize("seed", range(6))
def test_any_split_of_a_flex_statement_gives_the_same_journal(tmp_path: Path, seed: int) -> None:
    lines = (FOLDER / "ib_flex.xml").read_text().splitlines()
    rows = [line for line in lines if "accountId" in line and not line.startswith(("<FlexS", "</"))]
    whole, parts = Database(tmp_path / "whole.db"), Database(tmp_path / "parts.db")
    import_statement(whole, FOLDER / "ib_flex.xml")
    random.Random(seed).shuffle(rows)  # noqa: S311 - a reproducible mix
    for number in range(0, len(rows), 5):
        path = tmp_path / f"{number}.xml"
        path.write_text("\n".join([*lines[:3], *rows[number : number + 8], *lines[-3:]]))
        import_statement(parts, path)
    assert canonical(parts) == canonical(whole)
    whole.close()
    parts.close()


def test_the_csv_of_activities_is_the_json(tmp_path: Path) -> None:
    import csv
    import json

    activities = json.loads((FOLDER / "alpaca.json").read_text())
    names = sorted({name for activity in activities for name in activity})
    path = tmp_path / "activities.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="")
        writer.writeheader()
        writer.writerows(activities)
    one, other = Database(tmp_path / "json.db"), Database(tmp_path / "csv.db")
    import_statement(one, FOLDER / "alpaca.json")
    import_statement(other, path)
    assert canonical(one) == canonical(other)
    one.close()
    other.close()


def test_a_browser_in_another_zone_and_a_missing_total_are_the_same_rows(
    database: Database, tmp_path: Path
) -> None:
    text = (FOLDER / "tastytrade.csv").read_text()
    import_statement(database, FOLDER / "tastytrade.csv")
    lines = text.splitlines()
    moved = [lines[0].replace(",Total", "")]
    for line in lines[1:]:
        parts = line.rsplit(",", 2 if '"' not in line.rsplit(",", 3)[1] + line.rsplit(",", 3)[2] else 3)
        moved.append(",".join([parts[0], parts[-1]]).replace("T10:15:30-0500", "T16:15:30+0100"))
    path = tmp_path / "other.csv"
    path.write_text("\n".join(moved) + "\n")
    assert import_statement(database, path).rows_new == 0


BAD = [
    ("2026-03-04T11:00:00-0500", "2026-13-04", "'Date'"),
    ("-480.00,1,-480.00", "x480,1,-480.00", "'Value'"),
    (",BUY_TO_CLOSE,AAPL", ",HOLD,AAPL", "'Action'"),
    ("Trade,Buy to Close,BUY_TO_CLOSE,AAPL", "Trada,Buy to Close,BUY_TO_CLOSE,AAPL", "'Type'"),
    ("-480.00,1,-480.00", "-480.00,0,-480.00", "'Quantity'"),
]


@pytest.mark.parametrize(("old", "new", "column"), BAD)
def test_a_bad_cell_is_named_and_nothing_is_stored(
    database: Database, tmp_path: Path, old: str, new: str, column: str
) -> None:
    text = (FOLDER / "tastytrade.csv").read_text()
    assert old in text
    path = tmp_path / "bad.csv"
    path.write_text(text.replace(old, new, 1))
    line = next(number for number, row in enumerate(path.read_text().splitlines(), 1) if new in row)
    with pytest.raises(DataError, match="JOURNAL_STATEMENT_ROW") as caught:
        import_statement(database, path)
    assert f"bad.csv, line {line}, column {column}" in str(caught.value)
    assert rows_of(database, schema.fills) == [] == rows_of(database, schema.statements)


def test_cut_off_files_are_refused(database: Database, tmp_path: Path) -> None:
    for name in FILES:
        path = tmp_path / name
        text = (FOLDER / name).read_text()
        path.write_text(text[: int(len(text) * 0.7)])
        with pytest.raises(DataError, match="cut off"):
            import_statement(database, path)
    assert rows_of(database, schema.fills) == []


def test_what_is_no_statement_is_refused(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("name,age\nx,1\n")
    with pytest.raises(DataError, match="JOURNAL_STATEMENT_LAYOUT"):
        import_statement(database, path)
    with pytest.raises(DataError, match="looks like ib, not alpaca"):
        import_statement(database, FOLDER / "ib_flex.xml", broker="alpaca")
    with pytest.raises(DataError, match=r"JOURNAL_CHOICE.*Did you mean 'alpaca'"):
        import_statement(database, path, broker="alpacca")
    with pytest.raises(DataError, match="JOURNAL_STATEMENT_FILE"):
        import_statement(database, tmp_path / "none.csv")
    path.write_text('<!DOCTYPE x [<!ENTITY a "b">]><FlexQueryResponse>&a;</FlexQueryResponse>')
    with pytest.raises(DataError, match="document type"):
        import_statement(database, path)


def test_the_same_rows_under_another_account_are_refused(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv", account="main")
    with pytest.raises(DataError, match="JOURNAL_STATEMENT_ACCOUNT"):
        import_statement(database, FOLDER / "tastytrade.csv")
    assert {row["account"] for row in rows_of(database, schema.trades)} == {"main"}


def test_a_close_without_its_opening_is_reported_and_found_later(database: Database, tmp_path: Path) -> None:
    text = (FOLDER / "tastytrade.csv").read_text().splitlines()
    late = [line for line in text[1:] if line >= "2026-03-20"]
    newer, older = tmp_path / "new.csv", tmp_path / "old.csv"
    newer.write_text("\n".join([text[0], *late]) + "\n")
    older.write_text("\n".join([text[0], *[line for line in text[1:] if line not in late]]) + "\n")
    result = import_statement(database, newer)
    assert any("SPY260417P00500000: it closes what no known fill opened" in line for line in result.unmatched)
    assert not import_statement(database, older).unmatched
    assert trade(database, symbol="SPY")["status"] == "closed"


def test_closed_trades_enter_the_running_figures_once(database: Database) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    trades = rows_of(database, schema.trades)
    metrics = [row for row in rows_of(database, schema.performance_metrics) if row["scope"] == "all"]
    assert len(metrics) == len(trades) == 7
    assert metrics[-1]["total_pnl"] == pytest.approx(sum(row["pnl"] for row in trades))
    assert metrics[-1]["wins"] == 5  # the roll and the index option lost
