"""What a session goes on with beside the account's state: names, open trades, commands that wait, the switch.

It is stored with every snapshot, and seldom changes: so its bytes are made anew only when it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from live.sessions.commands import due, switch_commands
from live.sessions.recording import pack, unpack
from live.sessions.trades import Book, Names

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch, SwitchState
    from live.sessions.intake import Intake
    from simulator.commands import Command

__all__ = ["Memory", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Commands that wait for a bar, as plain values, and the state of the kill switch at the last bar."""

    pending: tuple[dict[str, Any], ...] = ()
    switch: SwitchState = "ACTIVE"

    def at(self, ts: int, kill_switch: KillSwitch | None) -> tuple[list[Command], Waiting]:
        """Return the commands of a bar, the kill switch's first, and what waits on."""
        commands, waiting = due(list(self.pending), ts)
        if kill_switch is None:
            return commands, Waiting(tuple(waiting), self.switch)
        now = kill_switch.state
        return [*switch_commands(self.switch, now, ts), *commands], Waiting(tuple(waiting), now)


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
            Waiting(tuple(values["pending"]), values["switch"]),
        )

    def wait(self, commands: Sequence[dict[str, Any]]) -> None:
        """Have commands wait."""
        self.waiting = replace(self.waiting, pending=(*self.waiting.pending, *commands))

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
                "switch": waiting.switch, "spacing": intake.spacing, "announced": sorted(intake.announced),
                "fills": self.book.number,
            }  # fmt: skip
            self._bytes, self._made_of = pack(self.book.arrays(), values), parts
        return self._bytes

    def touched(self) -> None:
        """Have the bytes made anew."""
        self._bytes = b""
