"""The compiled recurrences behind the indicators; one module, because numba's cache does not see others.

Every function takes gap-free, contiguous float64 arrays (missing bars are taken out before and put back
after, see `_gaps`) and returns a new array of the same length, NaN where the indicator is not yet defined.
Two rules make a value at row t the same bits whatever follows it, and the same bits with and without
compilation: no operation looks past t, and sums run in one fixed order, oldest value first. Windows are
summed afresh for every row instead of adding the new and subtracting the old value: that leaves no rounding
error behind when a large value leaves the window, and it makes a windowed indicator independent of how much
history came before it. Wilder's and exponential averages remember their whole history by definition.
"""

from __future__ import annotations

import math

import numpy as np

from strategies.indicators._jit import Array, jit

__all__ = [
    "adx",
    "ema",
    "rolling_high",
    "rolling_low",
    "rolling_mean",
    "rolling_std",
    "rsi",
    "true_range",
    "volatility",
    "wilder",
]


@jit
def rolling_mean(values: Array, length: int) -> Array:
    """Arithmetic mean of the last `length` values."""
    out = np.full(values.size, np.nan)
    for t in range(length - 1, values.size):
        total = 0.0
        for k in range(t - length + 1, t + 1):
            total += values[k]
        out[t] = total / length
    return out


@jit
def rolling_std(values: Array, length: int, ddof: int) -> Array:
    """Deviation from the mean of the last `length` values, in two passes."""
    out = np.full(values.size, np.nan)
    for t in range(length - 1, values.size):
        total = 0.0
        for k in range(t - length + 1, t + 1):
            total += values[k]
        mean = total / length
        squares = 0.0
        for k in range(t - length + 1, t + 1):
            deviation = values[k] - mean
            squares += deviation * deviation
        out[t] = math.sqrt(squares / (length - ddof))
    return out


@jit
def rolling_high(values: Array, length: int) -> Array:
    """Highest of the last `length` values."""
    out = np.full(values.size, np.nan)
    best = -1
    for t in range(values.size):
        if best < 0 or values[t] >= values[best]:
            best = t
        elif best <= t - length:
            best = t - length + 1
            for k in range(t - length + 2, t + 1):
                if values[k] >= values[best]:
                    best = k
        if t >= length - 1:
            out[t] = values[best]
    return out


@jit
def rolling_low(values: Array, length: int) -> Array:
    """Lowest of the last `length` values."""
    out = np.full(values.size, np.nan)
    best = -1
    for t in range(values.size):
        if best < 0 or values[t] <= values[best]:
            best = t
        elif best <= t - length:
            best = t - length + 1
            for k in range(t - length + 2, t + 1):
                if values[k] <= values[best]:
                    best = k
        if t >= length - 1:
            out[t] = values[best]
    return out


@jit
def ema(values: Array, alpha: float, length: int) -> Array:
    """Exponential average that starts at the first value; shown from value number `length` on.

    Leading NaN are passed over, so that the average of an indicator starts where the indicator does.
    """
    out = np.full(values.size, np.nan)
    state = np.nan
    seen = 0
    for t in range(values.size):
        if seen == 0:
            if math.isnan(values[t]):
                continue
            state = values[t]
        else:
            state = alpha * values[t] + (1.0 - alpha) * state
        seen += 1
        if seen >= length:
            out[t] = state
    return out


@jit
def wilder(values: Array, length: int) -> Array:
    """Wilder's average: the mean of the first `length` values, then 1/`length` of each new one.

    Leading NaN are passed over.
    """
    out = np.full(values.size, np.nan)
    total = 0.0
    state = np.nan
    seen = 0
    for t in range(values.size):
        if seen == 0 and math.isnan(values[t]):
            continue
        seen += 1
        if seen < length:
            total += values[t]
        elif seen == length:
            total += values[t]
            state = total / length
            out[t] = state
        else:
            state = (state * (length - 1) + values[t]) / length
            out[t] = state
    return out


@jit
def true_range(high: Array, low: Array, close: Array) -> Array:
    """Greatest of the bar's range and its distances to the previous close; NaN on the first bar."""
    out = np.full(close.size, np.nan)
    for t in range(1, close.size):
        span = high[t] - low[t]
        up = abs(high[t] - close[t - 1])
        down = abs(low[t] - close[t - 1])
        if up > span:
            span = up
        if down > span:
            span = down
        out[t] = span
    return out


@jit
def rsi(values: Array, length: int) -> Array:
    """Wilder's relative strength index; 50 where nothing has moved at all."""
    out = np.full(values.size, np.nan)
    gain = 0.0
    loss = 0.0
    for t in range(1, values.size):
        change = values[t] - values[t - 1]
        up = change if change > 0.0 else 0.0
        down = -change if change < 0.0 else 0.0
        if t < length:
            gain += up
            loss += down
            continue
        if t == length:
            gain = (gain + up) / length
            loss = (loss + down) / length
        else:
            gain = (gain * (length - 1) + up) / length
            loss = (loss * (length - 1) + down) / length
        total = gain + loss
        out[t] = 100.0 * gain / total if total > 0.0 else 50.0
    return out


@jit
def adx(high: Array, low: Array, close: Array, length: int) -> tuple[Array, Array, Array]:
    """Wilder's directional movement: (ADX, +DI, -DI)."""
    size = close.size
    strength = np.full(size, np.nan)
    plus = np.full(size, np.nan)
    minus = np.full(size, np.nan)
    span_sum = 0.0
    up_sum = 0.0
    down_sum = 0.0
    dx_sum = 0.0
    state = 0.0
    for t in range(1, size):
        rise = high[t] - high[t - 1]
        fall = low[t - 1] - low[t]
        up = rise if rise > fall and rise > 0.0 else 0.0
        down = fall if fall > rise and fall > 0.0 else 0.0
        span = high[t] - low[t]
        above = abs(high[t] - close[t - 1])
        below = abs(low[t] - close[t - 1])
        if above > span:
            span = above
        if below > span:
            span = below
        if t <= length:
            span_sum += span
            up_sum += up
            down_sum += down
            if t < length:
                continue
        else:
            span_sum = span_sum - span_sum / length + span
            up_sum = up_sum - up_sum / length + up
            down_sum = down_sum - down_sum / length + down
        plus[t] = 100.0 * up_sum / span_sum if span_sum > 0.0 else 0.0
        minus[t] = 100.0 * down_sum / span_sum if span_sum > 0.0 else 0.0
        both = plus[t] + minus[t]
        dx = 100.0 * abs(plus[t] - minus[t]) / both if both > 0.0 else 0.0
        if t < 2 * length:
            dx_sum += dx
            if t == 2 * length - 1:
                state = dx_sum / length
                strength[t] = state
        else:
            state = (state * (length - 1) + dx) / length
            strength[t] = state
    return strength, plus, minus


@jit
def volatility(close: Array, length: int, periods: float) -> Array:
    """Sample deviation of the last `length` log returns, times the root of `periods` per year."""
    out = np.full(close.size, np.nan)
    returns = np.full(close.size, np.nan)
    for t in range(1, close.size):
        returns[t] = math.log(close[t] / close[t - 1])
        if t < length:
            continue
        total = 0.0
        for k in range(t - length + 1, t + 1):
            total += returns[k]
        mean = total / length
        squares = 0.0
        for k in range(t - length + 1, t + 1):
            deviation = returns[k] - mean
            squares += deviation * deviation
        out[t] = math.sqrt(squares / (length - 1)) * math.sqrt(periods)
    return out
