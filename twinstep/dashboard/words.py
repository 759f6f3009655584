"""How figures, times and states are written on a page: one way everywhere, and unknown is a dash."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["FILTERS", "NONE", "money", "new_key", "percent", "price", "signed", "stamp", "tone"]

NONE: Final = "–"


def money(value: float | None) -> str:
    """Return an amount of currency, with thousands apart and cents."""
    return NONE if _unknown(value) else f"{value:,.2f}"


def signed(value: float | None, digits: int = 2) -> str:
    """Return a figure with its sign; zero has none."""
    if value is None or _unknown(value):
        return NONE
    text = f"{value:+,.{digits}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Return percent."""
    return NONE if value is None or _unknown(value) else f"{value:.{digits}f} %".replace("-", "−")


def price(value: float | None) -> str:
    """Return a price: two digits, more below one."""
    if value is None or _unknown(value):
        return NONE
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def stamp(ts: int | datetime | None) -> str:
    """Return a time, nanoseconds or aware, in UTC; midnight is a date."""
    if ts is None:
        return NONE
    moment = ts if isinstance(ts, datetime) else datetime.fromtimestamp(ts / 1_000_000_000, UTC)
    moment = moment.astimezone(UTC)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def tone(value: float | None) -> str:
    """Return the class of a figure that is good or bad: "up", "down" or ""."""
    if value is None or _unknown(value) or value == 0:
        return ""
    return "up" if value > 0 else "down"


def quantity(value: float | None) -> str:
    """Return a number of shares or contracts, with a real minus."""
    return NONE if value is None or _unknown(value) else f"{value:,g}".replace("-", "−")


def new_key() -> str:
    """Return the key of a form, by which it happens once."""
    return secrets.token_urlsafe(16)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money, "signed": signed, "percent": percent, "price": price, "stamp": stamp, "tone": tone,
    "quantity": quantity,
}  # fmt: skip


def _unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
