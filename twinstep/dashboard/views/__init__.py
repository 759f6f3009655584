"""The pages, one module each: `pages(reader, draw)` returns what answers at its addresses."""

from __future__ import annotations

from typing import Final

from twinstep.dashboard.views import journal, learning, now, options, performance, runs, system

__all__ = ["VIEWS"]

VIEWS: Final = (now, journal, performance, runs, learning, options, system)
"""In the order of the menu."""
