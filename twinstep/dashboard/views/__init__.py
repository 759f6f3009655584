"""The pages, one module each: `pages(reader, draw)` returns what answers at its addresses."""

from __future__ import annotations

from typing import Final

from twinstep.dashboard.views import now

__all__ = ["VIEWS"]

VIEWS: Final = (now,)
"""In the order of the menu."""
