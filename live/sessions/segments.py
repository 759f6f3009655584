"""From one part of a session to the next: other rules, or more symbols, and the same account.

A replay that comes to a bar from which on rules or symbols were others has to go on as the session did.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from live.sessions.account import Account, Rules
from live.sessions.frames import decode_frame, widened
from live.sessions.recording import decode_piece

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.sessions.store import Segment, SessionStore, StoredSession
    from simulator.bars import Bars

__all__ = ["handed_on"]


def handed_on(
    store: SessionStore,
    connection: Connection,
    session: StoredSession,
    account: Account,
    segment: Segment,
    like: Bars,
) -> Account:
    """Return the account that goes on from the first bar of a segment, a copy.

    Parameters
    ----------
    account
        As it was after the bar before.
    like
        The segment's frame, decoded.
    """
    rules = Rules.of(segment.configuration)
    if rules.plain() == account.rules.plain():
        return account.grown(like)
    # other limits may look further back than what was kept, so everything is looked back on
    further = Account(like, rules, state=account.grown(like).state)
    frames = {one.first: decode_frame(one.frame) for one in session.segments()}
    stored = itertools.islice(store.pieces(connection, session.id), segment.first)
    for bar, data in enumerate(stored):
        shared = frames[max(first for first in frames if first <= bar)]
        further.look_back(widened(decode_piece(data, shared).bars, like))
    return further
