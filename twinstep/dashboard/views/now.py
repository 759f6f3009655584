"""How things stand, and what waits for a person; both change by themselves."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading import Reader

__all__ = ["pages"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the pages "now" and "review queue", their fragments, and the state in the head of every page."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/")
    def now() -> Any:
        return draw("now.html.j2", {"page": "/", "now": reader.now()})

    @found.get("/now")
    def now_fragment() -> Any:
        return draw("now_live.html.j2", {"now": reader.now()})

    @found.get("/state")
    def state() -> Any:
        return draw("state.html.j2", {"now": reader.now()})

    @found.get("/queue")
    def queue() -> Any:
        return draw("queue.html.j2", {"page": "/queue", "now": reader.now()})

    @found.get("/queue/live")
    def queue_fragment() -> Any:
        return draw("queue_live.html.j2", {"now": reader.now()})

    return found
