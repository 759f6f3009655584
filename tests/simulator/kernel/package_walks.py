"""Random walks with options for the tests of packages, and what the table of their quotes says.

Closes never meet a strike exactly. Quotes are those of `test_package_drivers`, of which some are missing,
crossed or without a bid. What a package is worth is worked out from the table of quotes, so that the kernel
is not compared with itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator import Bars, Costs
from simulator.engine import Run
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.signals import Signals
from tests.simulator.kernel.test_package_drivers import SHAPES, STEPS, expiries, quoted

Records = npt.NDArray[np.void]

CASH: Final = 100_000.0
DAY_NS: Final = 86_400_000_000_000
FIRST_DAY: Final = 18_000
# sold deep in the money beside another option: these are assigned early, one leg of them
DEEP: Final[dict[str, tuple[int, list[tuple[int, str, float]]]]] = {
    "deep put spread": (-1, [(-1, "put", 1.2), (1, "put", 0.9)]),
    "deep call spread": (-1, [(-1, "call", 0.8), (1, "call", 1.1)]),
    "deep condor": (-1, [(-1, "put", 1.2), (1, "put", 0.9), (-1, "call", 0.8), (1, "call", 1.1)]),
}
COSTS: Final = Costs(commission_per_contract=0.65, commission_leg_cap=10.0, commission_per_order=1.0)


def walk(
    seed: int, *, symbols: int = 4, missing: float = 0.0, dividends: bool = False, rate: float = 0.03
) -> Bars:
    """Bars of 24 sessions with quotes; closes end in .003, so that none is a strike in cents."""
    random = np.random.default_rng(seed)
    n = 24
    moves = random.normal(0.0, float(random.choice([0.005, 0.02, 0.05])), (n, symbols)).cumsum(axis=0)
    close = (random.uniform(40.0, 150.0, symbols) * np.exp(moves)).round(2) + 0.003
    panel = np.stack([close, close * 1.01, close * 0.99, close, np.full((n, symbols), 1e6)], axis=-1)
    panel[random.random((n, symbols)) < missing] = np.nan
    names = [f"S{k}" for k in range(symbols)]
    actions = [
        {
            "date": str(np.datetime64(FIRST_DAY + int(random.integers(2, n)), "D")),
            "symbol": name,
            "kind": "dividend",
            "value": float(random.uniform(0.1, 3.0)),
        }
        for name in names
        if dividends
    ]
    bars = Bars.from_arrays(
        names, (FIRST_DAY + np.arange(n)) * DAY_NS, panel, calendar="24/7", actions=actions, raw=dividends
    )
    quotes = quoted(bars, random).quotes
    return bars.replaced(options=OptionMarket.from_quotes(quotes, np.full(n, rate)))


def first_price(bars: Bars, sym: int) -> float:
    close = bars.close[:, sym]
    return float(close[np.isfinite(close)][0])


def strikes_of(bars: Bars, sym: int) -> list[float]:
    """The quoted strikes, by the helper's rule."""
    return [round(first_price(bars, sym) * step, 2) for step in STEPS]


def packages(bars: Bars, seed: int, count: int, **rules: Any) -> Signals:
    """Random packages of every shape; rules that are not given are drawn."""
    random = np.random.default_rng(seed)
    rows, syms, sides, legs, ends = [], [], [], [], []
    for _ in range(count):
        sym, row = int(random.integers(len(bars.symbols))), int(random.integers(15))
        side, parts = (SHAPES | DEEP)[str(random.choice([*SHAPES, *DEEP]))]
        spec: list[LegSpec] = [(s, kind, round(first_price(bars, sym) * at, 2)) for s, kind, at in parts]
        rows.append(row)
        syms.append(sym)
        sides.append(side)
        legs.append(spec)
        ends.append(int(random.choice([day for day in expiries(bars) if day > bars.session[row]])))
    drawn: dict[str, Any] = {
        "profit_target": random.choice([0.0, 0.5], count),
        "stop_loss": random.choice([0.0, 1.0], count),
        "dte_exit": random.choice([0, 0, 2], count),
        "physical": random.choice([0, 1, 1], count),
        "hold": random.choice([0, 1], count),
        "naked": random.choice([0, 0, 1], count),
        **rules,
    }
    return package_signals(
        bars, rows, syms, sides, make_legs(legs, expiry=np.array(ends, np.int64)),
        make_rules(count, **drawn), qty=random.choice([1.0, 2.0, 5.0], count),
    )  # fmt: skip


