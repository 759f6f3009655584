"""What an order is expected to fill at, looked up in the moment before it is sent.

A quote is for knowing what fills cost, and worth no order: the question has a short limit of its own, and
whatever goes wrong with it is a word in the record. Protective orders wait for nothing, nor does anything
while the switch is not ACTIVE. A service that has not answered in time is left alone for a minute, so that
one that hangs cannot delay every order of a busy day, nor pile up threads.

The price that a caller expects (the plan of a session that is followed) costs no question, and is kept beside
the quotes: it stands in for the mid where there is none.

>>> Expectation(quotes={"AAPL": (99.98, 100.02)}, price=100.1).plain
{'quotes': {'AAPL': [99.98, 100.02]}, 'price': 100.1}
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from live.brokers.interface import BrokerInterface, OrderRequest
from live.brokers.timeouts import CallTimeout, within
from live.kill_switch import SwitchState

__all__ = ["QUOTE_SECONDS", "REST_SECONDS", "AskQuotes", "Expectation", "Expectations"]

QUOTE_SECONDS: Final = 0.5
"""How long an order waits for its quotes at most."""

REST_SECONDS: Final = 60.0
"""How long a service is not asked again that has not answered in time."""

AskQuotes = Callable[[Sequence[str]], Mapping[str, Any]]
"""From symbols to quotes: `live.brokers.told.Quote`, or a pair of bid and ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is known of the price right before an order is sent.

    Attributes
    ----------
    quotes
        Bid and ask by symbol, currency; only what has two sides, above 0, not crossed, and is of now.
    price
        What the caller expects: per share, net for a package (received is positive); None for nothing.
    problem
        Why there are no quotes, "" where nothing went wrong or nobody was asked.
    """

    quotes: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    price: float | None = None
    problem: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """For the record: only what there is."""
        found: dict[str, Any] = {"quotes": {symbol: list(pair) for symbol, pair in self.quotes.items()}}
        if self.price is not None:
            found["price"] = self.price
        if self.problem:
            found["problem"] = self.problem
        return found


class Expectations:
    """Who is asked for quotes.

    Parameters
    ----------
    quotes
        Asked in place of the broker, as for a feed that has them at hand.
    seconds
        See `QUOTE_SECONDS`.
    monotonic
        Seconds that only grow.
    """

    def __init__(
        self,
        quotes: AskQuotes | None = None,
        *,
        seconds: float = QUOTE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quotes = quotes
        self._seconds = seconds
        self._monotonic = monotonic
        self._rests: dict[str, float] = {}

    def of(
        self,
        name: str,
        broker: BrokerInterface,
        request: OrderRequest,
        *,
        state: SwitchState,
        price: float | None = None,
    ) -> Expectation | None:
        """Return what is expected of an order; None for nothing. Never raises.

        Parameters
        ----------
        name, broker
            Where it goes.
        state
            Of the kill switch now.
        price
            What the caller expects; left out where it cannot be one.
        """
        wanted = _price(price, package=len(request.legs) > 1)
        if request.purpose == "protect" or request.kind == "trailing" or state != "ACTIVE":
            return None if wanted is None else Expectation(price=wanted)
        ask: AskQuotes | None = self._quotes or getattr(broker, "quotes", None)
        if ask is None:
            return None if wanted is None else Expectation(price=wanted)
        now = self._monotonic()
        if now < self._rests.get(name, now):
            return Expectation(price=wanted, problem="not asked: the last question was not answered in time")
        symbols = [leg.symbol for leg in request.legs]
        try:
            found = within(self._seconds, lambda: ask(symbols), what="a question for quotes")
            pairs = {symbol: _pair(found[symbol]) for symbol in symbols if symbol in found}
        except CallTimeout as error:
            self._rests[name] = now + self._seconds + REST_SECONDS
            return Expectation(price=wanted, problem=str(error.args[0]))
        except Exception as error:  # adapters raise whatever their libraries raise; prices are no condition
            return Expectation(price=wanted, problem=f"{type(error).__name__}: {error}")
        quotes = {symbol: pair for symbol, pair in pairs.items() if pair is not None}
        missing = [symbol for symbol in symbols if symbol not in quotes]
        problem = f"no usable quote of {', '.join(missing)}" if missing else ""
        return Expectation(quotes=quotes, price=wanted, problem=problem)


def _pair(quote: Any) -> tuple[float, float] | None:
    """Return bid and ask, None where they are no two sides of now."""
    if hasattr(quote, "is_usable"):
        if not quote.is_usable:
            return None
        bid, ask = quote.bid, quote.ask
    else:
        bid, ask = quote
    bid, ask = float(bid), float(ask)
    return (bid, ask) if math.isfinite(ask) and 0.0 < bid <= ask else None


def _price(price: float | None, *, package: bool) -> float | None:
    try:
        found = None if price is None else float(price)
    except (TypeError, ValueError):
        return None
    return found if found is not None and math.isfinite(found) and (package or found > 0.0) else None
