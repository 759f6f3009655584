"""The paper exchange: a paper account behind the Alpaca trading protocol, on this machine.

`Exchange` serves a `live.venue.Venue` over HTTP and a websocket, so that any Alpaca client trades against it;
`Market` moves the venue's prices, from stored bars at any speed, from a live feed, or step by step. Modules:
`errors` (answers that refuse), `intake` (what a client sends), `wire` (what it gets), `guard` (who may speak
at all), `stream` (trade updates), `calendar` and `assets` (what there is to trade, and when), `app` (the
paths), `server` (a thread that serves them). Needs the extra `exchange`. Names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.exchange.guard import Keys
    from live.exchange.market import Market
    from live.exchange.server import Exchange

__all__ = ["Exchange", "Keys", "Market"]

_HOMES = {"Exchange": "server", "Keys": "guard", "Market": "market"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.exchange.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
