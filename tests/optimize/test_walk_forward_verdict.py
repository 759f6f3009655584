"""How often a walk-forward claims an edge: where there is none, and where one is planted.

Markets are random walks with volatility that clusters, 64 steps inside a bar, so that stops and targets fill
near where the walk crossed them. An edge is planted as a share of the move of the day before that comes again
between open and close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from optimize.forward import Verdict, judge, walk_forward
from optimize.forward.evidence import mean_p_value, mean_test, stretches
from optimize.machines import run_jobs
from simulator import Bars, RiskLimits, Signals, load_bars
from simulator.errors import ConfigError
from strategies import strategy_class
from strategies.base import Choice, Float, Int, Strategy, param
from tests.budget import many_or_few

Floats = npt.NDArray[np.float64]

STEPS = 64
LENGTH = 360


def market(
    seed: int, *, length: int = LENGTH, symbols: int = 2, drift: float = 0.0, edge: float = 0.0
) -> Bars:
    """A market of `symbols` with a yearly drift, and `edge` times the last day's move by day."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=(length, STEPS + 1, symbols))
    # a third of the variance is shared
    shocks = np.sqrt(2 / 3) * shocks + np.sqrt(1 / 3) * rng.normal(size=(length, STEPS + 1, 1))
    panel = np.empty((length, symbols, 5))
    level, moved, volatility = np.full(symbols, 50.0), np.zeros(symbols), 0.015
    for t in range(length):
        volatility = 0.015 * (volatility / 0.015) ** 0.95 * np.exp(0.08 * rng.normal())
        # the mean of a price is what it was: half of each variance is taken off its logarithm
        gap = np.sqrt(0.2) * volatility * shocks[t, 0] - 0.1 * volatility**2
        steps = np.sqrt(0.8 / STEPS) * volatility * shocks[t, 1:] - 0.4 / STEPS * volatility**2
        path = np.cumsum(steps + (drift / 252 + edge * moved) / STEPS, axis=0)
        first = level * np.exp(gap)
        walk = first * np.exp(np.vstack([np.zeros(symbols), path]))
        panel[t] = np.stack(
            [first, walk.max(axis=0), walk.min(axis=0), walk[-1], np.full(symbols, 1e7)], axis=1
        )
        moved = np.log(walk[-1] / level)
        level = walk[-1]
    ts = load_bars(f"synthetic:1x{length}?seed=0").ts
    return Bars.from_arrays([f"RW{number}" for number in range(symbols)], ts, panel)


class Follow(Strategy):
    """Trades with, or against, the last day's move, from the next open to a close."""

    @dataclass(frozen=True)
    class Params:
        direction: str = param("against", Choice(("with", "against")))
        least: float = param(0.5, Float(0.0, 1.5, 0.25))
        hold: int = param(1, Int(1, 3))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        move = np.full(bars.close.shape, np.nan)
        move[1:] = np.log(bars.close[1:] / bars.close[:-1])
        strong = np.abs(move) > self.params.least * 0.015
        side = np.sign(np.nan_to_num(move)) * (1.0 if self.params.direction == "with" else -1.0)
        return self.emit(bars, strong, side, stop_percent=5.0, max_bars=self.params.hold, exit="close")


class Lopsided(Strategy):
    """Small profits, large losses: nine of ten trades win."""

    @dataclass(frozen=True)
    class Params:
        target: float = param(1.0, Float(0.5, 1.5, 0.25))
        stop: float = param(6.0, Float(4.0, 9.0, 1.0))
        every: int = param(3, Int(2, 6))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        where = np.zeros(bars.close.shape, bool)
        where[:: self.params.every] = True
        side = np.where(np.cumsum(where, axis=0) % 2 == 0, 1.0, -1.0)
        return self.emit(bars, where, side, target_percent=self.params.target, stop_percent=self.params.stop)


