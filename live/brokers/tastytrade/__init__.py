"""tastytrade, through its open API and the library `tastytrade`.

`TastytradeBroker` is the broker; the other modules are its parts: the `line` to the API, `symbols`, what is
sent (`orders`), what is told (`readings`, `history`), prices (`market`), trailing stops (`trails`) and the
stream of the account (`updates`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.brokers.tastytrade.broker import TastytradeBroker
    from live.brokers.tastytrade.line import TastytradeDown
    from live.brokers.tastytrade.market import Metrics
    from live.brokers.tastytrade.orders import Preview

__all__ = ["Metrics", "Preview", "TastytradeBroker", "TastytradeDown"]

_HOMES = {
    "Metrics": "market",
    "Preview": "orders",
    "TastytradeBroker": "broker",
    "TastytradeDown": "line",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.brokers.tastytrade.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
