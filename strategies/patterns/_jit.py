"""The pattern scans' compiler: the kernel's own, with a cache named after this folder's sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator.kernel._jit import Compiler, self_healing

__all__ = ["Array", "call", "inner", "jit"]

Array = npt.NDArray[np.float64]

_COMPILER: Final = Compiler(Path(__file__).parent)

jit: Final = _COMPILER.entry
"""Decorates functions that Python calls."""

inner: Final = _COMPILER
"""Decorates functions that only compiled functions call; they may not allocate."""


def call(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Call a compiled function of this folder; a damaged cache is rebuilt once."""
    return self_healing(_COMPILER, lambda: kernel(*arguments))
