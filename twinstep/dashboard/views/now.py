"""How things stand, and what waits for a person; both change by themselves."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.desk import desks_of
from twinstep.dashboard.reading.files import approver
from twinstep.dashboard.reading.queue import read_queue
from twinstep.dashboard.reading.reader import Now, Reader
from twinstep.dashboard.reading.verdicts import why_of
from twinstep.fact_lines import FactLines, stored_fact

__all__ = ["pages"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the pages "now" and "review queue", their fragments, and the state in the head of every page."""
    found, desks = APIRouter(default_response_class=HTMLResponse), desks_of(reader)

    @found.get("/")
    def now(session: str = "") -> Any:
        return _of("now.html.j2", session)

    @found.get("/now")
    def now_fragment(session: str = "") -> Any:
        return _of("now_live.html.j2", session)

    def _of(template: str, session: str) -> Any:
        """Return the page of a session; "" is the reader's own."""
        seen = reader.now(session)
        if seen.unknown:
            return HTMLResponse(draw("session_unknown.html.j2", {"page": "/", "now": seen}), 404)
        values = {"now": seen, "known": _known(reader, seen), "desk": desks.read(seen)}
        return draw(template, {"page": "/", **values, "why_of": why_of})

    @found.get("/state")
    def state() -> Any:
        return draw("state.html.j2", {"now": reader.now()})

    @found.get("/queue")
    def queue() -> Any:
        return draw("queue.html.j2", {"page": "/queue", **_waiting(reader)})

    @found.get("/queue/live")
    def queue_fragment() -> Any:
        return draw("queue_live.html.j2", _waiting(reader))

    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the account at the broker: None and a reason where it is not."""

    fact: FactLines | None
    why: str = ""


def _known(reader: Reader, now: Now) -> _Known:
    if now.view.account is None:
        return _Known(None)
    try:
        return _Known(stored_fact(reader.journal, now.view.account.session))
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        return _Known(None, f"What the broker has cannot be read: {error}")


def _waiting(reader: Reader) -> dict[str, Any]:
    """Return what waits, what is known of each, who has approved it, and the broker's name."""
    now = reader.now()
    fact = _known(reader, now).fact
    # a session knows its broker by a word of its own
    where = {
        one.request_id: f"{fact.broker} {fact.account}" if fact and one.broker == _OWN_WORD else one.broker
        for one in now.view.requests
    }
    return {
        "now": now,
        "queue": read_queue(reader, now, fact),
        "where": where,
        "approved": {name: approver(reader.reviews, name) for name in now.decided},
        "why_of": why_of,
        "plan": bool(fact),
    }


_OWN_WORD = "broker"
