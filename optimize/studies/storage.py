"""Where a study lives, and what becomes of trials whose process died.

Without storage a study lives in memory. A path is an SQLite file, by custom `studies.db` beside the journal
(not the ledger's `trials.db` nor the journal itself: Optuna's tables would get in their way); for several
machines it is the address of a PostgreSQL server. Every trial that runs has an owner and a heartbeat. A trial
whose owner is dead (a process of this machine that is gone, or a heartbeat older than `GRACE_SECONDS`) is
failed, and its slot (`slots`) is queued for whoever asks next. Failing is one atomic change of state, so that
of two processes only one queues it; a process that comes back late finds its trial failed, and its result is
dropped. So nothing is lost, and nothing counts twice.
"""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from optimize.studies._optuna import quiet, the_optuna
from optimize.studies.slots import RETRY, Stock
from simulator.errors import ConfigError, JournalError, MissingExtraError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = [
    "GRACE_SECONDS",
    "HEARTBEAT_SECONDS",
    "drop",
    "heartbeats",
    "on_server",
    "open_storage",
    "owner",
    "release",
    "rescue",
    "tidy",
]

HEARTBEAT_SECONDS: Final = 10
GRACE_SECONDS: Final = 60
"""Silence after which a trial of another machine counts as dead."""

_SQLITE_WAIT_SECONDS: Final = 60
_SQLITE: Final = "sqlite:///"
# The file format of SQLite: a header of 100 bytes, in it the id of the application that the file belongs to.
_HEADER_BYTES: Final = 100
_APPLICATION_ID: Final = slice(68, 72)
_CREATE_PAUSES: Final = (0.1, 0.3, 1.0)
_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")
# Seconds after which a server that does not answer is given up, also when its machine vanished silently.
_SERVER: Final = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip


