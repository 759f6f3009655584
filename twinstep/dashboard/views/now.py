"""How things stand, and what waits for a person; both change by themselves."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue
from simulator.errors import TwinstepError
from twinstep.account_lines import FactLines, stored_fact
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading import Now, Reader

__all__ = ["pages"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the pages "now" and "review queue", their fragments, and the state in the head of every page."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/")
    def now() -> Any:
        return draw("now.html.j2", {"page": "/", **_seen(reader)})

    @found.get("/now")
    def now_fragment() -> Any:
        return draw("now_live.html.j2", _seen(reader))

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


def _seen(reader: Reader) -> dict[str, Any]:
    now = reader.now()
    return {"now": now, "known": _known(reader, now)}


def _known(reader: Reader, now: Now) -> _Known:
    if now.view.account is None:
        return _Known(None)
    try:
        return _Known(stored_fact(reader.journal, now.view.account.session))
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        return _Known(None, f"What the broker has cannot be read: {error}")


def _waiting(reader: Reader) -> dict[str, Any]:
    """Return what waits, with the price of each when it was laid before a person, and the broker's name."""
    now = reader.now()
    fact = _known(reader, now).fact
    prices: dict[str, float | None] = {}
    try:
        queue = ReviewQueue(reader.reviews, KillSwitch(reader.folder, arm_fresh=False))
        if now.view.requests:
            prices = {one.request_id: one.price for one in queue.pending()}
    except (TwinstepError, OSError):
        prices = {}
    # a session knows its broker by a word of its own
    where = {
        one.request_id: f"{fact.broker} {fact.account}" if fact and one.broker == _OWN_WORD else one.broker
        for one in now.view.requests
    }
    return {"now": now, "prices": prices, "where": where}


_OWN_WORD = "broker"
