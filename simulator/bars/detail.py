"""Attaching lower-timeframe bars, so that the order of prices inside a bar is known and not assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.errors import DataError

if TYPE_CHECKING:
    from simulator.bars.panel import Bars

__all__ = ["attach"]

# Closes of the two sources may differ by their closing auction, not by a dividend or a split.
_SCALE: Final = 0.02


def attach(bars: Bars, finer: Bars) -> Bars:
    """Return `bars` with `finer` as their detail; see `Bars.with_detail`."""
    if not hasattr(finer, "open_ts"):
        raise DataError(f"detail must be Bars, not {type(finer).__name__}", code="DATA_DETAIL")
    detail = finer.select(bars.symbols)
    closes = bars.close_ts
    owner = np.searchsorted(closes, detail.close_ts)
    inside = owner < len(bars)
    inside &= detail.open_ts >= bars.open_ts[np.minimum(owner, max(len(bars) - 1, 0))]
    if not inside.any():
        raise DataError(
            f"no bar of {finer.name} ({finer!r}) lies inside a bar of {bars.name} ({bars!r}): detail "
            f"bars must be shorter and cover the same time",
            code="DATA_DETAIL",
        )
    kept = detail.rows(np.flatnonzero(inside))
    owner = owner[inside]
    _check_scale(bars, kept, owner)
    start = np.searchsorted(owner, np.arange(len(bars) + 1)).astype(np.int64)
    return bars.replaced(detail=kept, detail_start=start)


def _check_scale(bars: Bars, detail: Bars, owner: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    last = np.flatnonzero(np.diff(owner, append=-1) != 0)
    for column, symbol in enumerate(bars.symbols):
        ratio = detail.close[last, column] / bars.close[owner[last], column]
        ratio = ratio[~np.isnan(ratio)]
        if ratio.size and abs(float(np.median(ratio)) - 1) > _SCALE:
            raise DataError(
                f"{symbol}: closes of the detail bars are {float(np.median(ratio)):.4g} times those of the "
                f"bars; is one source adjusted and the other raw?",
                code="DATA_DETAIL",
            )
