"""The worked numbers of `docs/risk.md`, by hand: arithmetic and the formula of Black and Scholes, no engine.

The page's tables are made by running the engine, and are fresh by another test. Here each value, limit and
grant is what the rule's own words make of the row.
"""

from __future__ import annotations

import re
from math import erf, exp, floor, log, pi, sqrt
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from simulator.options.surface import Surface

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "risk.md").read_text(encoding="utf-8")
EQUITY: Final = 100_000.0
SHARES: Final = 100
"""Per option contract."""


class Worked(NamedTuple):
    value: float
    limit: float
    granted: float


class Greeks(NamedTuple):
    delta: float
    gamma: float
    theta: float
    vega: float


def option(kind: int, strike: float, volatility: float, days: int = 45, price: float = 100.0) -> Greeks:
    """Return the Greeks of one option without interest: per share, per day, per percentage point."""
    years = days / 365
    width = volatility * sqrt(years)
    d1 = log(price / strike) / width + width / 2
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    return Greeks(
        (1 + erf(d1 / sqrt(2))) / 2 - (kind < 0),
        density / (price * width),
        -price * density * volatility / (2 * sqrt(years)) / 365,
        price * density * sqrt(years) / 100,
    )


def priced(kind: int, strike: float) -> Greeks:
    """Return those of the surface at an index of 20 %, which the page names."""
    surface = Surface.preset("index")
    (volatility,) = surface.volatility([strike], spot=100.0, index=0.20, years=45 / 365)
    return option(kind, strike, float(volatility))


def sold_spread(name: str) -> float:
    """Return a Greek of one put spread 95/90 that is sold, for its shares."""
    bought, sold = priced(-1, 90.0)._asdict()[name], priced(-1, 95.0)._asdict()[name]
    return SHARES * float(bought - sold)


def of_twenty(each: float, limit: float) -> Worked:
    """Return what twenty packages come to, and how many a limit leaves, both as shares of the equity."""
    return Worked(20 * each / EQUITY, limit, floor(limit * EQUITY / each))


STRADDLE: Final = SHARES * (priced(1, 100.0).vega + priced(-1, 100.0).vega)

ROWS: Final = {
    "buy at 100, stop 95, sized by 2 % of 100,000": Worked(0, 0, 0.02 * EQUITY / (100 - 95)),
    "the same, 1,000 asked": Worked(1_000 * 5 / EQUITY, 0.02, 0.02 * EQUITY / 5),
    "800 resting with stop 95 are 4 % heat; 800 more in another sector": Worked(
        1_600 * 5 / EQUITY, 0.06, (0.06 * EQUITY - 800 * 5) / 5
    ),
    "150 of A in the sector; 400 of B asked": Worked(550 * 100 / EQUITY, 0.25, 0.25 * EQUITY / 100 - 150),
    "400 asked, a position may be 10 %": Worked(400 * 100 / EQUITY, 0.10, 0.10 * EQUITY / 100),
    "500 of A; 800 of C asked, 100 % gross": Worked(1_300 * 100 / EQUITY, 1, EQUITY / 100 - 500),
    "500 of A; 800 of C asked, 80 % net": Worked(1_300 * 100 / EQUITY, 0.8, 0.8 * EQUITY / 100 - 500),
    "300 of A, whose beta is 1.5, are 45 % delta": Worked(
        300 * 100 * 1.5 / EQUITY, 0.3, 0.3 * EQUITY / 100 / 1.5
    ),
    "200 of A; 100 of C asked, whose beta is 0.5": Worked(
        (200 * 1.5 + 100 * 0.5) * 100 / EQUITY, 0.32, (0.32 * EQUITY / 100 - 200 * 1.5) / 0.5
    ),
    "20 put spreads 95/90 sold on A, 45 days, delta": of_twenty(sold_spread("delta") * 100 * 1.5, 0.20),
    "the same, gamma": of_twenty(-sold_spread("gamma") * 100**2 / 100, 0.02),
    "the same, theta": of_twenty(sold_spread("theta"), 0.0001),
    "the same, vega": of_twenty(-sold_spread("vega"), 0.0005),
    "the same, vega: long counts like short": of_twenty(STRADDLE, 0.0005),
    "1,500 asked, cash for 1,000": Worked(1_500 * 100 / EQUITY, 1, EQUITY / 100),
    "2 % of 200 is 4, one share risks 5": Worked(floor(0.02 * 200 / 5), 1, 0),
    "target 107: 7 for 5": Worked(7 / 5, 2, 0),
    "800 of A fell by 6 %, drawdown may be 4 %": Worked(800 * 6 / EQUITY, 0.04, 0),
}

HEAT: Final = {
    "100 bought at 100, stop 95": (100 * (100 - 95), 100 * (104 - 95)),
    "the same, stop moved to break-even at 0.5 R": (0, 100 * (104 - 100)),
    "the same, 50 more planned at 1 R (105)": (100 * 5 + 50 * (105 - 95), 100 * 9 + 50 * (105 - 95)),
    "a limit at 98 resting, stop 95, 100 shares": (100 * (98 - 95), 100 * (98 - 95)),
    "100 sold short at 100, stop 108": (100 * (108 - 100), 100 * (108 - 104)),
    "100 bought at 100 without a stop": (100 * 104, 100 * 104),
}


def row(what: str) -> list[str]:
    (found,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in found.split("|")]


def number(cell: str) -> float:
    return float(cell.replace(",", "") or 0)


@pytest.mark.parametrize("what", ROWS)
def test_a_verdict_is_what_its_rule_says(what: str) -> None:
    _, _, value, limit, _, granted = row(what)
    worked = ROWS[what]
    assert number(value) == pytest.approx(worked.value, rel=5e-4)  # four digits are shown
    assert number(limit) == pytest.approx(worked.limit)
    assert number(granted) == pytest.approx(worked.granted)


@pytest.mark.parametrize("what", HEAT)
def test_heat_is_what_the_stops_let_go(what: str) -> None:
    assert [number(cell) for cell in row(what)] == list(HEAT[what])


def test_every_reward_is_the_mean_of_the_targets_over_the_risk() -> None:
    assert row("target 110: 10 for 5")[0] == "admitted"  # 2.0 passes 2.0
    assert (0.5 * 5 + 0.5 * 15) / 5 == 2.0
    assert row("half at 105, half at 115: the mean counts")[0] == "admitted"


def test_the_session_that_halts_lost_what_the_page_says() -> None:
    lost = 800 * 3.0
    cells = row("2020-01-06")
    assert number(cells[0]) == EQUITY - lost
    assert cells[1] == f"{100 * lost / EQUITY:.2f} %"


def test_the_example_in_words_has_these_figures() -> None:
    words = " ".join(PAGE.split("A worked example, from the table above:")[1].split("\n\n")[0].split())
    surface = Surface.preset("index").volatility([95.0, 90.0], spot=100.0, index=0.20, years=45 / 365)
    vega = -sold_spread("vega")
    for said in (
        *(f"{100 * value:.1f} %" for value in surface),
        *(f"{SHARES * priced(-1, strike).vega:.2f}" for strike in (95.0, 90.0)),
        f"-{vega:.2f}",
        f"-{20 * vega:.1f}",
        f"{100 * 20 * vega / EQUITY:.3f} % of 100,000",
        f"{floor(0.0005 * EQUITY / vega)} fit",
    ):
        assert said in words, said
