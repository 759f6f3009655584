"""Who has been let in: a link that opens once, the cookie that it gives, and a token for programs.

The link's token has 256 random bits, is made anew at each start and is used up by the first who follows it.
The cookie names a session that is known to this process alone, so the next start knows nobody. Its name has
the port in it, because browsers send a cookie to every port of a host. Wrong tokens are counted, and after
five in a minute nobody is let in for a minute, whoever asks: only logging in is kept waiting, not who is in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["Doorman"]

MOST_FAILURES: Final = 5
"""Wrong tokens in a minute, after which nobody is let in for a minute."""
LOCKED_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 12 * 3600.0
"""A session that nobody has used for so long is over."""
MOST_SESSIONS: Final = 50

_log = logging.getLogger("twinstep.dashboard")


class Doorman:
    """Lets in whoever has a link, a session or the token; used by the server's thread, and for new links.

    Parameters
    ----------
    monotonic
        Injected for tests.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._links: set[bytes] = set()
        self._sessions: dict[bytes, float] = {}
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)
        self._locked_until = -1.0
        self._token = _random()

    def link(self) -> str:
        """Return a new token for one login."""
        token = _random()
        self._links.add(_digest(token))
        return token

    def write_token(self, file: Path, url: str) -> None:
        """Write the address and the token for programs, readable by this user alone."""
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            os.fchmod(opened.fileno(), 0o600)
            json.dump({"url": url, "token": self._token}, opened)
        draft.replace(file)

    @property
    def locked(self) -> float:
        """Seconds for which nobody is let in; 0 where somebody may be."""
        return max(0.0, self._locked_until - self._monotonic())

    def open(self, token: str) -> str | None:
        """Use up a link; returns the session's secret, None for a link that is none, or was used."""
        if self.locked:
            return None
        found = self._matching(token)
        if found is None:
            self._failed()
            return None
        self._links.discard(found)
        secret = _random()
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.pop(min(self._sessions, key=lambda one: self._sessions[one]))
        self._sessions[_digest(secret)] = self._monotonic()
        return secret

    def knows(self, secret: str) -> bool:
        """Whether a cookie names a session that is in use."""
        now, key = self._monotonic(), _digest(secret)
        # looked up by its digest: how long that takes says nothing about the secret
        last = self._sessions.get(key)
        if last is None:
            return False
        if now - last > IDLE_SECONDS:
            del self._sessions[key]
            return False
        self._sessions[key] = now
        return True

    def admits(self, token: str) -> bool:
        """Whether this is the token for programs; wrong ones count as wrong links do."""
        if self.locked:
            return False
        if hmac.compare_digest(_digest(token), _digest(self._token)):
            return True
        self._failed()
        return False

    def leave(self, secret: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(secret), None)

    def _matching(self, token: str) -> bytes | None:
        key = _digest(token)
        found = None
        for one in tuple(self._links):
            if hmac.compare_digest(one, key):
                found = one
        return found

    def _failed(self) -> None:
        now = self._monotonic()
        self._failures.append(now)
        if len(self._failures) == MOST_FAILURES and now - self._failures[0] < LOCKED_SECONDS:
            self._locked_until = now + LOCKED_SECONDS
            self._failures.clear()
            _log.warning(
                "%d wrong links or tokens in a minute: nobody is let in for %.0f s",
                MOST_FAILURES,
                LOCKED_SECONDS,
            )


def _random() -> str:
    return secrets.token_urlsafe(32)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
