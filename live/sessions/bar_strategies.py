"""Strategies that are called bar by bar, live: asked by the same step, and what they remember.

`on_bar` is called with the account as it is once a bar is matched and marked, and before anything of that
bar's signals is judged; so the bar is stepped on a copy first, without signals, and the copy is what the
strategy sees. What it orders is recorded as signals of the bar.

A strategy may keep things in itself, which no journal knows. So a session calls copies of what it was given;
after a restart, or when a bar could not be stored, a fresh copy is called for all recorded bars again, its
orders ignored, and remembers what it would have remembered.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from live.sessions.account import Account, Rules
from live.sessions.frames import decode_frame
from live.sessions.history import History
from live.sessions.recording import Piece, decode_piece
from live.sessions.segments import handed_on
from simulator.context import Context
from simulator.errors import StrategyError
from simulator.kernel.state import State
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.sessions.store import SessionStore, StoredSession
    from simulator.bars import Bars

__all__ = ["BarStrategies", "callers_among", "is_called_by_bar", "matched"]


def is_called_by_bar(strategy: Any) -> bool:
    """Whether a strategy is called bar by bar, and not asked for signals."""
    return hasattr(strategy, "on_bar") and not hasattr(strategy, "signals")


def callers_among(strategies: Sequence[Any]) -> BarStrategies | None:
    """Return those of a session's strategies that are called bar by bar; None where there is none."""
    called = [one for one in strategies if is_called_by_bar(one)]
    return BarStrategies(called, named=len(strategies) > 1) if called else None


class BarStrategies:
    """The strategies of a session that are called bar by bar.

    Parameters
    ----------
    strategies
        With `on_bar(context)`; they are copied, and never called themselves.
    named
        Whether their signals carry their names, as those of several strategies do.

    Raises
    ------
    StrategyError
        LIVE_ON_BAR for one that cannot be called or copied.
    """

    def __init__(self, strategies: Sequence[Any], *, named: bool) -> None:
        self.stale = True
        self._named = named
        for one in strategies:
            if not callable(getattr(one, "on_bar", None)):
                raise StrategyError(f"on_bar of {_name(one)!r} cannot be called", code="LIVE_ON_BAR")
        self._first = [_copied(one) for one in strategies]
        self._called: list[Any] = []

    def orders(self, bars: Bars, number: int, state: State) -> list[Signals]:
        """Return what the strategies order at the close of the last of `bars`.

        Parameters
        ----------
        bars
            As many as the session shows its strategies, the newest last.
        number
            Bars of the session so far, this one included.
        state
            The account after this bar, without its signals.
        """
        found = []
        for one in self._called:
            if number < int(getattr(one, "warmup", 0)):
                continue
            context = Context(bars, _Seen(state))
            context.row = len(bars) - 1
            one.on_bar(context)
            signals = context.signals(strategy=_name(one) if self._named else "")
            if len(signals):
                found.append(signals)
        return found

    def recall(
        self, store: SessionStore, connection: Connection, session: StoredSession, limit: int | None
    ) -> None:
        """Begin anew and live through all recorded bars; `limit` is the bars that strategies see."""
        self._called = [_copied(one) for one in self._first]
        for bars, number, state in _lived_through(store, connection, session, limit):
            self.orders(bars, number, state)
        self.stale = False


def matched(account: Account, piece: Piece) -> State:
    """Return the state of an account after a bar without its signals; the account stays as it is."""
    probe = account.grown(piece.bars)
    without = Piece(piece.bars, Signals.empty(piece.bars), piece.commands)
    for _ in probe.each(piece.bars, [without]):
        pass
    return probe.state


class _Seen(NamedTuple):
    state: State


def _lived_through(
    store: SessionStore, connection: Connection, session: StoredSession, limit: int | None
) -> Iterator[tuple[Bars, int, State]]:
    segments = {segment.first: segment for segment in session.segments()}
    first = segments[0]
    like = decode_frame(first.frame)
    account, history = Account(like, Rules.of(first.configuration)), History(like, limit)
    for bar, data in enumerate(store.pieces(connection, session.id)):
        if bar and bar in segments:
            like = decode_frame(segments[bar].frame)
            account = handed_on(store, connection, session, account, segments[bar], like)
            history = history.grown(like)
        piece = decode_piece(data, like)
        history.extend(piece.bars)
        yield history.until(len(history) - 1), bar + 1, matched(account, piece)
        for _ in account.each(piece.bars, [piece]):
            pass


def _copied(strategy: Any) -> Any:
    try:
        return copy.deepcopy(strategy)
    except Exception as error:
        # whatever the strategy holds decides what this raises
        raise StrategyError(
            f"strategy {_name(strategy)!r} is called bar by bar and cannot be copied, so a session could not "
            f"go on with it after a restart: {error}",
            code="LIVE_ON_BAR",
        ) from error


def _name(strategy: Any) -> str:
    return str(getattr(strategy, "name", type(strategy).__name__))
