"""What happens to positions without an order: options expire, shares split, pay and are delisted.

An option that is a cent or more in the money at its expiry is exercised, for shares, or for money where its
root is a cash-settled index. A split changes quantities and every resting price together, options on the
symbol too. Before a dividend, buy limits and sell stops are lowered by it, as the exchanges do (FINRA rule
5330); a sell stop-limit is lowered as a whole, a buy stop-limit is left alone until its stop was reached.
"""

from __future__ import annotations

import math

from live.venue.book import Book
from live.venue.checks import refuse
from live.venue.fills import end_group
from live.venue.ledger import clean
from live.venue.orders import Order
from live.venue.state import State
from live.venue.symbols import CASH_SETTLED, CONTRACT_SIZE, Contract, occ_symbol

__all__ = [
    "check_exercise",
    "check_split",
    "delist",
    "exercise",
    "pay_dividend",
    "settle_expiries",
    "split",
]

_IN_THE_MONEY = 0.01  # currency per share, what the Options Clearing Corporation exercises by itself


def settle_expiries(state: State, session: int) -> None:
    """Settle every option that has expired by a session; one whose underlying has no price is kept."""
    for symbol in sorted(state.books):
        contract = state.books[symbol].contract
        if contract is None or contract.expiry > session:
            continue
        for order in list(state.books[symbol].rows):
            if order is not None:
                end_group(state, order, "expired")
        for package in list(state.packages.values()):
            if any(part.symbol == symbol for part in package.parts):
                end_group(state, package, "expired")
        held = state.ledger.positions.get(symbol)
        spot = _spot(state, contract)
        if held is not None and not math.isnan(spot):
            worth = contract.intrinsic(spot)
            if worth >= _IN_THE_MONEY - 1e-9:
                exercise(state, symbol, contract, held.qty)
            else:
                change = -held.qty
                state.ledger.trade(symbol, change, 0.0, CONTRACT_SIZE, 0.0)
                state.ledger.note(
                    state.now, kind="OPEXP", symbol=symbol, qty=change, multiplier=CONTRACT_SIZE,
                    description="expired without value",
                )  # fmt: skip
        if symbol not in state.ledger.positions:
            state.books[symbol].quoted = False


def _spot(state: State, contract: Contract) -> float:
    book = state.books.get(contract.root)
    return math.nan if book is None else book.last


def check_exercise(state: State, symbol: str, contract: Contract, quantity: float) -> None:
    """Refuse an exercise that the account cannot pay for, or whose shares an order will sell."""
    free = state.to_close(symbol, -1)
    if not 0.0 < quantity <= free or quantity != int(quantity):
        raise refuse(f"{symbol}: {quantity:g} to exercise, {free:g} contracts free", code="VENUE_ACTION")
    changes = {symbol: -quantity}
    gained = 0.0
    if contract.root in CASH_SETTLED:
        if math.isnan(_spot(state, contract)):
            raise refuse(f"{symbol}: {contract.root} has no price to settle at", code="VENUE_ACTION")
    else:
        shares = contract.right * quantity * CONTRACT_SIZE
        held = state.ledger.quantity(contract.root)
        if held * shares < 0.0:
            closing = min(abs(shares), abs(held))
            left = state.to_close(contract.root, 1 if shares > 0.0 else -1)
            if closing > left:
                raise refuse(
                    f"{symbol}: {closing:g} shares to deliver, {left:g} available of {held:g}; the rest is "
                    "held by other orders",
                    code="VENUE_HELD",
                )
        changes[contract.root] = shares
        gained = _power_gained(state, contract, held, shares)
    need = state.more_tied(changes) - gained
    available = max(state.buying_power(), 0.0)
    if need > 0.0 and not state.affords(need, available):
        raise refuse(
            f"{symbol}: the exercise takes {need:.2f} of the buying power, {available:.2f} is there",
            code="VENUE_BUYING_POWER",
        )


