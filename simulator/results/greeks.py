"""Greeks of the account at the close of every bar of a run that traded option packages.

Worked out after the run from its fills, its packages' legs and the market that it was made with, for all
bars at once. What is held is what the fills say, splits of raw prices and early assignments included, so that
the last bar has the Greeks that `simulator.options.portfolio_greeks` gives for the run's final state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.options.exposure import contract_greeks, rolling_beta
from simulator.results.packages import opened_packages

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.raw import RawRun

__all__ = ["GREEK_UNITS", "HeldPackages", "greeks_frame", "split_factors"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GREEK_UNITS: Final = {
    "delta": "shares",
    "beta_dollar_delta": "currency",
    "gamma": "shares per 1.00 of the underlying",
    "theta": "currency per calendar day",
    "vega": "currency per percentage point of volatility",
}
"""Columns of `Result.greeks` that are numbers, and their units."""

_NEVER: Final = np.iinfo(np.int64).max
# So much of the largest holding is rounding.
_DUST: Final = 1e-9


def greeks_frame(
    raw: RawRun, index: pd.DatetimeIndex, levels: Floats | None, own: str | None = None
) -> pd.DataFrame:
    """Return one row per bar seen; see `Result.greeks`.

    Parameters
    ----------
    raw, index
        The run, and the times of its bars.
    levels
        Level of the benchmark at the end of every session, against which betas are measured.
    own
        Symbol of the bars that is the benchmark itself; `levels` is not needed then.
    """
    import pandas as pd

    opened = opened_packages(raw)
    columns = [*GREEK_UNITS, "grade"]
    if not len(opened):
        return pd.DataFrame(columns=columns, index=index[:0])
    seen = raw.seen
    factors = split_factors(raw)
    packages = HeldPackages.of(raw, opened, factors)
    rows, symbols, amounts = packages.greeks(raw, seen)
    stocks = _shares(raw, opened["position"], factors)

    traded, place = np.unique(symbols, return_inverse=True)
    by_symbol = np.zeros((seen, len(raw.bars.symbols)))
    by_symbol[:, traded] = np.bincount(
        rows * len(traded) + place, amounts[0], minlength=seen * len(traded)
    ).reshape(seen, len(traded))
    by_symbol += stocks
    totals: dict[str, Floats] = {
        name: np.asarray(np.bincount(rows, values, minlength=seen), np.float64)
        for name, values in zip(("delta", "gamma", "theta", "vega"), amounts, strict=True)
    }
    totals["delta"] = by_symbol.sum(axis=1)
    totals["beta_dollar_delta"] = _weighted(raw, by_symbol, levels, own)
    options = raw.bars.options
    held = np.bincount(rows, minlength=seen) > 0
    table = pd.DataFrame({name: totals[name] for name in GREEK_UNITS}, index=index)
    return table.assign(grade=np.where(held, options.grade if options is not None else "", ""))


def split_factors(raw: RawRun) -> Floats | None:
    """Return shares at every bar that one share before the first has become (T, S); None without splits."""
    bars, actions = raw.bars, raw.bars.actions
    splits = actions[(actions["kind"] == codes.ACTION_SPLIT) & (actions["value"] > 0)]
    if not bars.raw or not len(splits):
        return None
    ratios = np.ones((len(bars), len(bars.symbols)))
    np.multiply.at(ratios, (splits["row"], splits["sym"]), splits["value"])
    np.cumprod(ratios, axis=0, out=ratios)
    return ratios


@dataclass(frozen=True)
class HeldPackages:
    """Spans of bars in which so many of a package were held at the close.

    Parameters
    ----------
    package : (N,) int64
        Index into the packages of the run's signals.
    symbol, entry_row : (N,) int64
    start, stop : (N,) int64
        Rows of the bars, `stop` excluded.
    qty : (N,) float64
        Packages, in units before the first split.
    assigned : (N, 4) int64
        Row from which a leg is shares, because it was assigned early.
    factors : (T, S) float64 or None
        See `split_factors`.
    """

    package: Ints
    symbol: Ints
    entry_row: Ints
    start: Ints
    stop: Ints
    qty: Floats
    assigned: npt.NDArray[np.int64]
    factors: Floats | None

    @classmethod
    def of(cls, raw: RawRun, opened: npt.NDArray[np.void], factors: Floats | None) -> HeldPackages:
        """Read the spans from the fills of a run; `opened` are the fills that opened its packages."""
        opened = opened[np.argsort(opened["position"], kind="stable")]
        opened = opened[np.unique(opened["position"], return_index=True)[1]]
        fills = raw.fills[np.isin(raw.fills["position"], opened["position"])]
        fills = fills[np.argsort(fills["position"], kind="stable")]
        of = np.searchsorted(opened["position"], fills["position"])
        change = fills["qty"] * fills["side"] * opened["side"][of]
        if factors is not None:
            change = change / factors[fills["row"], fills["sym"]]
        total = np.cumsum(change)
        first = np.searchsorted(of, np.arange(len(opened)))
        held = total - (total[first] - change[first])[of]
        stop = np.full(len(fills), raw.seen)
        together = of[1:] == of[:-1]
        stop[:-1][together] = fills["row"][1:][together]
        kept = (held > _DUST * change[first][of]) & (stop > fills["row"])
        package = raw.signals.records["package"][opened["signal"]] - 1
        assigned = _assigned(raw, opened, package, factors)
        of = of[kept]
        return cls(
            package=package[of],
            symbol=opened["sym"][of],
            entry_row=opened["row"][of],
            start=fills["row"][kept],
            stop=stop[kept],
            qty=held[kept],
            assigned=assigned[of],
            factors=factors,
        )

    def greeks(self, raw: RawRun, seen: int) -> tuple[Ints, Ints, Floats]:
        """Return row, symbol and (4, M) delta, gamma, theta and vega of every leg at every bar."""
        bars, signals = raw.bars, raw.signals
        stop = np.minimum(self.stop, seen)
        length = np.maximum(stop - self.start, 0)
        span = np.repeat(np.arange(len(length)), length)
        rows = np.arange(len(span)) - np.repeat(np.cumsum(length) - length, length) + self.start[span]
        legs = signals.legs[self.package][span]
        at, k = np.nonzero(legs["ratio"] > 0)
        legs, rows, span = legs[at, k], rows[at], span[at]
        symbols = self.symbol[span]
        shares = rows >= self.assigned[span, k]
        units = legs["side"] * legs["ratio"] * np.where(shares, legs["right"], 1)
        package = signals.packages[self.package[span]]
        amount = units * self.qty[span] * package["multiplier"]
        strike = legs["strike"]
        if self.factors is not None:
            now = self.factors[rows, symbols]
            amount, strike = amount * now, strike / (now / self.factors[self.entry_row[span], symbols])
        found = contract_greeks(
            bars,
            rows,
            symbols,
            np.where(shares, 0, legs["right"]),
            strike,
            legs["expiry"],
            package["american"] == 1,
        )
        return rows, symbols, found * amount


def _assigned(
    raw: RawRun, opened: npt.NDArray[np.void], packages: Ints, factors: Floats | None
) -> npt.NDArray[np.int64]:
    # An early assignment that leaves other options in a package is told by its event, with the strike.
    found = np.full((len(opened), 4), _NEVER)
    events = raw.events[raw.events["reason"] == codes.REASON_ASSIGNED]
    for event in events[np.isin(events["position"], opened["position"])]:
        one = int(np.searchsorted(opened["position"], event["position"]))
        row, sym = int(event["row"]), int(event["sym"])
        legs = raw.signals.legs[packages[one]]
        strike = legs["strike"]
        if factors is not None:
            strike = strike / (factors[row, sym] / factors[opened["row"][one], sym])
        fits = (
            (legs["side"] < 0) & (legs["right"] != 0) & np.isclose(strike, event["price"], rtol=1e-9, atol=0)
        )
        if fits.sum() > 1:
            # a straddle: puts are assigned at a close below the strike, calls before one that pays a dividend
            fits &= legs["right"] == (-1 if raw.bars.close[row, sym] < event["price"] else 1)
        found[one, np.flatnonzero(fits & (found[one] == _NEVER))[:1]] = row
    return found


def _shares(raw: RawRun, packages: Ints, factors: Floats | None) -> Floats:
    # (seen, S) units of what is no package, times what one unit moves.
    fills = raw.fills[~np.isin(raw.fills["position"], packages)]
    held = np.zeros((raw.seen, len(raw.bars.symbols)))
    delivered = fills["position"][
        (fills["kind"] == codes.KIND_ENTRY) & (fills["reason"] == codes.EXIT_ASSIGNMENT)
    ]
    one = np.isin(fills["position"], delivered)
    multiplier = np.where(one, 1.0, raw.bars.instruments["multiplier"][fills["sym"]])
    change = fills["qty"] * fills["side"] * multiplier
    if factors is not None:
        change = change / factors[fills["row"], fills["sym"]]
    np.add.at(held, (fills["row"], fills["sym"]), change)
    held = np.cumsum(held, axis=0)
    held[np.abs(held) <= _DUST * np.abs(held).max(axis=0, initial=0.0)] = 0.0
    return held if factors is None else held * factors[: raw.seen]


def _weighted(raw: RawRun, delta: Floats, levels: Floats | None, own: str | None) -> Floats:
    bars, seen = raw.bars, raw.seen
    total = np.zeros(seen)
    closes, complete = bars.daily_closes()
    if own is not None:
        levels = closes[:, bars.column(own)]
    for column in np.flatnonzero((delta != 0).any(axis=0)):
        held = np.flatnonzero(delta[:, column] != 0)
        if bars.symbols[column] == own:
            slope = np.ones(len(held))
        else:
            assert levels is not None  # noqa: S101 - the caller gives one of the two
            betas = rolling_beta(closes[: len(levels), column], levels)
            # `complete` sessions are known at a bar: none before the first one has closed
            last = complete[held] - 1
            slope = np.where(last >= 0, betas[np.maximum(last, 0)], np.nan)
        total[held] += delta[held, column] * bars.close[held, column] * slope
    return total
