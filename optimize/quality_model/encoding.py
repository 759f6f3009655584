"""From measures at entry to the columns of a linear model, by rules learned from training cases alone.

Each measure is centred at its median and divided by its standard deviation. What is unknown becomes the
median, with a column of its own that says so where enough cases lack it. A measure that hardly varies, or
that hardly any case has, is left out; so is a strategy with few cases. Values beyond what the training cases
have seen count as the nearest that they have: a model knows nothing of trades that were never taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_KNOWN", "Encoding", "learn_encoding"]

Floats = NDArray[np.float64]

LEAST_KNOWN: Final = 20
"""Cases that must know a measure, or lack it, or be of a strategy, for it to have a column."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a case becomes a row; only numbers and names, so that it can be written as JSON.

    Attributes
    ----------
    used
        Positions of the measures that have a column.
    centre, scale, low, high
        Of each used measure: median, standard deviation, smallest and largest value, in its own unit.
    lacking
        Positions of the used measures with a column for "unknown".
    lacking_share
        Share of training cases that lack it, which centres that column.
    strategies, strategy_share
        Strategies with a column, and their shares.
    """

    used: tuple[int, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    lacking: tuple[int, ...]
    lacking_share: tuple[float, ...]
    strategies: tuple[str, ...]
    strategy_share: tuple[float, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.used) + len(self.lacking) + len(self.strategies)

    @property
    def places(self) -> tuple[int, ...]:
        """Positions of measures that are looked at."""
        return self.used + self.lacking

    def rows(self, values: Floats, strategies: Sequence[str]) -> Floats:
        """Return the columns of cases, shape (n, width), each with a mean near 0 over the training cases."""
        chosen = values[:, list(self.used)]
        clipped = np.clip(chosen, self.low, self.high) if self.used else chosen
        scaled = np.nan_to_num((clipped - self.centre) / self.scale, nan=0.0)
        unknown = np.isnan(values[:, list(self.lacking)]) - np.asarray(self.lacking_share)
        names = np.asarray(strategies, dtype=object)
        same = [(names == name) - share for name, share in self._shares()]
        return np.column_stack([scaled, unknown, *same]).astype(np.float64)

    def outside(self, values: Sequence[float], names: Sequence[str]) -> list[str]:
        """Say in words which measures of a case the training cases did not have."""
        found = []
        for place, low, high in zip(self.used, self.low, self.high, strict=True):
            value, name = values[place], names[place]
            if math.isnan(value):
                if place not in self.lacking:
                    found.append(f"{name} is unknown: its median counts")
            elif not low <= value <= high:
                found.append(f"{name} {value:g} is outside of what was traded, {low:g} to {high:g}")
        return found

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Encoding:
        """Return what `plain` gave; ValueError, KeyError or TypeError where that is not so."""
        made = cls(
            used=tuple(int(place) for place in plain["used"]),
            lacking=tuple(int(place) for place in plain["lacking"]),
            **{name: tuple(float(number) for number in plain[name]) for name in _NUMBERS},
            strategies=tuple(str(name) for name in plain["strategies"]),
        )
        for several, others in (
            (made.used, (made.centre, made.scale, made.low, made.high)),
            (made.lacking, (made.lacking_share,)),
            (made.strategies, (made.strategy_share,)),
        ):
            if any(len(other) != len(several) for other in others):
                raise ValueError("no encoding of this shape")
        if not all(math.isfinite(number) for name in _NUMBERS for number in getattr(made, name)):
            raise ValueError("an encoding has finite numbers")
        return made

    def _shares(self) -> list[tuple[str, float]]:
        return list(zip(self.strategies, self.strategy_share, strict=True))


_NUMBERS: Final = ("centre", "scale", "low", "high", "lacking_share", "strategy_share")


def learn_encoding(values: Floats, strategies: Sequence[str]) -> Encoding:
    """Learn the columns from training cases, shape (n, k) with NaN for unknown."""
    cases = len(values)
    used, lacking = [], []
    for place in range(values.shape[1]):
        known = values[~np.isnan(values[:, place]), place]
        if len(known) < LEAST_KNOWN or np.ptp(known) <= 1e-9 * max(1.0, float(np.abs(known).max())):
            continue
        used.append(place)
        if cases - len(known) >= LEAST_KNOWN:
            lacking.append(place)
    columns = [values[~np.isnan(values[:, place]), place] for place in used]
    counts = {name: strategies.count(name) for name in sorted(set(strategies))}
    # of two strategies one column says everything
    often = [name for name, count in counts.items() if LEAST_KNOWN <= count <= cases - LEAST_KNOWN]
    if len(often) == len(counts) and often:
        often = often[1:]
    return Encoding(
        used=tuple(used),
        centre=tuple(float(np.median(column)) for column in columns),
        scale=tuple(float(np.std(column)) for column in columns),
        low=tuple(float(column.min()) for column in columns),
        high=tuple(float(column.max()) for column in columns),
        lacking=tuple(lacking),
        lacking_share=tuple(float(np.isnan(values[:, place]).mean()) for place in lacking),
        strategies=tuple(often),
        strategy_share=tuple(counts[name] / cases for name in often),
    )
