"""Array types and time constants shared by the modules of this folder."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["DAY", "FIELDS", "HOUR", "MINUTE", "SECOND", "Bools", "Floats", "Ints", "Records", "stamp"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]

# Nanoseconds
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

FIELDS: Final = ("open", "high", "low", "close", "volume")
"""Last axis of a panel: prices in currency per unit, volume in units."""


def stamp(ts: int) -> str:
    """Return a UTC nanosecond time as text: the date alone at midnight, else date and time."""
    text = str(np.datetime64(int(ts), "ns"))
    return text[:10] if int(ts) % DAY == 0 else text[:19].replace("T", " ") + "Z"
