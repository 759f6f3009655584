"""R-multiples in bins, for the histogram that reports share (`parts.html.j2`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["histogram_of", "histogram_view"]

Floats = npt.NDArray[np.float64]


def histogram_view(values: Floats) -> dict[str, Any]:
    """Return what the template draws: `bins` with heights in percent, `most`, `trades`, `without` an R.

    NaN is a trade without an R-multiple.
    """
    counted = histogram_of(values)
    most = int(max((entry["count"] for entry in counted), default=0))
    # labels at whole numbers, at most about ten
    step = max(1, round(len(counted) * (counted[0]["high"] - counted[0]["low"]) / 10)) if counted else 1
    bins = []
    for entry in counted:
        middle = (entry["low"] + entry["high"]) / 2
        label = f"{middle:+.0f}".replace("-", "\u2212") if middle else "0"
        bins.append(
            {
                **entry,
                "label": label if middle % step == 0 else "",
                "share": round(100.0 * entry["count"] / most, 2),
            }
        )
    without = int(np.isnan(values).sum())
    return {"bins": bins, "most": most, "trades": len(values) - without, "without": without}


def histogram_of(values: Floats, *, most: int = 41) -> list[dict[str, float]]:
    """Return bins of width 0.5, or twice that and so on, around 0; the outermost bins take what lies beyond.

    Bins are centred on multiples of their width, because outcomes gather at -1 R: an edge there would split
    the stops by their slippage.

    Each bin has `low`, `high` and `count`; values that are not finite are left out.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    low, high = np.quantile(known, [0.002, 0.998])
    width = 0.5
    while math.floor(high / width + 0.5) - math.floor(low / width + 0.5) >= most:
        width *= 2
    first, last = math.floor(low / width + 0.5), math.floor(high / width + 0.5)
    place = np.clip(np.floor(known / width + 0.5), first, last).astype(np.int64)
    counts = np.bincount(place - first, minlength=last - first + 1)
    return [
        {"low": (first + i - 0.5) * width, "high": (first + i + 0.5) * width, "count": int(count)}
        for i, count in enumerate(counts)
    ]
