"""`twinstep scan`: premium opportunities of a chain, best first, each with a size."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Final

import typer

from twinstep.console import emit, emit_json, print_table
from twinstep.options import Json

__all__ = ["EXAMPLES", "scan"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep scan\n"
    "  twinstep scan chain.parquet --iv-rank 62 --account-size 46000\n"
    "  twinstep scan snapshots/ --symbol SPX --min-iv-rank 30 --rejected"
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
    as_json: Json = False,
) -> None:
    """Scan option chains for premium to sell."""
    from strategies import OptionsScanner, PositionSizer

    scanner = OptionsScanner(_market(source, symbol, iv_rank), min_iv_rank=min_iv_rank, target_dte=target_dte)
    found = scanner.scan_for_opportunities()
    sizer = PositionSizer(account_size=account_size)
    sizes = [sizer.calculate_position_details(opportunity) for opportunity in found]
    candidates = scanner.candidates
    refused = candidates[~candidates["accepted"].astype(bool)]
    if as_json:
        emit_json(_document(scanner, found, sizes, candidates if rejected else None))
        return
    emit(f"{scanner!r}")
    for line in scanner.notes:
        emit(line)
    if found:
        print_table(scanner.table())
        for opportunity, size in zip(found, sizes, strict=True):
            emit(f"{opportunity.strategy:18} {' '.join(map(str, opportunity.legs))}: {size}")
    emit(f"{len(found)} opportunities of {len(candidates)} candidates, quotes {scanner.grade}")
    if rejected and len(refused):
        emit(refused[["symbol", "strategy", "legs", "filter", "reason"]].to_string(index=False))


def _market(source: str | None, symbol: str | None, iv_rank: float | None) -> Any:
    if source is None:
        return None
    from simulator.options import load_chain
    from strategies.scanner_market import ScanMarket

    if symbol is not None and iv_rank is None:
        return ScanMarket.from_folder(source, symbol)
    return ScanMarket.from_chain(load_chain(source), iv_rank=iv_rank)


def _document(scanner: Any, found: list[Any], sizes: list[Any], candidates: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "grade": scanner.grade,
        "settings": dataclasses.asdict(scanner.settings),
        "notes": list(scanner.notes),
        "opportunities": [
            {**dataclasses.asdict(opportunity), "sizing": dataclasses.asdict(size)}
            for opportunity, size in zip(found, sizes, strict=True)
        ],
    }
    if candidates is not None:
        document["candidates"] = candidates.to_dict(orient="records")
    return document
