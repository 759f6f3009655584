"""From the logs of a session to rows of the journal: what closed, with legs and fills, and every verdict.

The journal wants to know of a closed trade what was known when it was opened: the signal, what the risk
manager granted, the legs, the market. `Book` keeps that for what is open or working, and no longer, so that
it fits into a snapshot. Rows keep the step's own profit, fees and risk; the journal's own code adds insights,
mistakes and running figures, as it does for every trade that closes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, insert

from journal import schema
from journal.accounting import capture_percent, days_between, occ_symbol, package_bounds
from journal.ledger.exiting import analyse
from journal.ledger.lookup import get_trade
from journal.result_rows import RANK_DEFINITION
from simulator.kernel import codes
from simulator.kernel.dtypes import FILL, LEG, PACKAGE, SIGNAL
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from live.history import History
    from live.recording import Piece
    from simulator.bars import Bars
    from simulator.kernel.state import State

__all__ = ["Book", "Closed", "Names", "store_trade", "store_verdicts"]

Records = npt.NDArray[np.void]
Logs = dict[str, Records]

_EPOCH: Final = date(1970, 1, 1)
_RIGHTS: Final = {1: "call", -1: "put", 0: "shares"}
_QUOTED: Final = (codes.PRICE_QUOTE, codes.PRICE_MODEL)
_FILL_KINDS: Final = {"assignment": "assignment", "expiry": "expiry"}
_OPENING: Final = (codes.KIND_ENTRY, codes.KIND_ADD)


@dataclass(slots=True)
class Names:
    """Tags and strategies of a session by code; they only grow. Code 0 is nothing."""

    tags: list[str] = field(default_factory=lambda: [""])
    strategies: list[str] = field(default_factory=lambda: [""])

    def coded(self, records: Records, name: str, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the session's codes of a column whose codes count in `names`."""
        table = self.tags if name == "tag" else self.strategies
        found = np.zeros(len(names), np.int64)
        for code in dict.fromkeys(records[name].tolist()):
            if names[code] not in table:
                table.append(names[code])
            found[code] = table.index(names[code])
        coded: npt.NDArray[np.int64] = found[records[name]]
        return coded


