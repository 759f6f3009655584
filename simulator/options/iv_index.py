"""From option quotes to one number: a VIX-style index, and constant-maturity at-the-money IV.

`vix_style_index` follows the CBOE VIX white paper: variance from the prices of all out-of-the-money options
of the two expiries around 30 days, so it includes the skew and lies above the IV at the money (ATM IV of SPX
was 0.71 to 0.90 of the VIX on the days measured). `constant_maturity_iv` is the IV at the forward,
interpolated in total variance; it is what IV rank should be computed from. Both take the forward from
put-call parity at the strike where call and put differ least, and say NaN where quotes do not suffice: they
never fill in.

Every answer over time is a Series whose `attrs["grade"]` is the chain's origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import DAY, Floats
from simulator.errors import ConfigError, DataError
from simulator.options.chain import YEAR, Chain
from simulator.options.iv_term import (
    atm_term_structure,
    both_sides,
    parity_of,
    pieces_of,
    rates_of,
    terms_of,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "StripVariance",
    "atm_term_structure",
    "constant_maturity_iv",
    "strip_variance",
    "vix_style_history",
    "vix_style_index",
]

MONTH: Final = 30.0  # days
LEAST_DAYS: Final = 7.0  # the white paper rolls to the next expiry a week before
LEAST_ATM_DAYS: Final = 1.0
ENOUGH_ZERO_BIDS: Final = 2
_DAYS_A_YEAR: Final = YEAR / DAY


@dataclass(frozen=True)
class StripVariance:
    """Annual variance of one expiry, its forward, the strike `k0` at or below that, and how many strikes."""

    variance: float
    forward: float
    k0: float
    years: float
    strikes: int


def vix_style_index(
    chain: Chain,
    rate: float = 0.0,
    *,
    days: float = MONTH,
    least_days: float = LEAST_DAYS,
    extrapolate: bool = False,
) -> float:
    """Return the index of one snapshot, in points as the VIX is quoted (20.0 is 20 %).

    Parameters
    ----------
    chain
        Quotes of one time; of each expiry all strikes are wanted.
    rate
        Interest rate to both expiries, continuous, as a fraction.
    days
        Maturity of the index in calendar days (years of 365 days, to the nanosecond).
    least_days
        Expiries nearer than this are not used.
    extrapolate
        Whether two expiries on one side of `days` may serve where the other side has none, as the index did
        before weekly options.

    Returns
    -------
    Points; NaN where there are no two expiries with usable strips. A bare number carries no grade: it is the
    chain's `origin`, and `vix_style_history` says it.

    Raises
    ------
    DataError
        DATA_QUOTES where the chain has no quotes or several quote times (`vix_style_history` takes those).

    Notes
    -----
    CBOE, The CBOE Volatility Index - VIX (white paper, 2009): forward at the strike of the smallest
    difference between call and put, K0 the first strike at or below it, out-of-the-money options with a bid
    until two consecutive strikes have none, midpoints, and linear interpolation of total variance. An unknown
    bid counts as none.
    """
    if chain.times.size != 1:
        raise DataError(
            f"{chain!r}: the index is of one time; vix_style_history takes several", code="DATA_QUOTES"
        )
    strips = [chain.rows(piece) for piece in pieces_of(chain)]
    terms = sorted(
        (float(strip.years[0]), at)
        for at, strip in enumerate(strips)
        if strip.years[0] * _DAYS_A_YEAR >= least_days
    )
    target = days / _DAYS_A_YEAR
    below = _usable((strips[at] for years, at in reversed(terms) if years <= target), rate)
    above = _usable((strips[at] for years, at in terms if years > target), rate)
    chosen = [*below[:1], *above[:1]]
    if len(chosen) < 2 and extrapolate:
        chosen = sorted([*below, *above], key=lambda term: term.years)[:2]
    if len(chosen) == 1 and chosen[0].years == target:
        return 100 * float(np.sqrt(chosen[0].variance))
    if len(chosen) < 2 or chosen[0].years == chosen[1].years:
        return float("nan")
    total = _on_line(target, [(term.years, term.years * term.variance) for term in chosen])
    return 100 * float(np.sqrt(total / target)) if total > 0 else float("nan")


def vix_style_history(
    chain: Chain, rate: npt.ArrayLike = 0.0, *, days: float = MONTH, extrapolate: bool = False
) -> pd.Series[Any]:
    """Return `vix_style_index` of every quote time, in points; `rate` is one number or one per time (T,)."""
    rates = rates_of(rate, chain)
    values = [
        vix_style_index(
            chain.rows(slice(int(start), int(stop))), float(r), days=days, extrapolate=extrapolate
        )
        for start, stop, r in zip(chain.offsets[:-1], chain.offsets[1:], rates, strict=True)
    ]
    return _series(np.array(values), chain, f"index{days:g}", f"VIX-style, {days:g} days, points")


def strip_variance(strip: Chain, rate: float = 0.0) -> StripVariance | None:
    """Return the variance of one expiry's strip; None where its quotes do not suffice.

    `strip` holds one time and one expiry (`chain.at(time).strip(expiry)`); `rate` is continuous.
    """
    years = float(strip.years[0]) if len(strip) else 0.0
    strikes, call_bid, call_mid, put_bid, put_mid = both_sides(strip)
    growth = float(np.exp(rate * years))
    parity, difference = parity_of(strikes, call_mid, put_mid, (call_bid > 0) & (put_bid > 0))
    forward = parity + growth * difference
    if years <= 0 or np.isnan(forward) or strikes[0] > forward:
        return None
    at = int(np.searchsorted(strikes, forward, side="right")) - 1
    puts = _until_no_bids(put_bid, range(at - 1, -1, -1))
    calls = _until_no_bids(call_bid, range(at + 1, strikes.size))
    middle = (call_mid[at] + put_mid[at]) / 2
    chosen = np.array([*puts[::-1], at, *calls], np.int64)
    if np.isnan(middle) or chosen.size < 3:
        return None
    price = np.concatenate((put_mid[puts[::-1]], [middle], call_mid[calls]))
    k = strikes[chosen]
    k0 = float(strikes[at])
    excess = forward / k0 - 1
    total = float((_widths(k) / (k * k) * price).sum()) * growth
    variance = (2 * total - excess * excess) / years
    return StripVariance(variance, forward, k0, years, int(k.size)) if variance > 0 else None


def constant_maturity_iv(
    chain: Chain, days: float = MONTH, *, rate: npt.ArrayLike = 0.0, extrapolate: bool = False
) -> pd.Series[Any]:
    """Return the at-the-money IV of a constant maturity at every quote time, as a fraction.

    Parameters
    ----------
    chain
        Quotes at one or many times.
    days
        Maturity in calendar days.
    rate
        Interest rate, continuous, as a fraction; one number or one per quote time, shape (T,).
    extrapolate
        Whether two expiries on one side may serve where the other side has none. Off by default: the line
        through them is steep in a panic.

    Returns
    -------
    Series by quote time (UTC). Total variance is interpolated linearly between the nearest expiries on both
    sides of `days`; NaN where one side has none with a usable IV (see `atm_term_structure`).

    Raises
    ------
    ConfigError
        CONFIG_WINDOW where `days` is not positive.
    DataError
        DATA_SHAPE where `rate` fits neither one number nor the quote times.
    """
    if not days > 0:
        raise ConfigError(f"a maturity of {days!r} days must be above 0", code="CONFIG_WINDOW")
    term = terms_of(chain, rates_of(rate, chain))
    target = days / _DAYS_A_YEAR
    usable = ~np.isnan(term.iv) & (term.years * _DAYS_A_YEAR >= LEAST_ATM_DAYS)
    values = np.full(chain.times.size, np.nan)
    for time in range(values.size):
        rows = np.flatnonzero(usable & (term.time == time))
        nodes = sorted({float(term.years[row]): float(term.iv[row]) for row in rows[::-1]}.items())
        below = [node for node in nodes if node[0] <= target][-1:]
        above = [node for node in nodes if node[0] > target][:1]
        chosen = below if below and below[0][0] == target else [*below, *above]
        if len(chosen) == 1 and chosen[0][0] == target:
            values[time] = chosen[0][1]
            continue
        if len(chosen) < 2 and extrapolate:
            chosen = nodes[:2] if not below else nodes[-2:]
        if len(chosen) == 2:
            total = _on_line(target, [(years, years * iv * iv) for years, iv in chosen])
            values[time] = np.sqrt(total / target) if total > 0 else np.nan
    return _series(values, chain, f"iv{days:g}", f"ATM at the forward, constant maturity of {days:g} days")


def _until_no_bids(bids: Floats, order: Iterable[int]) -> list[int]:
    chosen: list[int] = []
    without = 0
    for at in order:
        if bids[at] > 0:
            chosen.append(at)
            without = 0
            continue
        without += 1
        if without == ENOUGH_ZERO_BIDS:
            break
    return chosen


def _widths(strikes: Floats) -> Floats:
    """Return half the distance between the neighbours of each strike, and the whole distance at the ends."""
    steps = np.diff(strikes)
    return np.concatenate((steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]))


def _usable(strips: Iterable[Chain], rate: float) -> list[StripVariance]:
    """Return the first two usable strips in the given order."""
    found: list[StripVariance] = []
    for strip in strips:
        term = strip_variance(strip, rate)
        if term is not None:
            found.append(term)
        if len(found) == 2:
            break
    return found


def _on_line(x: float, points: list[tuple[float, float]]) -> float:
    (x0, y0), (x1, y1) = points
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _series(values: Floats, chain: Chain, name: str, definition: str) -> pd.Series[Any]:
    import pandas as pd

    series = pd.Series(values, index=pd.to_datetime(chain.times, unit="ns", utc=True), name=name)
    series.attrs.update(grade=chain.origin, definition=definition)
    return series
