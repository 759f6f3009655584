"""Draws inside a test, for tests that count over all the cases what they have met."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck

from tests.budget import cases

__all__ = ["drawn"]


def drawn(many: int, few: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator of a property inside a test, which is itself to be marked `thorough`."""
    return cases(many, few, suppress_health_check=list(HealthCheck))
