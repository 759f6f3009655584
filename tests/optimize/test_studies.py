"""Studies: deterministic, honest about constraints, pruning and refusals, and about what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from optimize.evaluator import evaluate
from optimize.statistics.sharpe import deflated_sharpe, sharpe_sample
from optimize.strategy import StrategyStudy, tune_strategy
from simulator import Bars, Signals, backtest, load_bars
from simulator.errors import EngineError, JournalError, TwinstepError
from strategies import strategy_class
from strategies.base import Choice, Float, Int, Strategy, param

SMA: Any = strategy_class("sma-cross")
DONCHIAN: Any = strategy_class("donchian-breakout")
SMALL: dict[str, Any] = {"length": Int(10, 40, 10), "stop_atr": Float(1.0, 3.0, 1.0)}


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:2x300?seed=3")


def tune(bars: Bars, strategy: Any = None, **given: Any) -> StrategyStudy:
    return tune_strategy(bars, DONCHIAN() if strategy is None else strategy, **{"progress": False, **given})


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def drawn(study: StrategyStudy) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in study.table[list(study.space)].to_numpy().tolist()]


# What is searched


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random", "nsga2", "nsga3", "grid"])
def test_every_sampler_is_deterministic_and_keeps_to_the_space(sampler: str, bars: Bars) -> None:
    first = tune(bars, sampler=sampler, trials=24, batch=8, seed=3)
    again = tune(bars, sampler=sampler, trials=24, batch=8, seed=3)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert drawn(first) != drawn(tune(bars, sampler=sampler, trials=24, batch=8, seed=4))
    assert len(first.table) == 24
    for name, space in DONCHIAN.space().items():
        assert all(space.contains(value) for value in first.table[name]), name
    assert first.best is not None
    assert first.best_value == first.table.loc[first.table["feasible"], "sharpe"].max()


def test_figures_are_those_of_the_sets(bars: Bars) -> None:
    study = tune(bars, trials=20, sampler="random", objective="calmar")
    done = study.table[study.table["state"] == "complete"]
    sets = done[list(study.space)].pipe(records)
    again = evaluate(bars, DONCHIAN(), sets)
    np.testing.assert_array_equal(done["calmar"].to_numpy(), again["calmar"].to_numpy())
    np.testing.assert_array_equal(done["trades"].to_numpy(), again["trades"].to_numpy())


def test_a_grid_finds_what_a_brute_force_finds(bars: Bars) -> None:
    study = tune(bars, sampler="grid", space=SMALL, trials=500)
    sets = [{"length": a, "stop_atr": b} for a in (10, 20, 30, 40) for b in (1.0, 2.0, 3.0)]
    assert sorted(drawn(study)) == sorted(tuple(one.values()) for one in sets)
    table = evaluate(bars, DONCHIAN(), sets)
    assert study.best_value == table["sharpe"].max()
    part = tune(bars, sampler="grid", space=SMALL, trials=5)
    assert len(set(drawn(part))) == 5


def test_what_has_no_space_stays_as_it_is(bars: Bars) -> None:
    study = tune(bars, SMA(atr_length=7, trail_atr=3.0), space=["stop_atr"], trials=6, sampler="random")
    again = evaluate(bars, SMA(atr_length=7, trail_atr=3.0), study.table[["stop_atr"]].pipe(records))
    known = study.table["state"] == "complete"
    assert study.table["sharpe"][known].tolist() == again["sharpe"][known].tolist()
    assert study.best_strategy == SMA(atr_length=7, trail_atr=3.0, **(study.best or {}))


def test_spaces_that_multiply_and_lists_of_values(bars: Bars) -> None:
    space = {"stop_atr": Float(0.5, 8.0, log=True), "length": [10, 20], "exit_length": Int(2, 32, log=True)}
    study = tune(bars, space=space, trials=40, sampler="random")
    assert set(study.table["length"]) == {10, 20}
    assert study.table["stop_atr"].between(0.5, 8.0).all()
    assert abs(study.table["stop_atr"].median() - 2.0) < 1.0
    uneven = tune(bars, space={"length": Int(10, 25, 10)}, trials=10, sampler="random")
    assert set(uneven.table["length"]) == {10, 20}


# Refused, undefined, constrained


def test_a_refused_combination_is_a_trial_and_never_the_best(bars: Bars) -> None:
    space = {"fast": Int(5, 60, 5), "slow": Int(10, 60, 10)}
    study = tune(bars, SMA(), space=space, trials=60, sampler="tpe")
    refused = study.table["why_not"].str.startswith("refused")
    assert 0 < refused.sum() < 60
    assert (study.table["fast"] >= study.table["slow"]).tolist() == refused.tolist()
    assert not study.table["feasible"][refused].any()
    assert study.best is not None
    assert study.best["fast"] < study.best["slow"]


def test_a_set_without_a_figure_is_a_trial_and_never_the_best(bars: Bars) -> None:
    study = tune(bars[:60], space={"length": Int(10, 100, 10)}, trials=10, sampler="grid")
    idle = study.table["length"] >= 60
    assert study.table["sharpe"][idle].isna().all()
    assert study.table["why_not"][idle].str.contains("never traded").all()
    assert len(study.table) == 10
    nothing = tune(bars[:60], space={"length": Int(70, 100, 10)}, trials=4)
    assert nothing.best is None
    assert "nothing to recommend" in str(nothing)
    assert nothing.importance() == {}
    assert nothing.best_strategy == DONCHIAN()


def test_constraints_hold_for_the_best(bars: Bars) -> None:
    free = tune(bars, trials=60, sampler="random", seed=1)
    limits: dict[str, Any] = {"min_trades": 14, "max_drawdown_pct": 6.0}
    bound = tune(bars, trials=60, sampler="random", seed=1, **limits)
    assert drawn(free) == drawn(bound)
    kept = (free.table["trades"] >= 14) & (free.table["max_drawdown"] >= -0.06) & free.table["sharpe"].notna()
    assert 0 < kept.sum() < free.table["feasible"].sum()
    assert bound.table["feasible"].tolist() == kept.tolist()
    assert bound.best_value == free.table["sharpe"][kept].max()
    assert bound.optuna.best_value == bound.best_value
    impossible = tune(bars, trials=12, min_trades=10_000)
    assert impossible.best is None
    assert (impossible.table["why_not"] == "breaks min_trades").any()


def test_a_sampler_that_learns_stays_within_the_constraints(bars: Bars) -> None:
    limits: dict[str, Any] = {"min_trades": 15}
    random = tune(bars, trials=80, sampler="random", **limits)
    learned = tune(bars, trials=80, sampler="tpe", **limits)
    assert learned.table["feasible"].tail(40).mean() > random.table["feasible"].tail(40).mean()


# Pruning


def test_pruned_sets_ran_on_a_part_only_and_survivors_on_the_whole(bars: Bars) -> None:
    study = tune(bars, trials=60, sampler="random", pruner="median", batch=10, prune_at=(0.3, 0.6))
    pruned = study.table["why_not"].str.startswith("pruned after")
    assert 5 < pruned.sum() < 50
    assert study.table["why_not"][pruned].isin(["pruned after 90 bars", "pruned after 180 bars"]).all()
    assert study.table["sharpe"][pruned].isna().all()
    whole = tune(bars, trials=60, sampler="random", batch=10)
    both = ~pruned.to_numpy()
    np.testing.assert_array_equal(
        study.table["sharpe"].to_numpy()[both], whole.table["sharpe"].to_numpy()[both]
    )
    part = evaluate(bars, DONCHIAN(), study.table[list(study.space)].pipe(records), last=90)
    for trial, figure in zip(study.optuna.trials, part["sharpe"], strict=True):
        assert trial.intermediate_values.get(1, np.nan) == pytest.approx(figure, nan_ok=True)


@pytest.mark.parametrize("pruner", ["percentile", "halving", "hyperband"])
def test_other_pruners_work_too(pruner: str, bars: Bars) -> None:
    study = tune(bars, trials=40, sampler="random", pruner=pruner, batch=10)
    assert len(study.table) == 40
    assert study.best is not None


# Several objectives


def test_the_front_is_what_nothing_beats(bars: Bars) -> None:
    study = tune(bars, trials=60, objective=["sharpe", "calmar"], sampler="nsga2", min_trades=5)
    good = study.table[study.table["feasible"]]
    points = list(zip(good["sharpe"], good["calmar"], strict=True))
    expected = {
        (a, b) for a, b in points if not any(c >= a and d >= b and (c > a or d > b) for c, d in points)
    }
    assert set(zip(study.pareto["sharpe"], study.pareto["calmar"], strict=True)) == expected
    theirs = {tuple(trial.values) for trial in study.optuna.best_trials}
    assert theirs == expected
    assert study.best is None
    assert "Pareto front" in str(study)
    assert set(study.importance("calmar")) == set(study.space)


# What it is worth


def test_the_deflated_sharpe_is_that_of_the_best_among_all_that_ran(bars: Bars) -> None:
    study = tune(bars, trials=40, sampler="random")
    found = study.deflated
    assert found is not None
    assert study.best is not None
    sample = sharpe_sample(backtest(bars, DONCHIAN(**study.best)).returns.to_numpy())
    different = study.table.drop_duplicates(list(study.space))
    variance = float(different["sharpe"].dropna().var() / 252)
    expected = deflated_sharpe(
        sample.sharpe, sample.observations, trials=len(different), variance=variance,
        skewness=sample.skewness, kurtosis=sample.kurtosis,
    )  # fmt: skip
    assert found.probability == pytest.approx(expected, rel=1e-9)
    assert found.sharpe == pytest.approx(study.best_value, rel=1e-9)
    assert found.trials == len(different)
    assert "no evidence" in str(study)
    assert f"{found.probability:.2f}" in str(study)


def test_a_window_is_tuned_without_what_comes_after(bars: Bars) -> None:
    inside = tune(bars, trials=15, sampler="random", first=50, last=200)
    alone = tune(bars[:200], trials=15, sampler="random", first=50)
    pd.testing.assert_frame_equal(inside.table, alone.table)
    assert inside.table["sessions"].dropna().eq(150).all()
    assert inside.deflated is not None
    assert inside.deflated.sessions == 150


def test_what_the_figure_depends_on(bars: Bars) -> None:
    class OneMatters(Strategy):
        @dataclass(frozen=True)
        class Params:
            share: float = param(1.0, Float(0.0, 1.0))
            idle: float = param(0.5, Float(0.0, 1.0))

        params: Params

        def signals(self, bars: Bars) -> Signals:
            rows = np.arange(1, len(bars), 2)
            side = np.where(np.random.default_rng(0).random(len(rows)) < self.params.share, 1, -1)
            return Signals.from_arrays(bars, rows, 0, side, stop_percent=3.0, max_bars=1)

    study = tune(bars, OneMatters(), trials=60, sampler="random")
    importance = study.importance()
    assert importance["share"] > importance["idle"]
    assert sum(importance.values()) == pytest.approx(1.0)


# Told


class Sink:
    def __init__(self) -> None:
        self.trials: list[Any] = []

    def record(self, trials: Sequence[Any]) -> None:
        self.trials += trials


def test_a_ledger_is_told_of_every_set_that_ran(bars: Bars) -> None:
    sink = Sink()
    study = tune(bars, trials=20, sampler="random", sink=sink, seed=2, first=20)
    ran = study.table.dropna(subset=["sessions"])
    assert len(sink.trials) == 1 + len(ran)  # the strategy as given, too
    assert {trial.source for trial in sink.trials} == {"study"}
    assert len({trial.hypothesis for trial in sink.trials}) == 1
    one = sink.trials[1]
    assert one.parameters["atr_length"] == 14
    assert one.sharpe * np.sqrt(252) == pytest.approx(ran["sharpe"].iloc[0], nan_ok=True)
    assert one.first_ts == bars.ts[20]
    again = Sink()
    tune(bars, trials=20, sampler="random", sink=again, seed=2, first=20)
    assert [trial.id for trial in again.trials] == [trial.id for trial in sink.trials]


def test_progress_tells_of_trials_and_of_the_best_so_far(bars: Bars) -> None:
    seen: list[tuple[int, int, float]] = []
    study = tune(bars, trials=25, batch=10, progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == [0, 10, 20, 25]
    assert {total for _, total, _ in seen} == {25}
    bests = [best for _, _, best in seen if not np.isnan(best)]
    assert bests == sorted(bests)
    assert bests[-1] == study.best_value


# Wrong input


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"space": {}}, "OPTIMIZE_SPACE_EMPTY"),
        ({"space": []}, "OPTIMIZE_SPACE_EMPTY"),
        ({"space": "length"}, "OPTIMIZE_SPACE"),
        ({"space": ["lenght"]}, "OPTIMIZE_SPACE"),
        ({"space": ["atr_length"]}, "OPTIMIZE_SPACE"),
        ({"space": {"lenght": Int(1, 2)}}, "OPTIMIZE_SPACE"),
        ({"space": {"length": 5}}, "OPTIMIZE_SPACE"),
        ({"space": {"length": Choice(((1,), (2,)))}}, "OPTIMIZE_SPACE"),
        ({"objective": "sharp"}, "OPTIMIZE_OBJECTIVE_NAME"),
        ({"sampler": "tpee"}, "OPTIMIZE_SAMPLER"),
        ({"sampler": "gp"}, "OPTIMIZE_EXTRA"),
        ({"pruner": "mean"}, "OPTIMIZE_PRUNER"),
        ({"pruner": "median", "objective": ["sharpe", "sqn"]}, "OPTIMIZE_PRUNER"),
        ({"prune_at": (0.5, 0.2)}, "OPTIMIZE_PRUNER"),
        ({"prune_at": (1.0,)}, "OPTIMIZE_PRUNER"),
        ({"trials": 0}, "OPTIMIZE_COUNT"),
        ({"seed": -1}, "OPTIMIZE_COUNT"),
        ({"batch": 0}, "OPTIMIZE_BATCH"),
        ({"first": 10, "last": 5}, "OPTIMIZE_WINDOW"),
        ({"min_trades": 1.5}, "OPTIMIZE_CONSTRAINT"),
        ({"storage": ""}, "OPTIMIZE_STORAGE"),
        ({"storage": "nosuch://host/x"}, "OPTIMIZE_STORAGE"),
    ],
)
def test_wrong_input_is_said(given: dict[str, Any], code: str, bars: Bars) -> None:
    if code == "OPTIMIZE_EXTRA" and __import__("importlib.util").util.find_spec("torch"):
        pytest.skip("torch is installed")
    with pytest.raises(TwinstepError) as caught:
        tune(bars, trials=given.pop("trials", 2), **given)
    assert caught.value.code == code


def test_a_strategy_without_spaces_has_nothing_to_search(bars: Bars) -> None:
    class Bare(Strategy):
        def signals(self, bars: Bars) -> Signals:
            return Signals.empty(bars)

    with pytest.raises(TwinstepError, match="nothing to search") as caught:
        tune(bars, Bare())
    assert caught.value.code == "OPTIMIZE_SPACE_EMPTY"


def test_samplers_of_optuna_are_taken(bars: Bars) -> None:
    study = tune(bars, sampler=optuna.samplers.RandomSampler(seed=1), trials=6)
    assert len(study.table) == 6


# Storage: see also test_studies_storage.py


def test_other_things_are_not_continued(bars: Bars, tmp_path: Path) -> None:
    storage = tmp_path / "trials.db"
    tune(bars, trials=4, storage=storage, study="mine", sampler="random")
    more = tune(bars, trials=6, storage=storage, study="mine", sampler="qmc", seed=5)
    assert len(more.table) == 6
    for given in (
        {"cash": 5_000.0},
        {"objective": "sqn"},
        {"first": 10},
        {"min_trades": 3},
        {"space": SMALL},
    ):
        with pytest.raises(TwinstepError, match="cannot be resumed") as caught:
            tune(bars, trials=8, storage=storage, study="mine", **given)
        assert caught.value.code == "OPTIMIZE_STUDY_OTHER"
    with pytest.raises(TwinstepError) as caught:
        tune(bars, trials=8, storage=storage, study="mine", resume=False)
    assert caught.value.code == "OPTIMIZE_STUDY_EXISTS"


def test_a_storage_that_is_no_database_is_an_error(bars: Bars, tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, but a text of some length\n" * 100, encoding="utf-8")
    with pytest.raises(JournalError) as caught:
        tune(bars, trials=2, storage=path)
    assert caught.value.code == "OPTIMIZE_STORAGE"


def test_a_journal_is_not_taken_for_a_storage(bars: Bars, tmp_path: Path) -> None:
    from journal import TradeJournal

    path = tmp_path / "trade_journal.db"
    TradeJournal(path).close()
    before = path.read_bytes()
    for storage in (path, f"sqlite:///{path}"):
        with pytest.raises(JournalError, match="something else") as caught:
            tune(bars, trials=2, storage=storage)
        assert caught.value.code == "OPTIMIZE_STORAGE"
    assert path.read_bytes() == before


def test_a_study_deleted_while_it_runs_is_an_error(bars: Bars, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"

    def delete(done: int, total: int, best: float) -> None:
        if done:
            optuna.delete_study(study_name="mine", storage=url)

    with pytest.raises(EngineError, match="deleted") as caught:
        tune(bars, trials=20, batch=5, storage=url, study="mine", sampler="random", progress=delete)
    assert caught.value.code == "OPTIMIZE_STUDY_GONE"
