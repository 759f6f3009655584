"""Orders on their way in: submit, replace, cancel. Everything is asked before anything changes."""

from __future__ import annotations

import math
from typing import Any

from live.venue.checks import check_request, refuse
from live.venue.fills import end, end_group, match, pair
from live.venue.ledger import clean
from live.venue.orders import Group, Order
from live.venue.packages import match_package, package_need, price_package
from live.venue.state import State
from live.venue.symbols import CONTRACT_SIZE, contract_of
from live.venue.types import VenueRequest
from simulator.kernel.resting import PART_TICK

__all__ = ["cancel", "replace", "submit"]

_DUST = 1e-9
_AT_ONCE = ("day", "gtc", "ioc", "fok")


def submit(state: State, request: VenueRequest) -> Order:
    """Take an order in, and match it where its symbol has a price to trade at; raises its refusal."""
    request = check_request(request)
    if request.client_order_id in state.orders.numbers and request.client_order_id:
        raise refuse(f"client order id {request.client_order_id!r} was used before", code="VENUE_CLIENT_ID")
    for symbol in [leg.symbol for leg in request.legs] or [request.symbol]:
        if symbol not in state.books:
            raise refuse(f"no symbol {symbol!r} is known here", code="VENUE_SYMBOL")
        contract = contract_of(symbol)
        if contract is not None and contract.expiry <= state.ended:
            raise refuse(f"{symbol} has expired", code="VENUE_SYMBOL")
    return _package(state, request) if request.order_class == "mleg" else _single(state, request)


def _single(state: State, request: VenueRequest) -> Order:
    draft = _draft(state, request)
    unit, reserve = _admit(state, draft, None)
    if request.order_class == "oco" and not draft.closes:
        raise refuse(f"{draft.symbol}: oco leaves a position, and none is held", code="VENUE_HELD")
    order = _enter(state, draft, unit, reserve)
    if request.order_class in ("bracket", "oto", "oco"):
        _with_children(state, order, request)
    state.tell("new", order)
    for child in order.group.children if order.group is not None else ():
        if child is not order and child.status == "new":
            state.tell("new", child)
    _to_market(state, order)
    return order


def _draft(state: State, request: VenueRequest) -> Order:
    # An order that is not in yet: its number is given where it is.
    order = Order(-1, request.client_order_id, request.symbol, 1 if request.side == "buy" else -1, state.now)
    order.kind, order.order_class, order.tif = request.kind, request.order_class, request.tif
    order.qty, order.notional = _float(request.qty), _float(request.notional)
    order.limit, order.stop = _float(request.limit_price), _float(request.stop_price)
    order.trail_price, order.trail_percent = _float(request.trail_price), _float(request.trail_percent)
    order.extended, order.intent = bool(request.extended_hours), request.position_intent
    if request.kind == "trailing_stop":
        last = state.books[request.symbol].last
        order.hwm = None if math.isnan(last) else last
    return order


def _admit(state: State, order: Order, replaced: Order | None) -> tuple[float, float]:
    # Buying power per unit and in all that an order takes; raises where it closes or costs too much.
    book = state.books[order.symbol]
    held = state.ledger.quantity(order.symbol)
    order.closes = held * order.side < 0.0
    reference = next((one for one in (order.limit, order.stop) if one is not None), book.price(order.side))
    if math.isnan(reference):
        reference = 0.0 if math.isnan(book.last) else book.last
    quantity = order.left
    if order.notional is not None:
        quantity = order.notional / reference if reference > 0.0 else 0.0
    _check_intent(order)
    if order.closes:
        free = state.to_close(order.symbol, order.side, without=replaced)
        if quantity > free + _DUST:
            raise refuse(
                f"{order.symbol}: {quantity:g} to close, {free:g} available of {held:g}; the rest is held by "
                "other orders, or not held at all (an order closes or opens, not both)",
                code="VENUE_HELD",
            )
    costs = state.costs
    fixed = max(costs.commission_per_order, costs.commission_min)
    change = {order.symbol: order.side * quantity}
    if book.contract is not None:
        fee = costs.commission_per_contract * quantity + fixed
        total = state.option_need(change, order.side * quantity * reference * CONTRACT_SIZE + fee)
    elif order.closes:
        # shares that cover sold calls are not for sale
        total = state.more_tied(change, without=replaced) if order.side < 0 else 0.0
        total -= quantity * reference
    else:
        unit = reference * (1.0 + costs.commission_pct / 100.0) + costs.commission_per_share
        total = quantity * unit + fixed
    _check_cost(state, order, total, replaced)
    total = max(0.0, total)
    return (total / quantity if quantity else 0.0), total


def _check_cost(state: State, order: Order, total: float, replaced: Order | None) -> None:
    if total > 0.0:
        available = state.buying_power(without=replaced)
        if not state.affords(total, available):
            name = order.symbol or "package"
            what = "a loss without a bound" if math.isinf(total) else f"{total:.2f}"
            raise refuse(
                f"{name}: the order takes {what} of the buying power, {max(available, 0.0):.2f} is there",
                code="VENUE_BUYING_POWER",
            )


