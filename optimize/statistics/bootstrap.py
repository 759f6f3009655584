"""Other histories that could have been: returns and bars resampled in blocks.

A block bootstrap draws stretches of history, so that what holds within days or weeks (clustered volatility,
short trends) is kept and what spans longer is broken. "stationary" draws blocks of geometric length around a
mean (Politis and Romano 1994), "circular" of a fixed length (Politis and Romano 1992); both wrap around at
the end. The length is that of Politis and White (2004) by default, as `arch` computes it.

`bootstrap_bars` resamples whole sessions, all symbols together, so that what symbols share stays. A bar is
kept as moves relative to the close before it and put on the close before it in the new history: gaps, ranges
and the order low <= open, close <= high remain.

>>> from simulator import load_bars
>>> bars = load_bars("synthetic:2x60?seed=1")
>>> other = bootstrap_bars(bars, length=5, seed=1)
>>> len(other), other.origin, bool((other.high >= other.close).all())
(60, 'synthetic', True)
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Kind", "block_indices", "bootstrap_bars", "bootstrap_returns", "optimal_block_length"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["stationary", "circular"]

_LEAST: Final = 10  # observations below which no length is estimated


def block_indices(
    n: int, *, length: float, kind: Kind = "stationary", size: int | None = None, seed: int = 0
) -> Ints:
    """Return which observations a block bootstrap draws.

    Parameters
    ----------
    n
        Observations to draw from, at least 1.
    length
        Mean length of a block, at least 1; a whole number for "circular".
    kind
        "stationary" or "circular".
    size
        Observations to draw; by default n.
    seed
        Same seed, same draw.

    Returns
    -------
    (size,) int64
        0 to n - 1.

    Raises
    ------
    ConfigError
        OPTIMIZE_BLOCKS for a length below 1, or n below 1; OPTIMIZE_METHOD for another kind.
    """
    if kind not in ("stationary", "circular"):
        raise ConfigError(
            f"there is no bootstrap {kind!r}; it is 'stationary' or 'circular'", code="OPTIMIZE_METHOD"
        )
    if not 1.0 <= length < math.inf or n < 1:
        raise ConfigError(
            f"blocks of {length:g} out of {n} observations; both are at least 1", code="OPTIMIZE_BLOCKS"
        )
    size = n if size is None else size
    random = np.random.default_rng(seed)
    place = np.arange(size)
    if kind == "circular":
        begins = place % math.ceil(length) == 0
    else:
        begins = random.random(size) < 1.0 / length
        begins[:1] = True
    block = np.cumsum(begins) - 1
    start = random.integers(0, n, int(begins.sum()))
    return np.asarray((start[block] + place - np.flatnonzero(begins)[block]) % n, np.int64)


def optimal_block_length(returns: npt.ArrayLike, *, kind: Kind = "stationary") -> float:
    """Return the length of blocks that estimates the variance of the mean best (Politis and White 2004).

    Parameters
    ----------
    returns : (observations,) or (observations, series)
        NaN is left out, row by row; of several series the largest length counts.

    Returns
    -------
    float
        1 to a third of the observations; 1 where the series do not vary or are shorter than ten.
    """
    from arch.bootstrap import optimal_block_length as of_arch

    values = np.asarray(returns, np.float64)
    if values.ndim not in (1, 2):
        raise ConfigError(
            f"returns have shape {values.shape}; they are (observations,) or (observations, series)",
            code="OPTIMIZE_RETURNS",
        )
    values = values.reshape(len(values), -1)
    values = values[np.isfinite(values).all(axis=1)]
    values = values[:, values.std(axis=0) > 0.0] if len(values) else values
    if len(values) < _LEAST or not values.shape[1]:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # divides by a variance of 0 within a lag's window
        found = of_arch(values)[kind].to_numpy(np.float64)
    found = found[np.isfinite(found)]
    return float(np.clip(found.max(initial=1.0), 1.0, max(1.0, len(values) / 3.0)))


def bootstrap_returns(
    returns: npt.ArrayLike,
    *,
    samples: int,
    length: float | None = None,
    kind: Kind = "stationary",
    seed: int = 0,
) -> Floats:
    """Return resampled histories of returns; several series are drawn together.

    Parameters
    ----------
    returns : (observations,) or (observations, series)
        NaN is drawn as it is.
    samples
        Histories to draw.
    length
        Mean length of a block; by default `optimal_block_length(returns)`.

    Returns
    -------
    (samples, observations) or (samples, observations, series) float64

    Raises
    ------
    ConfigError
        OPTIMIZE_RETURNS, OPTIMIZE_BLOCKS, OPTIMIZE_METHOD.
    """
    values = np.asarray(returns, np.float64)
    if length is None:
        length = optimal_block_length(values, kind=kind)
    n = len(values)
    seeds = np.random.SeedSequence(seed).generate_state(samples, np.uint64)
    rows = [block_indices(n, length=length, kind=kind, seed=int(one)) for one in seeds]
    return np.asarray(values[np.array(rows).reshape(samples, n)])


def bootstrap_bars(
    bars: Bars, *, length: float | None = None, kind: Kind = "stationary", seed: int = 0
) -> Bars:
    """Return another history over the same times, made of blocks of sessions of this one.

    The first session is that of `bars`; each later one has the moves of a drawn session. Every symbol takes
    the same one, so a symbol that has no bar there has none in the new history either: cut the bars to what
    symbols have in common where that is not wanted. Sessions shorter than usual are not drawn; where one of
    the calendar is shorter, it takes the first bars of what it drew. Spreads move with prices, volumes are
    those of the drawn session.

    Parameters
    ----------
    bars
        Adjusted prices, of two sessions at least. Detail, options, corporate actions and earnings dates
        belong to the true history and are not in the new one.
    length
        Mean length of a block in sessions; by default `optimal_block_length` of the squared returns of the
        mean symbol, for what has to be kept is the clustering of volatility.
    kind, seed
        As in `block_indices`.

    Returns
    -------
    Bars
        Of origin "synthetic". Same seed, same bars.

    Raises
    ------
    ConfigError
        OPTIMIZE_BARS for raw prices (a split would become a fall) or fewer than two sessions;
        OPTIMIZE_BLOCKS, OPTIMIZE_METHOD.
    """
    from simulator.kernel.dtypes import ACTION

    start, count = _sessions(bars)
    usual = int(np.bincount(count).argmax()) if len(count) else 0
    sources = np.flatnonzero(count >= usual)
    sources = sources[sources > 0]
    if bars.raw or not sources.size:
        what = (
            "its prices are raw, and a split would become a fall; load them adjusted"
            if bars.raw
            else f"it has {len(count)} sessions, and the first cannot be drawn, for nothing is before it"
        )
        raise ConfigError(f"{bars.name} cannot be resampled: {what}", code="OPTIMIZE_BARS")
    if length is None:
        length = _clustering_length(bars, kind)
    drawn = sources[block_indices(len(sources), length=length, kind=kind, size=len(count) - 1, seed=seed)]
    rows = _source_rows(start, count, drawn, len(bars))
    panel, spread = _rechained(bars, rows, int(count[0]))
    return bars.replaced(
        panel=panel,
        spread=spread,
        actions=np.zeros(0, ACTION),
        detail=None,
        detail_start=None,
        options=None,
        origin="synthetic",
        name=f"{bars.name} ({kind} bootstrap, seed {seed})",
        notes=(),
    )


# Parts


def _sessions(bars: Bars) -> tuple[Ints, Ints]:
    """First row and number of bars of each session."""
    _, start, count = np.unique(bars.session_no, return_index=True, return_counts=True)
    return start.astype(np.int64), count.astype(np.int64)


def _clustering_length(bars: Bars, kind: Kind) -> float:
    closes, _ = bars.daily_closes()
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.diff(np.log(closes), axis=0)
    known = np.isfinite(moves)
    mean = np.where(known, moves, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return optimal_block_length(mean * mean, kind=kind)


def _source_rows(start: Ints, count: Ints, drawn: Ints, n: int) -> Ints:
    """Row that each row of the new history takes its moves from; -1 where the drawn session has none."""
    rows = np.arange(n)
    for session, source in enumerate(drawn, start=1):
        place = np.arange(count[session])
        rows[start[session] : start[session] + count[session]] = np.where(
            place < count[source], start[source] + place, -1
        )
    return rows


def _rechained(bars: Bars, rows: Ints, first: int) -> tuple[Floats, Floats]:
    """Panel and spreads with the moves of `rows` after the bars of the first session."""
    close = bars.close
    before = np.vstack([np.full(close.shape[1], np.nan), _carried(close)[:-1]])
    panel = bars.panel.copy()
    moves = panel[:, :, :4] / before[:, :, None]
    known = rows >= 0
    taken = np.where(known[:, None, None], moves[np.maximum(rows, 0)], np.nan)
    # the first bar of a symbol has no move, so it cannot be drawn
    there: npt.NDArray[np.bool_] = np.asarray(np.isfinite(taken).all(axis=2))
    factor = np.where(there, taken[:, :, 3], 1.0)
    factor[:first] = 1.0
    begin = _carried(close)[first - 1]
    whole = _carried(close[::-1])[-1]  # the first close of each symbol
    begin = np.where(np.isfinite(begin), begin, whole)
    level = begin * np.cumprod(factor, axis=0)  # the close carried to each bar
    base = np.vstack([begin, level[:-1]])
    made = np.where(there[:, :, None], base[:, :, None] * np.where(there[:, :, None], taken, 1.0), np.nan)
    volume = np.where(there, bars.volume[np.maximum(rows, 0)], np.nan)
    panel[first:, :, :4] = made[first:]
    panel[first:, :, 4] = volume[first:]
    if not bars.spread.size:
        return panel, bars.spread
    spread = bars.spread.copy()
    share = (bars.spread / close)[np.maximum(rows, 0)]
    spread[first:] = (share * panel[:, :, 3])[first:]
    return panel, spread


def _carried(close: Floats) -> Floats:
    """Return closes with the last known one where a bar is missing."""
    row = np.where(np.isnan(close), -1, np.arange(len(close))[:, None])
    last = np.maximum.accumulate(row, axis=0)
    found = np.take_along_axis(close, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, found, np.nan)
