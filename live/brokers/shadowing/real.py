"""The real side of a shadow: questions to a broker, and no way to send.

Two walls, either of which is enough. `RealAccount` keeps the questions of a broker and not the broker: it has
no word for an order. And `read_only` makes of an adapter's class one without its writing calls, by leaving
only what is on a list; what an adapter learns to do later is shut until somebody puts it there.

>>> from live.brokers.paper import PaperBroker
>>> real = RealAccount(PaperBroker())
>>> real.name, hasattr(real, "submit_order")
('paper', False)
>>> read_only(PaperBroker)().cancel_order("x")
Traceback (most recent call last):
    ...
simulator.errors.ConfigError: [LIVE_READ_ONLY] ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from live.brokers.interface import Account, BrokerInterface, OrderRequest, Submitted, denied
from live.brokers.told import Quote
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError

__all__ = ["QUESTIONS", "SHOWN", "RealAccount", "read_only"]

QUESTIONS: Final = frozenset({"quotes", "chain", "iv_rank", "metrics", "server_time"})
"""Calls that a shadow passes on, where the adapter has them: prices, and the broker's clock. What an account
may do is none of them: some brokers are asked it by an order that is to be tried and not placed."""

SHOWN: Final = frozenset({"is_connected", "problem"})
"""Properties that it passes on."""

_READS: Final = QUESTIONS | {
    "activities", "close", "executions", "find_order", "get_account", "get_orders", "get_positions",
    "holdings", "order",
}  # fmt: skip
"""What is left of an adapter that only reads."""


class RealAccount:
    """What may be asked of a real broker.

    Parameters
    ----------
    broker
        It is not kept: only functions that ask it are.
    """

    __slots__ = ("_account", "_ask", "_shown", "is_paper", "name")

    def __init__(self, broker: BrokerInterface) -> None:
        self.name = broker.broker
        self.is_paper = broker.is_paper
        self._account = _shown(broker, "account")
        names = QUESTIONS | {"get_account", "get_positions", "executions"}
        self._ask = {name: _only(ask) for name in names if callable(ask := getattr(broker, name, None))}
        self._shown = {name: _shown(broker, name) for name in SHOWN if hasattr(type(broker), name)}

    @property
    def account(self) -> str:
        """Number of the account; the broker may be asked for it."""
        return str(self._account())

    @property
    def has_quotes(self) -> bool:
        """Whether the broker gives quotes."""
        return "quotes" in self._ask

    def worth(self) -> Account:
        """Return what the real account is worth."""
        found: Account = self._ask["get_account"]()
        return found

    def positions(self) -> Sequence[Holding]:
        """Return what the real account holds."""
        found: Sequence[Holding] = self._ask["get_positions"]()
        return found

    def executions(self, since: datetime) -> Sequence[Execution]:
        """Return what happened in the real account at or after a time."""
        found: Sequence[Execution] = self._ask["executions"](since)
        return found

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return quotes by symbol; raises what the adapter raises."""
        found: Mapping[str, Quote] = self._ask["quotes"](symbols)
        return found

    def passed_on(self, name: str) -> Any:
        """Return a question that is passed on, or the value of a property. Raises `AttributeError`."""
        if name in self._shown:
            return self._shown[name]()
        if name in QUESTIONS and name in self._ask:
            return self._ask[name]
        raise AttributeError(f"a shadow of {self.name} has no {name!r}")


def read_only(adapter: type[BrokerInterface]) -> Callable[..., BrokerInterface]:
    """Return a class that reads as `adapter` does, and sends nothing.

    Its `submit_order` answers DENIED, every other public call that is no question raises `ConfigError`; both
    say LIVE_READ_ONLY.
    """
    members: dict[str, Any] = {
        name: _refusal(name)
        for name in dir(adapter)
        if not name.startswith("_") and name not in _READS and callable(getattr(adapter, name))
    }
    members["submit_order"] = _denial
    return type(f"ReadOnly{adapter.__name__}", (adapter,), members)


def _only(ask: Callable[..., Any]) -> Callable[..., Any]:
    # a bound method would lead back to its broker, and with it to everything that the broker can do
    def question(*given: Any, **named: Any) -> Any:
        return ask(*given, **named)

    return question


def _shown(broker: BrokerInterface, name: str) -> Callable[[], Any]:
    return lambda: getattr(broker, name)


def _denial(self: BrokerInterface, request: OrderRequest) -> Submitted:
    return denied(request, code="LIVE_READ_ONLY", message=_WORDS.format(self.broker))


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: BrokerInterface, *_given: Any, **_named: Any) -> Any:
        raise ConfigError(f"{name}: {_WORDS.format(self.broker)}", code="LIVE_READ_ONLY")

    refuse.__name__ = name
    return refuse


_WORDS: Final = "{} was opened to be read; nothing is sent, changed or cancelled through it"
