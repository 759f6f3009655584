"""Several positions at once can lose together: what a stretch has at risk is their sum.

The markets here move as one. They rise a little every day, and in one month of fifty they fall through all
stops, which takes what the other months earned: a game without an edge that wins for years.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from optimize.evaluator import Evaluator, Rules
from optimize.forward import walk_forward
from optimize.forward.stitching import carried
from simulator import Bars, Signals, load_bars
from simulator.results import Result
from strategies.base import Choice, Strategy, param
from tests.budget import many_or_few

MONTH = 21
TRAINED, TESTED = 5 * MONTH, 60 * MONTH
STOP = 10.0  # percent
CRASH = 0.02  # chance per month
LEVEL = 0.05


def crashing(seed: int, symbols: int) -> Bars:
    """Months that earn a little, and crashes that take all of it; every symbol has the same prices."""
    rng = np.random.default_rng(seed)
    length = TRAINED + TESTED
    log = rng.normal(0.0, 0.0003, length)
    # a fall to the stop costs STOP percent of an entry at the month's first open
    log += np.log1p(CRASH * STOP / 100.0 / (1.0 - CRASH)) / (MONTH - 2)
    fallen = np.zeros(length, bool)
    for first in range(0, length, MONTH):
        if rng.random() < CRASH:
            fallen[first + 2 + rng.integers(MONTH - 5)] = True
    log[fallen] = np.log(1.0 - 1.5 * STOP / 100.0)
    close = 50.0 * np.exp(np.cumsum(log))
    opened = np.concatenate([[50.0], close[:-1]])
    one = np.stack(
        [opened, np.maximum(opened, close), np.minimum(opened, close), close, np.full(length, 1e9)], axis=1
    )
    panel = np.repeat(one[:, None, :], symbols, axis=1)
    ts = load_bars(f"synthetic:1x{length}?seed=0").ts
    return Bars.from_arrays([f"TG{number}" for number in range(symbols)], ts, panel)


class Monthly(Strategy):
    """Holds every symbol for most of each month, with a hundredth of the first cash at risk in each."""

    @dataclass(frozen=True)
    class Params:
        hold: int = param(MONTH - 3, Choice((MONTH - 3, MONTH - 2)))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        rows = np.arange(0, len(bars), MONTH)
        columns = np.arange(len(bars.symbols))
        count = len(columns)
        quantity = 1_000.0 / (STOP / 100.0 * bars.close[rows, 0])
        return Signals.from_arrays(
            bars, np.repeat(rows, count), np.tile(columns, len(rows)), 1, stop_percent=STOP,
            max_bars=self.params.hold, qty=np.floor(np.repeat(quantity, count)),
        )  # fmt: skip


def walked(seed: int, symbols: int) -> Any:
    return walk_forward(
        crashing(seed, symbols), Monthly(), train=TRAINED, test=TESTED // 2, trials=1, sampler="qmc",
        risk=None, threads=1,
    )  # fmt: skip


def claims(symbols: int, markets: int) -> tuple[int, float]:
    """How many claim an edge, and the mean of what was earned in a year, per position."""
    verdicts = [walked(seed, symbols).verdict for seed in range(markets)]
    assert all(one.trades >= 40 * symbols for one in verdicts)
    return sum(one.claims_evidence for one in verdicts), float(np.mean([one.mean for one in verdicts]))


def most(markets: int) -> float:
    """Five percent and three standard errors."""
    return LEVEL * markets + 3.0 * float(np.sqrt(markets * LEVEL * (1.0 - LEVEL)))


@pytest.mark.thorough
def test_positions_that_can_fall_together_are_no_edge_before_they_did() -> None:
    markets = many_or_few(60, 20)
    found, _ = claims(10, markets)
    assert found <= most(markets)


@pytest.mark.slow
@pytest.mark.parametrize("symbols", [1, 2, 5, 10])
def test_the_level_holds_for_any_number_of_positions_at_once(symbols: int) -> None:
    found, mean = claims(symbols, 300)
    print(f"\n{symbols} at once: {found} of 300 claim an edge; {mean:+.2%} a year on average")
    assert found <= most(300)
    assert abs(mean) < 0.01 * symbols


# What is at risk


def at_risk(result: Result) -> float:
    """Largest sum of initial risks of trades open in the same bar, bar by bar and trade by trade."""
    worth = result.raw.equity["equity"]
    largest = 0.0
    for row in range(result.raw.seen):
        total = 0.0
        for trade in result.raw.trades:
            last = trade["exit_row"] if trade["exit_row"] >= trade["entry_row"] else result.raw.seen
            if trade["entry_row"] <= row <= last:
                total += trade["initial_risk"] / worth[max(trade["entry_row"] - 1, 0)]
        largest = max(largest, total)
    return largest


def spread(bars: Bars, at_once: int = 3, stop: float = 5.0, wait: int = 7) -> Signals:
    """Opens one symbol a day, `at_once` in a row, and holds each for four bars."""
    rows = [row + step for row in range(0, len(bars) - at_once, wait) for step in range(at_once)]
    columns = [step for _ in range(0, len(bars) - at_once, wait) for step in range(at_once)]
    return Signals.from_arrays(
        bars, np.array(rows), np.array(columns), 1, stop_percent=stop, max_bars=4, qty=50.0
    )


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_what_is_at_risk_is_the_sum_of_what_is_open_together(at_once: int) -> None:
    bars = load_bars("synthetic:4x120?seed=3")
    evaluator = Evaluator(bars, partial(spread, at_once=at_once), Rules(risk=None))
    history = carried(evaluator, [({}, 40, 120)])
    expected = at_risk(history.results[0])
    assert history.risk == pytest.approx(expected, rel=0.05)
    least = min(trade["initial_risk"] for trade in history.results[0].raw.trades) / 100_000.0
    assert history.risk > 0.9 * at_once * least


def test_one_trade_without_a_stop_leaves_the_risk_unknown() -> None:
    bars = load_bars("synthetic:2x120?seed=3")

    def mixed(bars: Bars, stop: float = 5.0) -> Signals:
        stops = np.full(10, stop)
        stops[7] = np.nan
        return Signals.from_arrays(
            bars, np.arange(0, 100, 10), 0, 1, stop_percent=stops, max_bars=3, qty=10.0
        )  # fmt: skip

    history = carried(Evaluator(bars, mixed, Rules(risk=None)), [({}, 0, 120)])
    assert history.trades == 10
    assert history.risk == 0.0
