"""The modelled option surface: an implied volatility for any strike and term, from an IV index alone.

Real option chains reach back a few years; underlying closes and a volatility index reach back decades. A
`Surface` says in a dozen documented numbers how the one follows from the other, so that premium strategies
can be tested over long histories. It is a model: every chain made from it is labelled "modelled".

Two traps that it avoids. An index in the manner of the VIX contains the skew and lies above the volatility at
the money, so `atm_share` is below 1. And in a panic the far terms do not follow the near ones, so forward
variance returns to a long-run mean. `docs/surface.md` measures both, and says what the model is not good for.

>>> surface = Surface.preset("index")
>>> surface.volatility([90.0, 100.0, 110.0], spot=100.0, index=0.20, years=30 / 365).round(3).tolist()
[0.26, 0.18, 0.167]
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Floats
from simulator.errors import ConfigError, DataError, UnknownNameError, did_you_mean

__all__ = ["SURFACES", "TICKS", "Surface"]

TICKS: Final = {
    # below a price of `tick_level`, at or above it, and that level, in currency
    "pre-penny": (0.05, 0.10, 3.0),
    "penny": (0.01, 0.05, 3.0),
    "cent": (0.01, 0.01, 3.0),
    "none": (0.0, 0.0, 3.0),
}
"""Grids of quotes: listed options before the penny programme and index options still; classes in the
programme; the most liquid funds; no rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Parameters of a modelled surface. The defaults are the preset "index".

    Parameters
    ----------
    atm_share
        Volatility at the forward over the index, at the index's own term.
    long_run
        Level that forward volatility returns to, in units of the index, as a fraction (0.2 is 20 %).
    reversion
        Speed of that return per year; 0 makes the term structure flat.
    index_years
        Term of the index in years.
    curvature
        Opening of the smile in normalised moneyness log(K/F) / (ATM volatility · √years); 0 is flat.
    correlation_short, correlation_long
        Tilt of the smile at the shortest and the longest terms, from -1 to 1; negative makes puts dearer.
    correlation_years
        Term at which the tilt is half-way between them, in years of variance at the index's level.
    index_floor, index_cap
        Bounds within which the index is taken, as fractions.
    spread_root, spread_cap
        Quoted spread in currency: `spread_root · √price`, at most `spread_cap`, before rounding outwards to
        the grid.
    spread_factor
        Liquidity: 1 is as measured, 0.5 half as wide.
    ticks
        Grid of quotes, a key of `TICKS`.
    name
        Name of the preset, or "custom".

    Raises
    ------
    ConfigError
        SURFACE_NUMBER for a value that is no finite number or outside its range; SURFACE_ARBITRAGE where
        correlations and curvature would allow butterfly or calendar arbitrage.

    Notes
    -----
    Butterflies are free of arbitrage where `curvature² · (1 + |correlation|) <= 4` and total variance stays
    below `(4 / (curvature · (1 + |correlation|)))²`, which for the presets is an index of 150 % for four
    years (Gatheral and Jacquier 2014, theorem 4.2). Calendar spreads are, where the tilt changes slowly
    enough against variance (Hendriks and Martini 2019); `calendar_slope` has the bound.
    """

    atm_share: float = 0.90
    long_run: float = 0.20
    reversion: float = 4.0
    index_years: float = 30 / 365
    curvature: float = 0.86
    correlation_short: float = -0.32
    correlation_long: float = -0.72
    correlation_years: float = 0.16
    index_floor: float = 0.03
    index_cap: float = 1.5
    spread_root: float = 0.60
    spread_cap: float = 3.2
    spread_factor: float = 1.0
    ticks: str = "pre-penny"
    name: str = "index"

    def __post_init__(self) -> None:
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
                raise ConfigError(
                    f"surface {field} is {value!r}; it must be a number from {low:g} to {high:g}",
                    code="SURFACE_NUMBER",
                )
            object.__setattr__(self, field, float(value))
        if self.ticks not in TICKS:
            raise UnknownNameError(
                f"no tick grid {self.ticks!r}.{did_you_mean(str(self.ticks), TICKS)}", code="NAME_SURFACE"
            )
        if self.index_floor >= self.index_cap:
            raise ConfigError(
                f"surface index_floor {self.index_floor:g} is not below index_cap {self.index_cap:g}",
                code="SURFACE_NUMBER",
            )
        _check_arbitrage(self)

    @classmethod
    def preset(cls, name: str) -> Surface:
        """Return one of `SURFACES`.

        "index" (S&P 500 and the VIX), "single-name" (a share and an index in the manner of the VIX on it),
        "flat" (every strike and term at the index: known to be false, kept to show how false).

        Raises `UnknownNameError` NAME_SURFACE with a near-miss.
        """
        if name not in SURFACES:
            raise UnknownNameError(
                f"no surface preset {name!r}.{did_you_mean(str(name), SURFACES)}", code="NAME_SURFACE"
            )
        return SURFACES[name]

    def replace(self, **changes: Any) -> Surface:
        """Return a copy with some parameters changed, named "custom" unless a name is given."""
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            known = [field.name for field in dataclasses.fields(self)]
            raise UnknownNameError(
                f"a surface has no parameter {unknown[0]!r}.{did_you_mean(unknown[0], known)}",
                code="NAME_SURFACE",
            )
        return dataclasses.replace(self, **{"name": "custom", **changes})

    def record(self) -> Floats:
        """Return the parameters as compiled code reads them: (16,) float64, in `SURFACE_FIELDS` order."""
        below, above, level = TICKS[self.ticks]
        ticks = {"tick_below": below, "tick_above": above, "tick_level": level}
        from simulator.kernel.surface import SURFACE_FIELDS

        return np.array(
            [ticks[name] if name in ticks else getattr(self, name) for name in SURFACE_FIELDS], np.float64
        )

    def volatility(
        self,
        strike: npt.ArrayLike,
        *,
        spot: npt.ArrayLike,
        index: npt.ArrayLike,
        years: npt.ArrayLike,
        rate: npt.ArrayLike = 0.0,
        dividend_yield: npt.ArrayLike = 0.0,
    ) -> Floats:
        """Return implied volatilities as fractions per year.

        Parameters
        ----------
        strike, spot
            In currency. All arguments broadcast against each other.
        index
            The IV index as a fraction: a VIX of 20 is 0.20.
        years
            Calendar years to expiry; below half a minute the smile of half a minute holds.
        rate, dividend_yield
            Continuous rates per year, as fractions.

        Returns
        -------
        float64 array in the broadcast shape; NaN where an argument is NaN or strike, spot or index is not
        positive.

        Raises
        ------
        DataError
            SURFACE_UNITS where the index is above 5, which is a percentage.
        """
        return run(
            "volatilities_over", self.record(), _index(index), spot, rate, dividend_yield, strike, years
        )

    def atm_volatility(self, *, index: npt.ArrayLike, years: npt.ArrayLike) -> Floats:
        """Return the volatility at the forward; arguments, shapes and errors as in `volatility`."""
        return self.volatility(1.0, spot=1.0, index=index, years=years)

    def strike_at_d1(
        self, d1: npt.ArrayLike, *, forward: npt.ArrayLike, index: npt.ArrayLike, years: npt.ArrayLike
    ) -> Floats:
        """Return the strike whose d1 on the smile is `d1`; `simulator.options.strike_for_delta` uses it.

        Shapes, NaN policy and errors as in `volatility`; NaN also where d1 is infinite.
        """
        return run("strikes_over", self.record(), _index(index), forward, years, d1)

    def quotes(self, price: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return bid and ask around model prices in currency, on the grid, in the shape of `price`.

        The bid is 0 where half the spread is more than the price; NaN and negative prices give NaN.
        """
        from simulator.kernel import surface as kernel
        from simulator.kernel._jit import kernel_jit, self_healing

        flat = np.ascontiguousarray(price, np.float64).reshape(-1)
        bid, ask = np.empty(flat.size), np.empty(flat.size)
        self_healing(kernel_jit, lambda: kernel.spreads_over(self.record(), flat, bid, ask))
        return bid.reshape(np.shape(price)), ask.reshape(np.shape(price))


