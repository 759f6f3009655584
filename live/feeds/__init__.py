"""Feeds: where a session takes its bars from.

A feed says what its bars are like, and yields them as they are complete, after a given time. `ReplayFeed`
plays stored bars at any speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from live.feeds.replay import ReplayFeed
    from simulator.bars import Bars

__all__ = ["Feed", "ReplayFeed"]


class Feed(Protocol):
    """What `Session.run` needs of a feed."""

    @property
    def like(self) -> Bars:
        """Bars whose symbols, instruments and rules all bars of the feed share."""
        ...

    @property
    def live(self) -> bool:
        """Whether its bars happen now; then each of them is a transaction of its own."""
        ...

    def bars(self, *, after: int | None, rows: int, stopped: Callable[[], bool]) -> Iterator[Bars]:
        """Yield bars later than `after` (UTC nanoseconds, None: all), at most `rows` at once.

        Whoever waits inside looks at `stopped` now and then, and ends when it is true.
        """
        ...


def __getattr__(name: str) -> Any:
    if name == "ReplayFeed":
        return import_module("live.feeds.replay").ReplayFeed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