def open_storage(given: str | Path | BaseStorage | None) -> BaseStorage:
    """Open a study's storage: None for memory, a path for SQLite, a URL, or a storage of Optuna.

    Raises
    ------
    JournalError
        OPTIMIZE_STORAGE: it cannot be opened, with the reason.
    MissingExtraError
        OPTIMIZE_EXTRA_CLUSTER: a PostgreSQL address without psycopg.
    """
    storages = the_optuna().storages
    if given is None:
        return storages.InMemoryStorage()  # type: ignore[no-any-return]
    if not isinstance(given, (str, Path)):
        return given
    text = str(given)
    if not text:
        raise ConfigError("storage is empty; give a path or a URL", code="OPTIMIZE_STORAGE")
    local = "://" not in text
    url = f"sqlite:///{Path(text).expanduser().resolve()}" if local else _address(text)
    if url.startswith(_SQLITE):
        _refuse_others(Path(url.removeprefix(_SQLITE)))
    arguments: dict[str, Any] = {}
    if url.startswith("sqlite"):
        arguments = {"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}}
    elif on_server(url):
        # a connection that broke while nothing ran is replaced without a word
        arguments = {"connect_args": _SERVER, "pool_pre_ping": True}

    def connect() -> Any:
        return storages.RDBStorage(
            url,
            engine_kwargs=arguments,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=_queue_again,
        )

    try:
        if local:
            Path(text).expanduser().resolve().parent.mkdir(parents=True, exist_ok=True)
        storage = _created(connect)
    except Exception as error:  # drivers raise their own kinds
        shown = text if local else text.partition("://")[0] + "://…"
        raise JournalError(
            f"the storage {shown} cannot be opened: {_reason(error, url)}", code="OPTIMIZE_STORAGE"
        ) from error
    if storage.engine.dialect.name == "sqlite":
        _write_ahead(storage.engine)
    return storage  # type: ignore[no-any-return]


def on_server(storage: object) -> bool:
    """Whether a storage is the address of a database that other machines reach too."""
    return isinstance(storage, str) and storage.partition("://")[0] in _POSTGRES


def owner() -> str:
    """Return who runs a trial: host, process and when that process began, as "host:pid:start"."""
    return f"{_host()}:{os.getpid()}:{_began(os.getpid())}"


def rescue(study: Study, seen: MutableMapping[int, float] | None = None) -> int:
    """Fail the trials whose process died, queue their slots again, and return how many.

    Parameters
    ----------
    seen
        Since when this process knows trials without owner, by id, kept from call to call: what was killed
        between asking and signing. Clocks of different machines cannot be compared. Without it their age by
        the clock decides.
    """
    optuna = the_optuna()
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    if not running:
        return 0
    dead = []
    for trial in running:
        who = trial.user_attrs.get("owner")
        if who is not None:
            if _gone(str(who)):
                dead.append(trial)
        elif _silent_seconds(trial, seen) > GRACE_SECONDS:
            dead.append(trial)
    count = release(study, [trial._trial_id for trial in dead])
    with quiet():
        optuna.storages.fail_stale_trials(study)
    return count


def release(study: Study, trial_ids: Iterable[int]) -> int:
    """Fail trials that are not finished and queue their slots again; returns how many it was."""
    count = 0
    for trial_id in trial_ids:
        if _fail(study, trial_id):
            _queue_again(study, study._storage.get_trial(trial_id))
            count += 1
    return count


def drop(study: Study, trial_id: int, why: str) -> None:
    """Fail a trial that is not needed; nothing is queued in its place."""
    optuna = the_optuna()
    try:
        study._storage.set_trial_user_attr(trial_id, "dropped", why)
    except (optuna.exceptions.UpdateFinishedTrialError, KeyError):
        return
    _fail(study, trial_id)


def tidy(study: Study, stock: Stock) -> None:
    """Queue the slots that nobody has any more, and drop what waits in vain."""
    for trial_id in stock.needless:
        drop(study, trial_id, "nobody waits for it")
    for trial in stock.lost:
        _queue_again(study, trial)


@contextmanager
def heartbeats(storage: BaseStorage, trial_ids: Sequence[int]) -> Iterator[None]:
    """Keep a batch's trials alive while it runs; does nothing in a storage that knows no heartbeat."""
    optuna = the_optuna()
    from optuna.storages._heartbeat import BaseHeartbeat, is_heartbeat_enabled

    if not trial_ids or not is_heartbeat_enabled(storage) or not isinstance(storage, BaseHeartbeat):
        yield
        return
    done = Event()

    def beat() -> None:
        for trial_id in trial_ids:
            try:
                storage.record_heartbeat(trial_id)
            except (optuna.exceptions.OptunaError, KeyError):
                return  # the study itself will run into it, or the server comes back until the next

    def keep() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            beat()

    beat()
    thread = Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _refuse_others(path: Path) -> None:
    """Raise for an SQLite file that says that it is something else, as journals and ledgers do."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return  # not there yet, or what opening it will say better
    if header.startswith(b"SQLite format 3") and any(header[_APPLICATION_ID]):
        raise JournalError(
            f"{path} is the database of something else, such as a journal or a trial ledger; give studies a "
            "file of their own, as studies.db. Nothing was written",
            code="OPTIMIZE_STORAGE",
        )


def _created(connect: Callable[[], Any]) -> Any:
    # Two processes that create the tables at the same time get into each other's way; the later one then
    # finds them there.
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for pause in _CREATE_PAUSES:
        try:
            return connect()
        except (IntegrityError, OperationalError, ProgrammingError):
            time.sleep(pause)
    return connect()


def _reason(error: Exception, url: str) -> str:
    """Return what the driver says, without the words of the libraries around it."""
    kind = url.partition("://")[0]
    if not kind.startswith(("sqlite", "postgresql")):
        return f"studies are kept in a file or on PostgreSQL, and {kind} is not set up here"
    inner: BaseException | None = error
    while inner is not None:
        said = getattr(inner, "orig", None)
        if isinstance(said, BaseException):
            return " ".join(str(said).split())[:300]
        inner = inner.__cause__ or inner.__context__
    return " ".join(str(error).partition("[SQL:")[0].partition("(Background")[0].split())[:300]


def _write_ahead(engine: Any) -> None:
    # Readers do not wait for writers, and a commit is no fsync: a killed process loses nothing, a power
    # failure at most the last trials, which then run again.
    from sqlalchemy import event

    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", prepare)
    engine.dispose()


def _fail(study: Study, trial_id: int) -> bool:
    """Fail a trial; False where another process was first, or the study is gone."""
    optuna = the_optuna()
    try:
        return bool(study._storage.set_trial_state_values(trial_id, state=optuna.trial.TrialState.FAIL))
    except (optuna.exceptions.UpdateFinishedTrialError, KeyError):
        return False


def _queue_again(study: Study, trial: FrozenTrial) -> None:
    # who signed has drawn all parameters; else they are drawn again, by the same slot
    drawn = trial.params if "owner" in trial.user_attrs else {}
    study.enqueue_trial(drawn, user_attrs={RETRY: trial.number})


def _silent_seconds(trial: FrozenTrial, seen: MutableMapping[int, float] | None) -> float:
    """Return for how long a trial has had no owner."""
    if seen is not None:
        return time.monotonic() - seen.setdefault(trial._trial_id, time.monotonic())
    now = datetime.now()  # noqa: DTZ005 - Optuna stores naive local times
    return (now - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0


def _address(text: str) -> str:
    """Return the URL with the driver that this project uses; psycopg 3 for PostgreSQL."""
    if not on_server(text):
        return text
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        raise MissingExtraError(
            "a study on PostgreSQL needs psycopg 3; install it with: pip install 'twinstep[cluster]'",
            code="OPTIMIZE_EXTRA_CLUSTER",
        )
    return "postgresql+psycopg://" + text.partition("://")[2]


def _gone(who: str) -> bool:
    """Whether an owner is a process of this machine that has ended."""
    host, _, process = who.rpartition(":")[0].rpartition(":")
    began = who.rpartition(":")[2]
    if host != _host() or not process.isdigit():
        return False
    pid = int(process)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # a process of that number lives, but is it the same?
    return began != "0" and _began(pid) != began


@functools.cache
def _host() -> str:
    """Return what tells the processes of this machine: its name, its start, and its space of process numbers.

    Containers may share name and start, machines the name, and each counts its processes by itself.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot[:8]}/{space}"


def _began(pid: int) -> str:
    """Return when a process began, in clock ticks since the machine started; "0" where that is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "0"
    # the name, in brackets, may hold spaces
    return stat.rpartition(")")[2].split()[19]
