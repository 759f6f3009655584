"""What the commands of `twinstep broker` share: their options, and the desk that they work at.

A journal in which sessions of `twinstep live` trade keeps the orders under the names of the sessions, so a
desk is opened either for an account of one's own or for that of a session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from simulator.errors import TwinstepError

if TYPE_CHECKING:
    from live.brokers.interface import BrokerInterface
    from live.opening import Desk
    from twinstep.config import Settings

__all__ = ["AtDesk", "Folder", "Live", "SessionName", "Yes", "at_desk", "place_of"]

Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Real money: needs key = true in section live of the configuration and an armed switch of scope "
        "live too; without it, paper.",
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Of the kill switch; beside the journal by default.",
        show_default=False,
    ),
]
SessionName = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="NAME",
        help="The session of `twinstep live` whose account it is.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class AtDesk(NamedTuple):
    """A desk, and what it calls its broker."""

    desk: Desk
    name: str

    @property
    def broker(self) -> BrokerInterface:
        """The broker itself, for questions."""
        return self.desk.manager.known(self.name)


@contextmanager
def at_desk(
    settings: Settings,
    journal: str | None,
    folder: str | None,
    session: str | None,
    *,
    live: bool,
    armed: bool = False,
) -> Iterator[AtDesk]:
    """Open the desk that the configuration names, as `desk_at_broker`, and end its connections afterwards.

    What the broker does not answer, or refuses, is raised with what to do about it.

    Raises
    ------
    TwinstepError
        As `desk_at_broker`; BrokerError LIVE_NO_ANSWER for a library's own error of its connection.
    """
    try:
        with _opened(settings, journal, folder, session, live=live, armed=armed) as at:
            yield at
    except (TwinstepError, OSError) as error:
        from live.brokers.examining import advised

        told = advised(error, settings.broker.name)
        if told is None:
            raise
        raise told from None


@contextmanager
def _opened(
    settings: Settings,
    journal: str | None,
    folder: str | None,
    session: str | None,
    *,
    live: bool,
    armed: bool,
) -> Iterator[AtDesk]:
    from twinstep.broker_desk import broker_name, desk_at_broker

    with desk_at_broker(
        settings, journal=journal or settings.journal.path, folder=folder, live=live, armed=armed,
        session=session,
    ) as desk:  # fmt: skip
        try:
            yield AtDesk(desk, broker_name(settings.broker, session))
        finally:
            for one in desk.manager.brokers.values():
                close = getattr(one, "close", None)
                if close is not None:
                    close()


def place_of(settings: Settings, *, live: bool) -> str:
    """Return where an order would go, for the question before it."""
    return f"{settings.broker.name}, {'REAL MONEY' if live else 'paper'}"
