"""How long a connection may take to say what it wants: whoever dawdles over a header is hung up on.

The server behind us waits for ever for a request whose header does not end, and each such connection costs a
socket. So a connection that has asked nothing whole within some seconds is closed: one that never sent
anything, and one that sends a byte now and then. What follows the header is timed by `guard`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEADER_SECONDS", "ImpatientProtocol"]

HEADER_SECONDS: Final = 10.0
"""From the first byte of a header, or from the opening of a connection, to the header's end."""


class ImpatientProtocol(H11Protocol):
    """HTTP as usual, on a connection that is closed where no request comes of it."""

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to count."""
        super().connection_made(transport)
        self._count()

    def data_received(self, data: bytes) -> None:
        """Go on counting while a header is not whole."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._count()
        else:
            self._done()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the count."""
        self._done()
        super().connection_lost(exc)

    def _count(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEADER_SECONDS, self._hang_up)

    def _done(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
