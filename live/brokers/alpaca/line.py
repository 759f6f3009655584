"""The line to Alpaca: every call has a time limit, none is repeated, and each failure says what it means.

alpaca-py waits for an answer for ever, and by itself sends a request again that was answered by 429 or 504,
a new order too: after a 504 the order may be working. Here every request ends after `timeout` seconds,
counted over the whole answer and not from byte to byte, and goes out once.

What comes back is one of four: an answer; `Refused` (the broker understood, and did not do it), with
`RateLimited`, `AccessRefused` and `DuplicateOrder` as special cases; or `NoAnswer`, after which nobody knows.
Keys travel in headers, and no error keeps a request, so neither a message nor a traceback shows them.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from live.brokers.errors import AccessRefused, BrokerError, DuplicateOrder, RateLimited
from simulator.errors import ConfigError, MissingExtraError, TwinstepError

if TYPE_CHECKING:
    from requests import Response, Session

__all__ = ["Limiter", "Line", "NoAnswer", "Refused", "trusted_address"]

PAPER_URL: Final = "https://paper-api.alpaca.markets"
LIVE_URL: Final = "https://api.alpaca.markets"
DATA_URL: Final = "https://data.alpaca.markets"
STREAM_PATH: Final = "/stream"

# the library's streams log a traceback with every attempt; without a handler it would go to the terminal
logging.getLogger("alpaca").addHandler(logging.NullHandler())

Ask = Literal["read", "submit", "cancel"]

_PIECE: Final = 65_536
_LARGEST: Final = 64 * 1024 * 1024  # bytes of an answer that are read at most
_TOO_SOON: Final = 408
_WINDOW: Final = 60.0  # seconds over which Alpaca counts requests
_MOST_WORDS: Final = 300  # of a broker's message that go into an error

_NO_ACCESS: Final = re.compile(
    r"^forbidden|not authorized|unauthorized|invalid.*(key|credential)"
    r"|account.*(blocked|suspended|locked|closed|inactive|disabled)",
    re.IGNORECASE,
)
_DUPLICATE: Final = re.compile(r"client.?order.?id must be unique", re.IGNORECASE)


class Limiter(Protocol):
    """A budget of requests; `wait` raises where there is none within `timeout` seconds."""

    def wait(self, kind: Ask = "read", timeout: float = 10.0) -> None:
        """Take one request from the budget."""
        ...


class Refused(BrokerError):
    """The broker understood, and did not do it.

    Parameters
    ----------
    message
        Its words.
    status, number
        Of HTTP, and Alpaca's own code, 0 where there is none.
    """

    def __init__(self, message: str, *, status: int, number: int = 0) -> None:
        super().__init__(message, code="LIVE_BROKER_REJECTED")
        self.status = status
        self.number = number

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (_refused, (self.args[0], self.status, self.number))


class NoAnswer(TwinstepError, ConnectionError):
    """There was no answer, or none that can be read: nobody knows what was done.

    Parameters
    ----------
    message
        What went wrong.
    sent
        Whether the request may have reached the broker; False only where there was no connection at all.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message, code="LIVE_NO_ANSWER")
        self.sent = sent

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (_no_answer, (self.args[0], self.sent))


