"""Every figure of a report equals a recomputation from the raw rows, on a thousand generated journals.

The recomputation reads the rows with the driver and plain loops, groups by its own rules written out here,
and shares nothing with the code under test but the definitions in its documentation.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from journal import schema
from journal.performance.closed import Scope
from journal.performance.report import PerformanceReport, read_report
from tests.journal.generate import Generated, generate, memory, store

NOW = 1_900_000_000_000_000_000
Row = dict[str, Any]


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(120), id="120 journals"),
        pytest.param(range(120, 1_000), id="880 more", marks=pytest.mark.slow),
    ],
)
def test_every_figure_on_a_thousand_journals(seeds: range) -> None:
    engine = memory()
    seen: defaultdict[str, int] = defaultdict(int)
    for seed in seeds:
        draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
        drawn = generate(
            seed,
            trades=draw.choice((0, 1, 2, 5, 15, 40, 40, 90)),
            unknown=draw.choice((0.0, 0.15, 0.5)),
            scratches=draw.choice((0.0, 0.06, 0.4)),
            open_share=draw.choice((0.0, 0.1, 0.5)),
            fees=draw.random() < 0.8,
        )
        with engine.begin() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(delete(table))
            store(connection, drawn)
            wanted = draw.choice(("live", "paper", "backtest", "all"))
            since, until = period(draw, drawn)
            report = read_report(connection, Scope.of(wanted, since=since, until=until), NOW)
            rows, marks = raw(connection, wanted, since, until)
        compare(report, rows, marks, seen)
    # what was compared was there to be compared
    for name in ("scratches", "losses", "no losses", "empty", "mistakes", "targets", "unknown r", "mixed"):
        assert seen[name] > len(seeds) // 50, name


def test_profits_of_trades_that_were_closed_in_parts_are_those_of_their_fills() -> None:
    for seed in range(50):
        drawn = generate(seed, 60)
        cash: defaultdict[int, float] = defaultdict(float)
        closes: defaultdict[int, int] = defaultdict(int)
        for fill in drawn.fills:
            cash[fill["trade_id"]] -= fill["side"] * fill["price"] * fill["quantity"] * fill["multiplier"]
            cash[fill["trade_id"]] -= fill["fees"]
            closes[fill["trade_id"]] += fill["effect"] == "close"
        assert max(closes.values()) > 1
        for row in drawn.closed():
            assert cash[row["id"]] == pytest.approx(row["pnl"], abs=1e-6)


def period(draw: random.Random, drawn: Generated) -> tuple[int | None, int | None]:
    ends = [row["exit_ts"] for row in drawn.closed()]
    if not ends or draw.random() < 0.5:
        return None, None
    since = draw.choice(ends)
    return since, draw.choice((None, since + 20 * 86_400 * 10**9))


def raw(
    connection: Connection, wanted: str, since: int | None, until: int | None
) -> tuple[list[Row], dict[int, set[str]]]:
    cursor = connection.exec_driver_sql("SELECT * FROM trades")
    names = list(cursor.keys())
    rows = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    rows = [row for row in rows if row["status"] == "closed" and wanted in ("all", row["source"])]
    rows = [row for row in rows if since is None or row["exit_ts"] >= since]
    rows = [row for row in rows if until is None or row["exit_ts"] < until]
    rows.sort(key=lambda row: (row["exit_ts"], row["id"]))
    marks: defaultdict[int, set[str]] = defaultdict(set)
    for trade_id, category in connection.exec_driver_sql("SELECT trade_id, category FROM mistakes"):
        marks[trade_id].add(category)
    return rows, marks


def compare(
    report: PerformanceReport, rows: list[Row], marks: dict[int, set[str]], seen: dict[str, int]
) -> None:
    check(report.metrics, figures(rows))
    check(report.excursions, excursion_figures(rows))
    reached = {one.target: one for one in report.excursions.targets}
    wanted_targets = target_figures(rows)
    assert set(reached) == set(wanted_targets)
    for target, (share, expected) in wanted_targets.items():
        assert reached[target].reached == pytest.approx(share)
        assert reached[target].expected_r == pytest.approx(expected, abs=1e-12)
    for name, label in GROUPINGS.items():
        groups: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            groups[label(row)].append(row)
        found = report[f"by_{name}"]
        assert set(found) == set(groups)
        for key, members in groups.items():
            check(found[key], figures(members))
    costs = mistake_figures(rows, marks)
    assert dict(report.common_mistakes) == {category: cost[0] for category, cost in costs.items()}
    counts = list(report.common_mistakes.values())
    assert counts == sorted(counts, reverse=True)
    for category, cost in report.mistake_costs.items():
        assert tuple(cost) == pytest.approx(costs[category], abs=1e-6)
    for code in report.recommendations:
        assert 0 <= code.sample <= len(rows)
    seen["scratches"] += report.metrics.scratches > 0
    seen["losses"] += report.metrics.losses > 0
    seen["no losses"] += report.metrics.losses == 0 < report.metrics.wins
    seen["empty"] += not rows
    seen["mistakes"] += bool(costs)
    seen["targets"] += bool(reached)
    seen["unknown r"] += report.metrics.r_count < len(rows)
    seen["mixed"] += "mixed" in report.source


def check(found: Any, wanted: dict[str, Any]) -> None:
    """Compare each figure; none may be left out."""
    left = {name for name in found if not name.endswith("_interval")} - {"targets"}
    assert left == set(wanted)
    for name, value in wanted.items():
        assert (found[name] is None) == (value is None), (name, found[name], value)
        if value is not None:
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-7), name
    if "win_rate" in wanted:
        check_wilson(found)


def check_wilson(found: Any) -> None:
    """The ends of Wilson's interval are where the share is z standard errors away, by definition."""
    interval, count = found.win_rate_interval, found.trades
    assert (interval is None) == (count == 0)
    if interval is None:
        return
    share = found.wins / count
    assert 0.0 <= interval.low <= 100.0 * share <= interval.high <= 100.0
    for end in (interval.low / 100.0, interval.high / 100.0):
        if 0.0 < end < 1.0:
            away = abs(share - end) / math.sqrt(end * (1.0 - end) / count)
            assert away == pytest.approx(1.959963984540054, rel=1e-6)


