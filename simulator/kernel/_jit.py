"""How the kernel is compiled, and where the compiled code is kept.

numba's own cache watches one file per function: a constant changed in another file gives old numbers,
silently. So the cache directory is named after a hash of every source in the folder, of numba, NumPy and
Python: an edited source is a new directory. A damaged cache file would be fatal at every start, so `warm`
deletes the directory and compiles once more. Where nothing can be written, code is compiled for this
process only.

`NUMBA_DISABLE_JIT=1` runs the same functions as plain Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import njit
from numba.core import config as _numba_config

from simulator.kernel._linking import InnerCompiler, OuterCompiler

__all__ = ["CACHE_FOLDER", "ENGINE_HASH", "Compiler", "jit_disabled", "kernel_jit", "self_healing"]

# numba sets its settings at run time, out of sight of a type checker
config: Any = _numba_config

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy", "fastmath": False}
_OUTER: Final[dict[str, Any]] = {**_OPTIONS, "pipeline_class": OuterCompiler}
# Wrappers for Python and reference counts are most of what a small function compiles to; inner functions need
# neither, since they allocate nothing and their arrays outlive the call.
_INNER: Final[dict[str, Any]] = {
    **_OPTIONS,
    "pipeline_class": InnerCompiler,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}


def _source_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for version in (numba.__version__, np.__version__, sys.version):
        digest.update(version.encode())
    for source in sorted(folder.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _candidates() -> list[Path]:
    given = os.environ.get("TWINSTEP_CACHE_DIR")
    if given:
        return [Path(given)]
    places = []
    with contextlib.suppress(RuntimeError):  # no home directory
        base = os.environ.get("XDG_CACHE_HOME")
        places.append((Path(base) if base else Path.home() / ".cache") / "twinstep")
    places.append(
        Path(tempfile.gettempdir()) / f"twinstep-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    )
    return places


class Compiler:
    """Compiles the functions of one source folder into a cache directory named after its contents.

    `folder` is None where no place for a cache is writable; the functions then compile in every process.
    """

    def __init__(self, sources: Path) -> None:
        self.hash = _source_hash(sources)
        self.folder: Path | None = next(
            (
                place / "kernel" / self.hash[:20]
                for place in _candidates()
                if _writable(place / "kernel" / self.hash[:20])
            ),
            None,
        )

    def __call__(self, function: F) -> F:
        """Compile a function that only compiled functions call; it becomes part of them (`_linking`)."""
        return cast("F", njit(**_INNER)(function))

    def inlined(self, function: F) -> F:
        """Compile an inner function into every caller: for the few that each bar of a position runs."""
        return cast("F", njit(**_INNER, forceinline=True)(function))

    def entry(self, function: F) -> F:
        """Compile a function that Python calls, and keep the compiled code."""
        if self.folder is None:
            return cast("F", njit(**_OUTER)(function))
        before = config.CACHE_DIR
        config.CACHE_DIR = str(self.folder)  # read by numba while it decorates, then never again
        try:
            return cast("F", njit(cache=True, **_OUTER)(function))
        finally:
            config.CACHE_DIR = before

    def wipe(self) -> None:
        """Delete the compiled code, damaged or not."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)


def jit_disabled() -> bool:
    """Whether the kernel runs as plain Python (`NUMBA_DISABLE_JIT=1`)."""
    return bool(config.DISABLE_JIT)


def self_healing(compiler: Compiler, call: Callable[[], R]) -> R:
    """Return `call()`; where a damaged cache breaks it, wipe the cache and call once more.

    The call must not have changed anything when loading its code fails; that holds for a compiled function,
    whose code is loaded before it starts.
    """
    try:
        return call()
    except (
        EOFError,
        pickle.UnpicklingError,
        ValueError,
        OSError,
        AttributeError,
        ImportError,
        IndexError,
    ) as error:
        if not _from_cache(error):
            raise
        compiler.wipe()
        with _scalar_code():
            return call()


@contextlib.contextmanager
def _scalar_code() -> Iterator[None]:
    # Nothing in the kernel is a loop that a vectoriser could use; looking for one costs a tenth of compiling.
    before = config.LOOP_VECTORIZE, config.SLP_VECTORIZE
    config.LOOP_VECTORIZE, config.SLP_VECTORIZE = 0, 0
    try:
        yield
    finally:
        config.LOOP_VECTORIZE, config.SLP_VECTORIZE = before


def _from_cache(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith("caching.py"):
            return True
        trace = trace.tb_next
    return False


def _load_array_functions() -> None:
    # numba asks whether SciPy has a BLAS while it loads its array functions, which imports a quarter of
    # SciPy: more than loading all of the kernel from its cache. It asks again where a function needs one.
    if "numba.np.arraymath" in sys.modules or jit_disabled():
        return
    from numba.np import linalg

    asked = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        array_functions = importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = asked
    array_functions.ensure_blas = asked  # type: ignore[attr-defined]


_load_array_functions()
kernel_jit: Final = Compiler(Path(__file__).parent)
ENGINE_HASH: Final = kernel_jit.hash
CACHE_FOLDER: Final = kernel_jit.folder
