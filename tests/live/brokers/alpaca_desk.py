"""An Alpaca of the tests with an `AlpacaBroker` at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from live.brokers.alpaca import AlpacaBroker
from tests.fakes.alpaca.server import KEY, SECRET, AlpacaServer

CREDENTIALS = {"key": KEY, "secret": SECRET}


def broker_at(server: AlpacaServer, **options: Any) -> AlpacaBroker:
    """Return a broker at a server, with a timeout to wait for."""
    options = {"timeout": 10.0, "reconnect_pause": 0.02, **options}
    return AlpacaBroker(CREDENTIALS, url=server.url, data_url=server.url, **options)


@contextmanager
def at_alpaca(*, cash: float = 100_000.0, **options: Any) -> Iterator[tuple[AlpacaServer, AlpacaBroker]]:
    """Open a server and a broker at it."""
    with AlpacaServer(cash=cash) as server:
        broker = broker_at(server, **options)
        try:
            yield server, broker
        finally:
            broker.close()


def until(is_so: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that happens on another thread."""
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.005)
