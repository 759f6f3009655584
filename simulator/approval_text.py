"""Approvals as they are written: `delay=2h,veto=0.1,expiry=1d,hours=09:00-17:00@Europe/Berlin`."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Any, Final

from simulator.approval_clock import WorkingHours
from simulator.errors import ConfigError, did_you_mean

__all__ = ["read_approval", "read_length"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_NAMES: Final = ("delay", "expiry", "veto", "drift", "seed", "hours")


def read_approval(text: str) -> dict[str, Any]:
    """Return the keywords of an approval; `delay` as its kind and length.

    Raises
    ------
    ConfigError
        CONFIG_APPROVAL for what cannot be read.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in _NAMES or not value:
            near = did_you_mean(name, _NAMES)
            raise _wrong(text, f"{part.strip()!r} is none of {', '.join(_NAMES)} with a value.{near}")
        if name == "delay":
            kind, _, length = value.rpartition(":")
            if kind not in ("", "exp", "fixed"):
                raise _wrong(text, f"delay is {value!r}; it is a length as 2h, or exp:2h for its mean")
            found["delay"] = ("exponential" if kind == "exp" else "fixed", read_length(length))
        elif name == "expiry":
            found["expiry"] = read_length(value)
        elif name == "hours":
            found["hours"] = _hours(text, value)
        else:
            try:
                number = int(value) if name == "seed" else float(value)
            except ValueError:
                raise _wrong(text, f"{name} is {value!r}, not a number") from None
            found["price_drift_pct" if name == "drift" else name] = number
    return found


def read_length(text: str) -> timedelta:
    """Read a length of time: 90s, 30m, 2h, 1d, or 0.

    >>> read_length("1.5h")
    datetime.timedelta(seconds=5400)
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None or (not match[2] and float(match[1])):
        raise ConfigError(
            f"{text!r} is no length of time; write it as 90s, 30m, 2h or 1d", code="CONFIG_APPROVAL"
        )
    return timedelta(**{_UNITS[match[2] or "s"]: float(match[1])})


def _hours(text: str, value: str) -> WorkingHours:
    span, _, zone = value.partition("@")
    try:
        start, end = (time.fromisoformat(part.strip()) for part in span.split("-"))
    except ValueError:
        raise _wrong(text, f"hours are {value!r}; write them as 09:00-17:00@Europe/Berlin") from None
    return WorkingHours(start, end, zone) if zone else WorkingHours(start, end)


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"approval {text!r}: {why}", code="CONFIG_APPROVAL")
