"""A tastytrade of the tests on a port of this machine, for what is reached by an address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import uvicorn


class Served(Protocol):
    """What can be served."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or serve a stream."""
        ...


@contextmanager
def served(server: Served) -> Iterator[str]:
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
