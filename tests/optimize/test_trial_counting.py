"""What counts as one trial where it is easily missed: values by hand, pruned sets, windows, interrupts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.ledger import TrialLedger
from optimize.objectives import Objective
from optimize.strategy import tune_strategy
from optimize.trials import Trial, trial_of_result, trials_of_table
from simulator import Bars, Signals, backtest, load_bars, sweep
from simulator.errors import ConfigError, TwinstepWarning
from simulator.ran import ran_of
from strategies import SmaCross, strategy_class

VALUES: dict[str, Any] = {"fast": 5}


class Mine:
    name = "mine"

    warmup = 0

    def __init__(self, fast: int, held: Any = None) -> None:
        self._length = fast
        self._held = held

    def signals(self, bars: Bars) -> Signals:
        return SmaCross(fast=self._length, slow=60).signals(bars)


class EveryBar:
    name = "every-bar"
    warmup = 0

    def __init__(self, every: int, held: Any = None) -> None:
        self.every, self.held, self.seen = every, held, 0

    def on_bar(self, context: Any) -> None:
        self.seen += 1


def by_dict(bars: Bars) -> Signals:
    return SmaCross(fast=VALUES["fast"], slow=60).signals(bars)


def run(bars: Bars, strategy: Any, sink: TrialLedger) -> None:
    # neither has all that the protocols ask for
    backtest(bars, strategy, sink=sink)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:2x300?seed=1")


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(tmp_path / "trials.db")


def test_values_without_parameters_and_in_dicts_count(bars: Bars, ledger: TrialLedger) -> None:
    for fast in (5, 10, 10):
        run(bars, Mine(fast), sink=ledger)
        run(bars, EveryBar(fast), sink=ledger)
        VALUES["fast"] = fast
        backtest(bars, by_dict, sink=ledger)
    assert {name: ledger.count(name) for name in ledger.hypotheses()} == dict.fromkeys(ledger.hypotheses(), 2)
    assert ledger.count() == 6
    arrays = [ran_of(Mine(5, np.arange(n))).parameters for n in (3, 3, 4)]
    assert arrays[0] == arrays[1] != arrays[2]


def test_what_cannot_be_told_is_told_apart_by_signals_or_counts_alone(
    bars: Bars, ledger: TrialLedger
) -> None:
    for fast in (5, 10, 10):
        run(bars, Mine(fast, threading.Lock()), sink=ledger)
    assert ledger.count() == 2
    for _ in range(2):
        with pytest.warns(TwinstepWarning, match="OPTIMIZE_TRIAL_UNTOLD.*'held'"):
            run(bars, EveryBar(5, threading.Lock()), sink=ledger)
    assert ledger.count() == 4


def test_more_slots_than_a_run_needs_are_the_same_trial(bars: Bars, ledger: TrialLedger) -> None:
    for capacity in (None, 1000, 2000):
        backtest(bars, SmaCross(), capacity=capacity, sink=ledger)
    assert ledger.count() == 1


def test_a_run_told_by_hand_is_the_run_told_by_itself(bars: Bars, ledger: TrialLedger) -> None:
    result = backtest(bars, SmaCross(fast=5), sink=ledger)
    table = sweep(bars, SmaCross(), {"fast": [5, 10]}, sink=ledger)
    assert ledger.count() == 2
    by_hand = [
        trial_of_result(result, strategy="sma-cross", parameters={"fast": 5}),
        trial_of_result(result, strategy=SmaCross(fast=5)),
        *trials_of_table(table, bars, strategy="sma-cross", parameters=["fast"]),
    ]
    assert ledger.record(by_hand) == 0


def test_an_interrupted_sweep_tells_of_what_has_run(bars: Bars, ledger: TrialLedger) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    lanes = [SmaCross(fast=5).signals(bars)] * 2 + [SmaCross(fast=n).signals(bars) for n in (6, 7)]
    with pytest.raises(KeyboardInterrupt):
        sweep(bars, lanes, progress=stop, sink=ledger)
    assert ledger.count() == 3


@pytest.mark.parametrize("sampler", ["qmc", "tpe"])
def test_pruned_sets_count_once(bars: Bars, ledger: TrialLedger, sampler: str, tmp_path: Path) -> None:
    study = tune_strategy(
        bars, strategy_class("donchian-breakout")(), trials=40, sampler=sampler, pruner="median", sink=ledger,
        progress=False, storage=tmp_path / "studies.db",
    )  # fmt: skip
    assert study.table["why_not"].str.startswith("pruned after").sum() >= 1  # by default, too
    ran = study.table[~study.table["why_not"].str.startswith("refused")].drop_duplicates(list(study.space))
    (hypothesis,) = ledger.hypotheses()
    record = ledger.summary(hypothesis)
    assert record.trials in (len(ran), len(ran) + 1)
    assert record.stopped > 0
    assert record.effective == record.measured + record.stopped


def test_a_stopped_trial_gets_its_figures_when_it_is_run(ledger: TrialLedger) -> None:
    given: dict[str, Any] = {"strategy": "s", "data": "d", "parameters": {"n": 1}, "source": "study"}
    assert ledger.record([Trial(**given)]) == 1
    assert ledger.record([Trial(**given, sharpe=0.1, sessions=100)]) == 0
    assert ledger.record([Trial(**given, sharpe=0.9, sessions=100), Trial(**given)]) == 0
    table = ledger.frame()
    assert (len(table), table["sharpe"][0], table["sessions"][0]) == (1, 0.1, 100)


def test_short_windows_do_not_give_the_best(ledger: TrialLedger) -> None:
    def trial(number: int, sharpe: float, sessions: int) -> Trial:
        return Trial(
            strategy="s", data=str(sessions), parameters={"n": number}, source="sweep", hypothesis="h",
            sharpe=sharpe, sessions=sessions,
        )  # fmt: skip

    ledger.record([trial(n, 0.01 * n, 1000) for n in range(5)])
    before = ledger.summary("h")
    ledger.record([trial(n, 0.1 * n, 50) for n in range(5)])
    found = ledger.summary("h")
    assert (found.best_sharpe, found.best_sessions) == (0.04, 1000)
    assert found.deflated < before.deflated  # all trials deflate
    assert [(one.sessions, one.best_sharpe) for one in found.windows] == [(1000, 0.04), (50, 0.4)]


def half(table: Any) -> Any:
    return table["sharpe"] / 2


def third(table: Any) -> Any:
    return table["sharpe"] / 3


def test_a_study_is_not_resumed_with_other_code(bars: Bars, tmp_path: Path) -> None:
    def study(strategy: Any, formula: Any) -> None:
        tune_strategy(
            bars, strategy, space={"fast": [3, 4, 5]}, objective=Objective("mine", "Mine", "", formula),
            trials=2, storage=tmp_path / "s.db", study="one", sampler="random", progress=False,
        )  # fmt: skip

    def cross(slow: int) -> Any:
        def made(bars: Bars, fast: int = 5) -> Signals:
            return SmaCross(fast=fast, slow=slow).signals(bars)

        return made

    def other(bars: Bars, fast: int = 5, slow: int = 50) -> Signals:
        return SmaCross(fast=fast, slow=slow + 1).signals(bars)

    other.__name__ = "made"
    study(cross(50), half)
    study(cross(50), half)
    for strategy, formula, word in (
        (cross(50), third, "formula"), (other, half, "code"), (cross(60), half, "holds")
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"OPTIMIZE_STUDY_OTHER.*{word}"):
            study(strategy, formula)


def test_what_was_kept_back_is_told_when_a_study_is_interrupted(bars: Bars) -> None:
    class Busy:
        trials: Sequence[Trial] = ()
        asked = 0

        def record(self, trials: Sequence[Trial]) -> int:
            self.asked += 1
            if self.asked == 1:
                raise OSError("busy")
            self.trials = [*self.trials, *trials]
            return len(trials)

    def stop(done: int, total: int, best: float) -> None:
        if done:
            raise KeyboardInterrupt

    sink = Busy()
    with pytest.raises(KeyboardInterrupt):
        tune_strategy(bars, SmaCross(), trials=20, batch=5, sampler="qmc", progress=stop, sink=sink)
    assert len(sink.trials) > 1
