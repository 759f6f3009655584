"""Commands to a session: of a person, of other processes, and of the kill switch.

A command waits as plain values until the bar at which it is due; what waits is stored with the snapshot, so
that it survives a restart. The kill switch is looked at before every bar, and what changed becomes a command
like any other, because a replay has to do the same without the switch. No command outdoes the switch: while
it is not ACTIVE the account is halted, whoever says "arm"; and other processes cannot say it at all where
there is a switch, which releases only in somebody's name and for a reason.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from journal.inbox import Inbox
from live.kill_files import switch_folder
from simulator.bars.arrays import stamp
from simulator.commands import Command
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from live.kill_switch import SwitchState

__all__ = [
    "COMMANDS", "check_queued", "due", "latches", "plain_command", "queue_command", "switch_commands",
    "upheld",
]  # fmt: skip

COMMANDS: Final = ("close", "close_all", "kill", "reduce", "arm", "deposit", "cancel")
"""What a session can be asked; by another process as `session_<command>` in the journal's inbox."""


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
        CONFIG_COMMAND for a command that lacks its symbol or value; LIVE_ARM_QUEUED for "arm" where a kill
        switch lies beside the journal.
    """
    plain_command(Command(stamp(0), kind, symbol, value))
    check_queued(kind, switch_folder(journal))
    return Inbox(journal).drop(f"session_{kind}", {"session": session, "symbol": symbol, "value": value})


def check_queued(kind: str, folder: Path | None, *, has_switch: bool = False) -> None:
    """Refuse a release from another process where a switch stands for it.

    Parameters
    ----------
    kind
        The command.
    folder
        Where the journal's switch would be.
    has_switch
        Whether the session was given one, wherever its folder is.

    Raises
    ------
    ConfigError
        LIVE_ARM_QUEUED.
    """
    if kind == "arm" and (has_switch or (folder is not None and folder.is_dir())):
        raise ConfigError(
            "an account with a kill switch is not armed through the inbox, which knows neither a name nor a "
            "reason; arm the switch, and the session follows with its next bar: twinstep arm --by NAME "
            "--reason TEXT",
            code="LIVE_ARM_QUEUED",
        )


def due(pending: list[dict[str, Any]], ts: int) -> tuple[list[Command], list[dict[str, Any]]]:
    """Return the commands that are due at a bar, and those that wait for a later one."""
    now = [Command(stamp(ts), one["kind"], one["symbol"], one["value"]) for one in pending if one["ts"] <= ts]
    return now, [one for one in pending if one["ts"] > ts]


def switch_commands(
    before: SwitchState, now: SwitchState, ts: int, *, rearmed: bool = False
) -> list[Command]:
    """Return what brings an account from one state of the kill switch to another.

    `rearmed`: both states are of armings, and not of the same one. Between them trading was halted, which
    cancels what works, so the account has to go through it as well.
    """
    kinds: tuple[str, ...] = ()
    if now != before:
        kinds = {"HALTED": ("kill",), "REDUCING": ("reduce",), "ACTIVE": ("arm",)}[now]
    if (before, now) == ("HALTED", "REDUCING"):
        kinds = ("arm", "reduce")
    if rearmed and now != "HALTED":
        kinds = ("kill", "arm", *(("reduce",) if now == "REDUCING" else ()))
    return [Command(stamp(ts), kind) for kind in kinds]


def latches(commands: Sequence[Command], killed: bool, reducing: bool) -> tuple[bool, bool]:
    """Return whether an account is killed and reducing after commands; only they change that."""
    for command in commands:
        killed = command.kind == "kill" or (killed and command.kind != "arm")
        reducing = command.kind == "reduce" or (reducing and command.kind != "arm")
    return killed, reducing


def upheld(now: SwitchState, killed: bool, reducing: bool, ts: int) -> list[Command]:
    """Return what an account still lacks to be as halted as its switch, whatever it was told."""
    if now == "HALTED" and not killed:
        return [Command(stamp(ts), "kill")]
    if now == "REDUCING" and not (killed or reducing):
        return [Command(stamp(ts), "reduce")]
    return []


def plain_command(command: Command) -> dict[str, Any]:
    """Return a command as values that JSON can hold."""
    import pandas as pd

    time = pd.Timestamp(command.time)
    time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    return {
        "ts": int(time.as_unit("ns").value), "kind": command.kind, "symbol": command.symbol,
        "value": None if command.value is None else float(command.value),
    }  # fmt: skip
