"""Journals for the tests of trade quality: what was known at entry, and outcomes that know it or do not.

Nothing of `optimize` takes part. IV rank goes slowly up and down as it does in a market; trades are held for
weeks, so they overlap; a share of each outcome may be what the market did while the trade was open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.quality_model.reading import History

Floats = NDArray[np.float64]
DAY = 86_400_000_000_000
NAMES = ("iv_rank", "iv", "dte", "delta", "credit_to_width", "probability", "score")


@dataclass(frozen=True)
class Payoff:
    """How a latent standard normal becomes R: symmetric, or small wins and large losses."""

    wins: float = 0.5
    gain: float = 0.0
    loss: float = 0.0

    def r(self, latent: Floats, drift: Floats, random: np.random.Generator) -> Floats:
        if not self.gain:
            return latent + drift
        from scipy.stats import norm

        # the drift moves the chance to win such that the mean moves by it
        chance = np.clip(self.wins + drift / (self.gain + self.loss), 0.02, 0.98)
        won = norm.cdf(latent) < chance
        return np.where(won, self.gain, -self.loss) * random.uniform(0.8, 1.2, len(latent))


SYMMETRIC = Payoff()
PREMIUM = Payoff(wins=0.85, gain=0.17, loss=0.17 * 0.85 / 0.15)
"""85 % small wins, 15 % losses that are 5.7 times as large; the mean is 0."""


def draw(
    random: np.random.Generator,
    trades: int,
    *,
    payoff: Payoff = SYMMETRIC,
    market: float = 0.0,
    per_week: float = 3.0,
    held: tuple[int, int] = (5, 40),
    edge: Callable[[dict[str, Floats]], Floats] | None = None,
    unknown: float = 0.0,
    kind: str = "option",
    source: str = "live",
) -> History:
    """Draw a journal.

    Parameters
    ----------
    market
        Share of the variance of outcomes that trades open on the same days share.
    per_week, held
        Entries per week, and calendar days from entry to exit.
    edge
        What is added to the mean R, by what was known at entry; None is no edge.
    unknown
        Share of measures that are unknown.
    """
    days = max(60, round(7 * trades / per_week)) + held[1]
    ranks = _slow(random, days)
    entry = np.sort(random.integers(0, days - held[1], trades))
    last = entry + random.integers(held[0], held[1] + 1, trades)
    delta = random.uniform(0.15, 0.40, trades)
    known = {
        "iv_rank": ranks[entry],
        "iv": 0.10 + 0.003 * ranks[entry] + random.normal(0, 0.02, trades),
        "dte": random.integers(30, 61, trades).astype(float),
        "delta": delta,
        "credit_to_width": delta + random.normal(0, 0.04, trades),
        "probability": 1 - delta + random.normal(0, 0.03, trades),
    }
    known["score"] = 0.4 * known["iv_rank"] + 30 * known["probability"] + random.uniform(0, 30, trades)
    shocks = np.concatenate([[0.0], np.cumsum(random.standard_normal(days + 1))])
    common = (shocks[last] - shocks[entry]) / np.sqrt(last - entry)
    latent = np.sqrt(market) * common + np.sqrt(1 - market) * random.standard_normal(trades)
    drift = np.zeros(trades) if edge is None else edge(known)
    r = payoff.r(latent, drift, random)
    values = np.column_stack([known[name] for name in NAMES])
    values[random.random(values.shape) < unknown] = np.nan
    strategies = np.where(random.random(trades) < 0.5, "short-put-spread", "iron-condor")
    order = np.lexsort((last, entry))
    start = 15_000 * DAY
    columns: dict[str, Any] = {
        "values": values[order], "won": (r > 0)[order], "r": r[order],
        "entry_ts": (start + entry * DAY)[order], "exit_ts": (start + last * DAY)[order],
    }  # fmt: skip
    return History(kind=kind, sources=(source,), strategies=tuple(strategies[order].tolist()), **columns)


def planted(known: dict[str, Floats]) -> Floats:
    """Half of the trades -0.3 R and half +0.3 R, by the median of IV rank."""
    rank = known["iv_rank"]
    return np.where(rank > np.median(rank), 0.3, -0.3)


def _slow(random: np.random.Generator, days: int) -> Floats:
    """IV rank by day, 0 to 100, with a half-life of eight weeks."""
    keep = 0.5 ** (1 / 40)
    level = np.empty(days + 1)
    level[0] = random.standard_normal()
    for day in range(days):
        level[day + 1] = keep * level[day] + np.sqrt(1 - keep * keep) * random.standard_normal()
    from scipy.stats import norm

    return np.asarray(100 * norm.cdf(level))
