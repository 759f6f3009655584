"""Feeds: where a session takes its bars from.

A feed says what its bars are like, and yields them as they are complete, after a given time. `ReplayFeed`
plays stored bars at any speed; `YahooFeed` asks Yahoo again and again, `YahooStream` listens to its stream,
`AlpacaFeed` does both at Alpaca, `DxlinkFeed` takes tastytrade's; `feed_of` makes one from a line of text.
Live feeds say of which bars nothing may be entered (`holds`), tell when they go stale, and have a watch that
can reduce a kill switch. Names are imported when first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from live.feeds.alpaca import AlpacaFeed
    from live.feeds.dxlink import DxlinkFeed
    from live.feeds.events import FeedEvent
    from live.feeds.holds import Hold, without_entries
    from live.feeds.replay import ReplayFeed
    from live.feeds.spec import feed_of
    from live.feeds.stale import StaleWatch
    from live.feeds.yahoo import YahooFeed
    from live.feeds.yahoo_stream import YahooStream
    from simulator.bars import Bars

__all__ = [
    "AlpacaFeed",
    "DxlinkFeed",
    "Feed",
    "FeedEvent",
    "Hold",
    "ReplayFeed",
    "StaleWatch",
    "YahooFeed",
    "YahooStream",
    "feed_of",
    "without_entries",
]

_HOMES = {
    "AlpacaFeed": "alpaca",
    "DxlinkFeed": "dxlink",
    "FeedEvent": "events",
    "Hold": "holds",
    "ReplayFeed": "replay",
    "StaleWatch": "stale",
    "YahooFeed": "yahoo",
    "YahooStream": "yahoo_stream",
    "feed_of": "spec",
    "without_entries": "holds",
}


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
    if name in _HOMES:
        return getattr(import_module(f"live.feeds.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
