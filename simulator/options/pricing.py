"""Prices, Greeks and implied volatilities of options, for one contract or for arrays of them.

Black-Scholes-Merton with a continuous dividend yield; `style="american"` adds early exercise by the quadratic
approximation of Barone-Adesi and Whaley with Ju and Zhong's second-order term. Volatilities, rates and yields
are fractions a year, rates continuous; years are calendar time (365 days), prices are per share.

Greeks come in the units that brokers show, not as plain derivatives: theta per calendar day, vega and rho per
percentage point. All arguments broadcast; when all of them are scalars, so is the answer.

>>> round(price("put", 100.0, 95.0, 45 / 365, 0.04, 0.25), 4)
1.3464
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from simulator.kernel import black_scholes_implied as codes
from simulator.kernel import black_scholes_loops as loops
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.options.pricing_inputs import Array, Contracts, contracts, is_american

__all__ = [
    "DAYS_PER_YEAR",
    "POINT",
    "Greeks",
    "ImpliedVolatility",
    "VolatilityStatus",
    "greeks",
    "implied_volatility",
    "price",
    "solve_volatility",
]

DAYS_PER_YEAR: Final = 365.0
"""Calendar days by which theta is divided."""
POINT: Final = 0.01
"""One percentage point of volatility or rate, by which vega and rho are multiplied."""

T = TypeVar("T")
S = TypeVar("S")


class Greeks(NamedTuple, Generic[T]):
    """Price and sensitivities of one long option, floats or arrays of one shape.

    Attributes
    ----------
    price
        Currency per share.
    delta
        Change of the price per 1.00 of the underlying: 0 to 1 for calls, -1 to 0 for puts.
    gamma
        Change of delta per 1.00 of the underlying.
    theta
        Change of the price per **calendar day** that passes (a year has 365), mostly negative.
    vega
        Change of the price per **percentage point** of volatility (0.20 to 0.21).
    rho
        Change of the price per **percentage point** of the interest rate (0.04 to 0.05).
    """

    price: T
    delta: T
    gamma: T
    theta: T
    vega: T
    rho: T


class VolatilityStatus(StrEnum):
    """Why there is an implied volatility, or none."""

    OK = "ok"
    INDETERMINATE = "indeterminate"
    BELOW_INTRINSIC = "below intrinsic"
    ABOVE_BOUND = "above bound"
    INVALID = "invalid"


_STATUSES: Final = {
    codes.IV_OK: VolatilityStatus.OK,
    codes.IV_INDETERMINATE: VolatilityStatus.INDETERMINATE,
    codes.IV_BELOW_INTRINSIC: VolatilityStatus.BELOW_INTRINSIC,
    codes.IV_ABOVE_BOUND: VolatilityStatus.ABOVE_BOUND,
    codes.IV_INVALID: VolatilityStatus.INVALID,
}


class ImpliedVolatility(NamedTuple, Generic[T, S]):
    """A volatility, NaN where there is none, and a `VolatilityStatus` that says why (arrays: of strings)."""

    volatility: T
    status: S


@overload
def price(
    kind: str | float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float = 0.0,
    style: str = "european",
) -> float: ...
@overload
def price(
    kind: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    volatility: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> Array: ...
def price(
    kind: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    volatility: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> float | Array:
    """Price an option, in the currency of `spot`, per share.

    Parameters
    ----------
    kind
        "call" or "put", or +1 and -1 for them; one, or an array.
    spot, strike
        Prices of the underlying and of exercising, above 0.
    years
        Time to expiry in years of 365 days; 0 gives the exercise value.
    rate, dividend_yield
        Continuous rates a year, as fractions; may be negative.
    volatility
        A year, as a fraction (0.2 is 20 %); 0 gives the value of a spot that follows its forward.
    style
        "european" or "american", for all contracts of the call.

    Returns
    -------
    A float, or float64 of the shape that the arguments broadcast to. NaN in any number gives NaN.

    Raises
    ------
    UnknownNameError
        NAME_KIND, NAME_STYLE for a kind or style that does not exist.
    DataError
        DATA_CONTRACT for a number that no contract can have (the first one is named), DATA_SHAPE for
        arguments that do not broadcast, DATA_TYPE for what is no number.

    Notes
    -----
    European prices hold about 13 digits, far out of the money too. American ones are approximate: against a
    fine tree the error is about 0.01 % of the spot for lives under two months and 0.1 % for two years.

    Sources: Black and Scholes 1973, Merton 1973; Barone-Adesi and Whaley 1987, Ju and Zhong 1999.
    """
    given = contracts(
        kind,
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        volatility=volatility,
        dividend_yield=dividend_yield,
    )
    out = np.empty(given.size)
    _run(loops.american_prices if is_american(style) else loops.european_prices, given, out)
    return given.shaped(out)


@overload
def greeks(
    kind: str | float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
    dividend_yield: float = 0.0,
    style: str = "european",
) -> Greeks[float]: ...
@overload
def greeks(
    kind: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    volatility: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> Greeks[Array]: ...
def greeks(
    kind: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    volatility: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> Greeks[Any]:
    """Price an option and say how the price moves: theta per day, vega and rho per percentage point.

    Takes what `price` takes and raises what it raises; see `Greeks` for the units. At expiry gamma, theta,
    vega and rho are 0, and delta is one half exactly at the strike. American theta, vega and rho are central
    differences of the price, accurate to about 1e-6 of it; delta and gamma are exact for the approximation.

    Returns
    -------
    `Greeks` of floats, or of float64 arrays of the broadcast shape. NaN in any number gives NaN.
    """
    given = contracts(
        kind,
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        volatility=volatility,
        dividend_yield=dividend_yield,
    )
    out = np.empty((6, given.size))
    _run(loops.american_greeks if is_american(style) else loops.european_greeks, given, out)
    out[3] /= DAYS_PER_YEAR
    out[4:] *= POINT
    return Greeks(*(given.shaped(row) for row in out))


@overload
def implied_volatility(
    kind: str | float,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float = 0.0,
    style: str = "european",
) -> float: ...
@overload
def implied_volatility(
    kind: npt.ArrayLike,
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> Array: ...
def implied_volatility(
    kind: npt.ArrayLike,
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> float | Array:
    """Find the volatility at which an option is worth `price`; NaN where there is none.

    Takes and raises what `price()` does. `solve_volatility` says why a volatility is missing.

    Returns
    -------
    Fractions a year: a float, or float64 of the broadcast shape.
    """
    answer: ImpliedVolatility[Any, Any] = solve_volatility(
        kind, price, spot, strike, years, rate, dividend_yield, style
    )
    found: float | Array = answer.volatility
    return found


@overload
def solve_volatility(
    kind: str | float,
    price: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float = 0.0,
    style: str = "european",
) -> ImpliedVolatility[float, VolatilityStatus]: ...
@overload
def solve_volatility(
    kind: npt.ArrayLike,
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> ImpliedVolatility[Array, npt.NDArray[np.str_]]: ...
def solve_volatility(
    kind: npt.ArrayLike,
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend_yield: npt.ArrayLike = 0.0,
    style: str = "european",
) -> ImpliedVolatility[Any, Any]:
    """Find the volatility at which an option is worth `price`, and say why where there is none.

    Takes and raises what `price()` does; `price` may be any number.

    Returns
    -------
    `ImpliedVolatility(volatility, status)`: fractions a year, NaN unless the status is "ok".

    - "ok": the only volatility with this price.
    - "indeterminate": the price does not tell volatilities apart; vega times 1e-8 is no more than 4 units in
      the last place of the price. Deep in the money that is so of most quotes, and of all American ones that
      are worth what exercising brings.
    - "below intrinsic": less than the option is worth without volatility.
    - "above bound": as much as the discounted spot (call) or strike (put), or more.
    - "invalid": a number is NaN.

    Notes
    -----
    Where the status is "ok", `price()` of the answer is the price, and the volatility that made a price is
    found again to within 1e-8.
    """
    given = contracts(
        kind,
        price=price,
        spot=spot,
        strike=strike,
        years=years,
        rate=rate,
        dividend_yield=dividend_yield,
    )
    out, status = np.empty(given.size), np.empty(given.size, np.int64)
    loop = loops.american_volatilities if is_american(style) else loops.european_volatilities
    _run(loop, given, out, status)
    if given.scalar:
        return ImpliedVolatility(float(out[0]), _STATUSES[int(status[0])])
    words = np.array([_STATUSES[code].value for code in sorted(_STATUSES)])
    return ImpliedVolatility(given.shaped(out), words[status].reshape(given.shape))


def _run(loop: Callable[..., None], given: Contracts, *out: npt.NDArray[Any]) -> None:
    self_healing(kernel_jit, lambda: loop(given.sign, *given.numbers, *out))
