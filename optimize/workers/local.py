"""Jobs in several processes of this machine.

The processes are started afresh, not forked from this one with whatever threads it has, and end with it, also
when it is killed. Each has one job at a time, over a pipe of its own. So when one dies it is known which job
it had: that job is run again by a new process, and the others notice nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any, Final

from optimize.workers import luggage
from simulator.errors import ConfigError, EngineError

__all__ = ["TRIES", "Worker", "in_processes"]

TRIES: Final = 3
"""Processes that a job may take with it."""
_SECONDS_TO_END: Final = 5.0


def in_processes(
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    workers: int,
    take: Callable[[int, Any], None],
) -> None:
    """Run jobs in processes and hand in each result, with its number; see `optimize.machines.run_jobs`."""
    _check_main()
    packed = luggage.pack(function)
    waiting = deque(range(len(jobs)))
    finished = 0
    deaths: Counter[int] = Counter()
    team: list[Worker] = []
    try:
        while finished < len(jobs):
            while waiting and len(team) < workers:
                team.append(Worker(packed))
            for worker in team:
                if worker.index is None and waiting:
                    given = waiting.popleft()
                    worker.give(given, luggage.pack_job(jobs[given], given))
            for worker, index in _ready(team):
                try:
                    good, outcome = worker.take()
                except (EOFError, OSError):
                    team.remove(worker)
                    worker.end()
                    deaths[index] += 1
                    if deaths[index] >= TRIES:
                        raise _hopeless(index, len(jobs), worker.code) from None
                    waiting.appendleft(index)
                    continue
                if not good:
                    outcome.add_note(f"job {index + 1} of {len(jobs)}")
                    raise outcome
                finished += 1
                take(index, outcome)
    finally:
        for worker in team:
            worker.end()


class Worker:
    """A process with a pipe, and the job that it has.

    Attributes
    ----------
    index
        Of its job; None while it has none.
    """

    def __init__(self, packed: luggage.Pickled) -> None:
        context = _context()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, packed), daemon=True)
        self.process.start()
        # or its end would not be noticed here
        theirs.close()
        self.index: int | None = None

    @property
    def code(self) -> int | None:
        """How the process ended: minus the signal's number, None while it lives."""
        code: int | None = self.process.exitcode
        return code

    def give(self, index: int, job: luggage.Pickled) -> None:
        """Let it run a job, which it must not have now."""
        self.index = index
        try:
            self.pipe.send_bytes(job)
        except OSError:
            return  # it is dead, which `take` will find

    def take(self) -> tuple[bool, Any]:
        """Return whether the job succeeded, and its result or error; EOFError where the process died."""
        good, outcome = pickle.loads(self.pipe.recv_bytes())  # noqa: S301 - from a process of this one
        self.index = None
        return good, outcome if good else luggage.open_error(outcome)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _ready(team: Sequence[Worker]) -> list[tuple[Worker, int]]:
    busy = {worker.pipe: (worker, worker.index) for worker in team if worker.index is not None}
    return [busy[pipe] for pipe in wait_for(list(busy)) if isinstance(pipe, Connection)]


def _hopeless(index: int, count: int, code: int | None) -> EngineError:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return EngineError(
        f"job {index + 1} of {count} ended the process that ran it {TRIES} times ({how}): out of memory? In "
        'a script, what it does has to be under `if __name__ == "__main__":`',
        code="OPTIMIZE_JOB_KILLED",
    )


def _context() -> Any:
    # a fork server loads everything once, and has no threads when it forks
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if hasattr(context, "set_forkserver_preload"):
        context.set_forkserver_preload(["optimize.workers.study", "optuna"])
    return context


def _check_main() -> None:
    # new processes read the main program again, which standard input does not allow
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path == "<stdin>":
        raise ConfigError(
            "a program read from standard input cannot use workers; put it in a file", code="OPTIMIZE_WORKERS"
        )


# In the processes


def _serve(pipe: Connection, packed: luggage.Pickled) -> None:
    # the parent hears the interrupt, and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv_bytes()
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, luggage.call(packed, job)))
        except Exception as error:
            answer = pickle.dumps((False, luggage.pack_error(error)))
        pipe.send_bytes(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
