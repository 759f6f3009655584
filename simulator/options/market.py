"""What bars know of options: stored quotes, or what a modelled surface needs to make them.

`bars.with_options(...)` carries it into a run. With stored quotes a contract is priced where it is quoted and
nowhere else; without them the surface answers for every contract, and all that follows is modelled.

Strategies rank a volatility per session. A surface has its index; of stored quotes it is their own 30-day IV
at the money, session by session from the quotes that it trades on, and NaN where they do not suffice.

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

from simulator.errors import DataError, warn
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
        Index of implied volatility of each symbol, as a fraction; NaN where there is none. With stored quotes
        it prices nothing, and is what IV rank is made of.
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

    Raises
    ------
    DataError
        DATA_QUOTES for stored quotes beside a surface: a contract has one price.
    """

    volatility: Floats
    rates: Floats
    yields: Floats
    surfaces: Floats
    quotes: npt.NDArray[np.void]
    start: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse two sources of prices."""
        if self.surfaces.size and len(self.quotes):
            raise DataError(
                f"options have {len(self.quotes)} stored quotes and a modelled surface; prices come from one "
                "of them",
                code="DATA_QUOTES",
            )

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
        levels = _levels(volatility, bars)
        surfaces = np.full((count, len(SURFACE_FIELDS)), np.nan)
        yields = np.zeros(count)
        for symbol in volatility:
            column = bars.column(symbol)
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
    def from_chains(
        cls,
        bars: Bars,
        chains: Chain | Sequence[Chain],
        *,
        rate: Level = 0.0,
        volatility: Mapping[str, Level] | None = None,
    ) -> OptionMarket:
        """Take the quotes of chains: for each bar the last ones of its session that are not later than it.

        Parameters
        ----------
        bars
            The underlyings.
        chains
            One, or one per underlying.
        rate
            As in `modelled`; it decides early exercise, and enters the implied volatility.
        volatility
            Volatility to rank, by symbol, as in `modelled`. Of other symbols it is the at-the-money IV at a
            constant 30 days (`constant_maturity_iv`) of the quotes that each bar trades on, of no later ones:
            NaN on bars without quotes, and where no usable expiry lies on one side of 30 days. A year or more
            with too many gaps to be ranked warns DATA_IV_GAPS.

        Raises
        ------
        UnknownNameError
            NAME_SYMBOL for a chain, or a volatility, of a symbol that the bars lack.
        DataError
            DATA_QUOTES where no quote falls on any bar; DATA_SHAPE, DATA_RATE and SURFACE_UNITS as in
            `modelled`.
        """
        from simulator.options.chain import Chain

        given = [chains] if isinstance(chains, Chain) else chains
        rates = _by_session(rate, bars, "rate", carried=True)
        levels = _levels(volatility or {}, bars)
        parts = []
        for chain in given:
            row, known = _last_of_session(chain, bars)
            parts.append(_quotes_of(chain, bars, row, known))
            if chain.symbol not in (volatility or {}) and known.any():
                own = _own_volatility(chain.rows(known), row[known], rates)
                column = levels[:, bars.column(chain.symbol)]
                column[:] = np.where(np.isnan(column), own, column)  # several chains of one underlying
        quotes = np.concatenate(parts) if parts else np.zeros(0, QUOTE)
        if not len(quotes):
            raise DataError("no quote of these chains falls on a session of the bars", code="DATA_QUOTES")
        for symbol in sorted({chain.symbol for chain in given} - set(volatility or {})):
            mine = quotes["row"][quotes["sym"] == bars.column(symbol)]
            _tell_gaps(symbol, levels[np.unique(mine), bars.column(symbol)])
        made = cls.from_quotes(quotes, rates)
        return cls(levels, made.rates, made.yields, made.surfaces, made.quotes, made.start)

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
        """Where prices come from: of stored quotes also where none falls on these bars."""
        return "modelled" if self.surfaces.size else "quoted"

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


def _levels(volatility: Mapping[str, Level], bars: Bars) -> Floats:
    """Return the volatility of each bar and symbol, NaN where none is given."""
    levels = np.full((len(bars), len(bars.symbols)), np.nan)
    for symbol, level in volatility.items():
        column = bars.column(symbol)
        levels[:, column] = _by_session(level, bars, f"volatility of {symbol}")
        if np.nanmax(levels[:, column], initial=0.0) > 5.0:
            raise DataError(
                f"the volatility of {symbol} reaches {np.nanmax(levels[:, column]):g}; it is a fraction, "
                "so 20 % is 0.2: divide an index in percent by 100",
                code="SURFACE_UNITS",
            )
    return levels


def _last_of_session(chain: Chain, bars: Bars) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the bar of each quote, and whether the bar trades on it: the last time of its session counts."""
    row = np.searchsorted(bars.close_ts, chain.ts, side="left")
    known = row < len(bars)
    row = np.minimum(row, len(bars) - 1)
    days = chain.ts // 86_400_000_000_000
    known &= np.abs(days - bars.session[row]) <= 1
    last = np.full(len(bars), np.iinfo(np.int64).min)
    np.maximum.at(last, row[known], chain.ts[known])
    known &= chain.ts == last[row]
    return row, known


def _own_volatility(used: Chain, row: npt.NDArray[np.int64], rates: Floats) -> Floats:
    """Return the 30-day IV at the money of the quotes that each bar trades on; `row` is each quote's bar."""
    from simulator.options.iv_index import constant_maturity_iv

    # one quote time per bar is left, so the times of the chain are bars
    at = row[used.offsets[:-1]]
    levels = np.full(rates.size, np.nan)
    levels[at] = constant_maturity_iv(used, rate=rates[at]).to_numpy(np.float64)
    return levels


def _tell_gaps(symbol: str, levels: Floats) -> None:
    from simulator.options.iv_rank import MISSING_SHARE, WINDOW

    unknown = int(np.isnan(levels).sum())
    if levels.size >= WINDOW and unknown > MISSING_SHARE * levels.size:
        warn(
            f"{symbol}: the 30-day volatility of the quotes is unknown on {unknown} of {levels.size} bars, "
            f"more than the {MISSING_SHARE:.0%} an IV rank bears: one side of 30 days has no usable expiry. "
            "Without a rank no strategy enters; give volatility=",
            code="DATA_IV_GAPS",
        )


def _quotes_of(
    chain: Chain, bars: Bars, row: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.void]:
    # A chain may hold several trading classes of one expiry: of two quotes of a contract the first counts.
    quotes = np.zeros(int(known.sum()), QUOTE)
    quotes["row"], quotes["sym"] = row[known], bars.column(chain.symbol)
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
