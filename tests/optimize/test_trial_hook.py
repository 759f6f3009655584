"""Everything that is run tells the ledger: each run once, whoever makes it, never at the cost of a result."""

from __future__ import annotations

import functools
import multiprocessing
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.ledger import TrialLedger
from optimize.statistics.sharpe import sharpe_sample
from optimize.strategy import tune_strategy
from simulator import Bars, RiskLimits, Signals, backtest, load_bars, sweep
from simulator.approval import Approval
from simulator.commands import Command
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import JournalError, TwinstepWarning
from simulator.ran import ran_of, rules_of
from simulator.trials import Trial
from strategies import SmaCross, load_strategy
from strategies.base import OnBarStrategy

GRID = {"fast": [5, 10, 15], "slow": [20, 30]}


class Sink:
    """Remembers what it is told, and fails as often as it is asked to."""

    def __init__(self, failures: int = 0) -> None:
        self.trials: list[Trial] = []
        self.failures = failures

    def record(self, trials: Sequence[Trial]) -> int:
        if self.failures:
            self.failures -= 1
            raise JournalError("no space left on the disk", code="JOURNAL_FULL")
        self.trials += trials
        return len(trials)

    @property
    def ids(self) -> list[str]:
        return [trial.id for trial in self.trials]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:2x250?seed=4")


def crossing(bars: Bars, fast: int = 5, slow: int = 20) -> Signals:
    return SmaCross(fast=fast, slow=slow).signals(bars)


def told(bars: Bars, strategy: Any, **rules: Any) -> Trial:
    sink = Sink()
    backtest(bars, strategy, sink=sink, **rules)
    (trial,) = sink.trials
    return trial


# One run is one trial


@pytest.mark.parametrize("kind", [SmaCross(), crossing])
def test_a_backtest_a_sweep_and_a_study_of_the_same_sets_are_the_same_trials(bars: Bars, kind: Any) -> None:
    swept, studied = Sink(), Sink()
    rules: dict[str, Any] = {"cash": 50_000.0, "costs": "alpaca", "risk": RiskLimits(max_open_positions=3)}
    table = sweep(bars, kind, GRID, sink=swept, **rules)
    tune_strategy(
        bars, kind, space=GRID, sampler="grid", trials=6, progress=False, sink=studied, **rules
    )  # fmt: skip
    make = functools.partial if kind is crossing else lambda _, **given: SmaCross(**given)
    pairs = [{"fast": fast, "slow": slow} for fast in GRID["fast"] for slow in GRID["slow"]]
    alone = [told(bars, make(kind, **pair), **rules) for pair in pairs]
    assert swept.ids == [trial.id for trial in alone]
    as_given = told(bars, kind, **rules).id  # the default is run, too
    assert set(studied.ids) == {*swept.ids, as_given}
    assert len(set(swept.ids)) == len(table) == 6
    assert [t.sharpe for t in swept.trials] == pytest.approx([t.sharpe for t in alone])
    assert {(t.source, s.source) for t, s in zip(swept.trials, alone, strict=True)} == {("sweep", "backtest")}
    assert {trial.source for trial in studied.trials} == {"study"}


@pytest.mark.parametrize(
    "changes",
    [
        {"cash": 99_999.0}, {"risk": RiskLimits(risk_per_trade_pct=1.0)}, {"costs": "alpaca"},
        {"conventions": "worst"}, {"approval": Approval(delay=timedelta(days=1))}, {"capacity": 3},
        {"commands": [Command("2024-06-03", "kill")]},
    ],
)  # fmt: skip
def test_what_decides_the_outcome_makes_another_trial(bars: Bars, changes: dict[str, Any]) -> None:
    assert told(bars, SmaCross(), **changes).id != told(bars, SmaCross()).id


@pytest.mark.parametrize(
    "changes",
    [
        {"costs": "zero"}, {"costs": Costs()}, {"conventions": Conventions()}, {"risk": RiskLimits()},
        {"cash": 100_000}, {"chunk": 50}, {"log": False}, {"commands": []},
    ],
)  # fmt: skip
def test_other_words_for_the_same_run_make_the_same_trial(bars: Bars, changes: dict[str, Any]) -> None:
    one, other = told(bars, SmaCross()), told(bars, SmaCross(), **changes)
    assert other.id == one.id
    assert other.sharpe == one.sharpe


def test_rules_show_what_is_unusual_and_tell_everything_apart() -> None:
    usual: dict[str, Any] = {"cash": 1e5, "risk": RiskLimits(), "costs": None, "conventions": "realistic"}
    assert rules_of(**usual).count(":") == 2  # cash and digest
    changed = rules_of(**{**usual, "risk": RiskLimits(heat_basis="mark")})
    assert '"heat_basis": "mark"' in changed
    assert '"risk": "off"' in rules_of(**{**usual, "risk": None})
    assert rules_of(**usual, warm_up=None) == rules_of(**usual) != rules_of(**usual, warm_up=5)


def test_lanes_of_signals_are_known_by_what_they_say(bars: Bars) -> None:
    lanes = [crossing(bars), crossing(bars, fast=10)]
    sink = Sink()
    sweep(bars, lanes, sink=sink)
    assert sink.ids == [told(bars, lane).id for lane in lanes]
    assert len(set(sink.ids)) == 2
    assert told(bars, crossing(bars)).id == sink.ids[0]


def test_values_tried_by_hand_in_a_function_count(bars: Bars) -> None:
    ids = {told(bars, lambda bars, n=n: crossing(bars, n)).id for n in (5, 6, 6)}
    assert len(ids) == 2

    def closed(n: int) -> Any:
        return lambda bars: crossing(bars, n)

    assert told(bars, closed(5)).id != told(bars, closed(6)).id
    assert told(bars, closed(5)).id == told(bars, closed(5)).id
    assert ran_of(closed(7)).parameters == {"n": 7}


SOURCE = """
from strategies import SmaCross

class Mine(SmaCross):
    def signals(self, bars):
        return super().signals(bars){tail}
"""


def test_changed_code_is_another_trial_and_another_layout_is_not(bars: Bars, tmp_path: Path) -> None:
    ids = []
    tails = ("", "  # a remark\n", " if len(bars) else None")
    for number, tail in enumerate(tails):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "mine.py").write_text(SOURCE.format(tail=tail), encoding="utf-8")
        ids.append(told(bars, load_strategy(f"{folder / 'mine.py'}:Mine")).id)
    assert ids[0] == ids[1] != ids[2]


class Monday(OnBarStrategy):
    def on_bar(self, context: Any) -> None:
        if context.row % 5 == 0:
            context.buy("S0", stop_percent=5.0)


def test_strategies_that_look_at_every_bar_and_several_in_one_account_count(bars: Bars) -> None:
    symbol = bars.symbols[0]
    strategy = Monday()
    strategy.on_bar = lambda context: (  # type: ignore[method-assign]
        context.buy(symbol, stop_percent=5.0) if context.row % 5 == 0 else None
    )
    assert told(bars, strategy).strategy == "monday"
    both = told(bars, [SmaCross(fast=5), SmaCross(fast=10)])
    assert both.strategy == "sma-cross + sma-cross"
    assert both.id != told(bars, [SmaCross(fast=5), SmaCross(fast=11)]).id


def test_a_window_after_a_warm_up_is_not_the_backtest_of_its_bars(bars: Bars) -> None:
    sink = Sink()
    tune_strategy(
        bars, SmaCross(), space={"fast": [5]}, sampler="grid", trials=1, first=100, progress=False, sink=sink
    )
    default, window = sink.trials
    assert default.parameters["fast"] == SmaCross().parameters()["fast"]
    assert window.data == bars[100:].fingerprint
    assert window.hypothesis == told(bars, SmaCross(fast=5)).hypothesis
    assert window.id != told(bars[100:], SmaCross(fast=5)).id


# What the ledger knows


def test_the_ledger_knows_the_shape_of_a_backtests_returns(bars: Bars, tmp_path: Path) -> None:
    ledger = TrialLedger(tmp_path / "trials.db")
    result = backtest(bars, SmaCross(fast=5, slow=20), sink=ledger)
    sweep(bars, SmaCross(), GRID, sink=ledger)
    table = ledger.frame().set_index("source")
    sample = sharpe_sample(result.returns)
    found = table.loc["backtest"]
    assert (found["skewness"], found["kurtosis"]) == pytest.approx((sample.skewness, sample.kurtosis))
    assert found["sharpe"] == pytest.approx(sample.sharpe)
    assert found["metrics"]["trades"] == len(result.trades)
    assert table.loc["sweep"]["kurtosis"].isna().all()
    assert len(table) == 6  # the backtest is one of the sweep's sets


def _runs(where: str, worker: int) -> None:
    bars, ledger = load_bars("synthetic:2x250?seed=4"), TrialLedger(where)
    if worker == 0:
        sweep(bars, SmaCross(), GRID, sink=ledger)
    elif worker == 1:
        for fast in (5, 10, 12):
            backtest(bars, SmaCross(fast=fast, slow=20), sink=ledger)
    else:
        space = {"fast": [10, 15, 18], "slow": [30]}
        tune_strategy(bars, SmaCross(), space=space, sampler="grid", trials=3, progress=False, sink=ledger)


def test_processes_count_what_was_really_run(tmp_path: Path) -> None:
    where = str(tmp_path / "trials.db")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_runs, args=(where, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 3
    ledger = TrialLedger(where)
    ran = {(fast, slow) for fast in GRID["fast"] for slow in GRID["slow"]}
    ran |= {(5, 20), (10, 20), (12, 20)} | {(10, 30), (15, 30), (18, 30)}
    ran |= {(20, 50)}  # the default, which the study compares with
    (hypothesis,) = ledger.hypotheses()
    counted = [(row["fast"], row["slow"]) for row in ledger.frame()["parameters"]]
    assert sorted(counted) == sorted(ran)
    assert ledger.summary(hypothesis).trials == len(ran) == 9


# A ledger that cannot be written


def test_a_result_is_never_lost_to_a_ledger(bars: Bars, tmp_path: Path) -> None:
    without = backtest(bars, SmaCross())
    missing = TrialLedger(tmp_path / "no" / "folder" / "trials.db")
    with pytest.warns(TwinstepWarning, match=r"OPTIMIZE_NOT_COUNTED.*1 trial is not counted.*no/folder"):
        result = backtest(bars, SmaCross(), sink=missing)
    assert result.fingerprint == without.fingerprint
    with pytest.warns(TwinstepWarning, match="6 trials are not counted"):
        table = sweep(bars, SmaCross(), GRID, sink=Sink(failures=9))
    np.testing.assert_array_equal(table["sharpe"], sweep(bars, SmaCross(), GRID)["sharpe"])


def test_a_study_tells_at_its_end_what_it_could_not_tell_before(bars: Bars) -> None:
    def study(sink: Sink) -> int:
        found = tune_strategy(
            bars, SmaCross(), space=GRID, sampler="grid", trials=6, batch=2, progress=False, sink=sink
        )
        return len(found.table)

    busy, full, good = Sink(failures=1), Sink(failures=99), Sink()
    study(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TwinstepWarning)
        study(busy)
    assert sorted(busy.ids) == sorted(good.ids)
    with pytest.warns(TwinstepWarning, match="7 trials are not counted"):
        assert study(full) == 6
    # it did not wait for a ledger at every batch
    assert full.failures == 97
