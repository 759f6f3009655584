"""`twinstep kill`, `arm` and `status`: the kill switch from the shell.

`kill` is usually answered before this module is imported, by `twinstep.entry`; both do the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from live.kill_switch import Scope
from simulator.errors import ConfigError, TwinstepError
from twinstep.console import emit, emit_json, note
from twinstep.options import Json

if TYPE_CHECKING:
    from twinstep.account_lines import AccountLines

__all__ = ["ARM_EXAMPLES", "KILL_EXAMPLES", "STATUS_EXAMPLES", "arm", "kill", "status"]

KILL_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep kill\n"
    '  twinstep kill --reason "quotes are frozen"\n'
    "  twinstep kill --folder trade_journal.db.switch"
)
ARM_EXAMPLES: Final = (
    'Examples:\n\n\b\n  twinstep arm --by ada --reason "the feed is back"\n'
    '  twinstep arm --by ada --reason "the feed is back" --confirm'
)
STATUS_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep status\n  twinstep status --name trend --json"

Folder = Annotated[
    str | None,
    typer.Option(
        "--folder", metavar="FOLDER", help="Folder of the kill switch; without it, that of the journal."
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PATH",
        help="The journal beside which the switch lies; without it, what the configuration says, else "
        "trade_journal.db.",
        show_default=False,
    ),
]


def kill(
    folder: Folder = None,
    journal: Journal = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Who; the user by default.", show_default=False)
    ] = "",
) -> None:
    """Halt trading at once, until a person arms it again.

    Without a folder or journal, every switch of this folder and the configured one is engaged. Works on a
    full disk and without the journal. Exit code 1 where a token could not be removed, 3 where the named
    folder had no switch.
    """
    from twinstep.switches import kill as halt

    code = halt(folder=folder, journal=journal, reason=reason, by=by)
    if code:
        raise typer.Exit(code)


def arm(
    by: Annotated[str, typer.Option(metavar="NAME", help="The person who answers for it.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why trading may go on.")],
    folder: Folder = None,
    journal: Journal = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", metavar="paper|live", help="What for; without it, what the folder was begun for."
        ),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Do it; without, only what it would end is shown.")
    ] = False,
) -> None:
    """End a halt or a reduction, in the name of a person."""
    from twinstep import switches

    place = switches.folder_of(folder, journal)
    if scope not in (None, "paper", "live"):
        raise ConfigError(f"--scope is {scope!r}, not paper or live", code="LIVE_SCOPE")
    chosen: Scope = switches.scope_of(place) if scope is None else "live" if scope == "live" else "paper"
    if not confirm:
        found = switches.look(place, scope=chosen)
        emit(f"{found['state']}: {place}: {found['why']}")
        raise ConfigError(
            f"arming lets {'REAL' if chosen == 'live' else 'paper'} orders pass again; drawdown and daily "
            "loss stay as they are. Add --confirm to do it",
            code="CLI_CONFIRM",
        )
    switch = switches.arm(place, by, reason, scope=chosen)
    emit(f"{switch.state}: {place}: armed for {chosen} by {by}")


def status(
    folder: Folder = None,
    journal: Journal = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The session; without it, the one that was stepped last.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show whether trading is halted, by whom, when and why, and how the account stands in the journal.

    Needs no journal: figures that cannot be read are unknown.
    """
    from twinstep import switches
    from twinstep.switch_figures import figures

    place = switches.folder_of(folder, journal)
    found = switches.look(place)
    found["journal"] = figures(place, journal)
    if as_json:
        found["account"] = _account(str(found["journal"]["path"]), name, found["journal"]["problems"])
        found["requests"] = _waiting(place)
        emit_json(found)
        return
    emit(f"{found['state']}: {found['folder']} ({found['scope']})")
    emit(f"why: {found['why']}")
    if found["armed_by"]:
        emit(f"armed: by {found['armed_by']} at {found['armed_at']}: {found['arm_reason']}")
    shown = found["journal"]
    emit(f"journal: {shown['path'] or 'unknown'}")
    emit(f"open trades: {_or_unknown(shown['open_trades'])}")
    emit(f"session: {_or_unknown(shown['session'])}")
    for problem in [*found["problems"], *shown["problems"]]:
        note(f"warning: {problem}")
    if shown["session"] not in (None, "none"):
        _show_account(place, str(shown["path"]), name, found)


def _show_account(place: Path, journal: str, name: str | None, found: dict[str, Any]) -> None:
    """Draw the account, once everything that matters more is printed."""
    from twinstep.commands.desk import request_lines
    from twinstep.console import print_table
    from twinstep.paper_view import DeskView

    problems: list[str] = []
    account = _lines(journal, name, problems)
    for problem in problems:
        note(f"warning: {problem}")
    if account is not None:
        emit()
        requests = request_lines(place / "reviews")
        print_table(
            DeskView(
                account=account,
                switch=found["state"],
                why=found["why"],
                mode="LIVE" if found["scope"] == "live" else "PAPER",
                requests=requests,
            )
        )


def _account(journal: str, name: str | None, problems: list[str]) -> dict[str, Any] | None:
    from dataclasses import asdict

    if any("cannot be read" in problem for problem in problems):
        return None
    account = _lines(journal, name, problems)
    return None if account is None else asdict(account)


def _lines(journal: str, name: str | None, problems: list[str]) -> AccountLines | None:
    import sqlite3

    from twinstep.account_lines import stored_lines, stored_sessions

    try:
        names = [name] if name is not None else stored_sessions(journal)
        found = stored_lines(journal, names[0]) if names else None
        if names and found is None:
            problems.append(f"the journal {journal} has no session {names[0]!r}")
    except (sqlite3.Error, OSError, ValueError, KeyError, TwinstepError) as error:
        problems.append(f"the account in {journal} cannot be read ({error})")
        return None
    return found


def _waiting(place: Path) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from twinstep.commands.desk import request_lines

    return [asdict(one) for one in request_lines(place / "reviews")]


def _or_unknown(value: object) -> str:
    return "unknown" if value is None else str(value)
