"""The loops over contracts that Python calls; `simulator.options.pricing` prepares their arguments.

They live in the kernel's folder because the cache of compiled code is named after it: loops elsewhere would
keep an old formula. All arrays are contiguous float64 (status: int64) of one length, filled in place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.kernel._jit import kernel_jit
from simulator.kernel.black_scholes import (
    black_scholes_delta,
    black_scholes_gamma,
    black_scholes_price,
    black_scholes_rho,
    black_scholes_theta,
    black_scholes_vega,
)
from simulator.kernel.black_scholes_american import (
    american_price,
    american_price_delta_gamma,
    american_rho,
    american_theta,
    american_vega,
)
from simulator.kernel.black_scholes_american_implied import american_implied_volatility
from simulator.kernel.black_scholes_implied import black_scholes_implied_volatility

__all__ = [
    "american_greeks",
    "american_prices",
    "american_volatilities",
    "european_greeks",
    "european_prices",
    "european_volatilities",
]

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@kernel_jit.entry
def european_prices(
    sign: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    volatility: Array,
    dividend_yield: Array,
    out: Array,
) -> None:
    """Fill `out` with European prices."""
    for i in range(out.size):
        out[i] = black_scholes_price(
            sign[i], spot[i], strike[i], years[i], rate[i], volatility[i], dividend_yield[i]
        )


@kernel_jit.entry
def american_prices(
    sign: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    volatility: Array,
    dividend_yield: Array,
    out: Array,
) -> None:
    """Fill `out` with American prices."""
    for i in range(out.size):
        out[i] = american_price(
            sign[i], spot[i], strike[i], years[i], rate[i], volatility[i], dividend_yield[i]
        )


@kernel_jit.entry
def european_greeks(
    sign: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    volatility: Array,
    dividend_yield: Array,
    out: Array,
) -> None:
    """Fill the rows of `out`, (6, n): price, delta, gamma, theta, vega, rho as plain derivatives."""
    for i in range(out.shape[1]):
        s, x, k, t = sign[i], spot[i], strike[i], years[i]
        r, v, q = rate[i], volatility[i], dividend_yield[i]
        out[0, i] = black_scholes_price(s, x, k, t, r, v, q)
        out[1, i] = black_scholes_delta(s, x, k, t, r, v, q)
        out[2, i] = black_scholes_gamma(s, x, k, t, r, v, q)
        out[3, i] = black_scholes_theta(s, x, k, t, r, v, q)
        out[4, i] = black_scholes_vega(s, x, k, t, r, v, q)
        out[5, i] = black_scholes_rho(s, x, k, t, r, v, q)


@kernel_jit.entry
def american_greeks(
    sign: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    volatility: Array,
    dividend_yield: Array,
    out: Array,
) -> None:
    """Fill the rows of `out`, (6, n): price, delta, gamma, theta, vega, rho as plain derivatives."""
    for i in range(out.shape[1]):
        s, x, k, t = sign[i], spot[i], strike[i], years[i]
        r, v, q = rate[i], volatility[i], dividend_yield[i]
        price, delta, gamma = american_price_delta_gamma(s, x, k, t, r, v, q)
        out[0, i], out[1, i], out[2, i] = price, delta, gamma
        out[3, i] = american_theta(s, x, k, t, r, v, q)
        out[4, i] = american_vega(s, x, k, t, r, v, q)
        out[5, i] = american_rho(s, x, k, t, r, v, q)


@kernel_jit.entry
def european_volatilities(
    sign: Array,
    price: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    dividend_yield: Array,
    out: Array,
    status: Codes,
) -> None:
    """Fill `out` with the volatilities that European prices imply, and `status` with `IV_` codes."""
    for i in range(out.size):
        out[i], status[i] = black_scholes_implied_volatility(
            sign[i], price[i], spot[i], strike[i], years[i], rate[i], dividend_yield[i]
        )


@kernel_jit.entry
def american_volatilities(
    sign: Array,
    price: Array,
    spot: Array,
    strike: Array,
    years: Array,
    rate: Array,
    dividend_yield: Array,
    out: Array,
    status: Codes,
) -> None:
    """Fill `out` with the volatilities that American prices imply, and `status` with `IV_` codes."""
    for i in range(out.size):
        out[i], status[i] = american_implied_volatility(
            sign[i], price[i], spot[i], strike[i], years[i], rate[i], dividend_yield[i]
        )
