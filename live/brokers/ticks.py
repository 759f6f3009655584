"""Prices that US exchanges take: on the penny, below a dollar on a hundredth of it (SEC rule 612).

Brokers refuse what lies between, each in its own words, so every adapter sends prices that lie on the tick. A
limit is never worse than asked for. Contracts whose tick is larger than a penny are refused by the broker
where a price is not on it.

>>> priced(100.128, side=1), priced(100.122, side=-1), priced(0.12345, side=1)
(100.12, 100.13, 0.1234)
>>> net_priced(1.505), net_priced(-1.505)
(1.51, -1.5)
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

__all__ = ["net_priced", "priced", "steps_of"]

PENNY: Final = 0.01
SUB_PENNY: Final = 0.0001
_ROUNDING: Final = 1e-6  # of a step, by which the binary form of a decimal may be off


def priced(price: float, *, side: int) -> float:
    """Return a price that the broker takes: of a buyer (`side` 1) not above, of a seller (-1) not below."""
    step = PENNY if price >= 1.0 else SUB_PENNY
    steps = price / step
    if abs(steps - round(steps)) > _ROUNDING:
        steps = math.floor(steps) if side > 0 else math.ceil(steps)
    return float(round(Decimal(repr(step)) * round(steps), 4))


def steps_of(price: float) -> float:
    """Return the nearest price that the broker takes, for a stop: it has no side that is always safe."""
    step = PENNY if price >= 1.0 else SUB_PENNY
    return float(round(Decimal(repr(step)) * max(1, round(price / step)), 4))


def net_priced(received: float) -> float:
    """Return the net limit of a package, received is positive: not less than asked for."""
    cents = received / PENNY
    if abs(cents - round(cents)) > _ROUNDING:
        cents = math.ceil(cents)
    return float(Decimal("0.01") * round(cents)) + 0.0
