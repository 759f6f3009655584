"""Figures that read as attributes and as a mapping alike.

`report.metrics.win_rate` and `report["metrics"]["win_rate"]` are the same, and `plain()` gives what JSON can
hold. Figures that take time are computed when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from typing import Any, ClassVar

__all__ = ["Readable", "counted", "plain"]


class Readable(Mapping[str, Any]):
    """A mapping over some of its own attributes, which `names` lists."""

    names: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __hash__(self) -> int:
        return id(self)

    def plain(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists, texts and finite numbers."""
        return {name: plain(getattr(self, name)) for name in self.names}


def counted(trades: int) -> str:
    """Return "1 trade", "2 trades"."""
    return f"{trades:,} {'trade' if trades == 1 else 'trades'}"


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; infinite and unknown numbers become None."""
    if isinstance(value, Readable):
        return value.plain()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "_asdict"):
        return {key: plain(each) for key, each in value._asdict().items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return value