def stocks(bars: Bars, seed: int, count: int) -> Signals:
    """Shares bought at closes, with stops below."""
    random = np.random.default_rng(seed)
    row, sym = random.integers(0, 20, count), random.integers(0, len(bars.symbols), count)
    keep = np.isfinite(bars.close[row, sym])
    row, sym = row[keep], sym[keep]
    stop = bars.close[row, sym] * random.uniform(0.85, 0.97, row.size)
    return Signals.from_arrays(bars, row, sym, 1, entry="close", stop=stop)


def one(bars: Bars, legs: Sequence[LegSpec], *, row: int, last: int, side: int, **more: Any) -> Signals:
    """One package of the first symbol."""
    rules = {name: more.pop(name) for name in list(more) if name != "qty"}
    return package_signals(
        bars,
        [row],
        0,
        side,
        make_legs([legs], expiry=int(bars.session[last])),
        make_rules(1, **rules),
        **more,
    )


@dataclass(frozen=True)
class Quoted:
    """Worth of legs at the mids of a bar, per share; `bad` where a leg has no good quote."""

    bad: bool
    zero_bid: bool
    worth: float
    spread: float


class Table:
    """Quotes by contract, for looking up what the kernel finds by bisection."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        assert bars.options is not None
        contracts = bars.options.quotes[["row", "sym", "expiry", "right", "strike"]].tolist()
        quotes = bars.options.quotes[["bid", "ask"]].tolist()
        self.known: dict[tuple[float, ...], tuple[float, float]] = dict(zip(contracts, quotes, strict=True))

    def of(self, t: int, sym: int, legs: Records) -> Quoted:
        """Worth of legs on the underlying `sym` at bar t."""
        spot = float(self.bars.close[t, sym])
        bad, zero_bid, worth, spread = not math.isfinite(spot), False, 0.0, 0.0
        for leg in legs:
            units = int(leg["side"]) * int(leg["ratio"])
            right, strike = int(leg["right"]), float(leg["strike"])
            bid = ask = spot
            if right != 0 and leg["expiry"] <= self.bars.session[t]:
                bid = ask = max(0.0, right * (spot - strike))
            elif right != 0:
                bid, ask = self.known.get((t, sym, int(leg["expiry"]), right, strike), (math.nan, math.nan))
                bad |= not (ask >= bid >= 0.0 and ask > 0.0)
                zero_bid |= bid == 0.0
            worth += units * (bid + ask) / 2
            spread += abs(units) * (ask - bid)
        return Quoted(bad, zero_bid, worth, spread)


def live(run: Run) -> list[int]:
    """Slots of the open positions."""
    return [int(s) for s in run.state.open_slots["slot"][: int(run.state.account["n_positions"][0])]]


def legs_of(run: Run, slot: int) -> Records:
    """The legs of an open package; the rest of its row may be left over from an earlier one."""
    legs: Records = run.state.legs[slot, : int(run.state.packages[slot]["legs"])]
    return legs


def buying_power(run: Run) -> float:
    """Cash that is free, without leverage: shorts count twice, what packages tie up is taken off."""
    account = run.state.account[0]
    return float(account["cash"] - 2.0 * account["short_value"] - account["collateral"])


def share_of(costs: Costs, legs: int) -> float:
    """Share of the quoted spread that a fill of so many legs gives away."""
    return (
        costs.spread_share_1_leg, costs.spread_share_2_legs, costs.spread_share_3_legs,
        costs.spread_share_4_legs,
    )[legs - 1]  # fmt: skip
