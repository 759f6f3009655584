"""Which broker, which account, and how it is reached: section [broker] of the configuration.

There is no key for real money among these, on purpose: the same file serves paper and real accounts, and
which of them is opened is asked for anew at every start (see `live_gate`).

>>> BrokerSettings(name="alpaca").timeout
10.0
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from simulator.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["BROKERS", "BrokerSettings"]

BROKERS: Final = ("paper", "alpaca", "interactive_brokers", "tastytrade")
"""Names of the brokers that there are."""

_SHORT: Final = {
    "ib": "interactive_brokers", "ibkr": "interactive_brokers", "tws": "interactive_brokers",
    "interactivebrokers": "interactive_brokers", "tasty": "tastytrade", "tastyworks": "tastytrade",
}  # fmt: skip
"""What they are called as well, and what no spelling check would find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The broker that orders go to; its credentials are kept elsewhere, see docs/live.md.

    Parameters
    ----------
    name
        "paper", "alpaca", "interactive_brokers" or "tastytrade".
    account
        Number of the account; "none": the only one that the login has.
    timeout
        Seconds that a call may take.
    per_minute
        Requests that the broker allows in a minute, a part of them kept for cancels; "none": what it
        publishes.
    url, data_url
        Addresses in place of the broker's own, for a server of tests; not with real money. "none": its own.
    host
        Machine of a gateway (Interactive Brokers).
    port
        Of the gateway; "none": the usual one, which differs between paper and real money.
    client_id
        Number of this program at the gateway; two programs never share one.
    """

    name: str = "paper"
    account: str | None = None
    timeout: float = 10.0
    per_minute: float | None = None
    url: str | None = None
    data_url: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    client_id: int = 17

    def __post_init__(self) -> None:
        if self.name not in BROKERS:
            short = _SHORT.get(self.name.lower().replace("-", "_"))
            near = did_you_mean(self.name, BROKERS) if short is None else f" Did you mean {short!r}?"
            raise UnknownNameError(f"no broker {self.name!r}.{near}", code="NAME_BROKER")
        if not (math.isfinite(self.timeout) and self.timeout > 0.0):
            raise ConfigError(
                f"timeout is {self.timeout:g}; a call ends after a number of seconds above 0",
                code="LIVE_BROKER_CONFIG",
            )
        if self.port is not None and not 0 < self.port < 65_536:
            raise ConfigError(f"port is {self.port}; it is 1 to 65535", code="LIVE_BROKER_CONFIG")
        if self.client_id < 1:
            raise ConfigError(
                f"client_id is {self.client_id}; it is at least 1 (client 0 takes over what is ordered by "
                "hand)",
                code="LIVE_BROKER_CONFIG",
            )
