"""Trades of which a limit left little, and an average R in which they count for no more than they risk.

A limit shrinks an order to what still fits, and that may be one share of the hundred that were asked for.
Such a trade moves the account by nothing and still counts as one in the win rate and in the average R. Each
trade weighted by the money that it risked, the average says what a unit of risk has earned.

>>> from simulator import backtest, load_bars
>>> from simulator.results.cut import cut_of
>>> from strategies import load_strategy
>>> found = cut_of(backtest(load_bars("sample:stocks"), load_strategy("sma-cross")).raw)
>>> found.cut, found.trades, round(found.weighted_r, 3), round(found.average_r, 3)
(21, 97, 0.18, 0.228)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from simulator.results.metrics import format_metric

if TYPE_CHECKING:
    from simulator.results.raw import RawRun

__all__ = ["LEAST_SHARE", "Cut", "cut_of"]

LEAST_SHARE: Final = 0.1
"""Share of the quantity asked for below which a trade is one of those."""


class Cut(NamedTuple):
    """Trades that were cut to less than `LEAST_SHARE`.

    Attributes
    ----------
    trades, cut
        All trades, and those.
    average_r, weighted_r
        Mean R over all trades that have one, and the same weighted by initial risk; NaN without any.
    """

    trades: int
    cut: int
    average_r: float
    weighted_r: float

    def __str__(self) -> str:
        words = f"{self.cut:,} of {self.trades:,} trades were cut to less than a tenth of what was asked"
        if math.isnan(self.weighted_r):
            return words
        weighted, plain = (format_metric("average_r", one) for one in (self.weighted_r, self.average_r))
        return f"{words}; average R weighted by risk taken is {weighted} (unweighted {plain})"

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold; not-a-number is None."""
        found = self._asdict()
        return {name: None if math.isnan(value) else value for name, value in found.items()}


def cut_of(raw: RawRun) -> Cut | None:
    """Return what limits left little of; None where there is no such trade, or the run kept no verdicts."""
    log = raw.trades
    entered = raw.verdicts[(raw.verdicts["granted"] > 0.0) & (raw.verdicts["asked"] > 0.0)]
    small = entered["signal"][entered["granted"] < LEAST_SHARE * entered["asked"]]
    cut = int(np.isin(log["signal"], small).sum())
    if not cut:
        return None
    r, risk = log["r_multiple"], log["initial_risk"]
    known = np.isfinite(r) & (risk > 0.0)
    average = weighted = math.nan
    if known.any():
        average = float(r[known].mean())
        weighted = float(np.average(r[known], weights=risk[known]))
    return Cut(len(log), cut, average, weighted)
