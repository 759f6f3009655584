"""`twinstep doctor`: is this machine fit, and if not, what is missing."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from twinstep.console import EXIT_FOUND, emit, emit_json, table, working
from twinstep.options import ConfigFile, Json

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES: Final = "Examples:\n\n\b\n  twinstep doctor\n  twinstep doctor --quick --json"


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Do not start the engine.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Check that this machine is fit to run.

    Versions, the engine and its compiled code, the configuration, the data cache, SQLite, optional
    packages, disk space.
    Exit code 3 if something does not work; a note alone is no failure.
    """
    from twinstep.checks import PROBLEM, examine

    with working("examining"):
        findings = examine(config, start_engine=not quick)
    failed = any(finding.state == PROBLEM for finding in findings)
    if as_json:
        emit_json({"ok": not failed, "findings": [finding.as_dict() for finding in findings]})
    else:
        table(
            ["", "what", "finding"], [[finding.state, finding.name, finding.detail] for finding in findings]
        )
        emit("Something does not work; see the lines marked 'problem'." if failed else "Fit to run.")
    if failed:
        raise typer.Exit(EXIT_FOUND)