def run(function: str, record: Floats, *arguments: npt.ArrayLike) -> Floats:
    """Return what a compiled function of `simulator.kernel.surface` gives over broadcast arrays."""
    from simulator.kernel import surface as kernel
    from simulator.kernel._jit import kernel_jit, self_healing

    arrays = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in arguments))
    flat = [np.ascontiguousarray(each).reshape(-1) for each in arrays]
    out = np.empty(arrays[0].size)
    self_healing(kernel_jit, lambda: getattr(kernel, function)(record, *flat, out))
    return out.reshape(arrays[0].shape)


RANGES: Final = {
    "atm_share": (0.3, 1.5),
    "long_run": (0.02, 1.5),
    "reversion": (0.0, 20.0),
    "index_years": (1 / 365, 1.0),
    "curvature": (0.0, 2.0),
    "correlation_short": (-0.99, 0.99),
    "correlation_long": (-0.99, 0.99),
    "correlation_years": (0.001, 10.0),
    "index_floor": (0.001, 1.0),
    "index_cap": (0.1, 5.0),
    "spread_root": (0.0, 10.0),
    "spread_cap": (0.0, 100.0),
    "spread_factor": (0.0, 10.0),
}
_MOST_INDEX: Final = 5.0  # 500 %; the VIX has never closed above 83 %


