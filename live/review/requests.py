"""Review requests as values, and as the plain fields of their files.

A file is read with suspicion: another process, a full disk or an editor may have had it. Whatever does not
make a whole request with aware times, under the name that its file has, is damaged, and is said to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from live.brokers.interface import Leg, OrderRequest, Submitted
from simulator.errors import ConfigError, JournalError

__all__ = ["ReviewAnswer", "ReviewRequest", "ReviewState", "plain_request", "request_of"]

ReviewState = Literal["pending", "approved", "rejected", "expired", "refused", "void"]
_TIMES: Final = ("created_at", "expires_at", "decided_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """An order that waits for a person, or did.

    Attributes
    ----------
    price
        Of the first leg when the request was made, or the package's net price; None: nobody knew.
    note
        Why it was rejected, refused or void.
    outcome, outcome_code, broker_order
        What came of sending; "" until that is known.
    arming
        Identity of the arming of the kill switch under which it was made.
    """

    request_id: str
    order: OrderRequest
    broker: str
    created_at: datetime
    expires_at: datetime
    price: float | None
    arming: str
    state: ReviewState = "pending"
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""
    outcome: str = ""
    outcome_code: str = ""
    broker_order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewAnswer:
    """What came of a decision.

    Attributes
    ----------
    accepted
        Whether the decision holds; an approval that does not sends nothing.
    code
        "" where it holds, else LIVE_REVIEW_DECIDED, LIVE_REVIEW_EXPIRED, LIVE_REVIEW_KILLED,
        LIVE_REVIEW_DRIFT, LIVE_REVIEW_PRICE or LIVE_REVIEW_RISK.
    submitted
        What the broker said, once it was asked.
    """

    accepted: bool
    request: ReviewRequest
    code: str = ""
    message: str = ""
    submitted: Submitted | None = None


def plain_request(request: ReviewRequest) -> dict[str, Any]:
    """Return a request as values that JSON can hold."""
    fields = asdict(request)
    for name in _TIMES:
        fields[name] = None if fields[name] is None else fields[name].astimezone(UTC).isoformat()
    return fields


def request_of(name: str, fields: Mapping[str, Any]) -> ReviewRequest:
    """Return the request that `plain_request` wrote under this name.

    Raises
    ------
    JournalError
        LIVE_REVIEW_STORE for what is none.
    """
    try:
        order = dict(fields["order"])
        order["legs"] = tuple(Leg(**leg) for leg in order["legs"])
        times = {one: _time(fields[one]) for one in _TIMES if fields[one] is not None or one != "decided_at"}
        request = ReviewRequest(**{**fields, "order": OrderRequest(**order), **times})
        if request.request_id != name or request.state not in get_args(ReviewState):
            raise ValueError(f"it says {request.request_id!r} and {request.state!r}")
        if not isinstance(request.price, int | float | None):
            raise TypeError(f"its price is {request.price!r}")
    except (TypeError, ValueError, KeyError, AttributeError, ConfigError) as error:
        raise JournalError(
            f"the review file of {name} is damaged: {type(error).__name__}: {error}. Move it away; what it "
            "asked for is not sent",
            code="LIVE_REVIEW_STORE",
        ) from error
    return request


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found
