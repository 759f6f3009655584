"""Dividends of tastytrade, asked for once a session: what a stream of candles does not tell.

They may come late and never keep a bar back: after one question that was not answered nobody is asked for a
while, and the bar goes out without. Splits are told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from live.brokers.errors import AccessRefused, BrokerError, RateLimited
from live.brokers.tastytrade.dxlink import number
from live.brokers.tastytrade.line import Line, TastytradeDown
from live.brokers.tastytrade.symbols import wire
from live.brokers.timeouts import CallTimeout
from simulator.bars.adjust import Event

__all__ = ["Dividends"]

AGAIN_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 3.0


class Dividends:
    """What some symbols pay.

    Parameters
    ----------
    line
        The login.
    tell
        Called with words when they cannot be asked for.
    seconds
        A clock that only rises.
    """

    def __init__(self, line: Line, tell: Callable[[str], object], *, seconds: Callable[[], float]) -> None:
        self._line, self._tell, self._seconds = line, tell, seconds
        self._known: dict[str, tuple[int, list[Event]]] = {}
        self._quiet_until = 0.0

    def of(self, symbol: str, session: int) -> list[Event]:
        """Return all dividends of a symbol, as known in a session (days since 1970)."""
        asked, found = self._known.get(symbol, (-1, []))
        if asked == session or self._seconds() < self._quiet_until:
            return found
        path = "/market-metrics/historic-corporate-events/dividends/" + wire(symbol).replace("/", "%2F")

        async def ask(login: Any) -> list[Any]:
            return list((await login._get(path))["items"])

        try:
            rows = self._line.call(ask, "dividends", timeout=min(ANSWER_SECONDS, self._line.timeout))
        except (TastytradeDown, CallTimeout, RateLimited, AccessRefused) as error:
            self._quiet_until = self._seconds() + AGAIN_SECONDS
            self._tell(f"{symbol}: dividends: {error.args[0]}")
            return found
        except BrokerError:
            rows = []  # the broker answers that it has none
        events: list[Event] = [
            (np.datetime64(str(row["occurred-date"])[:10], "D"), "dividend", amount)
            for row in rows
            if (amount := number(row.get("amount"))) > 0.0
        ]
        self._known[symbol] = (session, events)
        return events
