"""`twinstep kill`, `arm` and `status`: the kill switch from the shell.

`kill` is usually answered before this module is imported, by `twinstep.entry`; both do the same.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from live.kill_files import is_fresh, switch_folder
from live.kill_switch import KillSwitchError, Scope
from simulator.errors import ConfigError, TwinstepError
from twinstep.console import EXIT_FOUND, emit, emit_json, note, plain_times
from twinstep.options import Json
from twinstep.switch_figures import unread

if TYPE_CHECKING:
    from twinstep.account_lines import AccountLines
    from twinstep.fact_lines import FactLines

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
    others = [] if folder or journal else _halted(switches.beside(place))
    if not folder and not journal and is_fresh(place):
        ways = " or ".join(_arm_line(switches.naming(one), by, reason, scope) for one in others)
        raise KillSwitchError(
            f"no switch is at {place}: nothing was armed. "
            + (
                f"Halted here: {', '.join(map(str, others))}; arm it with {ways}"
                if others
                else "Where none was begun yet, and this is the right folder, name it: "
                + _arm_line(f"--folder {shlex.quote(str(place))}", by, reason, scope)
            ),
            code="LIVE_NO_SWITCH",
        )
    chosen: Scope = switches.scope_of(place) if scope is None else "live" if scope == "live" else "paper"
    if not confirm:
        found = switches.look(place, scope=chosen)
        emit(f"{found['state']}: {place}: {found['why']}")
        begun = "" if is_fresh(place) else switches.scope_of(place)
        if begun and begun != chosen:
            emit(f"the folder was begun for {begun}: armed for {chosen}, {begun} sessions on it halt")
        raise ConfigError(
            f"arming lets {'REAL' if chosen == 'live' else 'paper'} orders pass again, and a session on this "
            "switch then ends its own halts: the day's loss is measured anew. Add --confirm to do it",
            code="CLI_CONFIRM",
        )
    for one in others:
        note(f"still halted: {one}; arm it with {_arm_line(switches.naming(one), by, reason, scope)}")
    switch = switches.arm(place, by, reason, scope=chosen)
    emit(f"{switch.state}: {place}: armed for {chosen} by {by}")


def _arm_line(named: str, by: str, reason: str, scope: str | None) -> str:
    """Return the whole command that arms, to be pasted."""
    words = shlex.join([*(["--scope", scope] if scope else []), "--by", by, "--reason", reason, "--confirm"])
    return f"twinstep arm {named} {words}"


def _halted(places: list[Path]) -> list[Path]:
    from twinstep import switches

    return [one for one in places if switches.look(one)["state"] == "HALTED"]


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

    Without a folder or journal, every other switch of this folder is listed with its state; where the
    configured journal is not there, and one switch is, that one is shown. Figures that cannot be read are
    unknown: the switch is shown all the same, and the exit code is 3.
    """
    from twinstep import switches
    from twinstep.switch_figures import figures

    place = switches.folder_of(folder, journal)
    others = [] if folder or journal else switches.beside(place)
    if others and is_fresh(place) and not Path(switches.journal_file(None)).expanduser().exists():
        if len(others) > 1 and not as_json:
            emit(f"no journal {switches.journal_file(None)} is here; name one of these:")
            _list(others)
            return
        if len(others) == 1:
            place, others = others[0], []
    found = switches.look(place)
    try:
        found["journal"] = figures(place, journal)
    except ConfigError as error:
        # a journal on a server, and a folder that was named: the switch has to be seen
        why = f"[{error.code}] {error.args[0]}"
        found["journal"] = {"path": None, "open_trades": None, "session": None, "problems": [why]}
    account = _lines(found["journal"], name)
    fact = None if account is None else _fact(found["journal"], account.session)
    if as_json:
        found["account"] = None if account is None else asdict(account)
        found["fact"] = None if fact is None else _plain(fact)
        found["requests"] = _waiting(place)
        found["others"] = [_state(one) for one in others]
        emit_json(found)
    else:
        _tell(place, found, account, fact)
        if others:
            emit("\nother switches here, which a kill without a name halts too:")
            _list(others)
    if found["journal"]["problems"]:
        raise typer.Exit(EXIT_FOUND)


def _state(place: Path) -> dict[str, str]:
    from twinstep import switches

    found = switches.look(place)
    return {"folder": str(place), "state": found["state"], "scope": found["scope"], "why": found["why"]}


