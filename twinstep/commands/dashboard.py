"""`twinstep dashboard`: pages on this machine that show account, queue and journal, and let a person act."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, note, working
from twinstep.journals import JournalPath

if TYPE_CHECKING:
    import threading

    from twinstep.dashboard import Dashboard

__all__ = ["EXAMPLES", "dashboard"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep dashboard\n"
    "  twinstep dashboard --journal desk.db --name trend --open\n"
    "  twinstep dashboard --journal desk.db --link\n"
    "  twinstep dashboard --demo --open\n"
    "  twinstep dashboard --demo --screenshots pictures"
)

SERVER: Final = "Server"
PORT: Final = 8417
_LOOK_SECONDS: Final = 0.2
_ASK_SECONDS: Final = 5.0
_NICE: Final = 10


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
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="Show a demonstration over the bundled bars, which goes with the command."
        ),
    ] = False,
    screenshots: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Write pictures of every page, wide and on a phone, light and dark, and end.",
            show_default=False,
        ),
    ] = None,
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

    if demo:
        if journal is not None or folder is not None or name is not None or link:
            raise ConfigError(
                "--demo has a journal of its own: drop --journal, --folder, --name and --link",
                code="CLI_EXCLUSIVE",
            )
        with TemporaryDirectory(prefix="twinstep-") as kept:
            from twinstep.dashboard.demonstration import NAME, make_demonstration

            with working("making the demonstration"):
                made = str(make_demonstration(kept))
            if screenshots is not None:
                _photograph(made, None, NAME, screenshots)
            else:
                _serve(made, None, NAME, host, port, allow_host or (), open_browser=open_browser)
        return
    place = switches.folder_of(folder, journal)
    if link:
        emit(_new_link(place))
        return
    if screenshots is not None:
        _photograph(_file_of(journal), place, name, screenshots)
        return
    _serve(_file_of(journal), place, name, host, port, allow_host or (), open_browser=open_browser)


def _file_of(journal: str | None) -> str:
    from twinstep import switches

    try:
        return switches.journal_file(journal)
    except ConfigError:  # whose advice is a folder, which no dashboard could read a journal from
        raise ConfigError(
            "a dashboard reads a journal in a file, and this one is on a server; --journal names another",
            code="CLI_USAGE",
        ) from None


def _photograph(journal: str, place: Path | None, name: str | None, folder: str) -> None:
    from twinstep.dashboard.pictures import take_pictures

    with working("taking pictures"):
        found = take_pictures(journal, folder, switches=place, session=name)
    emit(f"{len(found)} pictures in {folder}")


def _serve(
    journal: str,
    place: Path | None,
    name: str | None,
    host: str,
    port: int,
    hosts: Sequence[str],
    *,
    open_browser: bool,
) -> None:
    from live.serving import until_signal
    from twinstep.dashboard import Dashboard

    _step_back()
    shown = Dashboard(journal, folder=place, session=name, host=host, port=port, allow_hosts=hosts)
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


def _step_back() -> None:
    """Let a session go first where both want the processor: pages may wait, bars may not."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)


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
