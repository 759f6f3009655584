"""Higher timeframes inside a strategy, without a look ahead: only completed higher bars are seen.

A weekly bar is complete at the close of the week's last session, as the exchange's calendar has it. Until
then a daily bar sees the week before. `simulator.bars.resample` builds the higher bars and `completed` says
which of them are known at which bar; the functions here do both and give arrays on the rows of the lower
bars.

>>> import numpy as np
>>> from simulator.bars import Bars
>>> days = np.array([18267, 18268, 18269, 18270, 18271, 18274])  # Monday to Friday, and a Monday
>>> prices = np.repeat(np.arange(10.0, 16.0), 5).reshape(6, 1, 5)
>>> daily = Bars.from_arrays(["ABC"], days * 86_400_000_000_000, prices)
>>> on_higher(daily, "1W", lambda weekly: weekly.close)[:, 0]
array([nan, nan, nan, nan, 14., 14.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["higher_trend", "on_higher"]

Array = npt.NDArray[np.float64]


def on_higher(bars: Bars, rule: str, compute: Callable[[Bars], Array]) -> Array:
    """Compute something on higher bars and bring it down to the rows of `bars`.

    Parameters
    ----------
    bars
        The strategy's bars, (T, S).
    rule
        Higher timeframe: "1W", "1D" (from intraday bars), "1h", and so on.
    compute
        Given the completed higher bars, returns an array of shape (their number, S).

    Returns
    -------
    Array
        (T, S): at each row the value of the last higher bar that was complete at that row's close; NaN before
        the first.
    """
    from simulator.bars import completed

    out = np.full(bars.close.shape, np.nan)
    higher = bars.resample(rule)
    if not len(higher):
        return out
    row = completed(higher, bars)
    known = row >= 0
    out[known] = np.asarray(compute(higher), np.float64)[row[known]]
    return out


def higher_trend(bars: Bars, rule: str, length: int) -> Array:
    """Trend of a higher timeframe: +1 where its last complete close is above its average, -1 below, 0 on it.

    `length` counts higher bars; NaN until so many are complete.
    """
    from strategies.indicators import carry, sma

    return on_higher(bars, rule, lambda higher: np.sign(carry(higher.close) - sma(higher.close, length)))
