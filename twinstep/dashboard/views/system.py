"""How the machine stands: sessions, what happened, who halted and armed, and what waits."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.system import read_system

__all__ = ["pages"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the page "system", and the fragment that changes by itself."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/system")
    def system() -> Any:
        return draw("system.html.j2", {"page": "/system", "now": reader.now(), "system": read_system(reader)})

    @found.get("/system/live")
    def system_fragment() -> Any:
        return draw("system_live.html.j2", {"system": read_system(reader)})

    return found
