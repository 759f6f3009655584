"""`twinstep close` and `close-all`: positions that a person wants closed, beside whoever runs the session.

A session that runs takes the command from the journal's inbox before its next bar; where nobody holds the
journal it is stored in the session itself. Closing works in every state of the kill switch: a halt keeps
money from going out, never from coming back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulator.errors import ConfigError, UnknownNameError, did_you_mean
from twinstep.commands.desk import Yes
from twinstep.confirm import confirm
from twinstep.console import EXIT_FOUND, emit, emit_json, note
from twinstep.journals import JournalPath
from twinstep.options import Json

if TYPE_CHECKING:
    from live.desk import Asked
    from twinstep.account_lines import AccountLines, PositionLine

__all__ = ["CLOSE_ALL_EXAMPLES", "CLOSE_EXAMPLES", "close", "close_all"]

CLOSE_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep close AAPL\n"
    "  twinstep close AAPL --price 187.50 --yes\n"
    "  twinstep close AAPL --name trend --journal desk.db"
)
CLOSE_ALL_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    '  twinstep close-all --reason "quotes are frozen"\n'
    '  twinstep close-all --reason "going away" --name trend --yes'
)

_WHERE: Final = {
    "inbox": "left in the inbox; the session that runs takes it before its next bar",
    "session": "no session runs; it is stored, and carried out at the session's next bar",
    "rejected": "refused",
}

SessionName = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="The session; without it, the only one there is.", show_default=False
    ),
]
AnySession = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="The session; without it, every session of the journal.",
        show_default=False,
    ),
]


def close(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Whose position.")],
    price: Annotated[
        float | None,
        typer.Option(
            metavar="PRICE",
            help="Where it was closed by hand; without it, the next open.",
            show_default=False,
        ),
    ] = None,
    name: SessionName = None,
    journal: JournalPath = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Close a position at the next bar.

    Asks for the symbol to be typed. The session's inbox takes the command, or the session itself where none
    runs. Exit code 3 where the command was refused.
    """
    where = _journal(journal)
    account = _account(where, name)
    known = sorted({line.symbol for line in account.positions})
    if symbol not in known:
        # typed in a hurry; two symbols that differ in case only have to be told apart
        same = [name for name in known if name.casefold() == symbol.casefold()]
        symbol = same[0] if len(same) == 1 else symbol
    held = [line for line in account.positions if line.symbol == symbol]
    if not held:
        raise UnknownNameError(
            f"session {account.session!r} has no open position in {symbol!r}.{did_you_mean(symbol, known)}",
            code="LIVE_NO_POSITION",
        )
    at = "the next open" if price is None else f"{price:g}"
    confirm(f"close {_held(held)} of session {account.session!r} at {at}", symbol, yes=yes)
    _told([_ask(where, account.session, "close", symbol, price)], where, as_json)


