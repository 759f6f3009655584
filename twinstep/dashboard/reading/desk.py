"""The session behind the page "now", beside its account: limits in use, and how old its feed is.

What judges risk is compiled code that takes most of a second to load, and more on a machine that has never
run it. So it is loaded in a thread of its own when somebody first asks; until then the page is shown without,
and pages are told when it is there.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twinstep.dashboard.reading.parts import part
from twinstep.dashboard.reading.reader import Now, Reader

if TYPE_CHECKING:
    from twinstep.dashboard.reading.feed import Feed
    from twinstep.dashboard.reading.limits import Gauge, Stored

__all__ = ["Desk", "DeskReader", "desks_of"]

_GUARD: Final = threading.Lock()
PATIENCE_SECONDS: Final = 0.05
"""How long a page waits for what is being loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is known of the session; None: not known, and a problem says why.

    Attributes
    ----------
    loading
        Whether it is not known yet, and will be in a moment.
    """

    gauges: tuple[Gauge, ...] | None = None
    feed: Feed | None = None
    problems: tuple[str, ...] = ()
    loading: bool = False


def desks_of(reader: Reader) -> DeskReader:
    """Return what reads the desk of a reader's session; always the same one."""
    with _GUARD:
        if reader.desks is None:
            reader.desks = DeskReader(reader)
        return reader.desks


class DeskReader:
    """Reads what needs the risk manager; loads it once.

    Parameters
    ----------
    reader
        Looks into the journal; its version changes when the loading is done.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ready, self._begun = threading.Event(), threading.Lock()
        self._loaded: threading.Thread | None = None

    def read(self, now: Now) -> Desk:
        """Return the desk of the session that is shown; empty without one."""
        if now.view.account is None:
            return Desk()
        if not self.load().wait(PATIENCE_SECONDS):
            return Desk(loading=True)
        return self._read(now)

    def load(self) -> threading.Event:
        """Begin to load, if nobody has; returns what is set when that is done."""
        with self._begun:
            if self._loaded is None:
                self._loaded = threading.Thread(
                    target=self._load, name="twinstep-dashboard-risk", daemon=True
                )
                self._loaded.start()
        return self._ready

    def _load(self) -> None:
        # nothing is lost where it fails: the same reading, asked again, says why
        with contextlib.suppress(Exception):
            now = self._reader.now()
            if now.view.account is not None:
                self._read(now)
        self._reader.loaded += 1
        self._ready.set()

    def _read(self, now: Now) -> Desk:
        from twinstep.dashboard.reading.feed import feed_of
        from twinstep.dashboard.reading.limits import read_gauges, read_stored

        account = now.view.account
        if account is None:
            return Desk()
        problems: list[str] = []
        name = self._reader.journal.name

        def stored() -> Stored | None:
            return read_stored(self._reader, account.session)

        found = part(problems, f"The limits of {name}", stored)
        if found is None:
            return Desk(problems=tuple(problems))
        return Desk(
            gauges=part(problems, f"The limits of {name}", lambda: read_gauges(found)),
            feed=part(problems, f"The feed of {name}", lambda: feed_of(found.last, now.came, now.looked)),
            problems=tuple(problems),
        )
