"""Jobs on a Dask cluster.

The function travels once, as a task of its own: Dask computes it again where the worker that held it dies.
The same holds for jobs: what a dead worker had, another one runs. A cluster whose workers are all gone waits
for new ones; one that has none to begin with is an error after `WAIT_SECONDS`.
"""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from optimize.workers import luggage
from simulator.errors import ConfigError, EngineError, MissingExtraError

__all__ = ["WAIT_SECONDS", "connected", "on_cluster", "shared", "the_distributed"]

WAIT_SECONDS: Final = 20.0
"""How long scheduler and first worker may take to answer."""

_PAUSE_SECONDS: Final = 0.2
_PORT: Final = 8786
"""Of a scheduler whose address names none."""


def the_distributed() -> ModuleType:
    """Return the package `distributed`; MissingExtraError OPTIMIZE_EXTRA_CLUSTER without it."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "a scheduler needs dask and distributed; install them with: pip install 'twinstep[cluster]'",
            code="OPTIMIZE_EXTRA_CLUSTER",
        ) from error
    del dask
    return distributed


def on_cluster(
    function: Callable[[Any], Any], jobs: Sequence[Any], scheduler: Any, take: Callable[[int, Any], None]
) -> None:
    """Run jobs on a cluster and hand in each result, with its number; see `optimize.machines.run_jobs`."""
    distributed = the_distributed()
    if not jobs:
        return
    with connected(scheduler) as client:
        submit = shared(client, function)
        running = {submit(job, index): index for index, job in enumerate(jobs)}
        try:
            for future in distributed.as_completed(list(running), loop=client.loop):
                index = running.pop(future)
                outcome = _result(distributed, future, index, len(jobs), str(scheduler))
                future.release()
                take(index, outcome)
        finally:
            if running:
                client.cancel(list(running), force=True)


def shared(client: Any, function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Send a function to a cluster; returns what makes a future of a job, its number, and a worker.

    The future's result is (True, result) or (False, packed error).
    """
    import cloudpickle  # type: ignore[import-untyped]

    packed = luggage.pack(function, cloudpickle.dumps)
    with warnings.catch_warnings():
        # bars are meant to travel
        warnings.filterwarnings("ignore", message="Sending large graph")
        sent = client.submit(_same, packed, pure=False)

    def submit(job: Any, index: int, worker: str | None = None) -> Any:
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        return client.submit(
            _work, sent, luggage.pack_job(job, index, cloudpickle.dumps), pure=False, **where
        )

    return submit


def _result(distributed: ModuleType, future: Any, index: int, count: int, scheduler: str) -> Any:
    from distributed.comm.core import CommClosedError

    try:
        good, outcome = future.result()
    except distributed.KilledWorker as error:
        raise EngineError(
            f"job {index + 1} of {count} ended the workers that had it, again and again: out of memory?",
            code="OPTIMIZE_JOB_KILLED",
        ) from error
    except (distributed.client.FutureCancelledError, CommClosedError) as error:
        raise EngineError(
            f"the scheduler {scheduler} went away before job {index + 1} of {count} was finished; run it "
            "again when it is back",
            code="OPTIMIZE_SCHEDULER",
        ) from error
    except ModuleNotFoundError as error:
        raise EngineError(
            f"a worker of {scheduler} has no module {error.name!r}: install this project, and what the "
            "strategy imports, on every machine of the cluster",
            code="OPTIMIZE_WORKER_VERSION",
        ) from error
    if good:
        return outcome
    failed = luggage.open_error(outcome)
    failed.add_note(f"job {index + 1} of {count}")
    raise failed


@contextmanager
def connected(scheduler: Any) -> Iterator[Any]:
    """Connect to a scheduler that has workers, or use the client that was given.

    Raises
    ------
    ConfigError, EngineError
        OPTIMIZE_SCHEDULER: no address; nobody there, or no workers, for `WAIT_SECONDS`.
    MissingExtraError
        OPTIMIZE_EXTRA_CLUSTER: dask is not installed.
    """
    distributed = the_distributed()
    if hasattr(scheduler, "submit"):
        yield scheduler
        return
    if not isinstance(scheduler, str) or not scheduler:
        raise ConfigError(
            f"scheduler is {scheduler!r}; give the address of a Dask scheduler, as tcp://host:8786",
            code="OPTIMIZE_SCHEDULER",
        )
    _reach(scheduler)
    try:
        client = distributed.Client(scheduler, timeout=WAIT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise EngineError(
            f"no Dask scheduler answers at {scheduler}: {' '.join(str(error).split())[:200]}. Start one "
            "with: dask scheduler",
            code="OPTIMIZE_SCHEDULER",
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=WAIT_SECONDS)
        except TimeoutError as error:
            raise EngineError(
                f"the scheduler {scheduler} has no workers after {WAIT_SECONDS:g} s. Start some with: dask "
                f"worker {scheduler}",
                code="OPTIMIZE_SCHEDULER",
            ) from error
        yield client
    finally:
        client.close()


def _reach(scheduler: str) -> None:
    """Wait for somebody to listen at an address; EngineError OPTIMIZE_SCHEDULER where nobody does.

    A client that fails to connect waits twice as long, and complains once more when it is thrown away: so it
    is only made where somebody listens.
    """
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        kind, place = parse_address(scheduler)
        if kind not in ("tcp", "tls"):
            return
        host, port = parse_host_port(place, _PORT)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"scheduler is {scheduler!r}, which is no address: {error}; it looks like tcp://host:8786",
            code="OPTIMIZE_SCHEDULER",
        ) from error
    until = time.monotonic() + WAIT_SECONDS
    while True:
        left = until - time.monotonic()
        try:
            with socket.create_connection((host, port), timeout=max(0.1, left)):
                return
        except (socket.gaierror, UnicodeError, OverflowError) as error:
            raise ConfigError(
                f"scheduler is {scheduler!r}, and there is no host {host!r}; give the address of a Dask "
                "scheduler, as tcp://host:8786",
                code="OPTIMIZE_SCHEDULER",
            ) from error
        except OSError as error:
            if left <= _PAUSE_SECONDS:
                raise EngineError(
                    f"no Dask scheduler answers at {scheduler}: {error.strerror or error}. Start one with: "
                    "dask scheduler",
                    code="OPTIMIZE_SCHEDULER",
                ) from error
        time.sleep(_PAUSE_SECONDS)


def _same(packed: bytes) -> bytes:
    return packed


def _work(packed: bytes, job: bytes) -> tuple[bool, Any]:
    # errors are results here, so that Dask neither logs them nor takes them for its own
    try:
        return True, luggage.call(packed, job)
    except Exception as error:
        return False, luggage.pack_error(error)
