"""The submit gate: the last thing that every order passes before it is sent.

It asks the kill switch at that moment, and once more when the broker has answered: a kill that came in
between is told to the caller, who follows the order to its end and cancels it. What may pass depends on what
an order is for:

    state       entry   exit    protect   cancel
    ACTIVE      yes     yes     yes       yes
    REDUCING    no      yes     yes       yes
    HALTED      no      no      yes       yes

`exit` is what a strategy wants, `protect` is what guards or ends a position in every state: stop, target,
time exit, a named person's close. Outside ACTIVE the word of an order is not enough: it must shrink what is
held, and what is held must be known. A symbol in which books and broker differ is REDUCING by itself, while
the others go on.

Two looks and the call between them are not one act, and cannot be, since a kill waits for nobody. What is
promised is that no submit begins later than the next look after a kill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar

from live.kill_switch import KillSwitch, SwitchState

__all__ = ["GateEntry", "Passed", "Purpose", "SubmitGate", "may_pass"]

Purpose = Literal["entry", "exit", "protect", "cancel"]

KEPT: Final = 1_000
"""How many of its last decisions a gate remembers."""

_ALLOWED: Final[dict[SwitchState, tuple[Purpose, ...]]] = {
    "ACTIVE": ("entry", "exit", "protect", "cancel"),
    "REDUCING": ("exit", "protect", "cancel"),
    "HALTED": ("protect", "cancel"),
}

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class GateEntry:
    """One decision of the gate.

    Attributes
    ----------
    time
        Aware.
    order
        Client order id.
    state
        What the switch said before anything was sent.
    allowed
        Whether it was sent.
    code
        "" where it was, else LIVE_HALTED, LIVE_REDUCING, LIVE_SYMBOL_REDUCING, LIVE_NOT_REDUCING,
        LIVE_POSITION_UNKNOWN or LIVE_NOT_RECORDED.
    """

    time: datetime
    order: str
    purpose: Purpose
    state: SwitchState
    allowed: bool
    code: str


@dataclass(frozen=True, slots=True)
class Passed(Generic[_Answer]):
    """What came of an order at the gate.

    Attributes
    ----------
    entry
        The decision.
    answer
        What the call that sends returned; None where it was not made.
    overtaken
        Whether a halt came while the order was being sent, under which it would not have been: follow it to
        its end and cancel it.
    """

    entry: GateEntry
    answer: _Answer | None
    overtaken: bool = False


def may_pass(state: SwitchState, purpose: Purpose) -> bool:
    """Whether an order for `purpose` is sent in `state`, provided that an exit really shrinks a position."""
    return purpose in _ALLOWED[state]


class SubmitGate:
    """The gate in front of the brokers.

    Parameters
    ----------
    switch
        Whose state decides.
    clock
        Gives the time of the decisions, aware.
    record
        Is given every decision before anything is sent. Where it fails, entries and exits do not pass: what
        cannot be recorded is not done. Protective orders and cancels pass all the same.
    reduced
        Whether one of these symbols may only be left; asked while the switch is ACTIVE.
    """

    def __init__(
        self,
        switch: KillSwitch,
        *,
        clock: Callable[[], datetime] | None = None,
        record: Callable[[GateEntry], None] | None = None,
        reduced: Callable[[Sequence[str]], bool] | None = None,
    ) -> None:
        self.switch = switch
        self.entries: deque[GateEntry] = deque(maxlen=KEPT)
        self._clock = clock or _now
        self._record = record
        self._reduced = reduced

    def submit(
        self,
        order: str,
        purpose: Purpose,
        send: Callable[[], _Answer],
        *,
        shrinks: Callable[[], bool | None] | None = None,
        symbols: Sequence[str] = (),
        record: Callable[[GateEntry], None] | None = None,
    ) -> Passed[_Answer]:
        """Send, if the switch lets it pass.

        Parameters
        ----------
        order
            Client order id.
        send
            Makes the one call to the broker; what it raises goes through.
        shrinks
            Whether the order only makes a position smaller; None where that is not known. Asked only outside
            ACTIVE, since it costs a question to the broker. Without it an order is taken to shrink nothing.
        symbols
            What the order trades.
        record
            In place of the gate's own, where there is more to write down than the decision.
        """
        note = record or self._record
        state = self.switch.state
        code = self._code(state, purpose, shrinks, symbols)
        entry = GateEntry(self._clock(), order, purpose, state, not code, code)
        if not _noted(note, entry) and entry.allowed and purpose in ("entry", "exit"):
            code = "LIVE_NOT_RECORDED"
            entry = GateEntry(entry.time, order, purpose, state, False, code)
        self.entries.append(entry)
        # recording and asking take time in which somebody may have killed; then all is asked again
        while entry.allowed and (now := self.switch.state) != state:
            state, code = now, self._code(now, purpose, shrinks, symbols)
            if code:
                entry = GateEntry(self._clock(), order, purpose, now, False, code)
                _noted(note, entry)
                self.entries.append(entry)
        if not entry.allowed:
            return Passed(entry, None)
        answer = send()
        return Passed(entry, answer, overtaken=not may_pass(self.switch.state, purpose))

    def _code(
        self,
        state: SwitchState,
        purpose: Purpose,
        shrinks: Callable[[], bool | None] | None,
        symbols: Sequence[str],
    ) -> str:
        if not may_pass(state, purpose):
            return f"LIVE_{state}"
        if purpose == "cancel":
            return ""
        if state == "ACTIVE":
            if self._reduced is None or not self._reduced(symbols):
                return ""
            if not may_pass("REDUCING", purpose):
                return "LIVE_SYMBOL_REDUCING"
        smaller = False if shrinks is None else shrinks()
        if smaller is None:
            return "LIVE_POSITION_UNKNOWN"
        return "" if smaller else "LIVE_NOT_REDUCING"


def _noted(record: Callable[[GateEntry], None] | None, entry: GateEntry) -> bool:
    if record is None:
        return True
    try:
        record(entry)
    except Exception:  # whatever kept it from being recorded, it is not, and that is all that counts
        return False
    return True


def _now() -> datetime:
    return datetime.now(UTC)
