"""Option packages: opened, valued, closed, settled and assigned on one quote snapshot per bar, its close.

A package is a position like any other: one slot, a side, a price. Its price is what its legs cost together
per share, and a package that brought a credit is a short position at that credit, so that cash, equity, heat
and statistics need no rules of their own. What differs is here: it sees no open, high or low; its exits are
shares of the premium; it ends at an expiry, and its sold legs can be assigned on the way.

Worth is seen from the holder's side throughout: `worth` is negative for a package sold for a credit, and
rises as the trade earns, for credits and debits alike. It is the mirrored price of the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.greeks import note_volatilities
from simulator.kernel.money import log_event, log_fill, package_fee
from simulator.kernel.open_loss import is_defined, net_delta, stressed_loss
from simulator.kernel.positions import free_position, leave, shorter_days
from simulator.kernel.quotes import (
    QUOTE_NONE,
    intrinsic,
    package_quote,
    share_of,
    worst_payoff,
)
from simulator.kernel.views import (
    account_of,
    add_at,
    bar_at,
    clear_record,
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
    quotes_room,
    rate_at,
    symbol_at,
    target_at,
    working_at,
)

__all__ = [
    "assign_before_dividend",
    "close_package",
    "count_collateral",
    "free_cover",
    "open_package",
    "package_cost",
    "package_terms",
    "shares_of",
    "split_package",
    "value_packages",
    "worth_at",
]

DAYS_PER_YEAR = 365.0
# A close this near to a strike at expiry, as a fraction of it, is a pin: who is assigned is anybody's guess.
PIN = 0.0025
# So much of a contract is rounding.
WHOLE = 1e-9


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
    margin = _margin(state, slot, codes.YES, bar_at(market, t, sym)["close"], worth, lowest, bounded)
    loss = (worth - lowest) * multiplier if bounded else margin
    if package["covered"] == 0 and not loss > 0.0:
        # a spread for its width or more: such quotes cannot be
        quality = QUOTE_NONE
    elif package["covered"] == 1:
        loss = 0.0
    elif not is_defined(state, slot, codes.YES):
        loss = _open_loss(state, market, t, sym, slot, codes.YES, loss, multiplier)
    return quality, worth * float(side), loss, margin, premium, exposure * multiplier


@kernel_jit
def _open_loss(
    state: Any, market: Any, t: int, sym: int, slot: int, working: int, most: float, multiplier: float
) -> float:
    # What a package without defined risk can lose; all of `most` where no volatility is known.
    stressed = stressed_loss(state, market, t, sym, slot, working) * multiplier
    return min(stressed, most) if stressed == stressed else most


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
def _margin(
    state: Any, slot: int, working: int, spot: float, worth: float, lowest: float, bounded: bool
) -> float:
    """Return what one package ties up, in currency: cash that may not be spent elsewhere.

    Defined risk: the most that it can cost at expiry. Naked: what the exchange asks for a sold option, 20 %
    of the underlying less what it is out of the money, at least 10 %, for the worse side of the package, plus
    its present worth. Covered calls and debits: nothing.
    """
    package = plan_package_at(state, slot) if working == 1 else package_at(state, slot)
    multiplier = package["multiplier"]
    if package["covered"] == 1:
        return 0.0
    if package["naked"] == 0:
        return max(0.0, -lowest) * multiplier if bounded else np.inf
    calls = 0.0
    puts = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k) if working == 1 else leg_at(state, slot, k)
        if leg["side"] < 0 and leg["right"] != 0:
            out = max(0.0, -float(leg["right"]) * (spot - leg["strike"]))
            if leg["right"] > 0:
                calls += float(leg["ratio"]) * max(0.2 * spot - out, 0.1 * spot)
            else:
                puts += float(leg["ratio"]) * max(0.2 * spot - out, 0.1 * leg["strike"])
    if bounded:
        calls = 0.0  # long calls or shares cover the sold ones
    return (max(calls, puts) + max(0.0, -worth)) * multiplier


@kernel_jit
def open_package(
    state: Any, logs: Any, market: Any, params: Any, order_slot: int, t: int, available: float
) -> float:
    """Fill a package order at this close; returns the buying power spent."""
    account = account_of(state)
    order = order_at(state, order_slot)
    plan = plan_at(state, order_slot)
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
    slot = free_position(state)
    position = position_at(state, slot)
    clear_record(position)
    copy_record(package_at(state, slot), package)
    for k in range(package["legs"]):
        copy_record(leg_at(state, slot, k), plan_leg_at(state, order_slot, k))
        leg_at(state, slot, k)["entry_price"] = plan_leg_at(state, order_slot, k)["mark"]
    position["id"] = account["next_position"]
    account["next_position"] += 1
    position["sym"] = sym
    position["side"] = order["side"]
    position["live"] = 1
    position["listed"] = 1
    position["order"] = order["id"]
    position["signal"] = order["signal"]
    position["strategy"] = order["strategy"]
    position["tag"] = order["tag"]
    position["sector"] = order["sector"]
    position["entry_row"] = account["row"]
    position["entry_ts"] = account["ts"]
    position["entry_day"] = account["session"]
    position["entry_phase"] = codes.AT_CLOSE
    position["max_bars"] = plan["max_bars"]
    position["max_days"] = shorter_days(params, plan["max_days"])
    position["tradable"] = 1
    position["package"] = 1
    position["group"] = plan["group"]
    symbol = symbol_at(state, sym)
    rolled = symbol["roll_row"] == account["row"] + 1 and symbol["roll_strategy"] == order["strategy"]
    if package["roll"] == 1 and rolled:
        position["group"] = symbol["roll_group"]
    if position["group"] == 0:
        position["group"] = position["id"] + 1
    _no_levels(state, position, slot)
    entry = price * side
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
    # valued at the mid at once: what the fill gave away is a loss already
    _, worth, spread, _, _ = package_quote(state, market, t, sym, slot, codes.NO)
    position["mark"] = worth * side
    position["delta"] = net_delta(state, market, t, sym, slot, codes.NO)
    symbol["last"] = bar_at(market, t, sym)["close"]
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
        _rule(market),
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
def package_cost(state: Any, params: Any, slot: int, price: float, margin: float, side: int) -> float:
    """Buying power that one package of an order takes at `price` per share, with fees by contract and share.

    Fees by order come on top.
    """
    package = plan_package_at(state, slot)
    fees = 0.0
    for k in range(package["legs"]):
        leg = plan_leg_at(state, slot, k)
        each = params["per_share"] * package["multiplier"] if leg["right"] == 0 else params["per_contract"]
        fees += each * float(leg["ratio"])
    return margin + float(side) * price * package["multiplier"] + fees


@kernel_jit
def _no_levels(state: Any, position: Any, slot: int) -> None:
    # The underlying's bars must not trigger anything: a package's levels are on its own price.
    for k in range(4):
        target_at(state, slot, k)["reason"] = 0
    for k in range(2):
        add_at(state, slot, k)["state"] = 0
    position["stop_now"] = -np.inf
    position["stop"] = -np.inf
    position["stop_initial"] = -np.inf
    position["next_target"] = np.inf
    position["next_add"] = np.inf
    position["breakeven_at"] = np.inf
    position["trail_level"] = -np.inf
    position["trail_activate"] = -np.inf
    position["stop_reason"] = codes.EXIT_STOP


@kernel_jit
def _rule(market: Any) -> int:
    return codes.PRICE_QUOTE if quotes_room(market) > 0 else codes.PRICE_MODEL


@kernel_jit
def value_packages(state: Any, logs: Any, market: Any, params: Any, t: int) -> None:
    """Mark every package at this close, and close, settle or assign those whose time has come."""
    account = account_of(state)
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["package"] == 1:
            _value_one(state, logs, market, params, slot, t)
    count_collateral(state)


@kernel_jit
def _value_one(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> None:
    account = account_of(state)
    position = position_at(state, slot)
    package = package_at(state, slot)
    sym = position["sym"]
    side = float(position["side"])
    quality, worth, spread, sold, delta = package_quote(state, market, t, sym, slot, codes.NO)
    position["tradable"] = 0
    if quality == QUOTE_NONE:
        return
    position["tradable"] = 1
    position["mark"] = worth * side
    position["best"] = max(position["best"], worth)
    position["worst"] = min(position["worst"], worth)
    spot = bar_at(market, t, sym)["close"]
    symbol_at(state, sym)["last"] = spot
    stressed = package["covered"] == 0 and not is_defined(state, slot, codes.NO)
    if stressed or params["greeks_on"] == 1 or not delta == delta:
        note_volatilities(state, market, t, sym, slot, codes.NO)
        delta = net_delta(state, market, t, sym, slot, codes.NO)
    position["delta"] = delta
    if account["session"] >= package["expiry"]:
        _settle(state, logs, market, params, slot, t, spot, worth, spread, codes.NONE)
        return
    if stressed or package["naked"] == 1:
        lowest, bounded = worst_payoff(state, slot, codes.NO)
        margin = _margin(state, slot, codes.NO, spot, worth, lowest, bounded)
        if package["naked"] == 1:
            position["unit_margin"] = margin
        if stressed:
            most = (worth - lowest) * package["multiplier"] if bounded else margin
            position["unit_loss"] = _open_loss(
                state, market, t, sym, slot, codes.NO, max(most, 0.0), package["multiplier"]
            )
    reason = _exit_reason(account, params, package, position, worth, spread, sold)
    if reason == codes.EXIT_NONE and package["covered"] == 1:
        if free_cover(state, sym, position["strategy"], package["multiplier"]) < -WHOLE:
            reason = codes.EXIT_UNCOVERED
    if reason != codes.EXIT_NONE:
        if reason == codes.EXIT_ROLL:
            symbol_at(state, sym)["roll_row"] = account["row"] + 1
            symbol_at(state, sym)["roll_group"] = position["group"]
            symbol_at(state, sym)["roll_strategy"] = position["strategy"]
        close_package(state, logs, market, params, slot, worth, spread, reason)
        return
    _assign_early(state, logs, market, params, slot, t, spot)


@kernel_jit
def free_cover(state: Any, sym: int, strategy: int, multiplier: float) -> float:
    """Contracts that a strategy's shares of a symbol cover beyond those sold on them; below 0: bare ones."""
    account = account_of(state)
    free = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["sym"] != sym or not _owns(strategy, position):
            continue
        if position["package"] == 0:
            free += position["qty"] / multiplier if position["side"] > 0 else 0.0
        elif package_at(state, slot)["covered"] == 1:
            free -= position["qty"]
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["package"] == 1 and order["sym"] == sym and _owns(strategy, order):
            if plan_package_at(state, slot)["covered"] == 1:
                free -= order["qty"]
    return free


