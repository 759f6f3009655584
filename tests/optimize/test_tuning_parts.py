"""The parts of the rule of adoption, each against what is computed another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from optimize.tuning.bounds import Design, critical_value, measure, measure_pairs, period_base, turns_of
from optimize.tuning.cases import DAY, Cases
from optimize.tuning.effective import MOST_BLOCKS, blocks_of, effective_number, moments_of
from optimize.tuning.outcomes import rates
from optimize.tuning.search import candidates_of, thinned
from optimize.tuning.settings import WINDOW_DAYS, Reach, admits, feature_of, reach_of
from optimize.tuning.shrinkage import PRIOR_TRADES, charge, shrink, unseen_loss
from optimize.tuning.targets import paired_differences, targets_of
from simulator.errors import DataError
from strategies.scanner_settings import ScanSettings

Floats = npt.NDArray[np.float64]
STEADY = settings(derandomize=True, database=None, deadline=None, max_examples=30)


def cases(**columns: Any) -> Cases:
    count = len(next(iter(columns.get("features", {"": columns.get("outcome", np.zeros(4))}).values())))
    day = np.arange(count) * DAY
    base: dict[str, Any] = {"outcome": np.zeros(count), "entry_ts": day, "exit_ts": day + DAY}
    base.update(columns)
    return Cases(**base)


# Cases


def test_cases_come_in_the_order_of_entry_and_cannot_be_changed() -> None:
    found = cases(outcome=[1.0, 2.0], entry_ts=[5, 3], exit_ts=[6, 9], features={"iv_rank": [10.0, 20.0]})
    assert found.outcome.tolist() == [2.0, 1.0]
    assert found.features["iv_rank"].tolist() == [20.0, 10.0]
    with pytest.raises(ValueError, match="read-only"):
        found.outcome[0] = 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": [1.0, np.inf]},
        {"exit_ts": [0, 0], "entry_ts": [0, 1]},
        {"entry_ts": [0.5, 1.0]},
        {"features": {"iv_rank": [1.0]}},
        {"features": {"iv_rank": ["high", "low"]}},
        {"symbol": ["A", "B", "C"]},
    ],
)
def test_cases_that_cannot_be(wrong: dict[str, Any]) -> None:
    given_columns: dict[str, Any] = {"outcome": [0.0, 0.0], "entry_ts": [0, 1], "exit_ts": [2, 3]}
    given_columns.update(wrong)
    with pytest.raises(DataError) as error:
        Cases(**given_columns)
    assert error.value.code == "TUNING_CASES"


# The effective number


def test_trades_that_never_overlap_count_in_full() -> None:
    random = np.random.default_rng(1)
    entry = np.arange(200) * 10 * DAY
    assert effective_number(random.normal(size=200), entry, entry + 9 * DAY) == 200.0


def test_copies_count_once() -> None:
    outcome = np.repeat(np.random.default_rng(2).normal(size=50), 8)
    entry = np.repeat(np.arange(50) * 10 * DAY, 8)
    assert effective_number(outcome, entry, entry + 5 * DAY) == pytest.approx(50.0, rel=0.02)


def test_overlap_without_correlation_costs_little() -> None:
    random = np.random.default_rng(3)
    entry = np.arange(400) * DAY
    assert 200 < effective_number(random.normal(size=400), entry, entry + 30 * DAY) <= 400


def test_shared_shocks_are_counted_as_their_number() -> None:
    """Correlation of a half among ten trades of a moment: 10 are worth 10 / (1 + 9 * 0.5) = 1.8."""
    random = np.random.default_rng(4)
    outcome = np.repeat(random.normal(size=200), 10) + random.normal(size=2000)
    entry = np.repeat(np.arange(200) * 10 * DAY, 10)
    found = effective_number(outcome, entry, entry + 5 * DAY)
    assert 0.75 * 364 < found <= 1.05 * 364


def test_the_parts_that_pairs_are_met_in_do_not_matter() -> None:
    random = np.random.default_rng(5)
    entry = np.sort(random.integers(0, 900, 700)) * DAY
    out = entry + random.integers(1, 40, 700) * DAY
    outcome = random.normal(size=700)
    begin, end = entry[:, None], out[:, None]
    share = np.maximum(np.minimum(end, out) - np.maximum(begin, entry), 0) / (
        np.maximum(end, out) - np.minimum(begin, entry)
    )
    np.fill_diagonal(share, 0.0)
    away = (outcome - outcome.mean()) / outcome.std()
    correlation = (share * np.outer(away, away)).sum() / share.sum()
    correlation += 1.645 * np.sqrt(2 * (share**2).sum()) / share.sum()
    expected = 700 / (1 + share.sum() / 700 * max(correlation, 0.0))
    assert effective_number(outcome, entry, out) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), min_size=1, max_size=80))
@STEADY
def test_blocks_are_in_order_and_never_part_a_moment(spans: list[tuple[int, int]]) -> None:
    entry = np.sort(np.array([day for day, _ in spans])) * DAY
    out = entry + np.array([held for _, held in spans]) * DAY
    block = blocks_of(entry, out)
    assert block[0] == 0
    assert set(np.diff(block).tolist()) <= {0, 1}
    assert block.max() < MOST_BLOCKS
    assert all(len(set(block[entry == moment].tolist())) == 1 for moment in entry)
    assert 1.0 <= effective_number(entry % 7 * 1.0, entry, out) <= len(entry)


def test_a_moment_is_a_day_and_for_day_trading_an_entry() -> None:
    entry = np.array([0, DAY // 4, DAY, 2 * DAY])
    assert moments_of(entry, entry + 5 * DAY).tolist() == [0, 0, 1, 2]
    assert moments_of(entry, entry + DAY // 8).tolist() == [0, 1, 2, 3]


# The statistic and its turns


def two_sets(random: np.random.Generator, count: int = 120) -> tuple[Design, Floats]:
    rank = random.uniform(0, 100, count)
    new = np.stack([rank >= 50, rank >= 70, rank >= 10])
    old = np.stack([rank >= 30, rank >= 0, rank >= 30])
    return Design(new, old), random.normal(size=(count, 3))


def test_the_difference_is_that_of_two_means() -> None:
    design, outcomes = two_sets(np.random.default_rng(6))
    found = measure(design, outcomes, np.arange(120))
    for row in range(3):
        for column in range(3):
            values = outcomes[:, column]
            expected = values[design.new[row]].mean() - values[design.old[row]].mean()
            assert found.difference[row, column] == pytest.approx(expected)


def test_by_case_the_ratio_is_that_of_welch() -> None:
    """Raising a bound compares what stays with what goes: Welch's t, whatever it is scaled by."""
    design, outcomes = two_sets(np.random.default_rng(7))
    found = measure(design, outcomes, np.arange(120))
    both, gone, _ = design.groups()
    for row in range(2):
        expected = ttest_ind(outcomes[both[row], 0], outcomes[gone[row], 0], equal_var=False).statistic
        assert found.difference[row, 0] / found.by_case[row, 0] == pytest.approx(expected)


