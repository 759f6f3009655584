"""Levels of a position: its initial stop, its targets and its planned adds, from a signal's plan.

A level is given as a price, in percent of the fill, or as a multiple of R or of the ATR. All are kept
mirrored, that is multiplied by the side: a stop lies below, a target above. An absent level is infinite, so
that it never fires.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.stops import TRAIL_DISTANCE, TRAIL_NONE, TRAIL_PERCENT
from simulator.kernel.views import add_at, target_at

__all__ = [
    "initial_levels",
    "next_levels",
    "no_levels",
    "set_adds",
    "set_targets",
    "size_targets",
    "target_level",
    "target_share",
    "whole_lots",
]


@kernel_jit
def initial_levels(plan: Any, price: float, side: float) -> tuple[float, float, int]:
    """Mirrored initial stop (-inf: none), trail distance, and trail mode for an entry at `price`."""
    entry = price * side
    stop = _pick(plan["stop"], -plan["stop_percent"], -plan["stop_atr"], entry, side, plan["atr"])
    mode = TRAIL_NONE
    distance = 0.0
    if plan["trail_percent"] == plan["trail_percent"]:
        mode = TRAIL_PERCENT
        distance = plan["trail_percent"] / 100.0
    elif plan["trail_amount"] == plan["trail_amount"]:
        mode = TRAIL_DISTANCE
        distance = plan["trail_amount"]
    elif plan["trail_atr"] * plan["atr"] > 0.0:
        mode = TRAIL_DISTANCE
        distance = plan["trail_atr"] * plan["atr"]
    if not stop == stop:
        if mode == TRAIL_PERCENT:
            stop = entry - abs(entry) * distance
        elif mode == TRAIL_DISTANCE:
            stop = entry - distance
        else:
            stop = -np.inf
    return stop, distance, mode


@kernel_jit
def target_level(plan: Any, k: int, entry: float, side: float, unit: float) -> float:
    """Mirrored price of target k (0 to 2, 3 is the scale-out), NaN where absent."""
    if k == 0:
        return _pick(plan["target"], plan["target_percent"], plan["target_r"], entry, side, unit)
    if k == 1:
        return _pick(plan["target2"], plan["target2_percent"], plan["target2_r"], entry, side, unit)
    if k == 2:
        return _pick(plan["target3"], plan["target3_percent"], plan["target3_r"], entry, side, unit)
    return entry + plan["scale_out_r"] * unit


@kernel_jit
def target_share(plan: Any, k: int) -> float:
    """Fraction of the position that target k takes as given, NaN where not given."""
    if k == 0:
        return plan["target_fraction"]
    if k == 1:
        return plan["target2_fraction"]
    if k == 2:
        return plan["target3_fraction"]
    share = plan["scale_out_fraction"]
    if share == share:
        return share
    return 0.5


@kernel_jit
def _pick(price: float, percent: float, multiple: float, entry: float, side: float, unit: float) -> float:
    # A level as a price, else percent of the fill, else a multiple of `unit`; mirrored; NaN where absent.
    if price == price:
        return price * side
    if percent == percent:
        return entry + abs(entry) * percent / 100.0
    if multiple == multiple:
        return entry + multiple * unit
    return np.nan


@kernel_jit
def set_targets(state: Any, position: Any, slot: int, plan: Any) -> None:
    """Set a new position's targets: prices and fractions, the nearest first."""
    side = float(position["side"])
    entry = position["entry"]
    position["next_target"] = np.inf
    if plan["extras"] & codes.EXTRA_TARGETS == 0:
        # one target for all of it, or none: no need to sort and share
        for k in range(1, 4):
            target_at(state, slot, k)["reason"] = 0
        only = target_at(state, slot, 0)
        only["price"] = target_level(plan, 0, entry, side, position["r_unit"])
        only["reason"] = codes.EXIT_TARGET if only["price"] == only["price"] else 0
        only["fraction"] = np.inf
        only["qty"] = np.inf
        if only["reason"] != 0:
            position["next_target"] = only["price"]
        return
    given = 0.0
    missing = 0
    last = -1
    for k in range(4):
        target = target_at(state, slot, k)
        target["price"] = np.inf
        target["qty"] = 0.0
        target["fraction"] = 0.0
        target["reason"] = 0
        level = target_level(plan, k, entry, side, position["r_unit"])
        if level == level:
            share = target_share(plan, k)
            if share == share:
                given += share
            else:
                missing += 1
            target["price"] = level
            target["fraction"] = share
            target["reason"] = codes.EXIT_SCALE_OUT if k == 3 else codes.EXIT_TARGET + k
            if k < 3:
                last = k
    total = 0.0
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0:
            if not target["fraction"] == target["fraction"]:
                target["fraction"] = max(0.0, (1.0 - given) / missing)
            total += target["fraction"]
    # insertion sort by price: the nearest target first
    for i in range(1, 4):
        k = i
        while k > 0 and target_at(state, slot, k)["price"] < target_at(state, slot, k - 1)["price"]:
            _swap(target_at(state, slot, k), target_at(state, slot, k - 1))
            k -= 1
    if last >= 0 and total > 1.0 - 1e-9:
        # fractions that add up to one leave nothing over: the farthest target takes the rest
        for k in range(3, -1, -1):
            if target_at(state, slot, k)["reason"] != 0:
                target_at(state, slot, k)["fraction"] = np.inf
                break


