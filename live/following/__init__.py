"""Sessions that trade at a broker: a plan, an account, and a follower that keeps both together.

The plan steps as every session does, so what was decided is byte for byte what a backtest would have decided.
After every bar the follower works out from the plan's state what has to be at the broker, compares it with
what is there, and sends the difference through the `BrokerManager`. It goes by states and not by events, so
a restart, a lost answer and a broker that was out of reach need nothing special: the next look says what is
missing. Names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.following.follower import Follower
    from live.following.record import Followed, Parted, followed, parted
    from live.following.session import BrokerSession
    from live.following.standing import Standing

__all__ = ["BrokerSession", "Followed", "Follower", "Parted", "Standing", "followed", "parted"]

_HOMES = {
    "BrokerSession": "session",
    "Followed": "record",
    "Follower": "follower",
    "Parted": "record",
    "Standing": "standing",
    "followed": "record",
    "parted": "record",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"live.following.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