def test_the_block_error_is_that_of_sums_over_blocks() -> None:
    random = np.random.default_rng(8)
    design, outcomes = two_sets(random)
    block = np.sort(random.integers(0, 9, 120))
    shared = random.normal(size=(9, 1))[block] * 5.0  # so that blocks decide
    found = measure(design, outcomes + shared, block)
    values = (outcomes + shared)[:, 0]
    for row, (new, old) in enumerate(zip(design.new, design.old, strict=True)):
        weight = new / new.sum() - old / old.sum()
        residual = np.zeros(120)
        for group in (new & old, old & ~new, new & ~old):
            if group.any():
                residual[group] = values[group] - values[group].mean()
        sums = np.array([(weight * residual)[block == one].sum() for one in range(9)])
        expected = np.sqrt((sums**2).sum() * 9 / 8)
        assert found.error[row, 0] == pytest.approx(max(expected, found.by_case[row, 0]))


def test_what_periods_explain_is_taken_out_and_a_threshold_keeps_its_size() -> None:
    random = np.random.default_rng(9)
    count = 800
    rank = random.uniform(0, 100, count)
    design = Design((rank >= 50)[None], np.ones((1, count), bool))
    base = period_base(count, np.array(["A"] * count))
    assert base is not None
    assert base.shape == (count, 8)
    link = np.where(rank >= 50, 1.0, -1.0)[:, None]
    years = np.repeat(np.arange(8.0), 100)[:, None] * 10.0
    found = measure(design, link + years, np.arange(count) // 10, base=base)
    plain = measure(design, link, np.arange(count) // 10)
    assert found.difference[0, 0] == pytest.approx(plain.difference[0, 0], rel=1e-6)


def test_few_cases_have_no_periods() -> None:
    assert period_base(39, np.array(["A"] * 39)) is None
    base = period_base(40, np.array(["A"] * 40))
    assert base is not None
    assert base.shape[1] == 2


@given(st.lists(st.integers(1, 4), min_size=3, max_size=30), st.integers(0, 100))
@STEADY
def test_a_turn_moves_moments_as_a_whole(sizes: list[int], seed: int) -> None:
    moments = np.repeat(np.arange(len(sizes)), sizes)
    turns = turns_of(moments, seed=seed)
    assert turns[:, 0].tolist() == list(range(len(moments)))
    assert turns.shape[1] == min(250, 2 * len(sizes))
    came = moments[turns]
    for column in came.T:
        assert all(len(set(column[moments == one].tolist())) == 1 for one in range(len(sizes)))
    assert len({tuple(column) for column in came.T.tolist()}) >= len(sizes)


def test_a_turn_within_a_moment_keeps_no_order() -> None:
    moments = np.repeat(np.arange(40), 10)
    turns = turns_of(moments, seed=1)
    place = (np.arange(400) % 10).astype(float)
    links = [abs(np.corrcoef(place, place[column])[0, 1]) for column in turns.T[1:]]
    assert np.mean(links) < 0.1


def test_the_critical_value_is_a_quantile_of_the_largest() -> None:
    ratios = np.stack([np.arange(100.0), np.arange(100.0)[::-1]])
    assert critical_value(ratios, 0.95) == np.sort(ratios.max(axis=0))[94]
    assert critical_value(-ratios, 0.95) == 0.0


def test_pairs_are_measured_as_their_mean() -> None:
    random = np.random.default_rng(10)
    pairs = random.normal(size=(2, 50))
    found = measure_pairs(pairs, np.ones((50, 1)), np.arange(50), 50)
    assert found.difference[:, 0] == pytest.approx(pairs.mean(axis=1))
    assert found.by_case[:, 0] == pytest.approx(pairs.std(axis=1, ddof=1) / np.sqrt(50))
    assert found.error[:, 0] == pytest.approx(found.by_case[:, 0])


# Shrinkage


def test_shrinkage_pulls_both_means_towards_the_prior() -> None:
    new, old, prior = np.array([0.5]), np.array([0.1]), 0.0
    found = shrink(new, np.array([30.0]), old, np.array([80.0]), prior)
    pulled = 30 / (30 + PRIOR_TRADES) * 0.5 - 80 / (80 + PRIOR_TRADES) * 0.1
    assert found.kept * (new - old) - found.away == pytest.approx(pulled)
    better_prior = shrink(new, np.array([30.0]), old, np.array([80.0]), 0.4)
    assert better_prior.away == 0.0  # a prior that does well is no reason to think more of a candidate


def test_the_charge_is_one_more_case_at_the_worst() -> None:
    outcome = np.array([0.3] * 9 + [-0.7])
    found = charge(np.array([outcome.mean()]), np.array([10.0]), np.array([-2.0]))
    assert found.difference == pytest.approx(outcome.mean() - np.append(outcome, -2.0).mean())
    assert charge(np.array([-3.0]), np.array([10.0]), np.array([-2.0])).difference == 0.0


def test_a_loss_that_was_possible_counts_where_losses_are_rare() -> None:
    outcome = np.array([0.3] * 38 + [-0.7, -1.7])
    possible = np.full(40, -5.0)
    every = np.ones((1, 40), bool)
    assert unseen_loss(outcome, possible, every, every) == -5.0
    assert unseen_loss(outcome, np.full(40, np.nan), every, every) == pytest.approx(
        np.sort(outcome)[:4].mean()
    )
    some = every.copy()
    some[0, :30] = False  # two losses in ten
    assert unseen_loss(outcome, possible, some, every) == pytest.approx(np.sort(outcome)[:4].mean())


# Settings


def test_the_window_is_that_of_the_scanner() -> None:
    assert ScanSettings(target_dte=60).dte_bounds == (60 - WINDOW_DAYS, 60 + WINDOW_DAYS)
    found = cases(features={"dte": [44.0, 45.0, 75.0, 76.0]})
    assert admits(found, {"target_dte": 60}).tolist() == [False, True, True, False]
    assert admits(found, {"target_dte": 60, "min_dte": 10}).tolist() == [True, True, True, False]


def test_unknown_features_pass_and_other_settings_admit_all() -> None:
    found = cases(features={"iv_rank": [np.nan, 10.0, 60.0]}, symbol=["A", "A", "B"])
    assert admits(found, {"min_iv_rank": 50.0}).tolist() == [True, False, True]
    assert admits(found, {"min_iv_rank": 0, "widths": (1.0,), "max_buying_power": None}).all()
    assert admits(found, {"blacklist": ("A",)}).tolist() == [False, False, True]
    assert admits(found, {"max_iv_rank": 30.0}).tolist() == [True, True, False]
    assert feature_of("min_credit_to_width") == "credit_to_width"


def test_new_ground_must_have_been_seen() -> None:
    """One lonely case at 10 does not open everything from 50 down to it."""
    level = np.concatenate([np.full(1, 10.0), np.linspace(40, 50, 50), np.linspace(50, 90, 100)])
    found = cases(features={"iv_rank": level})
    reach = reach_of("min_iv_rank", found, {"min_iv_rank": 50.0})
    assert [value for value in reach.values[1:] if value < 50] == [40.0, 45.0]
    assert "beyond what was observed" in reach.notes[0]


def test_a_window_moves_only_over_days_that_were_seen() -> None:
    found = cases(features={"dte": np.linspace(30, 70, 200)})
    reach = reach_of("target_dte", found, {"target_dte": 45})
    assert reach.values == (45, 50, 55)


def test_one_symbol_at_a_time() -> None:
    found = cases(outcome=np.zeros(3), symbol=["A", "B", "C"])
    reach = reach_of("blacklist", found, {"blacklist": ("B",)})
    assert reach.values == (("B",), ("A", "B"), (), ("B", "C"))


def test_candidates_move_one_setting_and_are_thinned_out_evenly() -> None:
    reaches = [Reach("a", tuple(range(101))), Reach("b", (0, 1, 2))]
    every = candidates_of(reaches)
    assert len(every) == 102
    assert all(len(changes) == 1 for changes in every)
    names = [next(iter(changes)) for changes in every]
    kept = [every[at] for at in thinned(names, [1] * 102, 20)]
    assert len(kept) == 20
    assert [changes["b"] for changes in kept if "b" in changes] == [1, 2]
    levels = [changes["a"] for changes in kept if "a" in changes]
    assert max(np.diff(levels)) - min(np.diff(levels)) <= 1


def test_of_many_symbols_those_with_most_cases_are_judged() -> None:
    names = ["blacklist"] * 300 + ["min_iv_rank"] * 13
    changed = [*range(300), *[50] * 13]
    kept = thinned(names, changed, 200)
    assert kept == [*range(113, 313)]


# Profit targets


def test_a_target_closes_what_reached_it_and_nothing_else() -> None:
    found = cases(
        outcome=np.array([0.8, -1.0, -1.0, 0.1]),
        best=np.array([1.0, 1.0, np.nan, 1.0]),
        mfe_fraction=np.array([0.9, 0.6, 0.6, 0.3]),
    )
    assert paired_differences(found, [0.5]) == pytest.approx(np.array([[-0.3, 1.5, 0.0, 0.0]]))


def test_no_target_above_the_one_in_force() -> None:
    found = cases(outcome=np.zeros(4), mfe_fraction=np.array([0.1, 0.2, 0.5, 0.5]))
    assert targets_of(found, {"profit_target": 0.5}) == [0.25, 0.3, 0.35, 0.4, 0.45]
    assert targets_of(found, {"profit_target": 0.5}, step=0.1) == [0.4, 0.45]
    assert targets_of(cases(outcome=np.zeros(4)), {"profit_target": 0.5}) == []


def test_a_trade_that_would_have_ended_alike_gains_nothing_by_fees_or_days() -> None:
    profit, fee = np.array([0.15, 0.15, -0.3]), 0.01
    found = rates(
        profit - fee, np.array([30.0, 10.0, 5.0]), least=np.full(3, -1.0), most=np.full(3, 0.3),
        fees=np.full(3, fee),
    )  # fmt: skip
    one = cases(
        outcome=found.outcome, best=found.best, gross=found.gross, mfe_fraction=np.array([0.5, 0.5, 0.1])
    )
    assert paired_differences(one, [0.5]) == pytest.approx(np.zeros((1, 3)), abs=1e-15)


def test_what_the_other_settings_refuse_shows_nothing() -> None:
    rank = np.concatenate([np.linspace(40, 90, 200), np.linspace(28, 34, 8)])
    days = np.concatenate([np.full(200, 45.0), np.full(8, 100.0)])
    found = cases(features={"iv_rank": rank, "dte": days})
    reach = reach_of("min_iv_rank", found, {"min_iv_rank": 50.0, "target_dte": 45})
    assert min(reach.values) == 40.0


def test_what_nothing_within_the_base_tells_apart_differs_by_nothing() -> None:
    taken = np.arange(80) >= 40
    base = period_base(80, np.where(taken, "taken", "refused"))
    outcomes = np.where(taken, 0.0, 1.0)[:, None] + np.random.default_rng(1).normal(size=(80, 5))
    found = measure(Design(np.ones((1, 80), bool), taken[None]), outcomes, np.arange(80), base=base)
    assert (found.ratio == 0.0).all()
