"""The desk at which signals are reviewed: when each is answered, what ends it before, and where it arrives.

What depends on the signals alone (their ATRs, their identities, which signal would close each) is worked out
once, and many seeds are reviewed over it. See `simulator.approval` for the rules.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.approval import DECISIONS, Approval, Delay, Reviewed, length_of
from simulator.approval_clock import NEVER, Clock, WorkingHours, trading_clock, trading_day
from simulator.bars.arrays import SECOND, Ints
from simulator.engine import DEFAULT_RISK, prepare
from simulator.kernel import codes
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Desk"]

Floats = npt.NDArray[np.float64]

_APPROVED, _VETOED, _EXPIRED, _DRIFTED, _WITHDRAWN, _WAITING, _UNASKED = range(len(DECISIONS))


class Desk:
    """Signals on their bars, with what a review needs of them whatever its seed."""

    def __init__(self, signals: Signals, bars: Bars) -> None:
        self.signals = signals
        self.bars = bars
        # with the ATR of their own bar, which stays theirs
        self.records = prepare(signals, bars, DEFAULT_RISK)
        self.identity = _identities(self.records, signals, bars)
        self.asks = self.records["side"] != 0
        self._closings = _next_closings(self.records)
        self._clocks: dict[Any, tuple[Clock, int]] = {}

    def review(self, approval: Approval) -> Reviewed:
        """Return what a person makes of them."""
        bars, records, n = self.bars, self.records, len(self.records)
        row = records["row"].astype(np.int64)
        clock, day = self._clock(approval.hours)
        draws = [_uniform(self.identity, approval.seed, stream) for stream in range(3)]
        waits = Delay.of(approval.delay).drawn(draws[0], draws[1], day)
        expiry = NEVER if approval.expiry is None else length_of(approval.expiry, day)
        answer = clock.after(bars.close_ts[row], np.where(waits == NEVER, NEVER, waits))
        reached = np.maximum(np.searchsorted(bars.close_ts, answer), row)
        late = self._expired_at(clock, row, expiry)
        reached = self._with_price(reached)

        decision = np.full(n, _APPROVED, np.int64)
        inside = reached < len(bars)
        place = np.minimum(reached, max(len(bars) - 1, 0))
        sym = records["sym"]
        before, now = bars.close[row, sym], bars.close[place, sym]
        drift = np.where(inside, (now / before - 1.0) * 100.0, np.nan)
        if approval.price_drift_pct is not None:
            decision[np.abs(drift) > approval.price_drift_pct] = _DRIFTED
        decision[draws[2] < approval.veto] = _VETOED
        over = (records["tif"] == codes.TIF_GTD) & (records["valid_until"] < bars.ts[place])
        if len(self.signals.packages):
            expires = self.signals.packages["expiry"][np.maximum(records["package"] - 1, 0)]
            over |= (records["package"] > 0) & (expires <= bars.session[place])
        decision[inside & over] = _EXPIRED
        decision[~inside] = _WAITING
        # what ends a request before its answer: the first of expiry and withdrawal
        expired = (waits >= expiry) | (late < reached)
        ended = np.where(expired, late, len(bars) + 1)
        gone = (reached > row) & (self._closings < np.minimum(reached + 1, ended))
        decision[expired & (late < len(bars))] = _EXPIRED
        decision[expired & (late >= len(bars))] = _WAITING
        decision[gone] = _WITHDRAWN
        decision[~self.asks] = _UNASKED
        reached = np.where(decision == _EXPIRED, np.minimum(late, reached), reached)
        reached = np.where(decision == _WITHDRAWN, self._closings, reached)
        reached = np.where(decision == _UNASKED, row, reached)
        reached = np.where(decision == _WAITING, -1, reached)
        kept = (decision == _APPROVED) | (decision == _UNASKED)
        return Reviewed(
            approval=approval,
            bars=bars,
            asked=records,
            signals=self._moved(kept, reached),
            decision=decision,
            reached=reached,
            delay=np.where(self.asks, np.where(waits == NEVER, np.inf, waits / SECOND), 0.0),
            drift=np.where(np.isin(decision, (_APPROVED, _DRIFTED)), drift, np.nan),
        )

    def _clock(self, hours: WorkingHours | None) -> tuple[Clock, int]:
        if hours not in self._clocks:
            if hours is None:
                self._clocks[hours] = trading_clock(self.bars), trading_day(self.bars)
            else:
                ends = self.bars.close_ts
                first, last = (int(ends[0]), int(ends[-1])) if len(ends) else (0, 0)
                self._clocks[hours] = hours.clock(first, last), hours.day
        return self._clocks[hours]

    def _expired_at(self, clock: Clock, row: Ints, expiry: int) -> Ints:
        # The bar at which a request that nobody answers is over; behind the bars where none is.
        if expiry == NEVER:
            return np.full(len(row), len(self.bars) + 1, np.int64)
        end = clock.after(self.bars.close_ts[row], np.full(len(row), expiry, np.int64))
        return np.searchsorted(self.bars.close_ts, end).astype(np.int64)

    def _with_price(self, reached: Ints) -> Ints:
        # Where the symbol has no bar, nobody knows its price: the request goes on waiting for one.
        known = np.isfinite(self.bars.close)
        found = reached.copy()
        for k in np.flatnonzero(reached < len(self.bars)):
            if not known[reached[k], self.records["sym"][k]]:
                later = np.flatnonzero(known[reached[k] :, self.records["sym"][k]])
                found[k] = reached[k] + later[0] if len(later) else len(self.bars)
        # a signal that was never to wait is judged where it stands, as without a review
        return np.where(reached == self.records["row"], reached, found)

    def _moved(self, kept: npt.NDArray[np.bool_], reached: Ints) -> Signals:
        records = self.records[kept]
        records["row"] = reached[kept]
        records["ts"] = self.bars.ts[records["row"]]
        # at one bar by priority, then by when they were asked for
        records = records[np.lexsort((-records["priority"], records["row"]))]
        given = self.signals
        moved = Signals(
            records, self.bars.symbols, tags=given.tags, strategies=given.strategies,
            sectors=(*self.bars.sector_names, *given.sectors), packages=given.packages, legs=given.legs,
        )  # fmt: skip
        moved._home = weakref.ref(self.bars)
        return moved


def _next_closings(records: npt.NDArray[np.void]) -> Ints:
    # Row of the next signal that would close what each opens; far behind the bars where none comes.
    found = np.full(len(records), NEVER, np.int64)
    following: dict[tuple[int, int], int] = {}
    for k in range(len(records) - 1, -1, -1):
        sym, strategy, row = (int(records[name][k]) for name in ("sym", "strategy", "row"))
        if records["side"][k] == 0:
            following[sym, strategy] = row
        else:
            found[k] = min(following.get((sym, strategy), NEVER), following.get((sym, 0), NEVER))
    return found


def _identities(records: npt.NDArray[np.void], signals: Signals, bars: Bars) -> npt.NDArray[np.uint64]:
    # What a signal is, as 64 bits; the second of two that are alike is another than the first.
    seen: Counter[tuple[Any, ...]] = Counter()
    names = ("sym", "ts", "side", "strategy", "tag", "entry")
    rows = zip(*(records[name].tolist() for name in names), strict=True)
    found = np.zeros(len(records), np.uint64)
    for k, (sym, ts, side, strategy, tag, entry) in enumerate(rows):
        what = (bars.symbols[sym], ts, side, signals.strategies[strategy], signals.tags[tag], entry)
        seen[what] += 1
        digest = hashlib.blake2b(repr((what, seen[what])).encode(), digest_size=8).digest()
        found[k] = int.from_bytes(digest, "little")
    return found


def _uniform(identity: npt.NDArray[np.uint64], seed: int, stream: int) -> Floats:
    # Numbers from 0 to 1 by identity, seed and stream: the finaliser of SplitMix64 over their mixture.
    text = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    mixed = identity ^ np.uint64(int.from_bytes(text, "little"))
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
