"""The end of a package of options at its expiry, and the assignment of sold legs before it.

Physical settlement turns options in the money into shares at their strikes. Where shares remain, they take
over the package's slot as a position of the same group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.levels import no_levels
from simulator.kernel.logbook import log_event, log_fill
from simulator.kernel.positions import leave, shorter_days
from simulator.kernel.quotes import intrinsic, price_rule, share_of
from simulator.kernel.slots import is_own
from simulator.kernel.views import (
    account_of,
    clear_record,
    leg_at,
    open_at,
    package_at,
    position_at,
    rate_at,
    symbol_at,
)

__all__ = ["assign_before_dividend", "assign_early", "settle"]

DAYS_PER_YEAR = 365.0
# A close this near to a strike at expiry, as a fraction of it, is a pin: who is assigned is anybody's guess.
PIN = 0.0025


@kernel_jit
def settle(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
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
    position["forced_price"] = 0.0
    shares, basis, assigned = _exercised(state, logs, slot, spot, early)
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
        price_rule(market),
        codes.SOURCE_SIMULATED,
        share_of(params, package["legs"]) * spread,
    )
    owed = shares * multiplier * qty
    if covered == 1 and owed < 0.0:
        owed += _deliver(state, logs, market, params, sym, strategy, -owed, basis)
    if owed != 0.0:
        _hold_shares(state, logs, params, slot, owed, basis, spot, hold)


@kernel_jit
def _exercised(state: Any, logs: Any, slot: int, spot: float, early: int) -> tuple[float, float, bool]:
    # Shares that one package becomes per unit of its multiplier, the price paid for them, and whether a sold
    # option is among those exercised.
    account = account_of(state)
    position = position_at(state, slot)
    package = package_at(state, slot)
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
    return shares, basis, assigned


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
            and is_own(position, strategy)
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
    no_levels(state, position, slot)
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
def assign_early(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int, spot: float) -> None:
    """Assign a put so deep in the money that waiting a day is worth less than the interest on its strike.

    Calls are exercised for a dividend, see `assign_before_dividend`.
    """
    account = account_of(state)
    package = package_at(state, slot)
    if package["american"] == 0 or package["physical"] == 0:
        return
    rate = rate_at(market, t)["value"]
    for k in range(package["legs"]):
        leg = leg_at(state, slot, k)
        # within its last session a put has no night left to earn interest in
        if leg["side"] < 0 and leg["right"] < 0 and leg["expiry"] > account["session"]:
            value = intrinsic(leg, spot)
            if value > 0.0 and leg["mark"] - value < leg["strike"] * (1.0 - np.exp(-rate / DAYS_PER_YEAR)):
                _assign(state, logs, market, params, slot, k, spot)
                return


@kernel_jit
def assign_before_dividend(
    state: Any, logs: Any, market: Any, params: Any, slot: int, last: float, dividend: float
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
                _assign(state, logs, market, params, slot, k, last)
                return


@kernel_jit
def _assign(state: Any, logs: Any, market: Any, params: Any, slot: int, k: int, spot: float) -> None:
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
        settle(state, logs, market, params, slot, spot, worth, 0.0, codes.YES)
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
    # the shares cost the strike: what is measured from the entry, or between extremes, goes on from there
    position["entry"] += units * leg["strike"]
    position["best"] += units * leg["strike"]
    position["worst"] += units * leg["strike"]
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
