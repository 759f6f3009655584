"""From the configuration to a broker: a desk to trade at, and what `twinstep doctor --broker` looks at.

Everything that differs between brokers is in section [broker] of the file, so that whoever uses this runs
unchanged at each of them. Real money is opened with `live=True` alone, and then only behind the key of the
file and a switch of scope live that a person has armed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import ConfigError, JournalError
from twinstep.checks import Finding
from twinstep.config import Settings, load_settings

if TYPE_CHECKING:
    from live.brokers.interface import BrokerInterface
    from live.brokers.settings import BrokerSettings
    from live.kill_switch import KillSwitch
    from live.opening import Desk

__all__ = [
    "broker_name", "check_session", "configured_folder", "configured_switch", "desk_account",
    "desk_at_broker", "examine_configured", "sessions_at_brokers", "sessions_begun",
]  # fmt: skip

_ACCOUNT: Final = b'j{"broker_account"'
"""How the note begins in which a session keeps the account that it trades at."""


def desk_at_broker(
    settings: Settings,
    *,
    journal: str | Path,
    folder: str | Path | None = None,
    live: bool = False,
    armed: bool = True,
    session: str | None = None,
) -> Desk:
    """Open the desk that the configuration names: journal, switch, broker, reconciliation.

    Parameters
    ----------
    journal
        Path or address.
    folder
        Of the kill switch; beside the journal by default.
    live
        The flag of the command line.
    armed
        False to look, cancel and protect during a halt.
    session
        Whose account it is, where sessions of `twinstep live` trade: their orders are known under its name.
        `broker_name` says what the desk calls its broker.

    Raises
    ------
    ConfigError
        CLI_SESSION where the journal keeps orders of sessions and none is named, or another one, and for the
        paper account that a session keeps itself.
    TwinstepError
        As `open_broker` and `open_desk`.
    """
    from live.automation.config import ExecutionMode
    from live.brokers.opening import open_broker

    place = configured_folder(journal, folder)
    # the orders of a session would be foreign ones to any other desk, which halts for them
    check_session(journal, session)
    if session is not None and settings.broker.name == "paper":
        raise ConfigError(
            f"[broker] name is paper, and the paper account of session {session!r} is kept by the session "
            f"itself, so that nobody else can ask it: twinstep live --name {session} goes on with it, and "
            f"twinstep status --name {session} shows its plan",
            code="CLI_SESSION",
        )
    # what is missing for real money is said before the journal is opened, or a folder begun
    switch = configured_switch(place, live=True) if live else None
    broker = open_broker(
        settings.broker, live=live, live_key=settings.live.key, switch=switch, armed=armed,
        config=settings.path,
    )  # fmt: skip
    return _desk(
        journal, session, {broker_name(settings.broker, session): broker},
        account=session or desk_account(settings.broker, live=live),
        folder=place, scope="live" if live else "paper",
        mode=ExecutionMode.LIVE if live else ExecutionMode.PAPER_ONLY,
        live_key=settings.live.key, live_flag=live,
    )  # fmt: skip


def _desk(
    journal: str | Path, session: str | None, brokers: Mapping[str, BrokerInterface], **how: Any
) -> Desk:
    """Open the desk; where somebody else has the journal, the error says how that one is reached."""
    from live.opening import open_desk

    try:
        return open_desk(journal, brokers, **how)
    except JournalError as error:
        for one in brokers.values():
            close = getattr(one, "close", None)
            if close is not None:
                close()
        if error.code != "JOURNAL_LOCKED":
            raise
        name = session or next(iter(sessions_at_brokers(journal)), None)
        who = (
            "the program that trades with it" if name is None else f"session {name!r}, if that is what runs,"
        )
        status = "twinstep status" if name is None else f"twinstep status --name {name}"
        raise JournalError(
            f"{error.args[0]}. {who} is reached by {status}, twinstep kill, close and requests; its orders "
            "at the broker can be looked at here once it has ended",
            code="JOURNAL_LOCKED",
        ) from None


def examine_configured(config: Path | None, name: str, *, live: bool = False) -> list[Finding]:
    """Return what `twinstep doctor` says of a broker.

    Raises
    ------
    TwinstepError
        For a configuration that cannot be read, or a broker that there is not.
    """
    from live.brokers.examining import examine_broker

    settings = load_settings(config)
    place = configured_folder(settings.journal.path, None) if live else None
    found = examine_broker(
        dataclasses.replace(settings.broker, name=name), live=live, live_key=settings.live.key,
        switch=None if place is None else configured_switch(place, live=True), config=settings.path,
    )  # fmt: skip
    return [Finding(check.name, check.state, check.detail) for check in found]


def configured_folder(journal: str | Path, folder: str | Path | None) -> Path:
    """Return the folder of the kill switch that belongs to a journal.

    Raises
    ------
    ConfigError
        LIVE_STATE_FOLDER for a journal on a server without a folder.
    """
    from live.kill_files import switch_folder

    if folder is not None:
        return Path(folder).expanduser().absolute()
    if "://" in str(journal):
        raise ConfigError(
            "the journal is on a server, and no folder lies beside it for the kill switch; name one with "
            "--folder",
            code="LIVE_STATE_FOLDER",
        )
    return switch_folder(journal)


def configured_switch(folder: Path, *, live: bool) -> KillSwitch:
    """Return a switch to look at; nothing is armed or begun by it."""
    from live.kill_switch import KillSwitch

    return KillSwitch(folder, scope="live" if live else "paper", arm_fresh=False)


def desk_account(settings: BrokerSettings, *, live: bool) -> str:
    """Return the name of the desk: books of paper and of real money never meet."""
    return f"{settings.name}:{'live' if live else 'paper'}"


def broker_name(settings: BrokerSettings, session: str | None) -> str:
    """Return the name under which a desk has its broker: sessions know theirs by a word of their own."""
    from live.following.session import BROKER_NAME

    return settings.name if session is None else BROKER_NAME


def sessions_at_brokers(journal: str | Path) -> list[str]:
    """Return the sessions of a journal that have sent orders; none where there is no journal yet."""
    from sqlalchemy import select

    from journal.database import Database
    from journal.schema import orders
    from live.following.session import BROKER_NAME

    if "://" not in str(journal) and not Path(journal).expanduser().exists():
        return []
    asked = select(orders.c.account).where(orders.c.broker == BROKER_NAME).distinct()
    with Database(journal, read_only=True) as database, database.read() as connection:
        return sorted(str(row[0]) for row in connection.execute(asked))


def sessions_begun(journal: str | Path) -> list[str]:
    """Return the sessions of a journal that trade at a broker, with an order or without one yet."""
    from sqlalchemy import func, select

    from journal.database import Database
    from journal.schema import inputs, sessions

    known = sessions_at_brokers(journal)
    if "://" not in str(journal) and not Path(journal).expanduser().exists():
        return known
    # the account is the first that such a session notes, before its first bar
    asked = (
        select(sessions.c.name)
        .join(inputs, inputs.c.session_id == sessions.c.id)
        .where(inputs.c.kind == "note", func.substr(inputs.c.data, 1, len(_ACCOUNT)) == _ACCOUNT)
        .distinct()
    )
    with Database(journal, read_only=True) as database, database.read() as connection:
        return sorted({*known, *(str(row[0]) for row in connection.execute(asked))})


def check_session(journal: str | Path, session: str | None) -> None:
    """Refuse a session that the journal does not have, and none where it has the orders of sessions.

    Raises
    ------
    ConfigError
        CLI_SESSION.
    """
    known = sessions_at_brokers(journal) if session is None else sessions_begun(journal)
    if session is None and known:
        raise ConfigError(
            f"{journal} keeps the orders of {', '.join(map(repr, known))}, which a desk of its own would "
            "take for somebody else's; name the session with --session, or another --journal for orders by "
            "hand",
            code="CLI_SESSION",
        )
    if session is not None and session not in known:
        there = f"there are {', '.join(map(repr, known))}" if known else "there is none"
        raise ConfigError(f"{journal} has no session {session!r} at a broker; {there}", code="CLI_SESSION")
