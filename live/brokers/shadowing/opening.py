"""A shadow by configuration alone: the adapter of a name, opened so that it can read and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from live.brokers.credentials import Credentials, load_credentials
from live.brokers.opening import ADAPTERS, check_addresses
from live.brokers.settings import BrokerSettings
from live.brokers.shadowing.real import read_only
from simulator.errors import ConfigError

__all__ = ["open_real"]


def open_real(
    settings: BrokerSettings,
    *,
    live: bool,
    config: str | os.PathLike[str] | None,
    credentials: Credentials | None,
    environment: Mapping[str, str] | None,
) -> Any:
    """Return the adapter of a broker, which cannot send; see `live.brokers.shadow.open_shadow`."""
    if settings.name == "paper":
        raise ConfigError(
            "[broker] name is paper, an account of this program: there is nobody to shadow; name the broker",
            code="LIVE_SHADOW",
        )
    check_addresses(settings, live=live)
    adapter = ADAPTERS[settings.name]
    if credentials is None:
        credentials = load_credentials(
            settings.name, adapter.needed, optional=adapter.optional, paper=not live, config=config,
            environment=environment,
        )  # fmt: skip
    make = read_only(getattr(import_module(adapter.module), adapter.cls))
    real: Any = make(
        credentials, paper=not live, account=settings.account, timeout=settings.timeout,
        **adapter.options(settings),
    )  # fmt: skip
    if real.is_paper is live:
        real.close()
        raise ConfigError(
            f"{settings.name} was asked for {'real money' if live else 'paper'} and opened the other; "
            "nothing was read",
            code="LIVE_NOT_PAPER",
        )
    return real
