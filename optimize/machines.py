"""One list of jobs, run by this process, by several of this machine, or by a Dask cluster: the same answer.

A job is what a function is called with: a fold of a walk-forward, a part of a sweep, a journal. `run_jobs`
returns the results in the order of the jobs, wherever and in whichever order they ran. A job that a dying
worker had is run again by another; each result is taken once, by the caller's process. So functions should
return what they found and leave recording to the caller.

>>> run_jobs(abs, [-3, 2, -1])
[3, 2, 1]

Function and jobs travel pickled. The modules of strategies that were loaded from a file travel with them;
all else has to be installed on every machine, in the same version of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from optimize.workers.count import check_workers
from optimize.workers.dask import on_cluster
from optimize.workers.kept import KeptTrials
from optimize.workers.local import in_processes
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK
from simulator.sweeps import expand_grid
from simulator.sweeps import sweep as sweep_here
from simulator.trials import Trial, Trials

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits
    from simulator.types import TrialSink

__all__ = ["run_jobs", "sweep"]

Job = TypeVar("Job")
Found = TypeVar("Found")

_PARTS: Final = 256
"""Lanes of a part of a sweep, at most: as many as go into compiled code at a time."""


def run_jobs(
    function: Callable[[Job], Found],
    jobs: Iterable[Job],
    *,
    workers: int = 1,
    scheduler: Any = None,
    progress: Callable[[int, int], None] | None = None,
    found: Callable[[int, Found], None] | None = None,
) -> list[Found]:
    """Call a function with every job and return the results in the order of the jobs.

    Parameters
    ----------
    function
        Called with one job. With workers or a scheduler it has to be picklable: defined at the top of a
        module, or a `functools.partial` of such a one, which carries what all jobs share (bars) once to each
        worker.
    jobs
        Anything picklable.
    workers
        Processes of this machine; 1 runs here. Ignored with a scheduler, whose workers are used, all of them.
    scheduler
        Address of a Dask scheduler ("tcp://host:8786"), or a `distributed.Client`.
    progress
        Called with finished jobs and jobs in all, after each.
    found
        Called with the number of a job, from 0, and its result, as soon as it is there: for what must not be
        missing when the rest fails.

    Raises
    ------
    ConfigError
        OPTIMIZE_WORKERS: workers is no number of at least 1. OPTIMIZE_JOB_PICKLE: function or job cannot be
        sent to another process.
    EngineError
        OPTIMIZE_JOB_KILLED: a job whose workers died again and again. OPTIMIZE_JOB_FAILED: it raised an error
        that cannot be sent. OPTIMIZE_SCHEDULER: no scheduler at this address, one without workers, or one
        that went away. OPTIMIZE_WORKER_VERSION: a worker lacks a module, or has another version of Python or
        of this project.
    MissingExtraError
        OPTIMIZE_EXTRA_CLUSTER: a scheduler was given, and dask is not installed.

    Notes
    -----
    What the function raises ends the run, with a note that names the job. A script that uses workers needs
    `if __name__ == "__main__":` around what it does, as everywhere with processes.
    """
    given = list(jobs)
    count = check_workers(workers)
    results: dict[int, Found] = {}

    def take(index: int, result: Found) -> None:
        results[index] = result
        if found is not None:
            found(index, result)
        if progress is not None:
            progress(len(results), len(given))

    if scheduler is not None:
        on_cluster(function, given, scheduler, take)
    elif count > 1 and len(given) > 1:
        in_processes(function, given, min(count, len(given)), take)
    else:
        for index, job in enumerate(given):
            try:
                result = function(job)
            except Exception as error:
                error.add_note(f"job {index + 1} of {len(given)}")
                raise
            take(index, result)
    return [results[index] for index in range(len(given))]


def sweep(
    bars: Bars,
    strategy: Any,
    grid: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]],
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    threads: int | None = None,
    workers: int = 1,
    scheduler: Any = None,
    progress: Callable[[int, int], None] | None = None,
    sink: TrialSink | None = None,
) -> pd.DataFrame:
    """Return the table of `simulator.sweep`, its sets spread over workers.

    Parameters
    ----------
    bars, strategy, grid, cash, risk, costs, conventions, threads
        As in `simulator.sweep`; a list of signals cannot be spread.
    workers, scheduler
        As in `run_jobs`.
    progress
        Called with sets done and sets in all.
    sink
        Whoever counts trials; told by this process, as parts of the sweep come in. A sweep that is begun
        again tells of the same trials, which count once.
    """
    import pandas as pd

    sets = expand_grid(grid)
    size = max(1, min(_PARTS, -(-len(sets) // (4 * check_workers(workers)))))
    parts = [sets[start : start + size] for start in range(0, len(sets), size)]
    told = Trials(sink)
    rules: dict[str, Any] = {
        "cash": cash, "risk": risk, "costs": Costs.of(costs), "conventions": Conventions.of(conventions),
        "threads": threads,
    }  # fmt: skip
    done = 0

    def found(index: int, part: tuple[pd.DataFrame, list[Trial]]) -> None:
        nonlocal done
        told(part[1])
        done += len(parts[index])
        if progress is not None:
            progress(done, len(sets))

    function = partial(_part, bars, strategy, rules, sink is not None)
    tables = [
        table for table, _ in run_jobs(function, parts, workers=workers, scheduler=scheduler, found=found)
    ]
    told.finish()
    return pd.concat(tables, ignore_index=True) if tables else sweep_here(bars, strategy, sets, **rules)


def _part(
    bars: Bars, strategy: Any, rules: dict[str, Any], counted: bool, sets: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[Trial]]:
    kept = KeptTrials()
    return sweep_here(bars, strategy, sets, **rules, sink=kept if counted else None), kept.trials
