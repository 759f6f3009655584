"""What sold options tie up: cash that may not be spent elsewhere.

Bounded: the most that the options of an underlying can cost at expiry, where one that expires earlier covers
nothing, and shares cover sold calls. Unbounded: nothing covers it, so an account without leverage cannot have
it; one with leverage ties up what the exchanges ask for a naked option, 20 % of the underlying less what it
is out of the money, at least 10 %, and its present worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from live.venue.symbols import Contract

__all__ = ["collateral"]

Held = tuple[Contract, float, float]
"""Contract, signed units of the underlying, mark per unit."""


def collateral(
    held: Iterable[Held], shares: Mapping[str, float], spots: Mapping[str, float], *, naked: bool
) -> float:
    """Return what the options of an account tie up, in currency; infinite where they may not be held.

    `shares` and `spots` are by underlying; `naked` says whether unbounded losses are allowed.
    """
    by_root: dict[str, list[Held]] = {}
    for one in held:
        by_root.setdefault(one[0].root, []).append(one)
    return sum(
        _of_root(options, shares.get(root, 0.0), spots.get(root, math.nan), naked=naked)
        for root, options in by_root.items()
        if any(units < 0.0 for _, units, _ in options)
    )


def _of_root(options: list[Held], shares: float, spot: float, *, naked: bool) -> float:
    options = _without_covered(options, shares)
    worst = 0.0
    for expiry in {contract.expiry for contract, units, _ in options if units < 0.0}:
        # longs that are gone by then cover nothing
        left = [one for one in options if one[0].expiry >= expiry]
        worst = max(worst, _worst(left))
    return min(worst, _naked(options, spot)) if naked else worst


def _without_covered(options: list[Held], shares: float) -> list[Held]:
    # Shares cover the sold calls that would cost most.
    left: list[Held] = []
    cover = max(shares, 0.0)
    for contract, units, mark in sorted(options, key=lambda one: one[0].strike):
        if contract.right > 0 and units < 0.0 and cover > 0.0:
            taken = min(cover, -units)
            cover -= taken
            units += taken
        if units:
            left.append((contract, units, mark))
    return left


def _worst(options: list[Held]) -> float:
    # The payoff is linear between strikes, so its lowest point is at a strike, at zero, or at infinity.
    if sum(units for contract, units, _ in options if contract.right > 0) < -1e-9:
        return math.inf
    spots = [0.0, *(contract.strike for contract, _, _ in options)]
    return -min(sum(units * contract.intrinsic(spot) for contract, units, _ in options) for spot in spots)


def _naked(options: list[Held], spot: float) -> float:
    # Calls and puts do not both end in the money, so the dearer side counts.
    if math.isnan(spot):
        return math.inf
    sides = {1: 0.0, -1: 0.0}
    for contract, units, mark in options:
        if units < 0.0:
            out = max(0.0, -contract.right * (spot - contract.strike))
            floor = 0.1 * (spot if contract.right > 0 else contract.strike)
            sides[contract.right] += -units * (max(0.2 * spot - out, floor) + mark)
    worst = max(sides.values())
    return worst if math.isfinite(worst) else math.inf
