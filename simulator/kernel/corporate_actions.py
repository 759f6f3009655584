"""Corporate actions, phase 0: delistings, splits and dividends.

A delisting closes and cancels in every run. Splits and dividends change positions and orders only where
prices are raw: adjusted prices hold them already.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.collateral import count_collateral
from simulator.kernel.levels import next_levels
from simulator.kernel.logbook import log_event
from simulator.kernel.orders import cancel_order
from simulator.kernel.package_settlement import assign_before_dividend
from simulator.kernel.packages import shares_of, split_package, worth_at
from simulator.kernel.positions import leave
from simulator.kernel.stops import TRAIL_DISTANCE, set_stop_now
from simulator.kernel.views import (
    account_of,
    add_at,
    has_options,
    open_at,
    order_at,
    plan_at,
    position_at,
    symbol_at,
    target_at,
    working_at,
)

__all__ = ["act"]


@kernel_jit
def act(state: Any, logs: Any, market: Any, params: Any, action: Any) -> None:
    """Apply one corporate action."""
    sym = action["sym"]
    kind = action["kind"]
    value = action["value"]
    if kind == codes.ACTION_DELIST:
        _delist(state, logs, market, params, sym, value)
        return
    if params["raw"] == 0 or not value > 0.0:
        return
    if kind == codes.ACTION_SPLIT:
        _split(state, logs, params, sym, value)
    elif kind == codes.ACTION_DIVIDEND:
        _dividend(state, logs, market, params, sym, value)


@kernel_jit
def _delist(state: Any, logs: Any, market: Any, params: Any, sym: int, value: float) -> None:
    # Positions leave at the price that is left, or at their marks where none is given.
    account = account_of(state)
    symbol_at(state, sym)["delisted"] = 1
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["sym"] == sym:
            price = value if value > 0.0 else position["mark"]
            if has_options(state) and position["package"] == 1 and value > 0.0:
                price = worth_at(state, slot, value) * float(position["side"])
            leave(
                state,
                logs,
                market,
                params,
                slot,
                position["qty"],
                price,
                codes.KIND_EXIT,
                codes.EXIT_DELISTED,
                codes.PRICE_GIVEN,
                codes.SOURCE_SIMULATED,
                0.0,
            )
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        if order_at(state, slot)["live"] == 1 and order_at(state, slot)["sym"] == sym:
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_DELISTED)


@kernel_jit
def _split(state: Any, logs: Any, params: Any, sym: int, ratio: float) -> None:
    # New shares for one old share: quantities grow, every price shrinks, the value stays.
    account = account_of(state)
    symbol_at(state, sym)["last"] /= ratio
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym:
            continue
        position["qty"] *= ratio
        position["entry_qty"] *= ratio
        position["first_qty"] *= ratio
        position["exit_qty"] *= ratio
        position["entry_price"] /= ratio
        position["mark"] /= ratio
        position["peak"] /= ratio
        position["worst"] /= ratio
        position["best"] /= ratio
        position["breakeven_at"] /= ratio
        position["stop"] /= ratio
        position["stop_initial"] /= ratio
        position["trail_level"] /= ratio
        position["trail_activate"] /= ratio
        position["entry"] /= ratio
        position["r_unit"] /= ratio
        if position["trail_mode"] == TRAIL_DISTANCE:
            position["trail_distance"] /= ratio
        for j in range(4):
            target = target_at(state, slot, j)
            target["price"] /= ratio
            target["qty"] *= ratio
        for j in range(2):
            add = add_at(state, slot, j)
            add["price"] /= ratio
            add["qty"] *= ratio
        if has_options(state) and position["package"] == 1:
            split_package(state, position, slot, ratio)
        else:
            set_stop_now(position, params["stop_and_trail"])
            next_levels(state, position, slot)
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            sym,
            codes.KIND_ACCOUNT,
            codes.ORDER_FILLED,
            codes.REASON_SPLIT,
            ratio,
            position["qty"],
        )
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 0 or order["sym"] != sym:
            continue
        _split_order(order, plan_at(state, slot), ratio)


@kernel_jit
def _split_order(order: Any, plan: Any, ratio: float) -> None:
    order["qty"] *= ratio
    order["filled"] *= ratio
    order["trigger"] /= ratio
    order["limit"] /= ratio
    order["reference"] /= ratio
    order["unit_risk"] /= ratio
    order["unit_gross"] /= ratio
    order["unit_net"] /= ratio
    order["unit_cash"] /= ratio
    plan["stop"] /= ratio
    plan["target"] /= ratio
    plan["target2"] /= ratio
    plan["target3"] /= ratio
    plan["trail_amount"] /= ratio
    plan["atr"] /= ratio


@kernel_jit
def _dividend(state: Any, logs: Any, market: Any, params: Any, sym: int, cash: float) -> None:
    # Ex-date: longs receive, shorts pay. Open sell stops and buy limits are lowered by the dividend, as the
    # exchanges do (FINRA rule 5330); sell limits and buy stops are not.
    account = account_of(state)
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym:
            continue
        side = float(position["side"])
        if has_options(state) and position["package"] == 1:
            # the leg of shares, if there is one, receives it; a sold call may have been exercised for it
            assign_before_dividend(state, logs, market, params, slot, symbol_at(state, sym)["last"], cash)
            if position["live"] == 0:
                continue
        amount = cash * position["qty"] * position["multiplier"] * side
        if has_options(state) and position["package"] == 1:
            amount = cash * position["qty"] * position["multiplier"] * shares_of(state, slot)
            if amount == 0.0:
                continue
        account["cash"] += amount
        account["dividends"] += amount
        position["dividends"] += amount
        if side > 0.0 and position["package"] == 0:
            position["stop"] -= cash
            position["peak"] -= cash
            position["trail_level"] -= cash
            set_stop_now(position, params["stop_and_trail"])
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            sym,
            codes.KIND_ACCOUNT,
            codes.ORDER_FILLED,
            codes.REASON_DIVIDEND,
            cash,
            position["qty"],
        )
    if has_options(state):
        count_collateral(state)
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0 or order["sym"] != sym:
            continue
        if order["side"] > 0:
            order["limit"] -= cash
        else:
            order["trigger"] += cash
