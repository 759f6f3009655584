"""Would entries at random times have done as well? A null distribution of a strategy's own figures.

The strategy's signals are put at random times: the same number per symbol, on the same sides, with the same
stops, targets and sizes, and each with the closing signals that followed it at the same distance. What is
left out is only the choice of the moment. The random lanes run as one sweep.

Prices of a signal (stop, target, limit, ...) move with the close they were written at; distances in average
true ranges are taken from the bars at the new time. A drifting market pays long entries at any time, and so
it pays the random ones: the null knows the drift, the cost and the exits.

>>> from simulator import load_bars
>>> from strategies import SmaCross
>>> bars = load_bars("synthetic:2x300?seed=2")
>>> found = random_entry_null(bars, SmaCross(fast=5, slow=20), samples=50)
>>> found.entries > 0, found.values.shape, 0 < found.p_value <= 1
(True, (50,), True)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["RandomEntryNull", "random_entries", "random_entry_null"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

_PRICES: Final = ("entry_price", "limit_price", "stop", "target", "target2", "target3", "trail_amount")


@dataclass(frozen=True, slots=True, eq=False)
class RandomEntryNull:
    """A figure of a strategy among those of the same strategy with random entries.

    Attributes
    ----------
    metric
        Name of the figure, a column of a sweep.
    observed
        The strategy's own; NaN where it is not defined.
    p_value
        (1 + random ones at least as high) / (1 + random ones that are defined); NaN where `observed` is, and
        where there are no entries to move.
    values : (samples,)
        The random ones; NaN where not defined.
    entries
        Entry signals that were moved.
    trades, null_trades
        Trades of the strategy, and the mean of the random ones: the risk manager may admit another number.
    """

    metric: str
    observed: float
    p_value: float
    values: Floats
    entries: int
    trades: int
    null_trades: float

    def __str__(self) -> str:
        if math.isnan(self.p_value):
            return (
                f"Random entries say nothing: {self.entries} entries, and {self.metric} is {self.observed}."
            )
        known = self.values[np.isfinite(self.values)]
        share = float((known < self.observed).mean())
        return (
            f"The strategy's {self.metric} of {self.observed:.2f} is above that of {share:.0%} of "
            f"{known.size} runs with the same exits and random entries (p = {self.p_value:.3f})."
        )


def random_entry_null(
    bars: Bars,
    strategy: Any,
    *,
    metric: str = "sharpe",
    samples: int = 500,
    together: bool = False,
    start: int | None = None,
    seed: int = 0,
    **rules: Any,
) -> RandomEntryNull:
    """Compare a strategy with itself at random times.

    Parameters
    ----------
    bars
        The market.
    strategy
        A strategy, a function of bars, or `Signals`.
    metric
        Column of `simulator.sweep`; higher is better.
    samples
        Random runs, at least 1.
    together, start, seed
        As in `random_entries`; `start` is the strategy's own `warmup` by default.
    **rules
        cash, risk, costs, conventions, threads, progress of `simulator.sweep`.

    Raises
    ------
    ConfigError
        OPTIMIZE_NULL for signals that cannot be moved or fewer than one sample; OPTIMIZE_METHOD for a metric
        that a sweep does not have.
    """
    from simulator import sweep
    from simulator.engine import signals_of

    if samples < 1:
        raise ConfigError(f"samples is {samples}; at least 1 is drawn", code="OPTIMIZE_NULL")
    signals = signals_of(strategy, bars)
    if start is None:
        start = int(getattr(strategy, "warmup", 0))
    entries = int((signals.records["side"] != 0).sum())
    lanes = [signals]
    if entries:
        lanes += random_entries(bars, signals, samples=samples, together=together, start=start, seed=seed)
    table = sweep(bars, lanes, **rules)
    if metric not in table:
        raise ConfigError(
            f"a sweep has no metric {metric!r}.{did_you_mean(metric, list(table.columns))}",
            code="OPTIMIZE_METHOD",
        )
    figures = table[metric].to_numpy(np.float64)
    trades = table["trades"].to_numpy(np.float64)
    observed = float(figures[0])
    values = figures[1:] if entries else np.full(samples, np.nan)
    known = values[~np.isnan(values)]
    p_value = math.nan
    if known.size and not math.isnan(observed):
        p_value = (1.0 + float((known >= observed).sum())) / (1.0 + known.size)
    return RandomEntryNull(
        metric=metric,
        observed=observed,
        p_value=p_value,
        values=values,
        entries=entries,
        trades=int(trades[0]),
        null_trades=float(trades[1:].mean()) if entries else math.nan,
    )


def random_entries(
    bars: Bars, signals: Signals, *, samples: int, together: bool = False, start: int = 0, seed: int = 0
) -> list[Signals]:
    """Return the signals at random times, once per sample.

    Parameters
    ----------
    bars, signals
        Signals of these bars, without option packages and without `oco` groups.
    samples
        Sets to draw.
    together
        False: the episodes of each symbol (an entry and the closing signals up to the next one) are shuffled
        and spread over its bars, without overlap, independently of other symbols. True: all signals are
        shifted by one random number of bars around the end, which keeps that symbols are entered together; a
        signal on a bar that its symbol lacks goes to the symbol's next one, or is lost after its last.
    start
        First row that an entry may have, or that of the first entry where this is earlier.
    seed
        Same seed, same draw.

    Raises
    ------
    ConfigError
        OPTIMIZE_NULL for packages and oco groups, whose signals belong together or to a date.
    """
    from simulator.kernel.dtypes import SIGNAL

    if len(signals.packages) or (len(signals) and signals.records["oco"].any()):
        what = "option packages belong to a date" if len(signals.packages) else "oco groups belong together"
        raise ConfigError(f"these signals cannot be moved in time: {what}", code="OPTIMIZE_NULL")
    records = signals.aligned(bars)
    opening = records["row"][records["side"] != 0]
    start = min(start, int(opening.min())) if opening.size else start
    random = np.random.default_rng(seed)
    closes = np.asarray(bars.close, np.float64)
    moved = []
    for _ in range(samples):
        if together:
            rows, kept = _shifted(records, closes, start, random)
        else:
            rows, kept = _shuffled(records, closes, start, random)
        made = np.zeros(int(kept.sum()), SIGNAL)
        made[:] = records[kept]
        _move(made, rows[kept], bars, closes)
        moved.append(_signals(made, signals, bars))
    return moved


# Parts


def _shifted(
    records: Records, closes: Floats, start: int, random: np.random.Generator
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    span = len(closes) - start
    shift = int(random.integers(1, span)) if span > 1 else 0
    early = records["row"] < start  # a closing signal before the first entry closes nothing
    rows = np.where(early, records["row"], start + (records["row"] - start + shift) % max(span, 1))
    kept = np.ones(len(records), np.bool_)
    for sym in np.unique(records["sym"]):
        mine = np.flatnonzero(records["sym"] == sym)
        known = np.flatnonzero(~np.isnan(closes[:, sym]))
        place = np.searchsorted(known, rows[mine])
        kept[mine] = place < known.size
        rows[mine] = known[np.minimum(place, known.size - 1)] if known.size else 0
    return rows, kept


def _shuffled(
    records: Records, closes: Floats, start: int, random: np.random.Generator
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    rows = records["row"].copy()
    kept = np.ones(len(records), np.bool_)
    for sym in np.unique(records["sym"]):
        mine = np.flatnonzero(records["sym"] == sym)
        known = np.flatnonzero(~np.isnan(closes[:, sym]))
        if not known.size:
            kept[mine] = False
            continue
        # in the symbol's own bars; a signal on a bar that it lacks counts for the one before
        place = np.maximum(np.searchsorted(known, rows[mine], side="right") - 1, 0)
        begins = np.unique(place[records["side"][mine] != 0])
        if not begins.size:
            continue
        episode = np.searchsorted(begins, place, side="right") - 1
        kept[mine[episode < 0]] = False  # a closing signal before the first entry closes nothing
        mine, place, episode = mine[episode >= 0], place[episode >= 0], episode[episode >= 0]
        first = min(int(np.searchsorted(known, start)), int(begins[0]))
        span = _spans(records[mine], place, episode, begins, known.size)
        new = _spread_out(span, known.size - first, random) + first
        target = np.minimum(new[episode] + place - begins[episode], known.size - 1)
        rows[mine] = known[target]
    return rows, kept


def _spans(records: Records, place: Ints, episode: Ints, begins: Ints, end: int) -> Ints:
    """Bars that each episode lasts as far as its signals say, at most until the next one."""
    room = np.diff(np.append(begins, end))
    span = np.ones(begins.size, np.int64)
    lasts = np.maximum(place - begins[episode] + 1, records["max_bars"])
    np.maximum.at(span, episode, lasts)
    return np.minimum(span, room)


def _spread_out(span: Ints, size: int, random: np.random.Generator) -> Ints:
    """First bars of the episodes, in shuffled order and uniformly spread over `size` bars."""
    order = random.permutation(span.size)
    free = size - int(span.sum())
    bars = np.sort(random.choice(free + span.size, span.size, replace=False))
    before = np.concatenate([[0], np.cumsum(span[order])[:-1]])
    begin = np.empty(span.size, np.int64)
    begin[order] = bars - np.arange(span.size) + before
    return begin


def _move(records: Records, rows: Ints, bars: Bars, closes: Floats) -> None:
    """Put records on other rows; modifies `records` in place."""
    carried = closes[records["row"], records["sym"]]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = closes[rows, records["sym"]] / carried
    scale = np.where(np.isfinite(scale), scale, 1.0)
    for name in _PRICES:
        records[name] *= scale
    # the engine takes the bars' own at the new time
    records["atr"] = np.where(rows == records["row"], records["atr"], np.nan)
    later = bars.ts[rows] - bars.ts[records["row"]]
    records["valid_until"] += np.where(records["valid_until"] > 0, later, 0)
    records["row"], records["ts"] = rows, bars.ts[rows]


def _signals(records: Records, like: Signals, bars: Bars) -> Signals:
    from simulator.signals import Signals

    order = np.lexsort((-records["priority"], records["row"]))
    return Signals(
        records[order],
        bars.symbols,
        tags=like.tags,
        strategies=like.strategies,
        sectors=bars.sector_names,
    )
