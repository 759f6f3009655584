"""Journals whose truth is known: families without an edge, and planted ones.

Without an edge means: what a trade earns on average does not depend on anything known at entry. Everything
else may: spread, skewness, how often losses come, what the market does to all that is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optimize.tuning.cases import DAY, Cases
from optimize.tuning.outcomes import rates

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Random = np.random.Generator


class Journal(NamedTuple):
    """Cases and the set in force."""

    cases: Cases
    in_force: Mapping[str, Any]


Family = Callable[[Random], Journal]


def cases_of(
    outcome: Floats, day: npt.NDArray[Any], held: npt.NDArray[Any], rank: Floats, **columns: Any
) -> Cases:
    entry = (day * DAY).astype(np.int64)
    features = {"iv_rank": rank, **columns.pop("features", {})}
    return Cases(
        outcome=outcome,
        entry_ts=entry,
        exit_ts=entry + (held * DAY).astype(np.int64),
        features=features,
        **columns,
    )


def any_day(random: Random, count: int, per_day: float = 1.0) -> Ints:
    return np.sort(random.integers(0, max(2, int(count / per_day)), count))


def premium(random: Random, count: int, losses: float = 0.15) -> Floats:
    """Small gains and large losses that come to nothing on average."""
    gain = 0.3 * random.uniform(0.5, 1.5, count)
    loss = -0.3 * (1.0 - losses) / losses * random.uniform(0.6, 1.4, count)
    return np.where(random.random(count) < losses, loss, gain)


def wandering(random: Random, count: int, stays: float) -> Floats:
    """Values from 0 to 100 that stay near the last one."""
    steps = random.normal(size=count) * np.sqrt(1.0 - stays**2)
    value = np.empty(count)
    value[0] = random.normal()
    for at in range(1, count):
        value[at] = stays * value[at - 1] + steps[at]
    return 100.0 / (1.0 + np.exp(-1.7 * value))


def normal(random: Random, count: int = 400) -> Journal:
    rank = random.uniform(0, 100, count)
    cases = cases_of(random.normal(size=count), any_day(random, count), random.integers(1, 30, count), rank)
    return Journal(cases, {"min_iv_rank": 30.0})


def premium_payoffs(random: Random, count: int = 400, losses: float = 0.15, now: float = 30.0) -> Journal:
    rank = random.uniform(0, 100, count)
    outcome = premium(random, count, losses)
    cases = cases_of(outcome, any_day(random, count), random.integers(5, 45, count), rank)
    return Journal(cases, {"min_iv_rank": now})


def rare_losses(random: Random) -> Journal:
    return premium_payoffs(random, 300, losses=0.04, now=20.0)


def small(random: Random) -> Journal:
    return premium_payoffs(random, int(random.integers(20, 120)), now=float(random.choice([0.0, 20.0, 50.0])))


def overlapping(random: Random, count: int = 400, days: int = 250, stays: float = 0.97) -> Journal:
    """Fifty trades are open at a time, one market moves them all, and IV rank wanders."""
    day, held = np.sort(random.integers(0, days, count)), random.integers(20, 45, count)
    market = np.concatenate([[0.0], np.cumsum(random.normal(size=days + 50))])
    shared = (market[day + held] - market[day]) / np.sqrt(held)
    value = np.sqrt(0.6) * shared + np.sqrt(0.4) * random.normal(size=count)
    # 15 of 100 fall below -1.036
    outcome = np.where(value < -1.0364, -1.7, 0.3) * random.uniform(0.6, 1.4, count)
    return Journal(cases_of(outcome, day, held, wandering(random, days, stays)[day]), {"min_iv_rank": 30.0})


def overlapping_long(random: Random) -> Journal:
    return overlapping(random, days=1_000, stays=0.99)


def one_rank_for_all(random: Random, weeks: int = 80) -> Journal:
    """Five symbols every Monday at one IV rank, with one market."""
    day = np.repeat(np.arange(weeks) * 7, 5)
    rank = np.repeat(wandering(random, weeks, 0.9), 5)
    value = np.repeat(random.normal(size=weeks), 5) * 0.8 + random.normal(size=5 * weeks) * 0.6
    outcome = np.where(value < -1.0364, -1.7, 0.3)
    symbol = np.tile(np.array(["A", "B", "C", "D", "E"]), weeks)
    return Journal(cases_of(outcome, day, np.full(5 * weeks, 30), rank, symbol=symbol), {"min_iv_rank": 30.0})


def wider_above(random: Random, count: int = 400) -> Journal:
    rank = random.uniform(0, 100, count)
    outcome = random.normal(size=count) * (0.2 + rank / 50.0)
    cases = cases_of(outcome, any_day(random, count), random.integers(1, 30, count), rank)
    return Journal(cases, {"min_iv_rank": 30.0})


def wider_below(random: Random, count: int = 400) -> Journal:
    rank = random.uniform(0, 100, count)
    outcome = random.normal(size=count) * (2.2 - rank / 50.0)
    cases = cases_of(outcome, any_day(random, count), random.integers(1, 30, count), rank)
    return Journal(cases, {"min_iv_rank": 30.0})


def rarer_losses_above(random: Random, count: int = 200) -> Journal:
    """Above 50 a loss comes once in 25 trades and is large; below it comes in every third."""
    rank = random.uniform(0, 100, count)
    outcome = np.where(rank > 50, premium(random, count, 0.04), premium(random, count, 0.35))
    cases = cases_of(outcome, any_day(random, count), random.integers(5, 45, count), rank)
    return Journal(cases, {"min_iv_rank": 20.0})


def rarer_losses_above_few(random: Random) -> Journal:
    return rarer_losses_above(random, 100)


def both_drift(random: Random, count: int = 400) -> Journal:
    """Outcomes improve over the years, and IV rank rises, for reasons of their own."""
    day = any_day(random, count, 0.5)
    time = day / day.max()
    rank = np.clip(25.0 + 50.0 * time + random.normal(size=count) * 15.0, 0, 100)
    outcome = random.normal(size=count) + 0.8 * (time - 0.5)
    return Journal(cases_of(outcome, day, random.integers(1, 30, count), rank), {"min_iv_rank": 30.0})


def heavy_tails(random: Random, count: int = 300) -> Journal:
    rank = random.uniform(0, 100, count)
    cases = cases_of(
        random.standard_t(2, count) * 0.5, any_day(random, count), random.integers(1, 30, count), rank
    )
    return Journal(cases, {"min_iv_rank": 30.0})


def symbols_differ(random: Random, count: int = 400, names: int = 8) -> Journal:
    """Each symbol has its own luck and its own usual IV rank; within a symbol they are not linked."""
    of_symbol = random.integers(0, names, count)
    rank = random.uniform(25, 75, names)[of_symbol] + random.normal(size=count) * 20.0
    outcome = random.normal(size=count) * 0.8 + (random.normal(size=names) * 0.4)[of_symbol]
    symbol = np.array([f"S{one}" for one in of_symbol])
    cases = cases_of(
        outcome, any_day(random, count), random.integers(5, 30, count), np.clip(rank, 0, 100), symbol=symbol
    )
    return Journal(cases, {"min_iv_rank": 30.0})


def refused_too(random: Random, count: int = 400) -> Journal:
    """Below the threshold in force nothing was taken, and its outcomes come from shadow runs."""
    rank = random.uniform(0, 100, count)
    cases = cases_of(
        premium(random, count), any_day(random, count), random.integers(5, 45, count), rank, taken=rank >= 50
    )
    return Journal(cases, {"min_iv_rank": 50.0})


def many_settings(random: Random, count: int = 400) -> Journal:
    days = random.integers(20, 75, count)
    features = {
        "dte": days.astype(float),
        "delta": random.uniform(0.1, 0.4, count),
        "score": random.uniform(0, 1, count),
    }
    cases = cases_of(
        premium(random, count),
        any_day(random, count),
        np.minimum(random.integers(5, 45, count), days),
        random.uniform(0, 100, count),
        features=features,
        symbol=np.array([f"S{one}" for one in random.integers(0, 8, count)]),
    )
    return Journal(
        cases,
        {
            "min_iv_rank": 30.0,
            "min_dte": 20,
            "max_dte": 75,
            "max_delta": 0.4,
            "min_score": 0.1,
            "blacklist": (),
        },
    )


def fair_game(random: Random, count: int = 300, steps: int = 40) -> Journal:
    """Profit wanders without a drift between the most that can be lost and the whole credit."""
    path = np.zeros((count, steps + 1))
    for at in range(steps):
        path[:, at + 1] = path[:, at] + random.choice((-0.1, 0.1), count)
        ended = (path[:, at] >= 0.999) | (path[:, at] <= -1.999)
        path[ended, at + 1] = path[ended, at]
    cases = cases_of(
        path[:, -1] * 0.02,
        any_day(random, count),
        np.full(count, 30),
        random.uniform(0, 100, count),
        best=np.full(count, 0.02),
        worst=np.full(count, -0.04),
        mfe_fraction=path.max(axis=1),
    )
    return Journal(cases, {"profit_target": None})


def fair_game_after_fees(random: Random, fee: float, count: int = 400, most: int = 45) -> Journal:
    """Profit wanders to a target of 75 % or a stop; winners end sooner, and every trade pays a fee.

    `fee` is a share of the credit. Outcomes are R per margin-day, as a journal has them.
    """
    credit = 0.3
    profit, highest = np.zeros(count), np.zeros(count)
    held, running = np.full(count, most), np.ones(count, np.bool_)
    for day in range(1, most + 1):
        step = np.minimum(profit + random.normal(0.0, 0.17, count), 0.75)
        profit = np.where(running, step, profit)
        highest = np.maximum(highest, profit)
        ended = running & ((profit >= 0.75) | (profit <= -1.0))
        held[ended] = day
        running &= ~ended
    found = rates(
        (profit - fee) * credit,
        held.astype(float),
        least=np.full(count, -1.0),
        most=np.full(count, credit),
        fees=np.full(count, fee * credit),
    )
    cases = cases_of(
        found.outcome,
        any_day(random, count, 1 / 3),
        held,
        random.uniform(0, 100, count),
        worst=found.worst,
        best=found.best,
        gross=found.gross,
        mfe_fraction=highest,
    )
    return Journal(cases, {"profit_target": 0.75})


def no_fees(random: Random) -> Journal:
    return fair_game_after_fees(random, 0.0)


def fees_of_2_percent(random: Random) -> Journal:
    return fair_game_after_fees(random, 0.02)


def fees_of_5_percent(random: Random) -> Journal:
    return fair_game_after_fees(random, 0.05)


def refused_managed_otherwise(random: Random, count: int = 400) -> Journal:
    """What was refused gains 0.4 by the ledger's rules alone, at every IV rank."""
    rank = random.uniform(30, 100, count)
    taken = rank >= 50
    outcome = random.normal(np.where(taken, 0.0, 0.4), 1.0)
    cases = cases_of(outcome, np.arange(count), np.full(count, 10), rank, taken=taken)
    return Journal(cases, {"min_iv_rank": 50.0})


