"""From a rule to a listed contract: the strike of a delta, of a width, or of another leg."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from simulator.bars.arrays import Ints
from simulator.opportunity import OptionLeg
from simulator.options.chain import CALL, PUT
from strategies.scanner_filters import Refusal
from strategies.scanner_strategies import LegRule
from strategies.scanner_strip import Strip

__all__ = ["leg_for", "session_date"]

WIDTH_TOLERANCE: Final = 0.5
"""How far from a width given in currency the nearest listed one may lie, as a share of it."""


def leg_for(
    rule: LegRule,
    strip: Strip,
    legs: Sequence[OptionLeg],
    *,
    width: float | None,
    exact: bool,
    deltas: tuple[float, float] = (0.0, 1.0),
) -> OptionLeg:
    """Return the listed contract that a rule asks for.

    Parameters
    ----------
    rule, strip
        What is looked for, and where.
    legs
        The legs chosen so far, which a rule may refer to.
    width
        Of spreads, in currency; None for strategies without wings.
    exact
        Whether the width was asked for in currency, and must be met by half.
    deltas
        Least and most absolute delta of options that are sold by delta, beside those of the rule.

    Raises
    ------
    Refusal
        "delta", "width" or "quote" where nothing listed will do.
    """
    expiry = session_date(strip.expiry)
    if rule.kind == "shares":
        return OptionLeg(rule.side, "shares", 0.0, expiry, rule.ratio, strip.spot, strip.spot, math.nan, 1.0)
    rows = np.flatnonzero(strip.kind == (CALL if rule.kind == "call" else PUT))
    if rule.delta is not None:
        at = _by_delta(rule, strip, rows, deltas if rule.side < 0 else (0.0, 1.0))
    elif rule.same is not None:
        at = _at_strike(rule, strip, rows, legs[rule.same].strike)
    else:
        assert rule.beyond is not None  # noqa: S101 - `ScanStrategy` has checked it
        assert width is not None  # noqa: S101 - a strategy with wings is given one
        at = _beyond(rule, strip, rows, legs[rule.beyond].strike, width, exact)
    return OptionLeg(
        rule.side, rule.kind, float(strip.strike[at]), expiry, rule.ratio,
        float(strip.bid[at]), float(strip.ask[at]), float(strip.iv[at]), float(strip.delta[at]),
    )  # fmt: skip


def session_date(day: int) -> dt.date:
    """Return the date of a session that is given in days since 1970-01-01."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)


def _by_delta(rule: LegRule, strip: Strip, rows: Ints, limits: tuple[float, float]) -> int:
    assert rule.delta is not None  # noqa: S101 - the caller has looked
    least, target, most = rule.delta
    least, most = max(least, limits[0]), min(most, limits[1])
    target = min(max(target, least), most)
    deltas = abs(strip.delta[rows])
    away = abs(deltas - target)
    if not np.isfinite(away).any():
        raise Refusal("delta", math.nan, target, f"no {rule.kind} has a delta")
    inside = (deltas >= least) & (deltas <= most)
    if inside.any():
        return int(rows[np.argmin(np.where(inside, away, np.inf))])
    found = float(deltas[np.nanargmin(away)])
    raise Refusal(
        "delta", found, least if found < least else most,
        f"the {rule.kind} nearest to delta {target:g} has {found:.3f}, outside {least:g} to {most:g}",
    )  # fmt: skip


def _at_strike(rule: LegRule, strip: Strip, rows: Ints, strike: float) -> int:
    same = rows[strip.strike[rows] == strike]
    if not same.size:
        raise Refusal(
            "quote",
            math.nan,
            strike,
            f"there is no {rule.kind} at {strike:g} of {session_date(strip.expiry)}",
        )
    return int(same[0])


def _beyond(rule: LegRule, strip: Strip, rows: Ints, strike: float, width: float, exact: bool) -> int:
    outward = (strip.strike[rows] - strike) * (1 if rule.kind == "call" else -1)
    further = rows[outward > 0]
    if not further.size:
        raise Refusal("width", 0.0, width, f"no {rule.kind} is listed beyond {strike:g}")
    found = abs(strip.strike[further] - strike)
    at = int(np.argmin(abs(found - width)))
    if exact and abs(found[at] - width) > WIDTH_TOLERANCE * width:
        raise Refusal(
            "width", float(found[at]), width,
            f"the width nearest to {width:g} beyond {strike:g} is {found[at]:g}",
        )  # fmt: skip
    return int(further[at])
