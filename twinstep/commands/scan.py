"""`twinstep scan`: premium opportunities of a chain, best first, each with a size.

With `--journal` the scan remembers: it uses the learned settings in force, shows how past trades in each
symbol went and ranks by it, shows what a model of closed trades expects where it may say so, and logs what it
recommends.
"""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, JournalError
from simulator.opportunity import describe_legs
from twinstep.console import emit, emit_json, note, print_table
from twinstep.journals import JournalSource, leave, place, writing
from twinstep.options import Json

if TYPE_CHECKING:
    from journal.trade_journal import TradeJournal
    from simulator.opportunity import QualitySource
    from strategies.options_scanner import OptionsScanner

__all__ = ["EXAMPLES", "scan"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep scan\n"
    "  twinstep scan chain.parquet --iv-rank 62 --account-size 46000\n"
    "  twinstep scan chain.parquet --iv-rank 62 --journal trade_journal.db\n"
    "  twinstep scan snapshots/ --symbol SPX --min-iv-rank 30 --rejected\n"
    "  twinstep scan --journal trade_journal.db --source paper --log-refused"
)


def scan(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A chain's file or folder, or a folder of snapshots; else the bundled S&P 500, modelled.",
            show_default=False,
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Underlying of the snapshots.", show_default=False)
    ] = None,
    min_iv_rank: Annotated[
        float | None, typer.Option(metavar="0-100", help="Least IV rank.", show_default=False)
    ] = None,
    iv_rank: Annotated[
        float | None,
        typer.Option(
            metavar="0-100", help="IV rank now, where the source has no history.", show_default=False
        ),
    ] = None,
    target_dte: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Days to expiry to look for.", show_default=False)
    ] = None,
    account_size: Annotated[
        float, typer.Option(metavar="AMOUNT", help="Equity that sizes are worked out for.")
    ] = 46_000.0,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="List what was rejected too, with the filter that did it.")
    ] = False,
    journal: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Use what this journal has learned, show past trades, and log every recommendation in it.",
            rich_help_panel="Journal",
            show_default=False,
        ),
    ] = None,
    log_refused: Annotated[
        bool,
        typer.Option(
            "--log-refused",
            help="Log, too, what IV rank, days to expiry or the blacklist alone kept out, up to 20 packages "
            "a day: their outcomes are what a lower threshold is judged by.",
            rich_help_panel="Journal",
        ),
    ] = False,
    trades: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Scan option chains for premium to sell."""
    from strategies import OptionsScanner, PositionSizer

    if trades is not None and journal is None:
        raise ConfigError(
            "--source says whose trades of a journal; name one with --journal", code="CLI_SOURCE"
        )
    if log_refused and journal is None:
        raise ConfigError(
            "--log-refused writes into a journal; name one with --journal", code="CLI_EXCLUSIVE"
        )
    if symbol is not None and source is None:
        raise ConfigError(
            f"--symbol {symbol} chooses among the snapshots of a folder, and no SOURCE is named; the bundled "
            "market is SPX alone",
            code="CLI_SYMBOL",
        )
    market = _market(source, symbol, iv_rank)
    with nullcontext() if journal is None else writing(place(journal, trades), begin=True) as memory:
        scanner = OptionsScanner(
            market, min_iv_rank=min_iv_rank, target_dte=target_dte, journal=memory, parameters=memory,
            quality=_quality(memory),
        )  # fmt: skip
        found = scanner.scan_for_opportunities()
        sizer = PositionSizer(account_size=account_size)
        sizes = [sizer.calculate_position_details(opportunity) for opportunity in found]
        logged = None if memory is None else _log(memory, found, sizes)
        passed_over = _log_refused(memory, scanner) if log_refused and memory is not None else None
        if logged and memory is not None and memory.source == "live" and scanner.grade == "modelled":
            note("modelled quotes were logged as live; --source paper keeps them apart")
    candidates = scanner.candidates
    refused = candidates[~candidates["accepted"].astype(bool)]
    if as_json:
        emit_json(_document(scanner, found, sizes, candidates if rejected else None, logged, passed_over))
        return
    emit(f"{scanner!r}")
    for line in scanner.notes:
        emit(line)
    if found:
        print_table(scanner.table())
        for number, (opportunity, size) in enumerate(zip(found, sizes, strict=True)):
            rec = "" if not logged else f"rec {logged[number]:<4} "
            emit(f"{rec}{opportunity.strategy:18} {describe_legs(opportunity.legs)}: {size}")
            if opportunity.past is not None:
                emit(f"{'':18} past trades in {opportunity.symbol}: {opportunity.past}")
            if opportunity.quality is not None:
                emit(f"{'':18} quality: {opportunity.quality}")
    emit(f"{len(found)} opportunities of {len(candidates)} candidates, quotes {scanner.grade}")
    if passed_over is not None:
        count = len(passed_over)
        emit(
            f"logged {count} that nobody is to take" if count else "nothing new to log among what is refused"
        )
    if rejected and len(refused):
        emit(refused[["symbol", "strategy", "legs", "filter", "reason"]].to_string(index=False))


def _log(journal: TradeJournal, found: list[Any], sizes: list[Any]) -> list[int | str]:
    """Log recommendations, or leave them in the inbox, and return their numbers or the ids of commands."""
    logged: list[int | str] = []
    for opportunity, size in zip(found, sizes, strict=True):
        arguments = {
            "opp": opportunity, "sizing": size, "reason": "Scanner auto-generated", "source": journal.source,
        }  # fmt: skip
        try:
            logged.append(journal.apply("log_recommendation", arguments))
        except JournalError as error:
            if error.code != "JOURNAL_LOCKED":
                raise
            logged.append(leave(journal, "log_recommendation", arguments))
    queued = sum(isinstance(one, str) for one in logged)
    if queued:
        note(f"another process writes to {journal.database.name}: left {queued} commands in its inbox")
    return logged


def _log_refused(journal: TradeJournal, scanner: OptionsScanner) -> list[int]:
    """Log what the scanner's bounds alone kept out, where no other process writes; returns the numbers."""
    from optimize.tuning.refused import log_refused

    try:
        return log_refused(journal, scanner)
    except JournalError as error:
        if error.code != "JOURNAL_LOCKED":
            raise
        note(f"another process writes to {journal.database.name}: what is refused was not logged this time")
        return []


def _quality(journal: TradeJournal | None) -> QualitySource | None:
    """Return who says what closed trades came to, None without a journal."""
    if journal is None:
        return None
    from optimize.quality import JournalQuality

    return JournalQuality(journal)


def _market(source: str | None, symbol: str | None, iv_rank: float | None) -> Any:
    if source is None:
        return None
    from simulator.options import load_chain
    from strategies.scanner_market import ScanMarket

    if symbol is not None and iv_rank is None:
        return ScanMarket.from_folder(source, symbol)
    return ScanMarket.from_chain(load_chain(source), iv_rank=iv_rank)


def _document(
    scanner: Any,
    found: list[Any],
    sizes: list[Any],
    candidates: Any,
    logged: list[int | str] | None,
    passed_over: list[int] | None,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "grade": scanner.grade,
        "settings": dataclasses.asdict(scanner.settings),
        "learned": scanner.learned,
        "notes": list(scanner.notes),
        "opportunities": [
            {**dataclasses.asdict(opportunity), "sizing": dataclasses.asdict(size)}
            for opportunity, size in zip(found, sizes, strict=True)
        ],
        "logged": logged,
        "logged_refused": passed_over,
    }
    if candidates is not None:
        document["candidates"] = candidates.to_dict(orient="records")
    return document