NO_EDGE: tuple[Family, ...] = (
    normal, premium_payoffs, rare_losses, small, overlapping, overlapping_long, one_rank_for_all,
    wider_above, wider_below, rarer_losses_above, rarer_losses_above_few, both_drift, heavy_tails,
    symbols_differ, refused_too, refused_managed_otherwise, many_settings, fair_game, no_fees,
    fees_of_2_percent, fees_of_5_percent,
)  # fmt: skip
"""Journals in which nothing that is known at entry tells anything about the mean."""

ASKED: tuple[Family, ...] = (premium_payoffs, overlapping, small)
"""What the acceptance names: premium payoffs, overlapping trades, small n."""


def planted(
    random: Random,
    count: int = 400,
    effect: float = 0.3,
    *,
    at: float = 50.0,
    ranks: tuple[float, float] = (0.0, 100.0),
    now: float = 0.0,
    held: tuple[int, int] = (1, 30),
    per_day: float = 1.0,
) -> Journal:
    """Outcomes of standard deviation 1, `effect` above a threshold of IV rank and -`effect` below it."""
    rank = random.uniform(*ranks, count)
    outcome = random.normal(np.where(rank >= at, effect, -effect), 1.0)
    cases = cases_of(outcome, any_day(random, count, per_day), random.integers(*held, count), rank)
    return Journal(cases, {"min_iv_rank": now})


def planted_premium(random: Random, count: int = 400, below: float = 0.25, above: float = 0.05) -> Journal:
    """Gains of 0.3 and losses of 1.7, whose share changes at an IV rank of 50."""
    rank = random.uniform(0, 100, count)
    lost = random.random(count) < np.where(rank >= 50, above, below)
    outcome = np.where(lost, -1.7, 0.3) * random.uniform(0.7, 1.3, count)
    cases = cases_of(outcome, any_day(random, count), random.integers(5, 45, count), rank)
    return Journal(cases, {"min_iv_rank": 20.0})


def planted_among_refused(random: Random, count: int = 500, effect: float = 0.4) -> Journal:
    """Below 50 it earns more; there nothing was taken, and above three in ten were refused too."""
    rank = random.uniform(0, 100, count)
    outcome = random.normal(np.where(rank < 50, effect, -effect), 1.0)
    taken = (rank >= 50) & (random.random(count) >= 0.3)
    cases = cases_of(outcome, any_day(random, count), random.integers(1, 30, count), rank, taken=taken)
    return Journal(cases, {"min_iv_rank": 50.0})
