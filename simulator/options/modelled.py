"""Modelled chains: listed expiries, strikes and quotes from closes, an IV index and a surface.

The answer is a `Chain` like any other, of origin "modelled", and that word follows it into every result.
What is modelled is the volatility and the width of the quotes; underlying and index are the caller's. Only
the index and the close of a quote's own session enter that quote, and an expiry's strikes, once listed, stay
listed, so a position keeps its quotes while the market runs away from it.

>>> import pandas as pd
>>> days = pd.bdate_range("2020-01-02", periods=3)
>>> closes, index = pd.Series(100.0, days), pd.Series(20.0, days)
>>> modelled_chain("XYZ", closes, index, dte=(20, 50))
Chain XYZ: 96 modelled quotes, 3 times, 2020-01-02 to 2020-01-06, 1 expiry
"""

from __future__ import annotations

import calendar as months
import datetime as dt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats, Ints
from simulator.bars.clock import calendar_sessions, check_calendar, session_times
from simulator.errors import DataError
from simulator.options.chain import CALL, PUT, YEAR, Chain
from simulator.options.chain_columns import SETTLEMENTS, STYLES, expiry_times
from simulator.options.surface import Surface

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["listed_expiries", "modelled_chain", "strike_for_delta", "strike_step"]


def modelled_chain(
    symbol: str,
    closes: pd.Series,
    index_percent: pd.Series,
    *,
    surface: Surface | str = "index",
    rate: float | pd.Series = 0.0,
    dividend_yield: float | pd.Series = 0.0,
    dte: tuple[int, int] = (1, 70),
    weeklies: bool = False,
    least_delta: float = 0.01,
    step: float | None = None,
    style: str = "european",
    settlement: str = "pm",
    calendar: str = "XNYS",
) -> Chain:
    """Return the modelled chain of every session that has both a close and an index value.

    Parameters
    ----------
    symbol
        The underlying.
    closes
        Closes in currency, indexed by session date: plain dates, or midnight UTC as `Bars.index` has them.
    index_percent
        IV index as published, in percent (20.0 is 20 %), indexed by session date. A session without a value
        of its own gets no quotes; no value is carried over.
    surface
        A `Surface`, or the name of a preset.
    rate, dividend_yield
        Continuous rates per year, as fractions: one number, or a series by date, of which the last value at
        or before a session holds.
    dte
        Least and most calendar days to expiry.
    weeklies
        Whether every Friday is listed, or the third of each month only.
    least_delta
        Strikes reach out to this absolute delta on both sides, on every session so far.
    step
        Distance between strikes in currency; None takes `strike_step` of the close on the expiry's first
        session.
    style
        "european" or "american".
    settlement
        "pm" or "am": whether options end at the close or at the opening of their expiry session.
    calendar
        Exchange calendar of sessions and expiries.

    Returns
    -------
    Quotes at each session's close with bid, ask, iv and delta from the model; sizes, volume and open interest
    are unknown.

    Raises
    ------
    DataError
        DATA_EMPTY where no session has both values; DATA_TIME where an index holds no session dates, holds
        one twice or is out of order; DATA_RATE where a series of rates begins later than the sessions.
    ConfigError, UnknownNameError
        As `Surface.preset` and the pricing functions do.
    """
    from simulator.options.pricing import greeks, price

    surface = Surface.preset(surface) if isinstance(surface, str) else surface
    calendar = check_calendar(calendar)
    days, spot, index = _sessions(symbol, closes, index_percent)
    rates, yields = _by_day(rate, days, "rate"), _by_day(dividend_yield, days, "dividend_yield")
    _, now = session_times(calendar, days)
    at, expiry = _listed(days, calendar, dte, weeklies=weeklies)
    code = np.int8(SETTLEMENTS.index(settlement))
    years = (expiry_times(calendar, expiry, np.full(expiry.size, code)) - now[at]) / YEAR
    alive = years > 0
    at, expiry, years = at[alive], expiry[alive], years[alive]
    if not at.size:
        raise DataError(f"{symbol}: no expiry lies {dte[0]} to {dte[1]} days ahead", code="DATA_EMPTY")

    market = {"spot": spot[at], "index": index[at], "years": years}
    carry = {"rate": rates[at], "dividend_yield": yields[at]}
    low, high = (
        strike_for_delta(kind, least_delta, surface=surface, **market, **carry) for kind in ("put", "call")
    )
    pair, strike = _strikes(expiry, low, high, spot[at], step)
    market = {name: np.tile(values[pair], 2) for name, values in market.items()}
    carry = {name: np.tile(values[pair], 2) for name, values in carry.items()}
    both, strike = np.tile(pair, 2), np.tile(strike, 2)
    kind = np.repeat(np.array([CALL, PUT], np.int8), pair.size)
    volatility = surface.volatility(strike, **market, **carry)
    terms: dict[str, Any] = {"kind": kind.astype(np.float64), "strike": strike, "volatility": volatility}
    terms.update(carry, spot=market["spot"], years=market["years"], style=style)
    worth, delta = np.asarray(price(**terms)), greeks(**terms).delta
    bid, ask = surface.quotes(np.maximum(worth, 0.0))
    columns = {
        "ts": now[at][both],
        "expiry": expiry[both],
        "kind": kind,
        "strike": strike,
        "bid": bid,
        "ask": ask,
        "iv": volatility,
        "delta": delta,
        "underlying": market["spot"],
        "style": np.full(strike.size, STYLES.index(style), np.int8),
        "settlement": np.full(strike.size, code),
    }
    return Chain.from_arrays(symbol, columns, origin="modelled", calendar=calendar)


