"""Real quotes beside the model: forwards and volatilities of a chain, and how far a surface is off.

Two traps. The forward must come from put-call parity in the quotes themselves: the closes of an index are
taken a quarter of an hour before its options close, and a vendor's guess of dividends moves calls against
puts. And the volatility of a strike is that of the option out of the money: the other one's spread is wider
than its time value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats
from simulator.errors import DataError
from simulator.options.chain import CALL, PUT, Chain
from simulator.options.modelled import session_values
from simulator.options.surface import Surface, run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STRIP", "error_table", "index_levels", "market_quotes", "score", "surface_volatilities"]

STRIP: Final = ["ts", "expiry", "root"]
PAIRS: Final = 10  # strikes nearest to the forward from which parity is read


def market_quotes(
    chain: Chain, *, rate: float = 0.0, delta: tuple[float, float] = (0.10, 0.90)
) -> pd.DataFrame:
    """Return the tradeable quotes of a chain with forwards and implied volatilities.

    Parameters
    ----------
    chain
        European-style quotes; an expiry with fewer than two strikes that have call and put is left out.
    rate
        Continuous rate per year, as a fraction, that discounts the forward.
    delta
        Least and greatest absolute delta to keep.

    Returns
    -------
    One row per quote: ts (UTC ns), session, expiry (days since 1970-01-01), root, dte, years, call (bool),
    otm (bool), strike, forward, bid, ask (currency), moneyness (log of strike over forward), iv (of the mid
    of the option out of the money at that strike), iv_bid, iv_ask (fractions; 0 where a bid is below what
    any volatility gives) and delta (undiscounted, signed).

    Raises
    ------
    DataError
        DATA_QUOTES where nothing is left.
    """
    import pandas as pd

    chain = chain.select(tradeable=True)
    columns = {name: getattr(chain, name) for name in ("ts", "session", "expiry", "root", "dte", "years")}
    columns.update(strike=chain.strike, bid=chain.bid, ask=chain.ask, call=chain.kind == CALL)
    frame = pd.DataFrame(columns)
    frame = frame[frame["years"] > 0]
    parts = []
    for _, strip in frame.groupby(STRIP, sort=True):
        forward = _parity(strip, rate)
        if np.isfinite(forward):
            parts.append(strip.assign(forward=forward))
    if not parts:
        raise DataError(f"{chain!r}: no expiry has calls and puts at two strikes", code="DATA_QUOTES")
    quotes = _with_volatilities(pd.concat(parts, ignore_index=True), rate)
    size = quotes["delta"].abs()
    quotes = quotes[(size >= delta[0]) & (size <= delta[1])].reset_index(drop=True)
    if quotes.empty:
        raise DataError(f"{chain!r}: no quote has a delta from {delta[0]} to {delta[1]}", code="DATA_QUOTES")
    return quotes


def score(
    quotes: pd.DataFrame,
    *,
    surface: Surface | str = "index",
    index_percent: float | pd.Series | None = None,
    volatility: npt.ArrayLike | None = None,
    rate: float = 0.0,
) -> pd.DataFrame:
    """Return the rows of `market_quotes` with the model beside them.

    Added are model_iv (fraction), error (IV points: model less `iv`, in percent of volatility), model (the
    price in currency) and within (whether it lies between bid and ask, both included). The model is `surface`
    with `index_percent`, or the volatilities given, one per row; rows whose volatility is NaN are never
    within. Raises `DataError` DATA_EMPTY where a session has no index value.
    """
    from simulator.options.pricing import price

    if volatility is None:
        chosen = Surface.preset(surface) if isinstance(surface, str) else surface
        level = index_levels(quotes, np.nan if index_percent is None else index_percent)
        model_iv = surface_volatilities(chosen.record(), quotes, level)
    else:
        model_iv = np.asarray(volatility, np.float64)
    worth = price(volatility=model_iv, **_terms(quotes, rate))
    inside = (worth >= quotes["bid"].to_numpy()) & (worth <= quotes["ask"].to_numpy())
    error = 100 * (model_iv - quotes["iv"].to_numpy())
    return quotes.assign(model_iv=model_iv, error=error, model=worth, within=inside)


def error_table(
    scored: pd.DataFrame,
    *,
    dte: Sequence[int] = (7, 20, 35, 50, 70, 120, 400),
    delta: Sequence[float] = (0.10, 0.25, 0.40, 0.60, 0.75, 0.90),
) -> pd.DataFrame:
    """Sum up a `score` by days to expiry and delta.

    Delta is that of the call at the strike, so 0.9 is a put of 10 delta; buckets include their upper bound.
    Columns: dte, delta (as text), quotes, median_points (signed), p90_points (of the absolute error), both in
    IV points, and within (share of quotes). Print it with `.to_string(index=False)`.
    """
    import pandas as pd

    call_delta = scored["delta"].where(scored["call"], scored["delta"] + 1)
    rows = []
    for days in itertools.pairwise(dte):
        for span in itertools.pairwise(delta):
            part = scored[_between(scored["dte"], days) & _between(call_delta, span)]
            if part.empty:
                continue
            rows.append(
                {
                    "dte": f"{days[0]}-{days[1]}",
                    "delta": f"{span[0]:.2f}-{span[1]:.2f}",
                    "quotes": len(part),
                    "median_points": float(part["error"].median()),
                    "p90_points": float(part["error"].abs().quantile(0.9)),
                    "within": float(part["within"].mean()),
                }
            )
    return pd.DataFrame(rows, columns=["dte", "delta", "quotes", "median_points", "p90_points", "within"])


def _between(values: pd.Series, bounds: tuple[float, float]) -> pd.Series:
    return (values > bounds[0]) & (values <= bounds[1])


def _parity(strip: pd.DataFrame, rate: float) -> float:
    calls = strip[strip["call"]].set_index("strike")
    puts = strip[~strip["call"]].set_index("strike").reindex(calls.index)
    gap = (calls["bid"] + calls["ask"] - puts["bid"] - puts["ask"]) / 2
    width = calls["ask"] - calls["bid"] + puts["ask"] - puts["bid"]
    nearest = gap.abs().dropna().nsmallest(PAIRS).index
    if len(nearest) < 2:
        return float("nan")
    forward = nearest.to_numpy(np.float64) + gap[nearest].to_numpy() * np.exp(rate * strip["years"].iloc[0])
    return float(np.average(forward, weights=1 / width[nearest].to_numpy() ** 2))


def _with_volatilities(frame: pd.DataFrame, rate: float) -> pd.DataFrame:
    from simulator.options.pricing import greeks, implied_volatility

    otm = np.where(frame["call"], frame["strike"] >= frame["forward"], frame["strike"] < frame["forward"])
    frame = frame.assign(otm=otm, moneyness=np.log(frame["strike"] / frame["forward"]))
    quoted = {"iv_bid": frame["bid"], "iv_ask": frame["ask"], "own": (frame["bid"] + frame["ask"]) / 2}
    for name, quote in quoted.items():
        frame[name] = implied_volatility(price=quote.to_numpy(), **_terms(frame, rate))
    frame["iv_bid"] = frame["iv_bid"].fillna(0.0)
    keys = [*STRIP, "strike"]
    leading = frame[frame["otm"] & frame["own"].notna()].set_index(keys)["own"].rename("iv")
    frame = frame.drop(columns="own").join(leading, on=keys, how="inner")
    undiscounted = greeks(volatility=frame["iv"].to_numpy(), **_terms(frame, 0.0))
    return frame.assign(delta=undiscounted.delta)


def _terms(quotes: pd.DataFrame, rate: float) -> dict[str, Any]:
    # Spot and yield that give the forward: all that a European option depends on.
    forward, strike, years = (quotes[name].to_numpy(np.float64) for name in ("forward", "strike", "years"))
    kind = np.where(quotes["call"], float(CALL), float(PUT))
    terms = {"kind": kind, "spot": forward, "strike": strike, "years": years}
    return {**terms, "rate": rate, "dividend_yield": rate}


def surface_volatilities(record: Floats, quotes: pd.DataFrame, level: Floats) -> Floats:
    """Return the volatility of each row of `market_quotes` on a record, at an index in fractions."""
    forward, strike, years = (quotes[name].to_numpy(np.float64) for name in ("forward", "strike", "years"))
    return run("volatilities_over", record, level, forward, 0.0, 0.0, strike, years)


def index_levels(quotes: pd.DataFrame, index_percent: float | pd.Series) -> Floats:
    """Return the index as a fraction for each row; `DataError` DATA_EMPTY where a session has none."""
    import pandas as pd

    if isinstance(index_percent, (int, float)):
        level = np.full(len(quotes), index_percent / 100)
    else:
        days, values = session_values(index_percent, "index_percent")
        level = pd.Series(values, days).reindex(quotes["session"]).to_numpy(np.float64) / 100
    if not np.isfinite(level).all():
        day = np.datetime64(int(quotes["session"].to_numpy()[~np.isfinite(level)][0]), "D")
        raise DataError(f"the IV index has no value for {day}", code="DATA_EMPTY")
    return level
