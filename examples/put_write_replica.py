"""Does a modelled surface earn what the market paid? A monthly put-write, 1990 to 2018, and the real one.

The CBOE S&P 500 PutWrite index (PUT) sells a one-month put at the money on every third Friday, holds Treasury
bills to its strike, and settles in cash. Its published figures are an outside check of the surface's level:
here the same rule runs on real S&P 500 closes, the real VIX and real bill rates, with every option price
modelled. The last row takes the VIX for the volatility at the money, as is often done: three points a year of
return that nobody was paid.

What differs from the index: puts are sold at the model's mid at the close (the index sells at an average of
trades before noon) and settle at the close (the index at the opening). Single years differ by a few points.

    python examples/put_write_replica.py [FILE]

FILE has daily VIX closes (columns DATE and CLOSE); by default `vix_daily_1990_2026.csv` in the folder
TWINSTEP_VALIDATION_DATA, or in `shared/data` beside the checkout. The S&P 500 closes come with the package
skfolio, the one-month bill rates with arch; both are read as files.
"""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.options.modelled import listed_expiries
from simulator.options.pricing import price
from simulator.options.surface import Surface

Floats = npt.NDArray[np.float64]

PUBLISHED = {"cagr": 9.54, "deviation": 9.95, "drawdown": -32.7, "premium": 1.85}
"""Percent; June 1986 to December 2018, premium 2006 to 2018: Bondarenko, "Historical performance of
put-writing strategies", 2019. The replica starts in 1990, with the VIX."""

STRIKE_STEP = 5.0  # index points between listed strikes
FIRST_PREMIUM_YEAR = 2006

# Dividends over the year's average level, in percent, rounded to a tenth; 0.2 more or less moves a month's
# premium by less than a hundredth of a percent of the index.
_YIELDS_1990 = "3.6 3.1 2.9 2.7 2.8 2.4 2.1 1.7 1.4 1.2"
_YIELDS_2000 = "1.2 1.3 1.6 1.7 1.6 1.8 1.8 1.9 2.5 2.3"
_YIELDS_2010 = "1.9 2.0 2.2 2.0 1.9 2.0 2.1 1.9 1.9"
DIVIDEND_YIELD = {
    1990 + year: float(text) / 100
    for year, text in enumerate(f"{_YIELDS_1990} {_YIELDS_2000} {_YIELDS_2010}".split())
}


@dataclass(frozen=True)
class Market:
    """Sessions, closes of the index, the VIX and the continuous bill rate (fractions), all by session."""

    sessions: pd.DatetimeIndex
    spot: Floats
    vix: Floats
    bill: Floats


def main() -> None:
    """Print the published figures and the replica's under several surfaces."""
    market = load_market(Path(sys.argv[1]) if len(sys.argv) > 1 else default_file())
    index = Surface.preset("index")
    rows = {
        "published (CBOE PUT, 1986-2018)": PUBLISHED,
        "modelled, preset index: ATM = 0.90 VIX": figures(*put_write(market, index)),
        "modelled, ATM = 0.85 VIX": figures(*put_write(market, index.replace(atm_share=0.85))),
        "modelled, preset flat: ATM = VIX (false)": figures(*put_write(market, Surface.preset("flat"))),
    }
    print("Monthly put-write on the S&P 500, 1990 to 2018, percent. Option prices are modelled.")
    heads = ["CAGR", "std. dev.", "max drawdown", "premium 2006-18"]
    table = pd.DataFrame(rows).T.set_axis(heads, axis=1)
    print(table.to_string(float_format="{:.2f}".format))


