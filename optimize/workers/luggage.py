"""What travels to a worker: a function, the modules of strategies that were loaded from files, and versions.

A strategy of `mine.py:Mine` lives in a module that no other process can import, so its source travels along,
as it was when it was loaded, with that of the modules beside it that it imports; packages beside it do not. A
worker runs what it needs of them under the same names. Where it has one with another source, because a file
was changed in between, it takes the new ones. A worker with another version of this project could give other
figures without a word; it refuses.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import linecache
import pickle
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from simulator.errors import ConfigError, EngineError
from strategies.loader import SOURCE, source_of

__all__ = ["Pickled", "call", "open_error", "pack", "pack_error", "pack_job"]

Pickled = bytes

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
        brought = _unpacked(packed)
        sys.meta_path.insert(0, brought)
        try:
            return brought.function(pickle.loads(job))  # noqa: S301 - from the process that asked for the work
        finally:
            sys.meta_path.remove(brought)


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


class _Brought(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """A function that was brought, and the modules that it may ask for: each is run when it is imported."""

    def __init__(self, sources: Mapping[str, tuple[str, str]], inner: bytes) -> None:
        self._sources, self._inner = sources, inner
        loaded = {name: sys.modules[name] for name in sources if name in sys.modules}
        if any(vars(module).get(SOURCE) != sources[name][1] for name, module in loaded.items()):
            # one that has not changed may have imported one that has
            for name in loaded:
                del sys.modules[name]

    @cached_property
    def function(self) -> Callable[[Any], Any]:
        """Give what was packed; asked for first while this is a finder."""
        found: Callable[[Any], Any] = pickle.loads(self._inner)  # noqa: S301
        return found

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._sources:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        path, source = self._sources[name]
        if not _is_at(path, source):
            # tracebacks, and whoever asks for the source of a class, find it all the same
            path = f"<{name} {hashlib.sha256(source.encode()).hexdigest()[:8]}>"
            linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        module.__file__ = path
        vars(module)[SOURCE] = source
        exec(compile(source, path, "exec"), vars(module))  # noqa: S102 - the user's own strategy


# Bars and compiled signals behind a function are large, and jobs of two runs seldom mix.
@lru_cache(maxsize=2)
def _unpacked(packed: Pickled) -> _Brought:
    versions, sources, inner = pickle.loads(packed)  # noqa: S301 - from the process that asked for the work
    here = _versions()
    if versions != here:
        raise EngineError(
            f"a worker on {platform.node()} has {_told(here)}, the process that sends the work has "
            f"{_told(versions)}; figures could differ. Install the same on every machine",
            code="OPTIMIZE_WORKER_VERSION",
        )
    return _Brought(sources, inner)


def _versions() -> dict[str, str]:
    try:
        own = importlib.metadata.version("twinstep")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"
    return {"python": ".".join(platform.python_version_tuple()[:2]), "twinstep": own}


def _told(versions: dict[str, str]) -> str:
    return f"Python {versions['python']} and twinstep {versions['twinstep']}"


def _sources() -> dict[str, tuple[str, str]]:
    """Return path and text of the modules that came with strategies of files, by their names."""
    found = {}
    for name, module in list(sys.modules.items()):
        text = getattr(module, "__dict__", {}).get(SOURCE)
        if text is not None:
            found[name] = (str(module.__file__), text)
    return found


def _is_at(path: str, source: str) -> bool:
    try:
        return source_of(Path(path)) == source
    except (OSError, ValueError, SyntaxError):
        return False


def _name(function: Any) -> str:
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__qualname__", inner))