def figures(rows: list[Row]) -> dict[str, Any]:
    profits = [row["pnl"] for row in rows]
    wins = [value for value in profits if value > 0]
    losses = [value for value in profits if value < 0]
    multiples = known(rows, "r_multiple")
    days, capture, slippage = (known(rows, name) for name in ("days", "capture_percent", "slippage"))
    tied = [row for row in rows if row["buying_power"] is not None and row["days"] is not None]
    tied_days = math.fsum(row["buying_power"] * max(row["days"], 1.0) for row in tied)
    run = longest_wins = longest_losses = 0
    total = peak = deepest = 0.0
    for value in profits:
        if value > 0:
            run = run + 1 if run > 0 else 1
        if value < 0:
            run = run - 1 if run < 0 else -1
        longest_wins, longest_losses = max(longest_wins, run), max(longest_losses, -run)
        total += value
        peak = max(peak, total)
        deepest = min(deepest, total - peak)
    average_win, average_loss = mean(wins), mean(losses)
    return {
        "trades": len(rows),
        "wins": len(wins),
        "losses": len(losses),
        "scratches": sum(1 for value in profits if value == 0),
        "win_rate": 100.0 * len(wins) / len(rows) if rows else None,
        "gross_profit": math.fsum(wins),
        "gross_loss": math.fsum(losses),
        "total_pnl": math.fsum(profits),
        "total_fees": math.fsum(row["fees"] for row in rows),
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "expectancy": mean(profits),
        "average_win": average_win,
        "average_loss": average_loss,
        "largest_win": max(wins, default=None),
        "largest_loss": min(losses, default=None),
        "payoff_ratio": average_win / -average_loss if average_win and average_loss else None,
        "r_count": len(multiples),
        "mean_r": mean(multiples),
        "sum_r": math.fsum(multiples),
        "sqn": quality(multiples),
        "streak": run,
        "longest_win_streak": longest_wins,
        "longest_loss_streak": longest_losses,
        "max_drawdown": deepest,
        "days_count": len(days),
        "average_days": mean(days),
        "capture_count": len(capture),
        "average_capture": mean(capture),
        "slippage_count": len(slippage),
        "total_slippage": math.fsum(slippage),
        "buying_power_days": tied_days,
        "profit_per_buying_power_day_pct": (
            100.0 * math.fsum(row["pnl"] for row in tied) / tied_days if tied_days else None
        ),
    }


