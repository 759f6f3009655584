"""Helpers of a study: processes that run trials of it beside the one that asked, until it is finished.

They share nothing but the study's storage. A helper may die at any time: its trials are found and run by the
others. The process that asked needs none of them, so what becomes of them is at most a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from optimize.evaluator import Evaluator, Rules
from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.recording import Recorder
from optimize.studies.run import Plan, run_trials
from optimize.studies.storage import on_server, open_storage
from optimize.workers import luggage
from optimize.workers.dask import connected, shared
from optimize.workers.local import Worker
from simulator.errors import ConfigError, warn

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from simulator.bars import Bars
    from simulator.types import TrialSink

__all__ = ["StudyWork", "check_shared", "helping"]

_SECONDS_TO_END: Final = 10.0
"""What a helper may still take for its last batch when the study is finished; it is not needed any more."""


@dataclass(frozen=True, kw_only=True)
class StudyWork:
    """All that a process needs to run trials of a study."""

    bars: Bars
    strategy: Any
    rules: Rules
    without: tuple[tuple[int, int], ...]
    plan: Plan
    storage: str | Path | BaseStorage | None
    name: str
    sink: TrialSink | None


def check_shared(storage: object, workers: int, scheduler: object) -> None:
    """Raise ConfigError OPTIMIZE_WORKERS_STORAGE where workers cannot share the storage."""
    if workers == 1 and scheduler is None:
        return
    if scheduler is not None and not on_server(storage):
        raise ConfigError(
            "on a Dask cluster a study is shared through a server that all machines reach; give "
            "storage='postgresql://user:password@host/database'",
            code="OPTIMIZE_WORKERS_STORAGE",
        )
    if not isinstance(storage, (str, Path)):
        raise ConfigError(
            f"{workers} workers share a study through its storage; give the path of a file, as "
            "storage='studies.db', or for several machines a postgresql:// address",
            code="OPTIMIZE_WORKERS_STORAGE",
        )


@contextmanager
def helping(work: StudyWork, *, workers: int, scheduler: Any) -> Iterator[None]:
    """Have helpers run trials of a study while the block does: `workers` - 1 processes, or a cluster."""
    if scheduler is not None:
        with _cluster(work, scheduler):
            yield
    elif workers > 1:
        with _processes(work, workers - 1):
            yield
    else:
        yield


@contextmanager
def _processes(work: StudyWork, count: int) -> Iterator[None]:
    team = []
    packed = luggage.pack(partial(_help, work))
    try:
        for number in range(count):
            team.append(Worker(packed))
            team[-1].give(number, luggage.pack_job(number, number))
        yield
        trouble = []
        for worker in team:
            try:
                if worker.pipe.poll(_SECONDS_TO_END):
                    good, outcome = worker.take()
                    if not good:
                        trouble.append(f"{type(outcome).__name__}: {outcome}")
            except (EOFError, OSError):
                worker.process.join(1.0)
                trouble.append(f"it died (exit code {worker.code})")
        _tell(trouble, count)
    finally:
        for worker in team:
            worker.end()


@contextmanager
def _cluster(work: StudyWork, scheduler: Any) -> Iterator[None]:
    # a ledger of this machine is told by this process, at the end: others may not reach it
    work = replace(work, sink=None)
    with connected(scheduler) as client:
        submit = shared(client, partial(_help, work))
        workers = client.scheduler_info(n_workers=-1)["workers"]
        team = [submit(number, number, address) for number, address in enumerate(workers)]
        try:
            yield
            trouble = []
            for future in team:
                try:
                    good, outcome = future.result(timeout=_SECONDS_TO_END)
                except TimeoutError:
                    continue
                except Exception as error:  # whatever became of a worker, the study is finished
                    trouble.append(f"{type(error).__name__}: {error}")
                    continue
                if not good:
                    lost = luggage.open_error(outcome)
                    trouble.append(f"{type(lost).__name__}: {lost}")
            _tell(trouble, len(team))
        finally:
            client.cancel(team, force=True)


def _tell(trouble: list[str], count: int) -> None:
    if trouble:
        warn(
            f"{len(trouble)} of {count} helpers of the study did not reach its end; the others finished it. "
            f"The first: {' '.join(trouble[0].split())[:300]}",
            code="OPTIMIZE_WORKER_LOST",
            stacklevel=6,  # of whoever tunes a strategy
        )


def _help(work: StudyWork, number: int) -> int:
    """Run trials of a study in a helper; returns in how many batches."""
    del number
    evaluator = Evaluator(work.bars, work.strategy, work.rules, without=work.without)
    with quiet():
        study = the_optuna().load_study(study_name=work.name, storage=open_storage(work.storage))
        recorder = Recorder(work.sink, study, work.plan, evaluator)
        try:
            timing = run_trials(study, evaluator, work.plan, scored=recorder.batch)
        finally:
            recorder.finish()
    return timing.batches
