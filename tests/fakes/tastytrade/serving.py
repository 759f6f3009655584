"""A tastytrade of the tests on a port of this machine, for what is reached by an address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.fakes.tastytrade.server import TastytradeServer


@contextmanager
def served(server: TastytradeServer) -> Iterator[str]:
    """Serve on a free port, and say its address."""
    # named, since a bound method with three parameters is taken for an application of the second kind
    config = uvicorn.Config(server.app, port=0, log_level="error", lifespan="off", interface="asgi3")
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 5.0
    while not serving.started and time.monotonic() < ends:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{serving.servers[0].sockets[0].getsockname()[1]}"
    finally:
        serving.should_exit = serving.force_exit = True
        thread.join(5.0)
