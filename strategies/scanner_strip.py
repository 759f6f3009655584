"""One expiry of one underlying as the scanner sees it: quotes, volatilities, deltas and a smile.

The smile says how likely each price at expiry is. A modelled strip takes it from its surface; a quoted one
fits a quartic in standardised log-moneyness to the IVs of the out-of-the-money quotes that may fill, constant
beyond the last of them. Raw quotes would not do: the probability of ending below a strike contains the slope
of the smile, and half a point of noise between two neighbouring strikes moves it by a fifth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.arrays import Bools, Floats, Ints
from simulator.options.chain import CALL, Chain
from simulator.options.chain_columns import STYLES
from simulator.options.iv_term import pieces_of, rates_of, terms_of

if TYPE_CHECKING:
    from simulator.options.surface import Surface

__all__ = ["Strip", "modelled_strips", "quoted_strips"]

Smile = Callable[[Floats], Floats]

_DEGREE: Final = 4
_LEAST_FOR_DEGREE: Final = 4
"""Quotes per coefficient, below which the polynomial has fewer of them."""
_FIT_REACH: Final = 3.5
"""Standard deviations from the forward beyond which quotes are ticks and rounding."""
_LEAST_SHARE: Final = 0.2
"""Of at-the-money volatility: the fit never says less."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Strip:
    """Quotes of one expiry as arrays of shape (n,), sorted by kind (calls first) and strike.

    Attributes
    ----------
    expiry, dte, years
        Session (days since 1970-01-01), calendar days, years of 365 days.
    spot, rate, dividend_yield
        The underlying and continuous rates as fractions; the yield is what the forward implies.
    atm_iv
        Volatility at the forward.
    kind, strike, bid, ask, open_interest, iv, delta, fillable
        Per quote: 1 call or -1 put, currency, contracts (NaN unknown), fractions, whether it may fill.
    multiplier
        Units of the underlying per contract.
    style
        "european" or "american".
    smile
        Volatility of any strikes.
    basis
        "surface" or "quoted IVs".
    """

    expiry: int
    dte: int
    years: float
    spot: float
    rate: float
    dividend_yield: float
    atm_iv: float
    kind: Ints
    strike: Floats
    bid: Floats
    ask: Floats
    open_interest: Floats
    iv: Floats
    delta: Floats
    fillable: Bools
    multiplier: float
    style: str
    smile: Smile
    basis: str

    @property
    def forward(self) -> float:
        """Forward price at expiry."""
        return float(self.spot * np.exp((self.rate - self.dividend_yield) * self.years))

    def below(self, price: Floats) -> Floats:
        """Return the risk-neutral probability of ending at or below prices, from the smile; 0 to 1.

        It is the slope of the undiscounted put price against the strike (Breeden and Litzenberger 1978), so
        it contains the slope of the smile. Prices at or below 0 give 0, infinity gives 1.
        """
        from simulator.options.pricing import price as option_price

        answer = np.where(price > 0, 1.0, 0.0)
        inside = np.flatnonzero((price > 0) & np.isfinite(price))
        if inside.size:
            at = np.asarray(price, np.float64)[inside]
            step = 1e-4 * at
            ends = np.concatenate((at - step, at + step))
            puts = option_price(
                "put", self.spot, ends, self.years, self.rate, self.smile(ends), self.dividend_yield
            )
            puts = np.asarray(puts) * np.exp(self.rate * self.years)
            answer[inside] = np.clip((puts[at.size :] - puts[: at.size]) / (2 * step), 0.0, 1.0)
        return answer


def modelled_strips(
    chain: Chain, surface: Surface, *, index: float, rate: float, dividend_yield: float
) -> tuple[Strip, ...]:
    """Return the strips of one modelled snapshot; the smile is the surface's own."""
    strips = []
    for piece in pieces_of(chain):
        part = chain.rows(piece)
        years, spot = float(part.years[0]), float(part.underlying[0])

        def smile(strike: Floats, years: float = years, spot: float = spot) -> Floats:
            return surface.volatility(
                strike, spot=spot, index=index, years=years, rate=rate, dividend_yield=dividend_yield
            )

        strips.append(
            Strip(
                spot=spot,
                rate=rate,
                dividend_yield=dividend_yield,
                atm_iv=float(surface.atm_volatility(index=index, years=years)),
                iv=part.iv,
                delta=part.delta,
                smile=smile,
                basis="surface",
                **_quotes(part),
            )
        )
    return tuple(strips)


