"""Interactive Brokers, through a TWS or an IB Gateway that runs on this machine, and ib_async.

`InteractiveBrokersBroker` is the broker; the other modules are its parts: the line to the gateway, contracts,
what is sent (`orders`), what is told (`tape`, `readings`), prices (`market`) and statements (`flex`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.brokers.interactive_brokers.broker import InteractiveBrokersBroker
    from live.brokers.interactive_brokers.door import GatewayDown
    from live.brokers.interactive_brokers.flex import FlexStatements

__all__ = ["FlexStatements", "GatewayDown", "InteractiveBrokersBroker"]

_HOMES = {
    "FlexStatements": "flex",
    "GatewayDown": "door",
    "InteractiveBrokersBroker": "broker",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.brokers.interactive_brokers.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