@kernel_jit
def _owns(strategy: int, record: Any) -> bool:
    # What names no strategy goes with all.
    return strategy == 0 or record["strategy"] == strategy


@kernel_jit
def _exit_reason(
    account: Any, params: Any, package: Any, position: Any, worth: float, spread: float, sold: float
) -> int:
    if position["pending"] != 0:
        return position["pending"]
    premium = position["premium"]
    gain = worth - position["entry"]
    if package["stop_loss"] > 0.0 and gain <= -package["stop_loss"] * premium:
        return codes.EXIT_STOP
    best = position["best"] - position["entry"]
    if (
        package["trail_start"] > 0.0
        and best >= package["trail_start"] * premium
        and gain <= best - package["trail_back"] * premium
    ):
        return codes.EXIT_TRAIL
    # a target is a limit order: it needs a price that somebody pays, a stop only one that is quoted
    if package["profit_target"] > 0.0:
        paid = gain - share_of(params, package["legs"]) * spread
        if paid >= package["profit_target"] * premium:
            return codes.EXIT_PROFIT_TARGET
    if package["delta_exit"] > 0.0 and sold >= package["delta_exit"]:
        return codes.EXIT_DELTA
    if package["dte_exit"] > 0 and package["expiry"] - account["session"] <= package["dte_exit"]:
        return codes.EXIT_ROLL if package["roll"] == 1 else codes.EXIT_DTE
    by_bars = position["max_bars"] > 0 and position["bars_held"] >= position["max_bars"]
    by_days = position["max_days"] > 0 and account["session"] - position["entry_day"] >= position["max_days"]
    return codes.EXIT_TIME if by_bars or by_days else codes.EXIT_NONE


