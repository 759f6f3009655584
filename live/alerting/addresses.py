"""The addresses of alerts: where they come from, and how apprise is kept from showing them.

`addresses` collects them: those given, those of the environment variable TWINSTEP_ALERTS (separated by white
space), and those of a file, one a line, `#` for comments. Every other part of this project knows a target by
its name only, "tgram #1". Apprise and the HTTP library below write addresses into their log at some levels;
a filter drops such lines.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote

from live.alerts import Alerts, Target
from simulator.errors import ConfigError, MissingExtraError, did_you_mean

__all__ = ["ENVIRONMENT", "Settings", "addresses", "alerts_from", "targets"]

ENVIRONMENT: Final = "TWINSTEP_ALERTS"
DELIVERY_SECONDS: Final = 30.0
SHORTEST: Final = 4
"""Letters from which on a piece of an address counts as a secret."""
_LOGGERS: Final = ("apprise", "urllib3.connectionpool", "requests", "asyncio")


class Settings(Protocol):
    """What a configuration says of alerts: the section [alerts]."""

    @property
    def urls(self) -> Sequence[str]:
        """Addresses."""
        ...

    @property
    def file(self) -> str | None:
        """File with further addresses."""
        ...

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds that go out; empty: all."""
        ...

    @property
    def per_hour(self) -> int:
        """Alerts of each kind an hour."""
        ...


def alerts_from(settings: Settings, *, environment: Mapping[str, str] = os.environ) -> Alerts | None:
    """Return a sender for a configuration, None where it names nobody.

    Raises what `addresses` and `Alerts` raise.
    """
    urls = addresses(settings.urls, settings.file, environment=environment)
    if not urls:
        return None
    return Alerts(urls, kinds=settings.kinds or None, per_hour=settings.per_hour)


def addresses(
    urls: Iterable[str] = (),
    file: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """Return all addresses, each once.

    Raises
    ------
    ConfigError
        ALERT_FILE for a file that cannot be read.
    """
    found = [*urls, *environment.get(ENVIRONMENT, "").split()]
    if file is not None:
        try:
            lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(
                f"the file of alert addresses {file} cannot be read: {why}", code="ALERT_FILE"
            ) from None
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(dict.fromkeys(found))


def targets(urls: list[str]) -> list[Target]:
    """Return a target for each address.

    Raises
    ------
    ConfigError
        ALERT_URL for an address that apprise does not know, called by its place.
    MissingExtraError
        ALERT_EXTRA.
    """
    apprise = _import_apprise()
    _hide(urls)
    made = []
    for number, url in enumerate(urls, start=1):
        scheme, found, _ = url.partition("://")
        if not found:
            raise ConfigError(
                f"alert address {number} of {len(urls)} is none: it has no scheme, as in tgram://... or "
                "mailto://...",
                code="ALERT_URL",
            )
        service = None
        try:
            service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        except Exception:  # noqa: S110  -- its text may hold the address
            pass
        if service is None:
            schemes = sorted(str(one) for one in apprise.manager_plugins.NotificationManager().schemas())
            known = scheme.lower() in schemes
            hint = " It lacks a part that this service needs." if known else _near(scheme, schemes)
            raise ConfigError(
                f"alert address {number} of {len(urls)} is none that apprise understands.{hint}",
                code="ALERT_URL",
            )
        made.append(Target(f"{scheme.lower()} #{number}", _delivery(apprise, service)))
    return made


def _delivery(apprise: Any, service: Any) -> Any:
    notifier = apprise.Apprise()
    notifier.add(service)

    def deliver(title: str, body: str) -> bool:
        return bool(notifier.notify(body=body or title, title=title, timeout=DELIVERY_SECONDS))

    return deliver


def _near(scheme: str, schemes: list[str]) -> str:
    # only what is plainly a scheme is repeated: a token without one may stand in its place
    if not re.fullmatch(r"[a-z]{2,12}", scheme.lower()):
        return ""
    near = did_you_mean(scheme.lower(), schemes)
    return near if near.startswith(" Did") else ""


class _Hiding(logging.Filter):
    """Drops log lines that hold a piece of an address."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.secrets:
            return True
        try:
            text = record.getMessage()
        except Exception:
            # what cannot be put together may still hold an address
            return False
        return not any(secret in text for secret in self.secrets)


_HIDING: Final = _Hiding()


def _hide(urls: list[str]) -> None:
    for url in urls:
        rest = url.partition("://")[2]
        pieces = {url, rest, *re.split(r"[/:@?&=,]+", rest)}
        for piece in pieces:
            _HIDING.secrets |= {one for one in (piece, unquote(piece)) if len(one) >= SHORTEST}
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _HIDING not in logger.filters:
            logger.addFilter(_HIDING)


def _import_apprise() -> Any:
    try:
        import apprise
    except ImportError:
        raise MissingExtraError(
            "alerts need apprise, which is not installed: pip install 'twinstep[alerts]'", code="ALERT_EXTRA"
        ) from None
    return apprise
