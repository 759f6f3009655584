"""Acceptance: packages of options beside stocks, and every driver still answers with the same bytes."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.bars import Bars
from simulator.kernel.dtypes import QUOTE
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.signals import Signals
from simulator.types import ExitReason, Reason
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import DRIVERS, by_backtest, by_stream, by_sweep, difference
from tests.simulator.kernel.generate import Configuration, configurations

TERMS = (4, 9, 20)
STEPS = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)

SHAPES: dict[str, tuple[int, list[tuple[int, str, float]]]] = {
    "short put": (-1, [(-1, "put", 0.95)]),
    "put spread": (-1, [(-1, "put", 0.95), (1, "put", 0.9)]),
    "call spread": (-1, [(-1, "call", 1.05), (1, "call", 1.1)]),
    "iron condor": (-1, [(-1, "put", 0.95), (1, "put", 0.9), (-1, "call", 1.05), (1, "call", 1.1)]),
    "strangle": (-1, [(-1, "put", 0.9), (-1, "call", 1.1)]),
    "deep put": (-1, [(-1, "put", 1.2)]),
    "covered call": (1, [(1, "shares", 1.0), (-1, "call", 1.05)]),
    "long straddle": (1, [(1, "put", 1.0), (1, "call", 1.0)]),
}


def quoted(bars: Bars, random: np.random.Generator) -> OptionMarket:
    """Quotes for a grid of strikes and terms around each symbol's first price, some missing, some crossed."""
    found = [np.zeros(0, QUOTE)]
    dates = expiries(bars)
    for sym in range(len(bars.symbols)):
        close = bars.close[:, sym]
        known = close[np.isfinite(close) & (close > 0)]
        if not len(known):
            continue
        strikes = [round(float(known[0]) * step, 2) for step in STEPS]
        axes = (np.flatnonzero(np.isfinite(close)), dates, (-1, 1), strikes)
        row, expiry, right, strike = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        spot, days = close[row], np.maximum(0, expiry - bars.session[row])
        value = np.maximum(0.0, right * (spot - strike))
        time = 0.02 * strike * np.sqrt(days) * np.exp(-8.0 * abs(np.log(spot / strike)))
        half = 0.02 + 0.02 * value
        bid, ask = np.floor(100 * (value + time - half)) / 100, value + time + half
        luck = random.random(len(row))
        crossed = luck < 0.05
        quotes = np.zeros(len(row), QUOTE)
        quotes["row"], quotes["sym"], quotes["expiry"] = row, sym, expiry
        quotes["right"], quotes["strike"] = right, strike
        quotes["bid"] = np.maximum(np.where(crossed, ask, bid), 0.0)
        quotes["ask"] = np.where(crossed, bid, ask)
        quotes["iv"], quotes["delta"] = 0.3, right * np.where(value > 0, 0.9, 0.3)
        found.append(quotes[luck >= 0.03])
    return OptionMarket.from_quotes(np.concatenate(found), np.full(len(bars), 0.03))


def expiries(bars: Bars) -> list[int]:
    return [int(bars.session[min(term, len(bars) - 1)]) for term in TERMS]


def with_packages(c: Configuration, seed: int, count: int) -> Configuration:
    """The same configuration with quotes, and with signals of packages among those of stocks."""
    random = np.random.default_rng(seed)
    bars = c.bars.replaced(options=quoted(c.bars, random))
    rows, syms, sides, legs, expiry = [], [], [], [], []
    for _ in range(count):
        row = int(random.integers(len(bars)))
        later = [day for day in expiries(bars) if day > bars.session[row]]
        sym = int(random.integers(len(bars.symbols)))
        close = bars.close[:, sym]
        known = close[np.isfinite(close) & (close > 0)]
        if not later or not len(known):
            continue
        side, parts = SHAPES[str(random.choice(list(SHAPES)))]
        spec: list[LegSpec] = [(s, kind, round(float(known[0]) * at, 2)) for s, kind, at in parts]
        rows.append(row)
        syms.append(sym)
        sides.append(side)
        legs.append(spec)
        expiry.append(int(random.choice(later)))
    n = len(rows)
    rules = make_rules(
        n,
        profit_target=random.choice([0.0, 0.5], n),
        stop_loss=random.choice([0.0, 1.0, 2.0], n),
        trail_start=random.choice([0.0, 0.0, 0.3], n),
        trail_back=0.2,
        dte_exit=random.choice([0, 0, 2], n),
        delta_exit=random.choice([0.0, 0.0, 0.8], n),
        roll=random.choice([0, 1], n),
        physical=random.choice([0, 1, 1], n),
        hold=random.choice([0, 1], n),
        naked=random.choice([0, 0, 1], n),
    )
    qty: npt.NDArray[np.float64] = random.choice([1.0, 2.0, 5.0], n)
    packages = package_signals(
        bars, rows, syms, sides, make_legs(legs, expiry=np.array(expiry, np.int64)), rules, qty=qty
    )
    merged = Signals.concat([c.signals, packages])
    merged.checked_stops = False  # some stops are wrong on purpose: the kernel is to say so
    return dataclasses.replace(c, bars=bars, signals=merged)


@pytest.mark.thorough
def test_every_driver_answers_with_the_same_bytes() -> None:
    seen: Counter[str] = Counter()

    @drawn(120, 30)
    @given(configurations(most_bars=40), st.integers(0, 2**31), st.integers(1, 25))
    def agree(shape: Configuration, seed: int, count: int) -> None:
        if shape.bars.detail is not None:
            shape = dataclasses.replace(shape, bars=shape.bars.replaced(detail=None, detail_start=None))
        c = with_packages(shape, seed, count)
        expected = by_backtest(c)
        for name, driver in DRIVERS.items():
            found = difference(expected, driver(c))
            assert not found, f"{name} differs from backtest in {found}"
        plain = dataclasses.replace(c, commands=[])
        if c.commands:
            expected = by_backtest(plain)
        for name, answer in (("sweep", by_sweep([plain, plain])[1]), ("stream", by_stream(plain))):
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"
        for log, field, names in (
            ("trades", "exit_reason", ExitReason),
            ("verdicts", "reason", Reason),
            ("events", "reason", Reason),
        ):
            records = expected[log]
            assert not isinstance(records, bytes)
            for code in records[field]:
                seen[f"{log}/{names(int(code)).label}"] += 1

    agree()
    print(sorted(seen.items()))
    for reason in ("profit_target", "expiry", "assignment", "dte", "roll", "delta", "trail", "stop"):
        assert seen[f"trades/{reason}"], reason
    for reason in ("no_quote",):
        assert seen[f"verdicts/{reason}"], reason
    assert seen["events/assigned"]
