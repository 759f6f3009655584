"""When fills become worse than they were: an alert, and a person decides again.

New orders of one sort (broker, asset class, order type) are compared with those of the calibration, in blocks
of `block` orders that do not overlap: a watch that looked at every fill anew would cry sooner or later about
nothing. A block has drifted where both hold:

- it is larger in the sense of Mann and Whitney (Annals of Mathematical Statistics 18, 1947), one-sided, at
  `alpha`: about one block in 1 / `alpha` does that by chance;
- its median is at least `least_bps` (packages: `least_share` of the spread) above the calibrated one, so that
  nobody is called for what costs nothing.

Better fills raise nothing. A drift demotes FULL_AUTO to SEMI_AUTO where the watch is told to; nothing ever
promotes but a person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from live.automation.config import AutomationConfig, AutomationMode
from live.intents import IntentLog
from live.slippage.calibrating import Calibration
from live.slippage.measuring import Sample, samples
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from live.alerts import Alerts

__all__ = ["Drift", "SlippageWatch", "demote", "find_drift"]

BLOCK: Final = 20
ALPHA: Final = 0.001
LEAST_BPS: Final = 1.0
LEAST_SHARE: Final = 0.05

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
            f"the last {self.count} {self.kind} orders ({self.asset}) at {self.broker} cost {self.now:.2f} "
            f"{words}, usually {self.usual:.2f} (chance {self.p_value:.1g}). Backtests with the old "
            "costs are too kind; look at what changed, and calibrate anew"
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
        All samples, those of the calibration too, in the order of their times.
    block, alpha, least_bps, least_share
        See the module's docstring.

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
        if len(old) < calibration.min_count:
            continue
        for start in range(0, len(new) - block + 1, block):
            drift = _judged(sort, old, new[start : start + block], alpha, least_bps, least_share)
            if drift is not None:
                drifts.append(drift)
    return sorted(drifts, key=lambda one: (one.last, one.broker, one.kind))


class SlippageWatch:
    """Looks for drift, says each once, and demotes.

    Parameters
    ----------
    log
        Of the account; what was said is on record there, so that a restart does not say it again.
    calibration
        What is usual.
    alerts
        Is told under "slippage_drift".
    on_drift
        Is called once with every drift since the calibration, after a restart too: `demote(config)`. A
        calibration that has the new orders in it ends that.
    block, alpha, least_bps, least_share
        As `find_drift`.
    """

    def __init__(
        self,
        log: IntentLog,
        calibration: Calibration,
        *,
        alerts: Alerts | None = None,
        on_drift: Callable[[Drift], object] | None = None,
        block: int = BLOCK,
        alpha: float = ALPHA,
        least_bps: float = LEAST_BPS,
        least_share: float = LEAST_SHARE,
    ) -> None:
        self.calibration = calibration
        self._log = log
        self._alerts = alerts
        self._on_drift = on_drift
        self._block = block
        self._alpha = alpha
        self._least = (least_bps, least_share)
        self._acted: set[str] = set()

    def look(self, at: datetime) -> list[Drift]:
        """Return the drifts that are new since the last look; to be called after a reconciliation.

        Parameters
        ----------
        at
            Now, aware.
        """
        new = []
        found = find_drift(
            samples(self._log), self.calibration, block=self._block, alpha=self._alpha,
            least_bps=self._least[0], least_share=self._least[1],
        )  # fmt: skip
        for one in found:
            key = f"slippage_drift:{one.broker}:{one.asset}:{one.kind}:{one.first.isoformat()}"
            if key in self._acted:
                continue
            self._acted.add(key)
            if self._on_drift is not None:
                self._on_drift(one)
            if not self._log.note("slippage_drift", at, key=key, broker=one.broker, message=one.message):
                continue  # said before the restart
            new.append(one)
            if self._alerts is not None:
                self._alerts.send("slippage_drift", f"{one.broker}: fills have become worse", one.message)
        return new


def demote(config: AutomationConfig) -> Callable[[Drift], bool]:
    """Return what takes an automation from FULL_AUTO to SEMI_AUTO; it says whether it did."""

    def act(_: Drift) -> bool:
        if config.automation_mode != AutomationMode.FULL_AUTO:
            return False
        config.automation_mode = AutomationMode.SEMI_AUTO
        return True

    return act


def _judged(
    sort: Sort,
    old: Sequence[Sample],
    new: Sequence[Sample],
    alpha: float,
    least_bps: float,
    least_share: float,
) -> Drift | None:
    from scipy.stats import mannwhitneyu

    usual, now = ([one.value for one in group] for group in (old, new))
    package = new[0].is_package
    before, after = float(np.median(usual)), float(np.median(now))
    if after - before < (least_share if package else least_bps):
        return None
    p_value = float(mannwhitneyu(now, usual, alternative="greater").pvalue)
    if p_value > alpha:
        return None
    broker, asset, kind = sort
    return Drift(
        broker=broker, asset=asset, kind=kind, first=new[0].time, last=new[-1].time, count=len(new),
        usual=before, now=after, unit="share" if package else "bps", p_value=p_value,
    )  # fmt: skip