def put_write(market: Market, surface: Surface) -> tuple[pd.Series, pd.Series]:
    """Return the value of 1 invested by month end and roll, and the premiums (share of spot) by roll.

    Each roll sells N = value / (K / (1 + r) - premium) puts at the first strike at or below spot, so that
    value and premium together, in bills, grow to N strikes at expiry.
    """
    days = market.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    rolls = np.searchsorted(days, listed_expiries(int(days[0]), int(days[-1])))
    month = market.sessions.month.to_numpy()
    ends = np.flatnonzero(np.append(month[1:] != month[:-1], True))
    at, value, premium = [int(rolls[0])], [1.0], []
    for sold, expiry in itertools.pairwise(rolls.tolist()):
        strike = STRIKE_STEP * float(np.floor(market.spot[sold] / STRIKE_STEP))
        rows = np.array([sold, *ends[(ends > sold) & (ends < expiry)]])
        years = (days[expiry] - days[rows]) / 365
        terms: dict[str, Any] = {"spot": market.spot[rows], "years": years, "rate": market.bill[sold]}
        terms["dividend_yield"] = DIVIDEND_YIELD[market.sessions[sold].year]
        volatility = surface.volatility(strike, index=market.vix[rows], **terms)
        put = np.asarray(price("put", strike=strike, volatility=volatility, **terms))
        bill = strike * np.exp(-market.bill[sold] * years)
        count = value[-1] / (bill[0] - put[0])
        settled = strike - max(strike - market.spot[expiry], 0.0)
        premium.append(put[0] / market.spot[sold])
        at += [*rows[1:].tolist(), expiry]
        value += [*(count * (bill - put)[1:]).tolist(), float(count * settled)]
    dates = market.sessions
    return pd.Series(value, dates[at]), pd.Series(premium, dates[rolls[:-1]])


def figures(value: pd.Series, premium: pd.Series) -> dict[str, float]:
    """Return CAGR, annual deviation and largest drawdown of month ends, and the mean premium; percent."""
    dates, sold = pd.DatetimeIndex(value.index), pd.DatetimeIndex(premium.index)
    years = (dates[-1] - dates[0]).days / 365.25
    month = value.groupby(dates.to_period("M")).last()
    return {
        "cagr": 100 * (float(value.iloc[-1]) ** (1 / years) - 1),
        "deviation": 100 * float(month.pct_change().std()) * 12**0.5,
        "drawdown": 100 * float((month / month.cummax() - 1).min()),
        "premium": 100 * float(premium[sold.year >= FIRST_PREMIUM_YEAR].mean()),
    }


def load_market(vix_file: Path) -> Market:
    """Read closes, VIX and bill rates on the sessions from 1990 to 2018."""
    file = package_file("skfolio", "datasets/data/sp500_index.csv.gz")
    spot = pd.read_csv(file, index_col=0, parse_dates=True)["SP500"].loc["1990":"2018"]
    sessions = pd.DatetimeIndex(spot.index)
    vix = pd.read_csv(vix_file, index_col=0, parse_dates=True)["CLOSE"].reindex(sessions).ffill()
    monthly = pd.read_csv(package_file("arch", "data/frenchdata/frenchdata.csv.gz"), index_col=0)["RF"]
    bill = 12 * np.log1p(monthly.to_numpy(np.float64) / 100)
    # the last month may be missing from the file; its predecessor's rate stands in
    month = np.minimum(monthly.index.searchsorted(sessions.year * 100 + sessions.month), bill.size - 1)
    return Market(sessions, spot.to_numpy(np.float64), vix.to_numpy(np.float64) / 100, bill[month])


def package_file(package: str, path: str) -> Path:
    """Return a data file of an installed package, which is not imported: that takes seconds."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"this example reads data of the package {package}; install it with pip")
    return Path(spec.origin).parent / path


def default_file() -> Path:
    """Return the VIX file of the validation data."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    file = Path(os.environ.get("TWINSTEP_VALIDATION_DATA", beside)) / "vix_daily_1990_2026.csv"
    if not file.exists():
        raise SystemExit(
            f"there is no {file}; give a file of daily VIX closes, or set TWINSTEP_VALIDATION_DATA"
        )
    return file


if __name__ == "__main__":
    main()
