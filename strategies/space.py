"""Search spaces: what an optimiser or a sweep may try for a parameter.

A space says which values are worth trying, not which are legal; legality is `minimum` and `maximum` of
`param`, and what the parameter class checks itself.

>>> Int(5, 25, 5).grid()
[5, 10, 15, 20, 25]
>>> Float(1.0, 3.0).grid(3)
[1.0, 2.0, 3.0]
>>> Choice(("open", "close")).grid()
['open', 'close']
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from simulator.errors import StrategyError

__all__ = ["Choice", "Float", "Int", "Space", "param"]


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers from `low` to `high`, both included, in steps; `log` for scales that multiply."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise StrategyError(
                    f"{self}: {name} is {value!r}, not a whole number; Float is for others",
                    code="STRATEGY_SPACE",
                )
        if self.low > self.high or self.step < 1 or (self.log and self.low < 1):
            raise StrategyError(f"{self} is empty or has no valid step", code="STRATEGY_SPACE")

    def grid(self, points: int | None = None) -> list[int]:
        """Return all values, or about `points` of them evenly spread, ends included."""
        values = list(range(self.low, self.high + 1, self.step))
        return values if points is None else [values[index] for index in _spread(len(values), points)]

    def contains(self, value: Any) -> bool:
        """Whether the space holds `value`."""
        return bool(self.low <= value <= self.high and (value - self.low) % self.step == 0)


@dataclass(frozen=True, slots=True)
class Float:
    """Real numbers from `low` to `high`, both included; `step` makes them discrete, `log` multiplicative."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if value is None and name == "step":
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                raise StrategyError(
                    f"{self}: {name} is {value!r}, not a finite number", code="STRATEGY_SPACE"
                )
        if (
            not self.low <= self.high
            or (self.step is not None and self.step <= 0)
            or (self.log and self.low <= 0)
        ):
            raise StrategyError(f"{self} is empty or has no valid step", code="STRATEGY_SPACE")

    def grid(self, points: int | None = None) -> list[float]:
        """Return all values of a stepped space, or `points` (5) evenly spread ones, ends included."""
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            # rounded, so that 0.1 steps read 0.3 and not 0.30000000000000004
            values = [round(self.low + index * self.step, 12) for index in range(count)]
            return values if points is None else [values[index] for index in _spread(count, points)]
        count = points or 5
        if count == 1:
            return [self.low]
        if self.log:
            ratio = math.log(self.high / self.low) / (count - 1)
            return [self.low * math.exp(ratio * index) for index in range(count)]
        return [self.low + (self.high - self.low) * index / (count - 1) for index in range(count)]

    def contains(self, value: Any) -> bool:
        """Whether the space holds `value`; a stepped space allows for rounding."""
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return bool(abs(steps - round(steps)) < 1e-9)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values without an order."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise StrategyError("a Choice needs at least one option", code="STRATEGY_SPACE")

    def grid(self, points: int | None = None) -> list[Any]:
        """Return the options, or the first `points` of them."""
        return list(self.options)[:points]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the options."""
        return value in self.options


Space = Int | Float | Choice


def param(
    default: Any,
    space: Space | None = None,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    help: str = "",
) -> Any:
    """Declare a parameter of a strategy: a dataclass field with its space, legal range and meaning.

    Parameters
    ----------
    default
        Value if none is given; its type (int, float, bool, str) is the parameter's type.
    space
        What a search may try; without one the parameter stays fixed. A `Choice` also limits what is legal.
    minimum, maximum
        Legal range, both ends included.
    help
        One line for `--help` and tables.
    """
    metadata = {"space": space, "minimum": minimum, "maximum": maximum, "help": help}
    return dataclasses.field(default=default, metadata=metadata)


def _spread(count: int, points: int) -> list[int]:
    if points >= count:
        return list(range(count))
    if points == 1:
        return [0]
    return [round(index * (count - 1) / (points - 1)) for index in range(points)]
