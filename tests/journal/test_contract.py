"""The shipped contract, on an SQLite file and on a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from journal.contract import JournalContract
from journal.trade_journal import TradeJournal
from simulator.errors import ConfigError


class TestOnSqlite(JournalContract):
    @pytest.fixture(autouse=True)
    def place(self, journal_path: Path) -> None:
        self.where = str(journal_path)

    def make_journal(self, **options: Any) -> TradeJournal:
        return TradeJournal(self.where, **options)


class TestOnPostgresql(JournalContract):
    @pytest.fixture(autouse=True)
    def place(self, postgres_url: str) -> None:
        self.where = postgres_url

    def make_journal(self, **options: Any) -> TradeJournal:
        return TradeJournal(self.where, **options)


def test_the_contract_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="Lacking is a JournalContract without make_journal"):
        type("Lacking", (JournalContract,), {})
