"""Which expiry and which strikes a strategy would trade at each close, before any of it is traded.

A `Selection` answers for one symbol and all bars at once, and remembers its answers, so that the parameter
sets of a sweep share them. On a modelled market it inverts the surface for the wanted delta and takes the
nearest strike of the usual grid, at the listed expiry nearest to the wanted term; with stored quotes it takes
the nearest quote that could be traded. What is not found is NaN, and no candidate: nothing is made up.

Every answer for a bar depends on that bar alone. The loops are compiled (the inversion) or NumPy's.

>>> from simulator import load_bars
>>> from simulator.options.market import OptionMarket
>>> bars = load_bars("synthetic:1x60?seed=1")
>>> bars = bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: 0.2}))
>>> selection, window = Selection.on(bars, bars.symbols[0]), ExpiryWindow(45, 30, 60)
>>> put = selection.by_delta("put", window, 0.30, 0.20, 0.40)
>>> int(bars.close[-1, 0]), float(put.strike[-1]), int((put.expiry - bars.session)[-1])
(82, 80.0, 52)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from simulator.bars.arrays import Floats, Ints, Records
from simulator.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from simulator.kernel import codes
from simulator.options.modelled import listed_expiries, strike_step
from simulator.options.surface import run

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["ExpiryWindow", "Pick", "Selection"]

T = TypeVar("T")

RIGHTS: Final = {"call": 1, "put": -1}
DAYS_PER_YEAR: Final = 365.0  # as the step counts the life of a contract
MOST_REMEMBERED: Final = 512  # answers per symbol; of 20 years of daily bars about 80 kB each
# How far a quoted strike may lie from the one asked for and still be it: in percent of spot, of the width.
QUOTED_WITHIN_PCT: Final = 1.0
QUOTED_WITHIN_WIDTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class ExpiryWindow:
    """Expiries to choose from, in calendar days from a bar's session; the one nearest to `target` is taken.

    Parameters
    ----------
    target, least, most
        Wanted days to expiry and the bounds, both included. Of two expiries equally near, the earlier.
    weeklies
        On a modelled market: whether every Friday is listed, or the third of each month only.

    Raises
    ------
    ConfigError
        CONFIG_EXPIRY unless 1 <= least <= target <= most.
    """

    target: int
    least: int
    most: int
    weeklies: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.target <= self.most:
            raise ConfigError(
                f"days to expiry: target {self.target} with {self.least} to {self.most}; the target must lie "
                "between the two, and the least is 1",
                code="CONFIG_EXPIRY",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """One leg's contract at every bar.

    Attributes
    ----------
    right
        +1 call, -1 put.
    strike : (T,) float64
        In currency; NaN where no contract fits.
    expiry : (T,) int64
        Session date in days since 1970-01-01; 0 where none fits.
    delta : (T,) float64
        Signed delta of the contract chosen: of the stored quote, or of the European option on the surface.
        NaN where there is none.
    key
        What it was chosen by; equal keys of one `Selection` are equal picks.
    """

    right: int
    strike: Floats
    expiry: Ints
    delta: Floats
    key: tuple[Hashable, ...]


class Selection:
    """Contracts on one symbol of some bars; get one with `Selection.on`, which keeps it beside the bars.

    Attributes
    ----------
    index : bool
        Whether the symbol is an index, whose options pay cash.
    """

    def __init__(self, bars: Bars, column: int) -> None:
        market = bars.options
        if market is None:
            raise DataError(
                f"{bars!r} knows nothing of options; give it quotes or a surface: "
                "bars.with_options(OptionMarket.modelled(bars, ...))",
                code="DATA_OPTIONS",
            )
        # No reference to the bars: a cache that holds its own key would never be emptied.
        self.index = bool(bars.instruments["kind"][column] == codes.INSTRUMENT_INDEX)
        self._session = bars.session
        self._calendar = bars.calendar
        self._spot = bars.close[:, column]
        self._answers: dict[Hashable, Any] = {}
        rows = len(bars)
        self._rate, self._yield = market.rates, float(market.yields[column]) if market.yields.size else 0.0
        self._index = market.volatility[:, column] if market.volatility.size else np.full(rows, np.nan)
        self._surface = market.surfaces[column] if market.surfaces.size else np.zeros(0)
        # without a surface there are stored quotes, even where none falls on these bars
        self._modelled = market.grade == "modelled" and market.surfaces.size > 0
        self._quotes = _tradable(market.quotes, column)

    @classmethod
    def on(cls, bars: Bars, symbol: str) -> Selection:
        """Return the selection of a symbol, the same one each time as long as the bars live.

        Raises `UnknownNameError` NAME_SYMBOL, `DataError` DATA_OPTIONS for bars without options.
        """
        column = bars.column(symbol)
        known = _KNOWN.setdefault(bars, {})
        if column not in known:
            known[column] = cls(bars, column)
        return known[column]

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, or what it returned for the same key before."""
        if key not in self._answers:
            if len(self._answers) >= MOST_REMEMBERED:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = make()
        answer: T = self._answers[key]
        return answer

    def expiry(self, window: ExpiryWindow) -> Ints:
        """Return the expiry of each bar, (T,) days since 1970-01-01; 0 where none lies in the window."""
        make = self._listed if self._modelled else self._quoted_expiry
        return self.remember(("expiry", window), lambda: make(window))

    def by_delta(
        self, right: str, window: ExpiryWindow, target: float, least: float = 0.0, most: float = 1.0
    ) -> Pick:
        """Return the contract whose delta is nearest to `target`.

        Parameters
        ----------
        right
            "call" or "put".
        window
            Which expiries will do.
        target, least, most
            Absolute deltas, 0 to 1; a contract whose own delta is outside the bounds is no candidate. On the
            surface the strike is the exact one for the target, moved to the grid.

        Raises
        ------
        UnknownNameError
            NAME_KIND for another right.
        ConfigError
            CONFIG_DELTA unless 0 <= least <= target <= most <= 1 and 0 < target < 1.
        """
        sign = _sign(right)
        if not (0.0 <= least <= target <= most <= 1.0 and 0.0 < target < 1.0):
            raise ConfigError(
                f"delta: target {target:g} with {least:g} to {most:g}; they are absolute, from 0 to 1, and "
                "the target lies between the two",
                code="CONFIG_DELTA",
            )
        key = ("delta", sign, window, target, least, most)

        def make() -> Pick:
            if self._modelled:
                return self._bounded(
                    self._contract(sign, self._inverted(sign, window, target), window, key), least, most
                )
            quotes = self._quotes
            delta = np.abs(quotes["delta"])
            fits = self._at(window, sign) & (delta >= least) & (delta <= most)
            return self._taken(sign, self._nearest(fits, np.abs(delta - target)), key)

        return self.remember(key, make)

    def by_percent(self, right: str, window: ExpiryWindow, percent: float = 0.0) -> Pick:
        """Return the contract whose strike is nearest to the close plus `percent` of it.

        -5 is a strike 5 % below the close. A quoted strike further than 1 % of the close from there is none.
        """
        sign = _sign(right)
        key = ("percent", sign, window, percent)

        def make() -> Pick:
            wanted = self._spot * (1.0 + percent / 100.0)
            if self._modelled:
                return self._contract(sign, wanted, window, key)
            row = self._quotes["row"]
            away = np.abs(self._quotes["strike"] - wanted[row])
            fits = self._at(window, sign) & (away <= QUOTED_WITHIN_PCT / 100.0 * self._spot[row])
            return self._taken(sign, self._nearest(fits, away), key)

        return self.remember(key, make)

    def by_width(
        self, other: Pick, window: ExpiryWindow, *, width: float = 0.0, width_pct: float = 0.0
    ) -> Pick:
        """Return the contract of the same right, further out of the money than `other` by a width.

        Parameters
        ----------
        other
            The nearer leg.
        window
            As for `other`.
        width, width_pct
            Distance of the strikes in currency, and in percent of the close, added together. On the grid it
            is at least one step; a quoted strike may miss it by half of it.

        Raises
        ------
        ConfigError
            CONFIG_WIDTH where the two do not make a distance above 0.
        """
        if not (width >= 0.0 and width_pct >= 0.0 and 0.0 < width + width_pct < np.inf):
            raise ConfigError(
                f"the width is {width:g} and {width_pct:g} % of the close; together they must be above 0",
                code="CONFIG_WIDTH",
            )
        sign = other.right
        key = ("width", other.key, window, width, width_pct)

        def make() -> Pick:
            distance = width + width_pct / 100.0 * self._spot
            if self._modelled:
                step = strike_step(self._spot)
                steps = np.maximum(np.round(distance / step), 1.0)
                return self._contract(sign, other.strike + sign * steps * step, window, key)
            row = self._quotes["row"]
            beyond = sign * (self._quotes["strike"] - other.strike[row])
            away = np.abs(beyond - distance[row])
            fits = self._at(window, sign) & (away <= QUOTED_WITHIN_WIDTH * distance[row])
            return self._taken(sign, self._nearest(fits, away), key)

        return self.remember(key, make)

    def at_strike_of(self, other: Pick, window: ExpiryWindow, right: str | None = None) -> Pick:
        """Return the contract with the strike of `other` in another window, or of another right."""
        sign = other.right if right is None else _sign(right)
        key = ("strike", sign, other.key, window)

        def make() -> Pick:
            if self._modelled:
                return self._contract(sign, other.strike, window, key)
            same = self._quotes["strike"] == other.strike[self._quotes["row"]]
            return self._taken(sign, self._nearest(self._at(window, sign) & same, np.zeros(same.size)), key)

        return self.remember(key, make)

    def mid(self, pick: Pick, *, american: bool) -> Floats:
        """Return the middle of the quote of each bar's contract in currency per share, (T,); NaN for none."""
        return self.remember(("mid", american, pick.key), lambda: self._mid(pick, american=american))

    # On the surface

    def _years(self, expiry: Ints) -> Floats:
        return np.where(expiry > 0, (expiry - self._session) / DAYS_PER_YEAR, np.nan)

    def _listed(self, window: ExpiryWindow) -> Ints:
        if not self._session.size:
            return np.zeros(0, np.int64)
        # whole years, so that bars cut at any row ask for the same list
        first, last = _year(int(self._session[0])), _year(int(self._session[-1]) + window.most) + 1
        known = _expiries(first, last, self._calendar, window.weeklies)
        at = np.searchsorted(known, self._session + window.target, side="left")
        best, nearest = np.zeros(self._session.size, np.int64), np.full(self._session.size, np.inf)
        for place in (at - 1, at):
            inside = (place >= 0) & (place < known.size)
            expiry = known[np.clip(place, 0, known.size - 1)]
            days = expiry - self._session
            away = np.abs(days - window.target)
            better = inside & (days >= window.least) & (days <= window.most) & (away < nearest)
            best, nearest = np.where(better, expiry, best), np.where(better, away, nearest)
        return best

    def _inverted(self, sign: int, window: ExpiryWindow, target: float) -> Floats:
        years = self._years(self.expiry(window))
        # few terms, so few deltas: the inverse is asked once for each
        shares, at = np.unique(target * np.exp(self._yield * years), return_inverse=True)
        d1 = sign * np.array([_inverse_normal(float(share)) for share in shares])[at]
        forward = self._spot * np.exp((self._rate - self._yield) * years)
        return run("strikes_over", self._surface, self._index, forward, years, d1)

    def _contract(self, sign: int, wanted: Floats, window: ExpiryWindow, key: tuple[Hashable, ...]) -> Pick:
        from simulator.options.pricing import greeks

        step = strike_step(self._spot)
        strike = np.round(wanted / step) * step
        expiry = self.expiry(window)
        known = (strike > 0.0) & (expiry > 0) & (self._index > 0.0) & (self._spot > 0.0)
        strike, expiry = np.where(known, strike, np.nan), np.where(known, expiry, 0)
        terms = self._terms(strike, expiry)
        delta = np.asarray(greeks(sign, **terms).delta, np.float64)
        return Pick(sign, strike, expiry, delta, key)

    def _terms(self, strike: Floats, expiry: Ints) -> dict[str, Any]:
        years = self._years(expiry)
        yields = np.full(strike.size, self._yield)
        volatility = run(
            "volatilities_over", self._surface, self._index, self._spot, self._rate, yields, strike, years
        )
        market = {"spot": self._spot, "strike": strike, "years": years, "rate": self._rate}
        return {**market, "volatility": volatility, "dividend_yield": yields}

    def _bounded(self, pick: Pick, least: float, most: float) -> Pick:
        inside = (np.abs(pick.delta) >= least) & (np.abs(pick.delta) <= most)
        return Pick(
            pick.right,
            np.where(inside, pick.strike, np.nan),
            np.where(inside, pick.expiry, 0),
            np.where(inside, pick.delta, np.nan),
            pick.key,
        )

    def _mid(self, pick: Pick, *, american: bool) -> Floats:
        from simulator.kernel import surface as kernel
        from simulator.kernel._jit import kernel_jit, self_healing
        from simulator.options.pricing import price

        if not self._modelled:
            quotes = self._quotes
            same = (quotes["right"] == pick.right) & (quotes["expiry"] == pick.expiry[quotes["row"]])
            same &= quotes["strike"] == pick.strike[quotes["row"]]
            found = self._nearest(same, np.zeros(same.size))
            middle = 0.5 * (quotes["bid"] + quotes["ask"])
            return np.where(found >= 0, np.append(middle, np.nan)[found], np.nan)
        style = "american" if american else "european"
        worth = np.asarray(price(pick.right, **self._terms(pick.strike, pick.expiry), style=style))
        bid, ask = np.empty(worth.size), np.empty(worth.size)
        self_healing(kernel_jit, lambda: kernel.spreads_over(self._surface, worth, bid, ask))
        return 0.5 * (bid + ask)

    # Among stored quotes

    def _quoted_expiry(self, window: ExpiryWindow) -> Ints:
        quotes = self._quotes
        days = quotes["expiry"] - self._session[quotes["row"]]
        fits = (days >= window.least) & (days <= window.most)
        found = self._nearest(fits, np.abs(days - window.target).astype(np.float64))
        return np.where(found >= 0, np.append(quotes["expiry"], 0)[found], 0)

    def _at(self, window: ExpiryWindow, sign: int) -> Any:
        quotes = self._quotes
        return (quotes["expiry"] == self.expiry(window)[quotes["row"]]) & (quotes["right"] == sign)

    def _nearest(self, fits: Any, distance: Floats) -> Ints:
        """Return each bar's quote that fits with the least distance, the first of equals; -1 for none."""
        row, at = self._quotes["row"], np.flatnonzero(fits)
        best = np.full(self._session.size, np.inf)
        np.minimum.at(best, row[at], distance[at])
        at = at[distance[at] == best[row[at]]]
        found = np.full(self._session.size, -1, np.int64)
        found[row[at][::-1]] = at[::-1]
        return found

    def _taken(self, sign: int, found: Ints, key: tuple[Hashable, ...]) -> Pick:
        quotes, some = self._quotes, found >= 0
        strike = np.where(some, np.append(quotes["strike"], np.nan)[found], np.nan)
        expiry = np.where(some, np.append(quotes["expiry"], 0)[found], 0)
        delta = np.where(some, np.append(quotes["delta"], np.nan)[found], np.nan)
        return Pick(sign, strike, expiry, delta, key)


