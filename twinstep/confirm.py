"""Asking a person to type what is meant, before money moves."""

from __future__ import annotations

import sys

import typer

from simulator.errors import ConfigError
from twinstep.console import note

__all__ = ["confirm"]


def confirm(what: str, wanted: str, *, yes: bool) -> None:
    """Let a person type what is meant; without a terminal only --yes will do.

    Raises
    ------
    ConfigError
        CLI_CONFIRM for anything else; nothing was done then.
    """
    if yes:
        return
    note(what)
    if not sys.stdin.isatty():
        raise ConfigError(
            "this moves money, and nobody is here to confirm it; nothing was done. Add --yes to do it",
            code="CLI_CONFIRM",
        )
    typed = typer.prompt(f"Type {wanted!r} to do it", default="", show_default=False, err=True)
    if " ".join(str(typed).split()).casefold() != wanted.casefold():
        raise ConfigError(f"{typed!r} is not {wanted!r}; nothing was done", code="CLI_CONFIRM")
