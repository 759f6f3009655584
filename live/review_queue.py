"""The manual review queue: an order waits for a person, and is judged again when the person says yes.

A request is stored before it is shown, and every decision before it is acted on. It ends once: approved,
rejected, expired, refused (the price has moved too far, or the risk manager no longer admits it), or void by
a kill. Whoever decides a second time is told what was decided, and nothing is sent. A kill makes every older
request void, also where somebody has armed again since.

Approving is not sending: `approve` stores the approval, the broker manager sends, `finish` stores what came
of it. What a crash leaves between the two is in `unfinished`, and is looked up at the broker, never resent.

A damaged file is left where it is, for a person: whoever lists passes it over, a warning names it once,
and whoever decides on it gets an error. So one bad file keeps nobody from trading, and no kill from the rest.

>>> queue = ReviewQueue("reviews", switch)                       # doctest: +SKIP
>>> request = queue.add(order, broker="paper", price=150.0)      # doctest: +SKIP
>>> queue.approve(request.request_id, "ada").accepted            # doctest: +SKIP
True
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from live.brokers.interface import OrderRequest, Submitted
from live.kill_switch import KillSwitch
from live.people import check_name
from live.review.files import RequestFiles
from live.review.requests import ReviewAnswer, ReviewRequest, ReviewState, plain_request, request_of
from live.submit_gate import may_pass
from simulator.errors import ConfigError, JournalError, UnknownNameError, warn

__all__ = ["ReviewAnswer", "ReviewQueue", "ReviewRequest", "ReviewState"]

LIFETIME: Final = timedelta(minutes=15)
MAX_DRIFT_PCT: Final = 1.0
"""How far the price may move between request and approval, percent of the price at the request."""


class ReviewQueue:
    """The requests of one session.

    Parameters
    ----------
    folder
        Made when it is needed.
    switch
        The kill switch; while it does not let an order pass, nobody can approve it.
    clock
        Aware.
    lifetime
        How long a request can be approved.
    max_drift_pct
        How far the price of an entry may have moved at approval, percent; None: as far as it likes.
    price
        Gives the price now, comparable with that of the request; None where it is unknown.
    judge
        Asks the risk manager anew: None where it admits the order as it is, else why not.

    Attributes
    ----------
    damaged
        What the last look could not read, by request: why, in words.

    Raises
    ------
    ConfigError
        LIVE_REVIEW_CONFIG for a lifetime or drift that is not above 0.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        switch: KillSwitch,
        *,
        clock: Callable[[], datetime] | None = None,
        lifetime: timedelta = LIFETIME,
        max_drift_pct: float | None = MAX_DRIFT_PCT,
        price: Callable[[OrderRequest], float | None] | None = None,
        judge: Callable[[OrderRequest], str | None] | None = None,
    ) -> None:
        if lifetime <= timedelta(0) or (max_drift_pct is not None and not max_drift_pct > 0):
            raise ConfigError(
                f"a review queue has lifetime {lifetime} and max_drift_pct {max_drift_pct}; both are above 0",
                code="LIVE_REVIEW_CONFIG",
            )
        self.switch = switch
        self.lifetime = lifetime
        self.max_drift_pct = max_drift_pct
        self.damaged: dict[str, str] = {}
        self._named: set[str] = set()
        self._files = RequestFiles(Path(folder))
        self._clock = clock or _now
        self._price = price
        self._judge = judge

    def add(self, order: OrderRequest, *, broker: str, price: float | None = None) -> ReviewRequest:
        """Store an order as a request; the same client order id again returns the request that there is.

        Raises
        ------
        JournalError
            LIVE_REVIEW_STORE where it cannot be stored; then nobody is shown it.
        """
        name = "R-" + hashlib.sha256(order.client_order_id.encode()).hexdigest()[:16]
        with self._files.locked():
            there = self._read(name)
            if there is not None:
                return there
            now = self._clock()
            known = price is not None and math.isfinite(price)
            request = ReviewRequest(
                request_id=name,
                order=order,
                broker=broker,
                created_at=now,
                expires_at=now + self.lifetime,
                price=price if known else None,
                arming=self.switch.arming,
            )
            self._write(request)
        return request

    def pending(self) -> list[ReviewRequest]:
        """Return what waits, oldest first; what has expired meanwhile is stored as such."""
        with self._files.locked():
            waiting = [found for found in self._all() if found.state == "pending"]
            now = self._clock()
            for late in [found for found in waiting if now >= found.expires_at]:
                self._end(late, "expired", "", "nobody decided in time")
        self._name_damaged()
        return [found for found in waiting if now < found.expires_at]

    def get(self, request_id: str) -> ReviewRequest:
        """Return a request.

        Raises
        ------
        UnknownNameError
            NAME_REQUEST where there is none.
        JournalError
            LIVE_REVIEW_STORE where it cannot be read.
        """
        found = self._read(request_id)
        if found is None:
            raise UnknownNameError(
                f"no review request {request_id!r}; get_pending_requests() lists those that wait",
                code="NAME_REQUEST",
            )
        return found

    def look(self, request_id: str) -> ReviewRequest | None:
        """Return a request, None where its file is gone or damaged; the latter is named once."""
        found = self._readable(request_id)
        self._name_damaged()
        return found

    def unfinished(self) -> list[ReviewRequest]:
        """Return what was approved and whose outcome is not known: sent or not, a crash came in between."""
        return [found for found in self.all() if found.state == "approved" and not found.outcome]

    def approve(self, request_id: str, approved_by: str) -> ReviewAnswer:
        """Judge a request anew and store the approval; the caller sends where it is `accepted`.

        Raises
        ------
        ConfigError
            LIVE_REVIEW_NAME for an approval in nobody's name.
        UnknownNameError
            NAME_REQUEST.
        JournalError
            LIVE_REVIEW_STORE where the approval cannot be stored; nothing is sent then.
        """
        check_name(approved_by)
        with self._files.locked():
            request = self.get(request_id)
            ended = self._ended(request) or self._stale(request)
            if ended is not None:
                return ended
            code, message = self._objection(request)
            if code == "LIVE_REVIEW_PRICE":
                # the price may be known in a moment, so the request goes on waiting
                return ReviewAnswer(accepted=False, request=request, code=code, message=message)
            if code:
                request = self._end(request, "refused", approved_by, message)
                return ReviewAnswer(accepted=False, request=request, code=code, message=message)
            request = self._end(request, "approved", approved_by, "")
        return ReviewAnswer(accepted=True, request=request)

    def reject(self, request_id: str, reason: str, *, rejected_by: str = "") -> ReviewAnswer:
        """Store that a request is not wanted; a request that has ended stays as it is.

        Raises
        ------
        ConfigError
            LIVE_REVIEW_REASON for a rejection without a reason.
        UnknownNameError, JournalError
            As `approve`.
        """
        if not reason.strip():
            raise ConfigError(
                f"the rejection of {request_id} needs a reason: it is what is learned from",
                code="LIVE_REVIEW_REASON",
            )
        with self._files.locked():
            request = self.get(request_id)
            ended = self._ended(request)
            if ended is not None:
                return ended
            request = self._end(request, "rejected", rejected_by, reason)
        return ReviewAnswer(accepted=True, request=request)

    def void_all(self, reason: str) -> int:
        """End everything that waits, as a kill does; returns how many.

        Raises
        ------
        JournalError
            LIVE_REVIEW_STORE where one of them cannot be stored, after all the others were ended.
        """
        failed: list[JournalError] = []
        with self._files.locked():
            waiting = [found for found in self._all() if found.state == "pending"]
            for request in waiting:
                try:
                    self._end(request, "void", "", reason)
                except JournalError as error:
                    failed.append(error)
        self._name_damaged()
        if failed:
            raise failed[0]
        return len(waiting)

    def finish(self, request_id: str, submitted: Submitted) -> ReviewRequest:
        """Store what came of sending an approved request; a later answer replaces an unresolved one."""
        with self._files.locked():
            request = replace(
                self.get(request_id),
                outcome=submitted.outcome.value,
                outcome_code=submitted.code,
                broker_order="" if submitted.order is None else submitted.order.order_id,
            )
            self._write(request)
        return request

    def _ended(self, request: ReviewRequest) -> ReviewAnswer | None:
        """Return the answer to whoever decides on what has ended, None for what waits."""
        if request.state == "pending":
            return None
        when = "" if request.decided_at is None else f" at {request.decided_at.isoformat()}"
        who = f" by {request.decided_by}" if request.decided_by else ""
        words = f"request {request.request_id} was {request.state}{who}{when}"
        if request.state == "approved":
            words += f"; its order {request.order.client_order_id} is {request.outcome or 'being sent'}"
        elif request.note:
            words += f": {request.note}"
        code = "LIVE_REVIEW_DECIDED"
        if request.state == "expired":
            code = "LIVE_REVIEW_EXPIRED"
        elif request.state == "void":
            code = "LIVE_REVIEW_KILLED"
        return ReviewAnswer(accepted=False, request=request, code=code, message=words)

    def _stale(self, request: ReviewRequest) -> ReviewAnswer | None:
        """End a request that is too late, or that a kill made void, and return the answer."""
        if self._clock() >= request.expires_at:
            note = f"it could be approved until {request.expires_at.isoformat()}"
            return self._ended(self._end(request, "expired", "", note))
        state = self.switch.state
        if not may_pass(state, request.order.purpose):
            note = f"the kill switch is {state}: {self.switch.status['why']}"
            return self._ended(self._end(request, "void", "", note))
        if self.switch.arming != request.arming and request.order.purpose == "entry":
            note = "the kill switch was engaged after the request was made, and armed again"
            return self._ended(self._end(request, "void", "", note))
        return None

    def _objection(self, request: ReviewRequest) -> tuple[str, str]:
        """Return code and words of what speaks against an order now, two empty texts for nothing."""
        code, message = "", ""
        order = request.order
        if order.purpose == "entry" and self.max_drift_pct is not None and self._price is not None:
            now = _asked(self._price, order)
            if request.price is None or not isinstance(now, (int, float)) or not math.isfinite(now):
                code = "LIVE_REVIEW_PRICE"
                return code, f"the price of {order.symbol} is unknown, so nobody can say how far it has moved"
            drift = abs(now - request.price) / max(abs(request.price), 1e-9) * 100.0
            if drift > self.max_drift_pct:
                code = "LIVE_REVIEW_DRIFT"
                return code, (
                    f"{order.symbol} went from {request.price:g} to {now:g}, {drift:.2f} %; the limit is "
                    f"{self.max_drift_pct:g} %"
                )
        why = None if self._judge is None else _asked(self._judge, order)
        if why is not None:
            code, message = "LIVE_REVIEW_RISK", f"the risk manager no longer admits it: {why}"
        return code, message

    def _end(self, request: ReviewRequest, state: ReviewState, by: str, note: str) -> ReviewRequest:
        ended = replace(request, state=state, decided_by=by, decided_at=self._clock(), note=note)
        self._write(ended)
        return ended

    def all(self) -> Sequence[ReviewRequest]:
        """Return every request that there ever was, oldest first: also what `live.review.history` reads."""
        found = self._all()
        self._name_damaged()
        return found

    def _all(self) -> list[ReviewRequest]:
        names = self._files.names()
        self.damaged = {name: why for name, why in self.damaged.items() if name in names}
        found = [request for name in names if (request := self._readable(name)) is not None]
        return sorted(found, key=lambda request: (request.created_at, request.request_id))

    def _write(self, request: ReviewRequest) -> None:
        self._files.write(request.request_id, plain_request(request))

    def _read(self, name: str) -> ReviewRequest | None:
        fields = self._files.read(name)
        return None if fields is None else request_of(name, fields)

    def _readable(self, name: str) -> ReviewRequest | None:
        self.damaged.pop(name, None)
        try:
            return self._read(name)
        except JournalError as error:
            self.damaged[name] = str(error.args[0])
            return None

    def _name_damaged(self) -> None:
        """Name what is damaged, once; after the work, because warnings may have been made errors."""
        new = self.damaged.keys() - self._named
        self._named = set(self.damaged)
        for name in sorted(new):
            warn(
                f"review request {name} is passed over, and its file kept: {self.damaged[name]}",
                code="LIVE_REVIEW_DAMAGED",
            )


def _asked(ask: Callable[[OrderRequest], Any], order: OrderRequest) -> Any:
    """Return an answer, or the words of the error in its place: neither a price nor an admission."""
    try:
        return ask(order)
    except Exception as error:  # of somebody else's feed or risk manager; all of them mean: no answer
        return f"it could not be asked ({type(error).__name__}: {error})"


def _now() -> datetime:
    return datetime.now(UTC)
