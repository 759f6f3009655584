"""Alpaca, through its REST service, its streams, and alpaca-py.

`AlpacaBroker` is the broker; the other modules are its parts: the line to the service with its timeouts
(`line`), what is sent (`orders`), what is told (`readings`, `listing`), prices (`market`), and the stream of
trade updates with the questions that check it (`watch`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.brokers.alpaca.broker import AlpacaBroker
    from live.brokers.alpaca.line import Limiter, NoAnswer, Refused

__all__ = ["AlpacaBroker", "Limiter", "NoAnswer", "Refused"]

_HOMES = {
    "AlpacaBroker": "broker",
    "Limiter": "line",
    "NoAnswer": "line",
    "Refused": "line",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.brokers.alpaca.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
