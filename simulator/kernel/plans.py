"""A signal's plan before it is an order: prices on the tick, the expected entry, the reward."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.levels import target_level, target_share

__all__ = ["reference_price", "reward_of", "round_plan"]


@kernel_jit
def round_plan(plan: Any, tick: float) -> None:
    """Round a plan's prices to the tick, once and for all."""
    if plan["entry"] < codes.ENTRY_FIXED_OPEN:
        plan["entry_price"] = _round(plan["entry_price"], tick)
        plan["limit_price"] = _round(plan["limit_price"], tick)
    plan["stop"] = _round(plan["stop"], tick)
    plan["target"] = _round(plan["target"], tick)
    plan["target2"] = _round(plan["target2"], tick)
    plan["target3"] = _round(plan["target3"], tick)


@kernel_jit
def _round(price: float, tick: float) -> float:
    if tick > 0.0 and price == price:
        return np.floor(price / tick + 0.5) * tick
    return price


@kernel_jit
def reference_price(plan: Any, close: float) -> float:
    """Price that the entry is expected at."""
    kind = plan["entry"]
    if kind == codes.ENTRY_LIMIT or kind == codes.ENTRY_STOP_LIMIT:
        if plan["limit_price"] == plan["limit_price"]:
            return plan["limit_price"]
        return plan["entry_price"]
    if kind == codes.ENTRY_STOP or kind >= codes.ENTRY_FIXED_OPEN:
        return plan["entry_price"]
    return close


@kernel_jit
def reward_of(plan: Any, ref: float, side: float, unit: float) -> tuple[float, bool]:
    """Mean reward per unit, weighted by the targets' fractions (equal where none is given); NaN without one.

    The flag says that a target lies on the wrong side.
    """
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