@kernel_jit
def close_package(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    worth: float,
    spread: float,
    reason: int,
) -> None:
    """Close a package at its quotes."""
    position = position_at(state, slot)
    given = share_of(params, package_at(state, slot)["legs"]) * spread
    kind = codes.KIND_EXIT
    if reason == codes.EXIT_STOP:
        kind = codes.KIND_STOP
    elif reason == codes.EXIT_TRAIL:
        kind = codes.KIND_TRAIL
    elif reason == codes.EXIT_PROFIT_TARGET:
        kind = codes.KIND_TARGET
    leave(
        state,
        logs,
        market,
        params,
        slot,
        position["qty"],
        (worth - given) * float(position["side"]),
        kind,
        reason,
        _rule(market),
        codes.SOURCE_SIMULATED,
        given,
    )


@kernel_jit
def _settle(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    t: int,
    spot: float,
    worth: float,
    spread: float,
    early: int,
) -> None:
    """Settle a package at expiry, or with `early` as all its options are exercised before it.

    Cash settlement pays the worth. Otherwise options in the money become shares at their strikes. Where the
    shares cancel, only cash is left; where some remain, they take over the package's slot at the price that
    was paid for them.
    """
    account = account_of(state)
    position = position_at(state, slot)
    package = package_at(state, slot)
    side = float(position["side"])
    shares = 0.0
    basis = spot
    assigned = False
    if package["physical"] == 1:
        for k in range(package["legs"]):
            leg = leg_at(state, slot, k)
            units = float(leg["side"] * leg["ratio"])
            if leg["right"] == 0:
                shares += units
                basis = leg["entry_price"]
            elif leg["expiry"] <= account["session"] or early == 1:
                _note_pin(logs, account, position, leg, spot)
                if intrinsic(leg, spot) > 0.0:
                    shares += units * float(leg["right"])
                    assigned = assigned or leg["side"] < 0
        for k in range(package["legs"]):
            leg = leg_at(state, slot, k)
            if leg["right"] != 0 and leg["side"] < 0 and intrinsic(leg, spot) > 0.0 and shares != 0.0:
                basis = leg["strike"]
    reason = codes.EXIT_ASSIGNMENT if assigned else codes.EXIT_EXPIRY
    if assigned:
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            position["sym"],
            codes.KIND_EXIT,
            codes.ORDER_FILLED,
            codes.REASON_ASSIGNED,
            spot,
            position["qty"],
        )
    qty = position["qty"]
    multiplier = position["multiplier"]
    left = worth - share_of(params, package["legs"]) * spread - shares * (spot - basis)
    hold = package["hold"]
    covered = package["covered"]
    sym = position["sym"]
    strategy = position["strategy"]
    leave(
        state,
        logs,
        market,
        params,
        slot,
        qty,
        left * side + 0.0,  # no negative zero
        codes.KIND_EXIT,
        reason,
        _rule(market),
        codes.SOURCE_SIMULATED,
        share_of(params, package["legs"]) * spread,
    )
    owed = shares * multiplier * qty
    if covered == 1 and owed < 0.0:
        owed += _deliver(state, logs, market, params, sym, strategy, -owed, basis)
    if owed != 0.0:
        _hold_shares(state, logs, params, slot, owed, basis, spot, hold)