def _power_gained(state: State, contract: Contract, held: float, shares: float) -> float:
    # What buying (or selling, below 0) shares at the strike adds to buying power, as `State` counts it.
    spot = _spot(state, contract)
    price = contract.strike if math.isnan(spot) else spot
    cash = -shares * contract.strike
    long = (max(held + shares, 0.0) - max(held, 0.0)) * price
    short = (max(-held - shares, 0.0) - max(-held, 0.0)) * price
    return (state.leverage - 1.0) * (cash + long - short) + cash - 2.0 * short


def exercise(state: State, symbol: str, contract: Contract, quantity: float) -> None:
    """Exercise (above 0) or assign (below 0) contracts that are held."""
    kind = "OPEXC" if quantity > 0.0 else "OPASN"
    units = quantity * CONTRACT_SIZE
    if contract.root in CASH_SETTLED:
        worth = contract.intrinsic(_spot(state, contract))
        state.ledger.trade(symbol, -quantity, worth, CONTRACT_SIZE, 0.0)
        state.ledger.note(
            state.now, kind=kind, symbol=symbol, qty=-quantity, price=worth, multiplier=CONTRACT_SIZE,
            net_amount=units * worth, description="settled in cash",
        )  # fmt: skip
        return
    state.ledger.trade(symbol, -quantity, 0.0, CONTRACT_SIZE, 0.0)
    state.ledger.note(
        state.now, kind=kind, symbol=symbol, qty=-quantity, multiplier=CONTRACT_SIZE,
        description="settled in shares",
    )  # fmt: skip
    state.book(contract.root)
    shares = contract.right * units
    state.ledger.trade(contract.root, shares, contract.strike, 1.0, 0.0)
    state.ledger.note(
        state.now, kind="OPTRD", symbol=contract.root, side="buy" if shares > 0.0 else "sell",
        qty=shares, price=contract.strike, net_amount=-shares * contract.strike,
        description=f"{'exercise' if quantity > 0.0 else 'assignment'} of {symbol}",
    )  # fmt: skip


def pay_dividend(state: State, symbol: str, cash: float) -> None:
    """Pay a dividend per share on the ex-date: longs receive, shorts pay."""
    state.note_trails()
    held = state.ledger.quantity(symbol)
    if held:
        state.ledger.cash += held * cash
        state.ledger.note(
            state.now, kind="DIV", symbol=symbol, qty=held, price=cash, net_amount=held * cash,
            description="dividend",
        )  # fmt: skip
    book = state.books[symbol]
    for order in _resting(state, book):
        limit = order.kind == "limit" or (order.kind == "stop_limit" and _reached(book, order))
        if order.side > 0 and limit:
            _lower(state, book, order, cash, "limit")
        elif order.side < 0 and not limit and order.stop is not None:
            _lower(state, book, order, cash, "stop", "limit")


def _reached(book: Book, order: Order) -> bool:
    # A stop-limit whose stop was reached is a limit order.
    return order.row >= 0 and book.triggered(order)


def _lower(state: State, book: Book, order: Order, cash: float, *fields: str) -> None:
    lower = {field: price - cash for field in fields if (price := getattr(order, field)) is not None}
    if min(lower.values()) <= 0.0:
        return
    if order.kind == "trailing_stop" and order.hwm is not None:
        order.hwm -= cash
    for field, price in lower.items():
        setattr(order, field, price)
    _rewrite(state, book, order)


def split(state: State, symbol: str, ratio: float) -> None:
    """Split a stock: `ratio` new shares for one."""
    book = state.books[symbol]
    renamed = _contracts(state, symbol, ratio)
    held = state.ledger.positions.get(symbol)
    if held is not None:
        before = held.qty
        held.split(ratio)
        state.ledger.note(
            state.now, kind="SPLIT", symbol=symbol, qty=clean(held.qty - before), price=ratio,
            description=f"{ratio:g} for 1",
        )  # fmt: skip
    for order in _resting(state, book):
        _split_order(state, book, order, ratio)
    book.split(ratio)
    for old, new in renamed:
        _rename(state, old, new, ratio)


