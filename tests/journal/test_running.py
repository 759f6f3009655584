"""The running series equals a recomputation from scratch at every point, however it came to be."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import Connection, Engine, delete, insert, select, update

from journal import schema
from journal.performance import running
from journal.records import Trade, trade_of
from tests.budget import cases
from tests.journal.generate import Row, generate, memory, store

SERIES = schema.performance_metrics.c
ENGINE = memory()


def clear(connection: Connection) -> None:
    for table in reversed(schema.metadata.sorted_tables):
        connection.execute(delete(table))


def load(connection: Connection, number: int) -> Trade:
    return trade_of(connection.execute(select(schema.trades).where(schema.trades.c.id == number)).one())


def series(connection: Connection) -> dict[tuple[str, str], list[Any]]:
    found: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(select(schema.performance_metrics).order_by(SERIES.id)):
        found[row.source, row.scope].append(row)
    return dict(found)


def scopes(row: Row) -> list[tuple[str, str]]:
    names = ("all", f"strategy:{row['strategy']}", f"symbol:{row['symbol']}")
    return [(row["source"], name) for name in names]


def check(connection: Connection, closed: list[Row]) -> None:
    """Compare every row of every scope with the figures of the trades up to it, computed from scratch."""
    expected: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(closed, key=lambda row: (row["exit_ts"], row["id"])):
        for scope in scopes(row):
            expected[scope].append(row)
    found = series(connection)
    assert set(found) == set(expected)
    for scope, rows in expected.items():
        assert [row.trade_id for row in found[scope]] == [row["id"] for row in rows]
        for count, line in enumerate(found[scope], start=1):
            compare(line, rows[:count])


def compare(line: Any, rows: list[Row]) -> None:
    profits = [row["pnl"] for row in rows]
    wins, losses = [p for p in profits if p > 0], [p for p in profits if p < 0]
    multiples = [row["r_multiple"] for row in rows if row["r_multiple"] is not None]
    decided = "".join("w" if p > 0 else "l" for p in profits if p)
    runs_of_wins = [len(run) for run in decided.split("l")]
    runs_of_losses = [len(run) for run in decided.split("w")]
    curve = [math.fsum(profits[:end]) for end in range(len(profits) + 1)]
    falls = [value - max(curve[: place + 1]) for place, value in enumerate(curve)]
    wanted = {
        "ts": rows[-1]["exit_ts"],
        "trades": len(rows),
        "wins": len(wins),
        "losses": len(losses),
        "gross_profit": math.fsum(wins),
        "gross_loss": math.fsum(losses),
        "total_pnl": math.fsum(profits),
        "total_fees": math.fsum(row["fees"] for row in rows),
        "sum_squares": math.fsum(p * p for p in profits),
        "r_count": len(multiples),
        "sum_r": math.fsum(multiples),
        "sum_r_squares": math.fsum(r * r for r in multiples),
        "win_rate": 100.0 * len(wins) / len(rows),
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "expectancy": math.fsum(profits) / len(rows),
        "average_win": math.fsum(wins) / len(wins) if wins else None,
        "average_loss": math.fsum(losses) / len(losses) if losses else None,
        "average_r": math.fsum(multiples) / len(multiples) if multiples else None,
        "streak": runs_of_wins[-1] or -runs_of_losses[-1],
        "longest_win_streak": max(runs_of_wins),
        "longest_loss_streak": max(runs_of_losses),
        "peak_pnl": max(curve),
        "max_drawdown": min(falls),
    }
    assert set(wanted) | {"id", "source", "scope", "trade_id"} == set(line._mapping)
    for name, value in wanted.items():
        stored = line._mapping[name]
        assert stored is None if value is None else stored == pytest.approx(value, rel=1e-9, abs=1e-6), name


@cases(many=40, few=8)
@given(
    seed=some.integers(0, 10**6),
    count=some.integers(0, 25),
    scratches=some.sampled_from([0.0, 0.2, 0.6]),
    order=some.sampled_from(["as they closed", "late", "backwards"]),
)
def test_every_row_equals_a_recomputation(seed: int, count: int, scratches: float, order: str) -> None:
    drawn = generate(seed, count, scratches=scratches, per_day=3.0)
    closed = drawn.closed()
    if order == "backwards":
        closed.reverse()
    if order == "late":  # every third exit is logged after the others
        closed = [row for place, row in enumerate(closed) if place % 3] + closed[::3]
    with ENGINE.begin() as connection:
        clear(connection)
        store(connection, drawn)
        for place, row in enumerate(closed):
            running.update(connection, load(connection, row["id"]))
            if place % 7 == 0:
                check(connection, closed[: place + 1])
        check(connection, closed)
        before = [[tuple(row)[1:] for row in rows] for _, rows in sorted(series(connection).items())]
        for source in ("live", "paper", "backtest"):
            running.rebuild(connection, source)
        after = [[tuple(row)[1:] for row in rows] for _, rows in sorted(series(connection).items())]
        assert after == before


@cases(many=40, few=8)
@given(
    seed=some.integers(0, 10**6),
    count=some.integers(1, 40),
    scratches=some.sampled_from([0.0, 0.2, 0.6]),
    cuts=some.lists(some.integers(0, 2), min_size=40, max_size=40),
    late=some.booleans(),
)
def test_many_at_once_equal_one_by_one(
    seed: int, count: int, scratches: float, cuts: list[int], late: bool
) -> None:
    """Three portions, one after the other or each spread over all the time, end in the same series."""
    drawn = generate(seed, count, sources=("live",), scratches=scratches, per_day=3.0)
    closed = drawn.closed()
    where = cuts if late else sorted(cuts)
    portions = [
        [row for row, place in zip(closed, where, strict=False) if place == part] for part in range(3)
    ]
    with ENGINE.begin() as connection:
        clear(connection)
        store(connection, drawn)
        for row in closed:
            running.update(connection, load(connection, row["id"]))
        before = [[tuple(row)[1:] for row in rows] for _, rows in sorted(series(connection).items())]
        connection.execute(delete(schema.performance_metrics))
        done: list[Row] = []
        for portion in portions:
            running.extend(connection, "live", [load(connection, row["id"]) for row in portion])
            done += portion
            check(connection, done)
        after = [[tuple(row)[1:] for row in rows] for _, rows in sorted(series(connection).items())]
        assert after == before


def test_later_trades_leave_the_rows_before_them_alone() -> None:
    drawn = generate(5, 60, sources=("live",), open_share=0.0)
    closed = drawn.closed()
    with ENGINE.begin() as connection:
        clear(connection)
        store(connection, drawn)
        old = [load(connection, row["id"]) for row in closed[:40]]
        running.extend(connection, "live", old)
        numbers = set(connection.execute(select(SERIES.id)).scalars())
        running.extend(connection, "live", [load(connection, row["id"]) for row in closed[40:]])
        assert numbers < set(connection.execute(select(SERIES.id)).scalars())
        check(connection, closed)


def test_a_corrected_trade_replaces_what_it_was() -> None:
    drawn = generate(3, 30, sources=("live",), open_share=0.0)
    closed = drawn.closed()
    with ENGINE.begin() as connection:
        clear(connection)
        store(connection, drawn)
        running.rebuild(connection, "live")
        row = closed[10]
        row["pnl"], row["fees"] = row["pnl"] - 12.5, row["fees"] + 12.5
        connection.execute(
            update(schema.trades)
            .where(schema.trades.c.id == row["id"])
            .values(pnl=row["pnl"], fees=row["fees"])
        )
        running.update(connection, load(connection, row["id"]))
        check(connection, closed)


def test_an_open_trade_leaves_no_row() -> None:
    drawn = generate(1, 6, open_share=1.0)
    with ENGINE.begin() as connection:
        clear(connection)
        store(connection, drawn)
        for row in drawn.trades:
            running.update(connection, load(connection, row["id"]))
        assert series(connection) == {}


def test_a_close_costs_the_same_in_a_large_journal() -> None:
    def cost(engine: Engine, trades: int) -> float:
        drawn = generate(9, trades, sources=("live",), open_share=0.0, unknown=0.0)
        with engine.begin() as connection:
            for start in range(0, trades, 2_000):
                connection.execute(insert(schema.trades), drawn.trades[start : start + 2_000])
            running.rebuild(connection, "live")
            last = load(connection, drawn.closed()[-1]["id"])
            took = []
            for _ in range(15):
                began = time.perf_counter()
                running.update(connection, last)
                took.append(time.perf_counter() - began)
        return min(took)

    small, large = cost(memory(), 100), cost(memory(), 6_000)
    assert large < 3 * small + 0.001