@kernel_jit
def _deliver(
    state: Any, logs: Any, market: Any, params: Any, sym: int, strategy: int, wanted: float, price: float
) -> float:
    # Shares of the strategy go to whoever exercised the calls that they covered; returns how many.
    account = account_of(state)
    given = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if (
            position["live"] == 1
            and position["package"] == 0
            and position["sym"] == sym
            and _owns(strategy, position)
            and position["side"] > 0
            and given < wanted
        ):
            qty = min(position["qty"], wanted - given)
            given += qty
            leave(
                state,
                logs,
                market,
                params,
                slot,
                qty,
                price,
                codes.KIND_EXIT,
                codes.EXIT_ASSIGNMENT,
                codes.PRICE_GIVEN,
                codes.SOURCE_SIMULATED,
                0.0,
            )
    return given


@kernel_jit
def _note_pin(logs: Any, account: Any, position: Any, leg: Any, spot: float) -> None:
    if leg["side"] < 0 and abs(spot - leg["strike"]) <= PIN * leg["strike"]:
        log_event(
            logs,
            account,
            position["order"],
            position["id"],
            position["sym"],
            codes.KIND_EXIT,
            codes.ORDER_FILLED,
            codes.REASON_PIN_RISK,
            leg["strike"],
            position["qty"],
        )