def check_split(state: State, symbol: str, ratio: float) -> None:
    """Refuse a split that would leave options on the symbol without whole terms."""
    _contracts(state, symbol, ratio)


def _contracts(state: State, symbol: str, ratio: float) -> list[tuple[str, str]]:
    # Options on a symbol that splits, and their new symbols; raises where the terms would not be whole.
    renamed = []
    for old in sorted(state.ledger.positions):
        contract = state.books[old].contract
        if contract is None or contract.root != symbol or not state.ledger.quantity(old):
            continue
        thousandths = contract.strike * 1000.0 / ratio
        contracts = state.ledger.quantity(old) * ratio
        if abs(thousandths - round(thousandths)) > 1e-6 or abs(contracts - round(contracts)) > 1e-9:
            raise refuse(f"{old}: a split of {ratio:g} for 1 leaves no whole contract", code="VENUE_ACTION")
        new = Contract(symbol, contract.expiry, contract.right, round(thousandths) / 1000.0)
        renamed.append((old, occ_symbol(new)))
    return renamed


def _split_order(state: State, book: Book, order: Order, ratio: float) -> None:
    book.note_trail(order)
    if order.qty is not None:
        order.qty = clean(order.qty * ratio)
    order.filled = clean(order.filled * ratio)
    for field in ("limit", "stop", "trail_price", "hwm"):
        price = getattr(order, field)
        if price is not None:
            setattr(order, field, price / ratio)
    order.unit /= ratio
    group = order.group
    if group is not None and order is next(iter([*group.entries, *group.children])):
        group.entered, group.left = clean(group.entered * ratio), clean(group.left * ratio)
    _rewrite(state, book, order)


def _rename(state: State, old: str, new: str, ratio: float) -> None:
    for order in list(state.books[old].rows):
        if order is not None:
            end_group(state, order, "canceled", "its contract was adjusted by a split")
    for package in list(state.packages.values()):
        if any(part.symbol == old for part in package.parts):
            end_group(state, package, "canceled", "its contract was adjusted by a split")
    held = state.ledger.positions.pop(old)
    last = state.books[old].last / ratio
    book = state.book(new)
    if math.isnan(book.last):
        book.last = last
    state.ledger.note(state.now, kind="SPLIT", symbol=old, qty=-held.qty, price=ratio, description=new)
    held.split(ratio)
    state.ledger.positions[new] = held
    state.ledger.note(state.now, kind="SPLIT", symbol=new, qty=held.qty, price=ratio, description=old)


def delist(state: State, symbol: str, price: float | None) -> None:
    """Delist a symbol: its orders are cancelled, what is held leaves at a price, the last for None."""
    book = state.books[symbol]
    for order in _resting(state, book):
        if order.working:
            end_group(state, order, "canceled", "the symbol was delisted")
    for package in list(state.packages.values()):
        if any(part.symbol == symbol for part in package.parts):
            end_group(state, package, "canceled", "the symbol was delisted")
    held = state.ledger.quantity(symbol)
    if held:
        at = state.mark(symbol) if price is None else price
        state.ledger.trade(symbol, -held, at, book.multiplier, 0.0)
        state.ledger.note(
            state.now, kind="FILL", symbol=symbol, side="sell" if held > 0.0 else "buy", qty=abs(held),
            price=at, multiplier=book.multiplier, net_amount=held * at * book.multiplier,
            cum_qty=abs(held), description="delisted",
        )  # fmt: skip
    del state.books[symbol]


def _resting(state: State, book: Book) -> list[Order]:
    # Orders of a symbol, children that are held too.
    return [
        order for order in state.orders.working.values() if order.symbol == book.symbol and not _leg(order)
    ]


def _leg(order: Order) -> bool:
    return order.order_class == "mleg" and order.parent >= 0


def _rewrite(state: State, book: Book, order: Order) -> None:
    order.updated = state.now
    if order.row >= 0:
        book.rewrite(order)
    if order.status != "held":
        state.tell("restated", order)