_KNOWN: Final[WeakKeyDictionary[Bars, dict[int, Selection]]] = WeakKeyDictionary()


def _inverse_normal(share: float) -> float:
    return NormalDist().inv_cdf(share) if 0.0 < share < 1.0 else np.nan


def _tradable(quotes: Records, column: int) -> Records:
    # The step fills no package with a missing, crossed or zero-bid quote among its legs.
    good = (quotes["bid"] > 0.0) & (quotes["ask"] >= quotes["bid"]) & np.isfinite(quotes["ask"])
    kept: Records = quotes[good & (quotes["sym"] == column)]
    return kept


def _sign(right: str) -> int:
    if right not in RIGHTS:
        raise UnknownNameError(
            f"kind {right!r} is unknown.{did_you_mean(str(right), RIGHTS)}", code="NAME_KIND"
        )
    return RIGHTS[right]


def _year(day: int) -> int:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).year


@lru_cache(maxsize=64)
def _expiries(first: int, last: int, calendar: str, weeklies: bool) -> Ints:
    """Return the expiries of the years `first` to `last`, the latter not included."""
    ends = [(dt.date(year, 1, 1) - dt.date(1970, 1, 1)).days for year in (first, last)]
    known = listed_expiries(ends[0], ends[1], calendar=calendar, weeklies=weeklies)
    known.setflags(write=False)
    return known
