"""The line to tastytrade: the asynchronous library on a thread of its own, and its errors in our words.

The library runs on one event loop in one thread; whoever calls waits for an answer, and never longer than the
timeout. What it raises has lost the status of the answer and its headers, so a hook looks at every answer
before it does: 401 and 403 are a refused access, 429 a limit, 5xx no answer at all. A body that cannot be
read is no answer either, and never an empty one.

After a refused login nobody logs in for a while: failed logins block an address for hours. The library logs
tokens and account numbers at its debug level, for which it asks by itself; here it is told to be quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.loops import LoopThread
from live.brokers.rate_limit import CallKind, RateLimit
from live.brokers.secrets import remember, scrub
from live.brokers.timeouts import CallTimeout
from simulator.errors import ConfigError, MissingExtraError, TwinstepError

__all__ = ["Line", "TastytradeDown", "library"]

T = TypeVar("T")

CLOSED_SECONDS: Final = 60.0
"""How long nobody logs in after a refused login; it doubles, up to `CLOSED_AT_MOST`."""

CLOSED_AT_MOST: Final = 3600.0
_CALL: Final[ContextVar[tuple[CallKind, float]]] = ContextVar("call", default=("read", float("inf")))
"""What is being asked for, and until when, for the requests that it takes."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class TastytradeDown(TwinstepError, ConnectionError):
    """tastytrade did not answer, or not in a way that can be read; whether it did something is not known."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="LIVE_BROKER_DOWN")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (TastytradeDown, (self.args[0],))


class NotThere(BrokerError):
    """404: the broker answers that it has no such thing."""


def library() -> Any:
    """Return the library.

    Raises
    ------
    MissingExtraError
        LIVE_EXTRA_TASTYTRADE where it is not installed.
    """
    try:
        found = import_module("tastytrade")
    except ImportError as error:
        raise MissingExtraError(
            "tastytrade needs its library: pip install 'twinstep[tastytrade]'", code="LIVE_EXTRA_TASTYTRADE"
        ) from error
    # its debug lines hold bearer tokens, and addresses hold account numbers
    for name in ("tastytrade", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return found


class Line:
    """One login.

    Parameters
    ----------
    secret, refresh
        Client secret and refresh token of the OAuth application.
    sandbox
        Whether the certification environment is asked, which has no real money.
    timeout
        Seconds that a call may take.
    limit
        Budget of requests, None for no limit.
    url
        Of a server on this machine in place of tastytrade's.
    transport
        In place of the library's own, for tests.
    clock
        Seconds that only rise.
    """

    def __init__(
        self,
        secret: str,
        refresh: str,
        *,
        sandbox: bool,
        timeout: float,
        limit: RateLimit | None = None,
        url: str | None = None,
        transport: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        remember([secret, refresh])
        self.timeout = timeout
        self.sandbox = sandbox
        self.limit = limit
        self._keys = (str(secret), str(refresh))
        self._url = None if url is None else _local(url)
        self._transport = transport
        self._clock = clock
        self._loop = LoopThread("tastytrade", lambda: TastytradeDown("this broker was closed"))
        self._session: Any = None
        self._refused: tuple[float, float, str] = (0.0, CLOSED_SECONDS, "")
        self._known_token = ""
        self.told_time: datetime | None = None
        """When the newest answer was given, by the clock of tastytrade; None where none has said it."""

    def call(
        self,
        work: Callable[[Any], Coroutine[Any, Any, T]],
        what: str,
        *,
        kind: CallKind = "read",
        timeout: float | None = None,
    ) -> T:
        """Run `work` with the session on the line's thread, and return what it returns.

        Raises
        ------
        AccessRefused
            LIVE_ACCESS for 401 and 403; after a refused login for a while without asking.
        RateLimited
            LIVE_RATE_LIMITED for 429 or a used-up budget; nothing was done.
        BrokerError
            LIVE_BROKER_REJECTED where the broker answers and refuses.
        TastytradeDown, CallTimeout
            Where there is no answer, or none that can be read.
        """
        library()  # importing it takes a second or two, which are not the broker's
        loop = self._loop.for_question(what)
        until, _, words = self._refused
        if self._clock() < until:
            raise AccessRefused(f"{words} (not asked again for {until - self._clock():.0f} s)")
        seconds = self.timeout if timeout is None else timeout
        future = asyncio.run_coroutine_threadsafe(self._asked(work, what, kind, seconds), loop)
        try:
            # the margin is for a loop that is busy; the limit itself is kept inside
            return future.result(seconds + 5.0)
        except FutureTimeout as error:
            future.cancel()
            if isinstance(error, CallTimeout):
                raise
            raise CallTimeout(f"{what}: no answer within {seconds:g} s") from None

    def task(self, work: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Run `work` on the line's thread until what is returned is called."""
        loop = self._loop.running()

        async def run() -> None:
            await work(await self._ready())

        future = asyncio.run_coroutine_threadsafe(run(), loop)

        def end() -> None:
            future.cancel()

        return end

    def close(self) -> None:
        """End the thread and its connections; safe to call twice."""
        self._loop.close(5.0, lambda loop: asyncio.run_coroutine_threadsafe(self._hang_up(), loop))

    async def _asked(
        self, work: Callable[[Any], Coroutine[Any, Any, T]], what: str, kind: CallKind, seconds: float
    ) -> T:
        _CALL.set((kind, asyncio.get_running_loop().time() + seconds))
        try:
            async with asyncio.timeout(seconds):
                return await self._with_token(work)
        except TimeoutError as error:
            if isinstance(error, TwinstepError):
                raise
            raise CallTimeout(f"{what}: no answer within {seconds:g} s") from None
        except TwinstepError:
            raise
        except Exception as error:
            raise self._translated(error, what) from None

    async def _with_token(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Run `work`; where its token has ended early, once more with a new one."""
        session = await self._ready()
        try:
            await self._refreshed(session)
            return await work(session)
        except _TokenEnded:
            # a 401 says that nothing was done, so what was asked may be asked again
            await self._refreshed(session, force=True)
        try:
            return await work(session)
        except _TokenEnded as error:
            raise self._shut(str(error.args[0])) from None

    async def _refreshed(self, session: Any, *, force: bool = False) -> None:
        await session.refresh(force=force)
        if session.session_token != self._known_token:
            self._known_token = session.session_token
            remember([self._known_token])
            self._refused = (0.0, CLOSED_SECONDS, "")

    def _shut(self, words: str) -> AccessRefused:
        """Note that a login was refused, and for how long nobody logs in again."""
        until, pause, _ = self._refused
        if self._clock() < until:
            return AccessRefused(words)  # another request of the same moment has met it
        self._refused = (self._clock() + pause, min(2.0 * pause, CLOSED_AT_MOST), words)
        return AccessRefused(words)

    def _translated(self, error: Exception, what: str) -> TwinstepError:
        words = scrub(f"{what}: {type(error).__name__}: {error}".strip())
        if isinstance(error, library().utils.TastytradeError) and not str(error).startswith(_UNREADABLE):
            return BrokerError(words, code="LIVE_BROKER_REJECTED")
        return TastytradeDown(words)

    async def _ready(self) -> Any:
        if self._session is None:
            tastytrade = library()
            hooks = {"request": [self._paced], "response": [self._looked_at]}
            options: dict[str, Any] = {"timeout": self.timeout, "event_hooks": hooks}
            if self._transport is not None:
                options["transport"] = self._transport
            elif self._url is not None:
                options["transport"] = _elsewhere(self._url)
            self._session = tastytrade.Session(*self._keys, is_test=self.sandbox, **options)
        return self._session

    async def _paced(self, request: Any) -> None:
        """Let a request wait for its place in the budget; one that cannot have it in time is not sent."""
        kind, ends = _CALL.get()
        clock = asyncio.get_running_loop().time
        while self.limit is not None:
            try:
                self.limit.wait(kind, timeout=0.0)
                return
            except RateLimited as error:
                if error.retry_after is None or clock() + error.retry_after > ends:
                    raise
                await asyncio.sleep(error.retry_after)

    async def _looked_at(self, response: Any) -> None:
        """Raise for an answer whose status says more than the library would tell."""
        status = response.status_code
        with contextlib.suppress(KeyError, ValueError):  # no time, or none that can be read, is no fault
            self.told_time = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        if status < 400:
            return
        login = response.request.url.path == "/oauth/token"
        if not login and status not in (401, 403, 404, 429) and status < 500:
            return
        await response.aread()
        words = scrub(f"HTTP {status} from {response.request.method}: {_words(response.text)}")
        if status == 429:
            wait = _seconds(response.headers.get("retry-after"))
            if self.limit is not None and wait is not None:
                self.limit.penalise(wait)
            raise RateLimited(words, retry_after=wait)
        if status >= 500:
            raise TastytradeDown(words)
        if login:
            raise self._shut(f"{words}; renew the refresh token, or ask tastytrade")
        if status == 403:
            raise AccessRefused(f"{words}; the token may not do this, or the account is locked")
        if status == 401:
            raise _TokenEnded(words)
        raise NotThere(words, code="LIVE_BROKER_REJECTED")

    async def _hang_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._session is not None:
                await self._session._client.aclose()
        finally:
            loop.stop()


class _TokenEnded(Exception):
    """401: the token is not taken any more."""


_UNREADABLE: Final = ("Couldn't parse response", "No data present")


def _words(text: str) -> str:
    return " ".join(text.split())[:300]


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None


def _local(url: str) -> Mapping[str, Any]:
    """Return the parts of an address, of this machine only: credentials are sent there."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname not in _LOOPBACK:
        raise ConfigError(
            f"tastytrade: url {url!r}; it is for a server on this machine (http://127.0.0.1:PORT), since "
            "credentials go there",
            code="LIVE_BROKER_CONFIG",
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"scheme": parts.scheme, "host": parts.hostname, "port": port}


def _elsewhere(place: Mapping[str, Any]) -> Any:
    """Return a transport that takes every request to `place`, whatever address the library has in mind."""
    httpx = import_module("httpx2")

    class Elsewhere(httpx.AsyncHTTPTransport):  # type: ignore[misc, name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            scheme = place["scheme"]
            if request.url.scheme in ("ws", "wss"):
                scheme = "wss" if scheme == "https" else "ws"
            request.url = request.url.copy_with(scheme=scheme, host=place["host"], port=place["port"])
            return await super().handle_async_request(request)

        async def aclose(self) -> None:
            """Stay open: streams bring clients of their own, which close what they were given."""

    return Elsewhere()
