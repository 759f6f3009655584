"""Who counts as a person: arming a switch and approving an order are done by somebody with a name.

>>> is_person("ada"), is_person(" system ")
(True, False)
"""

from __future__ import annotations

from typing import Final

from simulator.errors import ConfigError

__all__ = ["check_name", "is_person"]

_NOBODY: Final = frozenset(
    {"", "anonymous", "auto", "automation", "bot", "nobody", "system", "twinstep", "unknown"}
)


def is_person(name: str) -> bool:
    """Whether a name may be that of a person."""
    return name.strip().lower() not in _NOBODY


def check_name(approved_by: str) -> None:
    """Return where an approval is in a person's name.

    Raises
    ------
    ConfigError
        LIVE_REVIEW_NAME.
    """
    if not is_person(approved_by):
        raise ConfigError(
            f"an approval needs the name of a person: approved_by is {approved_by!r}", code="LIVE_REVIEW_NAME"
        )
