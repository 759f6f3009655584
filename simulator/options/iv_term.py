"""Strips of a chain: forward from put-call parity, and implied volatility at the money.

A strip is what is quoted of one expiry at one time. The forward comes from the strike where call and put
differ least, the IV from the put below and the call above it. What early exercise adds to American options is
taken out of parity first, because parity holds between European options.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Bools, Floats, Ints
from simulator.errors import DataError
from simulator.options.chain import Chain
from simulator.options.chain_columns import CALL, STYLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Terms", "atm_term_structure", "both_sides", "parity_of", "pieces_of", "rates_of", "terms_of"]

WIDEST_GAP: Final = 0.1  # of the forward, between the two strikes around it
EXERCISE_ROUNDS: Final = 5  # forward and IV of American options depend on each other


def atm_term_structure(chain: Chain, *, rate: npt.ArrayLike = 0.0) -> pd.DataFrame:
    """Return forward and at-the-money IV per quote time and expiry.

    The IV is that of the put at the strike below and of the call at the strike above the forward, from
    midpoints of quotes that may fill, interpolated linearly in the strike. NaN where the two strikes lie more
    than 10 % of the forward apart, where a quote is missing, or where no volatility gives its price. European
    options are priced on the forward alone. American ones are priced on the underlying, where it is known,
    with the dividend yield that the forward implies; and since parity holds between European options, what
    early exercise adds to call and put is taken out of it, in five rounds.

    Returns
    -------
    DataFrame with time (UTC), expiry, root, years, forward, iv (fraction), origin.
    """
    import pandas as pd

    term = terms_of(chain, rates_of(rate, chain))
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(chain.times[term.time], unit="ns", utc=True),
            "expiry": term.expiry.astype("datetime64[D]").astype("datetime64[s]"),
            "root": [chain.roots[code] for code in term.root],
            "years": term.years,
            "forward": term.forward,
            "iv": term.iv,
            "origin": chain.origin,
        }
    )
    frame.attrs["grade"] = chain.origin
    return frame


@dataclass(frozen=True)
class Terms:
    """Forward and ATM IV per strip, shape (M,); `time` is the position of the quote time in `chain.times`."""

    time: Ints
    expiry: Ints
    root: Ints
    years: Floats
    forward: Floats
    iv: Floats


def terms_of(chain: Chain, rates: Floats) -> Terms:
    """Return forward and ATM IV of every strip of a chain; `rates` has one value per quote time."""
    pieces = pieces_of(chain)
    first = np.array([piece.start for piece in pieces], np.int64)
    time = np.searchsorted(chain.times, chain.ts[first])
    years, rate = chain.years[first], rates[time]
    growth = np.exp(rate * years)
    parity, difference = np.full(first.size, np.nan), np.full(first.size, np.nan)
    # per piece: strike and price of the put below and of the call above the forward
    strike, price = np.full((first.size, 2), np.nan), np.full((first.size, 2), np.nan)
    for at, piece in enumerate(pieces):
        if years[at] > 0:
            found = _around(chain.rows(piece), float(growth[at]), strike[at], price[at])
            parity[at], difference[at] = found
    forward = parity + growth * difference
    american = chain.style[first] == STYLES.index("american")
    underlying = chain.underlying[first]
    with np.errstate(invalid="ignore", divide="ignore"):
        for round_ in range(1 + EXERCISE_ROUNDS * bool(american.any())):
            spot = np.where(american & (underlying > 0), underlying, forward / growth)
            dividend = np.where(american, rate - np.log(forward / spot) / years, 0.0)
            terms = (spot, years, rate, dividend)
            implied = _implied(american, strike, price, terms)
            width = strike[:, 1] - strike[:, 0]
            share = np.where(width > 0, (forward - strike[:, 0]) / width, 0.5)
            iv = implied[:, 0] * (1 - share) + implied[:, 1] * share
            if round_ < EXERCISE_ROUNDS:
                premium = _exercise_premium(american, parity, iv, terms)
                forward = parity + growth * (difference - premium)
        iv[~(width <= WIDEST_GAP * forward)] = np.nan
    return Terms(time, chain.expiry[first], chain.root[first].astype(np.int64), years, forward, iv)


def _around(strip: Chain, growth: float, strike: Floats, price: Floats) -> tuple[float, float]:
    """Return the strike of parity and call less put there; write the put and call around the forward."""
    strikes, call_bid, call_mid, put_bid, put_mid = both_sides(strip, tradeable=True)
    parity, difference = parity_of(strikes, call_mid, put_mid, (call_bid > 0) & (put_bid > 0))
    forward = parity + growth * difference
    below = np.flatnonzero((strikes <= forward) & (put_bid > 0))
    above = np.flatnonzero((strikes >= forward) & (call_bid > 0))
    if below.size and above.size:
        strike[:] = strikes[below[-1]], strikes[above[0]]
        price[:] = put_mid[below[-1]], call_mid[above[0]]
    return parity, difference


def _implied(american: Bools, strike: Floats, price: Floats, terms: tuple[Floats, ...]) -> Floats:
    """Return the implied volatilities of puts (column 0) and calls (column 1)."""
    from simulator.options.pricing import implied_volatility

    found = np.full(strike.shape, np.nan)
    for column, kind in enumerate(("put", "call")):
        for early, style in ((False, "european"), (True, "american")):
            rows = np.flatnonzero((american == early) & ~np.isnan(price[:, column]))
            if rows.size:
                spot, years, rate, dividend = (term[rows] for term in terms)
                found[rows, column] = implied_volatility(
                    kind, price[rows, column], spot, strike[rows, column], years, rate,
                    dividend_yield=dividend, style=style,
                )  # fmt: skip
    return found


def _exercise_premium(american: Bools, parity: Floats, iv: Floats, terms: tuple[Floats, ...]) -> Floats:
    """Return what early exercise adds to call less put at the strike of parity; 0 for European options."""
    from simulator.options.pricing import price

    premium = np.zeros(parity.size)
    rows = np.flatnonzero(american & ~np.isnan(iv))
    if rows.size:
        spot, years, rate, dividend = (term[rows] for term in terms)
        for sign, kind in ((1.0, "call"), (-1.0, "put")):
            for share, style in ((sign, "american"), (-sign, "european")):
                premium[rows] += share * price(
                    kind, spot, parity[rows], years, rate, iv[rows], dividend_yield=dividend, style=style
                )
    return premium


def pieces_of(chain: Chain) -> list[slice]:
    """Return the strips of a chain: one per time, expiry, root and settlement."""
    if not len(chain):
        return []
    change = np.zeros(len(chain) - 1, np.bool_)
    for column in (chain.ts, chain.expiry, chain.root, chain.settlement):
        change |= column[1:] != column[:-1]
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), len(chain)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def both_sides(strip: Chain, *, tradeable: bool = False) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return the strikes of a strip, and bid and midpoint of calls and puts; no quote is bid 0 and NaN."""
    strikes, at = np.unique(strip.strike, return_inverse=True)
    sides = np.zeros((4, strikes.size))
    sides[[1, 3]] = np.nan
    good = strip.tradeable if tradeable else ~np.isnan(strip.mid)
    for row, is_kind in enumerate((strip.kind == CALL, strip.kind != CALL)):
        chosen = is_kind & good
        sides[2 * row, at[chosen]] = strip.bid[chosen]
        sides[2 * row + 1, at[chosen]] = strip.mid[chosen]
    return strikes, sides[0], sides[1], sides[2], sides[3]


def parity_of(strikes: Floats, calls: Floats, puts: Floats, usable: Bools) -> tuple[float, float]:
    """Return the strike at which call and put differ least, and call less put there; NaN without a pair."""
    difference = np.where(usable, calls - puts, np.nan)
    if np.isnan(difference).all():
        return float("nan"), float("nan")
    at = int(np.nanargmin(abs(difference)))
    return float(strikes[at]), float(difference[at])


def rates_of(rate: npt.ArrayLike, chain: Chain) -> Floats:
    """Return one rate per quote time; `DataError` DATA_SHAPE where the shape fits neither."""
    values = np.asarray(rate, np.float64)
    if values.shape not in ((), chain.times.shape):
        raise DataError(
            f"rate has shape {values.shape}; give one number or one per quote time, {chain.times.shape}",
            code="DATA_SHAPE",
        )
    return np.broadcast_to(values, chain.times.shape)
