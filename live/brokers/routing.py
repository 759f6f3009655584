"""Which broker an order goes to, and whether a mode may be at all."""

from __future__ import annotations

from collections.abc import Mapping

from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerInterface, OrderRequest
from simulator.errors import ConfigError

__all__ = ["check_mode", "route_of"]


def route_of(request: OrderRequest, routes: Mapping[str, str], brokers: Mapping[str, BrokerInterface]) -> str:
    """Return the name of the broker that an order goes to.

    Raises
    ------
    ConfigError
        LIVE_ROUTE where no route is given, or the legs of a package lead to different brokers.
    """
    names = {routes.get(leg.symbol) or routes.get(request.asset_class) for leg in request.legs}
    name = next(iter(names))
    if len(names) == 1 and name is not None:
        return name
    if names == {None} and len(brokers) == 1:
        return next(iter(brokers))
    raise ConfigError(
        f"order {request.client_order_id} in {request.symbol} leads to {sorted(map(str, names))}; routes "
        "name one broker by symbol, or for 'stock' and 'option'",
        code="LIVE_ROUTE",
    )


def check_mode(
    mode: ExecutionMode,
    brokers: Mapping[str, BrokerInterface],
    *,
    enabled: bool,
    scope: str,
    has_queue: bool,
) -> None:
    """Refuse a mode that may not be.

    Raises
    ------
    ConfigError
        LIVE_PAPER_ONLY, LIVE_NOT_ENABLED, LIVE_SCOPE, LIVE_NO_QUEUE.
    """
    real = [name for name, broker in brokers.items() if not broker.is_paper]
    if mode is ExecutionMode.PAPER_ONLY and real:
        raise ConfigError(f"PAPER_ONLY, and {real[0]} trades real money", code="LIVE_PAPER_ONLY")
    if (real or mode is ExecutionMode.LIVE) and not enabled:
        raise ConfigError(
            f"{mode.name} reaches {real[0] if real else 'brokers'} and needs both the key of the "
            "configuration and the flag of the command line; one of them is missing",
            code="LIVE_NOT_ENABLED",
        )
    if (real or mode is ExecutionMode.LIVE) and scope != "live":
        raise ConfigError(
            f"{mode.name} needs a kill switch of scope live, and this one's is {scope}", code="LIVE_SCOPE"
        )
    if mode is ExecutionMode.MANUAL_REVIEW and not has_queue:
        raise ConfigError("MANUAL_REVIEW needs a review queue", code="LIVE_NO_QUEUE")
