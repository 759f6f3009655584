"""The last bar of a session as a market: prices of underlyings, quotes of options, volatilities, Greeks.

It says where each figure comes from: the quotes of that bar, the surface of a modelled market, or, where the
bar knows the underlying and none of its options, the volatilities that were written down at the entry.
Nothing is made up between two strikes, and what the bar does not say is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from twinstep.dashboard.reading.options.payoff import Terms, worth

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Greeks", "LastBar", "Priced", "betas_of"]

BENCHMARKS: Final[tuple[str, ...]] = ("SPY", "SPX", "^GSPC", "^SPX")
"""Against which betas are measured: the first of them that is among a session's symbols."""

_LEAST_DAYS: Final = 30  # as `simulator.options.exposure` asks for

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Greeks:
    """Of a whole position; units as in `simulator.results.greeks.GREEK_UNITS`, None: unknown."""

    delta: float | None = None
    beta_dollar_delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None

    @property
    def known(self) -> bool:
        """Whether all but the weighted delta are known."""
        return None not in (self.delta, self.gamma, self.theta, self.vega)


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A package as a bar sees it.

    Attributes
    ----------
    volatility : (N,) float64
        Of each leg as a fraction, NaN: unknown, or shares.
    source
        Where it comes from, in words.
    mark
        Worth per unit of the underlying, shares included; None: not quoted, not modelled.
    delta, gamma, theta, vega
        Of the whole position.
    """

    volatility: Floats
    source: str
    mark: float | None
    greeks: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LastBar:
    """The newest bar of a session.

    Attributes
    ----------
    session
        Its name.
    ts
        When the bar closed, UTC nanoseconds.
    bars
        One row.
    betas
        By symbol; a symbol without one is not in it.
    against
        What betas are measured against, in words; "" where there are none.
    """

    session: str
    ts: int
    bars: Bars
    betas: dict[str, float]
    against: str

    @property
    def day(self) -> int:
        """Session date in days since 1970."""
        return int(self.bars.session[0])

    def spot(self, symbol: str) -> float | None:
        """Return the close of a symbol, None where the bar has none."""
        if symbol not in self.bars.symbols:
            return None
        return _known(self.bars.close[0, self.bars.column(symbol)])

    def quotes_options(self, symbol: str) -> bool:
        """Whether this bar has quotes, or a modelled volatility, of options on a symbol."""
        options = self.bars.options
        if options is None or symbol not in self.bars.symbols:
            return False
        column = self.bars.column(symbol)
        if options.grade == "quoted":
            return bool((options.quotes["sym"] == column).any())
        return bool(options.volatility.size and options.volatility[0, column] > 0.0)

    def rates(self, symbol: str) -> tuple[float, float]:
        """Return risk-free rate and dividend yield; 0 where nothing says."""
        options = self.bars.options
        if options is None or symbol not in self.bars.symbols:
            return 0.0, 0.0
        carry = float(options.yields[self.bars.column(symbol)]) if options.yields.size else 0.0
        return float(options.rates[0]), carry

    def weighted(self, symbol: str, delta: float | None) -> float | None:
        """Return currency that moves with the benchmark: delta times price times beta."""
        spot, beta = self.spot(symbol), self.betas.get(symbol)
        return None if delta is None or spot is None or beta is None else delta * spot * beta

    def priced(self, symbol: str, terms: Terms) -> Priced:
        """Return a package at this bar; `terms.volatility` is that of its entry, and the last resort."""
        if self.quotes_options(symbol):
            return self._from_market(symbol, terms)
        spot = self.spot(symbol)
        if spot is None or not _complete(terms):
            return Priced(terms.volatility, _of_entry(terms), None, (None,) * 4)
        return Priced(terms.volatility, _of_entry(terms), None, _entry_greeks(terms, spot))

    def _from_market(self, symbol: str, terms: Terms) -> Priced:
        from simulator.options.exposure import contract_greeks, contract_volatilities

        options = self.bars.options
        assert options is not None  # noqa: S101 - asked for before
        count, column, legs = len(terms.legs), self.bars.column(symbol), terms.legs
        at = (np.zeros(count, np.int64), np.full(count, column))
        each = (legs["right"], legs["strike"], legs["expiry"], np.full(count, terms.american))
        volatility, _ = contract_volatilities(self.bars, *at, *each)
        volatility = np.where(legs["right"] == 0, np.nan, volatility)
        found = (contract_greeks(self.bars, *at, *each) * terms.units).sum(axis=1) * terms.size
        greeks = tuple(_known(one) for one in found)
        spot = self.spot(symbol)
        if options.grade == "modelled":
            now = Terms(
                legs=legs, units=terms.units, volatility=volatility, paid=0.0, size=1.0, day=self.day,
                rate=self.rates(symbol)[0], carry=self.rates(symbol)[1], american=terms.american,
            )  # fmt: skip
            mark = None if spot is None else _known(worth(now, np.array([spot]), self.day)[0])
            return Priced(volatility, "the surface of a modelled market", mark, greeks)
        mids = [self._mid(column, leg, spot) for leg in legs]
        mark = _known(float((terms.units * np.array(mids)).sum()))
        return Priced(volatility, "implied by the mids of quotes", mark, greeks)

    def _mid(self, column: int, leg: Any, spot: float | None) -> float:
        if leg["right"] == 0:
            return float("nan") if spot is None else spot
        quotes = self.bars.options.quotes  # type: ignore[union-attr]  # the caller has looked
        same = (quotes["sym"] == column) & np.logical_and.reduce(
            [quotes[name] == leg[name] for name in ("expiry", "right", "strike")]
        )
        if not same.any():
            return float("nan")
        bid, ask = (float(quotes[name][same][0]) for name in ("bid", "ask"))
        return 0.5 * (bid + ask) if 0.0 <= bid <= ask and ask > 0.0 else float("nan")


def betas_of(bars: Bars, closes: Floats | None) -> tuple[dict[str, float], str]:
    """Return betas by symbol and what they are measured against.

    Those that the bars were given come first; else they are the slopes of daily returns on those of a
    benchmark among the symbols, over the session closes that the session keeps.
    """
    given = bars.instruments["beta"]
    if (given != 1.0).any():
        return {
            name: float(given[at]) for at, name in enumerate(bars.symbols)
        }, "the benchmark of the betas that its bars give"
    own = next((name for name in BENCHMARKS if name in bars.symbols), None)
    if own is None:
        return {}, ""
    found: dict[str, float] = {own: 1.0}
    if closes is not None and len(closes) > _LEAST_DAYS:
        from simulator.options.exposure import rolling_beta

        levels = closes[:, bars.column(own)]
        for at, name in enumerate(bars.symbols[: closes.shape[1]]):
            slope = float(rolling_beta(closes[:, at], levels)[-1])
            if name != own and np.isfinite(slope):
                found[name] = slope
    return found, own


def _entry_greeks(terms: Terms, spot: float) -> tuple[float | None, ...]:
    from simulator.options.pricing import greeks

    total = np.zeros(4)
    for leg, units, volatility in zip(terms.legs, terms.units, terms.volatility, strict=True):
        years = (int(leg["expiry"]) - terms.day) / 365.0
        if leg["right"] == 0:
            total[0] += units
        elif years <= 0.0:
            total[0] += units * leg["right"] * float(leg["right"] * (spot - leg["strike"]) > 0.0)
        else:
            style = "american" if terms.american else "european"
            one = greeks(
                float(leg["right"]), spot, float(leg["strike"]), years, terms.rate, float(volatility),
                terms.carry, style,
            )  # fmt: skip
            total += units * np.array([one.delta, one.gamma, one.theta, one.vega])
    return tuple(float(one) for one in total * terms.size)


def _complete(terms: Terms) -> bool:
    alive = (terms.legs["right"] != 0) & (terms.legs["expiry"] > terms.day)
    return bool((terms.volatility[alive] > 0.0).all())


def _of_entry(terms: Terms) -> str:
    return "each leg's volatility when it was found" if _complete(terms) else "unknown"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
