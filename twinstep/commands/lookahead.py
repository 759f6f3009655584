"""`twinstep lookahead`: whether a strategy sees the future."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import EXIT_FOUND, emit, emit_json, progress_bar, working
from twinstep.options import ConfigFile, Json, Param, Set, Spec
from twinstep.parameters import parse_parameters
from twinstep.wiring import describe_bars, find_strategy

__all__ = ["EXAMPLES", "lookahead"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep lookahead donchian-breakout --start 2008-01-01 --end 2009-12-31\n"
    "  twinstep lookahead my_idea.py:MyIdea --warmup"
)

DEFAULT_BARS: Final = 600
"""Bars used unless dates or --last say otherwise: the time of a proof grows with their square."""


@bundled
def lookahead(
    strategy: Spec,
    market: Market,
    param: Param = None,
    every: Annotated[int, typer.Option(help="Distance of the cuts in bars; 1 proves every bar.")] = 1,
    last: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Use only so many bars at the end; {DEFAULT_BARS} where no dates are given.",
            show_default=False,
        ),
    ] = None,
    warmup: Annotated[
        bool, typer.Option("--warmup", help="Also measure how much a longer history changes the last values.")
    ] = False,
    config: ConfigFile = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Prove that a strategy does not see the future.

    The strategy runs on the first 1, 2, 3, … bars, and every answer is compared with the one before: signals
    that change once later bars are known look ahead. Exit code 3 if there are any.
    """
    settings = settings_of(market, Account(config=config, changes=changes))
    chosen = find_strategy(strategy, parse_parameters(param or ()))
    bars = market.bars(settings)
    head = describe_bars(bars)
    if last is None and settings.data.start is None and settings.data.end is None:
        last = DEFAULT_BARS
    kept = bars if last is None else bars[max(0, len(bars) - last) :]
    from strategies.lookahead import lookahead as prove
    from strategies.lookahead import warmup_report

    with progress_bar("truncated runs") as progress:
        report = prove(chosen, kept, every=every, progress=progress)
    measured = None
    if warmup:
        with working("warm-up"):
            measured = warmup_report(chosen, bars)
    if as_json:
        emit_json(
            {"data": head, "lookahead": report.to_dict(), "warmup": measured.to_dict() if measured else None}
        )
    else:
        emit(report.summary())
        if measured is not None:
            emit()
            emit(measured.summary())
    if not report.passed:
        raise typer.Exit(EXIT_FOUND)
