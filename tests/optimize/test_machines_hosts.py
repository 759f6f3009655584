"""Workers on hosts of their own, one study on a PostgreSQL server: the same as one process, whatever dies."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from optimize.ledger import TrialLedger
from optimize.strategy import StrategyStudy, tune_strategy
from optimize.studies._optuna import quiet
from optimize.studies.slots import RETRY
from optimize.studies.storage import open_storage
from simulator import load_bars
from strategies import strategy_class
from tests.journal.conftest import _programs
from tests.optimize.machine_hosts import Hosts, hosts, line_of, send
from tests.optimize.machine_worker import BARS, STRATEGY

WORKER = "tests.optimize.machine_worker"
STATES = optuna.trial.TrialState


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Hosts]:
    """A server and the hosts "one" and "two"."""
    with hosts(_programs(), "one", "two") as made:
        yield made


def alone(**given: Any) -> StrategyStudy:
    """The same study in one process, in memory."""
    return tune_strategy(load_bars(BARS), strategy_class(STRATEGY)(), progress=False, **given)


def rows_of(study: StrategyStudy) -> Counter[str]:
    """Parameters, state and figure of every trial, as often as they are there."""
    return counted(study.table[[*study.space, "state", "sharpe"]].astype(object).to_numpy().tolist())


def counted(rows: list[list[Any]]) -> Counter[str]:
    return Counter(map(repr, rows))


def trials_of(where: Hosts, name: str) -> list[optuna.trial.FrozenTrial]:
    with quiet():
        return optuna.load_study(study_name=name, storage=open_storage(where.from_here)).trials


def check_slots(trials: list[optuna.trial.FrozenTrial], wanted: int) -> None:
    """Every slot is finished exactly once, and nothing is left over."""
    numbers = [trial.number for trial in trials]
    assert numbers == list(range(len(trials)))
    slots: list[int] = []
    retries = 0
    for trial in trials:
        first = trial.user_attrs.get(RETRY)
        slots.append(trial.number - retries if first is None else slots[first])
        retries += first is not None
    finished = Counter(
        slot
        for trial, slot in zip(trials, slots, strict=True)
        if trial.state in (STATES.COMPLETE, STATES.PRUNED)
    )
    assert finished == Counter(range(wanted))
    assert {trial.state for trial in trials} <= {STATES.COMPLETE, STATES.PRUNED, STATES.FAIL}


@pytest.fixture
def two_workers(two_hosts: Hosts) -> list[subprocess.Popen[str]]:
    """A process on each host; those that an earlier test killed are new."""
    for name in ("one", "two"):
        if name not in two_hosts.processes or two_hosts.processes[name].poll() is not None:
            two_hosts.run(name, WORKER)
    workers = [two_hosts.processes[name] for name in ("one", "two")]
    return workers


def test_a_fixed_list_gives_the_same_on_two_hosts(
    two_hosts: Hosts, two_workers: list[subprocess.Popen[str]]
) -> None:
    given = {"trials": 24, "sampler": "grid", "batch": 4, "seed": 1}
    for worker in two_workers:
        send(worker, {**given, "storage": two_hosts.address, "pause": 0.2})
    ends = [line_of(worker) for worker in two_workers]
    expected = rows_of(alone(**given))
    assert [counted(end["rows"]) for end in ends] == [expected, expected]
    # both had a part in it
    assert min(end["batches"] for end in ends) >= 1
    check_slots(trials_of(two_hosts, ends[0]["name"]), 24)


def test_tpe_with_a_worker_killed_in_the_middle_loses_nothing(
    two_hosts: Hosts, two_workers: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ledger = tmp_path / "trials.db"
    given = {
        "trials": 30, "sampler": "tpe", "batch": 5, "seed": 2, "storage": two_hosts.address, "study": "tpe",
        "heartbeat": 1, "grace": 2, "pause": 0.2, "ledger": str(ledger),
    }  # fmt: skip
    killed, other = two_workers
    send(killed, {**given, "stop_at": 2})
    send(other, given)
    lost = line_of(killed)["stopped"]
    killed.kill()
    end = line_of(other)
    trials = trials_of(two_hosts, "tpe")
    check_slots(trials, 30)
    assert len(end["rows"]) == 30
    # what the dead worker had was failed, and run again with the same parameters
    for number in lost:
        assert trials[number].state == STATES.FAIL
        again = [trial for trial in trials if trial.user_attrs.get(RETRY) == number]
        assert [trial.params for trial in again] == [trials[number].params]
        assert again[0].state in (STATES.COMPLETE, STATES.PRUNED)
    # the ledger counts each different set that ran, once
    ran = {tuple(sorted(t.params.items())) for t in trials if t.user_attrs.get("outcome", {}).get("metrics")}
    assert TrialLedger(ledger).count() in (len(ran), 1 + len(ran))  # the strategy as given, too


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_a_long_study_on_two_hosts_draws_what_one_process_draws(
    sampler: str, two_hosts: Hosts, two_workers: list[subprocess.Popen[str]]
) -> None:
    given = {"trials": 200, "sampler": sampler, "batch": 10, "seed": 4}
    for worker in two_workers:
        send(worker, {**given, "storage": two_hosts.address})
    ends = [line_of(worker) for worker in two_workers]
    expected = rows_of(alone(**given))
    assert [counted(end["rows"]) for end in ends] == [expected, expected]
    check_slots(trials_of(two_hosts, ends[0]["name"]), 200)


@pytest.mark.slow
def test_kills_and_a_crash_of_the_server_lose_nothing(
    two_hosts: Hosts, two_workers: list[subprocess.Popen[str]]
) -> None:
    name, wanted = "hard", 150
    given = {
        "trials": wanted, "sampler": "tpe", "batch": 5, "seed": 6, "storage": two_hosts.address,
        "study": name, "heartbeat": 1, "grace": 3, "pause": 0.1,
    }  # fmt: skip
    for worker in two_workers:
        send(worker, given)
    random = np.random.default_rng(0)
    for kill in range(4):
        wait_for(two_hosts, name, 25 * (kill + 1))
        time.sleep(float(random.uniform(0.0, 0.5)))
        two_hosts.processes["one"].kill()
        if kill == 1:
            two_hosts.stop_server()
            time.sleep(1.0)
            two_hosts.start_server()
        send(two_hosts.run("one", WORKER), given)
    ends = [line_of(two_hosts.processes[host]) for host in ("one", "two")]
    assert [len(end["rows"]) for end in ends] == [wanted, wanted]
    check_slots(trials_of(two_hosts, name), wanted)


def wait_for(where: Hosts, name: str, finished: int) -> None:
    """Wait until a study has so many finished trials."""
    until = time.monotonic() + 120.0
    while time.monotonic() < until:
        with contextlib.suppress(KeyError):
            done = [
                trial for trial in trials_of(where, name) if trial.state in (STATES.COMPLETE, STATES.PRUNED)
            ]
            if len(done) >= finished:
                return
        time.sleep(0.1)
    raise AssertionError(f"the study has not got {finished} trials in time")
