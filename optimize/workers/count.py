"""How many workers there shall be."""

from __future__ import annotations

from typing import Any

from simulator.errors import ConfigError

__all__ = ["check_workers"]


def check_workers(workers: Any) -> int:
    """Return a number of workers; ConfigError OPTIMIZE_WORKERS where it is none."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(
            f"workers is {workers!r}; it is a whole number, at least 1", code="OPTIMIZE_WORKERS"
        )
    return workers
