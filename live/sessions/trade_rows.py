"""From the logs of a session to rows of the journal: what closed, with legs and fills, and every verdict.

Rows keep the step's own profit, fees and risk; the journal's own code adds insights, mistakes and running
figures, as it does for every trade that closes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Connection, insert

from journal import schema
from journal.accounting import capture_percent, days_between, occ_symbol, package_bounds
from journal.ledger.exiting import analyse
from journal.ledger.lookup import get_trade
from journal.result_rows import RANK_DEFINITION, first_target
from live.sessions.trades import Closed, Names, Records, StepRecord
from simulator.bars.instruments import UNKNOWN_SECTOR
from simulator.kernel import codes
from simulator.signal_input import OWN_SECTOR
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["store_trade", "store_verdicts", "verdict_row"]

_DAY: Final = 86_400_000_000_000
_EPOCH: Final = date(1970, 1, 1)
_RIGHTS: Final = {1: "call", -1: "put", 0: "shares"}
_FILL_KINDS: Final = {"assignment": "assignment", "expiry": "expiry"}
_REASONS: Final = Reason.labels()
_OPENING: Final = (codes.KIND_ENTRY, codes.KIND_ADD)


def store_trade(
    connection: Connection, closed: Closed, *, like: Bars, names: Names, run_id: int, account: str
) -> int:
    """Store a closed position with legs and fills, analyse it, and return its number in the journal."""
    row, legs = _trade_row(closed, like, names)
    row |= {"run_id": run_id, "source": "paper", "account": account}
    key: Any = connection.execute(insert(schema.trades), row).inserted_primary_key
    trade_id = int(key[0])
    if legs:
        connection.execute(insert(schema.legs), [leg | {"trade_id": trade_id} for leg in legs])
    fills = list(_fill_rows(closed, row, trade_id, run_id))
    if fills:
        connection.execute(insert(schema.fills), fills)
    if row["signal_type"]:
        connection.execute(insert(schema.tags), {"trade_id": trade_id, "tag": row["signal_type"]})
    analyse(connection, get_trade(connection, trade_id))
    return trade_id


def store_verdicts(
    connection: Connection, verdicts: Records, *, like: Bars, names: Names, run_id: int
) -> None:
    """Store the risk manager's answers."""
    if not len(verdicts):
        return
    rows = [
        _verdict_row(verdict, like, run_id, strategy=names.strategies[verdict["strategy"]])
        for verdict in verdicts
    ]
    connection.execute(insert(schema.verdicts), rows)


def verdict_row(verdict: np.void, step: StepRecord, *, strategy: str) -> dict[str, Any]:
    """Return a verdict as a row of the journal."""
    return _verdict_row(verdict, step.like, step.run_id, strategy=strategy)


def _verdict_row(verdict: np.void, like: Bars, run_id: int, *, strategy: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "source": "paper",
        "ts": int(verdict["ts"]),
        "symbol": like.symbols[verdict["sym"]],
        "strategy": strategy,
        "rule": _REASONS.get(int(verdict["reason"]), f"code {int(verdict['reason'])}"),
        "value": _known(verdict["value"]),
        "threshold": _known(verdict["limit"]),
        "asked": _known(verdict["asked"]),
        "granted": _known(verdict["granted"]) or 0.0,
    }


def _trade_row(closed: Closed, like: Bars, names: Names) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    trade, entry, market = closed.trade, closed.entry, closed.market
    package = entry is not None and entry.package is not None and market is not None
    kind, multiplier, symbol = "option" if package else "stock", 1.0, like.symbols[trade["sym"]]
    legs: list[dict[str, Any]] = []
    best = worst = expiry = None
    price, side, quantity = float(trade["entry_price"]), int(trade["side"]), float(trade["qty"])
    if entry is not None and entry.package is not None and entry.legs is not None and package:
        multiplier = float(entry.package["multiplier"])
        legs = _leg_rows(entry.legs, int(entry.package["expiry"]), symbol)
        best, worst = _bounds(legs, -side * price)
        expiry = int(entry.package["expiry"])
    size = quantity * multiplier
    best = None if best is None else best * size
    fees, pnl = float(trade["fees"]), float(trade["pnl"])
    entry_ts, exit_ts = int(trade["entry_ts"]), int(trade["exit_ts"])
    reason = ExitReason.labels().get(int(trade["exit_reason"]), f"code {int(trade['exit_reason'])}")
    stop = None if package else _known(trade["stop"])
    tag, strategy = names.tags[trade["tag"]], names.strategies[trade["strategy"]]
    spot, volatility, rank, quoted = market if market is not None else (price, math.nan, math.nan, 0.0)
    signal = None if entry is None else entry.signal
    row = {
        "status": "closed",
        "kind": kind,
        "symbol": symbol,
        "strategy": strategy or tag or "signals",
        "signal_type": tag or None,
        "sector": _sector(like, int(trade["sector"])),
        "side": side,
        "quantity": quantity,
        "open_quantity": 0.0,
        "multiplier": multiplier,
        "entry_ts": entry_ts,
        "entry_price": price,
        "stop_price": stop,
        "current_stop_price": stop,
        "target_price": None if package else _target(closed, stop),
        "initial_risk": _positive(trade["initial_risk"]),
        "max_profit": best,
        "max_loss": None if worst is None else worst * size,
        "granted_quantity": None if entry is None else _known(entry.granted),
        "spot": _known(spot),
        "expiry": None if expiry is None else _iso(expiry),
        "dte": None if expiry is None else expiry - entry_ts // _DAY,
        "width": _width(legs),
        "iv": _known(volatility),
        "iv_rank": _known(rank),
        "iv_rank_definition": RANK_DEFINITION if package else None,
        "score": None if signal is None else _known(signal["score"]),
        "strength": None if signal is None or signal["strength"] <= 0 else int(signal["strength"]),
        "grade": ("quoted" if quoted else "modelled") if package else None,
        "exit_ts": exit_ts,
        "exit_price": float(trade["exit_price"]),
        "close_reason": reason,
        "close_code": reason,
        "fees": fees,
        "gross_pnl": pnl + fees,
        "pnl": pnl,
        "r_multiple": _known(trade["r_multiple"]),
        "capture_percent": capture_percent(kind, side, pnl + fees, price * size, best),
        "mae": _known(trade["mae"] * price * size),
        "mfe": _known(trade["mfe"] * price * size),
        "days": days_between(entry_ts, exit_ts),
    }
    return row, legs