class Long(Strategy):
    """Buys every few days and holds: it lives on the market's rise alone."""

    @dataclass(frozen=True)
    class Params:
        every: int = param(4, Int(3, 8))
        hold: int = param(3, Int(2, 6))
        stop: float = param(6.0, Float(3.0, 8.0, 1.0))

    params: Params

    def signals(self, bars: Bars) -> Signals:
        where = np.zeros(bars.close.shape, bool)
        where[:: self.params.every] = True
        return self.emit(bars, where, 1, stop_percent=self.params.stop, max_bars=self.params.hold)


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "follow": (Follow(), {}),
    "lopsided": (Lopsided(), {"risk": RiskLimits(min_risk_reward_ratio=0.0)}),
    "long": (Long(), {}),
    "donchian-breakout": (strategy_class("donchian-breakout")(direction="both"), {}),
}


# The test of a mean


@pytest.mark.parametrize("count", [1, 4, 10, 40])
@pytest.mark.parametrize("loss", [0.5, 1.0, 6.0])
def test_outcomes_of_two_values_give_the_binomial_p_value(count: int, loss: float) -> None:
    # wins of 1 and k losses: the p-value is the chance of at most k losses where the mean is 0
    share = 1.0 / (1.0 + loss)
    for lost in range(min(count, 4)):
        outcomes = [1.0] * (count - lost) + [-loss] * lost
        expected = binom.cdf(lost, count, share)
        assert mean_p_value(outcomes, floor=-loss) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("count", [2, 7, 30, 100])
def test_the_p_value_is_the_share_of_weights_with_a_mean_at_or_below_the_bound(count: int) -> None:
    rng = np.random.default_rng(count)
    outcomes = rng.normal(0.1, 1.0, count)
    weights = rng.dirichlet(np.ones(count + 1), 100_000)
    for bound in (0.0, -0.1, 0.2):
        drawn = float((weights @ np.append(outcomes, -2.5) <= bound).mean())
        assert mean_p_value(outcomes, floor=-2.5, bound=bound) == pytest.approx(drawn, abs=0.006)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.floats(-20, -0.1), st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_p_value_keeps_order_and_scale(
    outcomes: list[float], floor: float, scale: float, shuffle: Any
) -> None:
    found = mean_p_value(outcomes, floor=floor)
    assert 0.0 <= found <= 1.0
    mixed = list(outcomes)
    shuffle.shuffle(mixed)
    scaled = mean_p_value([scale * one for one in mixed], floor=scale * floor)
    assert scaled == pytest.approx(found, abs=1e-7)
    # better outcomes, or a smaller loss to reckon with, speak more against the null
    assert mean_p_value([one + 0.5 for one in outcomes], floor=floor) <= found + 1e-9
    assert mean_p_value(outcomes, floor=2 * floor) >= found - 1e-9


def test_bounds_are_where_the_test_turns() -> None:
    outcomes = np.random.default_rng(1).normal(0.3, 1.0, 40)
    found = mean_test(outcomes, floor=-1.5)
    assert found.floor == min(-1.5, outcomes.min())
    assert found.lower < found.estimate == outcomes.mean() < found.upper
    assert mean_p_value(outcomes, floor=found.floor, bound=found.lower) == pytest.approx(0.05, abs=1e-6)
    assert (found.p_value <= 0.05) == (found.lower >= 0.0)
    wide = mean_test(outcomes, floor=-1.5, confidence=0.99)
    assert wide.lower < found.lower
    assert wide.upper > found.upper
    mirrored = mean_test(-outcomes, floor=-max(1.5, outcomes.max(), -found.floor))
    assert found.upper <= -mirrored.lower + 1e-9
    assert np.isnan(mean_test([0.0, 0.0], floor=-1.0).p_value)
    assert np.isnan(mean_test([], floor=-1.0).p_value)
    assert np.isnan(mean_test([1.0, 2.0], floor=0.0).p_value)
    for confidence in (0.5, 1.0, np.nan):
        with pytest.raises(ConfigError) as caught:
            mean_test(outcomes, floor=-1.0, confidence=confidence)
        assert caught.value.code == "OPTIMIZE_CONFIDENCE"


