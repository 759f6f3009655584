"""How a person has answered so far, as an `Approval` to simulate with: delays, vetoes, expiry.

Every request of a review queue keeps when it was made, when it ended and how. Answers (approved, rejected, or
approved and refused by price or risk) say how long a person takes; requests that expired or were made void
say only that it would have taken longer than they were open, and count as that: one that expired was open
until it expired, however late somebody looked and stored so. The distribution of delays is the Kaplan-Meier
(1958) estimate, and what it leaves unanswered is the share that nobody answers. With too few answers there is
no estimate, and a sentence says how many more it takes.

>>> history = requests_of(queue)                                 # doctest: +SKIP
>>> estimate = estimate_approval(history)                        # doctest: +SKIP
>>> backtest(bars, strategy, approval=estimate.approval)         # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from journal import schema
from journal.database import Database
from journal.values import from_nanoseconds
from simulator.approval import Approval, Delay
from simulator.approval_clock import Clock, WorkingHours, trading_clock, trading_day
from simulator.bars.arrays import SECOND

if TYPE_CHECKING:
    from live.review_queue import ReviewQueue
    from live.session import HasDatabase
    from simulator.bars import Bars

__all__ = ["LEAST_ANSWERS", "Estimate", "PastRequest", "estimate_approval", "requests_in", "requests_of"]

Floats = npt.NDArray[np.float64]
_Time = TypeVar("_Time", int, datetime)

LEAST_ANSWERS: Final = 20
"""Answers below which nothing is estimated: a share of 20 is known to about 20 points either way."""
_ANSWERED: Final = ("approved", "rejected", "refused")
_SUPPORT: Final = 200  # values that stand for a distribution whose answers do not weigh the same
_NORMAL: Final = 1.959963984540054  # 97.5 % quantile


@dataclass(frozen=True, slots=True)
class PastRequest:
    """A request that has ended: when it was made, when it ended, until when it could be answered, and how.

    `state` is "approved", "rejected", "refused", "expired" or "void".
    """

    created: datetime
    ended: datetime
    expires: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """How a person answers.

    Attributes
    ----------
    approval
        None where there are too few answers.
    requests, answered, vetoed, unanswered
        Requests that have ended, and how.
    median_delay
        Of all requests, None where more than half were not answered.
    veto_low, veto_high
        95 % interval of the probability of a no (Wilson 1927).
    message
        The estimate in a sentence, or what is missing.
    """

    approval: Approval | None
    requests: int
    answered: int
    vetoed: int
    unanswered: int
    median_delay: timedelta | None
    veto_low: float
    veto_high: float
    message: str

    def __str__(self) -> str:
        """Return the message."""
        return self.message


def requests_of(queue: ReviewQueue) -> list[PastRequest]:
    """Return the requests of a queue that have ended; raises `JournalError` LIVE_REVIEW_STORE."""
    return [
        PastRequest(
            one.created_at,
            _ended(one.state, one.decided_at or one.expires_at, one.expires_at),
            one.expires_at,
            one.state,
        )
        for one in queue.all()
        if one.state != "pending"
    ]


def requests_in(journal: Database | HasDatabase) -> list[PastRequest]:
    """Return the requests that a journal has copies of: those of desks that are reconciled."""
    database = journal if isinstance(journal, Database) else journal.database
    table = schema.reviews.c
    query = select(table.state, table.created_ts, table.decided_ts, table.expires_ts).where(
        table.kind == "request", table.state != "pending", table.expires_ts.is_not(None)
    )
    with database.read() as connection:
        return [
            PastRequest(
                from_nanoseconds(row.created_ts),
                from_nanoseconds(_ended(row.state, row.decided_ts or row.expires_ts, row.expires_ts)),
                from_nanoseconds(row.expires_ts),
                row.state,
            )
            for row in connection.execute(query.order_by(table.created_ts, table.id))
        ]


def estimate_approval(
    history: Iterable[PastRequest],
    *,
    hours: WorkingHours | None = None,
    bars: Bars | None = None,
    price_drift_pct: float | None = None,
    seed: int = 0,
    least: int = LEAST_ANSWERS,
) -> Estimate:
    """Estimate how a person answers from requests that have ended.

    Parameters
    ----------
    history
        From `requests_of` or `requests_in`.
    hours
        Measure waits in working hours, and simulate so.
    bars
        Measure waits while these bars traded; without hours and bars, waits are plain time.
    price_drift_pct, seed
        Of the approval.
    least
        Answers below which nothing is estimated.
    """
    ended = [one for one in history if one.state in (*_ANSWERED, "expired", "void")]
    answered = [one for one in ended if one.state in _ANSWERED]
    vetoed = sum(one.state == "rejected" for one in answered)
    low, high = _wilson(vetoed, len(answered))
    counts = (len(ended), len(answered), vetoed, len(ended) - len(answered))
    if len(answered) < least:
        message = (
            f"{len(answered)} of {len(ended)} requests were answered; from {least} answers on there is an "
            f"estimate, so about {least - len(answered)} more are needed. Until then give delay, veto and "
            "expiry yourself."
        )
        return Estimate(None, *counts, None, low, high, message)
    clock, day = _clock(ended, hours, bars)
    waits = _waits(clock, [(one.created, _ended(one.state, one.ended, one.expires)) for one in ended])
    lives = _waits(clock, [(one.created, one.expires) for one in ended])
    known = np.array([one.state in _ANSWERED for one in ended])
    values, never = _distribution(waits, known)
    delay = Delay.empirical([_span(value, day) for value in values], never=never)
    approval = Approval(
        delay=delay,
        expiry=max(_span(float(np.median(lives)), day), timedelta(seconds=1)),
        veto=vetoed / len(answered),
        price_drift_pct=price_drift_pct,
        seed=seed,
        hours=hours,
    )
    middle = None
    if never < 0.5:
        middle = _span(float(np.quantile(values, 0.5 / (1.0 - never))), day)
    words = "more than half were not answered" if middle is None else f"half were answered within {middle}"
    message = (
        f"{len(answered)} of {len(ended)} requests were answered, {words}; {vetoed / len(answered):.0%} of "
        f"the answers were no ({low:.0%} to {high:.0%}), {never:.0%} of requests get no answer."
    )
    return Estimate(approval, *counts, middle, low, high, message)


def _ended(state: str, decided: _Time, expires: _Time) -> _Time:
    """Return when a request was open no more; nobody could answer what had expired."""
    if state == "expired":
        return expires
    return min(decided, expires) if state == "void" else decided


def _clock(
    ended: Sequence[PastRequest], hours: WorkingHours | None, bars: Bars | None
) -> tuple[Clock | None, int | None]:
    if hours is not None:
        first = min(_ns(one.created) for one in ended)
        last = max(_ns(one.expires) for one in ended)
        return hours.clock(first, last), hours.day
    if bars is not None:
        return trading_clock(bars), trading_day(bars)
    return None, None


def _waits(clock: Clock | None, spans: Sequence[tuple[datetime, datetime]]) -> Floats:
    """Return lengths in seconds on a clock, or of plain time."""
    begun, over = (np.array([_ns(span[end]) for span in spans], np.int64) for end in (0, 1))
    passed = over - begun if clock is None else clock.elapsed(over) - clock.elapsed(begun)
    waited: Floats = np.maximum(passed, 0) / SECOND
    return waited


def _distribution(waits: Floats, known: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """Return values that are equally likely, and the share that is never answered: Kaplan-Meier."""
    answers = np.sort(waits[known])
    others = waits[~known]
    if not len(others) or others.min() >= answers[-1]:
        # nobody's waiting was cut short before the last answer: all answers weigh the same
        return answers, len(others) / len(waits)
    # at equal times an answer comes before the end of another's waiting
    order = np.lexsort((~known, waits))
    at_risk = len(waits) - np.arange(len(waits))
    left = np.cumprod(np.where(known[order], 1.0 - 1.0 / at_risk, 1.0))
    never = float(left[-1])
    answered = 1.0 - left[known[order]]
    goal = (np.arange(_SUPPORT) + 0.5) / _SUPPORT * (1.0 - never)
    place = np.searchsorted(answered, goal - 1e-12)
    values: Floats = waits[order][known[order]][np.minimum(place, len(answered) - 1)]
    return values, never


def _span(seconds: float, day: int | None) -> timedelta:
    """Return a length; of a clock with days, whole days of it and the rest, as approvals are written."""
    if day is None:
        return timedelta(seconds=seconds)
    days = int(seconds * SECOND // day)
    return timedelta(days=days, seconds=seconds - days * day / SECOND)


def _wilson(count: int, n: int) -> tuple[float, float]:
    if not n:
        return 0.0, 1.0
    share, z = count / n, _NORMAL
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1_000
