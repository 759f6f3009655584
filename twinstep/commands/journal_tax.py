"""`twinstep journal tax`: realised gains, open lots, wash sales, and what could be harvested."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, emit_json, note, table
from twinstep.journals import JournalPath, JournalSource, day, place, reading
from twinstep.options import Json

if TYPE_CHECKING:
    from journal.tax.matching import Method
    from journal.tax_lots import HarvestCandidate, TaxReport

__all__ = ["EXAMPLES", "tax"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal tax --year 2026 --csv form8949.csv\n"
    "  twinstep journal tax --method hifo --harvest AAPL=180.50 --harvest MSFT=410"
)


def tax(
    method: Annotated[
        str, typer.Option(metavar="fifo|lifo|hifo|specific", help="Which lot a sale takes.")
    ] = "fifo",
    year: Annotated[
        int | None, typer.Option(metavar="YEAR", help="Only gains of this year.", show_default=False)
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this account. May be repeated.", show_default=False),
    ] = None,
    no_wash_sales: Annotated[
        bool, typer.Option("--no-wash-sales", help="Leave wash sales out of account.")
    ] = False,
    harvest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYMBOL=PRICE",
            help="List open lots that stand at a loss at this price. May be repeated.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Day of the sale to harvest; today by default.", show_default=False
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write gains with the columns of Form 8949.", show_default=False),
    ] = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Work out realised gains from the fills of the journal; a working paper, no tax advice."""
    from journal.tax_lots import tax_report

    chosen = place(journal, source)
    prices = _prices(harvest or ())
    sale = day("--on", on) or datetime.now(UTC)
    with reading(chosen) as opened:
        report = tax_report(
            opened, cast("Method", method), source=chosen.one_source, accounts=account or None,
            wash_sales=not no_wash_sales,
        )  # fmt: skip
    candidates = report.harvest(prices, sale.date())
    if as_json:
        emit_json(_document(report, candidates, year))
    else:
        _show(report, candidates, year, harvested=bool(prices))
    if csv is not None:
        note(f"wrote {report.to_csv(csv, year=year)}")


def _prices(given: tuple[()] | list[str]) -> dict[str, float]:
    prices = {}
    for text in given:
        symbol, _, price = text.rpartition("=")
        try:
            prices[symbol] = float(price)
        except ValueError:
            symbol = ""
        if not symbol:
            raise ConfigError(
                f"--harvest {text!r} is no SYMBOL=PRICE; write AAPL=180.50", code="CLI_PRICE"
            ) from None
    return prices


def _document(
    report: TaxReport, candidates: tuple[HarvestCandidate, ...], year: int | None
) -> dict[str, Any]:
    return {
        "method": report.method,
        "source": report.source,
        "year": year,
        "totals": {term: report.total(term, year=year) for term in ("short", "long")},
        "gains": [asdict(one) for one in report.gains if year in (None, one.closed.year)],
        "open_lots": [asdict(one) for one in report.open_lots],
        "unmatched": report.unmatched,
        "harvest": [asdict(one) for one in candidates],
    }


def _show(
    report: TaxReport, candidates: tuple[HarvestCandidate, ...], year: int | None, *, harvested: bool
) -> None:
    gains = [one for one in report.gains if year in (None, one.closed.year)]
    table(
        ("symbol", "quantity", "opened", "closed", "proceeds", "basis", "code", "disallowed", "gain", "term"),
        [
            (one.symbol, f"{one.side * one.quantity:+,g}", one.opened, one.closed, f"{one.proceeds:,.2f}",
             f"{one.basis:,.2f}", one.code or "-", f"{one.disallowed:,.2f}", f"{one.gain:+,.2f}", one.term)
            for one in gains
        ],
        title=f"{len(gains)} gains by {report.method}, {report.source}",
    )  # fmt: skip
    for term in ("short", "long"):
        emit(f"{term}-term: {report.total(term, year=year):+,.2f}")
    emit(f"{len(report.open_lots)} open lots")
    for line in report.unmatched:
        emit(f"unmatched: {line}")
    if harvested:
        table(
            ("symbol", "quantity", "opened", "price", "loss", "term", "deferred", "clear from", "rebuy from"),
            [
                (one.lot.symbol, f"{one.lot.quantity:,g}", one.lot.opened, f"{one.price:,.2f}",
                 f"{one.loss:+,.2f}", one.term, f"{one.deferred_now:,.2f}", one.clear_from, one.rebuy_from)
                for one in candidates
            ],
            title=f"{len(candidates)} lots to harvest",
        )  # fmt: skip
    emit("A working paper, no tax advice.")
