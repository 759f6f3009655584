"""A seeded synthetic market: sectors that move together, bars whose range fits their path.

Prices are a model, labelled synthetic in `origin` and `name` wherever results show: they have no trends,
reversals or crashes that a strategy could find beyond chance. Per bar, a log return is the sum of a market
move, a sector move and an own move (shares of variance 0.3, 0.2 and 0.5, so that two symbols of a sector
correlate at about 0.5 and of different sectors at about 0.3), with volatility that clusters, and an
overnight gap. Inside a bar the price walks `STEPS` steps; high and low are those of the walk.

The source text is `synthetic:SYMBOLSxBARS`, with options after a question mark, joined by `&`:

| option | default | meaning |
|---|---|---|
| `seed` | 0 | same text, same bars, on every machine |
| `sectors` | 4, at most one per symbol | number of sectors |
| `volatility_pct` | 30 | annual volatility of a symbol, percent |
| `drift_pct` | 6 | annual drift of every symbol, percent |
| `missing_pct` | 0 | share of bars left out at random, percent |
| `interval` | 1d | bar length: 1d, or 1min, 5min, 15min, 30min, 1h |

>>> bars = make_synthetic("2x20?seed=7")
>>> bars.origin, len(bars), bars.symbols
('synthetic', 20, ('TEC1', 'FIN1'))
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import numpy as np

from simulator.bars.arrays import DAY, HOUR, MINUTE, Floats, Ints
from simulator.bars.clock import calendar_sessions, check_calendar, session_times, sessions_per_year
from simulator.bars.panel import Bars
from simulator.errors import DataError, did_you_mean

__all__ = ["make_synthetic"]

STEPS: Final = 12  # of the walk inside a bar
MARKET_SHARE: Final = 0.3  # of variance
SECTOR_SHARE: Final = 0.2
GAP_SHARE: Final = 0.2  # of a session's variance that passes overnight
LAST_DAY: Final = 20_088  # 2024-12-31: daily bars end there
MOST_SESSIONS: Final = 12_000
SECTORS: Final = (
    "Technology", "Financials", "Health Care", "Energy", "Industrials", "Utilities", "Materials",
    "Consumer Staples", "Consumer Discretionary", "Real Estate", "Communication Services",
)  # fmt: skip
PREFIXES: Final = ("TEC", "FIN", "HLT", "ENE", "IND", "UTL", "MAT", "STA", "DIS", "RES", "COM")
_INTERVALS: Final = {
    "1d": DAY, "1min": MINUTE, "5min": 5 * MINUTE, "15min": 15 * MINUTE, "30min": 30 * MINUTE, "1h": HOUR,
}  # fmt: skip
_OPTIONS: Final = ("seed", "sectors", "volatility_pct", "drift_pct", "missing_pct", "interval")
_SPEC: Final = re.compile(r"(\d+)x(\d+)(?:\?(.*))?")


@dataclass(frozen=True)
class _Market:
    """What the source text asks for; fractions, per year where that matters."""

    symbols: int
    bars: int
    seed: int
    sectors: int
    volatility: float
    drift: float
    missing: float
    step: int


def make_synthetic(spec: str, *, calendar: str = "XNYS", sectors: Mapping[str, str] | None = None) -> Bars:
    """Return the synthetic market that a text such as "8x750?seed=7" describes.

    Raises `DataError` DATA_SYNTHETIC for a text that cannot be read or a value outside its limits.
    """
    market = _parse(spec)
    calendar = check_calendar(calendar)
    ts, first_of_session = _times(market, calendar)
    names, sector_of = _names(market)
    random = np.random.default_rng(market.seed)
    panel = _walk(market, random, first_of_session, sector_of, sessions_per_year(calendar))
    if market.missing:
        panel[random.random(panel.shape[:2]) < market.missing] = np.nan
    return Bars.from_arrays(
        names,
        ts,
        panel,
        sectors=sectors or {name: SECTORS[code] for name, code in zip(names, sector_of, strict=True)},
        calendar=calendar,
        name=f"synthetic:{spec}",
        origin="synthetic",
        daily=market.step == DAY,
    )


def _parse(spec: str) -> _Market:
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        raise DataError(
            f"synthetic market {spec!r} is not understood: write SYMBOLSxBARS?seed=N, for example "
            f"synthetic:8x750?seed=7",
            code="DATA_SYNTHETIC",
        )
    options = dict(parse_qsl(match[3] or "", keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise DataError(
                f"synthetic market {spec!r}: unknown option {name!r}.{did_you_mean(name, _OPTIONS)}",
                code="DATA_SYNTHETIC",
            )
    interval = options.pop("interval", "1d")
    if interval not in _INTERVALS:
        raise DataError(
            f"synthetic market {spec!r}: interval {interval!r} is unknown."
            f"{did_you_mean(interval, _INTERVALS)}",
            code="DATA_SYNTHETIC",
        )
    symbols = _within(spec, "number of symbols", match[1], 1, 10_000)
    sectors = _within(spec, "sectors", options.get("sectors", str(min(4, symbols))), 1, len(SECTORS))
    return _Market(
        symbols=int(symbols),
        bars=int(_within(spec, "number of bars", match[2], 1, 50_000_000)),
        seed=int(_within(spec, "seed", options.get("seed", "0"), 0, 2**63 - 1)),
        sectors=int(sectors),
        volatility=_within(spec, "volatility_pct", options.get("volatility_pct", "30"), 0, 300) / 100,
        drift=_within(spec, "drift_pct", options.get("drift_pct", "6"), -100, 100) / 100,
        missing=_within(spec, "missing_pct", options.get("missing_pct", "0"), 0, 90) / 100,
        step=_INTERVALS[interval],
    )


def _within(spec: str, name: str, text: str, least: float, most: float) -> float:
    whole = name not in ("volatility_pct", "drift_pct", "missing_pct")
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise DataError(
            f"synthetic market {spec!r}: {name} {text!r} must be a {'whole ' if whole else ''}number from "
            f"{least:g} to {most:g}",
            code="DATA_SYNTHETIC",
        )
    return value


def _times(market: _Market, calendar: str) -> tuple[Ints, Ints]:
    """Return bar labels, and for each bar 1 where it is the first of its session, else 0."""
    per_session = 1
    if market.step < DAY:
        opens, closes = session_times(calendar, np.array([LAST_DAY - 1]))
        per_session = int(-(-(closes[0] - opens[0]) // market.step))
    needed = -(-market.bars // per_session)
    if needed > MOST_SESSIONS:
        raise DataError(
            f"{market.bars} bars would need {needed} sessions, more than {MOST_SESSIONS}; ask for a shorter "
            f"interval, for example &interval=1min",
            code="DATA_SYNTHETIC",
        )
    # Half days hold fewer bars, hence a few sessions to spare.
    sessions = calendar_sessions(calendar, LAST_DAY - needed * 3 // 2 - 60, LAST_DAY)
    if market.step == DAY:
        return sessions[-market.bars :] * DAY, np.ones(market.bars, np.int64)
    opens, closes = session_times(calendar, sessions)
    parts = -(-(closes - opens) // market.step)
    place = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    ts = np.repeat(opens, parts) + place * market.step
    return ts[-market.bars :], (place[-market.bars :] == 0).astype(np.int64)


def _names(market: _Market) -> tuple[list[str], Ints]:
    codes = np.arange(market.symbols) % market.sectors
    return [f"{PREFIXES[code]}{place // market.sectors + 1}" for place, code in enumerate(codes)], codes


def _walk(
    market: _Market, random: np.random.Generator, first: Ints, sector_of: Ints, sessions: float
) -> Floats:
    """Return the (T, S, 5) panel of prices and volumes."""
    bars, symbols = market.bars, market.symbols
    per_session = max(1.0, bars / max(1, int(first.sum())))
    scale = market.volatility / np.sqrt(sessions * per_session)
    storm = _clustering(random, bars)
    price = np.full(symbols, 1.0) * np.exp(random.uniform(np.log(20), np.log(200), symbols))
    typical = np.exp(random.uniform(np.log(2e5), np.log(5e6), symbols)) / per_session
    panel = np.empty((bars, symbols, 5))
    level = np.log(price)
    # Blocks bound the memory of the walks inside bars, whatever the length.
    block = max(1, 2_000_000 // (symbols * STEPS))
    for start in range(0, bars, block):
        stop = min(bars, start + block)
        rows = stop - start
        within = scale * np.sqrt((1 - GAP_SHARE) / STEPS) * storm[start:stop]
        steps = within[:, None, None] * _shocks(random, (rows, STEPS), symbols, market.sectors, sector_of)
        gap_scale = scale * np.sqrt(GAP_SHARE * per_session) * first[start:stop] * storm[start:stop]
        gaps = gap_scale[:, None] * _shocks(random, (rows, 1), symbols, market.sectors, sector_of)[:, 0]
        gaps += (market.drift - market.volatility**2 / 2) / (sessions * per_session)
        path = steps.cumsum(axis=1)
        move = gaps + path[:, -1]
        base = level + np.concatenate([np.zeros((1, symbols)), move.cumsum(axis=0)[:-1]]) + gaps
        level = level + move.sum(axis=0)
        panel[start:stop, :, 0] = base
        panel[start:stop, :, 1] = base + np.maximum(path.max(axis=1), 0)
        panel[start:stop, :, 2] = base + np.minimum(path.min(axis=1), 0)
        panel[start:stop, :, 3] = base + path[:, -1]
        activity = np.exp(random.normal(0, 0.3, (rows, symbols))) * storm[start:stop, None]
        panel[start:stop, :, 4] = np.round(typical * activity)
    # Rounding is monotone, so high stays the highest; nothing trades below a cent.
    panel[:, :, :4] = np.maximum(np.round(np.exp(panel[:, :, :4]), 2), 0.01)
    return panel


def _shocks(
    random: np.random.Generator, shape: tuple[int, int], symbols: int, sectors: int, sector_of: Ints
) -> Floats:
    """Return standard normal moves (rows, steps, symbols) with a market and a sector in common."""
    common = random.standard_normal((*shape, 1)) * np.sqrt(MARKET_SHARE)
    sector = random.standard_normal((*shape, sectors))[:, :, sector_of] * np.sqrt(SECTOR_SHARE)
    own = random.standard_normal((*shape, symbols)) * np.sqrt(1 - MARKET_SHARE - SECTOR_SHARE)
    return np.asarray(common + sector + own)


def _clustering(random: np.random.Generator, bars: int) -> Floats:
    """Return multiples of the usual volatility, mean square 1: its log is a slow autoregression."""
    memory, spread = 0.97, 0.35
    shocks = random.standard_normal(bars) * spread * np.sqrt(1 - memory**2)
    level = np.empty(bars)
    last = random.standard_normal() * spread
    for row in range(bars):
        last = memory * last + shocks[row]
        level[row] = last
    storm = np.exp(level)
    return np.asarray(storm / np.sqrt(np.mean(storm**2)))
