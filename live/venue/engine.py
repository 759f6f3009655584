"""What is below a venue's calls: each is one event, stamped, written, carried out and told, under one lock.

The file holds what was asked, refusals too: replayed, they refuse again. An event that fails otherwise has
not happened: its line is taken back, and the account is once more what the file says. A kill between line and
answer leaves the line, and with it the order.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from live.clock import Clock, system_clock
from live.venue.eventfile import FORMAT, EventFile
from live.venue.events import carry_out
from live.venue.orders import EPOCH, time_of
from live.venue.state import State
from live.venue.types import VenueRejected, VenueUpdate
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, DataError, warn

__all__ = ["Engine", "aware", "micro"]

Listener = Callable[[VenueUpdate], None]

_LEVERAGES: Final = (1.0, 2.0, 4.0)


class Engine:
    """An account, its event file, and those who listen; see `Venue` for parameters and errors."""

    def __init__(
        self,
        *,
        cash: float = 100_000.0,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        leverage: float = 1.0,
        clock: Clock | None = None,
        instruments: Iterable[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        sync: bool = False,
    ) -> None:
        if leverage not in _LEVERAGES:
            raise ConfigError(f"leverage is {leverage!r}; it is 1, 2 or 4", code="VENUE_LEVERAGE")
        self._lock = threading.RLock()
        self._clock = clock
        self._listeners: list[Listener] = []
        self._waiting: deque[VenueUpdate] = deque()
        self._telling = False
        priced, rules = Costs.of(costs), Conventions.of(conventions)
        head: dict[str, Any] = {
            "format": FORMAT,
            "salt": str(uuid.uuid4())[:18],
            "cash": float(cash),
            "costs": dataclasses.asdict(priced),
            "conventions": dataclasses.asdict(rules),
            "leverage": float(leverage),
            "instruments": sorted(instruments or ()),
        }
        self._file = None if path is None else EventFile(Path(path), head, sync=sync)
        self._opening: dict[str, Any] = {
            "cash": float(cash),
            "costs": priced,
            "conventions": rules,
            "leverage": float(leverage),
            "symbols": head["instruments"],
            "salt": head["salt"] if self._file is None else self._file.head["salt"],
        }
        try:
            self._state = self._replayed()
        except BaseException:
            self.close()
            raise

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """Call back with every update, in order, once the account is consistent; returns what ends it.

        A callback may call the venue. One that raises is warned about and called again for the next update.
        """
        with self._lock:
            self._listeners.append(callback)
            self._state.listening = True

        def end() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)
                self._state.listening = bool(self._listeners)

        return end

    def fingerprint(self) -> str:
        """Return a SHA-256 of the account: equal for equal histories."""
        with self._lock:
            return self._state.fingerprint()

    def close(self) -> None:
        """Let go of the event file."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _do(self, event: dict[str, Any], *, at: datetime | None = None) -> int:
        state = self._state
        if at is not None:
            now = micro(at)
            if now < state.market_time:
                raise DataError(
                    f"the market's time went back from {time_of(state.market_time)} to {at}",
                    code="VENUE_TIME",
                )
            event["market"] = 1
        elif self._clock is not None or not state.market_time:
            now = micro((self._clock or system_clock)())
        else:
            now = state.now
        event["t"] = max(now, state.now)
        if self._file is not None:
            # what is done is what is read back
            self._file.append(event)
        try:
            return _apply(state, event)
        except VenueRejected:
            raise
        except Exception:  # whatever it was, nothing of it may stay: it is undone, and goes on to the caller
            self._undo()
            raise
        finally:
            self._tell()

    def _undo(self) -> None:
        if self._file is not None:
            self._state.updates.clear()
            self._file.take_back()
            self._state = self._replayed()

    def _replayed(self) -> State:
        state = State(**self._opening)
        for event in () if self._file is None else self._file.events():
            try:
                _apply(state, event)
            except VenueRejected:
                continue  # as it was then
        state.listening = bool(self._listeners)
        return state

    def _tell(self) -> None:
        self._waiting.extend(self._state.updates)
        self._state.updates.clear()
        if self._telling:
            return  # a callback has called the venue; whoever called it goes on telling
        self._telling = True
        try:
            while self._waiting:
                update = self._waiting.popleft()
                for listener in list(self._listeners):
                    try:
                        listener(update)
                    except Exception as error:  # a listener never harms the venue
                        warn(f"a listener failed on {update.event}: {error!r}", code="VENUE_LISTENER")
        finally:
            self._telling = False


def _apply(state: State, event: dict[str, Any]) -> int:
    state.now = event["t"]
    state.created = state.created or state.now
    number = carry_out(state, event)
    if "market" in event:
        state.market_time = event["t"]  # not by what was refused
    return number


def aware(time: datetime) -> datetime:
    """Return a time; `DataError` VENUE_TIME where it has no zone."""
    if time.tzinfo is None:
        raise DataError(f"{time.isoformat()} has no zone; write datetime(..., tzinfo=UTC)", code="VENUE_TIME")
    return time


def micro(time: datetime) -> int:
    """Return a time as microseconds since 1970; raises as `aware`."""
    since = aware(time) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
