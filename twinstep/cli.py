"""The command `twinstep`: parses, wires, prints. It holds no logic.

Errors are one line on standard error, `error [CODE]: message`, never a traceback: `--debug` anywhere on the
line shows one. Exit codes: 0 done; 1 something unforeseen; 2 wrong input; 3 a check found something (leaks,
bad bars, a failed self-test); 130 interrupted.

This module and the command modules import nothing heavy: a command imports what it needs when it runs, so
that `twinstep --help` does not wait for numba.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from simulator.errors import TwinstepError
from twinstep.commands import (
    alerts,
    backtest,
    broker,
    chain,
    closing,
    compare,
    config,
    counterfactuals,
    dashboard,
    data,
    desk,
    doctor,
    exchange,
    iv,
    journal,
    kill,
    learn,
    live,
    lookahead,
    optimize,
    paper,
    parameters,
    report,
    runs,
    scan,
    strategies,
    sweep,
    trials,
)
from twinstep.console import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_UNFORESEEN, note, one_line_warnings

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="twinstep",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:\n\n\b\n  twinstep backtest donchian-breakout --report out/report.html",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from twinstep import __version__

        typer.echo(f"twinstep {__version__}")
        raise typer.Exit


@app.callback()
def front(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and libraries' warnings.")] = False,
) -> None:
    """Backtest strategies with bracket and trailing orders under one risk manager."""


RUN: Final = "Run"
TRADE: Final = "Trade"
REMEMBER: Final = "Remember"
LOOK: Final = "Look"
SETUP: Final = "Set up"

app.command("backtest", epilog=backtest.EXAMPLES, rich_help_panel=RUN)(backtest.backtest)
app.command("sweep", epilog=sweep.EXAMPLES, rich_help_panel=RUN)(sweep.sweep)
app.command("compare", epilog=compare.EXAMPLES, rich_help_panel=RUN)(compare.compare)
app.add_typer(optimize.app, name="optimize", rich_help_panel=RUN)
app.command("trials", epilog=trials.EXAMPLES, rich_help_panel=RUN)(trials.trials)
app.add_typer(runs.app, name="runs", rich_help_panel=RUN)
app.command("lookahead", epilog=lookahead.EXAMPLES, rich_help_panel=LOOK)(lookahead.lookahead)
app.command("paper", epilog=paper.PAPER_EXAMPLES, rich_help_panel=TRADE)(paper.paper)
app.command("live", epilog=live.EXAMPLES, rich_help_panel=TRADE)(live.live)
app.command("parity", epilog=paper.PARITY_EXAMPLES, rich_help_panel=TRADE)(paper.parity)
app.command("requests", epilog=desk.REQUESTS_EXAMPLES, rich_help_panel=TRADE)(desk.requests)
app.command("approve", epilog=desk.APPROVE_EXAMPLES, rich_help_panel=TRADE)(desk.approve)
app.command("reject", epilog=desk.REJECT_EXAMPLES, rich_help_panel=TRADE)(desk.reject)
app.command("close", epilog=closing.CLOSE_EXAMPLES, rich_help_panel=TRADE)(closing.close)
app.command("close-all", epilog=closing.CLOSE_ALL_EXAMPLES, rich_help_panel=TRADE)(closing.close_all)
app.command("kill", epilog=kill.KILL_EXAMPLES, rich_help_panel=TRADE)(kill.kill)
app.command("arm", epilog=kill.ARM_EXAMPLES, rich_help_panel=TRADE)(kill.arm)
app.command("status", epilog=kill.STATUS_EXAMPLES, rich_help_panel=TRADE)(kill.status)
app.command("exchange", epilog=exchange.EXAMPLES, rich_help_panel=TRADE)(exchange.exchange)
app.command("dashboard", epilog=dashboard.EXAMPLES, rich_help_panel=TRADE)(dashboard.dashboard)
app.add_typer(broker.app, name="broker", rich_help_panel=TRADE)
app.add_typer(alerts.app, name="alerts", rich_help_panel=TRADE)
app.command("strategies", rich_help_panel=LOOK)(strategies.strategies)
app.command("doctor", rich_help_panel=LOOK)(doctor.doctor)
app.add_typer(data.app, name="data", rich_help_panel=LOOK)
app.command("scan", epilog=scan.EXAMPLES, rich_help_panel=LOOK)(scan.scan)
app.command("iv", epilog=iv.EXAMPLES, rich_help_panel=LOOK)(iv.iv)
app.add_typer(chain.app, name="chain", rich_help_panel=LOOK)
app.add_typer(journal.app, name="journal", rich_help_panel=REMEMBER)
app.add_typer(parameters.app, name="parameters", rich_help_panel=REMEMBER)
app.command("learn", epilog=learn.LEARN_EXAMPLES, rich_help_panel=REMEMBER)(learn.learn)
app.command("counterfactuals", epilog=counterfactuals.EXAMPLES, rich_help_panel=REMEMBER)(
    counterfactuals.counterfactuals
)
app.command("report", epilog=report.EXAMPLES, rich_help_panel=REMEMBER)(report.report)
app.command("new-strategy", epilog=strategies.EXAMPLES, rich_help_panel=SETUP)(strategies.new_strategy)
app.add_typer(config.app, name="config", rich_help_panel=SETUP)


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read the output has stopped, as `| head` does; else Python would complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are already written."""
    rest = [argument for argument in arguments if argument != "--debug"]
    debug = len(rest) < len(arguments) or bool(os.environ.get("TWINSTEP_DEBUG"))
    with one_line_warnings(everything=debug):
        try:
            code = app(rest, prog_name="twinstep", standalone_mode=False)
        except TwinstepError as error:
            if debug:
                raise
            note(f"error [{error.code}]: {' '.join(str(error.args[0]).split())}")
            return EXIT_INPUT
        except typer.TyperException as error:
            return _usage(error)
        except typer.Abort:
            code = EXIT_INTERRUPTED
        except Exception as error:
            if debug:
                raise
            words = " ".join(str(error).split())
            note(f"error [CLI_UNFORESEEN]: {type(error).__name__}: {words} (add --debug for the traceback)")
            return EXIT_UNFORESEEN
    if code == EXIT_INTERRUPTED:
        note("interrupted")
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        note(error.format_message())
        return EXIT_INPUT
    where = f" (see: {context.command_path} --help)" if context is not None else ""
    words = " ".join(error.format_message().split()).rstrip(".")
    note(f"error [CLI_USAGE]: {words}{_refused(error)}{where}")
    return EXIT_INPUT


def _refused(error: typer.TyperException) -> str:
    """Return the value of the wrong kind; the parser says it only in the cause of its error."""
    causes: Sequence[dict[str, object]] = getattr(error.__cause__, "errors", tuple)()
    return f"; given: {causes[0]['input']!r}" if causes else ""
