"""Commands to a session: of a person, of other processes, and of the kill switch.

A command waits as plain values until the bar at which it is due; what waits is stored with the snapshot, so
that it survives a restart. The kill switch is looked at before every bar, and what changed becomes a command
like any other, because a replay has to do the same without the switch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from journal.inbox import Inbox
from simulator.bars.arrays import stamp
from simulator.commands import Command

if TYPE_CHECKING:
    from live.kill_switch import SwitchState

__all__ = ["COMMANDS", "due", "plain_command", "queue_command", "switch_commands"]

COMMANDS: Final = ("close", "close_all", "kill", "reduce", "arm", "deposit", "cancel")
"""What another process may ask of a session, as `session_<command>` in the journal's inbox."""


def queue_command(
    journal: str | os.PathLike[str],
    session: str,
    kind: str,
    symbol: str | None = None,
    value: float | None = None,
) -> str:
    """Leave a command for a session that another process runs; returns its id in the journal's inbox.

    Raises
    ------
    UnknownNameError
        NAME_COMMAND for none of `COMMANDS`.
    ConfigError
        CONFIG_COMMAND for a command that lacks its symbol or value.
    """
    plain_command(Command(stamp(0), kind, symbol, value))
    return Inbox(journal).drop(f"session_{kind}", {"session": session, "symbol": symbol, "value": value})


def due(pending: list[dict[str, Any]], ts: int) -> tuple[list[Command], list[dict[str, Any]]]:
    """Return the commands that are due at a bar, and those that wait for a later one."""
    now = [Command(stamp(ts), one["kind"], one["symbol"], one["value"]) for one in pending if one["ts"] <= ts]
    return now, [one for one in pending if one["ts"] > ts]


def switch_commands(before: SwitchState, now: SwitchState, ts: int) -> list[Command]:
    """Return what brings an account from one state of the kill switch to another."""
    if now == before:
        return []
    kinds: tuple[str, ...] = {"HALTED": ("kill",), "REDUCING": ("reduce",), "ACTIVE": ("arm",)}[now]
    if (before, now) == ("HALTED", "REDUCING"):
        kinds = ("arm", "reduce")
    return [Command(stamp(ts), kind) for kind in kinds]


def plain_command(command: Command) -> dict[str, Any]:
    """Return a command as values that JSON can hold."""
    import pandas as pd

    time = pd.Timestamp(command.time)
    time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    return {
        "ts": int(time.as_unit("ns").value), "kind": command.kind, "symbol": command.symbol,
        "value": None if command.value is None else float(command.value),
    }  # fmt: skip