class Line:
    """The clients of one account.

    Parameters
    ----------
    credentials
        "key" and "secret".
    url, data_url
        Of the trading and of the data service.
    timeout
        Seconds that a request may take.
    limiter
        See `Limiter`.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        paper: bool,
        url: str | None,
        data_url: str | None,
        timeout: float,
        limiter: Limiter | None,
    ) -> None:
        _require_extra()
        from alpaca.trading.client import TradingClient

        self.url = trusted_address(url or (PAPER_URL if paper else LIVE_URL))
        self.data_url = trusted_address(data_url or DATA_URL)
        self.timeout = timeout
        self._keys = _keys_of(credentials)
        self._limiter = limiter
        self._urgent: ContextVar[bool] = ContextVar("urgent", default=False)
        self.session = _session(timeout)
        self.trading: Any = self._bound(
            TradingClient(*self._keys, paper=paper, raw_data=True, url_override=self.url)
        )
        self._data: dict[str, Any] = {}

    @property
    def keys(self) -> tuple[str, str]:
        """Key and secret, for the streams."""
        return self._keys

    def __repr__(self) -> str:
        return f"Line({self.url})"

    def close(self) -> None:
        """Let go of the connections."""
        self.session.close()

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Let all that is asked inside have the reserve of the budget: a cancel has to look first, too."""
        before = self._urgent.set(True)
        try:
            yield
        finally:
            self._urgent.reset(before)

    def data(self, kind: Literal["stock", "option"]) -> Any:
        """Return the client for market data of a kind of instrument."""
        if kind not in self._data:
            from alpaca.data.historical.option import OptionHistoricalDataClient
            from alpaca.data.historical.stock import StockHistoricalDataClient

            make: Any = StockHistoricalDataClient if kind == "stock" else OptionHistoricalDataClient
            self._data[kind] = self._bound(make(*self._keys, raw_data=True, url_override=self.data_url))
        return self._data[kind]

    def ask(self, call: Callable[[], Any], what: str, *, kind: Ask = "read") -> Any:
        """Make one call and return its answer.

        Raises
        ------
        Refused, RateLimited, AccessRefused, DuplicateOrder
            Where the broker says no: nothing was done.
        NoAnswer
            LIVE_NO_ANSWER.
        """
        if self._limiter is not None:
            self._limiter.wait("cancel" if self._urgent.get() else kind, timeout=self.timeout)
        from alpaca.common.exceptions import APIError
        from requests.exceptions import RequestException

        # what is raised must not carry the request with its keys: hence `from None` everywhere
        try:
            return call()
        except APIError as error:
            problem: Exception = _meaning(error, what)
            if isinstance(problem, RateLimited) and problem.retry_after is not None:
                self._wait_out(problem.retry_after)
        except (RequestException, OSError, ValueError) as error:
            problem = NoAnswer(f"{what}: {_words(error)}", sent=_may_have_been_sent(error))
        raise problem from None

    def _wait_out(self, seconds: float) -> None:
        """Let nothing go while the service wants to be left alone, where the budget can take that in."""
        penalise = getattr(self._limiter, "penalise", None)
        if penalise is not None:
            penalise(seconds)

    def _bound(self, client: Any) -> Any:
        # 0 is taken for "not given" by the client's own arguments
        client._session, client._retry = self.session, 0
        return client


def trusted_address(url: str) -> str:
    """Return an address without its last slash; `ConfigError` LIVE_BROKER_CONFIG where keys would be bare.

    Only on this machine may a connection be without encryption.
    """
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme in ("https", "wss") or (local and parts.scheme in ("http", "ws")):
        return url.rstrip("/")
    raise ConfigError(
        f"Alpaca: the address {parts.scheme}://{parts.hostname} is not encrypted, and keys travel in every "
        "request; write https:// (http:// is for 127.0.0.1 alone)",
        code="LIVE_BROKER_CONFIG",
    )


def _refused(message: str, status: int, number: int) -> Refused:
    return Refused(message, status=status, number=number)


def _no_answer(message: str, sent: bool) -> NoAnswer:
    return NoAnswer(message, sent=sent)


def _require_extra() -> None:
    try:
        import alpaca  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Alpaca needs {error.name}, which is not installed: pip install 'twinstep[alpaca]'",
            code="LIVE_EXTRA_ALPACA",
        ) from None


def _keys_of(credentials: Mapping[str, str]) -> tuple[str, str]:
    key, secret = credentials.get("key", ""), credentials.get("secret", "")
    if not key or not secret:
        lacking = " and ".join(name for name, value in (("key", key), ("secret", secret)) if not value)
        raise ConfigError(
            f"Alpaca: credentials without {lacking}; a pair of keys is made on the site's overview page, one "
            "for paper and another for live",
            code="LIVE_BROKER_CONFIG",
        )
    return key, secret