def _check_arbitrage(surface: Surface) -> None:
    tilt = max(abs(surface.correlation_short), abs(surface.correlation_long))
    opening = surface.curvature**2 * (1 + tilt)
    if opening > 4.0:
        raise ConfigError(
            f"surface curvature {surface.curvature:g} with a correlation of {tilt:g} allows butterfly "
            f"arbitrage: curvature² · (1 + |correlation|) is {opening:.3f}, above 4; lower the curvature",
            code="SURFACE_ARBITRAGE",
        )
    slope = calendar_slope(surface.correlation_short, surface.correlation_long)
    if slope > 0.5:
        raise ConfigError(
            f"surface correlations from {surface.correlation_short:g} to {surface.correlation_long:g} allow "
            f"calendar arbitrage in the wings: the tilt changes by {slope:.3f}, above 0.5; bring them closer",
            code="SURFACE_ARBITRAGE",
        )


def calendar_slope(short: float, long: float) -> float:
    """Largest |correlation / 2 + d correlation / d log variance| over all terms; above 1/2 is arbitrage."""
    share = np.linspace(0.0, 1.0, 257)
    change = long - short
    correlation = short + change * share
    return float(np.abs(correlation / 2 + change * share * (1 - share)).max())


def _index(index: npt.ArrayLike) -> Floats:
    values = np.asarray(index, np.float64)
    if (values > _MOST_INDEX).any():
        raise DataError(
            f"the IV index is {np.nanmax(values):g}, above {_MOST_INDEX:g}: it is a fraction here, so a VIX "
            f"of 20 is 0.20; divide percentages by 100",
            code="SURFACE_UNITS",
        )
    return values


SURFACES: Final[dict[str, Surface]] = {
    "index": Surface(),
    "single-name": Surface(
        atm_share=0.95,
        reversion=0.0,
        curvature=0.62,
        correlation_short=-0.11,
        correlation_long=-0.11,
        spread_root=0.10,
        spread_cap=0.5,
        ticks="penny",
        name="single-name",
    ),
    "flat": Surface(
        atm_share=1.0,
        reversion=0.0,
        curvature=0.0,
        correlation_short=0.0,
        correlation_long=0.0,
        name="flat",
    ),
}
"""Surfaces by name; `Surface.preset` returns one."""
