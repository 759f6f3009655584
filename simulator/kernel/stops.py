"""The stop in force: a fixed stop, a trail, or both, and how a trail rises.

Levels are mirrored (price times side), so that every rule reads as it does for a long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit

__all__ = ["break_even", "raise_trail", "raised", "set_stop_now", "stop_met", "trail_from"]

TRAIL_NONE = 0
TRAIL_PERCENT = 1
TRAIL_DISTANCE = 2


@kernel_jit.inlined
def trail_from(position: Any, peak: float) -> float:
    """Mirrored trail level below a mirrored peak."""
    if position["trail_mode"] == TRAIL_PERCENT:
        return peak - abs(peak) * position["trail_distance"]
    return peak - position["trail_distance"]


@kernel_jit.inlined
def set_stop_now(position: Any, stop_and_trail: int) -> None:
    """Work out which of the fixed stop and the trail is in force."""
    stop = position["stop"]
    if position["trail_on"] == 1:
        level = position["trail_level"]
        position["stop_now"] = level if stop_and_trail == codes.BOTH_TRAIL_REPLACES else max(level, stop)
    else:
        position["stop_now"] = stop


@kernel_jit.inlined
def raise_trail(position: Any, params: Any, extreme: float) -> None:
    """Raise the trail as if the price had been at the mirrored `extreme`; without branches on the price."""
    if position["trail_mode"] == TRAIL_NONE:
        return
    peak = max(position["peak"], extreme)
    position["peak"] = peak
    if position["trail_on"] == 0:
        if not peak >= position["trail_activate"]:
            return
        position["trail_on"] = 1
    position["trail_level"] = max(trail_from(position, peak), position["trail_level"])
    set_stop_now(position, params["stop_and_trail"])


@kernel_jit
def raised(position: Any, params: Any, extreme: float) -> float:
    """Stop that would be in force once the price has been at the mirrored `extreme`."""
    peak = max(position["peak"], extreme)
    if position["trail_mode"] == TRAIL_NONE or not peak >= position["trail_activate"]:
        return position["stop_now"]
    level = trail_from(position, peak)
    if position["trail_on"] == 1:
        level = max(level, position["trail_level"])
    if params["stop_and_trail"] == codes.BOTH_TRAIL_REPLACES:
        return level
    return max(level, position["stop"])


@kernel_jit
def stop_met(
    position: Any,
    params: Any,
    trails: bool,
    up_first: bool,
    open_: float,
    high: float,
    low: float,
    close: float,
) -> tuple[bool, bool, float, float]:
    """Match the stop in force with a bar, in which a trail may rise where the convention says so.

    Returns whether the bar meets it, whether after the high rather than before it, the extreme that the trail
    has risen from by then, and the level that is met.
    """
    level = position["stop_now"]
    hit = False
    after_rise = False
    extreme = position["peak"]
    if params["trail_rule"] == codes.TRAIL_PATH and trails:
        if up_first:
            extreme = high
            level = raised(position, params, high)
            hit = low <= level
            after_rise = True
        else:
            extreme = open_
            level = raised(position, params, open_)
            hit = low <= level
            if not hit:
                extreme = high
                level = raised(position, params, high)
                hit = close <= level
                after_rise = True
    elif low <= level:
        hit = True
        after_rise = params["collision"] == codes.COLLISION_PATH and up_first
    elif trails:
        extreme = high
        level = raised(position, params, high)
        hit = low <= level
        after_rise = True
    return hit, after_rise, extreme, level


@kernel_jit
def break_even(params: Any, position: Any, extreme: float) -> None:
    """Move the stop to the entry where the mirrored `extreme` has reached the level for it."""
    if extreme >= position["breakeven_at"]:
        position["breakeven_at"] = np.inf
        if position["entry"] > position["stop"]:
            position["stop"] = position["entry"]
            position["stop_reason"] = codes.EXIT_BREAKEVEN
            set_stop_now(position, params["stop_and_trail"])
