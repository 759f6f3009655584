"""From candles to the rows of a grid: labels of sessions, and hours out of half hours.

The candles of a day carry midnight, of UTC or of the exchange, and are sessions here. Those of an hour begin
on the hour, which is no bar of a session that opens at half past nine: bars of an hour are made of half ones,
the short one at the end of a session as well. Candles beside the grid are told on as they are, so that they
are counted where rows of all sources are.
"""

from __future__ import annotations

import numpy as np

from live.feeds.grid import Grid
from simulator.bars.adjust import Event
from simulator.bars.arrays import DAY, Floats, Ints
from simulator.bars.yahoo import Quoted

__all__ = ["quoted_of"]


def quoted_of(times: Ints, values: Floats, *, grid: Grid, actions: list[Event], until: int) -> Quoted | None:
    """Return candles, (n,) times and (n, 5) values in order, as rows of a grid; None where there is none.

    `until` is up to when everything has been told (UTC ns).
    """
    if not times.size:
        return None
    if grid.daily:
        ts, places = np.unique((times // DAY * DAY)[::-1], return_index=True)
        return Quoted(ts, values[::-1][places], actions, until)
    if grid.interval != "1h":
        return Quoted(times, values, actions, until)
    slots = grid.between(int(times[0]) - DAY, int(times[-1]) + 2 * DAY)
    at = np.searchsorted(slots.open, times, side="right") - 1
    inside = (at >= 0) & (times < slots.close[np.maximum(at, 0)])
    labels, rows = times[~inside].tolist(), list(values[~inside])
    for slot in np.unique(at[inside]):
        part = values[inside & (at == slot)]
        part = part[(part[:, :4] > 0.0).all(axis=1)]
        if len(part):
            labels.append(int(slots.ts[slot]))
            rows.append(
                np.array([part[0, 0], part[:, 1].max(), part[:, 2].min(), part[-1, 3], part[:, 4].sum()])
            )
    if not labels:
        return None
    order = np.argsort(labels, kind="stable")
    return Quoted(np.array(labels, np.int64)[order], np.array(rows, np.float64)[order], actions, until)
