"""A symbol at the venue: its prices, and the orders that rest in it, as the kernel matches them.

The kernel sees rows of an array; a row belongs to an order as long as it works. Whether a row fills, and at
which price, is asked of `match_resting`; nothing here decides it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from live.venue.orders import Order
from live.venue.symbols import CONTRACT_SIZE, contract_of
from simulator.kernel import codes
from simulator.kernel.dtypes import BAR
from simulator.kernel.quotes import QUOTE_OK
from simulator.kernel.resting import QUOTED_LEG, RESTING, match_resting, package_terms
from simulator.kernel.stops import TRAIL_DISTANCE, TRAIL_NONE, TRAIL_PERCENT

__all__ = ["Book", "Proposal", "first_come"]

Records = npt.NDArray[np.void]
Proposal = tuple[Order, float, bool]
"""An order, the mirrored price that it may fill at, whether the fill slips."""

_KINDS: Final = {
    "market": codes.ENTRY_OPEN,
    "limit": codes.ENTRY_LIMIT,
    "stop": codes.ENTRY_STOP,
    "stop_limit": codes.ENTRY_STOP_LIMIT,
    "trailing_stop": codes.ENTRY_STOP,
}
_ROWS: Final = 8  # at first


class Book:
    """Prices and resting orders of one symbol.

    Attributes
    ----------
    live
        Whether an order may trade at once at the price that is known: after a tick, not after a bar.
    opened
        Whether there has been a price in this session.
    quoted
        Whether the prices can be traded at: an option's quote may be missing, crossed or without a bid.
    spread, span
        Quoted spread, NaN if unknown; range of the bar.
    volume, used
        Of the bar or tick; NaN if unknown.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.contract = contract_of(symbol)
        self.multiplier = CONTRACT_SIZE if self.contract else 1.0
        self.last = math.nan
        self.bid = math.nan
        self.ask = math.nan
        self.live = False
        self.opened = False
        self.quoted = False
        self.spread = math.nan
        self.span = 0.0
        self.volume = math.nan
        self.used = 0.0
        self.lastday = math.nan
        self.rows: list[Order | None] = []
        self.asleep: list[Order] = []  # children of this bar, which are like others from the next one on
        self._free: list[int] = []
        self._orders: Records = np.zeros(_ROWS, RESTING)
        self._bars: Records = np.zeros(2, BAR)
        self._sides: npt.NDArray[np.float64] = self._bars.view(np.float64).reshape(2, -1)

    def price(self, side: int) -> float:
        """Return what a buyer (+1) pays or a seller (-1) gets now, NaN where that is unknown."""
        return float(self._sides[0 if side > 0 else 1, 3]) if self.quoted else math.nan

    def trade_at(self, price: float, volume: float) -> None:
        """Take in a trade."""
        self.bid = self.ask = self.last = price
        self._take(price, price, 0.0, volume)

    def quote_at(self, bid: float, ask: float, params: Records) -> None:
        """Take in a quote: an option trades between its mid and its side, everything else at its side."""
        self.bid, self.ask = bid, ask
        buyer, seller, good = ask, bid, 0.0 < bid <= ask
        if self.contract is not None:
            leg = np.zeros(1, QUOTED_LEG)
            leg[0] = (1, 1, self.contract.right, self.multiplier, bid, ask, 0.0)
            out = np.zeros(3)
            good = package_terms(params, leg, 1, codes.ENTRY_OPEN, math.nan, 1.0, out) == QUOTE_OK
            buyer = float(leg[0]["price"])
            seller = bid + ask - buyer
        if not good:
            self.quoted = False
            self.live = True
            if self.contract is not None and bid == 0.0 < ask:
                self.last = 0.5 * ask  # cannot be traded, but it is what it is worth
            return
        self.last = 0.5 * (bid + ask)
        self._take(buyer, seller, ask - bid, math.nan)

    def bar_of(self, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Take in a bar."""
        self._sides[:] = (open_, high, low, close, volume)
        self.bid = self.ask = self.last = close
        self.spread, self.span, self.volume, self.used = math.nan, high - low, volume, 0.0
        self.quoted, self.live = True, False

    def only_close(self) -> None:
        """Forget the bar but its close."""
        self._sides[:, :4] = self.last
        self.span = 0.0

    def add(self, order: Order) -> None:
        """Let an order rest."""
        row = self._free.pop() if self._free else len(self.rows)
        if row == len(self.rows):
            self.rows.append(None)
            if row == len(self._orders):
                self._orders = np.concatenate([self._orders, np.zeros(row, RESTING)])
        self.rows[row] = order
        order.row = row
        self.write(order)

    def write(self, order: Order) -> None:
        """Write an order's prices into its row, anew."""
        side = float(order.side)
        limit = math.nan if order.limit is None else order.limit * side
        trigger = math.nan if order.stop is None else order.stop * side
        mode, distance, peak, level = TRAIL_NONE, 0.0, 0.0, -trigger
        if order.kind == "trailing_stop":
            if order.trail_percent is not None:
                mode, distance = TRAIL_PERCENT, order.trail_percent / 100.0
            else:
                mode, distance = TRAIL_DISTANCE, order.trail_price or 0.0
            peak = -math.inf if order.hwm is None else -order.hwm * side
            level = peak - (abs(peak) * distance if mode == TRAIL_PERCENT else distance)
        self._orders[order.row] = (
            order.side, _KINDS[order.kind], 1, 0, -1, mode, 1, 0, 0, 0, 0, 0,
            trigger, limit, level, -math.inf, peak, distance, level, -math.inf, 0.0,
        )  # fmt: skip

    def rewrite(self, order: Order) -> None:
        """Write an order's prices anew, and keep what else its row says."""
        names = ("kind", "live", "triggered", "sibling", "trail_mode")
        kept = [(name, self._orders[order.row][name]) for name in names]
        self.write(order)
        for name, value in kept:
            self._orders[order.row][name] = value

    def remove(self, order: Order) -> None:
        """Let an order rest no more."""
        row = order.row
        if row < 0:
            return
        self.note_trail(order)
        self._orders[row]["live"] = 0
        self.rows[row] = None
        self._free.append(row)
        order.row = -1
        sibling = int(self._orders[row]["sibling"])
        if sibling >= 0:
            self._orders[sibling]["sibling"] = -1
            self._orders[row]["sibling"] = -1

    def pair(self, one: Order, other: Order) -> None:
        """Let two resting orders know that they close the same position."""
        self._orders[one.row]["sibling"] = other.row
        self._orders[other.row]["sibling"] = one.row

    def wake(self, order: Order, live: int = 1) -> None:
        """Let a resting order take part, or wait (0), or be known as one of this bar's open."""
        self._orders[order.row]["live"] = live

    def work_at_market(self, order: Order) -> None:
        """Turn a stop that was reached into a market order for what it could not fill."""
        record = self._orders[order.row]
        record["kind"], record["trail_mode"] = codes.ENTRY_OPEN, TRAIL_NONE

    def triggered(self, order: Order) -> bool:
        """Whether the stop of a resting stop-limit has been reached."""
        return bool(self._orders[order.row]["triggered"])

    def keep_triggered(self, order: Order) -> None:
        """Let a stop-limit work as a limit, as the order did that it replaces."""
        self._orders[order.row]["triggered"] = 1

    def by_limit(self, order: Order) -> bool:
        """Whether the last proposal for an order met its limit rather than its stop."""
        return bool(self._orders[order.row]["by_limit"])

    def note_trail(self, order: Order) -> None:
        """Write a trail's best price and its stop back into the order."""
        if order.kind != "trailing_stop" or order.row < 0:
            return
        record = self._orders[order.row]
        if math.isfinite(record["peak"]):
            order.hwm = -float(record["peak"]) * order.side
            order.stop = -float(record["stop_now"]) * order.side

    def propose(
        self, params: Records, part: int, order: Order | None = None, met: float = 0.0
    ) -> list[Proposal]:
        """Match all orders, or one, with a part of the bar."""
        if not self.quoted or not self.rows:
            return []
        first, last = (0, len(self.rows)) if order is None else (order.row, order.row + 1)
        if not match_resting(self._orders, first, last, self._bars, params, part, met):
            return []
        found = np.flatnonzero(self._orders["fills"][first:last]) + first
        proposals: list[Proposal] = []
        for row in found.tolist():
            resting = self.rows[row]
            if resting is not None:
                record = self._orders[row]
                slips = bool(record["slips"]) and self.contract is None
                proposals.append((resting, float(record["raw"]), slips))
        if len(proposals) > 1:
            proposals.sort(key=first_come)
        return proposals

    def split(self, ratio: float) -> None:
        """Let every price shrink by a split; the orders are rescaled by whoever keeps them."""
        for name in ("last", "bid", "ask", "lastday"):
            setattr(self, name, getattr(self, name) / ratio)
        self._sides[:, :4] /= ratio

    def state(self) -> Any:
        """Return what matters of it as plain values."""
        rows = [(one.number, self._orders[one.row].tobytes()) for one in self.rows if one is not None]
        prices = (self.last, self.bid, self.ask, self.lastday, self.live, self.opened, self.quoted)
        return (self.symbol, [repr(one) for one in prices], sorted(rows))

    def _take(self, buyer: float, seller: float, spread: float, volume: float) -> None:
        self._sides[0] = (buyer, buyer, buyer, buyer, volume)
        self._sides[1] = (seller, seller, seller, seller, volume)
        self.spread, self.span, self.volume, self.used = spread, 0.0, volume, 0.0
        self.quoted, self.live = True, True


def first_come(proposal: Proposal) -> tuple[bool, int]:
    """Sort proposals: what leaves a position first, then the older order."""
    order = proposal[0]
    return not order.closes, order.number