def _target(closed: Closed, stop: float | None) -> float | None:
    if closed.entry is None:
        return None
    opening = [
        (float(fill["qty"]), float(fill["price"])) for _, fill in closed.fills if fill["kind"] in _OPENING
    ]
    trade = closed.trade
    return first_target(closed.entry.signal, int(trade["side"]), float(trade["entry_price"]), stop, opening)


def _fill_rows(closed: Closed, row: dict[str, Any], trade_id: int, run_id: int) -> list[dict[str, Any]]:
    reasons, symbol = ExitReason.labels(), row["symbol"]
    rows: list[dict[str, Any]] = []
    for number, fill in closed.fills:
        rows.append(
            {
                "execution_key": f"run:{run_id}:{number}",
                "trade_id": trade_id,
                "source": "paper",
                "account": row["account"],
                "ts": int(fill["ts"]),
                "kind": _FILL_KINDS.get(reasons.get(int(fill["reason"]), ""), "trade"),
                "effect": "open" if fill["kind"] in _OPENING else "close",
                "symbol": symbol,
                "underlying": symbol,
                "side": int(fill["side"]),
                "quantity": float(fill["qty"]),
                "price": float(fill["price"]),
                "multiplier": row["multiplier"],
                "fees": float(fill["fee"]),
            }
        )
    cash = float(closed.trade["dividends"])
    if cash and rows:
        rows.append(
            rows[-1]
            | {
                "execution_key": f"run:{run_id}:dividends:{int(closed.trade['id'])}",
                "kind": "dividend",
                "effect": "none",
                "side": -1 if cash > 0 else 1,
                "quantity": 1.0,
                "price": abs(cash),
                "multiplier": 1.0,
                "fees": 0.0,
            }
        )
    return rows


def _leg_rows(legs: Records, expiry: int, symbol: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for leg in legs[legs["ratio"] > 0]:
        kind = _RIGHTS[int(leg["right"])]
        day = _iso(int(leg["expiry"]) if leg["right"] else expiry)
        option = kind != "shares"
        rows.append(
            {
                "position": len(rows),
                "side": int(leg["side"]),
                "kind": kind,
                "symbol": occ_symbol(symbol, day, kind, float(leg["strike"])) if option else symbol,
                "strike": float(leg["strike"]) if option else None,
                "expiry": day if option else None,
                "ratio": float(leg["ratio"]),
                "open_quantity": 0.0,
            }
        )
    return rows


def _bounds(legs: Sequence[dict[str, Any]], credit: float) -> tuple[float | None, float | None]:
    if len({leg["expiry"] for leg in legs if leg["expiry"]}) > 1:
        return None, None
    # shares pay off like a call that is exercised for nothing
    return package_bounds(
        [
            (
                leg["side"],
                "call" if leg["kind"] == "shares" else leg["kind"],
                leg["strike"] or 0.0,
                leg["ratio"],
            )
            for leg in legs
        ],
        credit,
    )


def _width(legs: Sequence[dict[str, Any]]) -> float | None:
    widths = []
    for kind in ("call", "put"):
        mine = [leg for leg in legs if leg["kind"] == kind]
        if len({leg["side"] for leg in mine}) == 2:
            strikes = [float(leg["strike"]) for leg in mine]
            widths.append(max(strikes) - min(strikes))
    return max(widths) if widths else None


def _sector(like: Bars, code: int) -> str:
    # of a sector that only a signal named, the records keep a code and no name
    return like.sector_names[code] if code < OWN_SECTOR else UNKNOWN_SECTOR


def _iso(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _known(value)
    return number if number is not None and number > 0 else None
