"""A broker by configuration alone: `open_broker(settings)` returns the adapter that a name stands for.

Paper is what is opened unless `live=True`, and then only behind the three locks of `live_gate`. An adapter's
library is imported when it is opened, so that nobody needs those of brokers that they do not use.

>>> open_broker(BrokerSettings()).is_paper
True
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from live.brokers.credentials import Credentials, load_credentials
from live.brokers.interface import BrokerInterface
from live.brokers.live_gate import GuardedBroker, check_live
from live.brokers.rate_limit import RateLimit
from live.brokers.settings import BrokerSettings
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError

__all__ = ["ADAPTERS", "Adapter", "check_addresses", "open_broker"]

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})

ALPACA_PER_MINUTE: Final = 200.0
"""Requests to the trading service, as Alpaca publishes them."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How an adapter is found and opened.

    Attributes
    ----------
    module, cls
        Where it is.
    needed, optional
        Names of its credentials.
    options
        Arguments of the class that only it has, from the settings.
    """

    module: str
    cls: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    options: Callable[[BrokerSettings], Mapping[str, Any]]


def _alpaca(settings: BrokerSettings) -> Mapping[str, Any]:
    found: dict[str, Any] = {"limiter": RateLimit(settings.per_minute or ALPACA_PER_MINUTE)}
    if settings.url is not None:
        found["url"] = settings.url
    if settings.data_url is not None:
        found["data_url"] = settings.data_url
    return found


def _interactive_brokers(settings: BrokerSettings) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "host": settings.host, "port": settings.port, "client_id": settings.client_id,
    }  # fmt: skip
    if settings.per_minute is not None:
        found["per_second"] = max(1, int(settings.per_minute / 60.0))
    return found


def _tastytrade(settings: BrokerSettings) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if settings.url is not None:
        found["url"] = settings.url
    if settings.per_minute is not None:
        found["per_minute"] = settings.per_minute
    return found


ADAPTERS: Final[dict[str, Adapter]] = {
    "alpaca": Adapter("live.brokers.alpaca.broker", "AlpacaBroker", ("key", "secret"), (), _alpaca),
    "interactive_brokers": Adapter(
        "live.brokers.interactive_brokers.broker", "InteractiveBrokersBroker",
        (), ("flex_token", "flex_query"), _interactive_brokers,
    ),
    "tastytrade": Adapter(
        "live.brokers.tastytrade.broker", "TastytradeBroker", ("secret", "refresh"), (), _tastytrade
    ),
}  # fmt: skip
"""Adapters by the name of their broker; paper needs none."""


def open_broker(
    settings: BrokerSettings,
    *,
    live: bool = False,
    live_key: bool = False,
    switch: KillSwitch | None = None,
    armed: bool = True,
    config: str | os.PathLike[str] | None = None,
    credentials: Credentials | None = None,
    environment: Mapping[str, str] | None = None,
) -> BrokerInterface:
    """Return the broker that is configured; connecting, where it has to, is left to its first question.

    Parameters
    ----------
    settings
        Section [broker].
    live
        The flag of the command line: open the account of real money.
    live_key
        The key of the configuration, `[live] key`; alone it changes nothing.
    switch
        Of scope live, for real money; it is asked again before every order.
    armed
        Whether it must be armed already; False to look, cancel and protect during a halt.
    config
        Path of the configuration, beside which a file of credentials may lie.
    credentials
        In place of those that `load_credentials` finds.
    environment
        In place of the process's own.

    Raises
    ------
    ConfigError
        LIVE_NOT_ENABLED, LIVE_SCOPE where real money may not be; LIVE_BROKER_URL for an address that is not
        the broker's own; LIVE_NOT_PAPER where what was opened is not what was asked for; LIVE_CREDENTIALS
        and others of `load_credentials`.
    KillSwitchError
        LIVE_HALTED, LIVE_REDUCING: the switch is not armed.
    MissingExtraError
        The broker's library is not installed.
    """
    guard = check_live(key=live_key, flag=live, switch=switch, armed=armed) if live else None
    check_addresses(settings, live=live)
    if settings.name == "paper":
        if live:
            raise ConfigError(
                "--live asks for real money, and [broker] name is paper; name the broker",
                code="LIVE_NOT_ENABLED",
            )
        from live.brokers.paper import PaperBroker

        return PaperBroker(account=settings.account or "paper")
    adapter = ADAPTERS[settings.name]
    if credentials is None:
        credentials = load_credentials(
            settings.name, adapter.needed, optional=adapter.optional, paper=not live, config=config,
            environment=environment,
        )  # fmt: skip
    make = getattr(import_module(adapter.module), adapter.cls)
    broker: BrokerInterface = make(
        credentials, paper=not live, account=settings.account, timeout=settings.timeout,
        **adapter.options(settings),
    )  # fmt: skip
    if broker.is_paper is live:
        raise ConfigError(
            f"{settings.name} was asked for {'real money' if live else 'paper'} and opened the other; "
            "nothing was sent",
            code="LIVE_NOT_PAPER",
        )
    return broker if guard is None else GuardedBroker(broker, guard)


def check_addresses(settings: BrokerSettings, *, live: bool) -> None:
    """Refuse to send keys anywhere but to the broker, or, for paper, to a server on this machine."""
    for name in ("url", "data_url"):
        address = getattr(settings, name)
        if address is None:
            continue
        if live:
            raise ConfigError(
                f"[broker] {name} is set, and real money goes to the broker's own address only; leave it out",
                code="LIVE_BROKER_URL",
            )
        parts = urlsplit(address)
        plain = parts.scheme in ("http", "ws") and parts.hostname in _THIS_MACHINE
        if not parts.hostname or parts.username or not (plain or parts.scheme in ("https", "wss")):
            raise ConfigError(
                f"[broker] {name} is no address that keys may go to: https, or http on this machine, and no "
                "user or password in it",
                code="LIVE_BROKER_URL",
            )
