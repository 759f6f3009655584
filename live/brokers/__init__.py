"""Brokers: one interface for stocks and options, the manager in front of them, and the contract they keep.

A broker is a class behind `BrokerInterface`, and is one as soon as it passes `BrokerContract`. Orders reach
it only through `BrokerManager`, which routes them and asks kill switch, mode and review queue first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.brokers.alpaca.broker import AlpacaBroker
    from live.brokers.interactive_brokers.broker import InteractiveBrokersBroker
    from live.brokers.interface import (
        Account,
        BrokerInterface,
        BrokerOrder,
        Leg,
        OrderRequest,
        Outcome,
        Submitted,
        client_order_id,
    )
    from live.brokers.manager import BrokerManager
    from live.brokers.pacing import PacedBroker
    from live.brokers.paper import PaperBroker
    from live.brokers.tastytrade.broker import TastytradeBroker
    from live.brokers.told import Activity, BrokerUpdate, Quote

__all__ = [
    "Account",
    "Activity",
    "AlpacaBroker",
    "BrokerInterface",
    "BrokerManager",
    "BrokerOrder",
    "BrokerUpdate",
    "InteractiveBrokersBroker",
    "Leg",
    "OrderRequest",
    "Outcome",
    "PacedBroker",
    "PaperBroker",
    "Quote",
    "Submitted",
    "TastytradeBroker",
    "client_order_id",
]

_HOMES = {
    "Account": "interface",
    "Activity": "told",
    "AlpacaBroker": "alpaca.broker",
    "BrokerInterface": "interface",
    "BrokerManager": "manager",
    "BrokerOrder": "interface",
    "BrokerUpdate": "told",
    "InteractiveBrokersBroker": "interactive_brokers.broker",
    "Leg": "interface",
    "OrderRequest": "interface",
    "Outcome": "interface",
    "PacedBroker": "pacing",
    "PaperBroker": "paper",
    "Quote": "told",
    "Submitted": "interface",
    "TastytradeBroker": "tastytrade.broker",
    "client_order_id": "interface",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.brokers.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
