"""`twinstep dashboard`: pages on this machine that show account, queue and journal, and let a person act."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, note
from twinstep.journals import JournalPath

if TYPE_CHECKING:
    import threading

    from twinstep.dashboard import Dashboard

__all__ = ["EXAMPLES", "dashboard"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep dashboard\n"
    "  twinstep dashboard --journal desk.db --name trend --open\n"
    "  twinstep dashboard --journal desk.db --link"
)

SERVER: Final = "Server"
PORT: Final = 8417
_LOOK_SECONDS: Final = 0.2
_ASK_SECONDS: Final = 5.0


def dashboard(
    journal: JournalPath = None,
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Folder of kill switch and review queue; without it, that of the journal.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The session to show; without it, the one that was stepped last.",
            show_default=False,
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Print a new login link of the dashboard that runs, and end."),
    ] = False,
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65_535, help="0 takes a free one.", rich_help_panel=SERVER),
    ] = PORT,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. One that other machines reach needs --allow-host, and TLS in front.",
            rich_help_panel=SERVER,
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A further name by which browsers may call it. May be repeated.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the account, the review queue and the kill switch in a browser, until Ctrl-C.

    The link that is printed logs in once. A dashboard never writes to the journal, and ending it changes
    nothing for a session.
    """
    from twinstep import switches

    place = switches.folder_of(folder, journal)
    if link:
        emit(_new_link(place))
        return
    from live.serving import until_signal
    from twinstep.dashboard import Dashboard

    shown = Dashboard(
        switches.journal_file(journal), folder=place, session=name, host=host, port=port,
        allow_hosts=allow_host or (),
    )  # fmt: skip
    with until_signal() as ended, shown:
        address = shown.link()
        emit(f"dashboard of {shown.reader.journal}")
        emit(address)
        sys.stdout.flush()
        note("the link logs in once; twinstep dashboard --link prints another. Ctrl-C ends it")
        if open_browser:
            import webbrowser

            webbrowser.open(address)
        _wait(shown, ended)


def _wait(shown: Dashboard, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SECONDS) and shown.serving:
        pass


def _new_link(place: Path) -> str:
    """Ask the dashboard that runs on a folder for a link; raises CLI_NO_DASHBOARD."""
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    from twinstep.dashboard.server import TOKEN_FILE

    try:
        found = json.loads((place / TOKEN_FILE).read_text(encoding="ascii"))
        request = Request(  # noqa: S310 - the address is that of our own file
            f"{found['url']}/do/link",
            data=b"{}",
            headers={"authorization": f"Bearer {found['token']}", "content-type": "application/json"},
        )
        with urlopen(request, timeout=_ASK_SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["link"])
    except (OSError, URLError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"no dashboard answers for {place} ({error}); start one with twinstep dashboard",
            code="CLI_NO_DASHBOARD",
        ) from error
