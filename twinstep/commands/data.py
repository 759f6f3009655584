"""`twinstep data`: fetch, check and show bars."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twinstep.console import EXIT_FOUND, emit, emit_json, table
from twinstep.options import ConfigFile, End, Json, Set, Start, Symbols, Timeframe, settings_from
from twinstep.wiring import describe_bars, read_bars, sector_warning, title

if TYPE_CHECKING:
    from simulator.bars import Bars
    from twinstep.config import Settings

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep data show sample:stocks\n"
    "  twinstep data check prices/ --json\n"
    "  twinstep data fetch yfinance:AAPL,MSFT --start 2015-01-01"
)

SHOWN_FINDINGS: Final = 20

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch, check and show bars.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)

Where = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="As --data of backtest; without it, what the configuration says, else sample:stocks.",
        show_default=False,
    ),
]


@app.command("fetch")
def fetch(
    source: Where = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    config: ConfigFile = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Download bars into the cache; only the missing tail is asked for.

    Later runs on the same source need no network.
    """
    bars = read_bars(_settings(source, symbols, start, end, timeframe, config, changes))
    if as_json:
        emit_json({"data": describe_bars(bars)})
        return
    head = describe_bars(bars)
    emit(f"{head['name']}: {head['bars']:,} bars of {len(head['symbols'])} symbols are here")


@app.command("show")
def show(
    source: Where = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    config: ConfigFile = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Show what a source holds: symbols, sectors, span, missing bars, actions."""
    settings = _settings(source, symbols, start, end, timeframe, config, changes)
    bars = read_bars(settings)
    head, rows = describe_bars(bars), _per_symbol(bars)
    facts: dict[str, Any] = {
        "calendar": bars.calendar,
        "prices": "raw" if bars.raw else "adjusted",
        "actions": len(bars.actions),
        "fingerprint": bars.fingerprint,
    }
    if as_json:
        emit_json({"data": head | facts, "symbols": rows})
        return
    emit(f"{title(head)}, {head['bars']:,} bars")
    emit(f"calendar {bars.calendar}, {facts['prices']} prices, {facts['actions']} actions")
    emit(f"fingerprint {bars.fingerprint[:16]}")
    for line in bars.notes:
        emit(f"note: {line}")
    lower = next((symbol for symbol in bars.symbols if symbol != symbol.upper()), None)
    if lower is not None:
        emit(
            f"note: symbols are written as the source has them: {lower} is not {lower.upper()} in a journal, "
            "or beside other bars; rename the file where that is meant"
        )
    _note_sectors(bars, settings)
    table(list(rows[0]), [list(row.values()) for row in rows])


@app.command("check")
def check(
    source: Where = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    config: ConfigFile = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Find bars that cannot be true.

    A high below a low or a price of zero is an error (exit code 3); a jump that looks like a split or a bad
    tick is a note.
    """
    changed = [*(changes or ()), "data.guard=note"]
    settings = _settings(source, symbols, start, end, timeframe, config, changed)
    bars = read_bars(settings)
    from simulator.bars import check as examine

    report = examine(bars)
    head = describe_bars(bars)
    if as_json:
        findings = [asdict(finding) | {"message": str(finding)} for finding in report.findings]
        emit_json({"data": head, "passed": not report.errors, "counts": report.counts, "findings": findings})
    elif not len(report):
        emit(f"{title(head)}: {len(bars):,} bars, nothing found")
    else:
        emit(f"{title(head)}: {len(report):,} findings")
        for rule, count in report.counts.items():
            emit(f"  {count:>6,} {rule}")
        for finding in report.findings[:SHOWN_FINDINGS]:
            emit(str(finding))
        if len(report) > SHOWN_FINDINGS:
            emit(f"… and {len(report) - SHOWN_FINDINGS:,} more; --json lists those that are spelled out")
    if not as_json:
        _note_sectors(bars, settings)
    if report.errors:
        raise typer.Exit(EXIT_FOUND)


def _note_sectors(bars: Bars, settings: Settings) -> None:
    said = sector_warning(bars, settings)
    if said is not None:
        emit(f"note: {said}")


def _settings(
    source: str | None,
    symbols: str | None,
    start: str | None,
    end: str | None,
    timeframe: str | None,
    config: Any,
    changes: list[str] | None,
) -> Settings:
    return settings_from(
        config, changes, source=source, symbols=symbols, start=start, end=end, timeframe=timeframe
    )


def _per_symbol(bars: Bars) -> list[dict[str, Any]]:
    import numpy as np

    present = ~np.isnan(bars.close)
    rows = []
    for column, symbol in enumerate(bars.symbols):
        here = np.flatnonzero(present[:, column])
        first, last = (here[0], here[-1]) if len(here) else (0, -1)
        rows.append(
            {
                "symbol": symbol,
                "sector": bars.sectors[column],
                "bars": len(here),
                "missing": int(last - first + 1 - len(here)),
                "first": bars.index[first].isoformat()[:10] if len(here) else None,
                "last": bars.index[last].isoformat()[:10] if len(here) else None,
                "close": float(bars.close[last, column]) if len(here) else None,
            }
        )
    return rows
