"""Positions of the books against those of a broker, and the name of what differs.

The name says what probably happened: a trade that is not ours, an assignment, a split, fills that the broker
has not told of yet. It is for the person who decides; of all names that of a split alone changes what an
acceptance does: working orders are brought in line by its ratio, so one that nobody can be sure of is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from live.brokers.interface import BrokerOrder
from live.reconciling.differences import Cause, Found
from live.reconciling.fill_ledger import DUST, FillLedger
from live.reconciling.splits import Asked, Split, rescaled
from simulator.brokerage import Holding

__all__ = ["compare", "split_ratio"]

_OCC: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5})\d{6}[CP]\d{8}")
_LARGEST_RATIO: Final = 100
_PRICE_FITS: Final = 0.2
"""How far average cost times ratio may be from the books' average, as a share, for a split to be named."""
_COST_FITS: Final = 0.01
"""The same where the price alone tells the ratio."""


def compare(
    broker: str,
    ledger: FillLedger,
    positions: Sequence[Holding],
    orders: Sequence[BrokerOrder],
    claimed: Mapping[str, float],
    moving: set[str],
    asked: Callable[[BrokerOrder], Asked | None],
) -> tuple[list[Found], set[str]]:
    """Return the differences in symbols that are at rest, and which others differ.

    Parameters
    ----------
    claimed
        Signed quantities by symbol that orders say are filled and executions do not.
    moving
        Symbols in motion.
    asked
        Says what was asked for when an order was sent, None for one that is not ours.

    Returns
    -------
    tuple
        The differences, and the symbols that differ and are in motion.
    """
    holdings = {one.symbol: one for one in positions}
    books = ledger.positions()
    found, waiting = [], set()
    for symbol in sorted(set(holdings) | set(books)):
        there = holdings[symbol].quantity if symbol in holdings else 0.0
        here = books.get(symbol, 0.0)
        if abs(there - here) <= DUST:
            continue
        if symbol in moving:
            waiting.add(symbol)
        else:
            found.append(
                _named(broker, symbol, here, there, ledger, holdings.get(symbol), orders, claimed, asked)
            )
    return found, waiting


def split_ratio(before: float, after: float) -> Fraction | None:
    """Return the ratio of a split that makes `before` shares `after`, None where none does.

    >>> split_ratio(10.0, 100.0)
    Fraction(10, 1)
    >>> split_ratio(300.0, 10.0)
    Fraction(1, 30)
    >>> split_ratio(10.0, 13.7) is None
    True
    """
    if before * after <= 0:
        return None
    ratio = Fraction(after / before).limit_denominator(_LARGEST_RATIO)
    small = min(ratio.numerator, ratio.denominator)
    usual = ratio != 1 and small <= 3 and max(ratio.numerator, ratio.denominator) <= _LARGEST_RATIO
    return ratio if usual and abs(before * float(ratio) - after) <= 1e-6 * abs(after) else None


def _named(
    broker: str,
    symbol: str,
    here: float,
    there: float,
    ledger: FillLedger,
    holding: Holding | None,
    orders: Sequence[BrokerOrder],
    claimed: Mapping[str, float],
    asked: Callable[[BrokerOrder], Asked | None],
) -> Found:
    data: dict[str, Any] = {"books": here, "broker": there}
    words = f"{symbol}: the books hold {here:g}, {broker} holds {there:g}"
    foreign = ledger.foreign(symbol)
    trades = [one for one in foreign if one.kind == "trade"]
    cause: Cause = "position"
    ratio = _split(here, there, ledger, symbol, holding)
    if _is_assigned(symbol, there - here, ledger, is_split=ratio is not None):
        cause, words = "assignment", f"{words}, after an exercise or assignment"
    elif abs(claimed.get(symbol, 0.0) - (there - here)) <= DUST:
        cause, words = "fills_missing", f"{words}; its orders say that they filled, and no execution does"
    elif ratio is not None and not trades:
        cause = "split"
        data["ratio"] = [ratio.numerator, ratio.denominator]
        data["orders"] = rescaled(Split(symbol, float(ratio), here, there, holding), orders, asked)
        words = f"{words}, as after a split {ratio.numerator}:{ratio.denominator}"
        if data["orders"]:
            words += f"; {len(data['orders'])} working orders still have their old prices or quantities"
    elif trades:
        cause = "foreign_trade"
        data["executions"] = [one.execution_id for one in trades]
        words = f"{words}; traded there and not by us: {', '.join(data['executions'])}"
    elif here == 0.0:
        cause = "foreign_position"
    elif there == 0.0:
        cause, words = "missing_position", f"{words}: it is not in the broker's list"
    return Found(cause=cause, broker=broker, symbols=(symbol,), message=words, data=data)


def _is_assigned(symbol: str, missing: float, ledger: FillLedger, *, is_split: bool) -> bool:
    """Whether this contract, or one on this stock, was exercised or assigned, and nobody has accepted it yet.

    Those of before are over: where the shares that moved are not what is missing, a split is a split.
    """
    settled = max((one.time for one in ledger.adjustments if one.symbol == symbol), default=None)
    moved, found = 0.0, False
    for one in ledger.fills.values():
        if one.kind not in ("exercise", "assignment"):
            continue
        if settled is not None and ledger.taken[one.execution_id] <= settled:
            continue
        option = _OCC.fullmatch(one.symbol)
        if one.symbol == symbol:
            moved += one.side * one.quantity
        found = found or one.symbol == symbol or (option is not None and option[1] == symbol)
    return found and (not is_split or abs(moved - missing) <= DUST)


def _split(
    here: float, there: float, ledger: FillLedger, symbol: str, holding: Holding | None
) -> Fraction | None:
    """Return the ratio of a split, None where it is none, or nobody can say which."""
    if holding is None or _OCC.fullmatch(symbol):
        return None
    ratio = split_ratio(here, there)
    prices = [one.price for one in ledger.fills.values() if one.symbol == symbol and one.price > 0]
    cost = holding.average_price
    if cost is None or not prices:
        return ratio
    if ratio is None or ratio < 1:
        # a fraction of a share is paid in cash, and then only the price tells the ratio
        dearer = cost / _average(ledger, symbol)
        found = _reverse_split(here, there, dearer)
        if found is None and ratio is not None and ratio.numerator > 1:
            found = ratio if abs(dearer * float(ratio) - 1.0) <= _COST_FITS else None
        elif found is None:
            found = ratio
        ratio = found
    if ratio is None:
        return None
    # what a share cost must have shrunk as the number of shares has grown
    after = cost * float(ratio)
    return ratio if min(prices) * (1 - _PRICE_FITS) <= after <= max(prices) * (1 + _PRICE_FITS) else None


def _reverse_split(here: float, there: float, dearer: float) -> Fraction | None:
    """Return 1:n where `there` is the whole shares of `here` / n, and each has become n times as dear."""
    many = round(dearer)
    if not 1 < many <= _LARGEST_RATIO or abs(dearer / many - 1.0) > _COST_FITS or here * there <= 0.0:
        return None
    return Fraction(1, many) if math.floor(abs(here) / many + DUST) == abs(there) else None


def _average(ledger: FillLedger, symbol: str) -> float:
    """Return the average price of what brought the position that the books hold."""
    side = math.copysign(1.0, ledger.positions().get(symbol, 0.0))
    mine = [
        one for one in ledger.fills.values() if one.symbol == symbol and one.side == side and one.price > 0
    ]
    shares = math.fsum(one.quantity for one in mine)
    return math.fsum(one.quantity * one.price for one in mine) / shares if shares else math.inf
