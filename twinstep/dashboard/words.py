"""How figures, times and states are written on a page: one way everywhere, and unknown is a dash."""

from __future__ import annotations

import math
import secrets
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from twinstep.console import plain_times

__all__ = ["FILTERS", "NONE", "money", "new_key", "percent", "price", "signed", "stamp", "to_minute", "tone"]

NONE: Final = "–"
NARROW: Final = "\N{NO-BREAK SPACE}"
"""Between a figure and its unit: they are one word."""
MOST_FACTOR: Final = 20.0
"""A profit factor above it says only that hardly anything was lost."""


def money(value: float | None) -> str:
    """Return an amount of currency, with thousands apart and cents."""
    return NONE if value is None or _unknown(value) else _typeset(value, 2)


def signed(value: float | None, digits: int = 2) -> str:
    """Return a figure with its sign; zero has none."""
    if value is None or _unknown(value):
        return NONE
    text = f"{value:+,.{digits}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Return percent; the sign stays on the figure's line."""
    return NONE if value is None or _unknown(value) else f"{_typeset(value, digits)}{NARROW}%"


def price(value: float | None) -> str:
    """Return a price: two digits, below one as many as show four of it, and never fewer than two."""
    if value is None or _unknown(value):
        return NONE
    if abs(value) >= 1 or value == 0:
        return f"{value:,.2f}".replace("-", "−")
    digits = 3 - math.floor(math.log10(abs(value)))
    text = f"{value:.{digits}f}".rstrip("0")
    return (text + "0" * max(0, 2 - len(text.partition(".")[2]))).replace("-", "−")


def stamp(ts: int | datetime | None) -> str:
    """Return a time, nanoseconds or aware, in UTC; midnight is a date."""
    if ts is None:
        return NONE
    moment = ts if isinstance(ts, datetime) else datetime.fromtimestamp(ts / 1_000_000_000, UTC)
    moment = moment.astimezone(UTC)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def to_minute(ts: int | datetime | None) -> str:
    """Return a time without its seconds, where a column says that it is UTC; midnight is a date."""
    return stamp(ts).removesuffix(" UTC")[:16]


def tone(value: float | None) -> str:
    """Return the class of a figure that is good or bad: "up", "down" or ""."""
    if value is None or _unknown(value) or value == 0:
        return ""
    return "up" if value > 0 else "down"


def quantity(value: float | None) -> str:
    """Return a number of shares or contracts, with a real minus; what is held is never written as 0."""
    if value is None or _unknown(value):
        return NONE
    if value == 0:
        return "0"
    digits = 6 if abs(value) >= 0.001 else 3 - math.floor(math.log10(abs(value)))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".").replace("-", "−")


def factor(value: float | None) -> str:
    """Return a profit factor; what is far above any that can be counted on is only called so."""
    if value is None or math.isnan(value):
        return NONE
    return f"above {MOST_FACTOR:g}" if value > MOST_FACTOR else f"{value:.2f}"


def new_key() -> str:
    """Return the key of a form, by which it happens once."""
    return secrets.token_urlsafe(16)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money, "signed": signed, "percent": percent, "price": price, "stamp": stamp, "tone": tone,
    "quantity": quantity, "factor": factor, "timed": plain_times, "to_minute": to_minute,
    "shell": shlex.quote,
}  # fmt: skip


def _typeset(value: float, digits: int) -> str:
    """Return a figure with a real minus; what is rounded to zero has none."""
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def _unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
