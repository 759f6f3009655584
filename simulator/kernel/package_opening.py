"""Opening a package of options: its terms at this close, and the fill.

The terms are asked twice: when the risk manager sizes an order, and when the order fills.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.collateral import count_collateral, package_cost, package_margin
from simulator.kernel.greeks import note_volatilities
from simulator.kernel.levels import no_levels
from simulator.kernel.logbook import log_event, log_fill
from simulator.kernel.money import package_fee
from simulator.kernel.open_loss import capped_loss, is_defined, net_delta
from simulator.kernel.positions import new_position, shorter_days
from simulator.kernel.quotes import QUOTE_NONE, package_quote, price_rule, share_of, worst_payoff
from simulator.kernel.views import (
    account_of,
    bar_at,
    copy_record,
    leg_at,
    metrics_of,
    open_at,
    order_at,
    package_at,
    plan_at,
    plan_leg_at,
    plan_package_at,
    position_at,
    symbol_at,
)

__all__ = ["open_package", "package_terms"]


@kernel_jit
def package_terms(
    state: Any, market: Any, params: Any, t: int, sym: int, slot: int, side: int
) -> tuple[int, float, float, float, float, float]:
    """Return quality of the quotes, price, loss, margin, premium and exposure of a new order's package.

    The price is the one that it would fill at, per share; loss, margin and exposure are in currency per
    package. The loss is what heat counts (see `open_loss`), the exposure is the value of its delta, signed.
    """
    package = plan_package_at(state, slot)
    quality, worth, spread, _, _ = package_quote(state, market, t, sym, slot, codes.YES)
    if quality == QUOTE_NONE:
        return quality, np.nan, np.nan, np.nan, np.nan, np.nan
    note_volatilities(state, market, t, sym, slot, codes.YES)
    exposure = net_delta(state, market, t, sym, slot, codes.YES) * bar_at(market, t, sym)["close"]
    worth += share_of(params, package["legs"]) * spread
    premium = _premium(state, slot, worth)
    multiplier = package["multiplier"]
    lowest, bounded = worst_payoff(state, slot, codes.YES)
    margin = package_margin(state, slot, codes.YES, bar_at(market, t, sym)["close"], worth, lowest, bounded)
    loss = (worth - lowest) * multiplier if bounded else margin
    if package["covered"] == 0 and not loss > 0.0:
        # a spread for its width or more: such quotes cannot be
        quality = QUOTE_NONE
    elif package["covered"] == 1:
        loss = 0.0
    elif not is_defined(state, slot, codes.YES):
        loss = capped_loss(state, market, t, sym, slot, codes.YES, loss, bounded, multiplier)
    return quality, worth * float(side), loss, margin, premium, exposure * multiplier


@kernel_jit
def _premium(state: Any, slot: int, worth: float) -> float:
    # What the options alone cost or brought, per share: shares that go with them are no premium.
    shares = 0.0
    for k in range(plan_package_at(state, slot)["legs"]):
        leg = plan_leg_at(state, slot, k)
        if leg["right"] == 0:
            shares += float(leg["side"] * leg["ratio"]) * leg["mark"]
    return abs(worth - shares)


@kernel_jit
def open_package(
    state: Any, logs: Any, market: Any, params: Any, order_slot: int, t: int, available: float
) -> float:
    """Fill a package order at this close; returns the buying power spent."""
    account = account_of(state)
    order = order_at(state, order_slot)
    sym = order["sym"]
    side = float(order["side"])
    quality, price, loss, margin, premium, _ = package_terms(
        state, market, params, t, sym, order_slot, order["side"]
    )
    if quality != 0:
        return 0.0
    package = plan_package_at(state, order_slot)
    multiplier = package["multiplier"]
    unit = package_cost(state, params, order_slot, price, margin, order["side"])
    available -= max(params["per_order"], params["commission_min"])
    qty = order["qty"]
    if qty * unit > available:
        qty = np.floor(available / unit + 1e-9)
        if not qty > 0.0:
            return 0.0
        order["qty"] = qty
    slot = _record(state, params, order_slot, qty, price, loss, margin, premium)
    position = position_at(state, slot)
    # valued at the mid at once: what the fill gave away is a loss already
    _, worth, spread, _, _ = package_quote(state, market, t, sym, slot, codes.NO)
    position["mark"] = worth * side
    position["delta"] = net_delta(state, market, t, sym, slot, codes.NO)
    symbol_at(state, sym)["last"] = bar_at(market, t, sym)["close"]
    fee = package_fee(state, params, slot, qty, account["session"])
    notional = qty * price * multiplier
    account["cash"] -= side * notional + fee
    account["fees"] += fee
    metrics_of(state)["turnover"] += abs(notional)
    position["fees"] = fee
    value = qty * position["mark"] * multiplier
    if side > 0.0:
        account["long_value"] += value
    else:
        account["short_value"] += value
    open_at(state, account["n_positions"])["slot"] = slot
    account["n_positions"] += 1
    account["n_packages"] += 1
    symbol_at(state, sym)["n_positions"] += 1
    order["position"] = slot + 1
    order["filled"] = qty
    order["state"] = codes.ORDER_FILLED
    order["live"] = 0
    account["closed"] = 1
    symbol_at(state, sym)["n_orders"] -= 1
    log_fill(
        logs,
        account,
        position,
        codes.KIND_ENTRY,
        codes.EXIT_NONE,
        price_rule(market),
        codes.SOURCE_SIMULATED,
        side,
        qty,
        price,
        fee,
        share_of(params, package["legs"]) * spread,
    )
    log_event(
        logs,
        account,
        order["id"],
        position["id"],
        sym,
        codes.KIND_ENTRY,
        codes.ORDER_FILLED,
        codes.REASON_NONE,
        price,
        qty,
    )
    count_collateral(state)
    return qty * unit


@kernel_jit
def _record(
    state: Any,
    params: Any,
    order_slot: int,
    qty: float,
    price: float,
    loss: float,
    margin: float,
    premium: float,
) -> int:
    # The record of the position, with copies of the order's package and legs; returns its slot.
    order = order_at(state, order_slot)
    plan = plan_at(state, order_slot)
    package = plan_package_at(state, order_slot)
    multiplier = package["multiplier"]
    slot = new_position(state, order, codes.AT_CLOSE)
    position = position_at(state, slot)
    copy_record(package_at(state, slot), package)
    for k in range(package["legs"]):
        copy_record(leg_at(state, slot, k), plan_leg_at(state, order_slot, k))
        leg_at(state, slot, k)["entry_price"] = plan_leg_at(state, order_slot, k)["mark"]
    position["max_bars"] = plan["max_bars"]
    position["max_days"] = shorter_days(params, plan["max_days"])
    position["package"] = 1
    position["group"] = plan["group"]
    symbol = symbol_at(state, order["sym"])
    rolled = (
        symbol["roll_row"] == account_of(state)["row"] + 1 and symbol["roll_strategy"] == order["strategy"]
    )
    if package["roll"] == 1 and rolled:
        position["group"] = symbol["roll_group"]
    if position["group"] == 0:
        position["group"] = position["id"] + 1
    no_levels(state, position, slot)
    entry = price * float(order["side"])
    position["entry"] = entry
    position["peak"] = entry
    position["best"] = entry
    position["worst"] = entry
    position["multiplier"] = multiplier
    position["premium"] = premium
    position["unit_loss"] = loss
    position["unit_margin"] = margin
    # R is what a stop lets go, where there is one; heat is what can be lost in spite of it
    risk = min(loss, package["stop_loss"] * premium * multiplier) if package["stop_loss"] > 0.0 else loss
    position["r_unit"] = risk / multiplier
    position["initial_risk"] = risk * qty
    position["entry_price"] = price
    position["qty"] = qty
    position["entry_qty"] = qty
    position["first_qty"] = qty
    return slot
