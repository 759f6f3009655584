"""Earnings as they were known at each session: announced dates, and where none is announced, expected ones.

A company reports every quarter and announces the day some weeks before. Two kinds of fact are used, each from
the session on which it was known: a date that was announced (a table with `known_at`), and earnings that took
place. An announced date is exact. Where the next one is not announced it is expected a quarter after the
last, give or take `shift_days`, because companies move their dates by days. Nothing known later enters, so
signals keep the prefix rule. The strategies' blackout and the scanner's filter ask the same function.

An announcement replaces an earlier one that lies within half a quarter of it: the date was moved.

>>> first, second, expected = expected_earnings([100, 193], [100, 170], np.array([169, 170]))
>>> second.active.tolist(), expected.active.tolist()
([False, True], [True, False])
>>> int(expected.first[0]), int(expected.last[0])
(184, 198)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import Ints
from simulator.kernel import codes

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = [
    "ALWAYS",
    "QUARTER_DAYS",
    "SHIFT_DAYS",
    "Expected",
    "expected_earnings",
    "known_earnings",
    "near_earnings",
]

Mask = npt.NDArray[np.bool_]

QUARTER_DAYS: Final = 91
"""Days from one earnings date to the next: companies report by the quarter."""
SHIFT_DAYS: Final = 7
"""Days to either side of an expected date that count as well, unless told otherwise: a convention."""
SAME_QUARTER_DAYS: Final = 45
"""Two dates this near to each other are of one quarter."""
ALWAYS: Final = -(10**9)
"""Known from the beginning: dates of one list that was never told in parts, none of which moves another."""
_NEVER: Final = int(np.iinfo(np.int64).min) // 2


class Expected(NamedTuple):
    """One earnings date, or what is expected of the next, at every session asked about.

    Attributes
    ----------
    active : (T,) bool
        Sessions on which it is what was known.
    first, last : (T,) int64
        Between which days it lies, in days since 1970-01-01; equal for a known date.
    projected : bool
        Whether it is expected, not known.
    """

    active: Mask
    first: Ints
    last: Ints
    projected: bool


def expected_earnings(
    dates: Sequence[int] | Ints,
    known: Sequence[int] | Ints,
    sessions: Ints,
    *,
    shift_days: int = SHIFT_DAYS,
    linger_days: int = 0,
) -> list[Expected]:
    """Return the earnings, past and to come, that were known or expected at each session.

    Parameters
    ----------
    dates, known : (n,)
        Earnings dates, and the session from whose close on each was known, in days since 1970-01-01, in the
        order in which they became known; a date and a later revision of it are two entries. `ALWAYS` is
        known at any time.
    sessions : (T,) int64
        When it is asked, in days since 1970-01-01.
    shift_days
        Days to either side of an expected date. 0 takes a quarter as exact.
    linger_days
        Days after an expected span before the quarter that follows is expected instead.

    Returns
    -------
    One `Expected` per date, and a last one for what is expected without having been announced: the first
    multiple of a quarter after the last known earnings that is not over. Empty without dates.
    """
    found: list[Expected] = []
    last = np.full(sessions.size, _NEVER)
    for i, (day, since) in enumerate(zip(dates, known, strict=True)):
        later = zip(dates[i + 1 :], known[i + 1 :], strict=True)
        moved = [
            int(when)
            for other, when in later
            if 0 < abs(int(other) - int(day)) <= SAME_QUARTER_DAYS and when != ALWAYS
        ]
        active = sessions >= since
        if moved:
            active &= sessions < min(moved)
        at = np.full(sessions.size, int(day), np.int64)
        found.append(Expected(active, at, at, False))
        last = np.where(active & (at <= sessions), np.maximum(last, at), last)
    if not found:
        return found
    seen = last > _NEVER
    for span in found:
        # the date to come is of the next quarter, not of a later one
        soon = span.first - last <= QUARTER_DAYS + SAME_QUARTER_DAYS
        seen &= ~(span.active & (span.first > sessions) & soon)
    quarters = -((last + shift_days + linger_days - sessions) // QUARTER_DAYS)
    middle = last + QUARTER_DAYS * np.maximum(quarters, 1)
    found.append(Expected(seen, middle - shift_days, middle + shift_days, True))
    return found


def known_earnings(bars: Bars, column: int) -> tuple[Ints, Ints]:
    """Return the earnings dates of a symbol and from which session each was known, in the order of knowing.

    Actions of the kind "earnings" with `known_at` are announcements; without, they are known on their day.
    """
    actions = bars.actions
    mine = actions[(actions["kind"] == codes.ACTION_EARNINGS) & (actions["sym"] == column)]
    known = bars.session[mine["row"]]
    order = np.argsort(mine["row"], kind="stable")
    announced = mine["value"] > 0
    dates = np.where(announced, np.where(announced, mine["value"], 0).astype(np.int64), known)
    return dates[order], known[order]


def near_earnings(bars: Bars, column: int, days: int, shift_days: int = SHIFT_DAYS) -> Mask:
    """Return the bars of a symbol within `days` calendar days of earnings, as known at each bar, (T,).

    Earnings past, announced and expected count (`expected_earnings`); of expected ones the whole span.
    """
    dates, known = known_earnings(bars, column)
    near = np.zeros(len(bars), np.bool_)
    now = bars.session
    for span in expected_earnings(dates, known, now, shift_days=shift_days, linger_days=days):
        near |= span.active & (now >= span.first - days) & (now <= span.last + days)
    return near
