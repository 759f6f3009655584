"""A TWS of the tests with an `InteractiveBrokersBroker` at it."""

from __future__ import annotations

import time
from typing import Any

from live.brokers.interactive_brokers import InteractiveBrokersBroker
from live.brokers.interface import Leg, OrderRequest, Outcome
from tests.fakes.tws.market import TwsOrder
from tests.fakes.tws.server import TwsServer

PUTS = ("SPY261218P00500000", "SPY261218P00490000")
PRICES = {"AAPL": 100.0, "MSFT": 200.0, "SPY": 500.0, PUTS[0]: 4.0, PUTS[1]: 2.5}


def broker_at(tws: TwsServer, **options: Any) -> InteractiveBrokersBroker:
    """Return a broker at a server; without a limit of messages, with a timeout to wait for."""
    options = {"timeout": 3.0, "per_second": 0, "reconnect_pause": 0.0, **options}
    return InteractiveBrokersBroker(host=tws.host, port=tws.port, **options)


def restart(tws: TwsServer, broker: InteractiveBrokersBroker, next_id: int | None = None) -> None:
    """Restart the gateway, and wait until the broker has noticed."""
    tws.restart(next_id)
    ends = time.monotonic() + 5.0
    while broker.is_connected and time.monotonic() < ends:
        time.sleep(0.002)
    assert not broker.is_connected


def held(broker: InteractiveBrokersBroker) -> dict[str, float]:
    return {one.symbol: one.quantity for one in broker.get_positions()}


def sent(broker: InteractiveBrokersBroker, request: OrderRequest) -> Any:
    answer = broker.submit_order(request)
    assert answer.outcome is Outcome.CONFIRMED, answer
    return answer.order


def spread(number: int, quantity: float, net: float | None = None, **fields: Any) -> OrderRequest:
    kind: dict[str, Any] = {} if net is None else {"kind": "limit", "limit_price": net}
    return OrderRequest(
        client_order_id=f"s{number}", legs=(Leg(PUTS[0], -quantity), Leg(PUTS[1], quantity)),
        order_class="multi_leg", **kind, **fields,
    )  # fmt: skip


def placed(tws: TwsServer, ref: str) -> TwsOrder:
    return tws.do(lambda: tws.market.by_ref(ref))
