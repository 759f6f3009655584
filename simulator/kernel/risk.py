"""The risk manager: every signal ends in exactly one verdict, here and nowhere else.

Measures count what is open and what could still fill: positions, working entries and planned adds. A rule on
size shrinks an order to what is left (or rejects it, by policy); the others reject. Shrinking rounds down to
whole lots, so that no admission takes a measure into breach, nor raises one that is in breach already.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.greeks import account_greeks, package_greeks
from simulator.kernel.match import BAR_OK, bar_state, cancel_order
from simulator.kernel.money import buying_power, log_event, unit_cost
from simulator.kernel.packages import free_cover, package_cost, package_terms
from simulator.kernel.positions import free_order, initial_levels, target_level, target_share
from simulator.kernel.views import (
    account_of,
    add_at,
    bar_at,
    clear_record,
    clock_at,
    copy_record,
    counts_of,
    has_options,
    instrument_at,
    leg_at,
    metrics_of,
    open_at,
    order_at,
    orders_room,
    package_at,
    plan_at,
    plan_leg_at,
    plan_package_at,
    position_at,
    positions_room,
    return_at,
    symbol_at,
    verdict_at,
    verdicts_room,
    working_at,
)

__all__ = ["correlation", "judge", "measures", "position_heat"]


# 0.29 / 0.01 is 28.999...96: so much of a lot is rounding, not a fraction.
WHOLE = 1e-9
# Share of the squares below which their sum about the mean is rounding.
NO_VARIATION = 1e-12


@kernel_jit
def position_heat(state: Any, params: Any, slot: int) -> float:
    """Open risk of a position in currency, planned adds included; without a stop, all of it."""
    position = position_at(state, slot)
    if position["package"] == 1:
        return position["qty"] * position["unit_loss"]
    stop = position["stop_now"]
    if stop == -np.inf:
        return position["qty"] * position["mark"] * position["multiplier"]
    base = position["entry_price"] * float(position["side"])
    if params["heat_basis"] == codes.HEAT_FROM_MARK:
        base = position["mark"] * float(position["side"])
    heat = max(0.0, base - stop) * position["qty"] * position["multiplier"]
    if position["next_add"] < np.inf:
        for k in range(2):
            add = add_at(state, slot, k)
            if add["state"] == 1:
                heat += max(0.0, add["price"] - stop) * add["qty"] * position["multiplier"]
    return heat


@kernel_jit
def measures(
    state: Any, params: Any, sector: int, skip_sym: int, skip_side: int
) -> tuple[float, float, float, float, float]:
    """Heat, gross, net, gross of `sector`, and buying power held by working entries, in currency.

    Shares of `skip_sym` on side `skip_side` are about to be closed by a reversal and do not count.
    """
    account = account_of(state)
    heat = 0.0
    gross = 0.0
    net = 0.0
    in_sector = 0.0
    held = 0.0
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        leaving = position["sym"] == skip_sym and position["side"] == skip_side and position["package"] == 0
        if position["live"] == 0 or leaving:
            continue
        heat += position_heat(state, params, slot)
        value = position["qty"] * position["mark"] * position["multiplier"]
        side = float(position["side"])
        if has_options(state) and position["package"] == 1:
            value = position["qty"] * position["delta"] * position["multiplier"]
            value *= symbol_at(state, position["sym"])["last"]
            side = 1.0 if value > 0.0 else -1.0
            value = abs(value)
        if position["next_add"] < np.inf:
            for j in range(2):
                add = add_at(state, slot, j)
                if add["state"] == 1:
                    extra = add["qty"] * abs(add["price"]) * position["multiplier"]
                    value += extra
                    held += extra
        gross += value
        net += value * side
        if position["sector"] == sector:
            in_sector += value
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0:
            continue
        rest = order["qty"] - order["filled"]
        if rest == np.inf:
            continue
        heat += rest * order["unit_risk"]
        value = rest * order["unit_gross"]
        gross += value
        net += rest * order["unit_net"]
        held += rest * order["unit_cash"]
        if order["sector"] == sector:
            in_sector += value
    return heat, gross, net, in_sector, held


@kernel_jit
def correlation(market: Any, t: int, a: int, b: int, window: int) -> tuple[float, int]:
    """Correlation of the last `window` common daily log returns of two symbols, and how many there were.

    Looks back at most twice the window in sessions, so that a chunk needs a halo of bounded length.
    """
    last = clock_at(market, t)["day_row"] - 1
    stop = max(0, last - 2 * window)
    # Sums of one pass: daily returns lie around zero, so that taking their means off loses no digits.
    n = 0
    sa = 0.0
    sb = 0.0
    saa = 0.0
    sbb = 0.0
    sab = 0.0
    day = last
    while day > stop and n < window:
        ra = return_at(market, a, day)["value"]
        rb = return_at(market, b, day)["value"]
        if ra == ra and rb == rb:
            sa += ra
            sb += rb
            saa += ra * ra
            sbb += rb * rb
            sab += ra * rb
            n += 1
        day -= 1
    if n < 2:
        return np.nan, n
    of_a = saa - sa * sa / n
    of_b = sbb - sb * sb / n
    # returns that are all alike leave only what rounding left
    if not of_a > NO_VARIATION * saa or not of_b > NO_VARIATION * sbb:
        return np.nan, 0
    return (sab - sa * sb / n) / np.sqrt(of_a * of_b), n


@kernel_jit
def _verdict(
    logs: Any,
    account: Any,
    signal: Any,
    reason: int,
    rule: int,
    value: float,
    limit: float,
    asked: float,
    granted: float,
    absent: int,
    order: int,
    price: float,
) -> int:
    n = counts_of(logs)["verdicts"]
    if n < verdicts_room(logs):
        row = verdict_at(logs, n)
        row["row"] = account["row"]
        row["ts"] = account["ts"]
        row["signal"] = account["seq"]
        row["sym"] = signal["sym"]
        row["side"] = signal["side"]
        row["rule"] = rule
        row["reason"] = reason
        row["absent"] = absent
        row["order"] = order
        row["strategy"] = signal["strategy"]
        row["tag"] = signal["tag"]
        row["value"] = value
        row["limit"] = limit
        row["asked"] = asked
        row["granted"] = granted
        row["price"] = price
        counts_of(logs)["verdicts"] = n + 1
    account["seq"] += 1
    return reason


@kernel_jit
def _own(record: Any, signal: Any) -> bool:
    # A strategy closes what is its own; a signal that names no strategy closes all.
    return signal["strategy"] == 0 or signal["strategy"] == record["strategy"]


@kernel_jit
def _close_signal(state: Any, logs: Any, signal: Any) -> int:
    # A signal of side 0: close what is held in the symbol and cancel what works there.
    account = account_of(state)
    found = 0.0
    sym = signal["sym"]
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["sym"] == sym and _own(position, signal):
            found += position["qty"]
            ask_to_close(position, signal["entry"] == codes.ENTRY_CLOSE)
    for k in range(account["n_orders"]):
        slot = working_at(state, k)["slot"]
        order = order_at(state, slot)
        if order["live"] == 1 and order["sym"] == sym and _own(order, signal):
            found += order["qty"] - order["filled"]
            cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_CLOSE_ACCEPTED)
    reason = codes.REASON_CLOSE_ACCEPTED if found > 0.0 else codes.REASON_NOTHING_TO_CLOSE
    return _verdict(
        logs, account, signal, reason, reason, np.nan, np.nan, found, found, codes.NO, codes.NONE, np.nan
    )


@kernel_jit
def ask_to_close(position: Any, at_close: bool) -> None:
    """Mark a position for a market exit by signal, at this close or at the next open."""
    if at_close:
        position["pending_close"] = codes.EXIT_SIGNAL
    elif position["pending"] == 0:
        position["pending"] = codes.EXIT_SIGNAL
        position["pending_kind"] = codes.KIND_EXIT


@kernel_jit
def _conflict(state: Any, logs: Any, params: Any, signal: Any) -> int:
    # What the same symbol already holds or works decides first. Returns a reason, or REASON_NONE to go on,
    # REASON_REVERSED to go on after the other side has been asked to close.
    account = account_of(state)
    sym = signal["sym"]
    side = signal["side"]
    package = 1 if signal["package"] > 0 else 0  # shares and packages do not stand in each other's way
    same = False
    opposite = False
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if position["live"] == 1 and position["sym"] == sym and position["package"] == package:
            if position["side"] == side:
                same = True
            else:
                opposite = True
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if (
            order["live"] == 1
            and order["sym"] == sym
            and order["package"] == package
            and (order["oco"] == 0 or order["oco"] != signal["oco"])
        ):
            if order["side"] == side:
                same = True
            else:
                opposite = True
    if opposite:
        if params["opposite_side"] == codes.OPPOSITE_IGNORE:
            return codes.REASON_OPPOSITE_SIDE_OPEN
        at_close = signal["entry"] == codes.ENTRY_CLOSE
        for k in range(account["n_positions"]):
            position = position_at(state, open_at(state, k)["slot"])
            if (
                position["live"] == 1
                and position["sym"] == sym
                and position["side"] != side
                and position["package"] == package
            ):
                ask_to_close(position, at_close)
        for k in range(account["n_orders"]):
            slot = working_at(state, k)["slot"]
            order = order_at(state, slot)
            if (
                order["live"] == 1
                and order["sym"] == sym
                and order["side"] != side
                and order["package"] == package
            ):
                cancel_order(state, logs, slot, codes.ORDER_CANCELLED, codes.REASON_REVERSED)
        if params["opposite_side"] == codes.OPPOSITE_CLOSE:
            return codes.REASON_CLOSE_ACCEPTED
        if not same:
            return codes.REASON_REVERSED
    if same and params["same_side"] == codes.SAME_SIDE_IGNORE:
        return codes.REASON_SAME_SIDE_OPEN
    return codes.REASON_NONE


@kernel_jit.inlined
def fallen(account: Any) -> float:
    """Fall of the equity from its peak, as a fraction; 0 where the peak is no money."""
    peak = account["peak_equity"]
    return 1.0 - account["equity"] / peak if peak > 0.0 else 0.0


@kernel_jit
def _halted(account: Any, params: Any) -> tuple[int, float, float]:
    if account["killed"] == 1:
        return codes.REASON_KILLED, float(account["state"]), 0.0
    if account["reducing"] == 1:
        return codes.REASON_REDUCING, float(account["state"]), 0.0
    if account["daily_halt"] == 1:
        loss = 0.0
        if account["baseline"] > 0.0:
            loss = 1.0 - account["equity"] / account["baseline"]
        return codes.REASON_DAILY_LOSS_HALT, loss, params["daily_loss"]
    if account["drawdown_halt"] == 1:
        return codes.REASON_DRAWDOWN_HALT, fallen(account), params["drawdown"]
    return codes.REASON_NONE, 0.0, 0.0


@kernel_jit
def _counts(state: Any, signal: Any, skip_side: int) -> tuple[int, int, int]:
    # Positions and working entries: all, of the symbol, of the strategy. An order that already has a
    # position counts once; orders of the signal's own OCO group do not count, since only one can fill.
    account = account_of(state)
    package = 1 if signal["package"] > 0 else 0  # a reversal closes its own kind
    total = 0
    of_symbol = 0
    of_strategy = 0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        leaving = position["sym"] == signal["sym"] and position["side"] == skip_side
        if position["live"] == 0 or (leaving and position["package"] == package):
            continue
        total += 1
        if position["sym"] == signal["sym"]:
            of_symbol += 1
        if position["strategy"] == signal["strategy"]:
            of_strategy += 1
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0 or order["position"] != 0:
            continue
        if order["oco"] != 0 and order["oco"] == signal["oco"]:
            continue
        total += 1
        if order["sym"] == signal["sym"]:
            of_symbol += 1
        if order["strategy"] == signal["strategy"]:
            of_strategy += 1
    return total, of_symbol, of_strategy


@kernel_jit
def _highest_correlation(
    state: Any, market: Any, params: Any, signal: Any, t: int, skip_side: int
) -> tuple[float, int]:
    # Largest absolute correlation with what is held or working on the same side, and how many were unknown.
    account = account_of(state)
    highest = -1.0
    unknown = 0
    window = params["correlation_window"]
    for k in range(account["n_positions"] + account["n_orders"]):
        if k < account["n_positions"]:
            position = position_at(state, open_at(state, k)["slot"])
            live, sym, side = position["live"], position["sym"], position["side"]
        else:
            order = order_at(state, working_at(state, k - account["n_positions"])["slot"])
            live, sym, side = order["live"], order["sym"], order["side"]
        if live == 0 or side != signal["side"] or sym == signal["sym"]:
            continue
        rho, n = correlation(market, t, signal["sym"], sym, window)
        if n < params["correlation_minimum"] or not rho == rho:
            unknown += 1
        elif abs(rho) > highest:
            highest = abs(rho)
    return highest, unknown


@kernel_jit
def _reward(plan: Any, ref: float, side: float, unit: float) -> tuple[float, bool]:
    # Mean reward per unit, weighted by the targets' fractions (equal where none is given); NaN without a
    # target. The flag says that a target lies on the wrong side.
    entry = ref * side
    total = 0.0
    weight = 0.0
    for k in range(3 if plan["extras"] & codes.EXTRA_TARGETS != 0 else 1):
        level = target_level(plan, k, entry, side, unit)
        if level == level:
            if not level > entry:
                return np.nan, True
            share = target_share(plan, k)
            if not share == share:
                share = 1.0
            total += share * (level - entry)
            weight += share
    if weight == 0.0:
        return np.nan, False
    return total / weight, False


@kernel_jit
def _round(price: float, tick: float) -> float:
    if tick > 0.0 and price == price:
        return np.floor(price / tick + 0.5) * tick
    return price


@kernel_jit
def _round_plan(plan: Any, tick: float) -> None:
    if plan["entry"] < codes.ENTRY_FIXED_OPEN:
        plan["entry_price"] = _round(plan["entry_price"], tick)
        plan["limit_price"] = _round(plan["limit_price"], tick)
    plan["stop"] = _round(plan["stop"], tick)
    plan["target"] = _round(plan["target"], tick)
    plan["target2"] = _round(plan["target2"], tick)
    plan["target3"] = _round(plan["target3"], tick)


@kernel_jit
def _reference(plan: Any, close: float) -> float:
    # Price that the entry is expected at.
    kind = plan["entry"]
    if kind == codes.ENTRY_LIMIT or kind == codes.ENTRY_STOP_LIMIT:
        if plan["limit_price"] == plan["limit_price"]:
            return plan["limit_price"]
        return plan["entry_price"]
    if kind == codes.ENTRY_STOP or kind >= codes.ENTRY_FIXED_OPEN:
        return plan["entry_price"]
    return close


@kernel_jit
def _floor_lot(qty: float, lot: float) -> float:
    if lot > 0.0 and qty < np.inf:
        return np.floor(qty / lot + WHOLE) * lot
    return qty


@kernel_jit
def judge(state: Any, logs: Any, market: Any, params: Any, lane: Any, signal: Any, t: int) -> int:
    """Decide on one signal at the close of bar t: log its verdict and create its order where admitted.

    `lane` holds the option packages that the signal may name.
    """
    account = account_of(state)
    metrics_of(state)["signals"] += 1
    if signal["side"] == 0:
        return _close_signal(state, logs, signal)
    sym = signal["sym"]
    symbol = symbol_at(state, sym)
    bar = bar_at(market, t, sym)
    nan = np.nan
    if symbol["delisted"] == 1:
        return _reject(logs, account, signal, codes.REASON_DELISTED, nan, nan, nan, codes.NO, nan)
    fixed = signal["entry"] >= codes.ENTRY_FIXED_OPEN
    if not fixed and bar_state(bar) != BAR_OK:
        return _reject(logs, account, signal, codes.REASON_NO_BAR, nan, nan, nan, codes.NO, nan)
    if (
        params["exit_bar"] == codes.EXIT_BAR_IGNORED
        and signal["entry"] == codes.ENTRY_CLOSE
        and symbol["exit_row"] == account["row"] + 1
    ):
        return _reject(logs, account, signal, codes.REASON_EXIT_ON_THIS_BAR, nan, nan, nan, codes.NO, nan)
    skip_side = 0
    if symbol["n_positions"] + symbol["n_orders"] > 0 and not fixed:
        reason = _conflict(state, logs, params, signal)
        if reason == codes.REASON_CLOSE_ACCEPTED:
            return _verdict(
                logs, account, signal, reason, reason, nan, nan, nan, nan, codes.NO, codes.NONE, nan
            )
        if reason == codes.REASON_REVERSED:
            skip_side = -signal["side"]
        elif reason != codes.REASON_NONE:
            return _reject(
                logs,
                account,
                signal,
                reason,
                float(symbol["n_positions"] + symbol["n_orders"]),
                0.0,
                nan,
                codes.NO,
                nan,
            )
    reason, value, limit = _halted(account, params)
    if reason != codes.REASON_NONE:
        return _reject(logs, account, signal, reason, value, limit, nan, codes.NO, nan)
    absent = 0
    if params["risk_on"] == 1:
        if signal["strength"] == 0:
            absent |= codes.ABSENT_STRENGTH
        elif signal["strength"] < params["min_strength"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_MIN_STRENGTH,
                float(signal["strength"]),
                float(params["min_strength"]),
                nan,
                absent,
                nan,
            )
        if not signal["score"] == signal["score"]:
            absent |= codes.ABSENT_SCORE
        elif signal["score"] < params["min_score"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_MIN_SCORE,
                signal["score"],
                params["min_score"],
                nan,
                absent,
                nan,
            )
        if account["cooldown_until"] > account["row"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_COOLDOWN,
                float(account["loss_streak"]),
                float(params["cooldown_losses"]),
                nan,
                absent,
                nan,
            )
        total, of_symbol, of_strategy = _counts(state, signal, skip_side)
        if total >= params["max_open_positions"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_MAX_POSITIONS,
                float(total),
                float(params["max_open_positions"]),
                nan,
                absent,
                nan,
            )
        if of_symbol >= params["max_per_symbol"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_SYMBOL_CAP,
                float(of_symbol),
                float(params["max_per_symbol"]),
                nan,
                absent,
                nan,
            )
        if of_strategy >= params["max_per_strategy"]:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_STRATEGY_CAP,
                float(of_strategy),
                float(params["max_per_strategy"]),
                nan,
                absent,
                nan,
            )
    if account["n_positions"] + account["n_orders"] >= positions_room(state):
        return _reject(
            logs,
            account,
            signal,
            codes.REASON_CAPACITY,
            float(account["n_positions"]),
            float(positions_room(state)),
            nan,
            absent,
            nan,
        )
    slot = free_order(state)
    if slot < 0 or account["n_orders"] >= orders_room(state):
        return _reject(
            logs,
            account,
            signal,
            codes.REASON_CAPACITY,
            float(account["n_orders"]),
            float(orders_room(state)),
            nan,
            absent,
            nan,
        )
    copy_record(plan_at(state, slot), signal)
    plan_at(state, slot)["row"] = account["row"]  # rows of a chunk are not rows of the run
    if has_options(state) and signal["package"] > 0:
        return _place_package(state, logs, market, params, lane, signal, slot, t, absent)
    return _size_and_place(state, logs, market, params, signal, slot, t, skip_side, absent)


@kernel_jit
def _reject(
    logs: Any,
    account: Any,
    signal: Any,
    reason: int,
    value: float,
    limit: float,
    asked: float,
    absent: int,
    price: float,
) -> int:
    return _verdict(
        logs, account, signal, reason, reason, value, limit, asked, 0.0, absent, codes.NONE, price
    )


@kernel_jit
def _size_and_place(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    absent: int,
) -> int:
    account = account_of(state)
    plan = plan_at(state, slot)
    sym = signal["sym"]
    side = float(signal["side"])
    instrument = instrument_at(market, sym)
    nan = np.nan
    lot = instrument["lot"]
    multiplier = instrument["multiplier"]
    _round_plan(plan, instrument["tick"])
    ref = _reference(plan, bar_at(market, t, sym)["close"])
    if not ref > 0.0 or ref == np.inf:
        return _reject(logs, account, signal, codes.REASON_INVALID_PRICE, ref, 0.0, nan, absent, ref)
    asked = signal["qty"]
    if asked == asked and not asked > 0.0:
        return _reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, ref)

    entry = ref * side
    stop, _, _ = initial_levels(plan, ref, side)
    wants_atr = plan["stop_atr"] == plan["stop_atr"] or plan["trail_atr"] == plan["trail_atr"]
    if (wants_atr and not plan["atr"] > 0.0) or (stop > -np.inf and not stop < entry):
        return _reject(logs, account, signal, codes.REASON_INVALID_STOP, stop * side, ref, asked, absent, ref)
    unit = nan
    if stop == -np.inf:
        absent |= codes.ABSENT_STOP
        if not asked == asked:
            return _reject(logs, account, signal, codes.REASON_NO_STOP, nan, nan, asked, absent, ref)
        unit_risk = ref * multiplier
    else:
        unit = entry - stop
        unit_risk = unit * multiplier
    reward, wrong = _reward(plan, ref, side, unit)
    if wrong:
        return _reject(
            logs, account, signal, codes.REASON_INVALID_TARGET, plan["target"], ref, asked, absent, ref
        )
    unit_gross = ref * multiplier
    if unit == unit and plan["extras"] & codes.EXTRA_ADDS != 0:
        for k in range(2):
            at = plan["add_r"] if k == 0 else plan["add2_r"]
            share = plan["add_fraction"] if k == 0 else plan["add2_fraction"]
            if at > 0.0:
                if not share == share:
                    share = 1.0
                unit_risk += share * (at * unit + unit) * multiplier
                unit_gross += share * abs(entry + at * unit) * multiplier

    return _grant_and_place(
        state,
        logs,
        market,
        params,
        signal,
        slot,
        t,
        skip_side,
        absent,
        ref,
        unit,
        reward,
        unit_risk,
        unit_gross,
        unit_gross * side,
        unit_cost(params, instrument, ref) + (unit_gross - ref * multiplier),
        lot,
        asked,
    )


@kernel_jit
def _place_package(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    lane: Any,
    signal: Any,
    slot: int,
    t: int,
    absent: int,
) -> int:
    # A package of options is sized by what it can lose and by what it ties up.
    account = account_of(state)
    nan = np.nan
    index = signal["package"] - 1
    package = plan_package_at(state, slot)
    copy_record(package, package_at(lane, index))
    for k in range(4):
        copy_record(plan_leg_at(state, slot, k), leg_at(lane, index, k))
    asked = signal["qty"]
    if asked == asked and not asked > 0.0:
        return _reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, nan)
    quality, price, loss, margin, premium, exposure = package_terms(
        state, market, params, t, signal["sym"], slot, signal["side"]
    )
    if quality != 0:
        return _reject(
            logs, account, signal, codes.REASON_NO_QUOTE, float(quality), 0.0, asked, absent, price
        )
    if not price > 0.0:
        return _reject(logs, account, signal, codes.REASON_MIN_CREDIT, price, 0.0, asked, absent, price)
    if package["covered"] == 1:
        free = np.floor(free_cover(state, signal["sym"], signal["strategy"], package["multiplier"]) + WHOLE)
        if free < 1.0:
            return _reject(logs, account, signal, codes.REASON_NOT_COVERED, free, 1.0, asked, absent, price)
        asked = min(asked, free) if asked == asked else free
    # the least credit is a share of what is tied up, for a spread: of its width
    base = margin / package["multiplier"] if signal["side"] < 0 else premium + loss / package["multiplier"]
    if premium < package["min_credit"] * base:
        return _reject(
            logs,
            account,
            signal,
            codes.REASON_MIN_CREDIT,
            premium,
            package["min_credit"] * base,
            asked,
            absent,
            price,
        )
    return _grant_and_place(
        state,
        logs,
        market,
        params,
        signal,
        slot,
        t,
        codes.NO,
        absent | codes.ABSENT_TARGET,
        price,
        nan,
        nan,
        loss,
        abs(exposure),
        exposure,
        package_cost(state, params, slot, price, margin, signal["side"]),
        1.0,
        asked,
    )


@kernel_jit
def _grant_and_place(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    absent: int,
    ref: float,
    unit: float,
    reward: float,
    unit_risk: float,
    unit_gross: float,
    unit_net: float,
    cost: float,
    lot: float,
    asked: float,
) -> int:
    # Ask every rule how much it leaves, and place what is granted. Risk, exposure and cost are per unit, in
    # currency; `unit` is the distance to the stop, NaN without one.
    account = account_of(state)
    plan = plan_at(state, slot)
    sym = signal["sym"]
    side = float(signal["side"])
    instrument = instrument_at(market, sym)
    nan = np.nan
    granted = asked
    rule = codes.REASON_ADMITTED
    value = nan
    limit = nan
    if params["risk_on"] == 1:
        if not reward == reward or not unit == unit:
            absent |= codes.ABSENT_TARGET
        elif reward / unit < params["min_reward_risk"] - 1e-9:
            return _reject(
                logs,
                account,
                signal,
                codes.REASON_MIN_REWARD_RISK,
                reward / unit,
                params["min_reward_risk"],
                asked,
                absent,
                ref,
            )
        equity = account["equity"]
        if not equity > 0.0:
            return _reject(logs, account, signal, codes.REASON_NO_EQUITY, equity, 0.0, asked, absent, ref)
        sized = not asked == asked
        if sized:
            asked = _floor_lot(params["risk_per_trade"] * equity / unit_risk, lot)
        elif asked == np.inf:
            paid = cost if signal["package"] > 0 else unit_gross
            asked = _floor_lot(equity * params["leverage"] / paid, lot)
        granted = _floor_lot(asked, lot)
        if granted > 0.0:
            sector = signal["sector"]
            if sector < 0:
                sector = instrument["sector"]
            heat, gross, net, in_sector, held = measures(state, params, sector, sym, skip_side)
            room = buying_power(params, account) - held
            if skip_side != 0:
                room += _released(state, sym, skip_side)
            room -= max(params["per_order"], params["commission_min"])
            net_now = net if unit_net > 0.0 else -net
            for k in range(7):
                if k == 0:
                    this, now, per, cap = (
                        codes.REASON_RISK_PER_TRADE,
                        0.0,
                        unit_risk,
                        params["risk_per_trade"],
                    )
                    policy = params["policy_risk"]
                    if absent & codes.ABSENT_STOP != 0:
                        cap = np.inf
                elif k == 1:
                    this, now, per, cap = codes.REASON_HEAT, heat, unit_risk, params["heat"]
                    policy = params["policy_heat"]
                elif k == 2:
                    this, now, per, cap = codes.REASON_SECTOR, in_sector, unit_gross, params["sector"]
                    policy = params["policy_sector"]
                elif k == 3:
                    this, now, per, cap = codes.REASON_POSITION_SIZE, 0.0, unit_gross, params["position_size"]
                    policy = params["policy_exposure"]
                elif k == 4:
                    this, now, per, cap = codes.REASON_GROSS_EXPOSURE, gross, unit_gross, params["gross"]
                    policy = params["policy_exposure"]
                elif k == 5:
                    this, now, per, cap = codes.REASON_NET_EXPOSURE, net_now, unit_gross, params["net"]
                    policy = params["policy_exposure"]
                else:
                    this, now, per, cap = codes.REASON_BUYING_POWER, equity - room, cost, 1.0
                    policy = codes.POLICY_SHRINK
                left = cap * equity - now
                # what raises no measure may pass, whatever is left of it
                if per > 0.0 and granted * per > left:
                    rule = this
                    value = (now + asked * per) / equity
                    limit = cap
                    if policy == codes.POLICY_REJECT:
                        granted = 0.0
                    else:
                        granted = _shrunk(left, per, lot)
                    if not granted > 0.0:
                        break
            if granted > 0.0 and params["greeks_on"] == 1:
                granted, this, now, cap = _within_greeks(
                    state, market, params, signal, slot, t, skip_side, unit_gross, asked, granted, lot
                )
                if this != codes.REASON_ADMITTED:
                    rule = this
                    value = now
                    limit = cap
        else:
            rule = codes.REASON_MIN_QUANTITY
            value = asked
            limit = lot
        if not granted > 0.0:
            return _verdict(
                logs, account, signal, rule, rule, value, limit, asked, 0.0, absent, codes.NONE, ref
            )
        # last, because it looks at sixty returns of every pair
        if params["correlation"] < np.inf:
            highest, unknown = _highest_correlation(state, market, params, signal, t, skip_side)
            if highest > params["correlation"]:
                return _reject(
                    logs,
                    account,
                    signal,
                    codes.REASON_CORRELATION,
                    highest,
                    params["correlation"],
                    asked,
                    absent,
                    ref,
                )
            if unknown > 0:
                absent |= codes.ABSENT_CORRELATION
                if params["correlation_unknown"] == codes.UNKNOWN_REJECT:
                    return _reject(
                        logs,
                        account,
                        signal,
                        codes.REASON_CORRELATION_UNKNOWN,
                        float(unknown),
                        0.0,
                        asked,
                        absent,
                        ref,
                    )
    elif not asked == asked:
        return _reject(logs, account, signal, codes.REASON_INVALID_QUANTITY, asked, 0.0, asked, absent, ref)

    order = order_at(state, slot)
    clear_record(order)
    order["id"] = account["next_order"]
    account["next_order"] += 1
    order["sym"] = sym
    order["side"] = signal["side"]
    order["live"] = 1
    order["listed"] = 1
    order["entry"] = signal["entry"]
    order["tif"] = signal["tif"]
    order["state"] = codes.ORDER_PENDING
    order["session"] = -1
    order["oco"] = signal["oco"]
    order["strategy"] = signal["strategy"]
    order["tag"] = signal["tag"]
    order["sector"] = signal["sector"] if signal["sector"] >= 0 else instrument["sector"]
    order["signal"] = account["seq"]
    order["reversal"] = 1 if skip_side != 0 else 0
    order["born_row"] = account["row"]
    order["package"] = 1 if signal["package"] > 0 else 0
    order["qty"] = granted
    order["trigger"] = plan["entry_price"] * side
    limit_price = plan["limit_price"]
    if not limit_price == limit_price and signal["entry"] < codes.ENTRY_FIXED_OPEN:
        limit_price = plan["entry_price"]
    order["limit"] = limit_price * side
    order["reference"] = ref
    order["unit_risk"] = unit_risk
    order["unit_gross"] = unit_gross
    order["unit_net"] = unit_net
    order["unit_cash"] = cost if signal["package"] > 0 else unit_gross
    working_at(state, account["n_orders"])["slot"] = slot
    account["n_orders"] += 1
    symbol_at(state, sym)["n_orders"] += 1
    metrics_of(state)["admitted"] += 1
    log_event(
        logs,
        account,
        order["id"],
        codes.NONE,
        sym,
        codes.KIND_ENTRY,
        codes.ORDER_PENDING,
        codes.REASON_ADMITTED,
        ref,
        granted,
    )
    outcome = codes.REASON_ADMITTED if rule == codes.REASON_ADMITTED else codes.REASON_SHRUNK
    return _verdict(
        logs, account, signal, outcome, rule, value, limit, asked, granted, absent, order["id"], ref
    )


@kernel_jit
def _within_greeks(
    state: Any,
    market: Any,
    params: Any,
    signal: Any,
    slot: int,
    t: int,
    skip_side: int,
    unit_gross: float,
    asked: float,
    granted: float,
    lot: float,
) -> tuple[float, int, float, float]:
    # What the limits on Greeks leave of an order, and the last rule that shrank it: reason, value and limit.
    # Delta, gamma and vega may not grow away from zero on either side; of theta only what is received counts.
    account = account_of(state)
    sym = signal["sym"]
    equity = account["equity"]
    _, delta, gamma, theta, vega = account_greeks(state, market, t, sym, skip_side)
    unit_delta = unit_gross * float(signal["side"])
    unit_gamma = 0.0
    unit_theta = 0.0
    unit_vega = 0.0
    if has_options(state) and signal["package"] > 0:
        multiplier = plan_package_at(state, slot)["multiplier"]
        unit_delta, unit_gamma, unit_theta, unit_vega = package_greeks(state, market, t, sym, slot, codes.YES)
        unit_delta *= multiplier
        unit_gamma *= multiplier
        unit_theta *= multiplier
        unit_vega *= multiplier
    rule = codes.REASON_ADMITTED
    value = np.nan
    limit = np.nan
    for k in range(4):
        if k == 0:
            this, now, cap = codes.REASON_NET_DELTA, delta, params["net_delta"]
            per = unit_delta * instrument_at(market, sym)["beta"]
        elif k == 1:
            this, now, per, cap = codes.REASON_GAMMA, gamma, unit_gamma, params["gamma"]
        elif k == 2:
            this, now, per, cap = codes.REASON_THETA, theta, max(0.0, unit_theta), params["theta"]
        else:
            this, now, per, cap = codes.REASON_VEGA, vega, unit_vega, params["vega"]
        if per < 0.0:
            now = -now
            per = -per
        left = cap * equity - now
        # an order without the Greek raises nothing, whatever is left
        if per > 0.0 and granted * per > left:
            rule = this
            value = (now + asked * per) / equity
            limit = cap
            granted = 0.0 if params["policy_greeks"] == codes.POLICY_REJECT else _shrunk(left, per, lot)
            if not granted > 0.0:
                break
    return granted, rule, value, limit


@kernel_jit
def _shrunk(left: float, per: float, lot: float) -> float:
    # Largest quantity whose measure stays within what is left; rounding never goes up.
    if not left > 0.0:
        return 0.0
    granted = _floor_lot(left / per, lot)
    if granted * per > left:
        granted = granted - lot if lot > 0.0 else granted * (1.0 - 1e-15)
    return max(granted, 0.0)


@kernel_jit
def _released(state: Any, sym: int, side: int) -> float:
    # Buying power that closing the other side will give back at the mark.
    account = account_of(state)
    value = 0.0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        if (
            position["live"] == 1
            and position["sym"] == sym
            and position["side"] == side
            and position["package"] == 0
        ):
            value += position["qty"] * position["mark"] * position["multiplier"]
    return value
