"""Trades side by side, and the cause of each difference.

Two trades are the same trade when the same signal opened them. What differs between them is named field by
field; why they differ is looked for in this order, and the first that holds is the cause: the market itself
(no such symbol, a gap in the feed, a late or revised bar, other prices), the decision (a signal that was not
there, another verdict), what an earlier difference did to the account, and last the coarser bar, which does
not know what happened first inside it. A trade is the same only if its money is: dividends and fees belong to
no price, so a trade may have both of its fills alike and end with another profit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from live.comparing.reading import Recorded
    from simulator.signals import Signals

__all__ = ["CAUSES", "Facts", "TradeDifference", "differences_of"]

Records = npt.NDArray[np.void]

CAUSES: Final = {
    "no symbol": "the other bars lack the symbol, or end before the signal",
    "gap in feed": "the feed had no bar where the other market has one",
    "late bar": "a bar came late or was revised there, and a decision is not taken twice",
    "prices": "the feed's prices are not those of the other market",
    "missing signal": "one side has no such signal",
    "verdict": "the risk manager answered otherwise",
    "account": "an earlier difference changed cash, heat or what was open",
    "dividends": "the other bars pay another dividend, or none",
    "fees": "the same fills were charged otherwise: other costs, or time counted otherwise",
    "path": "the coarser bar does not know what came first inside it, or knows a signal only at its close",
}
"""Causes, in the order in which they are looked for; dividends and fees where nothing but money differs."""

_CLOSE: Final = 1e-9  # prices and quantities that differ by less, relatively, are equal
_OTHER: Final = 1e-6  # and so are prices of two sources
_MONEY: Final = frozenset({"dividends", "fees", "profit"})


@dataclass(frozen=True, slots=True)
class Facts:
    """A trade: times in UTC nanoseconds, prices and money in currency; row: bar of the backtest.

    `pnl` is net of `fees` and has the `dividends` in it, paid on shorts as a negative number.
    """

    entry_ts: int
    entry_row: int
    entry_price: float
    qty: float
    exit_ts: int
    exit_row: int
    exit_price: float
    reason: str
    pnl: float
    fees: float
    dividends: float


@dataclass(frozen=True, slots=True)
class TradeDifference:
    """A trade that is not the same on both sides.

    Attributes
    ----------
    symbol, side, strategy
        Of the signal.
    signal_ts
        When it was known: label of the session's bar, or of the backtest's where the session has none.
    live, backtest
        The trade on each side; None where there is none.
    fields
        What differs: "entry bar", "entry price", "quantity", "exit bar", "exit reason", "exit price",
        "dividends", "fees", "profit", or "only live", "only in the backtest".
    cause
        One of `CAUSES`.
    detail
        A sentence on this one.
    """

    symbol: str
    side: int
    strategy: str
    signal_ts: int
    live: Facts | None
    backtest: Facts | None
    fields: tuple[str, ...]
    cause: str
    detail: str

    def __str__(self) -> str:
        """One line."""
        name = f"{self.symbol} {'long' if self.side > 0 else 'short'}"
        return f"{stamp(self.signal_ts)} {name}: {', '.join(self.fields)}; {self.cause}: {self.detail}"

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        values = {name: getattr(self, name) for name in self.__slots__}
        for name in ("live", "backtest"):
            facts = getattr(self, name)
            values[name] = None if facts is None else {key: getattr(facts, key) for key in facts.__slots__}
        return values | {"fields": list(self.fields)}


def differences_of(
    found: Recorded, trades: Records, verdicts: Records, signals: Signals, placeless: set[int]
) -> tuple[list[TradeDifference], int]:
    """Return the trades that are not the same, in the order of their signals, and how many are.

    Parameters
    ----------
    found
        The session.
    trades, verdicts
        Of the backtest; their tags are the numbers of the recorded signals, from 1.
    signals
        That were traded in the backtest.
    placeless
        Numbers, from 0, of recorded signals that the other bars have no place for.
    """
    return _Comparer(found, trades, verdicts, signals, placeless).all()


class _Comparer:
    def __init__(
        self, found: Recorded, trades: Records, verdicts: Records, signals: Signals, placeless: set[int]
    ) -> None:
        self.found = found
        self.placeless = placeless
        self.live = {int(trade["signal"]): trade for trade in found.trades}
        self.backtest = {int(trade["tag"]) - 1: trade for trade in trades}
        self.said_live = {int(one["signal"]): one for one in found.verdicts}
        self.said = {int(one["tag"]) - 1: one for one in verdicts}
        self.traded = {int(record["tag"]) - 1: record for record in signals.records}
        self.strategies = signals.strategies
        self.equal = 0
        self.first_row = len(found.bars)  # of a difference: from there on the accounts are not the same
        self.columns = {symbol: column for column, symbol in enumerate(found.bars.symbols)}
        self.own = {symbol: column for column, symbol in enumerate(found.like.symbols)}

    def all(self) -> tuple[list[TradeDifference], int]:
        numbers = sorted({*self.live, *self.backtest}, key=lambda number: (self._row(number), number))
        return list(filter(None, map(self._one, numbers))), self.equal

    def _one(self, number: int) -> TradeDifference | None:
        one, other = self.live.get(number), self.backtest.get(number)
        live = None if one is None else self._live_facts(one)
        backtest = None if other is None else _facts(other)
        fields = tuple(_fields(live, backtest))
        if not fields:
            self.equal += 1
            return None
        trade: Any = one if other is None else other
        symbols = self.found.like.symbols if other is None else self.found.bars.symbols
        symbol = symbols[int(trade["sym"])]
        cause, detail = self._cause(number, symbol, live, backtest, fields)
        rows = [facts.entry_row for facts in (live, backtest) if facts is not None]
        self.first_row = min(self.first_row, *rows)
        known = number < len(self.found.signal_bar)
        signal_ts = int(self.found.ts[self._bar(number)]) if known else int(self.traded[number]["ts"])
        strategy = self.found.signals.strategies if known else self.strategies
        code = self.found.signals.records["strategy"][number] if known else self.traded[number]["strategy"]
        return TradeDifference(
            symbol, int(trade["side"]), strategy[int(code)], signal_ts, live, backtest, fields, cause, detail
        )

    def _cause(
        self, number: int, symbol: str, live: Facts | None, backtest: Facts | None, fields: tuple[str, ...]
    ) -> tuple[str, str]:
        if number in self.placeless:
            return "no symbol", f"{self.found.bars.name} has no {symbol} there"
        rows = self._rows_between(number, live, backtest)
        for looked in (self._gap, self._late, self._prices):
            cause = looked(symbol, rows)
            if cause:
                return cause
        if number not in self.traded:
            return "missing signal", "the strategies do not give it over these bars"
        if number >= len(self.found.signal_bar):
            return "missing signal", "the session never had it"
        said, now = self.said_live.get(number), self.said.get(number)
        follows = self._row(number) >= self.first_row
        if said is not None and now is not None and _answer(said) != _answer(now):
            text = f"live {_verdict_text(said)}, in the backtest {_verdict_text(now)}"
            return ("account" if follows else "verdict"), text
        if follows and (live is None or backtest is None):
            return "account", "its order met an account in which other things were open"
        if live is not None and backtest is not None and _MONEY.issuperset(fields):
            for name, one, other in (
                ("dividends", live.dividends, backtest.dividends), ("fees", live.fees, backtest.fees),
            ):  # fmt: skip
                if name in fields:
                    return name, f"{one:,.2f} live, {other:,.2f} in the backtest"
        return "path", _path_text(live, backtest)

    def _rows_between(self, number: int, live: Facts | None, backtest: Facts | None) -> list[int]:
        """Rows that decided: of the signal, and of both sides' entry and exit."""
        rows = {self._row(number)}
        for facts in (live, backtest):
            if facts is not None:
                rows |= {facts.entry_row, facts.exit_row}
        if live is not None and backtest is not None and live.exit_row != backtest.exit_row:
            ends = sorted((live.exit_row, backtest.exit_row))
            rows |= set(range(ends[0], ends[1] + 1))
        return sorted(row for row in rows if 0 <= row < len(self.found.bars))

    def _gap(self, symbol: str, rows: list[int]) -> tuple[str, str] | None:
        own, column = self.own.get(symbol), self.columns[symbol]
        for row in rows:
            there = not np.isnan(self.found.bars.panel[row, column, 3])
            if there and (own is None or np.isnan(self.found.prices[row, own, 3])):
                return "gap in feed", f"no bar of {symbol} on {self._day(row)}"
            if "gap" in self.found.noted.get(row, ()):
                return "gap in feed", f"bars are missing before or on {self._day(row)}"
        return None

    def _late(self, symbol: str, rows: list[int]) -> tuple[str, str] | None:
        for row in rows:
            for kind in ("late", "revised"):
                if kind in self.found.noted.get(row, ()):
                    return "late bar", f"a {kind} bar on {self._day(row)} was not stepped"
        return None

    def _prices(self, symbol: str, rows: list[int]) -> tuple[str, str] | None:
        own, column = self.own[symbol], self.columns[symbol]
        for row in rows:
            mine, theirs = self.found.prices[row, own], self.found.bars.panel[row, column, :4]
            apart = np.abs(mine - theirs) > _OTHER * np.abs(theirs)
            if apart.any():
                which = int(np.argmax(apart))
                name = ("open", "high", "low", "close")[which]
                return (
                    "prices",
                    f"{name} on {self._day(row)} was {mine[which]:g} live, {theirs[which]:g} there",
                )
        return None

    def _row(self, number: int) -> int:
        if number < len(self.found.signal_bar):
            return int(self.found.row[self._bar(number)])
        return int(self.traded[number]["row"])

    def _bar(self, number: int) -> int:
        return min(int(self.found.signal_bar[number]), len(self.found.row) - 1)

    def _live_facts(self, trade: np.void) -> Facts:
        rows = [
            int(self.found.row[min(int(np.searchsorted(self.found.ts, ts)), len(self.found.row) - 1)])
            for ts in (trade["entry_ts"], trade["exit_ts"])
        ]
        return _facts(trade, *rows)

    def _day(self, row: int) -> str:
        return stamp(int(self.found.bars.ts[row]))


