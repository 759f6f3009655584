"""Rows of the journal's tables, read from the logs of a simulated run.

Excursions are fractions of the entry price in a result and currency here; infinite and NaN are NULL. A trade
keeps the result's own profit, fees and risk; its fills are the run's executions, and one more for dividends.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from journal.accounting import capture_percent, days_between, occ_symbol, package_bounds
from journal.values import symbol_of
from simulator.kernel import codes
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from simulator.results import Result

__all__ = ["RANK_DEFINITION", "Reading", "equity_row", "first_target"]

RANK_DEFINITION: Final = "252 sessions of the market's volatility"
"""How a result's IV rank at entry is defined."""

_EPOCH: Final = date(1970, 1, 1)
_RIGHTS: Final = {1: "call", -1: "put", 0: "shares"}
_OPENING: Final = frozenset({"entry", "add"})
_OPEN_AT_END: Final = ExitReason.END_OF_DATA.label
_FILL_KINDS: Final = {"assignment": "assignment", "expiry": "expiry"}

_Leg = tuple[int, str, float, float, str]
"""Side, kind, strike, ratio, expiry."""


class Reading:
    """Rows of the journal's tables, read from a result's logs."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.raw = result.raw
        self.frame = result.trades
        self.log = result.raw.trades
        self.positions: list[int] = [int(value) for value in self.log["id"]]
        rows, columns = self.log["entry_row"].tolist(), self.log["sym"].tolist()
        self.places = dict(zip(self.positions, zip(rows, columns, strict=True), strict=True))
        packages = result.packages
        self.package_rows = {int(row["id"]): row for row in packages.to_dict("records")}
        self.kept = self._package_legs()

    def trades(self, run_id: int, source: str) -> Iterator[dict[str, Any]]:
        """Yield rows of `trades` in the order of the result."""
        granted = self._granted()
        records = self.raw.signals.records
        opening = self._opening()
        for row, signal in zip(self.frame.to_dict("records"), self.log["signal"].tolist(), strict=True):
            position = int(row["id"])
            package = self.package_rows.get(position)
            kind = "stock" if package is None else "option"
            multiplier, legs = self.kept.get(position, (1.0, []))
            side, quantity, price = int(row["side"]), float(row["qty"]), float(row["entry_price"])
            size = quantity * multiplier
            fees, pnl = float(row["fees"]), float(row["pnl"])
            entry_ts, exit_ts = row["entry_time"].value, row["exit_time"].value
            best, worst = (None, None) if package is None else _bounds(legs, side, price)
            best = None if best is None else best * size
            reason = str(row["exit_reason"])
            stop = _known(row["stop"]) if package is None else None
            target = None
            if package is None and signal >= 0:
                target = first_target(records[signal], side, price, stop, opening[position])
            yield {
                "run_id": run_id,
                "source": source,
                "status": "closed",
                "kind": kind,
                "symbol": symbol_of("symbol", row["symbol"]),
                "strategy": row["strategy"] or row["tag"] or "signals",
                "signal_type": row["tag"] or None,
                "sector": row["sector"],
                "side": side,
                "quantity": quantity,
                "open_quantity": 0.0,
                "multiplier": multiplier,
                "entry_ts": entry_ts,
                "entry_price": price,
                "stop_price": stop,
                "current_stop_price": stop,
                "target_price": target,
                "initial_risk": _positive(row["initial_risk"]),
                "max_profit": best,
                "max_loss": None if worst is None else worst * size,
                "granted_quantity": granted.get(signal),
                "spot": price if package is None else self._spot(position),
                "expiry": None if package is None else package["expiry"].date().isoformat(),
                "dte": None if package is None else int(package["dte"]),
                "width": _width(legs),
                "iv": self._volatility(position),
                "iv_rank": None if package is None else _known(package["iv_rank"]),
                "iv_rank_definition": None if package is None else RANK_DEFINITION,
                "score": _known(records["score"][signal]) if signal >= 0 else None,
                "strength": _strength(records["strength"][signal]) if signal >= 0 else None,
                "grade": None if package is None else package["grade"],
                "exit_ts": exit_ts,
                "exit_price": float(row["exit_price"]),
                "close_reason": reason,
                "close_code": reason,
                "fees": fees,
                "gross_pnl": pnl + fees,
                "pnl": pnl,
                "r_multiple": _known(row["r_multiple"]),
                "capture_percent": capture_percent(kind, side, pnl + fees, price * size, best),
                "mae": _known(row["mae"] * price * size),
                "mfe": _known(row["mfe"] * price * size),
                "days": days_between(entry_ts, exit_ts),
            }

    def legs(self, trades: Mapping[int, int]) -> Iterator[dict[str, Any]]:
        """Yield rows of `legs`, all closed."""
        symbols = dict(zip(self.positions, self.frame["symbol"], strict=True))
        for position, (_, legs) in self.kept.items():
            for number, (side, kind, strike, ratio, expiry) in enumerate(legs):
                ticker = symbol_of("symbol", symbols[position])
                option = kind != "shares"
                yield {
                    "trade_id": trades[position],
                    "position": number,
                    "side": side,
                    "kind": kind,
                    "symbol": occ_symbol(ticker, expiry, kind, strike) if option else ticker,
                    "strike": strike if option else None,
                    "expiry": expiry if option else None,
                    "ratio": ratio,
                    "open_quantity": 0.0,
                }

    def fills(self, trades: Mapping[int, int], run_id: int, source: str) -> Iterator[dict[str, Any]]:
        """Yield rows of `fills`: the executions, and the dividends of each trade."""
        frame = self.result.fills
        columns = ("time", "symbol", "side", "kind", "qty", "price", "fee", "position", "reason")
        last: dict[int, int] = {}
        held: dict[int, float] = defaultdict(float)
        taken: dict[int, float] = defaultdict(float)
        for number, row in enumerate(zip(*(frame[name].tolist() for name in columns), strict=True)):
            when, name, side, kind, quantity, price, fee, position, reason = row
            symbol = symbol_of("symbol", name)
            if position not in trades:
                continue
            last[position] = when.value
            sign = 1.0 if kind in _OPENING else -1.0
            held[position] += sign * float(quantity)
            if sign < 0:
                taken[position] += float(quantity) * float(price)
            yield {
                "execution_key": f"run:{run_id}:{number}",
                "trade_id": trades[position],
                "source": source,
                "ts": when.value,
                "kind": _FILL_KINDS.get(reason, "trade"),
                "effect": "open" if kind in _OPENING else "close",
                "symbol": symbol,
                "underlying": symbol,
                "side": int(side),
                "quantity": float(quantity),
                "price": float(price),
                "multiplier": self.kept.get(position, (1.0, []))[0],
                "fees": float(fee),
            }
        for trade in self.frame.to_dict("records"):
            position, cash = int(trade["id"]), float(trade["dividends"])
            symbol = symbol_of("symbol", trade["symbol"])
            if trade["exit_reason"] == _OPEN_AT_END:
                # the result counts it as closed at its mark; its exit price is the average of all exits
                exits = float(trade["exit_price"]) * float(trade["qty"])
                yield {
                    "execution_key": f"run:{run_id}:mark:{position}",
                    "trade_id": trades[position],
                    "source": source,
                    "ts": trade["exit_time"].value,
                    "kind": "trade",
                    "effect": "close",
                    "symbol": symbol,
                    "underlying": symbol,
                    "side": -int(trade["side"]),
                    "quantity": held[position],
                    "price": (exits - taken[position]) / held[position],
                    "multiplier": self.kept.get(position, (1.0, []))[0],
                    "fees": 0.0,
                }
            if cash:
                yield {
                    "execution_key": f"run:{run_id}:dividends:{position}",
                    "trade_id": trades[position],
                    "source": source,
                    "ts": last[position],
                    "kind": "dividend",
                    "effect": "none",
                    "symbol": symbol,
                    "underlying": symbol,
                    "side": -1 if cash > 0 else 1,
                    "quantity": 1.0,
                    "price": abs(cash),
                    "multiplier": 1.0,
                    "fees": 0.0,
                }

    def tags(self, trades: Mapping[int, int]) -> Iterator[dict[str, Any]]:
        """Yield rows of `tags`: the tag of each signal that had one."""
        for position, tag in zip(self.positions, self.frame["tag"], strict=True):
            if tag:
                yield {"trade_id": trades[position], "tag": tag}

    def equity(self, run_id: int) -> Iterator[dict[str, Any]]:
        """Yield a row of `equity` per session, of its last bar."""
        raw = self.raw
        session = raw.bars.session[: raw.seen].tolist()
        last = [row for row in range(raw.seen) if row + 1 == raw.seen or session[row + 1] != session[row]]
        for row, ts in zip(raw.equity[last], raw.bars.ts[last].tolist(), strict=True):
            yield equity_row(row, run_id, ts)

    def verdicts(self, run_id: int, source: str) -> Iterator[dict[str, Any]]:
        """Yield rows of `verdicts`, one per signal."""
        log, labels = self.raw.verdicts, Reason.labels()
        names = ("ts", "sym", "strategy", "reason", "value", "limit", "asked", "granted")
        for ts, symbol, strategy, reason, value, limit, asked, granted in zip(
            *(log[name].tolist() for name in names), strict=True
        ):
            yield {
                "run_id": run_id,
                "source": source,
                "ts": ts,
                "symbol": symbol_of("symbol", self.raw.bars.symbols[symbol]),
                "strategy": self.raw.strategies[strategy] if self.raw.strategies else "",
                "rule": labels.get(reason, f"code {reason}"),
                "value": _known(value),
                "threshold": _known(limit),
                "asked": _known(asked),
                "granted": _known(granted) or 0.0,
            }

    def _opening(self) -> dict[int, list[tuple[float, float]]]:
        """Return by position the quantities and prices of the fills that opened it."""
        log = self.raw.fills
        opening = log[np.isin(log["kind"], (codes.KIND_ENTRY, codes.KIND_ADD))]
        found: dict[int, list[tuple[float, float]]] = defaultdict(list)
        columns = (opening[name].tolist() for name in ("position", "qty", "price"))
        for position, quantity, price in zip(*columns, strict=True):
            found[position].append((quantity, price))
        return found

    def _granted(self) -> dict[int, float]:
        log = self.raw.verdicts
        return dict(zip(log["signal"].tolist(), log["granted"].tolist(), strict=True))

    def _package_legs(self) -> dict[int, tuple[float, list[_Leg]]]:
        signals = self.raw.signals
        found = {}
        for row in self.log[[position in self.package_rows for position in self.positions]]:
            package = int(signals.records["package"][row["signal"]]) - 1
            expiry = int(signals.packages["expiry"][package])
            legs = []
            for leg in signals.legs[package]:
                if leg["ratio"] > 0:
                    day = int(leg["expiry"]) if leg["right"] else expiry
                    legs.append(
                        (
                            int(leg["side"]), _RIGHTS[int(leg["right"])], float(leg["strike"]),
                            float(leg["ratio"]), (_EPOCH + timedelta(days=day)).isoformat(),
                        )
                    )  # fmt: skip
            found[int(row["id"])] = float(signals.packages["multiplier"][package]), legs
        return found

    def _spot(self, position: int) -> float | None:
        row, column = self.places[position]
        return _known(self.raw.bars.close[row, column])

    def _volatility(self, position: int) -> float | None:
        options = self.raw.bars.options
        if position not in self.package_rows or options is None or not options.volatility.size:
            return None
        row, column = self.places[position]
        return _known(options.volatility[row, column])


def first_target(
    signal: np.void, side: int, average: float, stop: float | None, opening: Sequence[tuple[float, float]]
) -> float | None:
    """Return a trade's first target as it was set at the entry; None where a split has moved it since.

    Parameters
    ----------
    signal
        What asked for the trade: a price, percent of the fill, or a multiple of the distance to the stop.
    average
        Entry price of the trade, in shares of its end.
    stop
        The first stop.
    opening
        Quantity and price of the fills that opened it, in shares of their time; the first is the entry.
    """
    size = math.fsum(quantity for quantity, _ in opening)
    paid = math.fsum(quantity * price for quantity, price in opening)
    if not size or not math.isclose(paid / size, average, rel_tol=1e-9):
        return None
    entry = opening[0][1]
    if not math.isnan(signal["target"]):
        return float(signal["target"])
    if not math.isnan(signal["target_percent"]):
        return entry + side * abs(entry) * float(signal["target_percent"]) / 100.0
    if stop is None or math.isnan(signal["target_r"]):
        return None
    return entry + side * float(signal["target_r"]) * abs(entry - stop)


def equity_row(row: np.void, run_id: int, ts: int) -> dict[str, Any]:
    """Return a row of `equity` from a record of the equity log, for the bar with this label."""
    return {
        "run_id": run_id,
        "ts": ts,
        "equity": float(row["equity"]),
        "cash": float(row["cash"]),
        "gross": float(row["gross"]),
        "heat": _known(row["heat"]),
        "state": int(row["state"]),
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _known(value)
    return number if number is not None and number > 0 else None


def _strength(value: Any) -> int | None:
    return int(value) if int(value) > 0 else None


def _bounds(legs: Sequence[_Leg], side: int, price: float) -> tuple[float | None, float | None]:
    if not legs or len({leg[4] for leg in legs}) > 1:
        return None, None
    # shares pay off like a call that is exercised for nothing
    options = [(at, kind, strike, ratio) if kind != "shares" else (at, "call", 0.0, ratio)
               for at, kind, strike, ratio, _ in legs]  # fmt: skip
    return package_bounds(options, -side * price)


def _width(legs: Sequence[_Leg]) -> float | None:
    widths = []
    for kind in ("call", "put"):
        strikes = [leg[2] for leg in legs if leg[1] == kind]
        if len({leg[0] for leg in legs if leg[1] == kind}) == 2:
            widths.append(max(strikes) - min(strikes))
    return max(widths) if widths else None
