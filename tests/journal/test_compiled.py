"""Statements are compiled once a process, and never taken for one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.sql.compiler import SQLCompiler

from journal import TradeJournal
from journal.storage.compiled import Compiled


def test_a_second_journal_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    begin = SQLCompiler.__init__

    def counted(self: SQLCompiler, *given: object, **named: object) -> None:
        made.append(type(given[0]).__name__)
        begin(self, *given, **named)  # type: ignore[arg-type]

    def use(name: str) -> None:
        with TradeJournal(tmp_path / name) as journal:
            trade = journal.log_trade_entry(symbol="AAPL", strategy="s", quantity=10, entry_price=100.0)
            outcome = journal.log_trade_exit(trade, exit_price=101.0, close_reason="target")
            assert outcome.pnl == pytest.approx(10.0)

    use("first.db")
    monkeypatch.setattr(SQLCompiler, "__init__", counted)
    use("second.db")
    assert made == []


def test_what_differs_is_kept_apart() -> None:
    kept = Compiled()
    here, there, other = _dialect("sqlite"), _dialect("postgresql"), _dialect("postgresql")
    other.server_version_info = (17, 2)
    for number, key in enumerate([(here, "a"), (here, "b"), (there, "a"), (other, "a"), ("a",), "a"]):
        kept[key] = number
    assert list(kept.values()) == [0, 1, 2, 3, 4, 5]
    assert kept[(_dialect("sqlite"), "a")] == 0
    assert kept.get((_dialect("sqlite"), "c")) is None


def _dialect(name: str) -> Any:
    return registry.load(name)()
