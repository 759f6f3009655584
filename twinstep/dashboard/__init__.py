"""The dashboard: pages on this machine that show the whole loop, and what a person does from them.

`server` listens, `guard` decides who may speak at all, `login` opens it once per link, `app` says which page
answers what, `reading` looks into the journal without writing, `acting` does what a person asked. Nothing
here trades: the kill switch is a file, and everything else is laid before the process that holds the journal,
which judges it again.
"""

from __future__ import annotations

from twinstep.dashboard.server import Dashboard

__all__ = ["Dashboard"]