@kernel_jit
def _hold_shares(
    state: Any, logs: Any, params: Any, slot: int, shares: float, basis: float, spot: float, hold: int
) -> None:
    # The package has just left its slot: the shares that it became are a position of the same group there.
    account = account_of(state)
    position = position_at(state, slot)
    sym, order, signal = position["sym"], position["order"], position["signal"]
    strategy, tag, sector, group = (
        position["strategy"],
        position["tag"],
        position["sector"],
        position["group"],
    )
    clear_record(position)
    position["id"] = account["next_position"]
    account["next_position"] += 1
    position["sym"] = sym
    position["side"] = 1 if shares > 0.0 else -1
    position["live"] = 1
    position["listed"] = 1
    position["order"] = order
    position["signal"] = signal
    position["strategy"] = strategy
    position["tag"] = tag
    position["sector"] = sector
    position["group"] = group
    position["entry_row"] = account["row"]
    position["entry_ts"] = account["ts"]
    position["entry_day"] = account["session"]
    position["entry_phase"] = codes.AT_CLOSE
    position["max_days"] = shorter_days(params, codes.NO)
    position["tradable"] = 1
    _no_levels(state, position, slot)
    side = float(position["side"])
    qty = abs(shares)
    position["entry"] = basis * side
    position["peak"] = basis * side
    position["best"] = basis * side
    position["worst"] = basis * side
    position["r_unit"] = np.nan
    position["multiplier"] = 1.0
    position["entry_price"] = basis
    position["mark"] = spot
    position["qty"] = qty
    position["entry_qty"] = qty
    position["first_qty"] = qty
    if hold == 0:
        position["pending"] = codes.EXIT_ASSIGNMENT
        position["pending_kind"] = codes.KIND_EXIT
    account["cash"] -= shares * basis
    if side > 0.0:
        account["long_value"] += qty * spot
    else:
        account["short_value"] += qty * spot
    symbol_at(state, sym)["n_positions"] += 1
    log_fill(
        logs,
        account,
        position,
        codes.KIND_ENTRY,
        codes.EXIT_ASSIGNMENT,
        codes.PRICE_GIVEN,
        codes.SOURCE_SIMULATED,
        side,
        qty,
        basis,
        0.0,
        0.0,
    )


@kernel_jit
def _assign_early(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, spot: float) -> None:
    # A put deep in the money is exercised when waiting a day is worth less than the day's interest on its
    # strike. Calls are exercised for a dividend, see below.
    package = package_at(state, slot)
    if package["american"] == 0 or package["physical"] == 0:
        return
    rate = rate_at(market, t)["value"]
    for k in range(package["legs"]):
        leg = leg_at(state, slot, k)
        if leg["side"] < 0 and leg["right"] < 0:
            value = intrinsic(leg, spot)
            if value > 0.0 and leg["mark"] - value < leg["strike"] * (1.0 - np.exp(-rate / DAYS_PER_YEAR)):
                _assign(state, logs, market, params, slot, k, t, spot)
                return


@kernel_jit
def assign_before_dividend(
    state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, last: float, dividend: float
) -> None:
    """Assign a sold call that was worth exercising for a dividend, on the evening before its ex-date.

    `last` is the last close before the ex-date; the leg's mark is of that close too.
    """
    package = package_at(state, slot)
    if package["american"] == 0 or package["physical"] == 0:
        return
    for k in range(package["legs"]):
        leg = leg_at(state, slot, k)
        if leg["side"] < 0 and leg["right"] > 0:
            value = intrinsic(leg, last)
            if value > 0.0 and leg["mark"] - value < dividend:
                _assign(state, logs, market, params, slot, k, t, last)
                return


