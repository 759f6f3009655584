"""Journals for tests of tuning: rows of trades, refused recommendations with an outcome, planted edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from journal import ParameterStore, TradeJournal, schema

DAY_NS = 86_400_000_000_000
START = datetime(2024, 1, 2, 20, tzinfo=UTC)
START_NS = int(START.timestamp()) * 1_000_000_000

SCANNER = "options_scanner"
MANY = 250
"""Trades that suffice to find a planted edge."""

Row = dict[str, Any]
Open = Callable[..., TradeJournal]


def trade(**changes: Any) -> Row:
    """A put spread at 1.90, five wide, one contract: 310 at risk; 12 days, half the credit kept."""
    entry = changes.pop("entry_ts", START_NS)
    row: Row = {
        "source": "paper", "status": "closed", "kind": "option", "symbol": "SPY",
        "strategy": "short-put-spread", "side": -1, "quantity": 1.0, "open_quantity": 0.0,
        "multiplier": 100.0, "entry_ts": entry, "entry_price": 1.90, "initial_risk": 310.0,
        "max_profit": 190.0, "max_loss": 310.0, "buying_power": None, "spot": 100.0, "expiry": None,
        "dte": 45, "width": 5.0, "iv_rank": 60.0, "delta": None, "score": 70.0, "probability": 0.7,
        "exit_ts": entry + 12 * DAY_NS, "exit_price": 0.95, "close_code": "profit_target", "pnl": 95.0,
        "fees": 0.0, "gross_pnl": 95.0, "mfe": 95.0, "r_multiple": 95.0 / 310.0, "run_id": None,
        "campaign_id": None, "recommendation_id": None,
    }  # fmt: skip
    unknown = set(changes) - set(row)
    assert not unknown, unknown
    return row | changes


def add_trades(journal: TradeJournal, rows: list[Row]) -> None:
    """Insert trades as they are."""
    with journal.database.write() as connection:
        connection.execute(insert(schema.trades), rows)


def add_run(journal: TradeJournal, fingerprint: str) -> int:
    """Insert a stored backtest without trades and return its number."""
    with journal.database.write() as connection:
        return int(
            connection.execute(
                insert(schema.runs).returning(schema.runs.c.id),
                {"created_ts": START_NS, "source": "backtest", "fingerprint": fingerprint},
            ).scalar_one()
        )


def recommendation(**changes: Any) -> Row:
    """The same spread, recommended and ignored, at an IV rank of 40."""
    row: Row = {
        "status": "ignored", "source": "paper", "kind": "option", "created_ts": START_NS, "symbol": "SPY",
        "strategy": "short-put-spread", "side": -1, "quantity": 1.0, "entry_price": 1.90, "multiplier": 100.0,
        "max_profit": 190.0, "max_loss": 310.0, "buying_power": 311.0, "risk": 310.0, "spot": 100.0,
        "dte": 44, "width": 5.0, "iv_rank": 40.0, "delta": 12.0, "score": 61.0, "probability": 0.68,
    }  # fmt: skip
    assert set(changes) <= set(row)
    return row | changes


def refused(number: int | None, **changes: Any) -> Row:
    """What the ledger made of a recommendation: closed after 10 days at a loss of 62."""
    row: Row = {
        "case_key": f"recommendation:{number}", "source": "paper", "origin": "decision",
        "name": "recommendation ignored", "outcome": "ignored", "recommendation_id": number, "ts": START_NS,
        "symbol": "SPY", "side": -1, "strategy": "short-put-spread", "state": "closed", "quantity": 2.0,
        "entry_ts": START_NS, "entry_price": 1.90, "exit_ts": START_NS + 10 * DAY_NS, "exit_price": 2.21,
        "exit_reason": "stop", "r_multiple": -0.1, "pnl": -62.0, "fees": 0.0, "mfe_fraction": 0.25,
        "updated_ts": START_NS,
    }  # fmt: skip
    assert set(changes) <= set(row)
    return row | changes


def add_refused(journal: TradeJournal, pairs: list[tuple[Row, Row]]) -> list[int]:
    """Insert recommendations with what became of them; returns the numbers of the recommendations."""
    numbers = []
    with journal.database.write() as connection:
        for advice, outcome in pairs:
            table = schema.recommendations
            number = int(connection.execute(insert(table).returning(table.c.id), advice).scalar_one())
            numbers.append(number)
            connection.execute(
                insert(schema.counterfactuals),
                outcome | {"recommendation_id": number, "case_key": f"recommendation:{number}"},
            )
    return numbers


def chances(threshold: float) -> Callable[[float], float]:
    """Chance to win of a spread that keeps 0.35 R or loses 1 R: it earns from the threshold on."""
    return lambda rank: 0.93 if rank >= threshold else 0.60


def no_edge(rank: float) -> float:
    """The chance at which 0.35 R against 1 R earns nothing, whatever the rank."""
    return 1.0 / 1.35


def planted(
    journal: TradeJournal,
    count: int,
    chance: Callable[[float], float],
    *,
    source: str = "paper",
    seed: int = 1,
    ranks: tuple[float, float] = (50.0, 100.0),
    every_days: float = 3.0,
    **changes: Any,
) -> None:
    """Add `count` closed spreads whose chance to win depends on their IV rank."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        entry = START_NS + round(number * every_days * DAY_NS)
        rank = float(draw.uniform(*ranks))
        won = draw.random() < chance(rank)
        r = 0.35 if won else -1.0
        held = round(float(draw.uniform(8, 24)) * DAY_NS)
        rows.append(
            trade(
                source=source, entry_ts=entry, exit_ts=entry + held, iv_rank=round(rank, 1),
                dte=int(draw.integers(35, 56)), pnl=310.0 * r, gross_pnl=310.0 * r, r_multiple=r,
                mfe=310.0 * max(r, 0.1), symbol=("SPY", "QQQ", "IWM")[number % 3],
            )
            | changes
        )  # fmt: skip
    add_trades(journal, rows)


@contextmanager
def opening(folder: Path) -> Iterator[Open]:
    """Give a function that opens journals, whose clock stands long after their trades."""
    made: list[TradeJournal] = []

    def open_one(source: str = "paper") -> TradeJournal:
        where = folder / f"{len(made)}.db"
        made.append(TradeJournal(where, source=source, clock=lambda: START + timedelta(days=4_000)))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def statuses(journal: TradeJournal) -> list[str]:
    """Return the status of every parameter set, oldest first."""
    return [one.status for one in ParameterStore(journal).history()]
