"""Worked examples by hand; where IRS Publication 550 gives one, its figures are used and said so."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import Database, TradeJournal, schema
from journal.statements import import_statement
from journal.tax.matching import METHODS, Execution, match
from journal.tax.wash_sales import apply_wash_sales
from journal.tax_lots import choose_lot, holding_is_long, tax_report
from simulator.errors import DataError
from tests.budget import cases

approx: Any = pytest.approx  # stands in tuples, which its own type does not

FOLDER = Path(__file__).parent / "statements"
CALL, PUT = "XYZ240621C00100000", "XYZ240621P00100000"


def at(day: str, hour: int = 15) -> int:
    return int(datetime.fromisoformat(f"{day}T{hour:02d}:00:00").replace(tzinfo=UTC).timestamp()) * 10**9


def do(
    key: str, day: str, side: int, quantity: float, price: float, symbol: str = "XYZ", **more: Any
) -> Execution:
    option = len(symbol) > 10
    base: dict[str, Any] = {"account": "", "underlying": "XYZ", "multiplier": 100.0 if option else 1.0}
    base |= {"key": key, "ts": at(day), "symbol": symbol, "side": side, "quantity": quantity, "price": price}
    return Execution(**{**base, **more})


def gains(*executions: Execution, method: Any = "fifo", **more: Any) -> list[float]:
    found = match(executions, method, **more)
    return [one.gain for one in sorted(found.slices, key=lambda one: one.closed_ts) if one.closed_day]


LOTS = (
    do("a", "2023-01-10", 1, 100, 10.0),
    do("b", "2023-06-10", 1, 100, 14.0),
    do("c", "2023-09-10", 1, 100, 12.0),
    do("s", "2024-03-01", -1, 150, 13.0),
)


def test_methods_take_the_lots_they_name() -> None:
    # FIFO: 100 at 10 and 50 at 14. LIFO: 100 at 12 and 50 at 14. HIFO: 100 at 14 and 50 at 12.
    assert gains(*LOTS) == [300.0, -50.0]
    assert gains(*LOTS, method="lifo") == [100.0, -50.0]
    assert gains(*LOTS, method="hifo") == [-100.0, 50.0]
    chosen = {"s": [("b", 30.0), ("c", 100.0)]}
    # 30 at 14 and 100 at 12 as chosen, then 20 of the oldest at 10
    assert gains(*LOTS, method="specific", chosen=chosen) == [-30.0, 100.0, 60.0]


def test_fees_are_in_cost_and_proceeds() -> None:
    assert gains(do("a", "2024-01-02", 1, 100, 10, fees=5), do("b", "2024-01-03", -1, 100, 12, fees=7)) == [
        188.0
    ]
    assert gains(do("a", "2024-01-02", -1, 100, 12, fees=5), do("b", "2024-01-03", 1, 100, 10, fees=7)) == [
        188.0
    ]


def test_the_holding_period_begins_the_day_after_and_is_long_after_more_than_a_year() -> None:
    # Publication 550: bought on 5 February 2024, sold on 5 February 2025 is short, on 6 February 2025 long.
    assert not holding_is_long(date(2024, 2, 5), date(2025, 2, 5))
    assert holding_is_long(date(2024, 2, 5), date(2025, 2, 6))
    assert not holding_is_long(date(2024, 2, 29), date(2025, 2, 28))
    assert holding_is_long(date(2024, 2, 29), date(2025, 3, 1))


def test_an_assigned_put_reduces_the_cost_of_the_shares() -> None:
    # 2.00 x 100 received; 100 shares at 100: cost 9,800; sold at 101: 300
    found = gains(
        do("p", "2024-05-01", -1, 1, 2.0, PUT),
        do("x", "2024-06-21", 1, 1, 0.0, PUT, kind="assignment"),
        do("y", "2024-06-21", 1, 100, 100.0, kind="assignment"),
        do("z", "2024-07-01", -1, 100, 101.0),
    )
    assert found == [0.0, approx(300.0)]  # the option itself has no gain


def test_an_assigned_call_adds_to_the_proceeds() -> None:
    found = gains(
        do("s", "2024-01-02", 1, 100, 90.0),
        do("c", "2024-05-01", -1, 1, 3.0, CALL, fees=1.0),
        do("x", "2024-06-21", 1, 1, 0.0, CALL, kind="assignment"),
        do("y", "2024-06-21", -1, 100, 100.0, kind="assignment"),
    )
    assert sum(found) == approx(10_000 + 299 - 9_000)


def test_exercises_move_the_premium_into_the_shares() -> None:
    bought = gains(
        do("c", "2024-05-01", 1, 1, 4.0, CALL),
        do("x", "2024-06-21", -1, 1, 0.0, CALL, kind="exercise"),
        do("y", "2024-06-21", 1, 100, 100.0, kind="exercise"),
        do("z", "2024-06-24", -1, 100, 110.0),
    )
    assert sum(bought) == approx(1_000 - 400)
    sold = gains(
        do("s", "2024-01-02", 1, 100, 90.0),
        do("p", "2024-05-01", 1, 1, 4.0, PUT),
        do("x", "2024-06-21", -1, 1, 0.0, PUT, kind="exercise"),
        do("y", "2024-06-21", -1, 100, 100.0, kind="exercise"),
    )
    assert sum(sold) == approx(1_000 - 400)


def test_the_fee_of_an_exercise_is_in_the_cost_of_the_shares() -> None:
    found = gains(
        do("c", "2024-05-01", 1, 1, 4.0, CALL),
        do("x", "2024-06-21", -1, 1, 0.0, CALL, kind="exercise", fees=5.0),
        do("y", "2024-06-21", 1, 100, 100.0, kind="exercise"),
        do("z", "2024-06-24", -1, 100, 110.0),
    )
    assert sum(found) == approx(1_000 - 400 - 5)


def test_a_settlement_in_cash_is_a_close_at_its_price() -> None:
    found = gains(
        do("c", "2024-05-01", -1, 1, 3.6, CALL), do("x", "2024-06-21", 1, 1, 3.64, CALL, kind="assignment")
    )
    assert found == [approx(-4.0)]


def test_a_split_keeps_cost_and_date() -> None:
    found = match(
        [
            do("a", "2023-01-10", 1, 100, 30.0),
            do("r", "2023-06-01", -1, 100, 0.0, kind="split"),
            do("r2", "2023-06-01", 1, 300, 0.0, kind="split"),
            do("s", "2024-03-01", -1, 150, 12.0),
        ]
    )
    closed, held = sorted(found.slices, key=lambda one: one.closed_ts == 0)
    assert (closed.gain, closed.lot.day) == (approx(150 * 12 - 1_500), date(2023, 1, 10))
    assert (held.quantity, held.opened) == (150.0, approx(1_500.0))


def test_lots_stay_within_their_account() -> None:
    found = match(
        [
            do("a", "2024-01-02", 1, 100, 10, account="one"),
            do("b", "2024-02-02", -1, 100, 12, account="two", effect="close"),
        ]
    )
    assert [(one.key, left) for one, left in found.unmatched] == [("b", 100)]


trading = st.lists(
    st.tuples(
        st.sampled_from(["XYZ", CALL, PUT]),
        st.sampled_from([-1, 1]),
        st.integers(1, 4),
        st.integers(0, 500),
        st.integers(0, 40),
    ),
    max_size=25,
)


def executions(drawn: list[tuple[str, int, int, int, int]]) -> list[Execution]:
    day, result = date(2023, 1, 2).toordinal(), []
    for number, (symbol, side, quantity, cents, days) in enumerate(drawn):
        day += days
        unit = 100 if symbol == "XYZ" else 1
        when = date.fromordinal(day).isoformat()
        result.append(do(f"k{number:03d}", when, side, quantity * unit, cents / 100, symbol, fees=0.25))
    return result


@cases(many=250, few=50)
@given(trading, st.sampled_from([method for method in METHODS]), st.booleans())
def test_gains_and_open_lots_conserve_the_cash_whatever_the_method(
    drawn: list[Any], method: Any, wash: bool
) -> None:
    done = executions(drawn)
    slices = match(done, method).slices
    if wash:
        slices = apply_wash_sales(slices)
    cash = sum(-one.side * one.quantity * one.price * one.multiplier - one.fees for one in done)
    realised = sum(one.gain for one in slices if one.closed_day)
    held = sum(one.lot.side * one.opened + one.deferred for one in slices if one.closed_day is None)
    assert realised - held == approx(cash, abs=1e-6)
    for symbol in {one.symbol for one in done}:
        net = sum(one.side * one.quantity for one in done if one.symbol == symbol)
        left = sum(
            one.lot.side * one.quantity
            for one in slices
            if one.lot.symbol == symbol and one.closed_day is None
        )
        assert left == approx(net)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path / "journal.db")
    yield one
    one.close()


def test_a_statement_gives_gains_lots_and_a_form(database: Database, tmp_path: Path) -> None:
    import_statement(database, FOLDER / "tastytrade.csv")
    report = tax_report(database)
    assert not report.unmatched
    assert report.open_lots == ()
    # premium of both options, 2 x 5.00 and 2 x 1.14 of fees, 100 shares from 103 to 105
    schg = [one for one in report.gains if one.symbol.startswith("SCHG")]
    assert sum(one.gain for one in schg) == approx(205 + 150 + 200 - 10 - 2 * 1.14)
    assert [one.symbol for one in schg] == ["SCHG"]
    assert report.total() == approx(sum(one.gain for one in report.gains))
    index = next(one for one in report.gains if one.symbol.startswith("SPXW"))
    assert "1256" in index.note
    path = report.to_csv(tmp_path / "form.csv", year=2026)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == len(report.gains)
    assert sum(float(row["Gain or loss"]) for row in rows) == approx(report.total(), abs=0.5)
    for row in rows:
        left = float(row["Proceeds"]) - float(row["Cost or other basis"]) + float(row["Amount of adjustment"])
        assert left == approx(float(row["Gain or loss"]), abs=0.02)


def test_gains_are_the_profit_of_the_trades(database: Database) -> None:
    from sqlalchemy import func, select

    import_statement(database, FOLDER / "alpaca.json")
    with database.read() as connection:
        profit = connection.execute(select(func.sum(schema.trades.c.pnl))).scalar_one()
    assert tax_report(database, wash_sales=False).total() == approx(profit)


def test_the_owner_chooses_lots(tmp_path: Path) -> None:
    path = tmp_path / "fills.json"
    import json

    def fill(number: int, side: str, price: str, day: str, quantity: str = "100") -> dict[str, str]:
        return {
            "activity_type": "FILL", "id": f"f{number}", "side": side, "price": price, "qty": quantity,
            "symbol": "ACME", "transaction_time": f"{day}T15:00:00Z", "order_id": f"o{number}",
        }  # fmt: skip

    path.write_text(
        json.dumps(
            [
                fill(1, "buy", "10", "2024-01-02"),
                fill(2, "buy", "12", "2024-02-01"),
                fill(3, "sell", "11", "2024-06-03"),
            ]
        )
    )
    with TradeJournal(tmp_path / "journal.db") as journal:
        import_statement(journal, path)
        choose_lot(journal, 3, 2, 100.0)
        (gain,) = tax_report(journal, "specific").gains
        assert (gain.gain, gain.opened) == (approx(-100.0), date(2024, 2, 1))
        with pytest.raises(DataError, match="100 are chosen already"):
            choose_lot(journal, 3, 1, 1.0)
        with pytest.raises(DataError, match="cannot close"):
            choose_lot(journal, 1, 3, 1.0)
        choose_lot(journal, 3, 2, 0.0)
        assert tax_report(journal, "specific").total() == approx(100.0)
        with pytest.raises(DataError, match="Did you mean 'fifo'"):
            tax_report(journal, "fifoo")  # type: ignore[arg-type]


def test_harvest_names_losses_and_the_days_that_matter(tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "journal.db") as journal:
        for day, price in (("2023-01-10", 20.0), ("2024-02-20", 14.0)):
            when = datetime.fromisoformat(f"{day}T15:00:00+00:00")
            journal.log_trade_entry(symbol="XYZ", side=1, quantity=100, entry_price=price, when=when)
        report = tax_report(journal)
        older, newer = report.harvest({"XYZ": 12.0}, date(2024, 3, 1))
        assert (older.loss, older.term, older.deferred_now) == (-800.0, "long", 800.0)
        assert older.clear_from == date(2024, 3, 22)  # 31 days after 20 February
        assert older.rebuy_from == date(2024, 4, 1)
        assert (newer.loss, newer.term, newer.deferred_now) == (-200.0, "short", 0.0)
        assert report.harvest({"XYZ": 21.0}, date(2024, 3, 1)) == ()
        assert report.harvest({}, date(2024, 3, 1)) == ()
