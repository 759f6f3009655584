"""Greeks of a whole account: shares and option packages as one number each.

Delta counts shares; theta and vega are in currency. Shares have a delta of one and nothing else. An option's
volatility is what its price says: the surface's where quotes are modelled, else the one that its last mid
implies; an option whose price implies none moves with the underlying or not at all.

Beta-weighted delta says how many shares of a benchmark move the account as much: each symbol's delta times
its beta and its price, over the benchmark's price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.kernel.state import State

__all__ = ["PortfolioGreeks", "PositionGreeks", "beta", "portfolio_greeks"]

Floats = npt.NDArray[np.float64]

SESSIONS: Final = 252
LEAST_SESSIONS: Final = 30
_DAYS: Final = 365.0


class HasState(Protocol):
    """Anything with an account: a `Run` or a `Stepper`."""

    @property
    def state(self) -> State:
        """The account's state."""
        ...


@dataclass(frozen=True, slots=True)
class PositionGreeks:
    """Greeks of one position, its quantity and side included; units as in `PortfolioGreeks`."""

    symbol: str
    delta: float
    beta_delta: float
    gamma: float
    theta: float
    vega: float


@dataclass(frozen=True, slots=True)
class PortfolioGreeks:
    """Greeks of an account.

    Attributes
    ----------
    delta
        Shares that would gain as much for a small move; of several symbols, their plain sum.
    beta_delta
        Shares of the benchmark that would; NaN without a benchmark, or where some beta is unknown.
    gamma
        Change of delta per unit of currency of the underlying.
    theta
        Currency per calendar day.
    vega
        Currency per percentage point of volatility.
    grade
        "quoted", "modelled", or "" where no option is held.
    positions
        One each, oldest first.
    """

    delta: float
    beta_delta: float
    gamma: float
    theta: float
    vega: float
    grade: str
    positions: tuple[PositionGreeks, ...]


def portfolio_greeks(
    account: HasState, bars: Bars, *, row: int = -1, benchmark: str | None = None
) -> PortfolioGreeks:
    """Return the Greeks of what an account holds at the close of a bar.

    Parameters
    ----------
    account
        A run or stepper, standing at that bar.
    bars, row
        Its bars, with their options, and the bar.
    benchmark
        Symbol of the bars that deltas are weighted against.

    Raises
    ------
    UnknownNameError
        NAME_SYMBOL for a benchmark that the bars lack.
    DataError
        DATA_QUOTES where packages are held and the bars know no options.
    """
    state = account.state
    row = row % len(bars)
    held = state.open_slots["slot"][: int(state.account["n_positions"][0])]
    rows = [_position(state, int(slot), bars, row, benchmark) for slot in held]
    options = bars.options
    packaged = any(int(state.positions["package"][slot]) for slot in held)
    return PortfolioGreeks(
        delta=sum(one.delta for one in rows),
        beta_delta=sum(one.beta_delta for one in rows) if benchmark is not None else float("nan"),
        gamma=sum(one.gamma for one in rows),
        theta=sum(one.theta for one in rows),
        vega=sum(one.vega for one in rows),
        grade=options.grade if packaged and options is not None else "",
        positions=tuple(rows),
    )


def beta(bars: Bars, symbol: str, benchmark: str, *, row: int = -1, sessions: int = SESSIONS) -> float:
    """Return the slope of a symbol's daily log returns on a benchmark's over the last sessions before a bar.

    Over the sessions in which both have a return, at least 30 of them; NaN otherwise.
    """
    closes, complete = bars.daily_closes()
    known = closes[: complete[row % len(bars)]]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(known[:, [bars.column(symbol), bars.column(benchmark)]]), axis=0)
    returns = returns[np.isfinite(returns).all(axis=1)][-sessions:]
    if len(returns) < LEAST_SESSIONS:
        return float("nan")
    spread = float(returns[:, 1].var(ddof=1))
    return float(np.cov(returns.T)[0, 1] / spread) if spread > 0.0 else float("nan")


def _position(state: State, slot: int, bars: Bars, row: int, benchmark: str | None) -> PositionGreeks:
    position = state.positions[slot]
    column = int(position["sym"])
    symbol = bars.symbols[column]
    units = float(position["side"] * position["qty"] * position["multiplier"])
    if position["package"]:
        # legs carry their own sides: the package's side says only how its price is counted
        units = float(position["qty"] * position["multiplier"])
        delta, gamma, theta, vega = _package(state, slot, bars, row, column)
    else:
        delta, gamma, theta, vega = 1.0, 0.0, 0.0, 0.0
    weighted = float("nan")
    if benchmark is not None:
        ratio = bars.close[row, column] / bars.close[row, bars.column(benchmark)]
        weighted = units * delta * ratio * beta(bars, symbol, benchmark, row=row)
    return PositionGreeks(
        symbol=symbol,
        delta=units * delta,
        beta_delta=float(weighted),
        gamma=units * gamma,
        theta=units * theta,
        vega=units * vega,
    )


def _package(state: State, slot: int, bars: Bars, row: int, column: int) -> tuple[float, float, float, float]:
    # Per unit of the package's multiplier: delta, gamma, theta, vega.
    from simulator.options.pricing import greeks

    options = bars.options
    if options is None:
        raise DataError(
            "the account holds option packages, and these bars know no options; give the bars of its run",
            code="DATA_QUOTES",
        )
    package = state.packages[slot]
    legs = state.legs[slot][: int(package["legs"])]
    units = (legs["side"] * legs["ratio"]).astype(np.float64)
    shares = legs["right"] == 0
    total = np.array([units[shares].sum(), 0.0, 0.0, 0.0])
    legs, units = legs[~shares], units[~shares]
    spot, rate = float(bars.close[row, column]), float(options.rates[row])
    carry = float(options.yields[column]) if options.yields.size else 0.0
    years = np.maximum(legs["expiry"] - bars.session[row], 0) / _DAYS
    terms: dict[str, Any] = {
        "kind": legs["right"].astype(np.float64),
        "spot": spot,
        "strike": legs["strike"],
        "years": years,
        "rate": rate,
        "dividend_yield": carry,
        "style": "american" if package["american"] else "european",
    }
    volatility = _volatilities(bars, row, column, legs, terms)
    known = np.isfinite(volatility) & (years > 0)
    found = greeks(**{**terms, "volatility": np.where(known, volatility, 0.0)})
    for index, values in enumerate((found.delta, found.gamma, found.theta, found.vega)):
        alone = np.where(known, values, 0.0)
        if index == 0:
            inside = legs["right"] * (spot - legs["strike"]) > 0
            alone = np.where(known, values, np.where(inside, legs["right"], 0.0))
        total[index] += float((units * alone).sum())
    return float(total[0]), float(total[1]), float(total[2]), float(total[3])


def _volatilities(
    bars: Bars, row: int, column: int, legs: npt.NDArray[np.void], terms: dict[str, Any]
) -> Floats:
    options = bars.options
    if options is not None and options.grade == "modelled":
        from simulator.options.surface import run

        index = options.volatility[row, column]
        carry = (terms["spot"], terms["rate"], terms["dividend_yield"])
        return run(
            "volatilities_over", options.surfaces[column], index, *carry, legs["strike"], terms["years"]
        )
    from simulator.options.pricing import implied_volatility

    kind = terms["kind"]
    others = {name: value for name, value in terms.items() if name != "kind"}
    return np.asarray(implied_volatility(kind, legs["mark"], **others), np.float64)
