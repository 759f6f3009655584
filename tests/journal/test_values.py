"""What has no honest stored form never reaches the file: by the boundary, by the columns, by the tables."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from journal import values
from journal.database import Database
from journal.schema import metadata, trades
from simulator.errors import DataError, TwinstepError
from tests.journal.databases.make import ROWS
from tests.journal.test_database import a_trade

CALM = settings(
    derandomize=True, database=None, deadline=None, max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip

SCALARS = st.one_of(
    st.floats(),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.integers(-128, 127).map(np.int8),
    st.booleans(),
    st.booleans().map(np.bool_),
    st.none(),
    st.text(max_size=5),
    st.text(max_size=5).map(np.str_),
    st.binary(max_size=8),
    st.fractions(max_denominator=9),
    st.decimals(allow_nan=True),
    st.complex_numbers(),
    st.datetimes(),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.just(np.datetime64("2020-01-01")),
    st.just(np.array([1.5])),
    st.just(np.array(2.0)),
)


def outcome(call: Any, *arguments: Any) -> tuple[Any, str]:
    """Result of a call and no code, or nothing and the code of its refusal."""
    try:
        return call(*arguments), ""
    except TwinstepError as error:
        return None, error.code


# The boundary


@CALM
@given(SCALARS)
def test_a_number_is_a_finite_float_equal_to_what_was_given(value: Any) -> None:
    result, code = outcome(values.number, "x", value)
    if code:
        assert code == "JOURNAL_VALUE"
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        assert not (plain and abs(float(value)) <= values.LARGEST)
        return
    assert type(result) is float
    assert math.isfinite(result)
    assert result == float(value)


@CALM
@given(SCALARS)
def test_an_integer_is_whole_and_fits(value: Any) -> None:
    result, code = outcome(values.integer, "x", value)
    if code:
        assert code == "JOURNAL_VALUE"
        return
    assert type(result) is int
    assert result == value
    assert -(2**63) <= result < 2**63


@CALM
@given(SCALARS)
def test_only_none_and_nan_are_unknown(value: Any) -> None:
    try:
        result = values.unknown("x", value)
    except DataError:
        assert value is not None
        return
    if result is None:
        assert value is None or value != value
    else:
        assert result == float(value)


@CALM
@given(st.one_of(SCALARS, st.text()))
def test_text_is_text_that_both_databases_can_hold(value: Any) -> None:
    try:
        result = values.text("x", value)
    except DataError:
        broken = isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value))
        assert broken or not isinstance(value, str)
        return
    assert type(result) is str
    assert result == value
    assert "\x00" not in result
    result.encode()


@CALM
@given(st.dictionaries(st.text(max_size=3), st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=3))
def test_json_holds_no_nan_and_comes_back(value: dict[str, Any]) -> None:
    result, code = outcome(values.as_json, "x", value)
    if code:
        assert code == "JOURNAL_VALUE"
        return

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert set(json.loads(result, parse_constant=refuse)) == set(value)


@CALM
@given(
    st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2250, 1, 1)),  # noqa: DTZ001 - zone below
    st.integers(-23, 23),
)
def test_times_come_back_as_the_same_moment(when: datetime, hours: int) -> None:
    aware = when.replace(tzinfo=timezone(timedelta(hours=hours)))
    stamp = values.nanoseconds(aware)
    assert values.from_nanoseconds(stamp) == aware
    assert stamp == pd.Timestamp(aware).as_unit("ns").value
    with pytest.raises(DataError) as error:
        values.nanoseconds(when)
    assert error.value.code == "JOURNAL_NAIVE_TIME"


def test_nanoseconds_of_pandas_are_kept() -> None:
    assert values.nanoseconds(pd.Timestamp("2020-01-02T00:00:00.000000007Z")) == 1577923200000000007
    assert values.nanoseconds(np.int64(7)) == 7  # type: ignore[arg-type]  # a NumPy integer is a stamp too


@pytest.mark.parametrize("value", ["2020-01-02", None, 1.5, True, pd.NaT, 2**63])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        values.nanoseconds(value)


# The columns and the tables


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(tmp_path_factory.mktemp("values") / "journal.db") as opened:
        yield opened


class Undo(Exception):
    pass


def stored(database: Database, statement: Any, column: str) -> tuple[Any, str]:
    """Value and storage class that a statement leaves in a column; the statement is undone."""
    found: list[tuple[Any, str]] = []
    try:
        with database.write() as connection:
            connection.execute(*statement)
            row = connection.exec_driver_sql(
                f'SELECT "{column}", typeof("{column}") FROM trades ORDER BY id DESC LIMIT 1'  # noqa: S608
            ).one()
            found.append((row[0], row[1]))
            raise Undo
    except Undo:
        return found[0]


@CALM
@given(SCALARS, st.sampled_from(["spot", "fees", "dte", "entry_ts", "entry_notes", "close_reason"]))
def test_a_column_stores_what_was_given_or_refuses_it(database: Database, value: Any, column: str) -> None:
    statement = (insert(trades).values(**a_trade(**{column: value})),)
    found, code = outcome(stored, database, statement, column)
    if code:
        assert code in ("JOURNAL_VALUE", "JOURNAL_RULE")
        return
    result, kind = found
    if value is None:
        assert (result, kind) == (None, "null")
    else:
        assert kind == {"spot": "real", "fees": "real", "dte": "integer", "entry_ts": "integer"}.get(
            column, "text"
        )
        assert result == (float(value) if kind == "real" else value)


@CALM
@given(SCALARS, st.sampled_from(["fees", "entry_price", "entry_ts"]))
def test_a_statement_written_by_hand_cannot_store_a_disguise_in_a_required_column(
    database: Database, value: Any, column: str
) -> None:
    row = a_trade(fees=0.0) | {column: value}
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    statement = (text(f"INSERT INTO trades ({names}) VALUES ({marks})"), row)  # noqa: S608 - own names
    try:
        result, kind = stored(database, statement, column)
    except (TwinstepError, SQLAlchemyError, OverflowError, UnicodeEncodeError):
        return
    assert kind == ("integer" if column == "entry_ts" else "real")
    assert float(result) == float(value)  # strict tables take "1.5" for a number, as SQL does
    assert math.isfinite(result)


def test_every_number_of_every_table_refuses_infinity(database: Database) -> None:
    """With plain SQL on a copy of the stored rows, past the boundary and past the columns."""
    tried = 0
    with closing(sqlite3.connect(":memory:")) as plain:
        with database.read() as connection:
            for sql in connection.exec_driver_sql(
                "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            ).scalars():
                plain.execute(sql)
        for table in metadata.sorted_tables:
            if table.name not in ROWS:
                continue
            _insert(plain, table, ROWS[table.name][0])
            for column in table.columns:
                if type(column.type).__name__ != "Real":
                    continue
                for bad in (math.inf, -math.inf, 1e301):
                    with pytest.raises(sqlite3.IntegrityError):
                        plain.execute(f'UPDATE "{table.name}" SET "{column.name}" = ?', (bad,))  # noqa: S608
                    tried += 1
    assert tried > 150


def test_a_number_of_numpy_in_a_question_finds_its_row(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(trades).values(**a_trade(symbol="NP")))
        found = connection.execute(select(trades.c.id).where(trades.c.symbol == "NP")).scalar_one()
        again = select(trades.c.symbol).where(trades.c.id == np.int64(found))
        assert connection.execute(again).scalar_one() == "NP"


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("spot", np.float32(1.5), 1.5), ("spot", np.int64(3), 3.0), ("spot", 7, 7.0),
        ("spot", Fraction(1, 4), 0.25), ("dte", np.int16(45), 45), ("dte", 45.0, 45), ("dte", True, 1),
        ("close_reason", np.str_("stop"), "stop"),
    ],
)  # fmt: skip
def test_honest_values_are_taken_on_both_databases(
    where: str, column: str, value: Any, expected: float | str
) -> None:
    with Database(where) as opened:
        with opened.write() as connection:
            connection.execute(insert(trades).values(**a_trade(**{column: value})))
            assert _only(connection, column) == expected


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("spot", math.nan), ("spot", math.inf), ("spot", np.float64("nan")), ("spot", "1.5"), ("spot", True),
        ("spot", Decimal("1.5")), ("spot", pd.NA), ("dte", 4.5), ("dte", 2**63), ("dte", math.nan),
        ("close_reason", 5), ("close_reason", b"stop"), ("close_reason", "a\x00b"),
        ("close_reason", "\ud800"),
    ],
)  # fmt: skip
def test_dishonest_values_are_refused_by_name(where: str, column: str, value: Any) -> None:
    with Database(where) as opened:
        with pytest.raises(DataError, match=column) as error, opened.write() as connection:
            connection.execute(insert(trades).values(**a_trade(**{column: value})))
        assert error.value.code == "JOURNAL_VALUE"
        with opened.read() as connection:
            assert connection.execute(select(trades)).all() == []


def _only(connection: Connection, column: str) -> Any:
    return connection.execute(select(trades.c[column])).scalar_one()


def _insert(plain: sqlite3.Connection, table: Table, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" for _ in row)
    plain.execute(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', tuple(row.values()))  # noqa: S608
