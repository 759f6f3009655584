"""What a session keeps in mind of its positions for the journal, and who writes them there.

The journal wants to know of a closed trade what was known when it was opened: the signal, what the risk
manager granted, the legs, the market. `Book` keeps that for what is open or working, and no longer, so that
it fits into a snapshot; `live.sessions.trade_rows` makes rows of what closed. A `TradeLog` takes its place
where somebody writes trades his own way, an automation from their entry on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.kernel.dtypes import FILL, LEG, PACKAGE, SIGNAL

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.sessions.history import History
    from live.sessions.recording import Piece
    from simulator.bars import Bars
    from simulator.kernel.state import State

__all__ = ["Book", "Closed", "Entry", "Names", "StepRecord", "TradeLog"]

Records = npt.NDArray[np.void]
Logs = dict[str, Records]

_QUOTED: Final = (codes.PRICE_QUOTE, codes.PRICE_MODEL)


@dataclass(slots=True)
class Names:
    """Tags and strategies of a session by code; they only grow. Code 0 is nothing."""

    tags: list[str] = field(default_factory=lambda: [""])
    strategies: list[str] = field(default_factory=lambda: [""])

    def copy(self) -> Names:
        """Return names that grow on their own."""
        return Names(list(self.tags), list(self.strategies))

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
class StepRecord:
    """What a `TradeLog` is told of one bar.

    Attributes
    ----------
    bar
        Its number.
    logs
        Fills, trades, verdicts, events and equity, as the kernel's records.
    like
        What all bars share: names by column.
    run_id
        The session's run in the journal, which its trades and verdicts name.
    """

    bar: int
    logs: Logs
    like: Bars
    run_id: int


class TradeLog(Protocol):
    """Writes what a bar did to trades and verdicts, in the transaction of the bar.

    In place of the session's own way, which writes a trade when it has closed. The session's state is that
    after the bar when it is called; where it raises, nothing of the bar is stored.
    """

    def write(self, connection: Connection, step: StepRecord) -> list[int]:
        """Return the numbers of the trades that closed."""
        ...


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
        """Return everything as arrays, for `live.sessions.recording.pack`."""
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
