"""What a session goes on with beside the account's state: names, open trades, commands that wait, the switch.

It is stored with every snapshot, and seldom changes: so its bytes are made anew only when it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from live.sessions.commands import due, latches, switch_commands, upheld
from live.sessions.recording import pack, unpack
from live.sessions.trades import Book, Names

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch, SwitchState
    from live.sessions.intake import Intake
    from simulator.commands import Command
    from simulator.kernel.state import State

__all__ = ["Memory", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the next bar brings beside its prices.

    Attributes
    ----------
    pending
        Commands that wait for a bar, as plain values.
    switch, arming
        State of the kill switch at the last bar, and the arming that stood there: "" none, None unknown,
        because there was no switch. Two armings are never the same one, so that a halt between two bars
        shows although the switch is ACTIVE at both.
    killed, reducing
        What the account was told so far. It is in the account's state, and not stored here.
    """

    pending: tuple[dict[str, Any], ...] = ()
    switch: SwitchState = "ACTIVE"
    arming: str | None = None
    killed: bool = False
    reducing: bool = False

    def at(self, ts: int, kill_switch: KillSwitch | None) -> tuple[list[Command], Waiting]:
        """Return the commands of a bar, the kill switch's first and last, and what waits on."""
        commands, waiting = due(list(self.pending), ts)
        now, arming = self.switch, self.arming
        if kill_switch is not None:
            now, arming = _looked(kill_switch)
            rearmed = bool(self.arming) and bool(arming) and arming != self.arming and self.switch == "ACTIVE"
            commands = [*switch_commands(self.switch, now, ts, rearmed=rearmed), *commands]
        killed, reducing = latches(commands, self.killed, self.reducing)
        if kill_switch is not None:
            last = upheld(now, killed, reducing, ts)
            killed, reducing = latches(last, killed, reducing)
            commands = [*commands, *last]
        return commands, Waiting(tuple(waiting), now, arming, killed, reducing)


@dataclass(slots=True)
class Memory:
    """The memory of one session.

    Attributes
    ----------
    names
        Tags and strategies by code.
    book
        What the journal will want to know of what is open or working.
    waiting
        Commands, and the switch.
    """

    names: Names = field(default_factory=Names)
    book: Book = field(default_factory=Book)
    waiting: Waiting = field(default_factory=Waiting)
    _bytes: bytes = b""
    _made_of: tuple[Any, ...] = ()

    @classmethod
    def of(cls, data: bytes, intake: Intake) -> Memory:
        """Rebuild a memory, and what the intake remembers, from bytes."""
        arrays, values = unpack(data)
        intake.spacing = values["spacing"]
        intake.announced = {(sym, value) for sym, value in values["announced"]}
        return cls(
            Names(values["tags"], values["strategies"]),
            Book.of(arrays, values["fills"]),
            # journals from before the arming was kept do not say which it was
            Waiting(tuple(values["pending"]), values["switch"], values.get("arming")),
        )

    def wait(self, commands: Sequence[dict[str, Any]]) -> None:
        """Have commands wait."""
        self.waiting = replace(self.waiting, pending=(*self.waiting.pending, *commands))

    def told(self, state: State) -> None:
        """Take from the account's state what commands have made of it."""
        account = state.account
        self.waiting = replace(
            self.waiting, killed=bool(account["killed"][0]), reducing=bool(account["reducing"][0])
        )

    def forget(self, commands: Sequence[dict[str, Any]]) -> None:
        """Take commands back that still wait, and only these: others may say the same."""
        mine = {id(one) for one in commands}
        left = tuple(one for one in self.waiting.pending if id(one) not in mine)
        self.waiting = replace(self.waiting, pending=left)

    def packed(self, intake: Intake) -> bytes:
        """Return everything as bytes; `touched` says that the book has changed."""
        waiting, names = self.waiting, self.names
        parts = (len(names.tags), len(names.strategies), waiting, intake.spacing, len(intake.announced))
        if not self._bytes or parts != self._made_of:
            values = {
                "tags": names.tags, "strategies": names.strategies, "pending": list(waiting.pending),
                "switch": waiting.switch, "arming": waiting.arming, "spacing": intake.spacing,
                "announced": sorted(intake.announced), "fills": self.book.number,
            }  # fmt: skip
            self._bytes, self._made_of = pack(self.book.arrays(), values), parts
        return self._bytes

    def touched(self) -> None:
        """Have the bytes made anew."""
        self._bytes = b""


def _looked(kill_switch: KillSwitch) -> tuple[SwitchState, str]:
    """Return the state of a switch and the arming that it is of; "" while halted.

    The arming is looked up after the state: a halt and a new arming between the two looks show now, and not
    only at the next bar.
    """
    now = kill_switch.state
    arming = "" if now == "HALTED" else kill_switch.arming
    return (now, arming) if arming else ("HALTED", "")
