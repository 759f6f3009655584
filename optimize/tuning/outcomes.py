"""What a trade came to, by a measure that small and large, short and long trades share.

**Margin** is what a trade ties up: the least of what is known of buying power and largest loss, for nobody
ties up more than can be lost. So defined risk is its largest loss, a cash-secured put its strike, a naked put
what the broker asked for. Where neither is known (a strangle of a backtest) it is what the exchange would
ask, from legs and price of the underlying; then the stated risk; for shares what they cost. Where nothing
says, it is unknown, and so is the outcome.

**R per margin-day** of a group of trades is the sum of profit / margin over the sum of days: what a unit of
capital earned per day while it was tied up. It is no mean of R / days over trades: there a loss after two
days would count ten times a profit after twenty, and groups that differ in nothing but the haste of their
losers would differ in "profit". `rates` gives every trade the value

    outcome = rate + (R - rate x days) / mean days,      R = profit / margin,

with the rate and the mean days of all trades. It is what a trade adds to that ratio (its linearisation), so
that the plain mean over any group is the group's R per margin-day to first order, over all trades exactly,
and statistics of means hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from optimize.tuning.cases import DAY
from simulator.opportunity import OptionLeg

__all__ = ["Rates", "days_held", "exchange_margin", "margin_of_package", "margin_of_shares", "rates"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rates:
    """Outcomes in R per margin-day.

    Attributes
    ----------
    outcome, worst, best
        Per trade, and the largest loss and profit that were possible when it was opened in the same unit, per
        mean day; NaN is unknown.
    gross
        R before fees per mean day: what a trade came to, in the unit of `best`.
    rate, days
        Of all trades with a known outcome: R per margin-day, and mean days; NaN without any.
    """

    outcome: Floats
    worst: Floats
    best: Floats
    gross: Floats
    rate: float
    days: float


def rates(r: Floats, days: Floats, *, least: Floats, most: Floats, fees: Floats | float = 0.0) -> Rates:
    """Return what each trade adds to R per margin-day.

    Parameters
    ----------
    r
        Profit over margin per trade; NaN is unknown.
    days
        In the trade, at least 1.
    least, most
        The least (below 0) and the most that `r` could have been when it was opened; NaN is unknown.
    fees
        Over margin per trade; `r` is after them.

    >>> found = rates(np.array([0.4, -0.2]), np.array([30.0, 10.0]), least=np.full(2, -1.0), most=np.ones(2))
    >>> round(found.rate, 6), found.outcome.round(6).tolist(), round(float(found.outcome.mean()), 6)
    (0.005, [0.0175, -0.0075], 0.005)
    """
    known = np.isfinite(r)
    if not known.any():
        empty = np.full(len(r), np.nan)
        return Rates(empty, empty, empty, empty, math.nan, math.nan)
    mean = float(days[known].mean())
    rate = float(r[known].sum() / days[known].sum())
    outcome = np.asarray(rate + (r - rate * days) / mean, np.float64)
    return Rates(outcome, least / mean, most / mean, (r + fees) / mean, rate, mean)


def days_held(entry_ts: int, exit_ts: int) -> float:
    """Return calendar days between two stamps (UTC nanoseconds), at least 1: margin is for the whole day."""
    return max(1.0, (exit_ts - entry_ts) / DAY)


def margin_of_package(
    *,
    buying_power: float | None,
    max_loss: float | None,
    exchange: float | None = None,
    initial_risk: float | None = None,
) -> float:
    """Return what a package ties up in currency, NaN where nothing says.

    Parameters
    ----------
    buying_power, max_loss, initial_risk
        For the whole trade in currency; None is unknown, and so is what is not above 0.
    exchange
        What the exchange would ask for, as `exchange_margin` gives it.
    """
    known = [value for value in (buying_power, max_loss) if value is not None and value > 0]
    if known:
        return min(known)
    for value in (exchange, initial_risk):
        if value is not None and 0 < value < math.inf:
            return value
    return math.nan


def margin_of_shares(*, buying_power: float | None, cost: float) -> float:
    """Return what shares tie up in currency: what the broker asked for, else what they cost."""
    if buying_power is not None and buying_power > 0:
        return buying_power
    return cost if cost > 0 else math.nan


def exchange_margin(
    legs: Sequence[tuple[int, str, float | None, float]], *, spot: float | None, worth: float, size: float
) -> float | None:
    """Return what the exchange asks for a package with sold options that nothing covers, in currency.

    Parameters
    ----------
    legs
        Side, kind, strike and ratio.
    spot
        Price of the underlying at entry.
    worth
        What the package is worth to its holder per unit of the underlying: negative for a credit.
    size
        Units of the underlying: packages times multiplier.

    Returns
    -------
    None without legs or price. The rule is that of the scanner and the simulator
    (`strategies.scanner_measures.margin_of`).
    """
    from strategies.scanner_measures import margin_of

    if not legs or spot is None or not spot > 0:
        return None
    shaped = [
        OptionLeg(side, "shares" if kind == "stock" else kind, strike or 0.0, date.min, round(ratio))
        for side, kind, strike, ratio in legs
    ]
    return margin_of(shaped, worth, spot, naked=True) * size