def test_stretches_keep_the_sum() -> None:
    returns = np.random.default_rng(2).normal(size=103)
    for count in (1, 7, 103, 500):
        found = stretches(returns, count)
        assert len(found) == min(count, 103)
        assert found.sum() == pytest.approx(returns.sum())


# The verdict of given returns


def sessions(trades: Floats, length: int, rng: np.random.Generator) -> Floats:
    """Outcomes of trades, each on one of the sessions."""
    returns = np.zeros(length)
    np.add.at(returns, rng.integers(0, length, len(trades)), trades)
    return returns


PAYOFFS: dict[str, Any] = {
    "normal": lambda rng, n: rng.normal(0.0, 0.01, n),
    # 85 % small wins and 15 % large losses, as of sold premium
    "lopsided": lambda rng, n: np.where(rng.random(n) < 0.85, 0.02 * 0.15 / 0.85, -0.02),
    "very lopsided": lambda rng, n: np.where(rng.random(n) < 0.95, 0.02 * 0.05 / 0.95, -0.02),
    "few large wins": lambda rng, n: np.where(rng.random(n) < 0.3, 0.02 * 0.7 / 0.3, -0.02),
    "heavy tails": lambda rng, n: np.clip(0.005 * rng.standard_t(3, n), -0.02, 0.02),
}


@pytest.mark.parametrize("payoff", sorted(PAYOFFS))
@pytest.mark.parametrize("count", [20, 40, 120])
def test_without_an_edge_little_is_claimed(payoff: str, count: int) -> None:
    rng = np.random.default_rng([count, len(payoff)])
    runs = 200
    claims = naive = 0
    for _ in range(runs):
        returns = sessions(PAYOFFS[payoff](rng, count), 240, rng)
        outcomes = stretches(returns, min(count, 100))
        claims += mean_p_value(outcomes, floor=min(-0.02, float(outcomes.min()))) <= 0.05
        naive += bool(returns.mean() * np.sqrt(240) > 1.645 * max(returns.std(ddof=1), 1e-12))
    # 5 % of 200 and three standard errors
    assert claims <= 19
    if payoff == "very lopsided" and count == 20:
        assert naive > 40


def test_an_edge_that_is_there_is_claimed() -> None:
    rng = np.random.default_rng(3)
    for payoff in ("normal", "lopsided"):
        found = 0
        for _ in range(20):
            trades = PAYOFFS[payoff](rng, 120)
            returns = sessions(trades + 0.4 * trades.std(), 240, rng)
            verdict = judge(returns, np.zeros(240), np.zeros(240), trades=120, risk=0.02)
            found += verdict.claims_evidence
            assert verdict.lower < verdict.mean < verdict.upper
        assert found >= 18, payoff


def test_a_share_of_the_market_is_no_edge() -> None:
    rng = np.random.default_rng(4)
    market = rng.normal(0.0015, 0.008, 240)
    held = judge(0.5 * market, np.zeros(240), market, trades=60, risk=0.02)
    assert held.p_zero < 0.05
    assert not held.claims_evidence
    assert held.beta == pytest.approx(0.5)
    assert "its share of the market's move explains (beta 0.50" in held.sentence
    skilled = judge(0.5 * market + rng.normal(0.001, 0.003, 240), np.zeros(240), market, trades=60, risk=0.02)
    assert skilled.claims_evidence


