"""How many cases a test draws: few in `make test`, many in `make validate`, which has the time.

Draws are fixed by the test alone, so the few are the same ones on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import settings

__all__ = ["THOROUGH", "cases", "many_or_few"]

THOROUGH: Final = os.environ.get("TWINSTEP_THOROUGH") == "1"
"""Set by `make validate`."""


def many_or_few(many: int, few: int) -> int:
    """Return the number for this run; mark a test that uses it `thorough`, so that `make validate` has it."""
    return many if THOROUGH else few


def cases(many: int, few: int, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the outermost decorator of a property test: fixed draws, no deadline, and marked `thorough`."""
    fixed = {"deadline": None, "derandomize": True, "database": None, **options}
    drawn = settings(max_examples=many_or_few(many, few), **fixed)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        marked: Callable[..., None] = pytest.mark.thorough(drawn(test))
        return marked

    return decorate
