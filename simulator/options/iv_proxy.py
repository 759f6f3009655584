"""Stand-ins for implied volatility where no option prices exist: realised volatility and a GARCH forecast.

None of them is implied volatility. Realised volatility looks back and leaves out what options are paid for:
since 1990 the VIX stood about four points above what followed. A rank made of a proxy ranks the proxy. So
every answer is an `IvProxy`, whose `grade` is "proxy" and stays with `to_series`. All are annual fractions.

The value at a session uses data up to that session only, bit for bit: cutting off the future changes nothing.

>>> import numpy as np
>>> realised_volatility(np.array([100.0, 101.0, 100.0, 101.0]), window=3)
IvProxy close-to-close, 3 sessions: 1 of 4 values
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats
from simulator.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "IvProxy",
    "garch_volatility",
    "parkinson_volatility",
    "realised_volatility",
    "yang_zhang_volatility",
]

SESSIONS_PER_YEAR: Final = 252.0
MONTH: Final = 21  # sessions in 30 calendar days
LEAST_HISTORY: Final = 100  # returns; below, the likelihood of a GARCH model is too flat to mean anything
YANG_ZHANG_ALPHA: Final = 1.34
_PERCENT: Final = 100.0  # the optimiser wants returns of about one


@dataclass(frozen=True, repr=False)
class IvProxy:
    """Volatility per session (annual fractions, NaN unknown) that stands in for implied volatility.

    `index` is the index of the Series that was given, or None; `method` says how the values were made.
    """

    values: Floats
    method: str
    index: Any = None
    grade: Literal["proxy"] = "proxy"

    def __len__(self) -> int:
        return int(self.values.size)

    def __repr__(self) -> str:
        return f"IvProxy {self.method}: {int(np.isfinite(self.values).sum())} of {len(self)} values"

    def to_series(self) -> pd.Series[Any]:
        """Return a Series named after the method, with `grade` and `definition` in its `attrs`."""
        import pandas as pd

        series = pd.Series(self.values, index=self.index, name=f"proxy: {self.method}")
        series.attrs.update(grade=self.grade, definition=self.method)
        return series


def realised_volatility(
    close: npt.ArrayLike, window: int = MONTH, *, sessions_per_year: float = SESSIONS_PER_YEAR
) -> IvProxy:
    """Return the standard deviation of the last `window` log returns, annualised.

    Parameters
    ----------
    close
        Prices per session, shape (n,), array or Series; NaN is a missing session.
    window
        Returns in the window, at least 2; the first `window` values are NaN.
    sessions_per_year
        Sessions that make a year.

    Returns
    -------
    IvProxy; NaN where a price inside the window is missing.

    Raises
    ------
    DataError
        DATA_SHAPE, or DATA_PRICE for a price that is not positive.
    ConfigError
        CONFIG_WINDOW.
    """
    prices = _prices(close)
    returns = _log_ratio(prices[1:], prices[:-1])
    variance = _first_missing(_variance(returns, _window(window)), prices.size)
    return IvProxy(_annual(variance, sessions_per_year), f"close-to-close, {window} sessions", _index(close))


def parkinson_volatility(
    high: npt.ArrayLike,
    low: npt.ArrayLike,
    window: int = MONTH,
    *,
    sessions_per_year: float = SESSIONS_PER_YEAR,
) -> IvProxy:
    """Return the volatility of the last `window` ranges from high to low (Parkinson 1980), annualised.

    It sees no gap between sessions, and so understates the volatility of what trades in sessions. Parameters,
    NaN policy and errors as in `realised_volatility`; the first `window - 1` values are NaN.
    """
    tops, bottoms = _prices(high), _prices(low)
    _same_length(tops, bottoms)
    ranges = _log_ratio(tops, bottoms)
    variance = _mean(ranges * ranges, _window(window)) / (4 * np.log(2))
    return IvProxy(_annual(variance, sessions_per_year), f"Parkinson, {window} sessions", _index(high))


def yang_zhang_volatility(
    opens: npt.ArrayLike,
    high: npt.ArrayLike,
    low: npt.ArrayLike,
    close: npt.ArrayLike,
    window: int = MONTH,
    *,
    sessions_per_year: float = SESSIONS_PER_YEAR,
) -> IvProxy:
    """Return the volatility of Yang and Zhang (2000) over the last `window` sessions, annualised.

    The sum of the variance of overnight returns, k times that from open to close, and 1 - k times Rogers and
    Satchell's range, with k = 0.34 / (1.34 + (n + 1) / (n - 1)): it sees gaps, and trend does not disturb it.
    Parameters, NaN policy and errors as in `realised_volatility`; the first `window` values are NaN.
    """
    o, h, low_, c = (_prices(column) for column in (opens, high, low, close))
    _same_length(o, h, low_, c)
    size = _window(window)
    overnight = _log_ratio(o[1:], c[:-1])
    up, down, day = (_log_ratio(x, o)[1:] for x in (h, low_, c))
    satchell = up * (up - day) + down * (down - day)
    k = (YANG_ZHANG_ALPHA - 1) / (YANG_ZHANG_ALPHA + (size + 1) / (size - 1))
    variance = _variance(overnight, size) + k * _variance(day, size) + (1 - k) * _mean(satchell, size)
    annual = _annual(_first_missing(variance, o.size), sessions_per_year)
    return IvProxy(annual, f"Yang-Zhang, {window} sessions", _index(close))


def garch_volatility(
    close: npt.ArrayLike,
    horizon: int = MONTH,
    *,
    refit: int = MONTH,
    history: int = 504,
    window: int | None = None,
    sessions_per_year: float = SESSIONS_PER_YEAR,
) -> IvProxy:
    """Return the GARCH(1,1) forecast of volatility over the next `horizon` sessions, annualised.

    Parameters
    ----------
    close
        Prices per session, shape (n,), array or Series. Missing sessions (NaN) are skipped, not filled.
    horizon
        Sessions ahead; 21 are 30 calendar days.
    refit
        Known returns between two fits of the parameters; in between, only the variance moves on.
    history
        Returns before the first fit, at least 100; until then the answer is NaN.
    window
        Returns in a fit; None takes all there are (expanding).
    sessions_per_year
        Sessions that make a year.

    Returns
    -------
    IvProxy; NaN before the first fit, and where the first fits fail. A later fit that does not converge keeps
    the parameters before it.

    Raises
    ------
    DataError
        DATA_SHAPE, DATA_PRICE.
    ConfigError
        CONFIG_WINDOW for a horizon or refit below 1, or a history or window below 100.

    Notes
    -----
    Bollerslev (1986), constant mean and normal errors, fitted by the package `arch`. Fits fall on fixed
    counts of returns from the beginning of the data, so that a longer series repeats the values of a shorter
    one.
    """
    for name, value, least in (
        ("horizon", horizon, 1),
        ("refit", refit, 1),
        ("history", history, LEAST_HISTORY),
    ):
        _at_least(name, value, least)
    if window is not None:
        _at_least("window", window, LEAST_HISTORY)
    prices = _prices(close)
    known = np.flatnonzero(~np.isnan(prices))
    returns = _PERCENT * np.diff(np.log(prices[known]))
    forecast = np.full(returns.size, np.nan)
    fitted: tuple[float, float, float, float] | None = None
    for end in range(history, returns.size + 1, refit):
        sample = returns[0 if window is None else max(0, end - window) : end]
        fitted = _fit(sample, fitted)
        if fitted is not None:
            stop = min(end + refit - 1, returns.size)
            forecast[end - 1 : stop] = _forecast(returns[:stop], end, sample, fitted, horizon)
    values = np.full(prices.size, np.nan)
    values[known[1:]] = np.sqrt(forecast * sessions_per_year) / _PERCENT
    return IvProxy(values, f"GARCH(1,1), {horizon} sessions ahead", _index(close))


# GARCH


def _fit(
    sample: Floats, before: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float] | None:
    """Return mean, omega, alpha and beta; those before where the optimiser does not converge."""
    import warnings

    from arch import arch_model

    if not np.ptp(sample) > 0:
        return before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the convergence flag
        fit = arch_model(sample, mean="Constant", vol="GARCH", p=1, q=1, rescale=False).fit(disp="off")
    if fit.convergence_flag != 0:
        return before
    mean, omega, alpha, beta = (float(value) for value in fit.params)
    return mean, omega, alpha, beta


def _forecast(
    returns: Floats, end: int, sample: Floats, fitted: tuple[float, float, float, float], horizon: int
) -> Floats:
    """Return the mean daily variance ahead (percent squared) after each return from `end` to the last."""
    mean, omega, alpha, beta = fitted
    level = float(np.mean((sample - mean) * (sample - mean)))
    variance = level
    for value in sample:
        variance = omega + alpha * (value - mean) * (value - mean) + beta * variance
    persistence = alpha + beta
    ahead = []
    for at in range(end, returns.size + 1):
        if at > end:
            gone = returns[at - 1] - mean
            variance = omega + alpha * gone * gone + beta * variance
        total, step = 0.0, variance
        for _ in range(horizon):
            total += step
            step = omega + persistence * step
        ahead.append(total / horizon)
    return np.array(ahead)


# Windows


def _prices(values: npt.ArrayLike) -> Floats:
    try:
        prices = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"prices must be numbers: {error}", code="DATA_TYPE") from error
    if prices.ndim != 1:
        raise DataError(f"prices have shape {prices.shape}, must be (n,)", code="DATA_SHAPE")
    with np.errstate(invalid="ignore"):
        bad = (prices <= 0) | np.isinf(prices)
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"price {prices[at]} at {at} is not a positive finite price", code="DATA_PRICE")
    return prices


def _same_length(*columns: Floats) -> None:
    if len({column.size for column in columns}) > 1:
        sizes = ", ".join(str(column.size) for column in columns)
        raise DataError(f"columns of prices have {sizes} values; all must have as many", code="DATA_SHAPE")


def _window(window: int) -> int:
    return _at_least("window", window, 2)


def _at_least(name: str, value: int, least: int) -> int:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(
            f"{name} is {value!r}, must be a whole number, at least {least}", code="CONFIG_WINDOW"
        )
    return int(value)


def _log_ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.log(above / below))


def _windows(values: Floats, window: int) -> Floats:
    # Whole windows, not running sums: a running sum carries rounding from all that went before.
    return np.lib.stride_tricks.sliding_window_view(values, window)


def _mean(values: Floats, window: int) -> Floats:
    if values.size < window:
        return np.full(values.size, np.nan)
    return np.concatenate((np.full(window - 1, np.nan), _windows(values, window).mean(axis=1)))


def _variance(values: Floats, window: int) -> Floats:
    if values.size < window:
        return np.full(values.size, np.nan)
    return np.concatenate((np.full(window - 1, np.nan), _windows(values, window).var(axis=1, ddof=1)))


def _first_missing(values: Floats, size: int) -> Floats:
    return np.concatenate((np.full(min(size, 1), np.nan), values))


def _annual(variance: Floats, sessions_per_year: float) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(variance * sessions_per_year))


def _index(values: Any) -> Any:
    return getattr(values, "index", None) if hasattr(values, "iloc") else None
