"""When fills become worse than they were: the test behind the alert.

New orders of one sort (broker, asset class, order type) are compared with those of the calibration, in blocks
of `block` orders that do not overlap: a watch that looked at every fill anew would cry sooner or later about
nothing. A block has drifted where both hold:

- its ranks among the calibration's orders are higher on average, one-sided, at `alpha`, as in the test of
  Mann and Whitney (Annals of Mathematical Statistics 18, 1947), so that no single terrible fill decides;
- its median is at least `least_bps` (packages: `least_share` of the spread) above the calibrated one, so that
  nobody is called for what costs nothing.

Slippage comes in spells, and the classic test takes each order for news: on correlated fills it cries in a
third of all streams. So the variance of the mean rank is widened by the autocorrelations of the calibration,
summed in pairs until a pair is negative (Geyer, Statistical Science 7, 1992), and the tails are Student's,
since that sum is an estimate. Spells longer than the calibration itself are seen by no test. Better fills
raise nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from live.slippage.calibrating import Calibration
from live.slippage.measuring import Sample
from simulator.errors import ConfigError

__all__ = ["ALPHA", "BLOCK", "LEAST_BPS", "LEAST_SHARE", "Drift", "find_drift"]

BLOCK: Final = 20
ALPHA: Final = 0.001
LEAST_BPS: Final = 1.0
LEAST_SHARE: Final = 0.05

_LEAST_BLOCKS: Final = 2
"""Blocks that a calibration must have of a sort, or nothing is known of how its fills hang together."""

_LEAST_FREEDOM: Final = 4.0

Sort = tuple[str, str, str]
"""Broker, asset class, order type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A block of orders that cost more than those of the calibration.

    Attributes
    ----------
    first, last
        Times of its first and last order.
    usual, now
        Medians before and in the block, in `unit`: "bps" or "share".
    p_value
        Of the one-sided test.
    """

    broker: str
    asset: str
    kind: str
    first: datetime
    last: datetime
    count: int
    usual: float
    now: float
    unit: str
    p_value: float

    @property
    def message(self) -> str:
        """What happened, for a person."""
        words = "basis points" if self.unit == "bps" else "of the quoted spread"
        return (
            f"{self.count} {self.kind} orders ({self.asset}) at {self.broker} until "
            f"{self.last:%Y-%m-%d %H:%M} UTC cost {self.now:.2f} {words}, usually {self.usual:.2f} (chance "
            f"{self.p_value:.1g}). Backtests with the old costs are too kind; look at what changed, and "
            "calibrate anew"
        )


def find_drift(
    found: Sequence[Sample],
    calibration: Calibration,
    *,
    block: int = BLOCK,
    alpha: float = ALPHA,
    least_bps: float = LEAST_BPS,
    least_share: float = LEAST_SHARE,
) -> list[Drift]:
    """Return every block after the calibration that has drifted, oldest first.

    Parameters
    ----------
    found
        All samples, those of the calibration too, in an order that stays: that of `SampleBook` does, and
        that of their times where none comes late.
    block, alpha, least_bps, least_share
        See the module's docstring. Of a sort that the calibration has in fewer than two blocks, or fewer
        than its `min_count`, nothing is said.

    Raises
    ------
    ConfigError
        LIVE_SLIPPAGE_DRIFT for a block below 8, or an alpha outside 0 to 1.
    """
    if block < 8 or not 0.0 < alpha < 1.0:
        raise ConfigError(
            f"a drift is looked for in blocks of {block} at {alpha:g}; a block has at least 8 orders, and "
            "alpha is between 0 and 1",
            code="LIVE_SLIPPAGE_DRIFT",
        )
    if calibration.until is None:
        return []
    before: dict[Sort, list[Sample]] = {}
    since: dict[Sort, list[Sample]] = {}
    for one in found:
        group = before if one.time <= calibration.until else since
        group.setdefault((one.broker, one.asset, one.kind), []).append(one)
    drifts = []
    for sort, new in since.items():
        old = before.get(sort, [])
        if len(old) < max(calibration.min_count, _LEAST_BLOCKS * block) or len(new) < block:
            continue
        usual = _Usual([one.value for one in old], block)
        least = least_share if new[0].is_package else least_bps
        for start in range(0, len(new) - block + 1, block):
            drift = _judged(sort, usual, new[start : start + block], alpha, least)
            if drift is not None:
                drifts.append(drift)
    return sorted(drifts, key=lambda one: (one.last, one.broker, one.kind))


def _judged(sort: Sort, usual: _Usual, new: Sequence[Sample], alpha: float, least: float) -> Drift | None:
    values = np.array([one.value for one in new])
    now = float(np.median(values))
    if now - usual.median < least:
        return None
    p_value = usual.chance(values)
    if p_value > alpha:
        return None
    broker, asset, kind = sort
    return Drift(
        broker=broker, asset=asset, kind=kind, first=min(one.time for one in new),
        last=max(one.time for one in new), count=len(new), usual=usual.median, now=now,
        unit="share" if new[0].is_package else "bps", p_value=p_value,
    )  # fmt: skip


class _Usual:
    """What the calibration's orders of one sort say about a block of `block` new ones."""

    def __init__(self, old: Sequence[float], block: int) -> None:
        values = np.array(old)
        self.median = float(np.median(values))
        self._sorted = np.sort(values)
        ranks = self._ranks(values) - 0.5
        # where all are equal there is no variance; a rank is not known better than to its place, though
        self._variance = max(float(np.mean(ranks * ranks)), 1.0 / (12.0 * len(values)))
        self._spread = _spells(ranks, block)
        self._freedom = max(_LEAST_FREEDOM, len(values) / (2.0 * self._spread))

    def chance(self, new: npt.NDArray[np.float64]) -> float:
        """Return how likely ranks as high as these are where nothing has changed."""
        from scipy.special import stdtr

        share = 1.0 / len(new) + 1.0 / len(self._sorted)
        error = np.sqrt(self._variance * self._spread * share)
        return float(stdtr(self._freedom, -(self._ranks(new).mean() - 0.5) / error))

    def _ranks(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return ranks among the old ones, from 0 to 1; equal ones share theirs."""
        low, high = (np.searchsorted(self._sorted, values, side) for side in ("left", "right"))
        return np.asarray((low + high) / (2.0 * len(self._sorted)), np.float64)


def _spells(ranks: npt.NDArray[np.float64], block: int) -> float:
    """Return how many times larger the variance of a block's mean is than that of independent orders."""
    size = len(ranks)
    own = float(np.mean(ranks * ranks))
    most = min(block - 1, size // 3)
    if own <= 0.0 or most < 2:
        return 1.0
    total = 0.0
    for lag in range(1, most, 2):
        # each is too low by about 1 / size, since the mean is estimated from the same orders
        pair = [float(np.mean(ranks[k:] * ranks[:-k])) / own + 1.0 / size for k in (lag, lag + 1)]
        if sum(pair) <= 0.0:
            break
        total += sum((1.0 - k / block) * one for k, one in zip((lag, lag + 1), pair, strict=True))
    return max(1.0, 1.0 + 2.0 * total)
