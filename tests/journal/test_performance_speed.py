"""A report over many trades takes microseconds a trade, and a close what it takes in a small journal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select

from journal import schema
from journal.performance import insights, mistakes, running
from journal.performance.closed import Scope
from journal.performance.report import read_report
from journal.records import trade_of
from tests.journal.generate import generate, memory, store

TRADES = 20_000


@pytest.mark.slow
def test_a_tenth_of_the_largest_journal() -> None:
    engine = memory()
    drawn = generate(1, TRADES, sources=("live",), open_share=0.01, per_day=50.0)
    with engine.begin() as connection:
        store(connection, drawn)
        running.rebuild(connection, "live")

        def report() -> None:
            found = read_report(connection, Scope.of("live"), 0)
            assert found.metrics.trades > 0.95 * TRADES
            assert found.recommendations

        # about 0.15 s alone; processor time, which work beside inflates less than the clock
        assert fastest(report) < 0.4
        last = [row["id"] for row in drawn.closed()[-40:]]
        rows = connection.execute(select(schema.trades).where(schema.trades.c.id.in_(last))).all()
        took = []
        for row in rows:
            trade = trade_of(row)
            began = time.process_time()
            insights.analyse(connection, trade)
            mistakes.detect(connection, trade)
            running.update(connection, trade)
            took.append(time.process_time() - began)
        assert statistics.median(took) < 0.02


def fastest(what: Callable[[], None], times: int = 5) -> float:
    took = []
    for _ in range(times):
        began = time.process_time()
        what()
        took.append(time.process_time() - began)
    return min(took)
