"""Open option positions with payoffs and Greeks, and what the last scan found; both change by themselves."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from twinstep.dashboard.charts.options import payoff_chart, rank_chart
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.options.open_positions import age, read_positions
from twinstep.dashboard.reading.options.scan import read_scan
from twinstep.dashboard.reading.reader import Now, Reader

__all__ = ["pages"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the page "options", and the fragment that changes by itself."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/options")
    def options(session: str = "") -> Any:
        return _of("options.html.j2", session)

    @found.get("/options/live")
    def options_fragment(session: str = "") -> Any:
        return _of("options_live.html.j2", session)

    def _of(template: str, session: str) -> Any:
        """Return the page of a session; "" is the reader's own."""
        now = reader.now(session)
        if now.unknown:
            return HTMLResponse(draw("session_unknown.html.j2", {"page": "/options", "now": now}), 404)
        return draw(template, {"page": "/options", "now": now, **_seen(reader, now)})

    return found


def _seen(reader: Reader, now: Now) -> dict[str, Any]:
    options, scan = read_positions(reader, now.looked, now.chosen), read_scan(reader, now.looked)
    return {
        "options": options,
        "scan": scan,
        "age": lambda ts: age(ts, now.looked),
        "journal": reader.journal.name,
        "charts": {one.key: payoff_chart(one) for one in options.positions},
        "ranks": rank_chart(options.positions, scan.candidates),
    }
