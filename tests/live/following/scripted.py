"""A strategy that does at given minutes what a session at a broker has to be able to: one of each.

Eighteen bars of a minute and four stocks, all at 100: a bracket whose stop trails, a position that is scaled
out of, one that leaves by time, one that leaves by a signal, a limit that is never reached, and a bracket
whose target is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator import Bars
from strategies import OnBarStrategy

if TYPE_CHECKING:
    from simulator.context import Context

__all__ = ["BARS", "SYMBOLS", "Scripted", "bars", "write_bars"]

SYMBOLS: Final = ("AAPL", "MSFT", "NVDA", "SPY")
START: Final = np.datetime64("2026-03-02T15:00", "ns")
MINUTE: Final = np.timedelta64(60_000_000_000, "ns")
BARS: Final = 18
GAP: Final = 0.05
"""Between a close and the next open: what a market order pays for being sent at the close."""

_CLOSES: Final = {
    "AAPL": (100, 101, 103, 105, 104.5, 101, 101, 101, 101.5, 101, 101, 101, 101, 103, 107.5, 107, 107, 107),
    "MSFT": (100, 100, 102, 104, 106, 108, 110, 113, 116, 116, 116, 116, 116, 116, 116, 116, 116, 116),
    "NVDA": (100, 100, 100.5, 101, 101, 100.5, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100),
    "SPY": (100, 100, 100, 100, 101, 101, 102, 102, 101, 101, 101, 101, 101, 101, 101, 101, 101, 101),
}
_SCRIPT: Final[dict[int, tuple[tuple[str, str, dict[str, Any]], ...]]] = {
    0: (("buy", "AAPL", {"qty": 20, "stop": 96.0, "target": 130.0, "trail_percent": 2.0}),),
    1: (
        ("buy", "MSFT", {"qty": 20, "stop": 95.0, "target": 115.0, "scale_out_r": 1.0,
                         "scale_out_fraction": 0.5}),
    ),
    2: (("buy", "NVDA", {"qty": 10, "stop": 90.0, "max_bars": 4}),),
    3: (("buy", "SPY", {"qty": 10, "stop": 94.0}),),
    7: (("buy", "AAPL", {"qty": 10, "entry": "limit", "entry_price": 90.0, "stop": 85.0, "valid_bars": 3}),),
    9: (("close", "SPY", {}),),
    12: (("buy", "AAPL", {"qty": 15, "stop": 99.0, "target": 106.0}),),
}  # fmt: skip


class Scripted(OnBarStrategy):
    """Trades by the clock."""

    name = "scripted"

    def on_bar(self, context: Context) -> None:
        """Do what this minute has."""
        minute = int((context.time - START) / MINUTE)
        for what, symbol, order in _SCRIPT.get(minute, ()):
            getattr(context, what)(symbol, **order)


def bars(count: int = BARS) -> Bars:
    """Return the bars: each opens a little above the close before it, with short wicks."""
    closes = np.array([_CLOSES[symbol] for symbol in SYMBOLS], float).T[:count]
    opens = np.vstack([closes[:1], closes[:-1] + GAP])
    high, low = np.maximum(opens, closes) + 0.1, np.minimum(opens, closes) - 0.1
    panel = np.stack([opens, high, low, closes, np.full_like(closes, 1e6)], axis=2)
    return Bars.from_arrays(SYMBOLS, START + np.arange(count) * MINUTE, panel, daily=False)


def write_bars(folder: Path, count: int = BARS) -> Path:
    """Write the bars as a folder of files, and return it."""
    whole = bars(count)
    folder.mkdir(parents=True, exist_ok=True)
    for column, symbol in enumerate(SYMBOLS):
        lines = ["time,open,high,low,close,volume"]
        for time, row in zip(whole.index, whole.panel[:, column].tolist(), strict=True):
            lines.append(",".join([time.isoformat(), *(repr(value) for value in row)]))
        (folder / f"{symbol}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder
