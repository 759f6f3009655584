"""Whether an order fills on a bar, at what price, and whether the fill slips: the one place that says so.

Pure functions of an order's prices and a bar, for entries, exits and the resting orders of a paper exchange
alike. All prices are mirrored (price times side), the bar with them, so that the code reads as it does for a
buyer: limits below, stops above. Comparisons are written so that an absent price (NaN) never fills. They are
inlined, because they run for every order of every bar.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit

__all__ = ["meets_inside", "meets_open", "stop_follows", "stop_goes_first", "target_waits"]


@kernel_jit.inlined
def meets_open(
    params: Any,
    kind: int,
    triggered: int,
    trigger: float,
    limit: float,
    open_: float,
    high: float,
    low: float,
) -> tuple[bool, bool, float, int, int]:
    """Match one order with the open of a bar.

    Returns whether it fills, whether a stop-limit's stop is reached, the mirrored price, the price rule, and
    whether the fill slips.
    """
    fills = False
    reached = False
    raw = open_
    rule = codes.PRICE_OPEN_GAP
    slips = codes.NO
    if kind == codes.ENTRY_OPEN or kind == codes.ENTRY_CLOSE:
        fills = True
        rule = codes.PRICE_OPEN
        slips = codes.YES
    elif kind == codes.ENTRY_FIXED_OPEN:
        fills = True
        raw = trigger
        rule = codes.PRICE_GIVEN
    elif kind == codes.ENTRY_LIMIT or (kind == codes.ENTRY_STOP_LIMIT and triggered == 1):
        fills = open_ <= limit
        if params["limit_gap"] != codes.LIMIT_GAP_OPEN:
            raw = min(limit, high)
    elif kind == codes.ENTRY_STOP:
        fills = open_ >= trigger
        slips = params["slip_stops"]
        if params["stop_gap"] == codes.STOP_GAP_STOP_PRICE and low <= trigger:
            raw = trigger
    elif kind == codes.ENTRY_STOP_LIMIT and open_ >= trigger:
        reached = True
        fills = open_ <= limit
    return fills, reached, raw, rule, slips


@kernel_jit.inlined
def meets_inside(
    params: Any, kind: int, triggered: int, trigger: float, limit: float, high: float, low: float
) -> tuple[bool, bool, bool, float, int, int]:
    """Match one order with what a bar does after its open.

    Returns whether it fills, whether a stop-limit's stop is reached, whether a limit was met rather than a
    stop, the mirrored price, the price rule, and whether the fill slips.
    """
    fills = False
    reached = False
    by_limit = False
    raw = trigger
    rule = codes.PRICE_STOP
    slips = codes.NO
    if kind == codes.ENTRY_LIMIT or (kind == codes.ENTRY_STOP_LIMIT and triggered == 1):
        fills = low <= limit
        by_limit = True
        raw = limit
        rule = codes.PRICE_LIMIT
    elif kind == codes.ENTRY_STOP:
        fills = high >= trigger
        slips = params["slip_stops"]
    elif kind == codes.ENTRY_STOP_LIMIT:
        if high >= trigger:
            reached = True
            fills = trigger <= limit
    elif kind == codes.ENTRY_FIXED_BAR:
        fills = True
        rule = codes.PRICE_GIVEN
        by_limit = limit == limit
    return fills, reached, by_limit, raw, rule, slips


@kernel_jit.inlined
def target_waits(params: Any, low: float, stop: float) -> bool:
    """Whether a target that the open has passed waits for the stop, which the bar touches later.

    Prices are mirrored by the side of the position, here and below.
    """
    return params["target_gap"] != codes.TARGET_GAP_TARGET and low <= stop


@kernel_jit.inlined
def stop_goes_first(params: Any, after_rise: bool, open_: float, target: float) -> bool:
    """Whether the stop fills before the target, where a bar meets both."""
    if params["target_gap"] == codes.TARGET_GAP_STOP and open_ >= target:
        return True
    return params["collision"] == codes.COLLISION_STOP_FIRST or (
        params["collision"] == codes.COLLISION_PATH and not after_rise
    )


@kernel_jit.inlined
def stop_follows(params: Any, level: float, by_limit: bool, low: float, close: float, up_first: bool) -> bool:
    """Whether a stop is met in what is left of the bar in which its resting entry filled.

    A limit entry is filled on the way down, so a low beyond the stop came after it. A stop entry is filled on
    the way up, and the low may have come before: the collision convention decides, and a close beyond the
    stop settles it.
    """
    if not low <= level:
        return False
    if not by_limit and not close <= level:
        if params["collision"] == codes.COLLISION_TARGET_FIRST:
            return False
        if params["collision"] == codes.COLLISION_PATH and not up_first:
            return False
    return True