def strike_for_delta(
    kind: str,
    delta: npt.ArrayLike,
    *,
    surface: Surface,
    spot: npt.ArrayLike,
    index: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
    dividend_yield: npt.ArrayLike = 0.0,
) -> Floats:
    """Return the strike at which an option has a delta, exactly: the smile is part of the equation.

    Parameters
    ----------
    kind
        "call" or "put".
    delta
        Black-Scholes delta of the European option at its own volatility; the sign is ignored (0.16 and
        -0.16 are the same put).
    surface, spot, index, years, rate, dividend_yield
        As in `Surface.volatility`; everything broadcasts.

    Returns
    -------
    Strikes in currency, between the listed ones; NaN where no strike has that delta (0, or the discounted
    one and above) and where an input is NaN or not positive.

    Raises
    ------
    UnknownNameError
        NAME_KIND for anything but "call" and "put".
    DataError
        SURFACE_UNITS for an index in percent.
    """
    sign = _sign(kind)
    inputs = (delta, spot, index, years, rate, dividend_yield)
    share, spots, level, term, rates, yields = np.broadcast_arrays(
        *(np.asarray(e, np.float64) for e in inputs)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.abs(share) * np.exp(yields * term)
        forward = spots * np.exp((rates - yields) * term)
        d1 = sign * np.asarray(_INVERSE(share), np.float64)
    return surface.strike_at_d1(d1, forward=forward, index=level, years=term)


def strike_step(spot: npt.ArrayLike) -> Floats:
    """Return the usual distance between listed strikes at a price of the underlying, both in currency.

    1 below 50, 2.5 below 200, 5 from there on: between the classes with the finest grids and the others, and
    exact for S&P 500 index options near the money.
    """
    levels = np.array([50.0, 200.0])
    return np.array([1.0, 2.5, 5.0])[np.searchsorted(levels, np.asarray(spot, np.float64), side="right")]


def listed_expiries(first: int, last: int, *, calendar: str = "XNYS", weeklies: bool = False) -> Ints:
    """Return expiry sessions from `first` to `last`, in days since 1970-01-01, ascending.

    The third Friday of each month, or every Friday; where the exchange is closed, the session before it.
    Beyond the sessions that the calendar knows (about a year ahead) a Friday counts as a session.
    """
    fridays = np.array(
        [
            day
            for day in range(first, last + 7)
            if _weekday(day) == months.FRIDAY and (weeklies or _third(day))
        ],
        np.int64,
    )
    if not fridays.size:
        return fridays
    known = calendar_sessions(calendar, int(fridays[0]) - _WEEK, int(fridays[-1]))
    if not known.size:
        return fridays[fridays <= last]
    at = np.searchsorted(known, fridays, side="right") - 1
    moved = np.where((at >= 0) & (fridays <= known[-1] + _WEEK), known[np.maximum(at, 0)], fridays)
    # further back than a week there was no session to move to: the calendar does not reach so far
    moved = np.where(fridays - moved < _WEEK, moved, fridays)
    return moved[(moved >= first) & (moved <= last)]


_WEEK: Final = 7
# The absolute delta of an option, undiscounted, to its d1 (calls) or -d1 (puts).
_INVERSE: Final = np.frompyfunc(lambda p: NormalDist().inv_cdf(p) if 0.0 < p < 1.0 else np.nan, 1, 1)


def _sign(kind: str) -> float:
    from simulator.errors import UnknownNameError, did_you_mean

    if kind not in ("call", "put"):
        raise UnknownNameError(
            f"kind {kind!r} is unknown.{did_you_mean(str(kind), ('call', 'put'))}", code="NAME_KIND"
        )
    return 1.0 if kind == "call" else -1.0


def _weekday(day: int) -> int:
    return (day + 3) % 7  # 1970-01-01 was a Thursday


def _third(day: int) -> bool:
    return 15 <= (dt.date(1970, 1, 1) + dt.timedelta(days=day)).day <= 21


def _sessions(symbol: str, closes: pd.Series, index_percent: pd.Series) -> tuple[Ints, Floats, Floats]:
    price_days, prices = session_values(closes, "closes")
    index_days, values = session_values(index_percent, "index_percent")
    days, left, right = np.intersect1d(price_days, index_days, assume_unique=True, return_indices=True)
    usable = (prices[left] > 0) & (values[right] > 0)
    if not usable.any():
        raise DataError(
            f"{symbol}: of {price_days.size} closes and {index_days.size} index values no session has both",
            code="DATA_EMPTY",
        )
    return days[usable], prices[left][usable], values[right][usable] / 100


def session_values(series: pd.Series, what: str) -> tuple[Ints, Floats]:
    """Return the session dates (days since 1970-01-01) and values of a series; `DataError` DATA_TIME."""
    import pandas as pd

    try:
        index = pd.DatetimeIndex(series.index)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be indexed by session dates: {error}", code="DATA_TIME") from error
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    stamps = index.to_numpy().astype("datetime64[ns]")
    days = stamps.astype("datetime64[D]").astype(np.int64)
    timed = stamps != stamps.astype("datetime64[D]")
    if timed.any():
        raise DataError(
            f"{what} must be indexed by session dates: {stamps[timed][0]} has a time of day",
            code="DATA_TIME",
        )
    if (np.diff(days) <= 0).any():
        worst = np.datetime64(int(days[1:][np.diff(days) <= 0][0]), "D")
        raise DataError(f"{what}: {worst} is repeated or out of order", code="DATA_TIME")
    return days, np.asarray(series.to_numpy(), np.float64)


def _by_day(value: float | pd.Series, days: Ints, what: str) -> Floats:
    if isinstance(value, (int, float)):
        return np.full(days.size, float(value))
    known, values = session_values(value, what)
    at = np.searchsorted(known, days, side="right") - 1
    if at[0] < 0:
        first = np.datetime64(int(days[0]), "D")
        raise DataError(f"{what}: no value at or before {first}, the first session", code="DATA_RATE")
    return values[at]


def _listed(days: Ints, calendar: str, dte: tuple[int, int], *, weeklies: bool) -> tuple[Ints, Ints]:
    """Return pairs of a position in `days` and an expiry session."""
    known = listed_expiries(int(days[0]), int(days[-1]) + dte[1], calendar=calendar, weeklies=weeklies)
    first = np.searchsorted(known, days + dte[0], side="left")
    count = np.maximum(np.searchsorted(known, days + dte[1], side="right") - first, 0)
    at = np.repeat(np.arange(days.size), count)
    within = np.arange(at.size) - np.repeat(np.cumsum(count) - count, count)
    return at, known[first[at] + within]


def _strikes(
    expiry: Ints, low: Floats, high: Floats, spot: Floats, step: float | None
) -> tuple[Ints, Floats]:
    """Return pairs of a row and a strike; what an expiry has once listed stays listed.

    Rows are in order of session within each expiry.
    """
    lowest, highest, step_of = low.copy(), high.copy(), np.empty(low.size)
    for each in np.unique(expiry):
        rows = np.flatnonzero(expiry == each)
        lowest[rows] = np.minimum.accumulate(low[rows])
        highest[rows] = np.maximum.accumulate(high[rows])
        step_of[rows] = strike_step(spot[rows[0]]) if step is None else step
    first = np.maximum(np.ceil(lowest / step_of), 1.0)
    count = np.maximum(np.floor(highest / step_of) - first + 1, 0).astype(np.int64)
    pair = np.repeat(np.arange(low.size), count)
    within = np.arange(pair.size) - np.repeat(np.cumsum(count) - count, count)
    return pair, (first[pair] + within) * step_of[pair]
