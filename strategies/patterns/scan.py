"""Pattern scans: chart patterns with entry, stop, target and a score from 0 to 100.

A pattern is reported on the bar whose close completes it, from that bar and earlier ones alone. The score is
the sum of five components, each shown in points, so that a reader sees why a pattern scored what it did.

=======================  =====================================================================================
pattern                  what it is, and where stop, target and score come from
=======================  =====================================================================================
volatility-contraction   Three windows of 15 bars, each with at most 85 % of the range before it, then a close
                         above the last window's high (pivot), itself at most 10 % below the pattern's high.
                         Target: pivot + height of the whole pattern. Score: contraction 30 (last range /
                         first range from 72 % to 30 %), dry_volume 20 (last window / usual, 1.0 to 0.6),
                         volume 20, trend 20, near_high 10 (10 % below to 0).
cup-and-handle           Left rim 30 to 130 bars before the right rim and within 6 % of it, depth 10 to 40 %,
                         low not within 20 % of either rim, at least 25 % of closes in the lower half; then
                         a handle of 5 to 20 bars that gives back at most half. Pivot: right rim. Target:
                         pivot + depth. Score: depth 25 (full from 15 to 30 %), rims 15 (6 % to 1 % apart),
                         roundness 20 (25 to 50 % of closes in the lower half), handle 20 (50 to 20 % given
                         back), volume 20.
flag                     A pole of at least 4 ATR within 15 bars, then 5 to 15 bars that give back at most
                         half. Pivot: the pole's top. Target: pivot + pole. Score: shallow 25 (50 to 20 %
                         given back), pole 25 (4 to 8 ATR), dry_volume 15 (flag / pole, 1.0 to 0.5),
                         volume 20, trend 15.
base-breakout            30 bars at most 15 % deep whose top is at least 5 bars old. Pivot: the top. Target:
                         pivot + height. Score: tightness 30 (15 to 5 % deep), volume 25, trend 20, age 10
                         (top 5 to 20 bars old), close 15.
double-bottom            Two lows within 3 %, 10 to 50 bars apart, the second at most 20 bars old, the peak
                         between them at least 3 ATR above. Pivot: that peak. Target: pivot + height. Score:
                         symmetry 25 (lows 25 to 5 % of the height apart), height 20 (3 to 8 ATR), decline 15
                         (fall into the first low, 2 to 8 ATR), volume 25, close 15.
52-week-high             A close above all highs of 252 bars, the last new high at least 10 bars ago. Stop: 2
                         ATR below the close. Target: 3 times that risk above it (a new high has no height to
                         measure). Score: volume 25, trend 25, pause 20 (10 to 60 bars), not_extended 15
                         (close 2 to 0.5 ATR above the old high), close 15.
=======================  =====================================================================================

Stop of all but the last: one ATR below the pivot, or the pattern's own low (its last window, handle, flag,
base, lower bottom) where that is higher. Shared components: `volume` runs from 1 to 2 times the mean volume
of the 50 bars before (half points where no volume is known), `trend` from 0 to 4 ATR above the 50-bar
average, `close` from the middle of the bar's range to its high. ATR is Wilder's over 14 bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import StrategyError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["COMPONENTS", "HISTORY", "PATTERNS", "SCAN", "PatternScan", "scan_patterns", "scan_table"]

COMPONENTS: Final[dict[str, tuple[str, str, str, str, str]]] = {
    "volatility-contraction": ("contraction", "dry_volume", "volume", "trend", "near_high"),
    "cup-and-handle": ("depth", "rims", "roundness", "handle", "volume"),
    "flag": ("shallow", "pole", "dry_volume", "volume", "trend"),
    "base-breakout": ("tightness", "volume", "trend", "age", "close"),
    "double-bottom": ("symmetry", "height", "decline", "volume", "close"),
    "52-week-high": ("volume", "trend", "pause", "not_extended", "close"),
}
"""Names of the score components by pattern, in the order in which they are added up."""

PATTERNS: Final = tuple(COMPONENTS)
"""All pattern names."""

HISTORY: Final[dict[str, int]] = {
    "volatility-contraction": 51,
    "cup-and-handle": 151,
    "flag": 51,
    "base-breakout": 51,
    "double-bottom": 91,
    "52-week-high": 253,
}
"""Bars of a symbol that a pattern needs, the breakout bar included (51: the averages over 50 bars)."""

SCAN: Final = np.dtype(
    [(name, "<i8") for name in ("row", "sym", "pattern", "start")]
    + [(name, "<f8") for name in ("pivot", "entry", "stop", "target", "score")]
    + [("points", "<f8", (5,))]
)
"""Record of `scan_table`: `pattern` indexes `PATTERNS`, `row` and `start` are rows of the bars."""

_KERNELS: Final = {
    "volatility-contraction": "volatility_contraction",
    "cup-and-handle": "cup_and_handle",
    "flag": "flag",
    "base-breakout": "base_breakout",
    "double-bottom": "double_bottom",
    "52-week-high": "year_high",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ATR_LENGTH: Final = 14
_AVERAGE_LENGTH: Final = 50


@dataclass(frozen=True, slots=True)
class PatternScan:
    """One completed pattern of one symbol.

    Parameters
    ----------
    symbol
        Ticker.
    pattern
        One of `PATTERNS`, or a name of your own.
    score
        0 to 100, the sum of `components`.
    entry, stop, target
        Prices: the close of the bar that completed the pattern (the trade enters at the next open), where the
        idea is wrong, and where it pays. A long pattern has stop < entry < target.
    time
        Label of that bar, aware UTC.
    pivot
        Price that the close broke.
    row, start
        Rows of the bars: where the pattern was completed, and where it began.
    components
        Points by component.
    sector
        Sector of the symbol, "Unknown" where the bars know none.
    """

    symbol: str
    pattern: str
    score: float
    entry: float
    stop: float
    target: float
    time: datetime
    pivot: float = float("nan")
    row: int = -1
    start: int = -1
    components: Mapping[str, float] = field(default_factory=dict)
    sector: str = "Unknown"

    @property
    def ticker(self) -> str:
        """The symbol, under the name that trading signals use."""
        return self.symbol

    @property
    def side(self) -> int:
        """+1 where the stop is below the entry, -1 where it is above."""
        return 1 if self.stop < self.entry else -1

    @property
    def risk_reward(self) -> float:
        """Reward per unit of risk from entry to target and stop; NaN where entry and stop are equal."""
        risk = abs(self.entry - self.stop)
        return abs(self.target - self.entry) / risk if risk > 0 else float("nan")


def scan_patterns(
    bars: Bars,
    patterns: str | Iterable[str] | None = None,
    *,
    min_score: float = 0.0,
    last: int | None = None,
) -> list[PatternScan]:
    """Find every completed pattern, oldest first.

    Parameters
    ----------
    bars
        The market; missing bars are skipped.
    patterns
        Names from `PATTERNS`; None for all of them.
    min_score
        Leave out lower scores.
    last
        Report only patterns completed on the last so many rows; the evening's scan is `last=1`.

    Raises
    ------
    UnknownNameError
        For a pattern that does not exist (NAME_PATTERN).
    """
    table = scan_table(bars, patterns)
    keep = table["score"] >= min_score
    if last is not None:
        keep &= table["row"] >= len(bars) - last
    return [_scan(record, bars) for record in table[keep]]


def scan_table(bars: Bars, patterns: str | Iterable[str] | None = None) -> npt.NDArray[np.void]:
    """Return the same as records of dtype `SCAN`, sorted by row, symbol and the order of `PATTERNS`."""
    chosen = check_patterns(patterns)
    parts = [_scan_symbol(bars, sym, chosen) for sym in range(len(bars.symbols))]
    table = np.concatenate(parts) if parts else np.zeros(0, SCAN)
    return table[np.lexsort((table["pattern"], table["sym"], table["row"]))]


def check_patterns(patterns: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names as given, all of them for None; raise for unknown ones and for none at all."""
    if patterns is None:
        return PATTERNS
    names = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for name in names:
        if name not in COMPONENTS:
            raise UnknownNameError(f"no pattern {name!r}.{did_you_mean(name, PATTERNS)}", code="NAME_PATTERN")
    if not names:
        raise StrategyError("no pattern to scan for was named", code="STRATEGY_NO_PATTERN")
    return names