def test_tuning_is_only_claimed_beside_an_edge() -> None:
    rng = np.random.default_rng(5)
    none = np.zeros(240)
    losing = rng.normal(-0.003, 0.004, 240)
    flat = rng.normal(0.0, 0.004, 240)
    better = judge(flat, losing, none, trades=100, risk=0.02)
    assert better.p_default < 0.05
    assert not better.claims_evidence
    assert not better.claims_tuning
    earning = flat + 0.002
    both = judge(earning, losing, none, trades=100, risk=0.02, folds=6, default_beats=1 / 6)
    assert both.claims_evidence
    assert both.claims_tuning
    assert "in 1 of 6 windows, and over all of them tuning earned more" in both.sentence
    same = judge(earning, earning, none, trades=100, risk=0.02, folds=6, default_beats=0.0)
    assert same.claims_evidence
    assert not same.claims_tuning
    assert "that tuning helps is not shown" in same.sentence


def test_few_trades_are_no_evidence_however_good() -> None:
    rng = np.random.default_rng(6)
    none = np.zeros(240)

    def verdict(count: int, risk: float, length: int = 240) -> Verdict:
        returns = sessions(rng.normal(0.02, 0.01, count), length, rng)
        return judge(returns, none[:length], none[:length], trades=count, risk=risk)

    few = verdict(12, 0.02)
    assert np.isnan(few.p_value)
    assert not few.claims_evidence
    assert few.needed_trades == 8
    assert "at least 8 more trades are needed" in few.sentence
    assert verdict(25, 0.02).claims_evidence
    assert "1 more trade is needed" in verdict(19, 0.02).sentence
    assert not verdict(60, 0.02, length=30).claims_evidence
    assert judge(none, none, none, trades=0).sentence == "Not enough evidence: out of sample it never traded."


def test_without_a_known_risk_nothing_is_claimed() -> None:
    never_lost = judge(np.full(240, 0.001), np.zeros(240), np.zeros(240), trades=100)
    assert not never_lost.claims_evidence
    assert never_lost.needed_trades is None
    assert "not every trade had a stop" in never_lost.sentence
    assert np.isnan([never_lost.p_zero, never_lost.p_market, never_lost.p_default, never_lost.lower]).all()
    # 60 trades without an edge, of which one in fifty loses what 49 earn; between are small losses too
    claims = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        returns = rng.normal(0.0, 0.0003, 500)
        for first in range(0, 480, 8):
            if rng.random() < 0.02:
                returns[first + 3] -= 0.049
            else:
                returns[first : first + 8] += 0.001 / 8
        claims += judge(returns, np.zeros(500), rng.normal(0.0, 0.01, 500), trades=60).claims_evidence
    assert claims <= 11


def test_a_loss_that_was_never_seen_takes_more_trades_to_rule_out() -> None:
    rng = np.random.default_rng(8)
    returns = sessions(rng.normal(0.002, 0.004, 60), 240, rng)
    near, far = (judge(returns, 0 * returns, 0 * returns, trades=60, risk=risk) for risk in (0.1, 0.4))
    assert not near.claims_evidence
    # four times the loss: about four times the wins
    assert near.needed_trades is not None
    assert far.needed_trades is not None
    assert (far.needed_trades + 60) / (near.needed_trades + 60) == pytest.approx(4.0, rel=0.1)
    longer = judge(np.tile(returns, 3), np.zeros(720), np.zeros(720), trades=180, risk=0.1)
    assert longer.claims_evidence == (180 >= near.needed_trades + 60)


def test_about_so_many_more_trades_would_show_it() -> None:
    rng = np.random.default_rng(7)
    shown = []
    for _ in range(30):
        trades = rng.normal(0.002, 0.01, 60)
        verdict = judge(sessions(trades, 240, rng), np.zeros(240), np.zeros(240), trades=60, risk=0.02)
        if verdict.needed_trades is not None:
            assert not verdict.claims_evidence
            assert verdict.needed_trades >= 1
            assert f"about {verdict.needed_trades:,} more trades would show it" in verdict.sentence
            shown.append(verdict.needed_trades)
    # a fifth of a standard deviation a trade wants (2.1 / 0.2) squared trades, about 110
    assert 10 <= np.median(shown) <= 300
    losing = judge(rng.normal(-0.01, 0.01, 240), np.zeros(240), np.zeros(240), trades=60, risk=0.02)
    assert losing.needed_trades is None


# Whole walk-forwards


@dataclass(frozen=True)
class Walk:
    """A job: one market, one strategy."""

    kind: str
    seed: int
    edge: float = 0.0
    drift: float = 0.0
    length: int = LENGTH


def verdict_of(walk: Walk) -> Verdict:
    strategy, others = KINDS[walk.kind]
    bars = market(walk.seed, edge=walk.edge, drift=walk.drift, length=walk.length)
    return walk_forward(bars, strategy, trials=16, sampler="qmc", seed=walk.seed, threads=1, **others).verdict


def shares(verdicts: list[Verdict]) -> str:
    known = [one for one in verdicts if np.isfinite(one.p_value)]
    return (
        f"{sum(one.claims_evidence for one in verdicts)} of {len(verdicts)} claim an edge, "
        f"{sum(one.claims_tuning for one in verdicts)} that tuning helps; {len(known)} had enough trades, "
        f"{sum(one.p_zero <= 0.05 for one in known)} of them p <= 0.05 against zero alone"
    )


@pytest.mark.thorough
def test_on_a_few_random_walks_little_is_claimed() -> None:
    seeds = many_or_few(6, 3)
    verdicts = [verdict_of(Walk(kind, seed)) for kind in ("follow", "lopsided") for seed in range(seeds)]
    assert sum(np.isfinite(one.p_value) for one in verdicts) == 2 * seeds
    # four of twelve, or three of six, would happen once in 450 at 5 %
    assert sum(one.claims_evidence for one in verdicts) <= many_or_few(3, 2)


def test_a_large_planted_edge_is_found_and_so_is_tuning() -> None:
    verdicts = [verdict_of(Walk("follow", seed, edge=0.5)) for seed in range(3)]
    assert all(one.claims_evidence for one in verdicts)
    assert all(one.claims_tuning for one in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("drift", [0.0, 0.15], ids=["without drift", "with a drift of 15 % a year"])
def test_on_500_random_walks_at_most_34_claim_an_edge(drift: float) -> None:
    kinds = sorted(KINDS)
    walks = [Walk(kinds[seed % len(kinds)], seed, drift=drift) for seed in range(500)]
    verdicts = run_jobs(verdict_of, walks)
    print(f"\ndrift {drift:.0%}: {shares(verdicts)}")
    for kind in kinds:
        own = [one for walk, one in zip(walks, verdicts, strict=True) if walk.kind == kind]
        print(f"  {kind:18} {shares(own)}; median of {np.median([one.trades for one in own]):.0f} trades")
    assert sum(one.claims_evidence for one in verdicts) <= 34
    assert sum(np.isfinite(one.p_value) for one in verdicts) >= 350


@pytest.mark.slow
def test_power_grows_with_the_edge_and_the_history() -> None:
    found: dict[tuple[float, int], float] = {}
    print()
    for length in (360, 720):
        for edge in (0.1, 0.2, 0.3):
            verdicts = run_jobs(
                verdict_of, [Walk("follow", seed, edge=edge, length=length) for seed in range(30)]
            )
            found[edge, length] = float(np.mean([one.claims_evidence for one in verdicts]))
            tuning = np.mean([one.claims_tuning for one in verdicts])
            trades = np.median([one.trades for one in verdicts])
            print(
                f"edge {edge:.1f}, {length} sessions, {trades:.0f} trades out of sample: an edge is claimed "
                f"in {found[edge, length]:.0%}, that tuning helps in {tuning:.0%}",
                flush=True,
            )
    assert found[0.3, 720] >= 0.8
    assert found[0.1, 360] < found[0.3, 360]
    assert found[0.2, 360] <= found[0.2, 720]
