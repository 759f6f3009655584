"""Packages: two to four legs that trade as one, all or none, on the quotes of their legs.

The kernel prices them and says whether a limit is met. A leg whose quote is missing, crossed or without a bid
keeps its package waiting.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from live.venue.fills import end
from live.venue.ledger import clean
from live.venue.orders import Order
from live.venue.state import State
from live.venue.symbols import CONTRACT_SIZE, contract_of
from simulator.kernel import codes
from simulator.kernel.quotes import QUOTE_OK
from simulator.kernel.resting import QUOTED_LEG, package_terms

__all__ = ["changes_of", "match_package", "match_packages", "package_need", "price_package"]

_KINDS: Final = {"market": codes.ENTRY_OPEN, "limit": codes.ENTRY_LIMIT}


def match_packages(state: State, touched: set[str]) -> None:
    """Match the packages that have a leg in one of these symbols, the oldest first."""
    for package in list(state.packages.values()):
        if package.working and any(part.symbol in touched for part in package.parts):
            match_package(state, package)


def match_package(state: State, package: Order) -> None:
    """Fill a package where its legs' quotes allow it."""
    net, fills, fee, legs = price_package(state, package)
    if not fills:
        return
    quantity = package.left
    changes = changes_of(package, quantity)
    need = package_need(state, package, net, quantity, fee, without=package)
    if need > 0.0 and not state.affords(need, state.buying_power(without=package)):
        end(state, package, "canceled", "buying power does not cover the fill")
        return
    units = sum(abs(change) for change in changes.values())
    execution = ""
    for part, leg in zip(package.parts, legs, strict=True):
        execution = _fill_leg(state, part, float(leg["price"]), fee, units)
    package.filled = clean(package.filled + quantity)
    package.value += net * quantity
    end(state, package, "filled", execution=execution, price=net, qty=quantity)


def price_package(state: State, package: Order) -> tuple[float, bool, float, npt.NDArray[np.void]]:
    """Return what one package brings now, whether the order fills at it, its fees, and its legs with prices.

    The price is NaN where a leg has no quote.
    """
    legs = np.zeros(len(package.parts), QUOTED_LEG)
    for record, part in zip(legs, package.parts, strict=True):
        contract = contract_of(part.symbol)
        book = state.books[part.symbol]
        ratio = part.ratio or 1
        record["side"] = part.side
        # shares count by the contract
        record["ratio"] = ratio if contract else ratio // int(CONTRACT_SIZE)
        record["right"] = contract.right if contract else 0
        record["multiplier"] = CONTRACT_SIZE
        record["bid"], record["ask"] = book.bid, book.ask
    out = np.zeros(3)
    limit = math.nan if package.limit is None else package.limit
    quality = package_terms(
        state.params, legs, len(legs), _KINDS[package.kind], limit, float(package.left), out
    )
    if quality != QUOTE_OK:
        return math.nan, False, 0.0, legs
    return float(out[0]), out[1] == 1.0, float(out[2]), legs


def changes_of(package: Order, quantity: float) -> dict[str, float]:
    """Return what so many packages change of each position."""
    return {part.symbol: part.side * (part.ratio or 1) * quantity for part in package.parts}


def package_need(
    state: State, package: Order, net: float, quantity: float, fee: float, *, without: Order | None
) -> float:
    """Return the buying power that so many packages take at a net price, `without` an order that works."""
    paid = -net * quantity * CONTRACT_SIZE + fee
    need = state.option_need(changes_of(package, quantity), paid, without=without)
    for part in package.parts:
        if part.side < 0 and not part.closes and contract_of(part.symbol) is None:
            last = state.books[part.symbol].last
            need += 2.0 * (0.0 if math.isnan(last) else last) * (part.ratio or 1) * quantity
    return need


def _fill_leg(state: State, part: Order, price: float, fee: float, units: float) -> str:
    quantity = part.left
    book = state.books[part.symbol]
    share = fee * quantity / units
    before = state.ledger.quantity(part.symbol)
    state.ledger.trade(part.symbol, part.side * quantity, price, book.multiplier, share)
    part.filled = clean(part.filled + quantity)
    part.value += quantity * price
    return state.ledger.note(
        state.now, kind="FILL", symbol=part.symbol,
        side="buy" if part.side > 0 else "sell_short" if before <= 0.0 else "sell",
        qty=quantity, price=price, multiplier=book.multiplier,
        net_amount=-part.side * quantity * price * book.multiplier - share, fees=share,
        order_id=state.orders.id_of(part.number), cum_qty=part.filled, leaves_qty=0.0,
    )  # fmt: skip
