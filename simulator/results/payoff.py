"""Payoff diagrams: what a package earns at expiry at each price of its underlying, and earned at once.

At expiry the profit is a line with kinks at the strikes; where legs end at different dates it is drawn at the
first of them, and what lives longer is priced. Priced is also the line of the entry's close. Both hold every
contract's volatility where it was at that close, whatever the underlying does, so they are modelled even
where the quotes were real. Profits are per package and before fees, in currency; prices are those of the
entry, before any split since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from simulator.options.exposure import contract_volatilities
from simulator.results.greeks import split_factors
from simulator.results.packages import opened_packages

if TYPE_CHECKING:
    from simulator.results.raw import RawRun

__all__ = ["Payoff", "payoffs", "price_span", "value_at_expiry", "zero_crossings"]

Floats = npt.NDArray[np.float64]
Records = npt.NDArray[np.void]

POINTS: Final = 41
"""Prices of the underlying at which a line is priced."""
DAYS_PER_YEAR: Final = 365.0


@dataclass(frozen=True)
class Payoff:
    """One package's diagram.

    Parameters
    ----------
    trade
        Id of the trade.
    legs
        Units (negative: sold), right (1 call, -1 put, 0 shares), strike (NaN for shares), and days to expiry
        at the entry, one tuple per leg.
    entry_spot, exit_spot
        Close of the underlying at the entry and at the exit (of an open package, at the last bar). NaN where
        it had no bar.
    realised
        Profit per package of the exit or the last mark, before fees.
    spots, now : (POINTS,) float64
        Prices of the underlying, and the profit there at the entry's close; NaN where a volatility is
        unknown.
    corners, expiry : (K,) float64
        Prices from the first to the last of `spots` and the profit there at the first expiry. Between them
        the line is straight: exactly so with the strikes as corners where all legs end then, and nearly so
        where some live on and are priced (NaN where a volatility is unknown).
    break_evens
        Prices at which the profit at expiry is 0, rising.
    """

    trade: int
    legs: list[tuple[int, int, float, int]]
    entry_spot: float
    exit_spot: float
    realised: float
    spots: Floats
    now: Floats
    corners: Floats
    expiry: Floats
    break_evens: list[float]


def payoffs(raw: RawRun, chosen: npt.ArrayLike) -> list[Payoff]:
    """Return the diagrams of some trades by id, in their order; ids that are no packages are left out."""
    opened = opened_packages(raw)
    by_id = {int(fill["position"]): fill for fill in opened}
    trades = {int(trade["id"]): trade for trade in raw.trades}
    ids = [int(one) for one in np.atleast_1d(np.asarray(chosen, np.int64)) if int(one) in by_id]
    factors = split_factors(raw)
    return [_payoff(raw, by_id[one], trades[one], factors) for one in ids]


def _payoff(raw: RawRun, fill: np.void, trade: np.void, factors: Floats | None) -> Payoff:
    bars = raw.bars
    package = int(raw.signals.records["package"][fill["signal"]]) - 1
    legs = raw.signals.legs[package]
    legs = legs[legs["ratio"] > 0]
    terms = raw.signals.packages[package]
    row, sym, last = int(fill["row"]), int(fill["sym"]), int(trade["exit_row"])
    since = 1.0 if factors is None else float(factors[last, sym] / factors[row, sym])
    multiplier, side = float(terms["multiplier"]), float(fill["side"])
    paid = side * float(fill["price"])
    entry, final = float(bars.close[row, sym]), float(bars.close[last, sym]) * since
    # an early assignment pays between the two prices, and splits change the trade's quantity
    realised = float(trade["pnl"] + trade["fees"] - trade["dividends"]) / float(fill["qty"])
    units = (legs["side"] * legs["ratio"]).astype(np.float64)
    options = legs["right"] != 0
    first = int(legs["expiry"][options].min())
    strikes = legs["strike"][options]
    alike = bool((legs["expiry"][options] == first).all())

    session, american = int(bars.session[row]), bool(terms["american"])

    def at_expiry(prices: Floats) -> Floats:
        if alike:
            return value_at_expiry(legs, units, prices) - paid
        return _worth(raw, row, sym, legs, units, prices, first, american) - paid

    # far enough that every break-even that matters shows
    top = 2.0 * max(entry, float(strikes.max()))
    wide = np.unique([0.0, *strikes, top] if alike else [*np.linspace(0.0, top, 4 * POINTS), *strikes])
    zeros = zero_crossings(wide, at_expiry(wide))
    spots = price_span(entry, final, strikes, zeros)
    corners = np.unique([spots[0], spots[-1], *strikes] if alike else [*spots, *strikes])
    expiry = at_expiry(corners)
    if not alike:
        zeros = zero_crossings(corners, expiry)
    now = _worth(raw, row, sym, legs, units, spots, session, american) - paid
    return Payoff(
        trade=int(fill["position"]),
        legs=[
            (
                int(leg["side"] * leg["ratio"]),
                int(leg["right"]),
                float(leg["strike"]),
                int(leg["expiry"]) - session if leg["right"] else 0,
            )
            for leg in legs
        ],
        entry_spot=entry,
        exit_spot=final,
        realised=realised,
        spots=spots,
        now=multiplier * now,
        corners=corners,
        expiry=multiplier * expiry,
        break_evens=zeros,
    )


def price_span(entry: float, final: float, strikes: Floats, zeros: list[float]) -> Floats:
    """Return `POINTS` prices from below to above all that is marked; a `final` that is NaN is left out."""
    marked = np.array([entry, *strikes, *zeros, *([final] if np.isfinite(final) else [])])
    low, high = marked.min(), marked.max()
    room = max(0.3 * (high - low), 0.02 * entry)
    return np.linspace(max(low - room, 0.0), high + room, POINTS)


def value_at_expiry(legs: Records, units: Floats, spots: Floats) -> Floats:
    """Return what legs are worth together at their expiry, per unit of the underlying, at each price.

    Of `legs` the fields `right` (1 call, -1 put, 0 shares) and `strike` count; `units` are signed.
    """
    inside = np.maximum(legs["right"] * (spots[:, None] - legs["strike"]), 0.0)
    return np.asarray((units * np.where(legs["right"] == 0, spots[:, None], inside)).sum(axis=1))


def _worth(
    raw: RawRun, row: int, sym: int, legs: Records, units: Floats, spots: Floats, session: int, american: bool
) -> Floats:
    """Worth of a package per share at a session's close, at the volatilities of its entry."""
    from simulator.options.pricing import price

    market = raw.bars.options
    assert market is not None  # noqa: S101 - a package filled from its quotes
    count = len(legs)
    at = (np.full(count, row), np.full(count, sym))
    volatility, _ = contract_volatilities(
        raw.bars, *at, legs["right"], legs["strike"], legs["expiry"], np.full(count, american)
    )
    years = (legs["expiry"] - session) / DAYS_PER_YEAR
    total = np.zeros(len(spots))
    carry = float(market.yields[sym]) if market.yields.size else 0.0
    for k, leg in enumerate(legs):
        if leg["right"] == 0:
            total += units[k] * spots
        elif years[k] <= 0:
            total += value_at_expiry(legs[k : k + 1], units[k : k + 1], spots)
        else:
            total += units[k] * price(
                np.full(len(spots), float(leg["right"])),
                np.maximum(spots, 1e-9),
                float(leg["strike"]),
                float(years[k]),
                float(market.rates[row]),
                float(volatility[k]),
                carry,
                "american" if american else "european",
            )
    return total


def zero_crossings(spots: Floats, profit: Floats) -> list[float]:
    """Return where a line between points crosses 0, or begins or ends to be 0; rising."""
    found = set()
    for k in range(len(spots) - 1):
        a, b = float(profit[k]), float(profit[k + 1])
        if not (np.isfinite(a) and np.isfinite(b)):
            continue
        if a * b < 0.0:
            found.add(float(spots[k] + (spots[k + 1] - spots[k]) * a / (a - b)))
        elif a == 0.0 != b:
            found.add(float(spots[k]))
        elif b == 0.0 != a:
            found.add(float(spots[k + 1]))
    return sorted(found)
