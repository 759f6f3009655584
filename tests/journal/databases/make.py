"""Writes `version_<n>.db`, a small journal of the schema version that the code has now.

Run it once when a version is finished, and commit the file: `python -m tests.journal.databases.make`. Files
of earlier versions stay as they are; the test of upgrades opens a copy of each. The rows are written by the
tables alone, so that no other part of the journal has to exist.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from journal import schema
from journal.database import Database

FOLDER = Path(__file__).parent
MOMENT = datetime(2024, 1, 2, 15, tzinfo=UTC)
TS = int(MOMENT.timestamp()) * 1_000_000_000

ROWS: dict[str, list[dict[str, Any]]] = {
    "runs": [{"id": 1, "created_ts": TS, "source": "backtest", "fingerprint": "f1", "label": "first"}],
    "parameters": [
        {
            "id": 1, "component": "options_scanner", "version": 1, "status": "in_force", "evidence": "{}",
            "settings": '{"min_iv_rank":50.0}', "source": "live", "created_ts": TS,
        }
    ],
    "recommendations": [
        {
            "id": 1, "status": "executed", "source": "live", "kind": "option", "created_ts": TS,
            "symbol": "SPY", "strategy": "short-put-spread", "side": -1, "quantity": 2.0, "entry_price": 1.25,
            "multiplier": 100.0, "iv_rank": 62.0, "expiry": "2024-02-16", "dte": 45, "max_loss": 375.0,
        },
        {
            "id": 2, "status": "ignored", "source": "live", "kind": "stock", "created_ts": TS,
            "symbol": "Zürich", "strategy": "breakout",
            "side": 1, "quantity": 10.0, "entry_price": 99.5, "decision": "no time",
        },
    ],
    "trades": [
        {
            "id": 1, "name": "TRADE_001", "recommendation_id": 1, "parameter_set_id": 1, "campaign_id": 1,
            "source": "live", "status": "closed", "kind": "option", "symbol": "SPY",
            "strategy": "short-put-spread", "side": -1, "quantity": 2.0, "open_quantity": 0.0,
            "multiplier": 100.0, "entry_ts": TS, "entry_price": 1.25, "exit_ts": TS + 10**9,
            "exit_price": 0.6, "close_reason": "50% profit rule", "close_code": "profit_target",
            "gross_pnl": 130.0, "fees": 2.6, "pnl": 127.4, "initial_risk": 750.0, "r_multiple": 0.17,
        },
        {
            "id": 2, "run_id": 1, "source": "backtest", "status": "open", "kind": "stock", "symbol": "AAPL",
            "strategy": "breakout", "side": 1, "quantity": 10.0, "open_quantity": 10.0, "entry_ts": TS,
            "entry_price": 185.25,
        },
    ],
    "legs": [
        {"trade_id": 1, "position": 0, "side": -1, "kind": "put", "symbol": "SPY240216P00470000"},
        {"trade_id": 1, "position": 1, "side": 1, "kind": "put", "symbol": "SPY240216P00465000"},
    ],
    "statements": [
        {"id": 1, "broker": "tastytrade", "digest": "ab", "imported_ts": TS, "rows_read": 2, "rows_new": 2}
    ],
    "fills": [
        {
            "id": 1, "execution_key": "a", "trade_id": 1, "statement_id": 1, "source": "live", "ts": TS,
            "kind": "trade", "effect": "open", "symbol": "SPY", "underlying": "SPY", "side": -1,
            "quantity": 2.0, "price": 1.25, "multiplier": 100.0, "fees": 1.3,
        },
        {
            "id": 2, "execution_key": "b", "trade_id": 1, "source": "live", "ts": TS + 10**9, "kind": "trade",
            "effect": "close", "symbol": "SPY", "underlying": "SPY", "side": 1, "quantity": 2.0, "price": 0.6,
            "multiplier": 100.0, "fees": 1.3,
        },
    ],
    "lots": [{"close_fill_id": 2, "open_fill_id": 1, "quantity": 2.0, "chosen_ts": TS}],
    "performance_metrics": [
        {
            "source": "live", "scope": "all", "ts": TS + 10**9, "trade_id": 1, "trades": 1, "wins": 1,
            "losses": 0, "gross_profit": 127.4, "gross_loss": 0.0, "total_pnl": 127.4, "total_fees": 2.6,
            "sum_squares": 16230.76, "r_count": 1, "sum_r": 0.17, "sum_r_squares": 0.0289, "streak": 1,
            "longest_win_streak": 1, "longest_loss_streak": 0, "peak_pnl": 127.4, "max_drawdown": 0.0,
        }
    ],
    "insights": [{"trade_id": 1, "ts": TS, "code": "high_iv_rank", "direction": 1, "text": "IV rank was 62"}],
    "mistakes": [{"trade_id": 1, "ts": TS, "category": "early_exit", "automatic": 1}],
    "lessons": [{"trade_id": 1, "ts": TS, "lesson": "Wait for the range to break – and then buy"}],
    "tags": [{"trade_id": 1, "tag": "earnings"}],
    "verdicts": [{"source": "live", "ts": TS, "symbol": "SPY", "rule": "admitted", "granted": 2.0}],
    "commands": [
        {"id": "c1", "name": "add_tag", "dropped_ts": TS, "decided_ts": TS, "outcome": "applied"}
    ],
    "iv_history": [
        {"symbol": "SPY", "session": "2024-01-02", "definition": "VIX", "iv": 0.132, "recorded_ts": TS}
    ],
    "sessions": [
        {
            "id": 1, "name": "paper", "run_id": 1, "created_ts": TS, "engine": "e1", "configuration": "{}",
            "frame": b"\x01",
        }
    ],
    "inputs": [{"session_id": 1, "bar": 0, "kind": "bar", "ts": TS, "data": b"\x01\x02"}],
    "steps": [
        {"session_id": 1, "bar": 0, "ts": TS, "code": 0, "input": "i1", "state": "s1", "logs": b"\x03"}
    ],
    "snapshots": [
        {"session_id": 1, "bars": 1, "state": b"\x04", "memory": b"", "closes": b"", "closes_bars": 0}
    ],
    "orders": [
        {
            "id": 1, "account": "desk", "client_order_id": "tw-1", "broker": "paper", "symbol": "AAPL",
            "order_class": "bracket", "purpose": "entry", "bar_ts": TS, "request": "{}",
            "outcome": "confirmed", "broker_order": "B1", "state": "filled", "quantity": 10.0, "filled": 10.0,
            "average_price": 100.25, "final": 1, "sent_ts": TS, "updated_ts": TS,
        }
    ],
    "events": [
        {
            "account": "desk", "ts": TS, "kind": "fill", "key": "fill:paper:test:E1",
            "client_order_id": "tw-1", "symbol": "AAPL", "data": '{"quantity":10.0}',
        }
    ],
    "reviews": [
        {
            "account": "desk", "review": "R-0000000000000001", "kind": "request", "state": "approved",
            "broker": "paper", "symbol": "AAPL", "created_ts": TS, "decided_ts": TS + 10**9,
            "decided_by": "ada", "price": 100.0,
        }
    ],
    "equity": [
        {
            "run_id": 1, "ts": TS, "equity": 100_500.0, "cash": 60_000.0, "gross": 40_500.0, "heat": 0.02,
            "state": 0,
        }
    ],
    "counterfactuals": [
        {
            "case_key": "session:1:0", "source": "paper", "origin": "rule", "name": "heat",
            "outcome": "rejected", "session": "paper", "ts": TS, "symbol": "AAPL", "side": 1,
            "asked": 10.0, "state": "closed", "quantity": 10.0, "entry_ts": TS, "entry_price": 100.0,
            "exit_ts": TS + 10**9, "exit_price": 98.0, "exit_reason": "stop", "r_multiple": -1.0,
            "pnl": -20.0, "updated_ts": TS,
        }
    ],
}  # fmt: skip


def write(path: Path) -> None:
    """Begin a journal at `path` and put the rows into it."""
    with Database(path, clock=lambda: MOMENT) as database, database.write() as connection:
        for table in schema.metadata.sorted_tables:
            for row in ROWS.get(table.name, []):
                connection.execute(insert(table).values(**row))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "journal.db")
        shutil.copyfile(Path(folder) / "journal.db", FOLDER / f"version_{schema.SCHEMA_VERSION}.db")