def _facts(trade: np.void, entry_row: int | None = None, exit_row: int | None = None) -> Facts:
    return Facts(
        entry_ts=int(trade["entry_ts"]),
        entry_row=int(trade["entry_row"]) if entry_row is None else entry_row,
        entry_price=float(trade["entry_price"]),
        qty=float(trade["qty"]),
        exit_ts=int(trade["exit_ts"]),
        exit_row=int(trade["exit_row"]) if exit_row is None else exit_row,
        exit_price=float(trade["exit_price"]),
        reason=ExitReason.labels().get(int(trade["exit_reason"]), "unknown"),
        pnl=float(trade["pnl"]),
        fees=float(trade["fees"]),
        dividends=float(trade["dividends"]),
    )


def _fields(live: Facts | None, backtest: Facts | None) -> Iterator[str]:
    if live is None or backtest is None:
        yield "only in the backtest" if live is None else "only live"
        return
    if live.entry_row != backtest.entry_row:
        yield "entry bar"
    if not np.isclose(live.entry_price, backtest.entry_price, rtol=_CLOSE, atol=0.0):
        yield "entry price"
    if not np.isclose(live.qty, backtest.qty, rtol=_CLOSE, atol=0.0):
        yield "quantity"
    if live.exit_row != backtest.exit_row:
        yield "exit bar"
    if live.reason != backtest.reason:
        yield "exit reason"
    if not np.isclose(live.exit_price, backtest.exit_price, rtol=_CLOSE, atol=0.0):
        yield "exit price"
    # sums of many small amounts: what is nothing beside the position's worth is rounding
    worth = max(
        abs(facts.qty * price)
        for facts in (live, backtest)
        for price in (facts.entry_price, facts.exit_price)
    )
    for name, one, other in (
        ("dividends", live.dividends, backtest.dividends),
        ("fees", live.fees, backtest.fees),
        ("profit", live.pnl, backtest.pnl),
    ):
        if not np.isclose(one, other, rtol=_CLOSE, atol=_CLOSE * worth):
            yield name


def _answer(verdict: np.void) -> tuple[int, float]:
    return int(verdict["reason"]), round(float(verdict["granted"]), 9)


def _verdict_text(verdict: np.void) -> str:
    label = Reason.labels().get(int(verdict["reason"]), "unknown")
    return f"{label} ({float(verdict['granted']):g} granted)"


def _path_text(live: Facts | None, backtest: Facts | None) -> str:
    if live is None or backtest is None:
        return f"its order was filled {'in the backtest' if live is None else 'live'} only"
    if live.entry_row != backtest.entry_row or live.entry_price != backtest.entry_price:
        return f"entered at {live.entry_price:g} live, at {backtest.entry_price:g} in the backtest"
    if live.exit_row == backtest.exit_row and live.exit_price == backtest.exit_price:
        return f"a part was left at another price: {live.pnl:,.2f} live, {backtest.pnl:,.2f} in the backtest"
    return (
        f"ended by {live.reason} at {live.exit_price:g} live, by {backtest.reason} at "
        f"{backtest.exit_price:g} in the backtest"
    )
