"""Journals drawn at random, straight into the tables.

A generated journal is a value: lists of rows per table. Trades in stock and options, long and short, won,
lost and scratched (profit exactly 0), open, partly closed and closed in parts, from several sources, with
fields left unknown, with mistakes, lessons, tags and insights. Nothing of `journal` computes a figure here:
profits follow from the prices that were drawn.

By default nothing about a trade tells its outcome and the expected gross profit of every trade is 0. An edge
is planted by `chance`: a function of the row that returns what is added to its chance to win.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, insert

from journal import schema

DAY_NS = 86_400_000_000_000
START = datetime(2019, 1, 2, 15, 0, tzinfo=UTC)
SYMBOLS = ("SPY", "QQQ", "NVDA", "IWM", "AAPL", "TLT")
SECTORS = {"SPY": "Index", "QQQ": "Index", "NVDA": "Technology", "IWM": "Index", "AAPL": "Technology"}
STOCK_STRATEGIES = ("breakout", "pullback")
OPTION_STRATEGIES = ("short-put-spread", "iron-condor", "short-strangle", "long-call")
SIGNAL_TYPES = ("flag", "cup", "gap")
CATEGORIES = ("premature_exit", "moved_stop", "oversized", "late_entry", "revenge_trade")
WORDS = {"profit_target": "50% profit rule", "stop": "Stop loss", "dte": "21 DTE", "manual": "closed by hand"}
MAY_BE_UNKNOWN = (
    "signal_type", "sector", "stop_price", "target_price", "initial_risk", "max_profit", "max_loss",
    "buying_power", "max_days", "iv_rank", "dte", "mid_price", "close_reason", "close_code", "r_multiple",
    "capture_percent", "mae", "mfe", "slippage", "days", "granted_quantity", "earnings_days",
)  # fmt: skip

Row = dict[str, Any]


@dataclass
class Generated:
    """Rows per table, ready to insert; ids are set."""

    trades: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    mistakes: list[Row] = field(default_factory=list)
    lessons: list[Row] = field(default_factory=list)
    insights: list[Row] = field(default_factory=list)
    tags: list[Row] = field(default_factory=list)

    def closed(self, source: str | None = None) -> list[Row]:
        """Closed trades of a source (all without one) in the order of exits."""
        rows = [row for row in self.trades if row["status"] == "closed" and source in (None, row["source"])]
        return sorted(rows, key=lambda row: (row["exit_ts"], row["id"]))


def memory() -> Engine:
    """An empty journal in memory, for as long as the engine has its connection."""
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", poolclass=StaticPool)
    schema.metadata.create_all(engine)
    return engine


def store(connection: Connection, drawn: Generated) -> None:
    """Insert a generated journal."""
    for name in ("trades", "fills", "mistakes", "lessons", "insights", "tags"):
        rows = getattr(drawn, name)
        if rows:
            connection.execute(insert(schema.metadata.tables[name]), rows)


def generate(
    seed: int,
    trades: int = 40,
    *,
    sources: Sequence[str] = ("live", "paper", "backtest"),
    symbols: Sequence[str] = SYMBOLS,
    options: float = 0.6,
    open_share: float = 0.1,
    unknown: float = 0.15,
    scratches: float = 0.06,
    fees: bool = True,
    per_day: float = 1.0,
    chance: Callable[[Row], float] | None = None,
    first_id: int = 1,
    start: datetime = START,
) -> Generated:
    """Draw a journal.

    Parameters
    ----------
    seed, trades
        Random seed, and how many trades to draw, open ones included.
    options, open_share, unknown, scratches
        Shares: of options among trades, of open trades, of unknown values in columns that may be unknown, of
        closed trades with a profit of exactly 0.
    per_day
        Entries per calendar day on average.
    chance
        What is added to a trade's chance to win, as a function of its row at entry; None is no edge.
    """
    draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
    drawn = Generated()
    moment = start
    for number in range(first_id, first_id + trades):
        moment += timedelta(days=draw.expovariate(per_day))
        row = _entry(draw, number, moment, draw.choice(sources), draw.choice(symbols), options)
        shift = chance(row) if chance else 0.0
        if draw.random() < open_share:
            _leave_open(draw, row)
        else:
            _close(draw, row, shift, scratch=draw.random() < scratches, fees=fees)
        _fills(draw, row, drawn)
        for column in MAY_BE_UNKNOWN:
            if draw.random() < unknown:
                row[column] = None
        drawn.trades.append(row)
        _notes(draw, row, drawn)
    return drawn


def _entry(draw: random.Random, number: int, when: datetime, source: str, symbol: str, options: float) -> Row:
    row: Row = dict.fromkeys(column.name for column in schema.trades.columns)
    option = draw.random() < options
    strategy = draw.choice(OPTION_STRATEGIES if option else STOCK_STRATEGIES)
    side = (1 if strategy == "long-call" else -1) if option else draw.choice((1, 1, -1))
    price = round(draw.uniform(0.8, 4.0) if option else draw.uniform(20.0, 300.0), 2)
    quantity = float(draw.randint(1, 8) if option else draw.randint(10, 200))
    multiplier = 100.0 if option else 1.0
    value = price * quantity * multiplier
    risk = round(value * (draw.uniform(0.8, 2.5) if option else draw.uniform(0.02, 0.08)), 2)
    stamp = int(when.timestamp()) * 1_000_000_000
    dte = draw.randint(5, 60)
    row.update(
        id=number,
        name=f"TRADE_{number:03d}" if draw.random() < 0.3 else None,
        source=source,
        status="closed",
        kind="option" if option else "stock",
        symbol=symbol,
        strategy=strategy,
        signal_type=draw.choice(SIGNAL_TYPES),
        sector=SECTORS.get(symbol),
        side=side,
        quantity=quantity,
        open_quantity=0.0,
        multiplier=multiplier,
        entry_ts=stamp,
        entry_price=price,
        stop_price=round(max(0.01, price - side * risk / (quantity * multiplier)), 2),
        target_price=round(max(0.01, price + side * risk / (quantity * multiplier)), 2),
        initial_risk=risk,
        max_loss=risk,
        max_days=float(draw.randint(5, 40)),
        buying_power=round(draw.uniform(1.0, 2.0) * risk, 2),
        granted_quantity=quantity + draw.choice((-1.0, 0.0, 0.0, 2.0)),
        mid_price=round(price + draw.uniform(-0.02, 0.05), 2),
        earnings_days=draw.randint(0, 60),
        entry_notes="",
        exit_notes="",
        fees=0.0,
        gross_pnl=0.0,
        pnl=0.0,
    )
    if row["granted_quantity"] <= 0:
        row["granted_quantity"] = quantity
    row["current_stop_price"] = row["stop_price"]
    if option:
        row["iv_rank"] = round(draw.uniform(5.0, 95.0), 1)
        row["iv"] = round(draw.uniform(0.1, 0.6), 4)
        row["dte"] = dte
        row["expiry"] = (when + timedelta(days=dte)).date().isoformat()
        row["max_profit"] = value if side < 0 else None
    row["slippage"] = round(abs(row["mid_price"] - price) * quantity * multiplier, 2)
    return row


def _close(draw: random.Random, row: Row, shift: float, *, scratch: bool, fees: bool) -> None:
    size = row["quantity"] * row["multiplier"]
    base = 0.6 if row["kind"] == "option" else 0.42
    won = draw.random() < base + shift
    scale = 0.5 * row["entry_price"] if row["kind"] == "option" else row["initial_risk"] / size
    scale *= draw.uniform(0.6, 1.4)
    move = scale if won else -scale * base / (1 - base)  # fair: the chance and the sizes balance out
    row["exit_price"] = round(max(0.0, row["entry_price"] + row["side"] * move), 2)
    row["fees"] = round(draw.uniform(0.5, 3.0), 2) if fees else 0.0
    if scratch:
        row["exit_price"], row["fees"] = row["entry_price"], 0.0
    row["gross_pnl"] = row["side"] * (row["exit_price"] - row["entry_price"]) * size
    row["pnl"] = row["gross_pnl"] - row["fees"]
    days = float(draw.randint(0, min(row["dte"] or 40, 40))) + draw.choice((0.0, 0.25))
    row["days"] = days
    row["exit_ts"] = row["entry_ts"] + int(days * DAY_NS)
    row["r_multiple"] = row["pnl"] / row["initial_risk"]
    if row["kind"] == "option" and row["side"] < 0:
        row["capture_percent"] = 100.0 * row["gross_pnl"] / (row["entry_price"] * size)
    row["mfe"] = max(0.0, row["gross_pnl"]) + round(draw.expovariate(1.0) * 0.4 * row["initial_risk"], 2)
    row["mae"] = min(0.0, row["gross_pnl"]) - round(draw.expovariate(1.0) * 0.3 * row["initial_risk"], 2)
    usual = ("profit_target", "dte", "manual") if won else ("stop", "stop", "dte", "manual")
    if row["kind"] == "stock":
        usual = ("target", "manual", "time") if won else ("stop", "manual", "time")
    row["close_code"] = draw.choice(usual)
    row["close_reason"] = WORDS.get(row["close_code"], row["close_code"])


def _leave_open(draw: random.Random, row: Row) -> None:
    row["status"], row["open_quantity"] = "open", row["quantity"]
    if row["quantity"] >= 2 and draw.random() < 0.5:
        part = float(draw.randint(1, int(row["quantity"]) - 1))
        row["open_quantity"] = row["quantity"] - part
        row["exit_price"] = round(row["entry_price"] * draw.uniform(0.7, 1.3), 2)
        row["gross_pnl"] = row["side"] * (row["exit_price"] - row["entry_price"]) * part * row["multiplier"]
        row["pnl"] = row["gross_pnl"]


def _fills(draw: random.Random, row: Row, drawn: Generated) -> None:
    closed = row["quantity"] - row["open_quantity"]
    first = draw.randint(1, int(closed) - 1) if closed >= 2 and draw.random() < 0.3 else closed
    end = row["exit_ts"] or row["entry_ts"] + DAY_NS
    parts = [("open", row["side"], row["quantity"], row["entry_price"], row["entry_ts"])]
    if closed:
        parts.append(("close", -row["side"], float(first), row["exit_price"], end))
    if closed > first:
        parts.append(("close", -row["side"], closed - first, row["exit_price"], end))
    for place, (effect, side, quantity, price, stamp) in enumerate(parts):
        drawn.fills.append(
            {
                "execution_key": f"drawn:{row['id']}:{place}",
                "trade_id": row["id"],
                "source": row["source"],
                "ts": stamp,
                "kind": "trade",
                "effect": effect,
                "symbol": row["symbol"],
                "underlying": row["symbol"],
                "side": side,
                "quantity": quantity,
                "price": price,
                "multiplier": row["multiplier"],
                "fees": row["fees"] if place == len(parts) - 1 else 0.0,
            }
        )


def _notes(draw: random.Random, row: Row, drawn: Generated) -> None:
    stamp = row["exit_ts"] or row["entry_ts"]
    for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
        category, automatic = draw.choice(CATEGORIES), draw.choice((0, 1))
        drawn.mistakes.append(
            {
                "trade_id": row["id"],
                "ts": stamp,
                "category": category,
                "description": "",
                "automatic": automatic,
            }
        )
    if draw.random() < 0.2:
        drawn.lessons.append({"trade_id": row["id"], "ts": stamp, "lesson": f"Lesson {row['id'] % 3}"})
    if row["status"] == "closed" and draw.random() < 0.4:
        direction = draw.choice((-1, 0, 1))
        text = f"Finding {direction}"
        drawn.insights.append(
            {"trade_id": row["id"], "ts": stamp, "code": "drawn", "direction": direction, "text": text}
        )
    if draw.random() < 0.3:
        drawn.tags.append({"trade_id": row["id"], "tag": draw.choice(("earnings", "trend", "test"))})
