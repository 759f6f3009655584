"""A server of this machine: where it listens, which names are its own, and the thread that answers.

Both the paper exchange and the dashboard listen on a loopback address unless somebody asks for another one
together with the names under which they will be called: any page that a browser shows can send requests to
this machine, and a foreign name that resolves to 127.0.0.1 is told from ours by the Host header alone.

Needs uvicorn, which is imported when the thread starts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from simulator.errors import ConfigError, EngineError

__all__ = ["ServerThread", "is_loopback", "listen", "own_names", "shown", "until_signal"]

STOP_SECONDS: Final = 5
_START_SECONDS: Final = 20.0
_BACKLOG: Final = 128


class ServerThread:
    """Answers for an ASGI application in a thread of its own, from `start` to `stop`.

    Parameters
    ----------
    app
        ASGI application.
    name
        Of the thread, and of its logger.
    code
        Of the error where it does not start.
    bind
        Called in the thread with its event loop before it serves, and with None when it has ended.
    settings
        Further settings of uvicorn.
    """

    def __init__(
        self,
        app: Any,
        *,
        name: str,
        code: str,
        bind: Callable[[asyncio.AbstractEventLoop | None], object] = lambda loop: None,
        **settings: Any,
    ) -> None:
        self._app, self._name, self._code, self._bind, self._settings = app, name, code, bind, settings
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread answers."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, listening: socket.socket) -> None:
        """Answer on a socket; returns when it does, and raises `EngineError` where it does not, or did."""
        import uvicorn

        if self._thread is not None:
            raise EngineError(f"{self._name} has been started already", code=self._code)
        config = uvicorn.Config(
            self._app, lifespan="off", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=STOP_SECONDS, loop="asyncio", **self._settings,
        )  # fmt: skip
        # whatever handlers an application has: a login's token stands in the address of a request
        logging.getLogger("uvicorn.access").disabled = True
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._serve, args=(listening,), name=f"twinstep-{self._name}", daemon=True
        )
        self._thread.start()
        end = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise EngineError(f"{self._name} did not start; the log says why", code=self._code)
            time.sleep(0.005)

    def stop(self) -> None:
        """End all connections, and wait until that is done."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_SECONDS + _START_SECONDS)

    def _serve(self, listening: socket.socket) -> None:
        async def run() -> None:
            self._bind(asyncio.get_running_loop())
            try:
                await self._server.serve(sockets=[listening])
            finally:
                self._bind(None)

        try:
            asyncio.run(run())
        except BaseException:
            # a thread has nobody to raise to; `start` and the command look whether it lives
            logging.getLogger(f"twinstep.{self._name}").exception("the server ended")


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts. In the main thread only."""
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(host: str, port: int, *, code: str) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises `ConfigError` where nothing can listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, asyncio turns Nagle's delay off: 40 ms an answer otherwise
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        raise ConfigError(
            f"cannot listen on {shown(host)}:{port}: {error}; another program may have the port, "
            "0 takes a free one",
            code=code,
        ) from error
    return made


def own_names(host: str, port: int, further: Sequence[str] = ()) -> set[str]:
    """Return the values of a Host header that name us."""
    own = {"127.0.0.1", "localhost", "[::1]"} if is_loopback(host) else {shown(host)}
    names = {f"{name}:{port}".lower() for name in own}
    for name in further:
        lower = name.lower()
        names |= {lower} if ":" in lower else {lower, f"{lower}:{port}"}
    return names


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(host: str) -> str:
    """Return a host as it stands in an address."""
    return f"[{host}]" if ":" in host else host