def excursion_figures(rows: list[Row]) -> dict[str, Any]:
    def in_r(name: str, some: Iterable[Row]) -> list[float]:
        return [
            row[name] / row["initial_risk"]
            for row in some
            if row[name] is not None and row["initial_risk"] is not None
        ]

    ran = [row for row in rows if row["mfe"] is not None and row["mfe"] > 0]
    best = math.fsum(row["mfe"] for row in ran)
    full = [row for row in rows if None not in (row["mfe"], row["initial_risk"], row["r_multiple"])]
    return {
        "mae_count": len(known(rows, "mae")),
        "average_mae": mean(known(rows, "mae")),
        "average_mae_r": mean(in_r("mae", rows)),
        "mfe_count": len(known(rows, "mfe")),
        "average_mfe": mean(known(rows, "mfe")),
        "average_mfe_r": mean(in_r("mfe", rows)),
        "winners_mae_r": mean(in_r("mae", [row for row in rows if row["pnl"] > 0])),
        "losers_mfe_r": mean(in_r("mfe", [row for row in rows if row["pnl"] < 0])),
        "exit_efficiency": 100.0 * math.fsum(row["pnl"] for row in ran) / best if ran else None,
        "targets_count": len(full),
    }


def target_figures(rows: list[Row]) -> dict[float, tuple[float, float]]:
    full = [row for row in rows if None not in (row["mfe"], row["initial_risk"], row["r_multiple"])]
    found = {}
    for target in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
        if full:
            hits = [row["mfe"] / row["initial_risk"] >= target for row in full]
            ends = [target if hit else row["r_multiple"] for hit, row in zip(hits, full, strict=True)]
            found[target] = (100.0 * sum(hits) / len(full), math.fsum(ends) / len(full))
    return found


def mistake_figures(rows: list[Row], marks: dict[int, set[str]]) -> dict[str, tuple[Any, ...]]:
    clean = mean([row["pnl"] for row in rows if not marks.get(row["id"])])
    found = {}
    for category in {category for row in rows for category in marks.get(row["id"], ())}:
        profits = [row["pnl"] for row in rows if category in marks.get(row["id"], ())]
        found[category] = (len(profits), math.fsum(profits), mean(profits), clean)
    return found


def known(rows: list[Row], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def quality(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    middle = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))
    return math.sqrt(min(len(values), 100)) * middle / spread if spread else None


def iv_rank_bucket(row: Row) -> str:
    rank = row["iv_rank"]
    if rank is None:
        return "unknown"
    low = min(int(rank // 20) * 20, 80)
    return f"{low}-{low + 20}"


def dte_bucket(row: Row) -> str:
    if row["dte"] is None:
        return "unknown"
    for low, high in ((0, 7), (8, 14), (15, 21), (22, 30), (31, 45), (46, 60)):
        if low <= row["dte"] <= high:
            return f"{low}-{high}"
    return "61+"


def moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp // 10**9, tz=UTC)


def text_of(name: str) -> Any:
    return lambda row: "unknown" if row[name] is None else row[name]


GROUPINGS: dict[str, Any] = {
    **{
        name: text_of(name)
        for name in ("signal_type", "sector", "symbol", "strategy", "close_reason", "close_code", "kind")
    },
    "iv_rank": iv_rank_bucket,
    "dte": dte_bucket,
    "weekday": lambda row: f"{moment(row['entry_ts']):%A}",
    "month": lambda row: f"{moment(row['exit_ts']):%Y-%m}",
}