def _list(places: list[Path]) -> None:
    """Print a line per switch, with how to look at it and, where it is halted, how to arm it."""
    from twinstep.switches import naming

    for place in places:
        one = _state(place)
        halted = one["state"] == "HALTED"
        emit(plain_times(f"{one['state']}: {place} ({one['scope']}): {one['why']}"))
        emit(f"  twinstep status {naming(place)}")
        if halted:
            emit(f"  twinstep arm {naming(place)} --by NAME --reason TEXT --confirm")


def _tell(place: Path, found: dict[str, Any], account: AccountLines | None, fact: FactLines | None) -> None:
    emit(f"{found['state']}: {found['folder']} ({found['scope']})")
    emit(plain_times(f"why: {found['why']}"))
    if found["armed_by"]:
        emit(plain_times(f"armed: by {found['armed_by']} at {found['armed_at']}: {found['arm_reason']}"))
    shown = found["journal"]
    own = switch_folder(shown["path"]) if shown["path"] else None
    # two flags may name things that have nothing to do with each other
    apart = "" if own is None or own == place.resolve() else f" (its own switch is {own}, not the one above)"
    emit(f"journal: {shown['path'] or 'unknown'}{apart}")
    # a paper session books a trade when it is closed: what it holds is in its account
    emit(f"open trades: {_or_unknown(shown['open_trades'])}{'' if account is None else _held(account, fact)}")
    emit(f"session: {_or_unknown(shown['session'])}")
    for problem in [*found["problems"], *shown["problems"]]:
        note(f"warning: {problem}")
    if account is not None:
        _draw(place, account, fact, found)


def _draw(place: Path, account: AccountLines, fact: FactLines | None, found: dict[str, Any]) -> None:
    """Draw the account, once everything that matters more is printed."""
    from twinstep.commands.desk import request_lines
    from twinstep.console import print_table
    from twinstep.paper_view import DeskView

    emit()
    print_table(
        DeskView(
            account=account,
            switch=found["state"],
            why=found["why"],
            mode="LIVE" if found["scope"] == "live" else "PAPER",
            requests=request_lines(place / "reviews"),
            fact=fact,
        )
    )


def _held(account: AccountLines, fact: FactLines | None) -> str:
    if fact is None:
        held = f" in the journal; positions held by session {account.session}: {len(account.positions)}"
        return f"{held}, each logged as a trade when it is closed" if account.positions else held
    return (
        f"; open positions in the plan of session {account.session}: {len(account.positions)}, held at "
        f"{fact.broker}: {len(fact.positions)}"
    )


def _fact(shown: dict[str, Any], session: str) -> FactLines | None:
    """Return what a session has at its broker; why that is not known is a problem of what is shown."""
    import sqlite3

    from twinstep.fact_lines import stored_fact

    try:
        return stored_fact(shown["path"], session)
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        shown["problems"].append(unread(f"what the broker has, in {shown['path']}", error))
        return None


def _plain(fact: FactLines) -> dict[str, Any]:
    return {**asdict(fact), "at": None if fact.at is None else fact.at.isoformat()}


def _lines(shown: dict[str, Any], name: str | None) -> AccountLines | None:
    """Return the account of a session; why there is none is a problem of what is shown."""
    journal, problems = shown["path"], shown["problems"]
    if problems or (name is None and shown["session"] in (None, "none")):
        return None
    import sqlite3

    from twinstep.account_lines import stored_lines, stored_sessions

    try:
        names = stored_sessions(journal)
        found = stored_lines(journal, names[0] if name is None else name) if names else None
        if found is None:
            known = f"Known: {', '.join(names)}" if names else "It has none"
            chosen = name or names[0]
            problems.append(f"[LIVE_SESSION] the journal {journal} has no session {chosen!r}. {known}")
    except (sqlite3.Error, OSError, ValueError, KeyError, TwinstepError) as error:
        problems.append(unread(f"the account in {journal}", error))
        return None
    return found


def _waiting(place: Path) -> list[dict[str, Any]]:
    from twinstep.commands.desk import request_lines

    return [asdict(one) for one in request_lines(place / "reviews")]


def _or_unknown(value: object) -> str:
    return "unknown" if value is None else str(value)