def _session(seconds: float) -> Session:
    import requests

    class TimedSession(requests.Session):
        """Ends every request after a time, whatever its caller says."""

        def request(self, *args: Any, **named: Any) -> Response:
            ends = time.monotonic() + seconds
            named.update(timeout=seconds, stream=True)
            response = super().request(*args, **named)
            try:
                _read(response, ends, seconds)
            except BaseException:
                response.close()
                raise
            return response

    return TimedSession()


def _read(response: Response, ends: float, seconds: float) -> None:
    """Read an answer by its time limit; one that trickles would otherwise never end."""
    import requests
    from urllib3.exceptions import HTTPError

    parts: list[bytes] = []
    size = 0
    try:
        while part := response.raw.read1(_PIECE, decode_content=True):
            parts.append(part)
            size += len(part)
            if time.monotonic() > ends:
                raise requests.exceptions.ReadTimeout(f"the answer was not complete after {seconds:g} s")
            if size > _LARGEST:
                raise requests.exceptions.ContentDecodingError("the answer is too large")
    except HTTPError as error:
        raise requests.exceptions.ConnectionError(f"the answer broke off ({type(error).__name__})") from None
    response._content = b"".join(parts)
    response._content_consumed = True  # type: ignore[attr-defined]
    response.close()


def _meaning(error: Any, what: str) -> Exception:
    """Return what a status means, as an error."""
    status = int(error.status_code or 0)
    number, message = _body_of(error)
    words = f"{what}: {message or 'no words'} (HTTP {status})"
    if status == 429:
        return RateLimited(words, retry_after=_wait_of(error))
    if status == 401 or (status == 403 and (not number or _NO_ACCESS.search(message))):
        return AccessRefused(words)
    if status >= 500 or status in (0, _TOO_SOON):
        return NoAnswer(words)
    if _DUPLICATE.search(message):
        return DuplicateOrder(words)
    return Refused(words, status=status, number=number)


def _body_of(error: Any) -> tuple[int, str]:
    """Return Alpaca's code and message; 0 and the text where the body is no such object."""
    text = str(error.args[0]) if error.args else ""
    try:
        body = json.loads(text)
    except ValueError:
        return 0, text[:_MOST_WORDS].strip()
    if not isinstance(body, dict):
        return 0, text[:_MOST_WORDS]
    number = body.get("code")
    return (number if isinstance(number, int) else 0), str(body.get("message", ""))[:_MOST_WORDS]


def _wait_of(error: Any) -> float | None:
    """Return the seconds that a 429 asks for: Retry-After, or until the time in X-Ratelimit-Reset.

    That is a time by the clock of the service, which its answers tell; ours may be another.
    """
    headers = getattr(error.response, "headers", None) or {}
    try:
        now = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        now = time.time()
    for name, passed, longest in (("Retry-After", 0.0, math.inf), ("X-Ratelimit-Reset", now, _WINDOW)):
        try:
            seconds = float(headers[name]) - passed
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return min(max(0.0, seconds), longest)
    return None


def _may_have_been_sent(error: BaseException) -> bool:
    """Whether a request may have arrived: not where no connection was made."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError

    if isinstance(error, ConnectTimeout):
        return False
    reason = error.args[0] if isinstance(error, NoConnection) and error.args else None
    cause = reason.reason if isinstance(reason, MaxRetryError) else None
    return not isinstance(cause, (NewConnectionError, SSLError))


def _words(error: BaseException) -> str:
    """Return what went wrong, without the addresses of objects that the libraries put into it."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if reason is None:
        return f"{type(error).__name__}: {error}"[:_MOST_WORDS]
    host = getattr(getattr(error.args[0], "pool", None), "host", None)
    why = str(reason).rpartition(": ")[2]
    return f"no connection{'' if host is None else f' to {host}'}: {why}"[:_MOST_WORDS]
