"""What travels to a worker: a function, the modules of strategies that were loaded from files, and versions.

A strategy of `mine.py:Mine` lives in a module that no other process can import, so its source travels along
and is run there under the same name. A worker that already has that module with another source, because the
file was changed in between, takes the new one. A worker with another version of this project could give
other figures without a word; it refuses.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import linecache
import pickle
import platform
import sys
import threading
import traceback
import types
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from simulator.errors import ConfigError, EngineError

__all__ = ["Pickled", "call", "open_error", "pack", "pack_error", "pack_job"]

Pickled = bytes

_OWN_FILES: Final = "twinstep_user_"
"""How `strategies.loader` begins the names of modules that it loads from files."""
_DIGEST: Final = "__twinstep_source__"

# Jobs of one process follow one another: their compiled loops use the processors by themselves, and Dask
# runs tasks in threads.
_one_at_a_time: Final = threading.Lock()


def pack(function: Callable[..., Any], dumps: Callable[[Any], bytes] = pickle.dumps) -> Pickled:
    """Return a function as bytes for `call`; ConfigError OPTIMIZE_JOB_PICKLE where that cannot be."""
    try:
        inner = dumps(function)
    except Exception as error:  # pickle raises what it likes
        raise ConfigError(
            f"{_name(function)} cannot be sent to another process: {error}. Define it, and the classes it "
            "carries, at the top of a module, not inside a function",
            code="OPTIMIZE_JOB_PICKLE",
        ) from error
    return pickle.dumps((_versions(), _sources(), inner))


def pack_job(job: Any, index: int, dumps: Callable[[Any], bytes] = pickle.dumps) -> Pickled:
    """Return a job as bytes for `call`; ConfigError OPTIMIZE_JOB_PICKLE where that cannot be."""
    try:
        return dumps(job)
    except Exception as error:  # pickle raises what it likes
        raise ConfigError(
            f"job {index + 1} cannot be sent to another process: {error}", code="OPTIMIZE_JOB_PICKLE"
        ) from error


def call(packed: Pickled, job: Pickled) -> Any:
    """Call a packed function with a packed job, in a worker."""
    with _one_at_a_time:
        # the function first: a job may need the modules that it brings
        function = _unpacked(packed)
        return function(pickle.loads(job))  # noqa: S301 - from the process that asked for the work


def pack_error(error: Exception) -> Pickled:
    """Return an error as bytes for `open_error`; its trace goes with it as a note."""
    # notes apart: an error that says how it is rebuilt forgets them
    notes = [*getattr(error, "__notes__", []), "in a worker:\n" + _trace(error)]
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - errors with constructors of their own fail only here
    except Exception:
        # whatever it raises on its way, the words arrive
        error = EngineError(f"a job failed: {type(error).__name__}: {error}", code="OPTIMIZE_JOB_FAILED")
    return pickle.dumps((error, notes))


def open_error(packed: Pickled) -> Exception:
    """Return a packed error, with its notes."""
    error: Exception
    error, notes = pickle.loads(packed)  # noqa: S301 - from a worker of this process
    error.__notes__ = notes
    return error


def _trace(error: Exception) -> str:
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()


# Bars and compiled signals behind a function are large, and jobs of two runs seldom mix.
@lru_cache(maxsize=2)
def _unpacked(packed: Pickled) -> Callable[[Any], Any]:
    versions, sources, inner = pickle.loads(packed)  # noqa: S301 - from the process that asked for the work
    here = _versions()
    if versions != here:
        raise EngineError(
            f"a worker on {platform.node()} has {_told(here)}, the process that sends the work has "
            f"{_told(versions)}; figures could differ. Install the same on every machine",
            code="OPTIMIZE_WORKER_VERSION",
        )
    for name, (path, source) in sources.items():
        _settle(name, path, source)
    found: Callable[[Any], Any] = pickle.loads(inner)  # noqa: S301
    return found


def _versions() -> dict[str, str]:
    try:
        own = importlib.metadata.version("twinstep")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"
    return {"python": ".".join(platform.python_version_tuple()[:2]), "twinstep": own}


def _told(versions: dict[str, str]) -> str:
    return f"Python {versions['python']} and twinstep {versions['twinstep']}"


def _sources() -> dict[str, tuple[str, str]]:
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.startswith(_OWN_FILES) and path is not None:
            text = getattr(module, _DIGEST, None)
            found[name] = (path, text if text is not None else Path(path).read_text(encoding="utf-8"))
    return found


def _settle(name: str, path: str, source: str) -> None:
    known = sys.modules.get(name)
    if known is not None and _digest(getattr(known, _DIGEST, "")) == _digest(source):
        return
    if not _is_at(path, source):
        # tracebacks, and whoever asks for the source of a class, find it all the same
        path = f"<{name} {_digest(source)[:8]}>"
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    module = types.ModuleType(name)
    module.__file__ = path
    setattr(module, _DIGEST, source)
    sys.modules[name] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user's own strategy
    except BaseException:
        del sys.modules[name]
        raise


def _is_at(path: str, source: str) -> bool:
    try:
        return Path(path).read_text(encoding="utf-8") == source
    except (OSError, ValueError):
        return False


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _name(function: Any) -> str:
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__qualname__", inner))
