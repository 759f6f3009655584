"""The journal: entries and exits at 200,000 trades, each one durable when the call returns, and its size.

The journal is filled in bulk, then spreads are entered and closed one by one as a person or a broker's sync
does it: recommendation looked up, fill, legs, sums, insights, mistakes and running figures in one transaction
with `synchronous=FULL`. The disk decides a part of it: the time of an empty durable transaction is given
beside, and the processor's own time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from benchmarks.report import Check, Section
from journal import TradeJournal, schema
from journal.accounting import occ_symbol
from journal.performance import running

TRADES = 200_000
CALLS = 200
LIMIT_MS = 5.0
"""Most for the median durable entry or exit."""

BEGIN = datetime(2016, 1, 4, 15, 0, tzinfo=UTC)
SYMBOLS = tuple(f"S{number:03d}" for number in range(120))
STRATEGIES = ("short-put-spread", "iron-condor", "short-call-spread", "covered-call")
BATCH = 20_000


def journal_section(*, quick: bool) -> Section:
    """Fill a journal, then measure entries and exits."""
    section = Section("journal", f"journal: {CALLS} durable entries and exits by the number of trades stored")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trade_journal.db"
        with TradeJournal(path) as journal:
            stored = 0
            for wanted in (1_000, 20_000) if quick else (1_000, 20_000, TRADES):
                seconds = fill(journal, stored, wanted)
                stored = wanted
                before = size_of(path)
                row = measure(journal)
                section.rows.append(
                    {
                        "trades": wanted,
                        "filled in s": seconds,
                        **row,
                        "size MB": before / 1e6,
                        "bytes per trade": before / wanted,
                    }
                )
        last = section.rows[-1]
        for name in ("entry ms", "exit ms"):
            section.checks.append(Check(f"{name}, median of {CALLS}", last[name], LIMIT_MS, at_least=False))
    section.notes.append(f"an empty durable transaction takes {last['commit ms']:.2f} ms on this disk")
    return section


def measure(journal: TradeJournal) -> dict[str, float]:
    """Return median milliseconds of an entry, an exit, and an empty durable write."""
    legs = [{"side": -1, "kind": "put", "strike": 95.0}, {"side": 1, "kind": "put", "strike": 90.0}]
    expiry = (datetime.now(UTC) + timedelta(days=45)).date()
    entered: list[int] = []

    def enter() -> None:
        entered.append(
            journal.log_trade_entry(
                symbol=SYMBOLS[len(entered) % len(SYMBOLS)], strategy=STRATEGIES[0], actual_contracts=2,
                entry_credit=1.5, legs=legs, expiry=expiry, iv_rank=50.0,
            )
        )  # fmt: skip

    def leave() -> None:
        journal.log_trade_exit(entered.pop(), 0.75, "50% profit rule")

    def nothing() -> None:
        with journal.database.write() as connection:
            connection.execute(text("UPDATE trades SET vix = coalesce(vix, 0) + 1 WHERE id = 1"))

    enter()
    leave()
    found = {}
    for name, call in (("commit", nothing), ("entry", enter), ("exit", leave)):
        wall, processor = timed(call)
        found[f"{name} ms"] = wall
        if name != "commit":
            found[f"{name} CPU ms"] = processor
    return found


def timed(call: Callable[[], None]) -> tuple[float, float]:
    """Return medians of wall and processor time over `CALLS` calls, in milliseconds."""
    wall, processor = [], []
    for _ in range(CALLS):
        began, used = time.perf_counter(), time.process_time()
        call()
        wall.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.process_time() - used))
    return statistics.median(wall), statistics.mean(processor)


def fill(journal: TradeJournal, start: int, stop: int) -> float:
    """Store closed spreads in bulk, with legs, fills and running figures; return seconds."""
    began = time.perf_counter()
    with journal.database.write() as connection:
        offset = int(connection.execute(text("SELECT coalesce(max(id), 0) FROM trades")).scalar_one()) - start
        for first in range(start, stop, BATCH):
            numbers = range(first, min(first + BATCH, stop))
            for table, rows in (
                (schema.trades, trade_rows),
                (schema.legs, leg_rows),
                (schema.fills, fill_rows),
            ):
                made = [row for number in numbers for row in rows(number, number + offset + 1)]
                connection.execute(insert(table), made)
        running.rebuild(connection, "live")
    return time.perf_counter() - began


def trade_rows(number: int, trade_id: int) -> Iterator[dict[str, Any]]:
    """Yield the row of one closed spread; profits come and go without a generator's cost."""
    entry = int(BEGIN.timestamp()) * 10**9 + number * 1_500 * 10**9
    price, out = 1.5 + number % 7 / 10, (number * 37 % 100) / 25
    gross = 200.0 * (price - out)
    yield {
        "id": trade_id, "source": "live", "status": "closed", "kind": "option",
        "symbol": SYMBOLS[number * 31 % len(SYMBOLS)], "strategy": STRATEGIES[number % len(STRATEGIES)],
        "side": -1, "quantity": 2.0, "open_quantity": 0.0, "multiplier": 100.0, "entry_ts": entry,
        "entry_price": price, "initial_risk": 200.0 * (5.0 - price), "max_profit": 200.0 * price,
        "max_loss": 200.0 * (5.0 - price), "expiry": "2030-01-18", "dte": 30 + number % 30, "width": 5.0,
        "mid_price": price + 0.05, "iv": 0.2, "iv_rank": float(number * 13 % 100), "delta": 12.0,
        "score": 60.0,
        "exit_ts": entry + 12 * 86_400 * 10**9, "exit_price": out, "close_reason": "50% profit rule",
        "close_code": "profit_target", "fees": 5.2, "gross_pnl": gross, "pnl": gross - 5.2,
        "r_multiple": (gross - 5.2) / (200.0 * (5.0 - price)), "capture_percent": gross / (2.0 * price),
        "slippage": 10.0, "days": 12.0, "entry_notes": "as recommended", "exit_notes": "closed by the rule",
    }  # fmt: skip


def leg_rows(number: int, trade_id: int) -> Iterator[dict[str, Any]]:
    """Yield the two legs of a spread."""
    symbol = SYMBOLS[number * 31 % len(SYMBOLS)]
    for position, (side, strike) in enumerate(((-1, 95.0), (1, 90.0))):
        yield {
            "trade_id": trade_id, "position": position, "side": side, "kind": "put",
            "symbol": occ_symbol(symbol, "2030-01-18", "put", strike), "strike": strike,
            "expiry": "2030-01-18", "ratio": 1.0, "open_quantity": 0.0,
        }  # fmt: skip


def fill_rows(number: int, trade_id: int) -> Iterator[dict[str, Any]]:
    """Yield the opening and the closing fill of a spread."""
    [trade] = trade_rows(number, trade_id)
    for count, (effect, side, price, ts) in enumerate(
        (
            ("open", -1, trade["entry_price"], trade["entry_ts"]),
            ("close", 1, trade["exit_price"], trade["exit_ts"]),
        ),
        start=1,
    ):
        yield {
            "execution_key": f"own:{trade_id}:{count}", "trade_id": trade_id, "source": "live", "ts": ts,
            "kind": "trade", "effect": effect, "symbol": trade["symbol"], "underlying": trade["symbol"],
            "side": side, "quantity": 2.0, "price": price, "multiplier": 100.0, "fees": 2.6,
        }  # fmt: skip


def size_of(path: Path) -> int:
    """Return bytes of the database, its log included."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file())
