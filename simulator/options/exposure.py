"""Greeks of a whole account: shares and option packages as one number each.

Delta counts shares; theta and vega are in currency. Shares have a delta of one and nothing else. An option's
volatility is what its price says: the surface's where quotes are modelled, else the one that the mid of its
quote implies; an option whose quote implies none moves with the underlying or not at all. Without a price of
the underlying, a level of volatility or a quote at the bar its Greeks are unknown, and so are the account's.

Beta-weighted delta says how many shares of a benchmark move the account as much: each symbol's delta times
its beta and its price, over the benchmark's price. `Result.greeks` has the same numbers for every bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.kernel.state import State
    from simulator.options.market import OptionMarket

__all__ = [
    "PortfolioGreeks",
    "PositionGreeks",
    "beta",
    "contract_greeks",
    "contract_volatilities",
    "portfolio_greeks",
    "rolling_beta",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SESSIONS: Final = 252
LEAST_SESSIONS: Final = 30
DAYS_PER_YEAR: Final = 365.0  # as the step counts the life of a contract
# A benchmark that moves less than 1e-8 a session stands still: the rest is rounding.
_LEAST_SPREAD: Final = 1e-16


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
    """Greeks of an account; NaN where those of a package that it holds are unknown at the bar.

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

    Over the sessions in which both have a return, at least 30 of them; NaN otherwise. A symbol's beta to
    itself is 1 from the first bar on.
    """
    if symbol == benchmark and symbol in bars.symbols:
        return 1.0
    closes, complete = bars.daily_closes()
    known = closes[: complete[row % len(bars)]]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(known[:, [bars.column(symbol), bars.column(benchmark)]]), axis=0)
    returns = returns[np.isfinite(returns).all(axis=1)][-sessions:]
    if len(returns) < LEAST_SESSIONS:
        return float("nan")
    spread = float(returns[:, 1].var(ddof=1))
    return float(np.cov(returns.T)[0, 1] / spread) if spread > 0.0 else float("nan")


def rolling_beta(closes: npt.ArrayLike, benchmark: npt.ArrayLike, *, sessions: int = SESSIONS) -> Floats:
    """Return `beta` after every session: closes of both by session (D,), answers (D,).

    NaN before there are 30 sessions in which both have a return, and where the benchmark stands still.
    """
    prices = np.stack([np.asarray(closes, np.float64), np.asarray(benchmark, np.float64)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(prices), axis=0)
    known = np.isfinite(returns).all(axis=1)
    x, y = returns[known].T if known.any() else np.zeros((2, 0))
    if len(x):
        # sums of small numbers lose fewer digits
        x, y = x - x.mean(), y - y.mean()
    count = np.concatenate([[0], np.cumsum(known)])[: len(prices)]
    first = np.maximum(count - sessions, 0)
    size = np.maximum(count - first, 1)
    sum_x, sum_y, sum_xy, sum_yy = (
        total[count] - total[first]
        for total in (np.concatenate([[0.0], np.cumsum(part)]) for part in (x, y, x * y, y * y))
    )
    together = sum_xy - sum_x * sum_y / size
    spread = sum_yy - sum_y * sum_y / size
    enough = (count >= LEAST_SESSIONS) & (spread > _LEAST_SPREAD * size)
    slope = np.full(len(prices), np.nan)
    np.divide(together, spread, out=slope, where=enough)
    return slope


def contract_greeks(
    bars: Bars,
    rows: Ints,
    columns: Ints,
    right: Ints,
    strike: Floats,
    expiry: Ints,
    american: npt.NDArray[np.bool_],
) -> Floats:
    """Return delta, gamma, theta and vega of single contracts at closes of bars, (4, N), per share and long.

    Parameters
    ----------
    bars
        With their options.
    rows, columns
        Bar and symbol of each contract, (N,).
    right, strike, expiry
        1 call, -1 put, 0 the underlying itself (delta 1); price; session date in days since 1970.
    american
        Whether it may be exercised early.

    Returns
    -------
    Units as in `PortfolioGreeks`. An option that has expired, or whose quote implies no volatility, moves
    with the underlying where it is in the money and not at all elsewhere. NaN where the underlying has no
    bar, a modelled market no volatility and a quoted one no quote of the contract that is complete.

    Raises
    ------
    DataError
        DATA_QUOTES where the bars know no options.
    """
    from simulator.options.pricing import greeks

    found = np.zeros((4, len(rows)))
    found[0] = 1.0
    options = np.flatnonzero(right != 0)
    terms = (rows[options], columns[options], right[options], strike[options], expiry[options])
    volatility, known = contract_volatilities(bars, *terms, american[options])
    row, column, sign, level, ends = terms
    market = _market(bars)
    spot = bars.close[row, column]
    years = _years_left(bars, row, ends)
    carry = market.yields[column] if market.yields.size else np.zeros(len(row))
    alone = np.zeros((4, len(options)))
    alone[0] = np.where(sign * (spot - level) > 0, sign, 0)
    priced = known & np.isfinite(volatility) & (years > 0)
    for style, mine in (("american", american[options]), ("european", ~american[options])):
        at = np.flatnonzero(priced & mine)
        if len(at):
            one = greeks(
                sign[at].astype(np.float64),
                spot[at],
                level[at],
                years[at],
                market.rates[row[at]],
                volatility[at],
                carry[at],
                style,
            )
            alone[:, at] = one.delta, one.gamma, one.theta, one.vega
    alone[:, ~known] = np.nan
    found[:, options] = alone
    return found


def contract_volatilities(
    bars: Bars,
    rows: Ints,
    columns: Ints,
    right: Ints,
    strike: Floats,
    expiry: Ints,
    american: npt.NDArray[np.bool_],
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return volatilities of options at closes of bars as fractions, and whether each has a price there.

    Parameters, shapes and errors are those of `contract_greeks`. The volatility is NaN where there is no
    price, where the option has expired, and where its quote implies none.
    """
    from simulator.options.pricing import implied_volatility
    from simulator.options.surface import run

    market = _market(bars)
    spot = bars.close[rows, columns]
    years = _years_left(bars, rows, expiry)
    rate = market.rates[rows]
    carry = market.yields[columns] if market.yields.size else np.zeros(len(rows))
    volatility = np.full(len(rows), np.nan)
    known = np.isfinite(spot) & (spot > 0)
    alive = years > 0
    if market.grade == "modelled":
        if not market.volatility.size:
            return volatility, known & ~alive
        index = market.volatility[rows, columns]
        for column in np.unique(columns):
            at = np.flatnonzero((columns == column) & known & alive & (index > 0))
            volatility[at] = run(
                "volatilities_over", market.surfaces[column],
                index[at], spot[at], rate[at], carry[at], strike[at], years[at],
            )  # fmt: skip
        return volatility, known & (~alive | np.isfinite(volatility))
    mid = _mids(market, rows, columns, expiry, right, strike)
    known &= ~alive | np.isfinite(mid)
    for style, mine in (("american", american), ("european", ~american)):
        at = np.flatnonzero(known & alive & mine)
        if len(at):
            volatility[at] = implied_volatility(
                right[at].astype(np.float64),
                mid[at],
                spot[at],
                strike[at],
                years[at],
                rate[at],
                carry[at],
                style,
            )
    return volatility, known


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
    package = state.packages[slot]
    legs = state.legs[slot][: int(package["legs"])]
    count = len(legs)
    found = contract_greeks(
        bars,
        np.full(count, row),
        np.full(count, column),
        legs["right"],
        legs["strike"],
        legs["expiry"],
        np.full(count, bool(package["american"])),
    )
    delta, gamma, theta, vega = (found * (legs["side"] * legs["ratio"])).sum(axis=1)
    return float(delta), float(gamma), float(theta), float(vega)


