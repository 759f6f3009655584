"""Walk-forward: tuning has not seen what is tested, and stitched returns are those of backtests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize import TrialLedger, walk_forward
from optimize.evaluator import Evaluator, Rules, evaluate
from optimize.forward import WalkForward
from optimize.forward.windows import folds_of
from optimize.strategy import tune_strategy
from simulator import Bars, Signals, backtest, load_bars
from simulator.errors import ConfigError, TwinstepError
from simulator.options import OptionMarket
from strategies import strategy_class
from strategies.base import Int

SMA: Any = strategy_class("sma-cross")
GIVEN: dict[str, Any] = {"space": ["fast", "stop_atr"], "trials": 6, "sampler": "qmc"}
START = SMA(slow=30)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:3x320?seed=4")


@pytest.fixture(scope="module")
def walked(bars: Bars) -> WalkForward:
    return walk_forward(bars, START, folds=4, **GIVEN)


def changed(bars: Bars, first: int, last: int) -> Bars:
    """The same bars with other prices in a stretch, and after it levels as before."""
    rng = np.random.default_rng(1)
    panel = bars.panel.copy()
    panel[first:last, :, :4] *= np.exp(rng.normal(0, 0.05, (last - first, len(bars.symbols), 1)))
    return bars.replaced(panel=panel)


def sets_of(walked: WalkForward) -> list[dict[str, Any]]:
    return [
        {"fast": int(row["fast"]), "stop_atr": float(row["stop_atr"])}
        for row in walked.folds.to_dict("records")
    ]


# Windows


def test_windows_follow_each_other_and_end_with_the_last_bar(bars: Bars, walked: WalkForward) -> None:
    folds = walked.folds
    assert folds["test_sessions"].tolist() == [40] * 4
    assert folds["train_sessions"].tolist() == [160] * 4
    assert folds["test_end"].iloc[-1] == bars.index[-1]
    rows = {label: row for row, label in enumerate(bars.index)}
    for fold in folds.to_dict("records"):
        assert rows[fold["test_start"]] == rows[fold["train_end"]] + 1
    assert walked.returns.index.equals(bars.index[160:])


def test_lengths_follow_from_what_is_given(bars: Bars) -> None:
    def lengths(mode: Any = "rolling", **given: int) -> list[tuple[int, int]]:
        named = dict.fromkeys(("train", "test", "folds", "purge", "embargo"))
        return [(one.train_sessions, one.test_sessions) for one in folds_of(bars, mode, **{**named, **given})]

    assert lengths() == [(128, 32)] * 6
    assert lengths(train=200) == [(200, 20)] * 6
    assert lengths(test=50) == [(200, 50)] * 2
    assert lengths(test=50, folds=3) == [(170, 50)] * 3
    assert lengths(train=100, test=60) == [(100, 60)] * 3
    assert lengths(train=100, test=60, folds=1) == [(100, 60)]
    assert lengths(train=100, test=60, purge=10) == [(90, 60)] * 3
    assert lengths("anchored", train=100, test=60) == [(140, 60), (200, 60), (260, 60)]
    # 1 % of 320 sessions, rounded up, is the embargo after each test but the last
    assert lengths("kfold", folds=4) == [(236, 80)] * 3 + [(240, 80)]
    assert lengths("kfold", folds=4, embargo=0, purge=3) == [(237, 80), (234, 80), (234, 80), (237, 80)]
    assert [test for _, test in lengths("combinatorial", folds=4)] == [160] * 6
    assert len(lengths("combinatorial", folds=5, test=3)) == 10


def test_sessions_of_intraday_bars_are_not_cut() -> None:
    bars = load_bars("synthetic:1x700?seed=2&interval=30min")
    walked = walk_forward(bars, SMA(slow=30), space={"fast": [5, 10]}, trials=2, sampler="grid", folds=3)
    starts = set(bars.index[np.flatnonzero(np.diff(bars.session_no, prepend=-1))])
    assert set(walked.folds["test_start"]) <= starts
    assert len(walked.returns) == walked.folds["test_sessions"].sum()
    assert walked.returns.index.is_unique


@pytest.mark.parametrize(
    "bad",
    [
        {"mode": "roling"}, {"train": 300, "test": 100}, {"train": 50, "test": 10, "folds": 99}, {"folds": 0},
        {"mode": "kfold", "train": 10}, {"mode": "kfold", "test": 10}, {"mode": "combinatorial", "train": 10},
        {"mode": "combinatorial", "folds": 4, "test": 4}, {"embargo": 5}, {"train": 1.5}, {"purge": -1},
        {"mode": "kfold", "folds": 2, "purge": 300},
    ],
)  # fmt: skip
def test_windows_that_do_not_fit_are_an_error(bars: Bars, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        walk_forward(bars, SMA(), **bad)
    assert caught.value.code == "OPTIMIZE_SPLIT"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"objective": ["sharpe", "calmar"]}, "OPTIMIZE_OBJECTIVE"),
        ({"objective": "sharp"}, "OPTIMIZE_OBJECTIVE_NAME"),
        ({"sampler": "tpo"}, "OPTIMIZE_SAMPLER"),
        ({"space": ["fsat"]}, "OPTIMIZE_SPACE"),
        ({"min_trades": -1}, "OPTIMIZE_CONSTRAINT"),
        ({"workers": 0}, "OPTIMIZE_WORKERS"),
    ],
)
def test_what_tuning_refuses_is_refused_at_once(bars: Bars, bad: dict[str, Any], code: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        walk_forward(bars, SMA(), **bad)
    assert caught.value.code == code


# Nothing of a test reaches its tuning


def above_average(bars: Bars, length: int = 10, wait: int = 5) -> Signals:
    """Remembers `length` bars and not one more."""
    close = pd.DataFrame(bars.close)
    above = np.array(close > close.rolling(length).mean())
    above[np.arange(len(bars)) % wait > 0] = False
    rows, columns = np.nonzero(above)
    return Signals.from_arrays(bars, rows, columns, 1, stop_percent=4.0, max_bars=3, qty=10.0)


@pytest.mark.parametrize("mode", ["rolling", "anchored", "kfold", "combinatorial"])
def test_prices_of_a_test_do_not_reach_its_tuning(bars: Bars, mode: Any) -> None:
    given: dict[str, Any] = {"mode": mode, "folds": 4, "trials": 4, "sampler": "qmc", "risk": None}
    given["space"] = {"length": Int(4, 20), "wait": Int(3, 6)}
    if mode in ("kfold", "combinatorial"):
        # training goes on after the test: what remembers 20 bars must not reach back into it
        given["embargo"] = 20
    folds = folds_of(bars, mode, train=None, test=None, folds=4, purge=None, embargo=given.get("embargo"))
    before = walk_forward(bars, above_average, **given)
    for number in (0, len(folds) - 1):
        other = bars
        for first, last in folds[number].test:
            other = changed(other, first, last)
        after = walk_forward(other, above_average, **given)
        columns = ["in_sample", "in_sample_default", "length", "wait"]
        mine, theirs = after.folds.iloc[number], before.folds.iloc[number]
        pd.testing.assert_series_equal(mine[columns], theirs[columns])
        assert mine["total_return"] != theirs["total_return"]


def test_what_comes_later_changes_no_earlier_fold(bars: Bars, walked: WalkForward) -> None:
    later = walk_forward(changed(bars, 280, 320), START, folds=4, **GIVEN)
    np.testing.assert_array_equal(later.returns[:120], walked.returns[:120])
    assert later.folds.iloc[:3].equals(walked.folds.iloc[:3])
    assert not np.allclose(later.returns[120:], walked.returns[120:])


def test_a_fold_is_tuned_as_a_study_of_its_window(bars: Bars, walked: WalkForward) -> None:
    for number in range(4):
        seed = int(np.random.SeedSequence([0, number + 1]).generate_state(1)[0])
        first = 40 * number
        study = tune_strategy(bars, START, first=first, last=first + 160, seed=seed, progress=False, **GIVEN)
        row = walked.folds.iloc[number]
        assert {name: row[name] for name in ("fast", "stop_atr")} == study.best
        assert row["in_sample"] == study.best_value
        assert row["in_sample_default"] == study.default_values["sharpe"]


def peeking(bars: Bars, days: int = 1) -> Signals:
    """Looks at the last close that it is shown."""
    side = np.sign(bars.close[-1, 0] - bars.close[::5, 0]) + 0.0
    return Signals.from_arrays(bars, np.arange(0, len(bars), 5), 0, side, stop_percent=5.0, max_bars=days)


@pytest.mark.parametrize("mode", ["rolling", "kfold"])
def test_nothing_after_a_window_reaches_its_signals(bars: Bars, mode: Any) -> None:
    given: dict[str, Any] = {"mode": mode, "folds": 4, "space": {"days": [1, 2]}, "trials": 1}
    before = walk_forward(bars, peeking, **given)
    other = changed(bars, 280, 320)
    after = walk_forward(other, peeking, **given)
    kept = len(before.returns) - (40 if mode == "rolling" else 80)
    np.testing.assert_array_equal(after.returns[:kept], before.returns[:kept])
    assert before.results[0].metrics["trades"] > 5


# What is stitched


def test_one_account_trades_through_rolling_windows(bars: Bars, walked: WalkForward) -> None:
    frames = []
    for number, parameters in enumerate(sets_of(walked)):
        first, last = 160 + 40 * number, 200 + 40 * number
        frame = START.replace(**parameters).signals(bars[:last]).frame()
        frames.append(frame[(frame["time"] >= bars.index[first]) & (frame["time"] <= bars.index[last - 1])])
    result = backtest(bars, Signals.from_frame(pd.concat(frames)))
    np.testing.assert_allclose(walked.returns.to_numpy(), result.returns.to_numpy()[160:], atol=1e-14)
    assert walked.results[0].metrics["trades"] == result.metrics["trades"] > 0
    assert walked.equity.iloc[-1] == pytest.approx(result.metrics["final_equity"], rel=1e-12)
    # a position of an earlier window lives on in the next
    ended = walked.results[0].trades
    borders = bars.index[[200, 240, 280]]
    assert any(((ended["entry_time"] < edge) & (ended["exit_time"] > edge)).any() for edge in borders)


@pytest.mark.parametrize("mode", ["rolling", "anchored", "kfold", "combinatorial"])
def test_the_default_trades_the_same_sessions(bars: Bars, mode: Any) -> None:
    walked = walk_forward(bars, START, mode=mode, folds=3, space={"fast": [20]}, trials=1, sampler="grid")
    # nothing but the default could be found: it is never better than itself
    np.testing.assert_array_equal(walked.returns, walked.default_returns)
    assert walked.default_beats_tuned == 0.0
    assert np.isnan(walked.verdict.p_default)
    assert not walked.verdict.claims_tuning
    assert walked.returns.index.equals(walked.market_returns.index)


def test_windows_of_a_cross_validation_are_accounts_of_their_own(bars: Bars) -> None:
    walked = walk_forward(bars, START, mode="kfold", folds=4, **GIVEN)
    expected = []
    for number, parameters in enumerate(sets_of(walked)):
        first, last = 80 * number, 80 * number + 80
        frame = START.replace(**parameters).signals(bars[:last]).frame()
        inside = frame[frame["time"] >= bars.index[first]]
        signals = Signals.from_frame(inside) if len(inside) else Signals.empty(bars)
        expected.append(backtest(bars[:last], signals).returns.to_numpy()[first:])
    np.testing.assert_allclose(walked.returns.to_numpy(), np.concatenate(expected), atol=1e-14)
    assert walked.folds["trades"].sum() == sum(result.metrics["trades"] for result in walked.results)


def test_paths_of_a_combinatorial_walk_are_whole_histories(bars: Bars) -> None:
    walked = walk_forward(bars, START, mode="combinatorial", folds=4, **{**GIVEN, "trials": 3})
    assert len(walked.folds) == 6
    assert walked.paths["path"].tolist() == [1, 2, 3]
    assert len(walked.results) == 3 * 4
    # each group is tested by three choices, one on each path
    choices = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    total = np.zeros(320)
    for number, chosen in enumerate(choices):
        parameters = sets_of(walked)[number]
        evaluator = Evaluator(bars, START, Rules())
        for group in chosen:
            rows = slice(80 * group, 80 * group + 80)
            total[rows] += evaluator.returns(parameters, first=rows.start, last=rows.stop)
    np.testing.assert_allclose(walked.returns.to_numpy(), total / 3, atol=1e-14)


def test_the_table_says_what_happened(bars: Bars, walked: WalkForward) -> None:
    for number, parameters in enumerate(sets_of(walked)):
        first, last = 160 + 40 * number, 200 + 40 * number
        alone = evaluate(bars, START, [parameters, {}], first=first, last=last)
        row = walked.folds.iloc[number]
        for column, index in (("out_of_sample", 0), ("out_of_sample_default", 1)):
            assert (
                row[column] == alone["sharpe"][index] or np.isnan([row[column], alone["sharpe"][index]]).all()
            )
        assert row["total_return"] == alone["total_return"][0]
        assert row["total_return_default"] == alone["total_return"][1]
        assert row["trades"] == alone["trades"][0]
        both = np.isfinite([row["out_of_sample"], row["out_of_sample_default"]]).all()
        mine, given = alone["sharpe" if both else "total_return"]
        assert row["default_better"] == (given > mine)
    assert walked.default_beats_tuned == walked.folds["default_better"].mean()
    text = str(walked)
    assert walked.sentence() in text
    assert "rolling, 4 folds, 24 sets tried" in text


def test_what_is_held_is_the_market(bars: Bars, walked: WalkForward) -> None:
    held = backtest(bars, Signals.empty(bars)).benchmark_returns
    np.testing.assert_allclose(walked.market_returns.to_numpy(), held.to_numpy()[160:], atol=1e-14)


# Leaving out stretches


@pytest.mark.parametrize("without", [[(100, 180)], [(0, 60), (200, 220)], [(60, 90), (80, 140), (300, 320)]])
def test_a_window_without_a_stretch_is_its_parts_together(bars: Bars, without: Any) -> None:
    sets: list[dict[str, Any]] = [{"fast": 5}, {"fast": 10}, {"fast": 15, "stop_atr": 1.5}]
    rows = Evaluator(bars, START, Rules(), without=without).metrics(sets)
    kept = np.ones(320, bool)
    for first, last in without:
        kept[first:last] = False
    parts = np.flatnonzero(np.diff(np.concatenate([[0], kept, [0]]))).reshape(-1, 2).tolist()
    for parameters, row in zip(sets, rows, strict=True):
        returns, trades, pnl, falls, fees = [], 0, 0.0, [0.0], 0.0
        for first, last in parts:
            frame = START.replace(**parameters).signals(bars[:last]).frame()
            inside = frame[frame["time"] >= bars.index[first]]
            signals = Signals.from_frame(inside) if len(inside) else Signals.empty(bars)
            result = backtest(bars[:last], signals)
            returns.append(result.returns.to_numpy()[first:])
            trades += int(result.metrics["trades"])
            pnl += float(result.trades["pnl"].sum())
            falls.append(result.metrics["max_drawdown"])
            fees += result.metrics["fees"]
        joined = np.concatenate(returns)
        assert row["sessions"] == len(joined) == kept.sum()
        assert row["trades"] == trades > 0
        assert row["sharpe"] == pytest.approx(joined.mean() / joined.std(ddof=1) * np.sqrt(252), rel=1e-9)
        assert row["total_return"] == pytest.approx(np.prod(1 + joined) - 1, abs=1e-12)
        assert row["expectancy"] == pytest.approx(pnl / trades, rel=1e-9)
        assert row["max_drawdown"] == pytest.approx(min(falls), rel=1e-9)
        assert row["fees"] == pytest.approx(fees)
        mine = Evaluator(bars, START, Rules(), without=without).returns(parameters)
        np.testing.assert_allclose(mine, joined, atol=1e-14)


def test_nothing_left_of_a_window_is_an_error(bars: Bars) -> None:
    evaluator = Evaluator(bars, START, Rules(), without=[(50, 150), (150, 200)])
    assert evaluator.parts(0, 100) == [(0, 50)]
    assert evaluator.parts(100, 250) == [(200, 250)]
    with pytest.raises(ConfigError) as caught:
        evaluator.metrics([{}], first=60, last=190)
    assert caught.value.code == "OPTIMIZE_WINDOW"
    with pytest.raises(ConfigError) as caught:
        evaluator.result([({}, 0, 50), ({}, 40, 80)])
    assert caught.value.code == "OPTIMIZE_WINDOW"


def test_a_study_with_a_gap_is_another_study(bars: Bars) -> None:
    given = {**GIVEN, "progress": False}
    whole = tune_strategy(bars, START, **given)
    parts = tune_strategy(bars, START, without=[(100, 200)], **given)
    assert whole.name != parts.name
    assert parts.default["sessions"] == 220
    assert (parts.table["sessions"].dropna() == 220).all()


# Around it


def test_the_same_seed_gives_the_same_walk_on_any_number_of_workers(bars: Bars, walked: WalkForward) -> None:
    seen: list[tuple[int, int]] = []
    other = walk_forward(
        bars, START, folds=4, workers=2, progress=lambda done, total: seen.append((done, total)), **GIVEN
    )
    pd.testing.assert_frame_equal(other.folds, walked.folds)
    pd.testing.assert_series_equal(other.returns, walked.returns)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert other.verdict == walked.verdict


def test_every_run_is_counted_once(bars: Bars, tmp_path: Any) -> None:
    ledger = TrialLedger(tmp_path / "trials.db")
    given: dict[str, Any] = {"space": {"fast": [5, 10, 20]}, "trials": 3, "sampler": "grid", "folds": 3}
    walked = walk_forward(bars, START, sink=ledger, **given)
    (hypothesis,) = ledger.hypotheses()
    # three sets on each training, and on each test what was chosen and what was given (fast 20)
    expected = 3 * 3 + int((1 + (walked.folds["fast"] != 20)).sum())
    assert ledger.summary(hypothesis).trials == expected > 12
    walk_forward(bars, START, sink=ledger, **given)
    assert ledger.summary(hypothesis).trials == expected
    assert walked.tried == 9


def test_an_interrupted_walk_keeps_the_trials_of_the_folds_that_were_done(
    bars: Bars, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optimize.forward.fold import tune_fold

    def interrupted(*given: Any) -> Any:
        if given[-1].number == 3:
            raise KeyboardInterrupt
        return tune_fold(*given)

    monkeypatch.setattr("optimize.forward.walk.tune_fold", interrupted)
    ledger = TrialLedger(tmp_path / "trials.db")
    given: dict[str, Any] = {"space": {"fast": [5, 10, 20]}, "trials": 3, "sampler": "grid", "folds": 3}
    with pytest.raises(KeyboardInterrupt):
        walk_forward(bars, START, sink=ledger, **given)
    (hypothesis,) = ledger.hypotheses()
    assert ledger.summary(hypothesis).trials == 2 * 3


def test_a_report_has_the_title_that_was_asked_for(walked: WalkForward, tmp_path: Any) -> None:
    page = walked.report(tmp_path / "walk.html", title="Quarter by quarter").read_text(encoding="utf-8")
    assert "<title>Quarter by quarter" in page


def test_functions_and_classes_are_walked_forward_too(bars: Bars) -> None:
    def every(bars: Bars, step: int = 5) -> Signals:
        return Signals.from_arrays(bars, np.arange(0, len(bars), step), 0, 1, stop_percent=5.0, max_bars=3)

    walked = walk_forward(bars, every, space={"step": Int(3, 9)}, folds=3, trials=4, sampler="qmc")
    assert walked.name == "every"
    assert walked.folds["step"].between(3, 9).all()
    assert walked.results[0].metrics["trades"] > 0
    kind = walk_forward(bars, SMA, space=["fast"], folds=2, trials=2, sampler="qmc")
    assert kind.strategy == SMA()


def test_option_packages_are_walked_forward_too() -> None:
    bars = load_bars("synthetic:1x520?seed=1")
    level = 0.2 + 0.05 * np.sin(np.arange(len(bars)) / 9.0)
    bars = bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: level}, rate=0.02))
    kind: Any = strategy_class("short-put-spread")
    space = {"target_dte": [30, 45], "min_iv_rank": [0.0, 20.0]}
    given: dict[str, Any] = {"space": space, "trials": 4, "sampler": "grid", "train": 400, "test": 60}
    walked = walk_forward(bars, kind(min_iv_rank=0.0), cash=500_000.0, folds=2, **given)
    assert len(walked.results[0].packages) == walked.verdict.trades > 0
    assert len(walked.returns) == 120


def test_without_a_feasible_set_the_strategy_stays_as_it_was(bars: Bars) -> None:
    walked = walk_forward(bars, START, min_trades=1000, folds=3, **GIVEN)
    assert walked.folds["in_sample"].isna().all()
    np.testing.assert_array_equal(walked.returns, walked.default_returns)


def test_what_never_trades_has_no_verdict(bars: Bars) -> None:
    walked = walk_forward(bars, SMA(slow=200, fast=190), space={"stop_atr": [2.0, 3.0]}, folds=3, trials=2)
    assert walked.verdict.trades == 0
    assert not walked.verdict.claims_evidence
    assert walked.sentence() == "Not enough evidence: out of sample it never traded."
    assert "nan" not in walked.sentence()
