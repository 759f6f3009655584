"""`twinstep alerts`: try the addresses before they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import EXIT_FOUND, emit, emit_json
from twinstep.options import ConfigFile, Json, Set

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep alerts test\n  TWINSTEP_ALERTS='tgram://token/chat' twinstep alerts test"
)

app = typer.Typer(
    no_args_is_help=True,
    help="Mail, SMS, Telegram, Slack, desktop: try what tells you while you are away.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)


@app.callback()
def front() -> None:
    """Keep `test` a command of its own: without this, typer would make it the whole group."""


@app.command("test")
def try_addresses(
    config: ConfigFile = None,
    changes: Set = None,
    text: Annotated[
        str, typer.Option("--text", metavar="TEXT", help="What the message says.")
    ] = "This is a test. Whoever reads it will hear of stops, halts and frozen feeds.",
    as_json: Json = False,
) -> None:
    """Send a message to every address of the configuration, and say which it reached.

    Addresses are called by their scheme and place, and never shown. Exit code 3 where one was not reached.
    """
    from live.alerting.addresses import ENVIRONMENT, addresses, targets
    from twinstep.config import load_settings

    alerts = load_settings(config, changes=changes or ()).alerts
    urls = addresses(alerts.urls, alerts.file)
    if not urls:
        raise ConfigError(
            f"there is nobody to tell: set [alerts] urls or file, or the environment variable {ENVIRONMENT}",
            code="ALERT_NOBODY",
        )
    reached = {one.name: _reached(one.deliver, text) for one in targets(list(urls))}
    if as_json:
        emit_json({"reached": reached})
    else:
        for name, well in reached.items():
            emit(f"{name}: {'sent' if well else 'NOT reached'}")
    if not all(reached.values()):
        raise typer.Exit(EXIT_FOUND)


def _reached(deliver: Callable[[str, str], bool], text: str) -> bool:
    try:
        return deliver("Twinstep", text)
    except Exception:
        # its text may hold the address
        return False
