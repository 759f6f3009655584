"""Whether the kill switch that a session is given is the one that its journal has had.

A fresh paper folder arms itself. A journal that was moved or renamed without its folder would begin one, and
a halt that lies in the old folder would be lost without a word. Sessions remember the arming under which
they stepped, so this can be told: then the new folder is engaged at once, on record, until a person arms it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from journal import schema
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.errors import warn

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch

__all__ = ["check_known_switch"]


def check_known_switch(store: SessionStore, kill_switch: KillSwitch) -> None:
    """Engage a switch that armed itself where the journal's sessions have stepped under another one."""
    if not kill_switch.armed_itself:
        return
    with store.database.read() as connection:
        memories = connection.execute(select(schema.snapshots.c.memory)).scalars().all()
    known = {unpack(memory)[1].get("arming") for memory in memories} - {None}
    if not known or kill_switch.arming in known:
        return
    halt = kill_switch.engage(
        f"the sessions of {store.database.name} have had another switch; was the journal moved or renamed "
        "without it?",
        "twinstep",
    )
    warn(
        f"the kill switch {kill_switch.folder} is new, and {store.database.name} has had another one: "
        f"trading is {halt.state} until a named person has looked at the old one and arms this: twinstep arm",
        code="LIVE_SWITCH_NEW",
    )
