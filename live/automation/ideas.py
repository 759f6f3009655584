"""A trade idea of an automation: a signal, what was answered to it, and what became of it.

An idea is stored with its recommendation in the journal, as JSON in the column `details`, so that signals
that wait, requests before a person, and refusals survive a restart, and so that what people decided can be
studied later. The keys:

    automation     name of the session
    signal         the signal, every field
    since          bars of the session before it came
    verdict        the last answer of the risk manager: asked, granted, reason, rule, value, limit
    planned        shares that it would get, while it waits
    refusal        why it was refused, in words
    ended_by       "risk", "halt", "review", "broker", "time" or "person", where it ended without a trade
    review         the request before a person: request_id, state, decided_by, note, created_at, decided_at,
                   expires_at, price, quantity; null where nobody was asked
    order          the entry order that carried it out; client_order_id
    bracket        the orders as they stand, see `live.automation.orders`
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from journal.records import Recommendation
from journal.values import from_nanoseconds
from live.review_queue import ReviewRequest
from simulator.orders import BracketOrder
from simulator.portfolio_risk_manager import Verdict
from simulator.types import Reason, SignalStrength, TradingSignal

__all__ = ["EndedBy", "Idea", "details_of", "plain_review"]

EndedBy = Literal["risk", "halt", "review", "broker", "time", "person"]


@dataclass(slots=True, kw_only=True)
class Idea:
    """One signal and its life; see the module's docstring.

    Attributes
    ----------
    recommendation
        Its number in the journal; 0 before it has one.
    expires
        Until when it may be executed.
    bracket
        What it would get, while it waits; None once it ended or was executed.
    """

    signal: TradingSignal
    verdict: Verdict
    since: int
    expires: datetime
    recommendation: int = 0
    bracket: BracketOrder | None = None
    refusal: str | None = None
    ended_by: EndedBy | None = None
    review: dict[str, Any] | None = None
    order: str | None = None
    client_order_id: str | None = None

    @property
    def waits(self) -> bool:
        """Whether it may be executed."""
        return self.bracket is not None

    @property
    def request_id(self) -> str | None:
        """The request that waits for a person."""
        return None if self.bracket is None else self.bracket.request_id

    def plain(self, session: str, bracket: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return it as values that JSON can hold; `bracket` is what its orders are."""
        notes = [self.signal.notes] if self.signal.notes else []
        return {
            "automation": session,
            "notes": notes,
            "signal": _plain_signal(self.signal),
            "since": self.since,
            "verdict": _plain_verdict(self.verdict),
            "planned": None if self.bracket is None else self.bracket.quantity,
            "refusal": self.refusal,
            "ended_by": self.ended_by,
            "review": self.review,
            "order": self.order,
            "client_order_id": self.client_order_id,
            "bracket": bracket,
        }

    @classmethod
    def of(cls, details: Mapping[str, Any], stored: Recommendation) -> Idea:
        """Rebuild it, its bracket aside, which the desk plans anew."""
        return cls(
            signal=_signal(details["signal"]),
            verdict=_verdict(details["verdict"]),
            since=int(details["since"]),
            expires=from_nanoseconds(stored.expires_ts or stored.created_ts),
            recommendation=stored.id,
            refusal=details["refusal"],
            ended_by=details["ended_by"],
            review=details["review"],
            order=details["order"],
            client_order_id=details["client_order_id"],
        )


def details_of(stored: Recommendation, session: str) -> dict[str, Any] | None:
    """Return what a session stored with a recommendation; None where it is not one of its own."""
    details = json.loads(stored.details) if stored.details else {}
    return details if isinstance(details, dict) and details.get("automation") == session else None


def plain_review(request: ReviewRequest) -> dict[str, Any]:
    """Return what there is to know later of a request and its decision."""
    return {
        "request_id": request.request_id,
        "state": request.state,
        "decided_by": request.decided_by,
        "note": request.note,
        "created_at": request.created_at.isoformat(),
        "expires_at": request.expires_at.isoformat(),
        "decided_at": None if request.decided_at is None else request.decided_at.isoformat(),
        "price": request.price,
        "quantity": abs(request.order.legs[0].quantity),
    }


def _plain_signal(signal: TradingSignal) -> dict[str, Any]:
    return {
        **{name: _known(value) for name, value in asdict(signal).items()},
        "strength": int(signal.strength),
        "created_at": signal.created_at.isoformat(),
    }


def _signal(plain: Mapping[str, Any]) -> TradingSignal:
    numbers = ("stop_loss", "target_price", "risk_amount", "reward_amount", "risk_reward_ratio")
    return TradingSignal(
        **{
            **plain,
            **{name: math.nan for name in numbers if plain[name] is None},
            "strength": SignalStrength(plain["strength"]),
            "created_at": datetime.fromisoformat(plain["created_at"]),
        }
    )


def _plain_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        **{name: _known(value) for name, value in asdict(verdict).items()},
        "reason": int(verdict.reason),
        "rule": int(verdict.rule),
    }


def _verdict(plain: Mapping[str, Any]) -> Verdict:
    numbers = ("value", "limit", "asked", "granted")
    return Verdict(
        **{
            **plain,
            **{name: math.nan for name in numbers if plain[name] is None},
            "reason": Reason(plain["reason"]),
            "rule": Reason(plain["rule"]),
            "absent": tuple(plain["absent"]),
        }
    )


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