@kernel_jit
def _swap(a: Any, b: Any) -> None:
    reason = a["reason"]
    price = a["price"]
    fraction = a["fraction"]
    a["reason"] = b["reason"]
    a["price"] = b["price"]
    a["fraction"] = b["fraction"]
    b["reason"] = reason
    b["price"] = price
    b["fraction"] = fraction


@kernel_jit
def size_targets(state: Any, params: Any, position: Any, slot: int, lot: float) -> None:
    """Work out the targets' quantities from what has been entered."""
    if position["extras"] & codes.EXTRA_TARGETS == 0:
        return
    position["next_target"] = np.inf
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0:
            if target["fraction"] == np.inf:
                target["qty"] = np.inf
            else:
                target["qty"] = whole_lots(params, target["fraction"] * position["entry_qty"], lot)
            if target["qty"] > 0.0 and target["price"] < position["next_target"]:
                position["next_target"] = target["price"]


@kernel_jit
def set_adds(state: Any, position: Any, slot: int, plan: Any) -> None:
    """Set the levels at which a new position grows."""
    for k in range(2):
        add = add_at(state, slot, k)
        at = plan["add_r"] if k == 0 else plan["add2_r"]
        share = plan["add_fraction"] if k == 0 else plan["add2_fraction"]
        add["state"] = 0
        add["price"] = np.inf
        add["qty"] = 0.0
        add["fraction"] = 0.0
        if at * position["r_unit"] > 0.0:
            add["state"] = 1
            add["price"] = position["entry"] + at * position["r_unit"]
            add["fraction"] = share if share == share else 1.0


@kernel_jit
def next_levels(state: Any, position: Any, slot: int) -> None:
    """Refresh the nearest open target and add."""
    position["next_target"] = np.inf
    for k in range(4):
        target = target_at(state, slot, k)
        if target["reason"] != 0 and target["qty"] > 0.0 and target["price"] < position["next_target"]:
            position["next_target"] = target["price"]
    position["next_add"] = np.inf
    for k in range(2):
        add = add_at(state, slot, k)
        if add["state"] == 1 and add["price"] < position["next_add"]:
            position["next_add"] = add["price"]


@kernel_jit
def no_levels(state: Any, position: Any, slot: int) -> None:
    """Take every level off: those of a package are on its own price, not on the underlying's bars."""
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
def whole_lots(params: Any, qty: float, lot: float) -> float:
    """Round down to whole lots: the risk manager trades those; without it quantities are taken as given."""
    if params["risk_on"] == 1 and lot > 0.0:
        return np.floor(qty / lot + 1e-9) * lot
    return qty
