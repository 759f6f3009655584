"""`twinstep doctor`: is this machine fit, and if not, what is missing."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import EXIT_FOUND, emit, emit_json, table, working
from twinstep.options import ConfigFile, Json

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep doctor\n  twinstep doctor --quick --json\n  twinstep doctor --broker alpaca"
)


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Do not start the engine.")] = False,
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker",
            metavar="NAME",
            help="Examine this broker, not the machine: credentials, permissions, clock, data, options.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="With --broker: the account of real money, behind its locks.")
    ] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Check that this machine is fit to run.

    Versions, the engine and its compiled code, the configuration, the data cache, SQLite, optional
    packages, disk space. With --broker that broker is asked instead; nothing is ordered there.
    Exit code 3 if something does not work; a note alone is no failure.
    """
    from twinstep.checks import PROBLEM, examine

    if live and broker is None:
        raise ConfigError("--live belongs to --broker", code="CLI_USAGE")
    with working("examining"):
        if broker is None:
            findings = examine(config, start_engine=not quick)
        else:
            from twinstep.broker_desk import examine_configured

            findings = examine_configured(config, broker, live=live)
    failed = any(finding.state == PROBLEM for finding in findings)
    if as_json:
        emit_json({"ok": not failed, "findings": [finding.as_dict() for finding in findings]})
    else:
        table(
            ["", "what", "finding"], [[finding.state, finding.name, finding.detail] for finding in findings]
        )
        fit = "Fit to run." if broker is None else "Nothing is in the way of an order."
        emit("Something does not work; see the lines marked 'problem'." if failed else fit)
    if failed:
        raise typer.Exit(EXIT_FOUND)
