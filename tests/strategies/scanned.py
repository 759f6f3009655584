"""The scanner by hand: one underlying at 100, quotes 0.02 wide around prices of 25 % volatility."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pandas as pd
import pytest

from simulator import Costs
from simulator.errors import TwinstepWarning
from simulator.opportunity import Opportunity, OptionLeg
from simulator.options import (
    Chain,
)
from strategies import OptionsScanner
from strategies.scanner_market import ScanMarket
from strategies.scanner_strategies import LegRule, ScanStrategy

ROOT = Path(__file__).resolve().parents[2]

CLOSE = 1_577_998_800_000_000_000  # 2020-01-02, 16:00 in New York

SESSION = 18263

EXPIRY = 18313  # 2020-02-21, in 50 days

YEARS = 50 / 365

AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)

PUTS = {85.0: 0.14, 90.0: 0.56, 95.0: 1.64, 100.0: 3.69, 105.0: 6.80, 110.0: 10.76}

CALLS = {90.0: 10.56, 95.0: 6.64, 100.0: 3.69, 105.0: 1.80, 110.0: 0.76, 112.0: 0.53, 115.0: 0.28}


def quotes(expiry: int = EXPIRY, *, half: float = 0.01, interest: float = 500.0) -> pd.DataFrame:
    rows = [(1, k, p) for k, p in CALLS.items()] + [(-1, k, p) for k, p in PUTS.items()]
    frame = pd.DataFrame(rows, columns=["kind", "strike", "mid"])
    frame["bid"], frame["ask"] = frame["mid"] - half, frame["mid"] + half
    frame["expiry"], frame["ts"], frame["open_interest"] = expiry, CLOSE, interest
    frame["underlying"], frame["style"], frame["settlement"] = 100.0, 1, 2
    return frame


def chain(frame: pd.DataFrame | None = None, symbol: str = "XYZ", origin: str = "real") -> Chain:
    table = quotes() if frame is None else frame
    columns = {str(name): table[name].to_numpy() for name in table.columns if name != "mid"}
    return Chain.from_arrays(symbol, columns, origin=origin)


def scanner(frame: pd.DataFrame | None = None, rank: float | None = 60.0, **options: Any) -> OptionsScanner:
    market = ScanMarket.from_chain(chain(frame), iv_rank=rank)
    given: dict[str, Any] = {"costs": AT_MID, "widths": (5.0,), "min_credit_to_width": 0.0, **options}
    return OptionsScanner(market, **given)


def only(frame: pd.DataFrame | None = None, **options: Any) -> Opportunity:
    found = scanner(frame, **options).scan_for_opportunities()
    assert len(found) == 1, [str(opp) for opp in found]
    return found[0]


def below(price: float, volatility: float = 0.25) -> float:
    """Probability of ending below a price, lognormal without drift: 1 - N(d2)."""
    deviation = volatility * math.sqrt(YEARS)
    return NormalDist().cdf(math.log(price / 100.0) / deviation + deviation / 2)


LIZARD = ScanStrategy(
    name="wide-lizard",
    legs=(
        LegRule(side=-1, kind="put", delta=(0.4, 0.5, 0.6)),
        LegRule(side=-1, kind="call", delta=(0.1, 0.16, 0.22)),
        LegRule(side=1, kind="call", beyond=1),
    ),
    naked=True,
    no_upside_risk=True,
)

# strategy: legs, credit, largest profit and loss, break-evens, margin, buying power; all by hand.
# Naked: 20 % of 100 less what the option is out of the money, at least 10 %, plus the credit.
WORKED: dict[str, tuple[str, float, float, float, tuple[float, ...], float, float]] = {
    "cash-secured-put": ("-95P", 1.64, 164.0, 9336.0, (93.36,), 9500.0, 9336.0),
    "short-put": ("-95P", 1.64, 164.0, 9336.0, (93.36,), 1664.0, 1500.0),
    "short-put-spread": ("-95P +90P", 1.08, 108.0, 392.0, (93.92,), 500.0, 392.0),
    "short-call-spread": ("-105C +110C", 1.04, 104.0, 396.0, (106.04,), 500.0, 396.0),
    "iron-condor": ("-90P +85P -110C +115C", 0.90, 90.0, 410.0, (89.10, 110.90), 500.0, 410.0),
    "short-strangle": ("-90P -110C", 1.32, 132.0, math.inf, (88.68, 111.32), 1132.0, 1000.0),
    "short-straddle": ("-100P -100C", 7.38, 738.0, math.inf, (92.62, 107.38), 2738.0, 2000.0),
    # bought at 100 less 1.80; called away at 105
    "covered-call": ("+shares -105C", 1.80, 680.0, 9820.0, (98.20,), 0.0, 9820.0),
    # 3.69 + 0.76 - 0.53, and 2.00 less where the calls are both in the money; the sold put is at the money
    "wide-lizard": ("-100P -110C +112C", 3.92, 392.0, 9608.0, (96.08,), 2392.0, 2000.0),
}


def without(kind: int, strike: float) -> pd.DataFrame:
    table = quotes()
    return table[~((table["kind"] == kind) & (table["strike"] == strike))]


def changed(strike: float, **values: float) -> pd.DataFrame:
    table = quotes()
    for name, value in values.items():
        table.loc[(table["kind"] == -1) & (table["strike"] == strike), name] = value
    return table


def drawn(*legs: tuple[int, str, float]) -> list[OptionLeg]:
    return [OptionLeg(side, kind, strike, dt.date(2020, 2, 21)) for side, kind, strike in legs]


def sample(**options: Any) -> OptionsScanner:
    with pytest.warns(TwinstepWarning, match="CONFIG_SCAN_SAMPLE"):
        return OptionsScanner(**options)
