"""What bars know of options: stored quotes, or what a modelled surface needs to make them.

`bars.with_options(...)` carries it into a run. With stored quotes a contract is priced where it is quoted and
nowhere else; without them the surface answers for every contract, and all that follows is modelled.

>>> from simulator import load_bars
>>> bars = load_bars("synthetic:1x60?seed=1")
>>> bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: 0.2})).options.grade
'modelled'
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError
from simulator.kernel.dtypes import QUOTE

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.options.chain import Chain
    from simulator.options.surface import Surface

    Level = float | pd.Series[Any] | npt.NDArray[np.float64]

__all__ = ["OptionMarket"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OptionMarket:
    """Options on the symbols of some bars.

    Parameters
    ----------
    volatility : (T, S) or (0, 0) float64
        Index of implied volatility of each symbol, as a fraction; NaN where there is none.
    rates : (T,) float64
        Risk-free rate per year as a fraction.
    yields : (S,) or (0,) float64
        Dividend yield per year of each symbol, as a fraction.
    surfaces : (S, K) or (0, 0) float64
        Parameters of each symbol's modelled surface.
    quotes : (Q,) QUOTE
        Stored quotes, sorted by row, symbol, expiry, right (puts first) and strike.
    start : (T + 1,) int64
        First quote of each bar.
    """

    volatility: Floats
    rates: Floats
    yields: Floats
    surfaces: Floats
    quotes: npt.NDArray[np.void]
    start: npt.NDArray[np.int64]

    @classmethod
    def modelled(
        cls,
        bars: Bars,
        volatility: Mapping[str, Level],
        *,
        surface: Surface | str | Mapping[str, Surface | str] = "index",
        rate: Level = 0.0,
        dividend_yield: float | Mapping[str, float] = 0.0,
    ) -> OptionMarket:
        """Let a surface answer for every contract on some symbols.

        Parameters
        ----------
        bars
            The underlyings.
        volatility
            Index of implied volatility by symbol, as a fraction (the VIX at 20 is 0.2): one number, one per
            bar, or a series by date. A session without a value of its own has no quotes.
        surface
            One for all, or by symbol.
        rate
            Risk-free rate per year as a fraction; of a series the last value at or before a session holds.
        dividend_yield
            Per year as a fraction, one for all or by symbol.

        Raises
        ------
        UnknownNameError
            NAME_SYMBOL, NAME_SURFACE.
        DataError
            SURFACE_UNITS for an index above 5; DATA_SHAPE for arrays that do not fit; DATA_RATE for a series
            of rates that begins later than the bars.
        """
        from simulator.kernel.surface import SURFACE_FIELDS
        from simulator.options.surface import Surface

        count = len(bars.symbols)
        levels = np.full((len(bars), count), np.nan)
        surfaces = np.full((count, len(SURFACE_FIELDS)), np.nan)
        yields = np.zeros(count)
        for symbol, level in volatility.items():
            column = bars.column(symbol)
            levels[:, column] = _by_session(level, bars, f"volatility of {symbol}")
            if np.nanmax(levels[:, column], initial=0.0) > 5.0:
                raise DataError(
                    f"the volatility of {symbol} reaches {np.nanmax(levels[:, column]):g}; it is a fraction, "
                    "so 20 % is 0.2: divide an index in percent by 100",
                    code="SURFACE_UNITS",
                )
            chosen = surface[symbol] if isinstance(surface, Mapping) else surface
            surfaces[column] = (Surface.preset(chosen) if isinstance(chosen, str) else chosen).record()
            yields[column] = dividend_yield[symbol] if isinstance(dividend_yield, Mapping) else dividend_yield
        return cls(
            levels,
            _by_session(rate, bars, "rate", carried=True),
            yields,
            surfaces,
            np.zeros(0, QUOTE),
            np.zeros(len(bars) + 1, np.int64),
        )

    @classmethod
    def from_chains(cls, bars: Bars, chains: Chain | Sequence[Chain], *, rate: Level = 0.0) -> OptionMarket:
        """Take the quotes of chains: for each bar the last ones of its session that are not later than it.

        `rate` as in `modelled`; it decides early exercise only. Raises `UnknownNameError` NAME_SYMBOL for a
        chain whose underlying the bars lack, `DataError` DATA_QUOTES where no quote falls on any bar.
        """
        from simulator.options.chain import Chain

        given = [chains] if isinstance(chains, Chain) else chains
        parts = [_quotes_of(chain, bars) for chain in given]
        quotes = np.concatenate(parts) if parts else np.zeros(0, QUOTE)
        if not len(quotes):
            raise DataError("no quote of these chains falls on a session of the bars", code="DATA_QUOTES")
        return cls.from_quotes(quotes, _by_session(rate, bars, "rate", carried=True))

    @classmethod
    def from_quotes(cls, quotes: npt.NDArray[np.void], rates: Floats) -> OptionMarket:
        """Build from QUOTE records in any order; `rates` has one value per bar."""
        order = np.lexsort(tuple(quotes[name] for name in ("strike", "right", "expiry", "sym", "row")))
        ordered = quotes[order]
        start = np.searchsorted(ordered["row"], np.arange(len(rates) + 1)).astype(np.int64)
        nothing = np.zeros((0, 0))
        return cls(nothing, np.asarray(rates, np.float64), np.zeros(0), nothing, ordered, start)

    @property
    def grade(self) -> Literal["quoted", "modelled"]:
        """Where prices come from."""
        return "quoted" if len(self.quotes) else "modelled"

    def digest(self) -> bytes:
        """SHA-256 over everything that decides a price."""
        digest = hashlib.sha256()
        for array in (self.volatility, self.rates, self.yields, self.surfaces, self.quotes, self.start):
            digest.update(f"|{array.shape}|".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()

    def rows(self, first: int, last: int) -> OptionMarket:
        """Return the part that belongs to rows `first` to `last` of the bars."""
        begin, end = int(self.start[first]), int(self.start[last])
        quotes = self.quotes[begin:end].copy()
        quotes["row"] -= first
        return OptionMarket(
            self.volatility[first:last] if self.volatility.size else self.volatility,
            self.rates[first:last],
            self.yields,
            self.surfaces,
            quotes,
            self.start[first : last + 1] - begin,
        )

    def columns(self, chosen: npt.NDArray[np.int64]) -> OptionMarket:
        """Return the part that belongs to some symbols, in their new order."""
        new_of = np.full(int(max(chosen.max(initial=0), self.quotes["sym"].max(initial=0))) + 1, -1, np.int64)
        new_of[chosen] = np.arange(len(chosen))
        quotes = self.quotes[new_of[self.quotes["sym"]] >= 0].copy()
        quotes["sym"] = new_of[quotes["sym"]]
        made = OptionMarket.from_quotes(quotes.astype(QUOTE), self.rates)
        return OptionMarket(
            np.ascontiguousarray(self.volatility[:, chosen]) if self.volatility.size else self.volatility,
            self.rates,
            self.yields[chosen] if self.yields.size else self.yields,
            np.ascontiguousarray(self.surfaces[chosen]) if self.surfaces.size else self.surfaces,
            made.quotes,
            made.start,
        )


def _by_session(level: Level, bars: Bars, what: str, *, carried: bool = False) -> Floats:
    import pandas as pd

    n = len(bars)
    if not isinstance(level, pd.Series):
        values = np.asarray(level, np.float64)
        if values.shape not in ((), (n,)):
            raise DataError(f"{what} has shape {values.shape}; give one number or {n}", code="DATA_SHAPE")
        return np.broadcast_to(values, (n,)).copy()
    index = pd.DatetimeIndex(level.index)
    days = (
        (index.tz_convert(None) if index.tz is not None else index).to_numpy("datetime64[D]").astype(np.int64)
    )
    if (np.diff(days) <= 0).any():
        raise DataError(f"the dates of {what} must rise, and each comes once", code="DATA_TIME")
    at = np.searchsorted(days, bars.session, side="right") - 1
    if carried and (at < 0).any():
        first = np.datetime64(int(bars.session[0]), "D")
        raise DataError(f"{what} begins after the first session, {first}", code="DATA_RATE")
    values = level.to_numpy(np.float64)[np.maximum(at, 0)]
    own = carried | ((at >= 0) & (days[np.maximum(at, 0)] == bars.session))
    return np.where(own, values, np.nan)


def _quotes_of(chain: Chain, bars: Bars) -> npt.NDArray[np.void]:
    # A chain may hold several times of a session, and several trading classes of one expiry: the last time
    # counts, and of two quotes of the same contract the first class.
    column = bars.column(chain.symbol)
    row = np.searchsorted(bars.close_ts, chain.ts, side="left")
    known = row < len(bars)
    row = np.minimum(row, len(bars) - 1)
    days = chain.ts // 86_400_000_000_000
    known &= np.abs(days - bars.session[row]) <= 1
    last = np.full(len(bars), np.iinfo(np.int64).min)
    np.maximum.at(last, row[known], chain.ts[known])
    known &= chain.ts == last[row]
    quotes = np.zeros(int(known.sum()), QUOTE)
    quotes["row"], quotes["sym"] = row[known], column
    quotes["expiry"], quotes["right"], quotes["strike"] = (
        chain.expiry[known],
        chain.kind[known],
        chain.strike[known],
    )
    for field in ("bid", "ask", "iv", "delta"):
        quotes[field] = getattr(chain, field)[known]
    key = quotes[["row", "expiry", "right", "strike"]]
    _, first = np.unique(key, return_index=True)
    return quotes[first]
