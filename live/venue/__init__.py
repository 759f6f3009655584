"""The matching account of the paper exchange: orders in Alpaca's words, filled by the kernel's rules.

`Venue` keeps one account with net positions and the whole order language; `live.exchange` serves it over a
protocol, `live.brokers.PaperBroker` puts it behind `BrokerInterface`. The values in `types` need no kernel.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.venue.types import (
        VenueAccount,
        VenueActivity,
        VenueLeg,
        VenueOrder,
        VenuePosition,
        VenueRejected,
        VenueRequest,
        VenueUpdate,
    )
    from live.venue.venue import Venue

__all__ = [
    "Venue",
    "VenueAccount",
    "VenueActivity",
    "VenueLeg",
    "VenueOrder",
    "VenuePosition",
    "VenueRejected",
    "VenueRequest",
    "VenueUpdate",
]

_HOMES = {name: "venue" if name == "Venue" else "types" for name in __all__}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.venue.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