def _check_intent(order: Order) -> None:
    side = "buy" if order.side > 0 else "sell"
    real = f"{side}_to_{'close' if order.closes else 'open'}"
    if order.intent is not None and order.intent != real:
        raise refuse(f"{order.symbol}: {order.intent}, but the order would be {real}")
    order.intent = real


def _enter(state: State, draft: Order, unit: float, reserve: float) -> Order:
    order = state.orders.new(draft.client_id, draft.symbol, draft.side, state.now)
    _copy(draft, order)
    order.unit = unit
    state.reserve(order, reserve)
    if order.symbol:
        book = state.books[order.symbol]
        book.add(order)
        if order.tif in ("opg", "cls"):
            book.wake(order, 0)
    return order


def _copy(source: Order, order: Order) -> None:
    for name in (
        "kind", "order_class", "tif", "qty", "notional", "limit", "stop", "trail_price", "trail_percent",
        "hwm", "extended", "intent", "ratio", "closes",
    ):  # fmt: skip
        setattr(order, name, getattr(source, name))


def _with_children(state: State, order: Order, request: VenueRequest) -> None:
    group = order.group = Group()
    oco = request.order_class == "oco"
    side = order.side if oco else -order.side
    made: list[Order] = []
    for ending, limit, stop in (
        ("target", None if oco else request.take_profit, None),
        ("stop", request.stop_loss_limit, request.stop_loss),
    ):
        if limit is None and stop is None:
            continue
        name = f"{order.client_id}-{ending}"
        if name in state.orders.numbers:
            name = ""
        child = state.orders.new(name, order.symbol, side, state.now)
        child.kind = "limit" if stop is None else "stop" if limit is None else "stop_limit"
        child.order_class = order.order_class
        child.tif = order.tif if oco or request.children_tif is None else request.children_tif
        child.qty, child.limit, child.stop = order.qty, _float(limit), _float(stop)
        child.extended = order.extended
        child.intent = f"{'buy' if side > 0 else 'sell'}_to_close"
        child.parent, child.group, child.status = order.number, group, "held"
        made.append(child)
    order.legs = tuple(child.number for child in made)
    if not oco:
        group.entries, group.children = [order], made
        return
    group.entered = order.qty or 0.0
    (stop_order,) = made
    group.children = [order, stop_order]
    stop_order.status, stop_order.closes = "new", True
    state.books[order.symbol].add(stop_order)
    pair(state, group)


def _to_market(state: State, order: Order) -> None:
    # What has a price to trade at trades at once; the rest waits for the next price.
    book = state.books[order.symbol]
    if order.tif in _AT_ONCE and book.live:
        for one in [order] if order.group is None else [order, *order.group.children]:
            if one.working and one.row >= 0:
                match(state, book, PART_TICK, one)
        if order.tif in ("ioc", "fok") and order.working:
            end(state, order, "canceled", "could not be filled at once")
    elif order.tif in ("ioc", "fok"):
        state.instant.append(order)


def _package(state: State, request: VenueRequest) -> Order:
    draft = Order(-1, request.client_order_id, "", 0, state.now)
    draft.kind, draft.order_class, draft.tif = request.kind, request.order_class, request.tif
    draft.qty, draft.limit = _float(request.qty), _float(request.limit_price)
    draft.extended = bool(request.extended_hours)
    for leg in request.legs:
        part = Order(-1, "", leg.symbol, 1 if leg.side == "buy" else -1, state.now)
        part.kind, part.order_class, part.tif = draft.kind, "mleg", draft.tif
        part.ratio, part.intent = int(leg.ratio_qty), leg.position_intent
        part.qty = part.ratio * (draft.qty or 0.0)
        if contract_of(leg.symbol) is None and part.ratio % int(CONTRACT_SIZE):
            raise refuse(f"{leg.symbol}: {part.ratio} shares in a package; shares go by the hundred")
        draft.parts.append(part)
    reserve = _admit_package(state, draft, None)
    return _enter_package(state, draft, reserve)


def _admit_package(state: State, draft: Order, replaced: Order | None) -> float:
    for part in draft.parts:
        held = state.ledger.quantity(part.symbol)
        free = state.to_close(part.symbol, part.side, without=replaced)
        part.closes = held * part.side < 0.0
        _check_intent(part)
        if part.closes and part.left > free + _DUST:
            raise refuse(
                f"{part.symbol}: {part.left:g} to close, {free:g} available of {held:g}", code="VENUE_HELD"
            )
    net, _, fee, _ = price_package(state, draft)
    price = draft.limit if draft.limit is not None else 0.0 if math.isnan(net) else net
    total = package_need(state, draft, price, draft.left, fee, without=replaced)
    _check_cost(state, draft, total, replaced)
    return max(0.0, total)