def quoted_strips(chain: Chain, *, rate: float, dividend_yield: float) -> tuple[Strip, ...]:
    """Return the strips of one snapshot of quotes, with IVs and deltas of their midpoints.

    A strip whose forward and underlying are both unknown, or that has expired, is left out: nothing can be
    said of it. A quote without a volatility of its own takes the vendor's, then the smile's.
    """
    from simulator.options.pricing import greeks, implied_volatility

    strips = []
    for piece in pieces_of(chain):
        part = chain.rows(piece)
        quotes = _quotes(part)
        years, style = quotes["years"], quotes["style"]
        term = terms_of(part, rates_of(rate, part))
        forward, atm = float(term.forward[0]), float(term.iv[0])
        listed = part.underlying[part.underlying > 0]
        spot = (
            float(np.median(listed))
            if listed.size
            else forward * float(np.exp((dividend_yield - rate) * years))
        )
        if not (years > 0 and spot > 0):
            continue
        implied = rate - np.log(forward / spot) / years if forward > 0 else dividend_yield
        carry = float(implied)
        kind, strike = part.kind.astype(np.float64), part.strike
        mid = np.where(part.tradeable, part.mid, np.nan)
        iv = np.asarray(implied_volatility(kind, mid, spot, strike, years, rate, carry, style))
        middle = float(spot * np.exp((rate - carry) * years))
        smile, atm = _fitted(kind, strike, iv, part.tradeable, middle, years, atm)
        iv = np.where(np.isnan(iv), part.iv, iv)
        iv = np.where(np.isnan(iv), smile(strike), iv)
        delta = np.asarray(greeks(kind, spot, strike, years, rate, iv, carry, style).delta)
        strips.append(
            Strip(
                spot=spot,
                rate=rate,
                dividend_yield=carry,
                atm_iv=atm,
                iv=iv,
                delta=np.where(np.isnan(delta), part.delta, delta),
                smile=smile,
                basis="quoted IVs",
                **quotes,
            )
        )
    return tuple(strips)


def _quotes(part: Chain) -> dict[str, Any]:
    american = int(part.style[0]) == STYLES.index("american")
    return {
        "expiry": int(part.expiry[0]),
        "dte": int(part.dte[0]),
        "years": float(part.years[0]),
        "kind": part.kind.astype(np.int64),
        "strike": part.strike,
        "bid": part.bid,
        "ask": part.ask,
        "open_interest": part.open_interest,
        "fillable": part.tradeable,
        "multiplier": float(part.multiplier[0]),
        "style": "american" if american else "european",
    }


def _fitted(
    kind: Floats, strike: Floats, iv: Floats, fillable: Bools, forward: float, years: float, atm: float
) -> tuple[Smile, float]:
    """Return a smooth smile through the out-of-the-money quotes, and the volatility at the forward."""
    outside = np.where(kind == CALL, strike >= forward, strike < forward)
    usable = fillable & outside & np.isfinite(iv) & (iv > 0)
    if not usable.any():
        return (lambda strikes: np.full(np.shape(strikes), atm)), atm
    near = float(iv[usable][np.argmin(abs(np.log(strike[usable] / forward)))])
    scale = (atm if atm > 0 else near) * float(np.sqrt(years))
    x = np.log(strike / forward) / scale
    usable &= (abs(x) <= _FIT_REACH) | (abs(x) == abs(x[usable]).min())
    at, values = x[usable], iv[usable]
    degree = min(_DEGREE, (np.unique(at).size - 1) // _LEAST_FOR_DEGREE)
    # quotes far out matter least to where the price will end, and are the least certain
    curve = np.polynomial.Polynomial.fit(at, values, degree, w=np.exp(-at * at / 8))
    low, high = float(at.min()), float(at.max())
    middle = float(curve(min(max(0.0, low), high)))
    floor = _LEAST_SHARE * middle

    def smile(strikes: Floats) -> Floats:
        where = np.clip(np.log(np.asarray(strikes, np.float64) / forward) / scale, low, high)
        return np.asarray(np.maximum(curve(where), floor), np.float64)

    return smile, atm if atm > 0 else middle
