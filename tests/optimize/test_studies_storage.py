"""Stored studies: interrupted, killed, shared by processes; nothing is lost and nothing counts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import optimize.studies.storage as kept
from optimize.strategy import StrategyStudy, tune_strategy
from optimize.studies._optuna import quiet
from simulator import Bars, load_bars
from strategies import strategy_class

ROOT = Path(__file__).resolve().parents[2]
DONCHIAN: Any = strategy_class("donchian-breakout")
STATES = optuna.trial.TrialState


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:1x200?seed=3")


def tune(bars: Bars, **given: Any) -> StrategyStudy:
    return tune_strategy(bars, DONCHIAN(), **{"progress": False, "batch": 5, **given})


class Stopped(Exception):
    """What an interrupt does, at a moment of the test's choice."""


def stop_at(count: int) -> Any:
    def progress(done: int, total: int, best: float) -> None:
        if done >= count:
            raise Stopped

    return progress


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random", "grid"])
def test_an_interrupted_study_goes_on_as_if_nothing_had_been(
    sampler: str, bars: Bars, tmp_path: Path
) -> None:
    storage = tmp_path / "trials.db"
    whole = tune(bars, trials=20, sampler=sampler)
    with pytest.raises(Stopped):
        tune(bars, trials=20, sampler=sampler, storage=storage, progress=stop_at(10))
    resumed = tune(bars, trials=20, sampler=sampler, storage=storage)
    columns = [*whole.space, "sharpe", "feasible", "state"]
    pd.testing.assert_frame_equal(resumed.table[columns], whole.table[columns])
    assert resumed.best == whole.best
    done = tune(bars, trials=20, sampler=sampler, storage=storage)
    assert done.timing.batches == 0
    assert done.best == whole.best