def _enter_package(state: State, draft: Order, reserve: float, *, replaces: int = -1) -> Order:
    order = _enter(state, draft, reserve / (draft.qty or 1.0), reserve)
    order.replaces = replaces
    for part in draft.parts:
        leg = state.orders.new("", part.symbol, part.side, state.now)
        _copy(part, leg)
        leg.parent = order.number
        order.parts.append(leg)
    order.legs = tuple(leg.number for leg in order.parts)
    state.packages[order.number] = order
    state.tell("new", order)
    if any(state.books[leg.symbol].live for leg in order.parts):
        match_package(state, order)
        if order.working and order.tif in ("ioc", "fok"):
            end(state, order, "canceled", "could not be filled at once")
    elif order.tif in ("ioc", "fok"):
        state.instant.append(order)
    return order


def replace(state: State, order: Order, changes: dict[str, Any]) -> Order:
    """Put another order into the place of a working one, for what that one has not filled; returns it."""
    if not order.working:
        raise refuse(f"order is {order.status} and changes no more", code="VENUE_FINAL")
    if order.parent >= 0 and order.order_class == "mleg":
        raise refuse("a leg does not change by itself; replace its package")
    state.note_trails()
    draft = Order(-1, str(changes.get("client_order_id") or ""), order.symbol, order.side, state.now)
    _copy(order, draft)
    draft.parent = order.parent
    _change(state, order, draft, changes)
    if draft.client_id and draft.client_id in state.orders.numbers:
        raise refuse(f"client order id {draft.client_id!r} was used before", code="VENUE_CLIENT_ID")
    if order.parts:
        for part in order.parts:
            leg = Order(-1, "", part.symbol, part.side, state.now)
            _copy(part, leg)
            leg.qty = (leg.ratio or 1) * (draft.qty or 0.0)
            leg.intent = None
            draft.parts.append(leg)
        reserve = _admit_package(state, draft, order)
        order.replaced_by = state.orders.count
        end(state, order, "replaced")
        return _enter_package(state, draft, reserve, replaces=order.number)
    return _replace_single(state, order, draft)


def _replace_single(state: State, order: Order, draft: Order) -> Order:
    group, held = order.group, order.status == "held"
    child = group is not None and order in group.children
    unit = total = 0.0
    if not child:
        draft.intent = None
        unit, total = _admit(state, draft, order)
    book = state.books[order.symbol]
    triggered = order.row >= 0 and order.kind == "stop_limit" and book.triggered(order)
    entry = group is not None and order in group.entries
    order.replaced_by = state.orders.count
    book.note_trail(order)
    draft.hwm = order.hwm
    end(state, order, "replaced")
    new = state.orders.new(draft.client_id, draft.symbol, draft.side, state.now)
    _copy(draft, new)
    new.replaces, new.parent, new.legs, new.group = order.number, order.parent, order.legs, group
    new.unit = unit
    state.reserve(new, total)
    if group is not None:
        (group.children if child else group.entries).append(new)
        for one in group.children:
            if one.parent == order.number:
                one.parent = new.number
            if entry and group.entered <= 0.0:
                one.qty = new.qty
    if held:
        new.status = "held"
        return new
    book.add(new)
    if triggered:
        book.keep_triggered(new)
    if group is not None and child:
        pair(state, group)
    if new.tif in ("opg", "cls"):
        book.wake(new, 0)
    state.tell("new", new)
    _to_market(state, new)
    return new


def _change(state: State, order: Order, draft: Order, changes: dict[str, Any]) -> None:
    qty = _float(changes.get("qty"))
    left = None if order.notional is not None else order.left
    if qty is not None:
        if order.notional is not None or (order.group is not None and order in order.group.children):
            raise refuse("the quantity of this order follows from something else and is not given")
        whole = order.order_class == "mleg" or contract_of(order.symbol) is not None
        if not math.isfinite(qty) or qty <= order.filled or (whole and qty != int(qty)):
            raise refuse(f"quantity {qty!r}; {order.filled:g} have filled, and contracts are whole")
        left = clean(qty - order.filled)
    draft.qty = left
    for name, field in (("limit_price", "limit"), ("stop_price", "stop")):
        price = _float(changes.get(name))
        if price is None:
            continue
        net = order.order_class == "mleg"
        if getattr(order, field) is None or order.kind == "trailing_stop":
            raise refuse(f"a {order.kind} order has no {name}")
        if not math.isfinite(price) or (price <= 0.0 and not net):
            raise refuse(f"{name} is {price!r}; it is finite and above 0")
        setattr(draft, field, price)
    trail = _float(changes.get("trail"))
    if trail is not None:
        if order.kind != "trailing_stop" or not (math.isfinite(trail) and trail > 0.0):
            raise refuse(f"trail {trail!r} of a {order.kind} order")
        field = "trail_percent" if order.trail_percent is not None else "trail_price"
        setattr(draft, field, trail)
    tif = changes.get("tif")
    if tif is not None:
        if tif not in ("day", "gtc"):
            raise refuse(f"time in force {tif!r}; a replacement is for the day or good till cancelled")
        draft.tif = tif


def cancel(state: State, order: Order) -> None:
    """Cancel an order and what cannot be without it; what is final stays as it is."""
    if order.parent >= 0 and order.order_class == "mleg":
        order = state.orders.get(order.parent)
    if order.working:
        end_group(state, order, "canceled")


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
