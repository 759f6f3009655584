"""Fitting the modelled surface to real chains.

Three depths. `fit_smile` takes one expiry, from three points up. `calibrate` fits one `Surface` to all
expiries of a chain, and `leave_one_out` shows how well such a fit predicts an expiry it has not seen. With a
preset and the index alone, `score` shows what a long modelled history is worth. All start from the table that
`market_quotes` makes of a chain, and use options out of the money only: one deep in the money says little
about volatility. Needs SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats
from simulator.errors import DataError
from simulator.options.calibration_quotes import (
    STRIP,
    error_table,
    index_levels,
    market_quotes,
    score,
    surface_volatilities,
)
from simulator.options.surface import RANGES, Surface, calendar_slope

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FREE",
    "Calibration",
    "Smile",
    "calibrate",
    "error_table",
    "fit_smile",
    "leave_one_out",
    "market_quotes",
    "score",
    "three_point_smiles",
]

FREE: Final = (
    "atm_share",
    "long_run",
    "reversion",
    "curvature",
    "correlation_short",
    "correlation_long",
    "correlation_years",
)
"""Parameters that `calibrate` fits unless told otherwise."""

WING: Final = 0.15  # absolute delta of the outer two of three points


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry: total variance at the forward, correlation (tilt), curvature, and the term in years."""

    years: float
    variance: float
    correlation: float
    curvature: float

    def volatility(self, moneyness: npt.ArrayLike) -> Floats:
        """Return implied volatilities (fractions) at log(strike / forward); NaN gives NaN."""
        x = self.curvature * np.asarray(moneyness, np.float64) / np.sqrt(self.variance)
        root = np.sqrt((x + self.correlation) ** 2 + 1 - self.correlation**2)
        return np.asarray(np.sqrt(0.5 * self.variance * (1 + self.correlation * x + root) / self.years))


def fit_smile(
    moneyness: npt.ArrayLike, volatility: npt.ArrayLike, years: float, *, width: npt.ArrayLike = 1.0
) -> Smile:
    """Fit one expiry to three points or more, by least squares weighted with the inverse of `width`.

    Parameters
    ----------
    moneyness, volatility, width
        log(strike / forward), implied volatility and the width of its quote, fractions, of one length.
    years
        Years to expiry.

    Raises
    ------
    DataError
        SURFACE_FIT for fewer than three finite points.
    """
    from scipy.optimize import least_squares

    k, v, w = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in (moneyness, volatility, width)))
    known = np.isfinite(k) & np.isfinite(v) & (w > 0)
    if known.sum() < 3:
        raise DataError(f"a smile needs three points, {known.sum()} are usable", code="SURFACE_FIT")
    k, v, w = k[known], v[known], w[known]
    centre = float(v[np.argmin(np.abs(k))] ** 2 * years)

    def misfit(point: Floats) -> Floats:
        smile = Smile(years, float(centre * np.exp(point[0])), float(point[1]), float(point[2]))
        return np.asarray((smile.volatility(k) - v) / w)

    # within the bounds of `Surface`, so that butterflies stay free of arbitrage
    found = least_squares(
        misfit, [0.0, -0.4, 0.8], bounds=([-2.0, -0.95, 0.0], [2.0, 0.95, 1.4]), x_scale=0.1
    )
    return Smile(years, float(centre * np.exp(found.x[0])), float(found.x[1]), float(found.x[2]))


def three_point_smiles(quotes: pd.DataFrame) -> Floats:
    """Return a volatility for every row of `market_quotes`, from three points of its expiry.

    The points are the strike nearest to the forward and the options out of the money nearest to 15 delta on
    either side. NaN for expiries without three distinct points.
    """
    out = np.full(len(quotes), np.nan)
    for _, strip in quotes.groupby(STRIP, sort=False):
        otm = strip[strip["otm"]]
        puts, calls = otm[~otm["call"]], otm[otm["call"]]
        if puts.empty or calls.empty:
            continue
        centre = otm["moneyness"].abs().idxmin()
        chosen = [(puts["delta"] + WING).abs().idxmin(), centre, (calls["delta"] - WING).abs().idxmin()]
        if len(set(chosen)) < 3:
            continue
        points = strip.loc[chosen]
        smile = fit_smile(points["moneyness"], points["iv"], float(strip["years"].iloc[0]))
        out[quotes.index.get_indexer(strip.index)] = smile.volatility(strip["moneyness"])
    return out


@dataclass(frozen=True)
class Calibration:
    """A fitted surface and what it was fitted to.

    `surface` is the fit; `free` the parameters fitted; `count` the quotes used; `rms_points` the root mean
    square error in IV points (percent of volatility); `within` the share of the quotes used, all out of the
    money, whose volatility lies inside the spread; `at_bound` the parameters that ended at a bound, and
    therefore say nothing.
    """

    surface: Surface
    free: tuple[str, ...]
    count: int
    rms_points: float
    within: float
    at_bound: tuple[str, ...]