def _years_left(bars: Bars, rows: Ints, expiry: Ints) -> Floats:
    # As the kernel counts: whole days, and in the expiry session what is left of it.
    from simulator.bars.arrays import DAY
    from simulator.bars.moments import left_of_session

    days = expiry - bars.session[rows]
    return np.where(days == 0, left_of_session(bars)[rows] / DAY, days) / DAYS_PER_YEAR


def _market(bars: Bars) -> OptionMarket:
    if bars.options is None:
        raise DataError(
            "the account holds option packages, and these bars know no options; give the bars of its run",
            code="DATA_QUOTES",
        )
    return bars.options


def _mids(
    market: OptionMarket, rows: Ints, columns: Ints, expiry: Ints, right: Ints, strike: Floats
) -> Floats:
    # The bisection of `simulator.kernel.quotes`, over all contracts at once: quotes of a bar are sorted by
    # symbol, expiry, right and strike.
    quotes = market.quotes
    wanted = (columns, expiry, right, strike)
    fields = ("sym", "expiry", "right", "strike")
    low, high = market.start[rows].copy(), market.start[rows + 1].copy()
    end = high.copy()
    while (low < high).any():
        middle = np.minimum((low + high) // 2, len(quotes) - 1)
        before = np.zeros(len(rows), bool)
        equal = np.ones(len(rows), bool)
        for field, values in zip(fields, wanted, strict=True):
            here = quotes[field][middle]
            before |= equal & (here < values)
            equal &= here == values
        open_ = low < high
        low = np.where(open_ & before, middle + 1, low)
        high = np.where(open_ & ~before, middle, high)
    at = np.minimum(low, len(quotes) - 1)
    same = low < end
    for field, values in zip(fields, wanted, strict=True):
        same &= quotes[field][at] == values
    bid, ask = quotes["bid"][at], quotes["ask"][at]
    same &= (bid >= 0) & (ask > 0) & (ask >= bid)
    return np.where(same, 0.5 * (bid + ask), np.nan)
