"""The stream of prices of tastytrade, opened so that it can be trusted: DXLink, by the library's streamer.

The library's streamer asks for a quote token itself, answers a refused login with the same token for ever,
and has no hook for the service's keepalives. So here it opens within a time or not at all, the token is kept
out of every text, and whoever wants to is told of each message that arrives. Its errors come in groups of
groups; `cause` finds the one that matters.

The stream has symbols of its own: an option is ".AAPL261218C200" there.

>>> from_streamer(".AAPL261218C200"), from_streamer("BRK/B"), from_streamer("AAPL{=m,tho=true}")
('AAPL261218C00200000', 'BRK.B', 'AAPL')
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NamedTuple

from live.brokers.secrets import remember
from live.brokers.tastytrade.line import TastytradeDown
from live.brokers.tastytrade.symbols import streamer as to_streamer

__all__ = ["Greeks", "Stream", "cause", "from_streamer", "greeks", "greeks_of", "number", "open_stream"]

OPEN_SECONDS: Final = 10.0
"""Seconds within which a stream opens."""

GREEKS_SECONDS: Final = 3.0
"""Seconds that Greeks are waited for."""

QUIET_SECONDS: Final = 1.0
"""Seconds after the last of them after which no more are expected: some contracts have none."""

AT_ONCE: Final = 200
"""Symbols of one message; the service refuses long ones."""

LATE_LEVELS: Final = ("demo", "delayed")
_OPTION: Final = re.compile(r"\.([A-Z][A-Z0-9.]{0,5}?)(\d{6})([CP])(\d{1,5})(?:\.(\d{1,3}))?")


class Greeks(NamedTuple):
    """Of one option on one share, long: IV a fraction, vega per 0.01 of it, theta per calendar day."""

    iv: float = math.nan
    delta: float = math.nan
    gamma: float = math.nan
    vega: float = math.nan
    theta: float = math.nan


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that is open.

    Attributes
    ----------
    streamer
        The library's.
    level
        What tastytrade calls the entitlement: "api" is real time.
    is_delayed
        Whether its prices are not those of now.
    """

    streamer: Any
    level: str
    is_delayed: bool

    async def subscribe(self, kind: str, symbols: Iterable[str]) -> None:
        """Subscribe to events of a kind, by the symbols of the stream."""
        events, names = import_module("tastytrade.dxfeed"), list(symbols)
        for first in range(0, len(names), AT_ONCE):
            await self.streamer.subscribe(getattr(events, kind), names[first : first + AT_ONCE])


@asynccontextmanager
async def open_stream(
    session: Any, *, heard: Callable[[], object] = lambda: None, timeout: float = OPEN_SECONDS
) -> AsyncIterator[Stream]:
    """Open a stream of prices; `heard` is called for each message, on the thread of the session.

    Raises
    ------
    TastytradeDown
        LIVE_BROKER_DOWN where it does not open in time; and what the library raises, in groups.
    """
    tokens = _Tokens(session)
    begun = False
    try:
        async with asyncio.timeout(timeout) as limit:
            async with _counted(tokens, heard) as streamer:
                limit.reschedule(None)
                begun = True
                yield Stream(streamer, tokens.level, tokens.is_delayed)
    except TimeoutError:
        if begun:
            raise
        raise TastytradeDown(f"the stream of prices did not open within {timeout:g} s") from None


async def greeks_of(
    session: Any, symbols: Sequence[str], *, seconds: float = GREEKS_SECONDS
) -> dict[str, Greeks]:
    """Return the Greeks of options, by canonical symbols, as far as the stream tells them in time.

    Never raises for a stream that is not there: what is not told is left out.
    """
    wanted = {to_streamer(symbol): symbol for symbol in symbols}
    kind = import_module("tastytrade.dxfeed").Greeks
    found: dict[str, Greeks] = {}
    clock = asyncio.get_running_loop().time
    ends = clock() + seconds
    try:
        async with open_stream(session, timeout=seconds) as stream:
            await stream.subscribe("Greeks", wanted)
            while len(found) < len(wanted):
                left = ends - clock()
                async with asyncio.timeout(min(left, QUIET_SECONDS) if found else left):
                    event = await stream.streamer.get_event(kind)
                symbol = wanted.get(event.event_symbol)
                if symbol is not None:
                    found[symbol] = greeks(event)
    except Exception:
        # a chain without Greeks is a chain; whoever needs them finds NaN
        return found
    return found


def greeks(event: Any) -> Greeks:
    """Return the Greeks of an event of the library; NaN for what cannot be."""
    iv = number(event.volatility)
    return Greeks(
        iv if iv > 0.0 else math.nan,
        *(number(getattr(event, name)) for name in ("delta", "gamma", "vega", "theta")),
    )


def number(value: Any) -> float:
    """Return a number as tastytrade has it, as a float; NaN for what is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def from_streamer(symbol: str) -> str:
    """Return a symbol of the stream as it is written here, without the period of a candle."""
    name = symbol.partition("{")[0]
    found = _OPTION.fullmatch(name)
    if found is None:
        return name if name.startswith(("/", "./")) else name.replace("/", ".")
    root, day, right, whole, part = found.groups()
    return f"{root}{day}{right}{int(whole):05d}{(part or '').ljust(3, '0')}"


def cause(error: BaseException) -> BaseException:
    """Return the error within groups of errors that says most: the first that is no cancellation."""
    while isinstance(error, BaseExceptionGroup):
        inner = [one for one in error.exceptions if not isinstance(one, asyncio.CancelledError)]
        error = (inner or list(error.exceptions))[0]
    return error


class _Tokens:
    """A session as the streamer sees it: it asks for a token, and what the answer says is kept."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.client_kwargs = session.client_kwargs
        self.level = ""
        self.is_delayed = bool(session.is_test)

    async def _get(self, path: str, **more: Any) -> Any:
        data = await self._session._get(path, **more)
        remember([str(data["token"])])
        self.level = str(data.get("level", ""))
        where = str(data["dxlink-url"]).lower()
        self.is_delayed |= any(word in where or word in self.level.lower() for word in LATE_LEVELS)
        return data


def _counted(tokens: _Tokens, heard: Callable[[], object]) -> Any:
    """Return the library's streamer, with an ear at its websocket."""

    class Counted(import_module("tastytrade").DXLinkStreamer):  # type: ignore[misc]
        @property
        def _websocket(self) -> Any:
            return self._heard

        @_websocket.setter
        def _websocket(self, websocket: Any) -> None:
            self._heard = _Ear(websocket, heard)

    return Counted(tokens)


class _Ear:
    """A websocket that tells of what it receives."""

    def __init__(self, websocket: Any, heard: Callable[[], object]) -> None:
        self._websocket, self._tell = websocket, heard

    async def receive_json(self) -> Any:
        message = await self._websocket.receive_json()
        self._tell()
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)
