"""Jobs and studies on several processes and on a Dask cluster: the same answers, whoever dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import optimize.workers.dask as on_dask
from optimize.ledger import TrialLedger
from optimize.machines import run_jobs, sweep
from optimize.strategy import StrategyStudy, tune_strategy
from optimize.studies.slots import Slots
from simulator import Bars, load_bars
from simulator import sweep as sweep_here
from simulator.errors import EngineError, MissingExtraError, StrategyError, TwinstepError
from strategies import strategy_class
from strategies.loader import load_strategy
from tests.optimize.machine_jobs import class_name, dies_once, fails, fails_oddly, square

GRID: dict[str, Any] = {"length": [10, 20, 30], "stop_atr": [1.0, 2.0, 3.0]}
DONCHIAN: Any = strategy_class("donchian-breakout")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:1x200?seed=3")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a scheduler with two workers, processes of their own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0", silence_logs="CRITICAL"
    ) as made:
        yield made.scheduler_address


def begun(folder: Path) -> dict[str, int]:
    """How often each job was begun."""
    return {file.name: len(file.read_text().splitlines()) for file in folder.iterdir()}


@pytest.mark.parametrize("how", ["serial", "processes", "dask"])
def test_results_come_in_the_order_of_the_jobs(how: str, tmp_path: Path, request: Any) -> None:
    told: list[tuple[int, int]] = []
    found: dict[int, int] = {}
    given: dict[str, Any] = {"serial": {}, "processes": {"workers": 2}}.get(how, {})
    if how == "dask":
        given = {"scheduler": request.getfixturevalue("cluster")}
    jobs = [5, 1, 4, 2, 3]
    results = run_jobs(
        partial(square, str(tmp_path)), jobs, **given,
        progress=lambda done, total: told.append((done, total)), found=found.__setitem__,
    )  # fmt: skip
    assert results == [25, 1, 16, 4, 9]
    assert told == [(done, 5) for done in range(1, 6)]
    assert found == dict(enumerate(results))
    assert begun(tmp_path) == {str(job): 1 for job in jobs}
    pids = {pid for file in tmp_path.iterdir() for pid in file.read_text().split()}
    assert (str(os.getpid()) in pids) == (how == "serial")


@pytest.mark.parametrize("how", ["processes", "dask"])
def test_a_job_whose_worker_is_killed_is_run_again(how: str, tmp_path: Path, request: Any) -> None:
    given = {"scheduler": request.getfixturevalue("cluster")} if how == "dask" else {"workers": 2}
    assert run_jobs(partial(dies_once, str(tmp_path)), range(8), **given) == [job**2 for job in range(8)]
    again = begun(tmp_path)
    assert again.pop("3") == 2
    # Dask may run again what the dead worker had finished, and had not handed over
    assert all(count == 1 for count in again.values()) or how == "dask"


@pytest.mark.parametrize("how", ["serial", "processes", "dask"])
def test_what_a_job_raises_names_the_job(how: str, request: Any) -> None:
    given: dict[str, Any] = {} if how == "serial" else {"workers": 2}
    if how == "dask":
        given = {"scheduler": request.getfixturevalue("cluster")}
    with pytest.raises(StrategyError, match="the strategy broke") as caught:
        run_jobs(fails, [0, 1, 2], **given)
    assert caught.value.code == "STRATEGY_SIGNALS"
    notes = "\n".join(caught.value.__notes__)
    assert "job 3 of 3" in notes
    assert how == "serial" or "in fails" in notes
    if how != "serial":
        with pytest.raises(EngineError, match="OddError: oddly") as odd:
            run_jobs(fails_oddly, [0, 1], **given)
        assert odd.value.code == "OPTIMIZE_JOB_FAILED"


def test_a_job_that_always_kills_is_given_up() -> None:
    with pytest.raises(EngineError, match=r"job [12] of 2 ended the process .* \(exit code 7\)") as caught:
        run_jobs(os._exit, [7, 7], workers=2)
    assert caught.value.code == "OPTIMIZE_JOB_KILLED"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"workers": 0}, "OPTIMIZE_WORKERS"),
        ({"workers": True}, "OPTIMIZE_WORKERS"),
        ({"workers": 1.5}, "OPTIMIZE_WORKERS"),
        ({"workers": 2, "function": lambda job: job}, "OPTIMIZE_JOB_PICKLE"),
        ({"workers": 2, "jobs": [1, lambda: None]}, "OPTIMIZE_JOB_PICKLE"),
        ({"scheduler": ""}, "OPTIMIZE_SCHEDULER"),
        ({"scheduler": 8786}, "OPTIMIZE_SCHEDULER"),
        ({"scheduler": "nonsense://x"}, "OPTIMIZE_SCHEDULER"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "OPTIMIZE_SCHEDULER"),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    given: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "WAIT_SECONDS", 0.5)
    with pytest.raises(TwinstepError) as caught:
        run_jobs(given.pop("function", abs), given.pop("jobs", [1, 2]), **given)
    assert caught.value.code == code


def test_a_scheduler_without_workers_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "WAIT_SECONDS", 0.5)
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address=":0", silence_logs="CRITICAL"
        ) as empty,
        pytest.raises(EngineError, match="has no workers") as caught,
    ):
        run_jobs(abs, [1], scheduler=empty.scheduler_address)
    assert caught.value.code == "OPTIMIZE_SCHEDULER"


@pytest.mark.parametrize("missing", ["dask", "distributed", "psycopg"])
def test_a_missing_package_is_one_clear_error(
    missing: str, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == missing else find(name, *more)
    )
    use: dict[str, Any] = {
        "psycopg": lambda: tune(bars, storage="postgresql://somebody@nowhere.invalid/studies")
    }
    otherwise = partial(run_jobs, abs, [1], scheduler="tcp://127.0.0.1:9")
    with pytest.raises(MissingExtraError, match=r"pip install 'twinstep\[cluster\]'") as caught:
        use.get(missing, otherwise)()
    assert caught.value.code == "OPTIMIZE_EXTRA_CLUSTER"


OWN = """
from beside import MARK
from strategies import Int, Strategy, param
class Mine(Strategy):
    MARK = MARK
    length = param(5, Int(2, 9))
    def signals(self, bars): ...