@dataclass(frozen=True, slots=True)
class Entry:
    """A signal that was admitted, with its legs, and what was granted."""

    signal: np.void
    granted: float
    package: np.void | None = None
    legs: Records | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A position that ended, and what was known of it."""

    trade: np.void
    fills: list[tuple[int, np.void]]
    entry: Entry | None
    market: tuple[float, float, float, float] | None
    """Of a package at its entry: price of the underlying, volatility, IV rank, and 1 if quotes were real."""


class Book:
    """What the journal will want to know of positions and orders that have not ended."""

    def __init__(self) -> None:
        self.number = 0
        self._entries: dict[int, Entry] = {}
        self._fills: dict[int, list[tuple[int, np.void]]] = {}
        self._markets: dict[int, tuple[float, float, float, float]] = {}

    def follow(self, piece: Piece, logs: Logs, first_signal: int, history: History) -> list[Closed]:
        """Take in what a bar brought; returns what closed on it. `first_signal`: signals judged before."""
        self._admit(piece, logs["verdicts"], first_signal)
        for fill in logs["fills"]:
            position = int(fill["position"])
            self._fills.setdefault(position, []).append((self.number, fill.copy()))
            self.number += 1
            if fill["kind"] == codes.KIND_ENTRY and fill["rule"] in _QUOTED:
                self._markets.setdefault(position, _market(piece.bars, fill, history))
        closed = []
        for trade in logs["trades"]:
            position = int(trade["id"])
            fills = self._fills.pop(position, [])
            entry = self._entries.get(int(trade["signal"]))
            closed.append(Closed(trade, fills, entry, self._markets.pop(position, None)))
        return closed

    def prune(self, state: State) -> None:
        """Forget signals of which nothing is open or working any more."""
        if self._entries:
            alive = {int(number) for number in state.orders["signal"][state.orders["listed"] == 1]}
            alive |= {int(number) for number in state.positions["signal"][state.positions["listed"] == 1]}
            self._entries = {number: entry for number, entry in self._entries.items() if number in alive}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything as arrays, for `live.recording.pack`."""
        entries, fills = list(self._entries.items()), [one for each in self._fills.values() for one in each]
        signals, packages = np.zeros(len(entries), SIGNAL), np.zeros(len(entries), PACKAGE)
        legs, granted = np.zeros((len(entries), 4), LEG), np.zeros(len(entries))
        for index, (_, entry) in enumerate(entries):
            signals[index], granted[index] = entry.signal, entry.granted
            if entry.package is not None:
                packages[index], legs[index] = entry.package, entry.legs
        kept = np.zeros(len(fills), FILL)
        for index, (_, fill) in enumerate(fills):
            kept[index] = fill
        return {
            "entry_numbers": np.array([number for number, _ in entries], np.int64),
            "entry_signals": signals,
            "entry_granted": granted,
            "entry_packages": packages,
            "entry_legs": legs,
            "fill_numbers": np.array([number for number, _ in fills], np.int64),
            "fills": kept,
            "market_positions": np.array(list(self._markets), np.int64),
            "markets": np.array(list(self._markets.values()), np.float64).reshape(len(self._markets), 4),
        }

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]], number: int) -> Book:
        """Rebuild a book from its arrays and the number of fills that it has seen."""
        book = cls()
        book.number = number
        for index, signal in enumerate(arrays["entry_numbers"].tolist()):
            record = arrays["entry_signals"][index]
            traded = bool(record["package"])
            book._entries[signal] = Entry(
                record.copy(),
                float(arrays["entry_granted"][index]),
                arrays["entry_packages"][index].copy() if traded else None,
                arrays["entry_legs"][index].copy() if traded else None,
            )
        for fill_number, fill in zip(arrays["fill_numbers"].tolist(), arrays["fills"], strict=True):
            book._fills.setdefault(int(fill["position"]), []).append((fill_number, fill.copy()))
        for position, market in zip(arrays["market_positions"].tolist(), arrays["markets"], strict=True):
            spot, volatility, rank, quoted = market.tolist()
            book._markets[position] = (spot, volatility, rank, quoted)
        return book

    def _admit(self, piece: Piece, verdicts: Records, first_signal: int) -> None:
        signals = piece.signals
        for verdict in verdicts:
            if verdict["granted"] > 0 and verdict["side"]:
                number = int(verdict["signal"])
                record = signals.records[number - first_signal]
                package = int(record["package"]) - 1
                self._entries[number] = Entry(
                    record.copy(),
                    float(verdict["granted"]),
                    signals.packages[package].copy() if package >= 0 else None,
                    signals.legs[package].copy() if package >= 0 else None,
                )


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
    labels = Reason.labels()
    connection.execute(
        insert(schema.verdicts),
        [
            {
                "run_id": run_id,
                "source": "paper",
                "ts": int(verdict["ts"]),
                "symbol": like.symbols[verdict["sym"]],
                "strategy": names.strategies[verdict["strategy"]],
                "rule": labels.get(int(verdict["reason"]), f"code {int(verdict['reason'])}"),
                "value": _known(verdict["value"]),
                "threshold": _known(verdict["limit"]),
                "asked": _known(verdict["asked"]),
                "granted": _known(verdict["granted"]) or 0.0,
            }
            for verdict in verdicts
        ],
    )


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
        "sector": like.sector_names[trade["sector"]],
        "side": side,
        "quantity": quantity,
        "open_quantity": 0.0,
        "multiplier": multiplier,
        "entry_ts": entry_ts,
        "entry_price": price,
        "stop_price": stop,
        "current_stop_price": stop,
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


def _market(bars: Bars, fill: np.void, history: History) -> tuple[float, float, float, float]:
    from simulator.options.iv_rank import iv_rank

    column = int(fill["sym"])
    spot, options = float(bars.close[0, column]), history.bars().options
    quoted = float(fill["rule"] == codes.PRICE_QUOTE)
    if options is None or not options.volatility.size:
        return spot, math.nan, math.nan, quoted
    seen = options.volatility[:, column]
    # the newest row is the bar of the fill, unless several bars share a transaction
    at = int(np.searchsorted(history.bars().ts, bars.ts[0]))
    first = 0 if history.limit is None else max(0, at + 1 - history.limit)
    return spot, float(seen[at]), float(np.asarray(iv_rank(seen[first : at + 1]))[-1]), quoted


def _iso(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _known(value)
    return number if number is not None and number > 0 else None


_DAY: Final = 86_400_000_000_000