def close_all(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the switch's record.")],
    name: AnySession = None,
    journal: JournalPath = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Close every position and cancel every order at the next bar, whatever the kill switch says.

    Without a name, those of every session of the journal. Asks for "close all" to be typed. The kill switch
    is left as it is: `twinstep kill` keeps new orders from coming. Exit code 3 where a session refused.
    """
    where = _journal(journal)
    if not reason.strip():
        raise ConfigError("close-all needs a reason: why does everything go?", code="CLI_REASON")
    names = _chosen(where, name)
    found = {each: _account_or_none(where, each) for each in names}
    # what cannot be read is closed too: there may be positions in it
    chosen = [each for each in names if (at := found[each]) is None or at.positions or at.orders]
    if not chosen:
        _record(where, reason, chosen)
        _told([], where, as_json, reason)
        return
    words = [
        f"{each}: {'unknown positions' if at is None else _held(at.positions) or 'only working orders'}"
        for each in chosen
        for at in [found[each]]
    ]
    confirm("close " + "; ".join(words), "close all", yes=yes)
    _record(where, reason, chosen)
    _told([_ask(where, each, "close_all") for each in chosen], where, as_json, reason)


def _journal(journal: str | None) -> str:
    from twinstep.journals import place

    chosen = place(journal, "paper")
    if "://" in chosen.where:
        raise ConfigError(
            f"{chosen.where.partition('://')[0]} is a server, which has no inbox; send the command from the "
            "process that runs the session",
            code="CLI_SOURCE",
        )
    if not chosen.is_there:
        from twinstep.journals import reading

        with reading(chosen):  # says what is missing
            pass
    return chosen.where


def _sessions(where: str) -> list[str]:
    import sqlite3

    from twinstep.account_lines import stored_sessions

    try:
        return stored_sessions(where)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(
            f"the sessions of {where} cannot be read ({error}); name one with --name, and its command is "
            "left in the inbox unseen",
            code="CLI_NO_SESSION",
        ) from error


def _chosen(where: str, name: str | None) -> list[str]:
    """Return the sessions that are meant; a named one also where nobody can say whether it is there."""
    try:
        names = _sessions(where)
    except ConfigError:
        if name is None:
            raise
        return [name]
    if name is None:
        return names
    if name not in names:
        raise UnknownNameError(
            f"the journal {where} has no session {name!r}.{did_you_mean(name, names)}", code="LIVE_SESSION"
        )
    return [name]


def _account(where: str, name: str | None) -> AccountLines:
    names = _chosen(where, name)
    if len(names) != 1:
        what = f"sessions {', '.join(names)}; choose one with --name" if names else "no session"
        raise ConfigError(f"the journal {where} holds {what}", code="CLI_NO_SESSION")
    (chosen,) = names
    found = _account_or_none(where, chosen)
    if found is None:
        raise ConfigError(
            f"session {chosen!r} of {where} cannot be read now; `twinstep close-all --name {chosen}` closes "
            "whatever it holds",
            code="CLI_NO_SESSION",
        )
    return found


def _account_or_none(where: str, name: str) -> AccountLines | None:
    import sqlite3

    from simulator.errors import TwinstepError
    from twinstep.account_lines import stored_lines

    try:
        return stored_lines(where, name)
    except (sqlite3.Error, OSError, ValueError, KeyError, TwinstepError):
        return None


def _ask(where: str, session: str, kind: str, symbol: str | None = None, value: float | None = None) -> Asked:
    from live.desk import ask

    return ask(where, session, kind, symbol, value)


def _record(where: str, reason: str, sessions: list[str]) -> None:
    """Note who closes everything and why beside the switch; a record that cannot be written is said."""
    from datetime import UTC, datetime

    from live.kill_files import append, is_fresh, switch_folder
    from twinstep.switches import user

    entry = {
        "event": "close_all", "at": datetime.now(UTC).isoformat(), "by": user(),
        "reason": " ".join(reason.split()), "sessions": sessions,
    }  # fmt: skip
    folder = switch_folder(where)
    try:
        if is_fresh(folder):  # with a record it no longer would be, and nothing would arm it
            note(f"the reason is kept nowhere: no kill switch is in {folder}")
        else:
            append(folder, entry)
    except (OSError, ValueError) as error:
        note(f"warning: the reason is not in the record of {folder} ({error})")


def _told(asked: list[Asked], where: str, as_json: bool, reason: str | None = None) -> None:
    """Say where commands went; `reason` is the person's own."""
    if as_json:
        more = {} if reason is None else {"reason": " ".join(reason.split())}
        commands = [
            {"session": one.session, "id": one.id, "where": one.where, "why": _why(one, where)}
            for one in asked
        ]  # fmt: skip
        emit_json({"journal": where, **more, "commands": commands})
    elif not asked:
        emit("nothing is open and nothing works")
    for one in [] if as_json else asked:
        why = _why(one, where)
        emit(f"{one.session}: {_WHERE[one.where]}{f' ({why})' if why else ''}")
    if any(one.where == "rejected" for one in asked):
        raise typer.Exit(EXIT_FOUND)


def _why(one: Asked, where: str) -> str:
    """Say why a command was refused, and who takes it from the inbox; else what kept it there."""
    from journal.storage.lock import holder

    who = holder(Path(where).expanduser()) if one.where == "inbox" else None
    return one.reason if who is None else f"it is {who}"


def _held(lines: Sequence[PositionLine]) -> str:
    return ", ".join(f"{line.quantity:+g} {line.symbol} marked {line.mark:.2f}" for line in lines)