"""


@pytest.mark.parametrize("how", ["processes", "dask"])
def test_a_strategy_of_a_file_travels_with_its_source(how: str, tmp_path: Path, request: Any) -> None:
    given = {"scheduler": request.getfixturevalue("cluster")} if how == "dask" else {"workers": 2}
    for mark in ("first", "second"):
        file = tmp_path / "mine.py"
        file.write_text(OWN)
        (tmp_path / "beside.py").write_text(f"MARK = {mark!r}")
        kind = type(load_strategy(f"{file}:Mine"))
        # workers that live on, as those of a cluster, take the new one
        assert run_jobs(partial(class_name, kind), [1, 2], **given) == [f"Mine {mark} 1", f"Mine {mark} 2"]


def test_a_worker_of_another_version_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    from optimize.workers import luggage

    packed = luggage.pack(abs)
    assert luggage.call(packed, luggage.pack_job(-1, 0)) == 1
    luggage._unpacked.cache_clear()
    monkeypatch.setattr(luggage, "_versions", lambda: {"python": "3.99", "twinstep": "0"})
    with pytest.raises(EngineError, match=r"Python 3\.99 and twinstep 0") as caught:
        luggage.call(packed, luggage.pack_job(-1, 0))
    assert caught.value.code == "OPTIMIZE_WORKER_VERSION"


# Sweeps


@pytest.mark.parametrize("how", ["serial", "processes", "dask"])
def test_a_sweep_gives_the_same_table_wherever_it_runs(
    how: str, bars: Bars, tmp_path: Path, request: Any
) -> None:
    given: dict[str, Any] = {} if how == "serial" else {"workers": 2}
    if how == "dask":
        given = {"scheduler": request.getfixturevalue("cluster")}
    ledger, told = TrialLedger(tmp_path / "trials.db"), []
    table = sweep(
        bars, DONCHIAN, GRID, **given, sink=ledger, progress=lambda done, total: told.append((done, total))
    )
    here = TrialLedger(tmp_path / "here.db")
    expected = sweep_here(bars, DONCHIAN, GRID, sink=here)
    pd.testing.assert_frame_equal(table, expected)
    assert told[-1] == (9, 9)
    assert set(ledger.frame()["id"]) == set(here.frame()["id"])
    # the same sweep once more counts nothing twice
    sweep(bars, DONCHIAN, GRID, sink=ledger)
    assert ledger.count() == 9


def test_an_empty_sweep_has_the_columns_of_one(bars: Bars) -> None:
    pd.testing.assert_frame_equal(sweep(bars, DONCHIAN, []), sweep_here(bars, DONCHIAN, []))


# Studies


def tune(bars: Bars, **given: Any) -> StrategyStudy:
    return tune_strategy(bars, DONCHIAN(), **{"progress": False, "batch": 4, "trials": 12, **given})


def rows(study: StrategyStudy) -> Counter[str]:
    """Parameters, state and figure of every trial, as often as they are there."""
    return Counter(map(repr, study.table[[*study.space, "state", "sharpe"]].to_numpy(object).tolist()))


def test_two_workers_of_this_machine_find_what_one_finds(bars: Bars, tmp_path: Path) -> None:
    ledger = TrialLedger(tmp_path / "trials.db")
    both = tune(bars, sampler="qmc", storage=tmp_path / "studies.db", workers=2, sink=ledger)
    alone = TrialLedger(tmp_path / "alone.db")
    one = tune(bars, sampler="qmc", sink=alone)
    assert rows(both) == rows(one)
    assert set(ledger.frame()["id"]) == set(alone.frame()["id"])


def test_a_study_on_a_cluster_finds_what_one_process_finds(
    bars: Bars, cluster: str, postgres_url: str, tmp_path: Path
) -> None:
    ledger = TrialLedger(tmp_path / "trials.db")
    found = tune(bars, sampler="random", trials=24, storage=postgres_url, scheduler=cluster, sink=ledger)
    alone = TrialLedger(tmp_path / "alone.db")
    one = tune(bars, sampler="random", trials=24, sink=alone)
    assert rows(found) == rows(one)
    assert found.best == one.best
    # this process tells its ledger of what the cluster ran, too
    assert set(ledger.frame()["id"]) == set(alone.frame()["id"])
    # who ran the trials: this process and the two of the cluster, each on its own
    owners = {trial.user_attrs["owner"] for trial in found.optuna.trials if "owner" in trial.user_attrs}
    assert len(owners) > 1


@pytest.mark.slow
def test_a_cluster_whose_workers_are_killed_finishes_each_trial_once(
    bars: Bars, cluster: str, postgres_url: str
) -> None:
    import distributed

    killed: list[int] = []

    def kill(done: int, total: int, best: float) -> None:
        if done >= 10 * (len(killed) + 1) and len(killed) < 2:
            with distributed.Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
                pids = sorted(client.run(os.getpid).values())
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    found = tune(bars, trials=60, storage=postgres_url, scheduler=cluster, progress=kill)
    assert len(killed) == 2
    assert len(found.table) == 60
    states = optuna.trial.TrialState
    trials = found.optuna.trials
    assert {trial.state for trial in trials} <= {states.COMPLETE, states.PRUNED, states.FAIL}
    slots = Slots()
    assert Counter(slots.of(found.optuna, number) for number in found.table["number"]) == Counter(range(60))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"workers": 2}, "OPTIMIZE_WORKERS_STORAGE"),
        ({"workers": 2, "storage": optuna.storages.InMemoryStorage()}, "OPTIMIZE_WORKERS_STORAGE"),
        ({"scheduler": "tcp://127.0.0.1:9", "storage": "studies.db"}, "OPTIMIZE_WORKERS_STORAGE"),
        ({"workers": 0}, "OPTIMIZE_WORKERS"),
    ],
)
def test_workers_need_a_storage_that_they_share(given: dict[str, Any], code: str, bars: Bars) -> None:
    with pytest.raises(TwinstepError) as caught:
        tune(bars, **given)
    assert caught.value.code == code
