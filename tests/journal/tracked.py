"""A journal, a paper account and the tracker between them, and looks into what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from journal import PositionTracker, TradeJournal, schema
from simulator.brokerage import Execution
from simulator.paper_positions import PaperPositions
from tests.journal.making import Clock, put_spread, sizing

SHORT, LONG = "SPY260220P00095000", "SPY260220P00090000"

NEXT_SHORT, NEXT_LONG = "SPY260320P00095000", "SPY260320P00090000"


class Forgetful(PaperPositions):
    """An account that holds everything and shows no executions before some time."""

    shown_from = 0

    def forget(self) -> None:
        self.shown_from = len(self._executions)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        shown = {done.execution_id for done in self._executions[self.shown_from :]}
        return [done for done in super().executions(since) if done.execution_id in shown]


class Desk:
    """A journal, a paper account and the tracker between them, at one clock."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = Clock()
        self.journal = TradeJournal(path, clock=self.clock, source="paper", **options)
        self.account = Forgetful()
        self.tracker = PositionTracker(self.journal, self.account)

    def trade(self, *legs: tuple[str, float, float], fees: float = 0.0, **later: float) -> str:
        when = self.clock.forward(**later) if later else self.clock.now
        multiplier = 100.0 if len(legs[0][0]) > 10 else 1.0
        return self.account.trade(legs, time=when, multiplier=multiplier, fees=fees)

    def open_spread(self, packages: int = 5, **later: float) -> str:
        return self.trade((SHORT, -packages, 2.85), (LONG, packages, 0.95), fees=packages * 2.0, **later)

    def close_spread(self, packages: int = 5, price: float = 0.90, **later: float) -> str:
        return self.trade((SHORT, packages, price + 0.20), (LONG, -packages, 0.20), **later)

    def recommend(self, **later: float) -> int:
        number = self.journal.log_recommendation(put_spread(), sizing(5), reason="scan")
        if later:
            self.clock.forward(**later)
        return number


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path / "journal.db")
    yield one
    one.journal.close()


def near(value: Any) -> Any:
    """Return a value that floats equal which differ from it by rounding."""
    return pytest.approx(value)


def rows(journal: TradeJournal, table: Any) -> list[dict[str, Any]]:
    with journal.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]


def everything(journal: TradeJournal) -> dict[str, Any]:
    tables = [table for table in schema.metadata.sorted_tables if table.name != "schema_history"]
    with journal.database.read() as connection:
        return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables}
