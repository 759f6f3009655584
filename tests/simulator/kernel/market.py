"""Small markets written out by hand, and short ways to run signals over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.bars import Bars
from simulator.commands import Command
from simulator.engine import Run
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from simulator.types import ExitReason, FillKind, HaltState, OrderState, PriceRule, Reason

__all__ = [
    "DAY",
    "LOOSE",
    "Day",
    "bars_of",
    "events",
    "fills",
    "flat",
    "made",
    "rules_of",
    "run",
    "signals",
    "states",
    "trades",
    "verdicts",
]

DAY: Final = 86_400_000_000_000
FIRST: Final = 18_000  # 2019-04-14

Day = tuple[float, ...]
"""Open, high, low, close and, where it matters, volume. An empty tuple is a missing bar."""

LOOSE: Final = RiskLimits(
    risk_per_trade_pct=100.0,
    max_portfolio_heat_pct=1e6,
    max_sector_exposure_pct=1e6,
    max_correlation=None,
    daily_loss_limit=99.0,
    max_open_positions=50,
    min_risk_reward_ratio=0.0,
    max_days_in_trade=None,
    max_positions_per_symbol=None,
)
"""The risk manager on, with no limit in reach but the buying power."""


def bars_of(days: Mapping[str, Sequence[Day]] | Sequence[Day], **keywords: Any) -> Bars:
    """Return daily bars around the clock; one list of bars is a market of the symbol A."""
    table = days if isinstance(days, Mapping) else {"A": days}
    length = len(next(iter(table.values())))
    panel = np.full((length, len(table), 5), np.nan)
    for column, rows in enumerate(table.values()):
        for row, bar in enumerate(rows):
            if bar:
                panel[row, column] = [*bar, *([1e6] if len(bar) == 4 else [])]
    ts = np.asarray(keywords.pop("ts", (FIRST + np.arange(length)) * DAY))
    tick = {symbol: {"tick": 0.0} for symbol in table}
    return Bars.from_arrays(list(table), ts, panel, **{"calendar": "24/7", "instruments": tick, **keywords})


def flat(price: float, count: int) -> list[Day]:
    """Return bars on which nothing happens."""
    return [(price, price, price, price)] * count


def made(*days: Day | float) -> list[Day]:
    """Return bars; a number is a bar that stays there."""
    return [(day, day, day, day) if isinstance(day, (int, float)) else day for day in days]


def signals(bars: Bars, *rows: Mapping[str, Any]) -> Signals:
    """Return signals from mappings: `row` (or 0), `symbol` (or the first), `side` (or 1), any column."""
    names = sorted({name for row in rows for name in row} - {"row", "symbol", "side"})
    words = {"entry", "tif", "exit", "tag", "strategy", "sector", "strength"}
    columns: dict[str, Any] = {}
    for name in names:
        if name in words:
            columns[name] = [row.get(name) for row in rows]
        else:
            absent = 0 if name in ("valid_until", "forced_ts") else np.nan
            columns[name] = np.array([row.get(name, absent) for row in rows])
    return Signals.from_arrays(
        bars,
        [row.get("row", 0) for row in rows],
        [row.get("symbol", bars.symbols[0]) for row in rows],
        [row.get("side", 1) for row in rows],
        **columns,
    )


def run(
    bars: Bars,
    *rows: Mapping[str, Any],
    commands: Sequence[tuple[Any, ...]] = (),
    until: int | None = None,
    **rules: Any,
) -> Run:
    """Run signals over bars; commands are (row, kind), (row, kind, symbol) or (row, kind, symbol, value)."""
    keywords: dict[str, Any] = {"cash": 100_000.0, "risk": None, **rules}
    done = Run(
        bars, signals(bars, *rows), commands=[_command(bars, *given) for given in commands], **keywords
    )
    done.advance(until)
    return done


def _command(
    bars: Bars, row: int, kind: str, symbol: str | None = None, value: float | None = None
) -> Command:
    return Command(pd.Timestamp(int(bars.ts[row]), tz="UTC"), kind, symbol=symbol, value=value)


def _log(done: Run, name: str) -> npt.NDArray[np.void]:
    records: npt.NDArray[np.void] = getattr(done.result().raw, name)
    return records


def fills(done: Run) -> list[tuple[Any, ...]]:
    """Return (row, kind, signed quantity, price) of every fill."""
    return [
        (int(f["row"]), FillKind(int(f["kind"])).label, float(f["side"] * f["qty"]), float(f["price"]))
        for f in _log(done, "fills")
    ]


def trades(done: Run) -> list[tuple[Any, ...]]:
    """Return (entry row, exit row, exit reason, exit price) of every trade."""
    return [
        (
            int(t["entry_row"]),
            int(t["exit_row"]),
            ExitReason(int(t["exit_reason"])).label,
            float(t["exit_price"]),
        )
        for t in _log(done, "trades")
    ]


def verdicts(done: Run) -> list[tuple[Any, ...]]:
    """Return (row, reason, quantity granted) of every verdict."""
    return [
        (int(v["row"]), Reason(int(v["reason"])).label, float(v["granted"])) for v in _log(done, "verdicts")
    ]


def events(done: Run, kind: FillKind = FillKind.ENTRY) -> list[tuple[int, str, str]]:
    """Return (row, state, reason) of every event of a kind."""
    return [
        (int(e["row"]), OrderState(int(e["state"])).label, Reason(int(e["reason"])).label)
        for e in _log(done, "events")
        if e["kind"] == kind
    ]


def states(done: Run) -> list[str]:
    """Return the halt state after every bar."""
    return [HaltState(int(row["state"])).label for row in _log(done, "equity")]


def rules_of(done: Run) -> list[str]:
    """Return the price rule of every fill."""
    return [PriceRule(int(f["rule"])).label for f in _log(done, "fills")]
