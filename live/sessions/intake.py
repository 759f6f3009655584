"""What a session lets in: each bar once, in order, numbered; all else is refused with its reason.

A bar whose time is not after the last one's is a duplicate (it says the same as the one that was stepped), a
revision (it says something else), or late (no bar of that time was stepped); a decision once taken is not
taken again. Sessions are numbered here, because a feed that knows one bar at a time cannot. Missing sessions,
and holes inside one, are told as gaps; they are never filled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from live.sessions.recording import same_market
from simulator.bars.arrays import stamp
from simulator.bars.clock import ALWAYS, calendar_sessions
from simulator.errors import DataError
from simulator.kernel import codes

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Gap", "Intake", "Refused"]

_NOTHING: Final = -(2**62)
_TICK: Final = 1_000  # nanoseconds that a tick lasts at most
_LONGEST: Final = 40  # days of a gap whose sessions are counted one by one


@dataclass(frozen=True, slots=True)
class Refused:
    """A bar that was not stepped."""

    kind: Literal["duplicate", "revised", "late"]
    bars: Bars

    @property
    def ts(self) -> int:
        """Its label, UTC nanoseconds."""
        return int(self.bars.ts[0])


@dataclass(frozen=True, slots=True)
class Gap:
    """Bars that should have been between two others."""

    after_ts: int
    before_ts: int
    sessions: int
    """Missing sessions; 0 for a hole inside a session."""

    def __str__(self) -> str:
        """Say what is missing."""
        span = f"between {stamp(self.after_ts)} and {stamp(self.before_ts)}"
        if not self.sessions:
            return f"bars are missing {span}"
        return f"{self.sessions} session{'s are' if self.sessions > 1 else ' is'} missing {span}"


@dataclass(slots=True)
class Intake:
    """What the last bar was, so that the next can be judged.

    `spacing` is the usual number of days from bar to bar, 0 or 1 where every session has bars.
    """

    like: Bars
    spacing: float = 1.0
    ts: int = _NOTHING
    close_ts: int = _NOTHING
    session: int = _NOTHING
    number: int = -1
    announced: set[tuple[int, float]] = field(default_factory=set)

    def check(self, bars: Bars) -> None:
        """Raise `DataError` LIVE_FRAME where bars are not of this session's kind."""
        like = self.like
        found = None
        if bars.symbols != like.symbols:
            found = f"symbols {', '.join(bars.symbols[:5])}; it was opened for {', '.join(like.symbols[:5])}"
        elif bars.instruments is not like.instruments and (
            bars.instruments.tobytes() != like.instruments.tobytes()
        ):
            found = "other ticks, lots, sectors or contract terms of their instruments"
        elif (bars.raw, bars.daily, bars.calendar) != (like.raw, like.daily, like.calendar):
            found = (
                f"raw={bars.raw}, daily={bars.daily}, calendar {bars.calendar}; it has raw={like.raw}, "
                f"daily={like.daily}, calendar {like.calendar}"
            )
        elif (bars.options is None) != (like.options is None) or (bars.detail is None) != (
            like.detail is None
        ):
            found = "options or lower-timeframe bars, and the session has none, or the other way round"
        elif bars.options is not None and like.options is not None:
            for name in ("surfaces", "yields"):
                mine, theirs = getattr(like.options, name), getattr(bars.options, name)
                if mine is not theirs and mine.tobytes() != theirs.tobytes():
                    found = f"other {name} of their options"
            if bool(bars.options.volatility.shape[1]) != bool(like.options.volatility.shape[1]):
                found = "a volatility to rank, and the session has none, or the other way round"
        if found:
            raise DataError(f"these bars do not belong to the session: they have {found}", code="LIVE_FRAME")

    def sort(
        self, bars: Bars, stepped: Callable[[int], Bars | None]
    ) -> tuple[list[Bars], list[tuple[int, Refused | Gap]]]:
        """Return the rows to step, each as bars of one row, and what to note.

        Parameters
        ----------
        bars
            What came, checked.
        stepped
            Returns the bar of that time which was stepped, or None.

        Returns
        -------
        rows : list of Bars
        notes : list of (int, Refused or Gap)
            With the number of rows, of those returned, that come before the note.
        """
        rows: list[Bars] = []
        notes: list[tuple[int, Refused | Gap]] = []
        for t in range(len(bars)):
            row = bars if len(bars) == 1 else bars[t : t + 1]
            ts = int(row.ts[0])
            if ts <= self.ts:
                old = next((one for one in rows if int(one.ts[0]) == ts), None) or stepped(ts)
                if old is None:
                    notes.append((len(rows), Refused("late", row)))
                else:
                    notes.append(
                        (len(rows), Refused("duplicate" if same_market(old, row) else "revised", row))
                    )
                continue
            gap = self._gap(row)
            if gap is not None:
                notes.append((len(rows), gap))
            rows.append(self._numbered(row, bars, t))
        return rows, notes

    def seen(self, row: Bars) -> None:
        """Take a bar of one row, numbered, for the last one."""
        self.ts, self.session, self.number = int(row.ts[0]), int(row.session[0]), int(row.session_no[0])
        self.close_ts = self.ts if row.daily else int(row.close_ts[0])
        for action in row.actions[row.actions["kind"] == codes.ACTION_EARNINGS]:
            self.announced.add((int(action["sym"]), float(action["value"])))

    def _numbered(self, row: Bars, bars: Bars, t: int) -> Bars:
        number = int(row.session_no[0]) if self.ts == _NOTHING else self.number
        if self.ts != _NOTHING and int(row.session[0]) != self.session:
            number += 1
        parts: dict[str, Any] = {}
        if number != row.session_no[0]:
            parts["session_no"] = np.array([number], np.int64)
        if len(row.actions):
            first, last = np.searchsorted(bars.actions["row"], [t, t + 1])
            actions = bars.actions[first:last].copy()
            actions["row"] = 0
            if t == 0 and self.announced:
                # the first bar of a slice says again what was announced before it
                known = [
                    one["kind"] == codes.ACTION_EARNINGS
                    and (int(one["sym"]), float(one["value"])) in self.announced
                    for one in actions
                ]
                actions = actions[~np.array(known, bool)]
            parts["actions"] = actions
        made = row.replaced(**parts) if parts else row
        self.seen(made)
        return made

    def _gap(self, row: Bars) -> Gap | None:
        if self.ts == _NOTHING:
            return None
        days = int(row.session[0]) - self.session
        missing = 0
        if self.spacing > 1.5:
            missing = int(days >= 2 * self.spacing)
        elif 1 < days <= _LONGEST and self._weekday_between(row):
            missing = calendar_sessions(row.calendar, self.session + 1, int(row.session[0]) - 1).size
        elif days > _LONGEST:
            missing = days * 5 // 7  # about: nobody counts the holidays of a year
        hole = not missing and not row.daily and days == 0 and int(row.open_ts[0]) > self.close_ts
        # between ticks, which last no longer than their time is exact, nothing is missing
        hole = hole and self.close_ts - self.ts > _TICK
        return Gap(self.ts, int(row.ts[0]), missing) if missing or hole else None

    def _weekday_between(self, row: Bars) -> bool:
        # A weekend needs no calendar, which takes half a second to load.
        if row.calendar == ALWAYS:
            return True
        first, last = (np.datetime64(day, "D") for day in (self.session + 1, int(row.session[0])))
        return bool(np.busday_count(first, last))

    def copy(self) -> Intake:
        """Return one that goes its own way."""
        return replace(self, announced=set(self.announced))
