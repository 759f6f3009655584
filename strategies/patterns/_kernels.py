"""The compiled pattern scans: one pass over a symbol's gap-free bars each, looking back only.

All scans share one shape. A pattern is complete on the bar whose **close** breaks its pivot; the bars before
it decide the pivot, the breakout bar decides only the trigger, its volume and where in its range it closed.
Arguments: high, low, close, volume; `atr` (14 bars, breakout bar included), `usual` (mean volume of the 50
bars before), `trend` (50-bar average of closes). Each returns one row per completed pattern:

    0 index of the breakout bar   1 index of the pattern's first bar   2 pivot   3 stop   4 target
    5..9 points of the five score components, each from 0 to its weight; the weights add up to 100

Stop of the breakout patterns: one average true range below the pivot, but not below the pattern's own low: a
breakout that falls a whole average range back into its pattern has failed. Target: the measured move, the
pattern's height added to the pivot. Neither is bent to reach a reward-to-risk ratio; where the measured move
is small against the stop, the ratio says so and the filters reject it.

Lengths are in bars, percentages of price are fractions, other distances are in average true ranges.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.patterns._jit import Array, inner, jit

__all__ = [
    "base_breakout",
    "cup_and_handle",
    "double_bottom",
    "flag",
    "volatility_contraction",
    "year_high",
]

COLUMNS = 10

STOP_ATR = 1.0  # below the pivot

VCP_WINDOW = 15  # bars in each of the three windows
VCP_SHRINK = 0.85  # each window's range is at most this share of the one before
VCP_NEAR_HIGH = 0.10  # the pivot is at most this far below the whole pattern's high

BASE_LENGTH = 30
BASE_DEPTH = 0.15  # deepest base, share of its top
BASE_TOP_AGE = 5  # the top is at least this old: a base, not a rally

FLAG_MIN = 5
FLAG_MAX = 15
POLE_LENGTH = 15
POLE_ATR = 4.0  # least height of the pole
FLAG_RETRACE = 0.5  # deepest pullback, share of the pole

BOTTOM_RECENT = 20  # the second low is at most this old
BOTTOM_APART = 10  # least distance of the lows
BOTTOM_WIDTH = 50  # greatest distance of the lows
BOTTOM_EQUAL = 0.03  # the lows differ by at most this share of price
BOTTOM_ATR = 3.0  # least height of the middle peak
DECLINE_LENGTH = 20

HANDLE_MIN = 5
HANDLE_MAX = 20
CUP_MIN = 30
CUP_MAX = 130
CUP_RIMS = 0.06  # the rims differ by at most this share
CUP_SHALLOW = 0.10
CUP_DEEP = 0.40
CUP_SIDE = 0.2  # the low is at least this share of the cup away from either rim
CUP_ROUND = 0.25  # least share of closes in the lower half
HANDLE_RETRACE = 0.5  # deepest handle, share of the cup's height

YEAR = 252
YEAR_PAUSE = 10  # bars since the old high
YEAR_STOP_ATR = 2.0  # below the entry
YEAR_TARGET_R = 3.0  # a new high has no pattern height to measure


@inner
def _ramp(value: float, zero: float, full: float) -> float:
    """0 at `zero`, 1 at `full`, straight between, clipped outside."""
    share = (value - zero) / (full - zero)
    if share <= 0.0:
        return 0.0
    return min(share, 1.0)


@inner
def _volume_share(volume: float, usual: float) -> float:
    """0 at the usual volume, 1 at twice it; half where no volume is known, as for an index."""
    if usual > 0.0:
        return _ramp(volume / usual, 1.0, 2.0)
    return 0.5


@inner
def _dry_share(volume: float, usual: float, full: float) -> float:
    """0 at the usual volume, 1 at `full` times it or less; half where no volume is known."""
    if usual > 0.0:
        return _ramp(volume / usual, 1.0, full)
    return 0.5


@inner
def _close_share(high: float, low: float, close: float) -> float:
    """Where the bar closed: 0 at half its range or below, 1 at its high."""
    if high > low:
        return _ramp((close - low) / (high - low), 0.5, 1.0)
    return 1.0


@inner
def _trend_share(close: float, trend: float, atr: float) -> float:
    """0 at the 50-bar average or below, 1 four average ranges above it."""
    return _ramp((close - trend) / atr, 0.0, 4.0)


@inner
def _exceeds(close: Array, high: Array, i: int, length: int) -> bool:
    """Whether the close is above every high of the `length` bars before."""
    for k in range(i - 1, i - length - 1, -1):
        if close[i] <= high[k]:
            return False
    return True


@inner
def _highest(values: Array, first: int, last: int) -> int:
    """Index of the highest value from `first` to `last`, the later one on ties."""
    best = first
    for k in range(first + 1, last + 1):
        if values[k] >= values[best]:
            best = k
    return best


@inner
def _lowest(values: Array, first: int, last: int) -> int:
    """Index of the lowest value from `first` to `last`, the later one on ties."""
    best = first
    for k in range(first + 1, last + 1):
        if values[k] <= values[best]:
            best = k
    return best


@inner
def _mean(values: Array, first: int, last: int) -> float:
    total = 0.0
    for k in range(first, last + 1):
        total += values[k]
    return total / (last - first + 1)


@inner
def _ready(atr: float, usual: float, trend: float) -> bool:
    return atr > 0.0 and not math.isnan(usual) and not math.isnan(trend)


@inner
def _put(row: Array, index: int, first: int, pivot: float, stop: float, target: float) -> None:
    row[0] = index
    row[1] = first
    row[2] = pivot
    row[3] = stop
    row[4] = target


@jit
def volatility_contraction(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find three windows of equal length, each with a smaller range; the last one's high is the pivot."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(3 * VCP_WINDOW, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or not _exceeds(close, high, i, VCP_WINDOW):
            continue
        first = i - 3 * VCP_WINDOW
        top1 = high[_highest(high, first, first + VCP_WINDOW - 1)]
        low1 = low[_lowest(low, first, first + VCP_WINDOW - 1)]
        top2 = high[_highest(high, first + VCP_WINDOW, i - VCP_WINDOW - 1)]
        low2 = low[_lowest(low, first + VCP_WINDOW, i - VCP_WINDOW - 1)]
        pivot = high[_highest(high, i - VCP_WINDOW, i - 1)]
        low3 = low[_lowest(low, i - VCP_WINDOW, i - 1)]
        range1 = (top1 - low1) / top1
        range2 = (top2 - low2) / top2
        range3 = (pivot - low3) / pivot
        if range2 > VCP_SHRINK * range1 or range3 > VCP_SHRINK * range2:
            continue
        top = max(top1, top2, pivot)
        below = (top - pivot) / top
        if below > VCP_NEAR_HIGH:
            continue
        height = top - min(low1, low2, low3)
        row = out[found]
        _put(row, i, first, pivot, max(low3, pivot - STOP_ATR * atr[i]), pivot + height)
        row[5] = 30.0 * _ramp(range3 / range1, VCP_SHRINK * VCP_SHRINK, 0.3)
        row[6] = 20.0 * _dry_share(_mean(volume, i - VCP_WINDOW, i - 1), usual[i], 0.6)
        row[7] = 20.0 * _volume_share(volume[i], usual[i])
        row[8] = 20.0 * _trend_share(close[i], trend[i], atr[i])
        row[9] = 10.0 * _ramp(below, VCP_NEAR_HIGH, 0.0)
        found += 1
    return out[:found].copy()


@jit
def base_breakout(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find a flat base of 30 bars at most 15 % deep; its top is the pivot."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(BASE_LENGTH, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or not _exceeds(close, high, i, BASE_LENGTH):
            continue
        first = i - BASE_LENGTH
        top = _highest(high, first, i - 1)
        pivot = high[top]
        bottom = low[_lowest(low, first, i - 1)]
        depth = (pivot - bottom) / pivot
        if depth > BASE_DEPTH or i - top < BASE_TOP_AGE:
            continue
        row = out[found]
        _put(row, i, first, pivot, max(bottom, pivot - STOP_ATR * atr[i]), pivot + (pivot - bottom))
        row[5] = 30.0 * _ramp(depth, BASE_DEPTH, 0.05)
        row[6] = 25.0 * _volume_share(volume[i], usual[i])
        row[7] = 20.0 * _trend_share(close[i], trend[i], atr[i])
        row[8] = 10.0 * _ramp(float(i - top), float(BASE_TOP_AGE), 20.0)
        row[9] = 15.0 * _close_share(high[i], low[i], close[i])
        found += 1
    return out[:found].copy()


@jit
def flag(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find a steep pole, then 5 to 15 bars that give back at most half of it; the pole's top is the pivot."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(FLAG_MAX + POLE_LENGTH, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or not _exceeds(close, high, i, FLAG_MAX):
            continue
        top = _highest(high, i - FLAG_MAX, i - 1)
        if i - top < FLAG_MIN:
            continue
        foot = _lowest(low, top - POLE_LENGTH, top)
        pivot = high[top]
        height = pivot - low[foot]
        if height < POLE_ATR * atr[i] or foot == top:
            continue
        bottom = low[_lowest(low, top + 1, i - 1)]
        retrace = (pivot - bottom) / height
        if retrace > FLAG_RETRACE:
            continue
        row = out[found]
        _put(row, i, foot, pivot, max(bottom, pivot - STOP_ATR * atr[i]), pivot + height)
        row[5] = 25.0 * _ramp(retrace, FLAG_RETRACE, 0.2)
        row[6] = 25.0 * _ramp(height / atr[i], POLE_ATR, 2.0 * POLE_ATR)
        row[7] = 15.0 * _dry_share(_mean(volume, top + 1, i - 1), _mean(volume, foot, top), 0.5)
        row[8] = 20.0 * _volume_share(volume[i], usual[i])
        row[9] = 15.0 * _trend_share(close[i], trend[i], atr[i])
        found += 1
    return out[:found].copy()


@jit
def double_bottom(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find two lows within 3 % of each other, 10 to 50 bars apart; the peak between them is the pivot."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(BOTTOM_RECENT + BOTTOM_WIDTH + DECLINE_LENGTH, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or close[i] <= high[i - 1]:
            continue
        second = _lowest(low, i - BOTTOM_RECENT, i - 1)
        one = _lowest(low, second - BOTTOM_WIDTH, second - BOTTOM_APART)
        bottom = min(low[one], low[second])
        apart = abs(low[one] - low[second])
        if apart > BOTTOM_EQUAL * low[one]:
            continue
        pivot = high[_highest(high, one + 1, second - 1)]
        height = pivot - bottom
        if close[i] <= pivot or height < BOTTOM_ATR * atr[i]:
            continue
        if low[_lowest(low, one, second)] < bottom or high[_highest(high, second, i - 1)] > pivot:
            continue
        row = out[found]
        _put(row, i, one, pivot, max(bottom, pivot - STOP_ATR * atr[i]), pivot + height)
        drop = high[_highest(high, one - DECLINE_LENGTH, one)] - low[one]
        row[5] = 25.0 * _ramp(apart / height, 0.25, 0.05)
        row[6] = 20.0 * _ramp(height / atr[i], BOTTOM_ATR, 8.0)
        row[7] = 15.0 * _ramp(drop / atr[i], 2.0, 8.0)
        row[8] = 25.0 * _volume_share(volume[i], usual[i])
        row[9] = 15.0 * _close_share(high[i], low[i], close[i])
        found += 1
    return out[:found].copy()


@jit
def cup_and_handle(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find a rounded cup between two like rims, then a shallow handle; the right rim is the pivot."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(HANDLE_MAX + CUP_MAX, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or not _exceeds(close, high, i, HANDLE_MAX):
            continue
        right = _highest(high, i - HANDLE_MAX, i - 1)
        if i - right < HANDLE_MIN:
            continue
        left = _highest(high, right - CUP_MAX, right - CUP_MIN)
        pivot = high[right]
        gap = abs(high[left] - pivot) / high[left]
        if gap > CUP_RIMS or high[_highest(high, left, right)] > max(high[left], pivot):
            continue
        lowest = _lowest(low, left, right)
        bottom = low[lowest]
        depth = (pivot - bottom) / pivot
        side = (lowest - left) / (right - left)
        if depth < CUP_SHALLOW or depth > CUP_DEEP or side < CUP_SIDE or side > 1.0 - CUP_SIDE:
            continue
        middle = bottom + (pivot - bottom) / 2.0
        inside = 0
        for k in range(left, right + 1):
            if close[k] < middle:
                inside += 1
        rounded = inside / (right - left + 1)
        handle = low[_lowest(low, right + 1, i - 1)]
        retrace = (pivot - handle) / (pivot - bottom)
        if rounded < CUP_ROUND or retrace > HANDLE_RETRACE:
            continue
        row = out[found]
        _put(row, i, left, pivot, max(handle, pivot - STOP_ATR * atr[i]), pivot + (pivot - bottom))
        row[5] = 25.0 * min(_ramp(depth, CUP_SHALLOW, 0.15), _ramp(depth, CUP_DEEP, 0.3))
        row[6] = 15.0 * _ramp(gap, CUP_RIMS, 0.01)
        row[7] = 20.0 * _ramp(rounded, CUP_ROUND, 0.5)
        row[8] = 20.0 * _ramp(retrace, HANDLE_RETRACE, 0.2)
        row[9] = 20.0 * _volume_share(volume[i], usual[i])
        found += 1
    return out[:found].copy()


@jit
def year_high(
    high: Array, low: Array, close: Array, volume: Array, atr: Array, usual: Array, trend: Array
) -> Array:
    """Find a close above every high of the last 252 bars, after at least 10 bars without a new high."""
    out = np.empty((close.size, COLUMNS))
    found = 0
    for i in range(YEAR, close.size):
        if not _ready(atr[i], usual[i], trend[i]) or not _exceeds(close, high, i, YEAR):
            continue
        top = _highest(high, i - YEAR, i - 1)
        pivot = high[top]
        stop = close[i] - YEAR_STOP_ATR * atr[i]
        if i - top < YEAR_PAUSE or stop <= 0.0:
            continue
        row = out[found]
        _put(row, i, top, pivot, stop, close[i] + YEAR_TARGET_R * (close[i] - stop))
        row[5] = 25.0 * _volume_share(volume[i], usual[i])
        row[6] = 25.0 * _trend_share(close[i], trend[i], atr[i])
        row[7] = 20.0 * _ramp(float(i - top), float(YEAR_PAUSE), 60.0)
        row[8] = 15.0 * _ramp((close[i] - pivot) / atr[i], 2.0, 0.5)
        row[9] = 15.0 * _close_share(high[i], low[i], close[i])
        found += 1
    return out[:found].copy()
