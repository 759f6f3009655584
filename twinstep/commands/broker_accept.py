"""`twinstep broker accept`: take a broker's word for a difference that keeps a desk from trading.

The decision is a file beside the review queue, as an approval is. A session that runs carries it out at its
next look; where none runs, whoever looks at the broker next does. Nothing is asked or ordered here.
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import TwinstepError, UnknownNameError
from twinstep.broker_options import Folder
from twinstep.confirm import confirm
from twinstep.console import EXIT_FOUND, emit, emit_json
from twinstep.journals import JournalPath
from twinstep.options import ConfigFile, Json, settings_from

if TYPE_CHECKING:
    from live.kill_switch import KillSwitch
    from live.reconciling.differences import Difference

__all__ = ["ACCEPT_EXAMPLES", "accept"]

ACCEPT_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep requests\n"
    '  twinstep broker accept D-0123456789abcdef --by ada --reason "bought by hand on the phone"'
)

_STEP_SECONDS: Final = 0.1


def accept(
    item: Annotated[
        str, typer.Argument(metavar="ID", help="The difference, as `twinstep requests` shows it.")
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="The person who answers for it.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the broker is right.")],
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.0, help="How long to wait for a session that runs to carry it out."
        ),
    ] = 5.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking; for scripts.")] = False,
    config: ConfigFile = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Take the broker's word for a difference, in the name of a person; works while a session runs, too.

    Asks for the symbol to be typed. Trading stays halted until `twinstep arm`. Exit code 3 where the
    difference has ended before, or accepting cannot end it.
    """
    from live.kill_switch import KillSwitch
    from live.people import check_name
    from live.reconciling.differences import Differences
    from twinstep.broker_desk import configured_folder
    from twinstep.broker_differences import difference_fields, effect_of, open_differences
    from twinstep.switches import scope_of

    settings = settings_from(config)
    kept = journal or settings.journal.path
    place = configured_folder(kept, folder)
    check_name(by)
    found = _asked(place, item)
    if found.state != "open" or found.found.cause == "unprotected":
        if as_json:
            emit_json({**difference_fields(found), "taken": False, "carried_out": None})
        else:
            emit(f"{item}: {_ended(found) if found.state != 'open' else effect_of(found)}")
        raise typer.Exit(EXIT_FOUND)
    confirm(f"{found.message} ({found.found.broker}): {effect_of(found)}", found.found.symbols[0], yes=yes)
    taken = Differences(place / "reviews").accept(item, by, reason)
    mine = taken.state == "accepted" and (taken.decided_by, taken.note) == (by, reason)
    # a folder alone does not say which journal it belongs to
    running = (folder is None or journal is not None) and mine and _is_held(kept)
    done = running and _carried_out(kept, item, wait)
    if as_json:
        emit_json({**difference_fields(taken), "taken": mine, "carried_out": done})
    elif not mine:
        emit(f"{item}: {_ended(taken)}")
    else:
        emit(f"{item}: accepted by {by}: {effect_of(taken)}. {_when(running, done)}")
        switch = KillSwitch(place, scope=scope_of(place), arm_fresh=False)
        _tell_next(switch, place, open_differences(place))
    if not mine:
        raise typer.Exit(EXIT_FOUND)


def _asked(place: Path, item: str) -> Difference:
    from live.reconciling.differences import Differences

    where = place / "reviews"
    found = [one for one in Differences(where).all() if one.item_id == item] if where.is_dir() else []
    if not found:
        more = " It is a request: twinstep approve." if item.startswith("R-") else ""
        raise UnknownNameError(
            f"there is no difference {item!r} in {where}; `twinstep requests` lists those that wait.{more}",
            code="NAME_REQUEST",
        )
    return found[0]


def _ended(one: Difference) -> str:
    if one.state == "cleared":
        return "it has cleared itself: books and broker agree again"
    return f"accepted before by {one.decided_by}: {one.note}"


def _when(running: bool, done: bool) -> str:
    if done:
        return "The session has carried it out"
    if running:
        return "The session that runs carries it out at its next look"
    return "It is carried out at the next look at the broker (twinstep broker status, or the session's start)"


def _tell_next(switch: KillSwitch, place: Path, left: list[Difference]) -> None:
    """Say what is still in the way of trading."""
    from twinstep.broker_differences import accept_line

    for one in left:
        emit(f"still open: {one.message}: {accept_line(one, place)}")
    if switch.state != "ACTIVE":
        emit(
            f"trading is {switch.state}; a person arms: twinstep arm --folder {shlex.quote(str(place))} "
            "--by NAME --reason TEXT --confirm"
        )


def _is_held(journal: str | Path) -> bool:
    """Whether another process has the journal, as a session that runs has."""
    from journal.storage.lock import holder

    return "://" not in str(journal) and holder(Path(journal).expanduser()) is not None


def _carried_out(journal: str | Path, item: str, wait: float) -> bool:
    """Wait for the record to say that a difference was carried out; False where it does not say so."""
    until = time.monotonic() + wait
    while True:
        try:
            if _has_event(journal, f"accepted:{item}"):
                return True
        except TwinstepError:
            return False
        if time.monotonic() >= until:
            return False
        time.sleep(_STEP_SECONDS)


def _has_event(journal: str | Path, key: str) -> bool:
    from sqlalchemy import select

    from journal.database import Database
    from journal.schema import events

    asked: Any = select(events.c.id).where(events.c.key == key)
    with Database(journal, read_only=True) as database, database.read() as connection:
        return connection.execute(asked).first() is not None
