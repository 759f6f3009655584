"""Every figure of the learning and weekly reports against plain SQL and pandas on generated journals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, delete, text

from journal import schema
from journal.learning.analysis import Group, Record
from journal.learning_system import LearningAnalysis, analyse
from journal.weekly_report import WeeklyReport, build
from tests.journal.generate import Generated, Row, generate, memory, store

SOURCES = (("live",), ("paper",), ("backtest",), ("live", "paper", "backtest"))
WEEK_NS = 7 * 86_400_000_000_000


def close(found: float | None, expected: Any) -> None:
    if found is None:
        assert expected is None or pd.isna(expected)
    else:
        assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def check_record(record: Record, frame: pd.DataFrame) -> None:
    won, lost = frame.pnl[frame.pnl > 0], frame.pnl[frame.pnl < 0]
    assert (record.trades, record.wins, record.losses) == (len(frame), len(won), len(lost))
    close(record.total_pnl, frame.pnl.sum())
    close(record.average_pnl, frame.pnl.mean())
    close(record.average_win, won.mean())
    close(record.average_loss, lost.mean())
    close(record.win_rate, 100 * (frame.pnl > 0).mean() if len(frame) else None)
    if len(won) and len(lost):
        # at this share of wins, average win and average loss cancel out
        share = (record.break_even or 0.0) / 100
        assert share * won.mean() + (1 - share) * lost.mean() == pytest.approx(0.0, abs=1e-6)


def check_groups(groups: tuple[Group, ...], connection: Connection, column: str, where: str) -> None:
    rows = connection.execute(
        text(
            f"SELECT COALESCE({column}, ''), COUNT(*), SUM(pnl > 0), SUM(pnl < 0), SUM(pnl), AVG(pnl), "  # noqa: S608
            f"100.0 * SUM(pnl > 0) / COUNT(*) FROM trades WHERE {where} GROUP BY 1"
        )
    ).all()
    found = {
        group.name: (
            group.trades, group.wins, group.losses, group.total_pnl, group.average_pnl, group.win_rate
        )
        for group in groups
    }  # fmt: skip
    assert set(found) == {row[0] for row in rows}
    for name, *figures in rows:
        assert found[name] == pytest.approx(tuple(figures), rel=1e-9, abs=1e-9)
    averages = [group.average_pnl for group in groups]
    assert averages == sorted(averages, reverse=True)
    for group in groups:
        assert group.win_rate_low <= group.win_rate <= group.win_rate_high


def check_analysis(found: LearningAnalysis, connection: Connection, sources: tuple[str, ...]) -> None:
    where = f"status = 'closed' AND source IN ({', '.join(map(repr, sources))})"
    frame = pd.read_sql(text(f"SELECT * FROM trades WHERE {where}"), connection)  # noqa: S608
    seen = found.examination
    for kind, record in seen.records.items():
        check_record(record, frame if kind == "all" else frame[frame.kind == kind])
    options, shares = frame[frame.kind == "option"], frame[frame.kind == "stock"]
    for name, part in (("iv_rank", options), ("dte", options), ("delta", options), ("score", shares)):
        compared, known = seen.comparisons[name], part[part[name].notna()]
        level = pd.to_numeric(known[name])
        level = level.abs() if name == "delta" else level
        assert compared.trades == len(known)
        assert (compared.winners, compared.losers) == (
            int((known.pnl > 0).sum()), int((known.pnl < 0).sum()),
        )  # fmt: skip
        close(compared.winners_average, level[known.pnl > 0].mean())
        close(compared.losers_average, level[known.pnl < 0].mean())
    check_groups(seen.symbols, connection, "symbol", where)
    check_groups(seen.strategies, connection, "strategy", where)
    check_groups(seen.reasons, connection, "close_reason", where)
    for one in found.recommendations:
        for figure in one.estimates:
            assert 0 < figure.trades <= len(frame)
            assert figure.low is None or figure.high is None or figure.low <= figure.value <= figure.high
    for one in found.recommendations:
        if one.kind == "min_iv_rank" and one.estimates:
            at = max(one.current, one.proposed)
            known = options[options.iv_rank.notna()]
            above, below = known[known.iv_rank >= at], known[known.iv_rank < at]
            expected = [part for part in (above, below) if len(part)]
            assert [figure.trades for figure in one.estimates] == [len(part) for part in expected]
            for figure, part in zip(one.estimates, expected, strict=True):
                close(figure.value, 100 * (part.pnl > 0).mean())


def check_week(report: WeeklyReport, drawn: Generated, sources: tuple[str, ...], monday: datetime) -> None:
    start = int(monday.timestamp()) * 1_000_000_000
    ours = [row for row in drawn.trades if row["source"] in sources]
    week = [row for row in ours if row["exit_ts"] is not None and start <= row["exit_ts"] < start + WEEK_NS]
    week = [row for row in week if row["status"] == "closed"]
    assert report.monday == monday.date()
    assert sorted(one.id for one in report.closed) == sorted(row["id"] for row in week)
    assert report.total_pnl == pytest.approx(math.fsum(row["pnl"] for row in week))
    assert report.fees == pytest.approx(math.fsum(row["fees"] for row in week))
    assert (report.wins, report.losses) == (
        sum(row["pnl"] > 0 for row in week), sum(row["pnl"] < 0 for row in week),
    )  # fmt: skip
    ids = {row["id"]: row for row in week}
    noted = [row for row in drawn.mistakes if row["trade_id"] in ids]
    assert {one.category: one.count for one in report.mistakes} == Counter(row["category"] for row in noted)
    for one in report.mistakes:
        trades = {row["trade_id"] for row in noted if row["category"] == one.category}
        assert one.trades == len(trades)
        assert one.pnl == pytest.approx(math.fsum(ids[number]["pnl"] for number in trades))
    taught = Counter((row["code"], row["direction"]) for row in drawn.insights if row["trade_id"] in ids)
    assert {(one.code, one.direction): one.count for one in report.insights} == taught
    is_open = [row["id"] for row in ours if row["status"] == "open"]
    assert sorted(one.id for one in report.open_positions) == sorted(is_open)
    for back, total in enumerate(reversed(report.weeks)):
        first = start - back * WEEK_NS
        rows = [row for row in ours if _closed_within(row, first)]
        assert total.trades == len(rows)
        assert total.pnl == pytest.approx(math.fsum(row["pnl"] for row in rows), abs=1e-9)


def _closed_within(row: Row, first: int) -> bool:
    return row["status"] == "closed" and bool(first <= row["exit_ts"] < first + WEEK_NS)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(40, 60), id="20 journals"),
        pytest.param([*range(40), *range(60, 1000)], id="980 more", marks=pytest.mark.slow),
    ],
)
def test_figures_equal_a_recomputation_on_a_thousand_journals(seeds: Sequence[int]) -> None:
    engine = memory()
    for seed in seeds:
        drawn = generate(seed, trades=5 + seed % 60)
        with engine.begin() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(delete(table))
            store(connection, drawn)
            now = datetime(2019, 2, 1 + seed % 28, 12, tzinfo=UTC)
            monday = now.replace(hour=0) - timedelta(days=now.weekday())
            stamp = int(now.timestamp()) * 1_000_000_000
            sources = SOURCES[seed % len(SOURCES)]
            check_analysis(analyse(connection, sources, as_of=stamp), connection, sources)
            check_week(build(connection, sources, now=stamp), drawn, sources, monday)
    engine.dispose()


def test_an_analysis_as_of_a_time_sees_nothing_later() -> None:
    drawn = generate(7, trades=200, sources=("live",))
    engine = memory()
    closed = drawn.closed("live")
    until = closed[len(closed) // 2]["exit_ts"]
    with engine.begin() as connection:
        store(connection, drawn)
        early = analyse(connection, ("live",), as_of=until, until=until)
        expected = [row for row in closed if row["exit_ts"] <= until]
        assert early.examination.records["all"].trades == len(expected)
        assert early.examination.records["all"].total_pnl == pytest.approx(
            math.fsum(row["pnl"] for row in expected)
        )
    engine.dispose()