def _scan_symbol(bars: Bars, sym: int, patterns: tuple[str, ...]) -> npt.NDArray[np.void]:
    from strategies.indicators import atr, lag, sma
    from strategies.patterns import _kernels
    from strategies.patterns._jit import call

    prices = bars.panel[:, sym, :]
    rows = np.flatnonzero(~np.isnan(prices[:, 3]))
    high, low, close, volume = (np.ascontiguousarray(prices[rows, k]) for k in (1, 2, 3, 4))
    context = (
        atr(high, low, close, _ATR_LENGTH),
        lag(sma(volume, _AVERAGE_LENGTH)),
        sma(close, _AVERAGE_LENGTH),
    )
    parts = []
    for name in patterns:
        found = call(getattr(_kernels, _KERNELS[name]), high, low, close, volume, *context)
        part = np.zeros(len(found), SCAN)
        index = found[:, 0].astype(np.int64)
        part["row"] = rows[index]
        part["sym"] = sym
        part["pattern"] = PATTERNS.index(name)
        part["start"] = rows[found[:, 1].astype(np.int64)]
        part["entry"] = close[index]
        part["pivot"], part["stop"], part["target"] = found[:, 2], found[:, 3], found[:, 4]
        part["points"] = found[:, 5:]
        total = np.zeros(len(found))
        for column in range(5, 10):  # in a fixed order, so that a score has the same bits on every prefix
            total = total + found[:, column]
        part["score"] = np.minimum(total, 100.0)
        parts.append(part)
    return np.concatenate(parts)


def _scan(record: Any, bars: Bars) -> PatternScan:
    pattern = PATTERNS[record["pattern"]]
    row, sym = int(record["row"]), int(record["sym"])
    return PatternScan(
        symbol=bars.symbols[sym],
        pattern=pattern,
        score=float(record["score"]),
        entry=float(record["entry"]),
        stop=float(record["stop"]),
        target=float(record["target"]),
        time=_EPOCH + timedelta(microseconds=int(bars.ts[row]) // 1000),
        pivot=float(record["pivot"]),
        row=row,
        start=int(record["start"]),
        components={
            name: float(points) for name, points in zip(COMPONENTS[pattern], record["points"], strict=True)
        },
        sector=bars.sectors[sym],
    )