def test_a_fault_in_a_batch_gives_its_trials_back(bars: Bars, tmp_path: Path, monkeypatch: Any) -> None:
    storage = tmp_path / "trials.db"
    from optimize.studies import run

    def fail(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(run, "_score", fail)
    with pytest.raises(Stopped):
        tune(bars, trials=10, sampler="random", storage=storage)
    monkeypatch.undo()
    resumed = tune(bars, trials=10, sampler="random", storage=storage)
    states = Counter(trial.state for trial in resumed.optuna.trials)
    assert states[STATES.FAIL] == 5
    assert states[STATES.COMPLETE] + states[STATES.PRUNED] == 10 == states.total() - 5
    failed = [trial.params for trial in resumed.optuna.trials if trial.state == STATES.FAIL]
    again = [trial.params for trial in resumed.optuna.trials if "retry_of" in trial.user_attrs]
    assert again == failed


CHILD = """
import sys, time
from optimize.studies import run
from optimize.strategy import tune_strategy
from simulator import load_bars
from strategies import strategy_class

score, slow = run._score, float(sys.argv[2])
def slowly(*given):
    score(*given)
    print("scored", flush=True)
    time.sleep(slow)
run._score = slowly
tune_strategy(load_bars("synthetic:1x200?seed=3"), strategy_class("donchian-breakout")(), sampler="random",
              trials=int(sys.argv[3]), storage=sys.argv[1], study="mine", batch=5, progress=False)
"""


def child(storage: Path, slow: float, trials: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(storage), str(slow), str(trials)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_a_killed_process_loses_nothing_and_nothing_counts_twice(bars: Bars, tmp_path: Path) -> None:
    storage = tmp_path / "trials.db"
    process = child(storage, 60.0, 20)
    assert process.stdout is not None
    assert process.stdout.readline() == "scored\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = optuna.load_study(study_name="mine", storage=f"sqlite:///{storage}").trials
    assert [trial.state for trial in before] == [STATES.RUNNING] * 5
    resumed = tune(bars, trials=20, sampler="random", storage=storage, study="mine")
    trials = resumed.optuna.trials
    counts = Counter(trial.state for trial in trials)
    assert counts[STATES.FAIL] == 5
    assert counts[STATES.COMPLETE] + counts[STATES.PRUNED] == 20 == len(resumed.table)
    assert counts[STATES.RUNNING] == counts[STATES.WAITING] == 0
    retried = [trial for trial in trials if "retry_of" in trial.user_attrs]
    assert [trial.params for trial in retried] == [trial.params for trial in before]
    # the same seed without a kill: the same sets, each once
    whole = tune(bars, trials=20, sampler="random")
    names = list(whole.space)
    assert Counter(map(tuple, resumed.table[names].to_numpy().tolist())) == Counter(
        map(tuple, whole.table[names].to_numpy().tolist())
    )


@pytest.mark.slow
def test_two_processes_share_a_study_and_one_may_die(bars: Bars, tmp_path: Path) -> None:
    storage = tmp_path / "trials.db"
    first = child(storage, 0.3, 30)
    second = child(storage, 30.0, 30)
    assert second.stdout is not None
    assert second.stdout.readline() == "scored\n"
    second.kill()
    second.wait()
    first.communicate(timeout=120)
    assert first.returncode == 0
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{storage}")
    counts = Counter(trial.state for trial in study.trials)
    assert counts[STATES.COMPLETE] + counts[STATES.PRUNED] == 30
    assert counts[STATES.FAIL] == 5
    assert counts[STATES.RUNNING] == counts[STATES.WAITING] == 0
    retries = [trial.user_attrs["retry_of"] for trial in study.trials if "retry_of" in trial.user_attrs]
    failed = [trial.number for trial in study.trials if trial.state == STATES.FAIL]
    assert retries == failed


def opened(tmp_path: Path) -> optuna.Study:
    with quiet():
        storage = kept.open_storage(tmp_path / "trials.db")
    return optuna.create_study(storage=storage, study_name="mine")


def asked(study: optuna.Study, owner: str | None) -> optuna.Trial:
    with quiet():
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    if owner is not None:
        trial.set_user_attr("owner", owner)
    return trial


def test_whose_process_lives_is_left_alone(tmp_path: Path) -> None:
    study = opened(tmp_path)
    host = kept.owner().rsplit(":", 2)[0]
    asked(study, kept.owner())
    asked(study, f"{host}:{os.getpid()}:1")  # another process that had this number
    asked(study, f"{host}:999999999:5")
    asked(study, "elsewhere:1:5")
    asked(study, None)
    assert kept.rescue(study) == 2
    states = [trial.state for trial in study.trials[:5]]
    assert states == [STATES.RUNNING, STATES.FAIL, STATES.FAIL, STATES.RUNNING, STATES.RUNNING]
    assert kept.rescue(study) == 0
    assert [trial.user_attrs["retry_of"] for trial in study.trials[5:]] == [1, 2]


def test_silence_of_another_machine_is_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(kept, "GRACE_SECONDS", 1)
    study = opened(tmp_path)
    silent, beating = asked(study, "elsewhere:1:5"), asked(study, "elsewhere:2:5")
    study._storage.record_heartbeat(silent._trial_id)  # type: ignore[attr-defined]
    with kept.heartbeats(study._storage, [beating._trial_id]):
        time.sleep(3.2)
        kept.rescue(study)
    assert [trial.state for trial in study.trials] == [STATES.FAIL, STATES.RUNNING, STATES.WAITING]


def test_one_that_died_before_signing_is_found_by_its_age(tmp_path: Path) -> None:
    study = opened(tmp_path)
    started = datetime.now() - timedelta(seconds=kept.GRACE_SECONDS + 5)  # noqa: DTZ005
    old = optuna.trial.create_trial(
        state=STATES.RUNNING,
        params={"x": 0.5},
        distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
    )
    old.datetime_start = started
    study.add_trial(old)
    assert kept.rescue(study) == 1
    assert [trial.state for trial in study.trials] == [STATES.FAIL, STATES.WAITING]


def test_who_was_taken_for_dead_and_comes_back_is_not_counted(bars: Bars, tmp_path: Path) -> None:
    storage = tmp_path / "trials.db"
    seen: list[int] = []

    def take_away(*_: Any) -> None:
        # another process fails the batch while it is being scored; the strategy as given is told before
        other = optuna.load_study(study_name="mine", storage=f"sqlite:///{storage}")
        running = [trial._trial_id for trial in other.trials if trial.state == STATES.RUNNING]
        if running and not seen:
            seen.extend(running)
            assert kept.release(other, running) == 5

    class Sink:
        record = take_away

    found = tune(bars, trials=10, sampler="random", storage=storage, study="mine", sink=Sink())
    counts = Counter(trial.state for trial in found.optuna.trials)
    assert len(seen) == 5
    assert counts[STATES.FAIL] == 5
    assert counts[STATES.COMPLETE] + counts[STATES.PRUNED] == 10 == counts.total() - 5
    assert len(found.table) == 10