@kernel_jit
def _assign(state: Any, logs: Any, market: Any, params: Any, slot: int, k: int, t: int, spot: float) -> None:
    # One sold leg is exercised against us. Where no other option is left, the package is settled; otherwise
    # the shares take the leg's place, and what is left is closed at the next snapshot, unless told to hold.
    account = account_of(state)
    position = position_at(state, slot)
    package = package_at(state, slot)
    others = 0
    worth = 0.0
    for j in range(package["legs"]):
        other = leg_at(state, slot, j)
        worth += float(other["side"] * other["ratio"]) * other["mark"]
        if j != k and other["right"] != 0:
            others += 1
    if others == 0:
        leg = leg_at(state, slot, k)
        units = float(leg["side"] * leg["ratio"])
        worth += units * (intrinsic(leg, spot) - leg["mark"])
        position["mark"] = worth * float(position["side"])
        _settle(state, logs, market, params, slot, t, spot, worth, 0.0, codes.YES)
        return
    leg = leg_at(state, slot, k)
    shares = leg["side"] * leg["right"]
    units = float(shares * leg["ratio"])
    qty = position["qty"]
    multiplier = position["multiplier"]
    paid = units * leg["strike"] * multiplier * qty
    account["cash"] -= paid
    position["realized"] -= paid
    old = position["mark"]
    worth += units * spot - float(leg["side"] * leg["ratio"]) * leg["mark"]
    position["mark"] = worth * float(position["side"])
    change = (position["mark"] - old) * qty * multiplier
    if position["side"] > 0:
        account["long_value"] += change
    else:
        account["short_value"] += change
    leg["right"] = 0
    leg["side"] = shares
    leg["entry_price"] = leg["strike"]
    leg["strike"] = np.nan
    leg["mark"] = spot
    leg["delta"] = 1.0
    log_event(
        logs,
        account,
        position["order"],
        position["id"],
        position["sym"],
        codes.KIND_EXIT,
        codes.ORDER_FILLED,
        codes.REASON_ASSIGNED,
        leg["entry_price"],
        qty,
    )
    position["pending"] = codes.EXIT_ASSIGNMENT
    position["pending_kind"] = codes.KIND_EXIT


@kernel_jit
def worth_at(state: Any, slot: int, spot: float) -> float:
    """Worth of a package per share when every leg is exercised at `spot`: after a delisting."""
    worth = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        worth += float(leg["side"] * leg["ratio"]) * intrinsic(leg, spot)
    return worth


@kernel_jit
def shares_of(state: Any, slot: int) -> float:
    """Shares in a package, per package and per unit of its multiplier; negative where it is short of them."""
    shares = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        if leg["right"] == 0:
            shares += float(leg["side"] * leg["ratio"])
    return shares


@kernel_jit
def split_package(state: Any, position: Any, slot: int, ratio: float) -> None:
    """Adjust the legs to a split of the underlying, as the clearing house does for whole ratios."""
    position["premium"] /= ratio
    position["unit_loss"] /= ratio
    position["unit_margin"] /= ratio
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        leg["strike"] /= ratio
        leg["entry_price"] /= ratio
        leg["mark"] /= ratio


@kernel_jit
def count_collateral(state: Any) -> None:
    """Work out what all packages tie up.

    Buying power counts a short position twice against the cash, as exchanges ask for shares; for a package
    its margin stands in place of that.
    """
    account = account_of(state)
    total = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["package"] == 1:
            total += position["qty"] * position["unit_margin"]
            if position["side"] < 0:
                total -= 2.0 * position["qty"] * position["mark"] * position["multiplier"]
            # shares that a package is short of, after an assignment, tie up what other short shares do
            package = package_at(state, slot)
            for j in range(package["legs"]):
                leg = leg_at(state, slot, j)
                if leg["right"] == 0 and leg["side"] < 0:
                    shares = position["qty"] * position["multiplier"] * float(leg["ratio"])
                    total += 2.0 * shares * leg["mark"]
    account["collateral"] = total