def calibrate(
    quotes: pd.DataFrame,
    index_percent: float | pd.Series,
    *,
    start: Surface | str = "index",
    free: Sequence[str] = FREE,
    dte: tuple[int, int] = (7, 400),
) -> Calibration:
    """Fit one surface to all expiries of `market_quotes`, by least squares weighted with the quotes' width.

    Parameters
    ----------
    quotes
        Rows of `market_quotes`, of one session or several.
    index_percent
        The IV index in percent: one number, or a series by session date.
    start
        Where the search begins, and the value of every parameter that is not free.
    free
        Parameters to fit, of `FREE`.
    dte
        Least and most calendar days to expiry of the quotes used: in the last week single days and events
        count, which no smooth term structure knows.

    Raises
    ------
    DataError
        SURFACE_FIT for fewer quotes than parameters, or a name in `free` that cannot be fitted; DATA_EMPTY
        where a session has no index value.
    """
    from scipy.optimize import least_squares

    from simulator.kernel.surface import SURFACE_FIELDS

    surface = Surface.preset(start) if isinstance(start, str) else start
    names = tuple(free)
    stray = [name for name in names if name not in FREE]
    used = quotes[quotes["otm"] & quotes["dte"].between(*dte)]
    if stray or len(used) < len(names) or not names:
        what = (
            f"{stray[0]!r} cannot be fitted" if stray else f"{len(used)} quotes for {len(names)} parameters"
        )
        raise DataError(f"calibration: {what}; free parameters are {', '.join(FREE)}", code="SURFACE_FIT")
    at = [SURFACE_FIELDS.index(name) for name in names]
    base = surface.record()
    ends = (FREE.index("correlation_short"), FREE.index("correlation_long"))
    tilt = [SURFACE_FIELDS.index(FREE[end]) for end in ends]
    target = used["iv"].to_numpy()
    width = np.maximum((used["iv_ask"] - used["iv_bid"]).to_numpy(), 1e-4)
    level = index_levels(used, index_percent)

    def misfit(point: Floats) -> Floats:
        record = base.copy()
        record[at] = point
        over = max(calendar_slope(record[tilt[0]], record[tilt[1]]) - 0.49, 0.0)
        return np.append((surface_volatilities(record, used, level) - target) / width, 1e4 * over)

    low, high = (np.array([_BOUNDS.get(name, RANGES[name])[side] for name in names]) for side in (0, 1))
    begin = np.clip(base[at], low + 1e-6, high - 1e-6)
    found = least_squares(misfit, begin, bounds=(low, high), x_scale=np.maximum(np.abs(begin), 0.05))
    fitted = surface.replace(**dict(zip(names, found.x.tolist(), strict=True)))
    model = surface_volatilities(fitted.record(), used, level)
    inside = (model >= used["iv_bid"].to_numpy()) & (model <= used["iv_ask"].to_numpy())
    stuck = (found.x - low < 1e-3 * (high - low)) | (high - found.x < 1e-3 * (high - low))
    return Calibration(
        surface=fitted,
        free=names,
        count=len(used),
        rms_points=float(100 * np.sqrt(np.mean((model - target) ** 2))),
        within=float(inside.mean()),
        at_bound=tuple(name for name, hit in zip(names, stuck, strict=True) if hit),
    )


def leave_one_out(
    quotes: pd.DataFrame,
    index_percent: float | pd.Series,
    *,
    rate: float = 0.0,
    start: Surface | str = "index",
    free: Sequence[str] = FREE,
    dte: tuple[int, int] = (20, 70),
) -> pd.DataFrame:
    """Predict each expiry from the other expiries of its session, and score the prediction.

    The forward of the expiry left out is predicted as well, on a straight line between its neighbours'
    carries: nothing of the expiry enters but its strikes.

    Returns
    -------
    `score` of all quotes with `dte` calendar days to expiry. Arguments and errors as in `calibrate`.
    """
    import pandas as pd

    parts = []
    for _, session in quotes.groupby("ts", sort=True):
        for expiry in sorted(set(session.loc[session["dte"].between(*dte), "expiry"])):
            left, others = session[session["expiry"] == expiry], session[session["expiry"] != expiry]
            fit = calibrate(others, index_percent, start=start, free=free)
            curve = others.groupby("years", sort=True)["forward"].first()
            forward = np.exp(np.interp(left["years"], curve.index.to_numpy(), np.log(curve.to_numpy())))
            moneyness = np.log(left["strike"].to_numpy() / forward)
            seen = left.assign(forward=forward, moneyness=moneyness)
            parts.append(score(seen, surface=fit.surface, index_percent=index_percent, rate=rate))
    if not parts:
        raise DataError(f"no expiry lies {dte[0]} to {dte[1]} days ahead", code="DATA_QUOTES")
    return pd.concat(parts, ignore_index=True)


# Tighter than what a `Surface` allows: inside, butterflies are free of arbitrage for every tilt.
_BOUNDS: Final = {
    "curvature": (0.0, 1.4),
    "correlation_short": (-0.95, 0.95),
    "correlation_long": (-0.95, 0.95),
    "correlation_years": (0.01, 5.0),
}
