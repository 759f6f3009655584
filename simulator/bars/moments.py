"""When bars open and are complete, which daily closes are known at each, and what was announced before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.bars.arrays import Floats, Ints, Records
from simulator.bars.clock import session_times
from simulator.kernel import codes

if TYPE_CHECKING:
    from simulator.bars.panel import Bars

__all__ = ["daily_closes", "left_of_session", "open_and_close", "with_announced"]


def open_and_close(bars: Bars) -> tuple[Ints, Ints]:
    """Return the instants at which bars open and are complete, each (T,) UTC ns.

    An intraday bar is as long as most are, and ends at the latest with its session.
    """
    if bars.daily:
        return session_times(bars.calendar, bars.session)
    if len(bars) < 2:
        # One bar alone does not say how long it is: it lasts until its session closes.
        return bars.ts, np.maximum(session_times(bars.calendar, bars.session)[1], bars.ts + 1)
    steps = np.diff(bars.ts)
    lengths, counts = np.unique(steps, return_counts=True)
    usual = int(lengths[np.argmax(counts)])
    closes = bars.ts + np.minimum(np.append(steps, usual), usual)
    _, session_close = session_times(bars.calendar, bars.session)
    return bars.ts, np.where(bars.ts < session_close, np.minimum(closes, session_close), closes)


def left_of_session(bars: Bars) -> Ints:
    """Return how long each bar's session goes on after the bar's close, (T,) nanoseconds; 0 for daily bars.

    Known when the bar is: by the calendar, half days included. Bars after the session's close have 0 too.
    """
    if bars.daily:
        return np.zeros(len(bars), np.int64)
    left: Ints = np.maximum(session_times(bars.calendar, bars.session)[1] - bars.close_ts, 0)
    return left


def daily_closes(bars: Bars) -> tuple[Floats, Ints]:
    """Return the last close of each session, and how many of them are complete at each bar."""
    if bars.daily:
        return np.ascontiguousarray(bars.close), np.arange(1, len(bars) + 1, dtype=np.int64)
    _, start, day = np.unique(bars.session, return_index=True, return_inverse=True)
    known = np.where(np.isnan(bars.close), -1, np.arange(len(bars))[:, None])
    last = np.maximum.accumulate(known, axis=0)[np.append(start[1:], len(bars)) - 1]
    closes = np.take_along_axis(bars.close, np.maximum(last, 0), axis=0)
    return np.where(last >= start[:, None], closes, np.nan), day.astype(np.int64)


def with_announced(before: Records, actions: Records, session: int) -> Records:
    """Return actions with the earnings that were announced before them, and are from `session` on.

    What was announced earlier and is still to come is known on the first bar too.
    """
    carried = before[(before["kind"] == codes.ACTION_EARNINGS) & (before["value"] >= session)]
    if not carried.size:
        return actions
    carried["row"] = 0
    made = np.concatenate([carried, actions])
    return made[np.lexsort((made["kind"], made["sym"], made["row"]))]
