"""`twinstep chain`: show, import and check option chains.

A source is what `simulator.options.load_chain` takes: a CSV or Parquet file or a folder of them, in the
layout of a vendor or the canonical one, which is recognised by its columns unless it is named. Impossible
quotes are dropped and counted; whether quotes are real or modelled is part of every output.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from simulator.errors import ConfigError
from twinstep.chain_files import examined, layouts_of, read_drafts, store_days, store_file
from twinstep.console import EXIT_FOUND, emit, emit_json, table, working
from twinstep.options import OUTPUT, Force, Json

if TYPE_CHECKING:
    from simulator.bars.panel import GuardPolicy
    from simulator.options.chain import Chain
    from simulator.options.chain_guard import ChainReport

__all__ = ["EXAMPLES", "app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep chain show quotes.parquet --expiry 2024-01-19\n"
    "  twinstep chain import vendor/ --out SPX.parquet\n"
    "  twinstep chain import vendor/ --snapshots chains/\n"
    "  twinstep chain check vendor/ --layout optionsdx --symbol SPY --json"
)

SHOWN_FINDINGS: Final = 20
MONTH: Final = 30  # days; the expiry that is shown unless one is named

app = typer.Typer(
    no_args_is_help=True,
    help="Show, import and check option chains.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)

Where = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A CSV or Parquet file of option quotes, or a folder of them.")
]
LayoutName = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Layout of the vendor's file, as optionsdx; without it, what the columns say.",
        show_default=False,
    ),
]
Underlying = Annotated[
    str | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="The underlying, where the source has several or names none.",
        show_default=False,
    ),
]
QuoteTime = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="Quote time of a layout that holds none, as 2024-01-19 (its close) or "
        "2024-01-19T15:45:00-05:00.",
        show_default=False,
    ),
]
Spot = Annotated[
    float | None,
    typer.Option(
        "--spot",
        metavar="PRICE",
        help="Price of the underlying, where the layout holds none.",
        show_default=False,
    ),
]
CalendarName = Annotated[
    str, typer.Option("--calendar", metavar="NAME", help="Exchange calendar of sessions and expiries.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Show the quotes in force at this date or time; without it, the last.",
        show_default=False,
    ),
]
Expiry = Annotated[
    str | None,
    typer.Option(
        "--expiry",
        metavar="DATE",
        help="Expiry whose strikes are shown; without it, the one nearest to 30 days.",
        show_default=False,
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="NAME",
        help="Trading class, where an expiry has several, as SPX and SPXW.",
        show_default=False,
    ),
]
Strikes = Annotated[
    int, typer.Option("--strikes", min=1, help="Strikes to show on either side of the money.")
]


@app.command("show")
def show(
    source: Where,
    at: AsOf = None,
    expiry: Expiry = None,
    root: Root = None,
    strikes: Strikes = 5,
    symbol: Underlying = None,
    layout: LayoutName = None,
    time: QuoteTime = None,
    underlying: Spot = None,
    calendar: CalendarName = "XNYS",
    as_json: Json = False,
) -> None:
    """Show a chain's expiries, and the strikes around the money of one of them."""
    from simulator.options import load_chain
    from simulator.options.chain_time import session_number

    with working(f"reading {source}"):
        chain = load_chain(
            source, layout=layout, symbol=symbol, time=time, underlying=underlying, calendar=calendar
        )
    snapshot = chain.at(at if at is not None else int(chain.times[-1]))
    rows, forwards = _expiries(snapshot)
    if expiry is None:
        wanted = [row for row in rows if root in (None, row["root"])] or rows
        nearest = min(wanted, key=lambda row: abs(int(row["days"]) - MONTH))
        expiry, root = str(nearest["expiry"]), root or str(nearest["root"])
    day = session_number(expiry)
    strip = snapshot.strip(day, root=root)
    around = _around(strip, forwards.get((day, strip.roots[int(strip.root[0])])), strikes)
    head = _head(chain) | {"shown": _when(int(snapshot.times[0])), "underlying": _spot(snapshot)}
    if as_json:
        emit_json({"chain": head, "expiries": rows, "expiry": _date(day), "strikes": around})
        return
    emit(f"{chain!r}")
    money = "unknown" if head["underlying"] is None else f"{head['underlying']:g}"
    emit(f"quotes of {head['shown']}, grade {chain.origin}, underlying {money}")
    _emit_notes(chain)
    table(list(rows[0]), [list(row.values()) for row in rows])
    emit(f"strikes of {_date(day)} around the money")
    table(list(around[0]), [list(row.values()) for row in around])


@app.command("import")
def import_(
    source: Where,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parquet file to write; without it, SYMBOL.parquet in this folder.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a file per session into this folder instead, as `twinstep iv` reads them.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    guard: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="What to do with impossible quotes: drop, note (and keep) or raise an error.",
        ),
    ] = "drop",
    symbol: Underlying = None,
    layout: LayoutName = None,
    time: QuoteTime = None,
    underlying: Spot = None,
    calendar: CalendarName = "XNYS",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Bring a vendor's file or folder into canonical Parquet, and say what was found in it."""
    from simulator.bars.guard import check_policy
    from simulator.options.importers import chain_of

    if out is not None and snapshots is not None:
        raise ConfigError("--out and --snapshots exclude each other; name one", code="CLI_EXCLUSIVE")
    policy: GuardPolicy = cast("GuardPolicy", guard)
    check_policy(policy)
    with working(f"reading {source}"):
        drafts = read_drafts(source, layout, symbol, time, underlying, calendar)
        chain = chain_of(drafts, calendar=calendar, guard=policy)
        report = examined(drafts, calendar)
    files = (
        [store_file(chain, out, force=force)]
        if snapshots is None
        else store_days(chain, snapshots, force=force)
    )
    read = sum(len(draft) for draft in drafts)
    names = layouts_of(source, layout)
    if as_json:
        emit_json(
            {
                "chain": _head(chain),
                "layouts": names,
                "read": read,
                "kept": len(chain),
                "counts": report.counts,
                "files": files,
            }
        )
        return
    emit(f"{chain!r}")
    emit(f"layout {', '.join(names)}; {read:,} quotes read, {len(chain):,} kept, grade {chain.origin}")
    _emit_counts(report)
    if report.errors:
        emit(
            f"impossible quotes are {'kept' if policy == 'note' else 'left out'}: "
            "`twinstep chain check` lists them"
        )
    emit(f"wrote {files[0]}" + (f" and {len(files) - 1:,} more" if len(files) > 1 else ""))


@app.command("check")
def check(
    source: Where,
    symbol: Underlying = None,
    layout: LayoutName = None,
    time: QuoteTime = None,
    underlying: Spot = None,
    calendar: CalendarName = "XNYS",
    as_json: Json = False,
) -> None:
    """Find quotes that cannot be true.

    A bid above the ask or an expiry in the past is an error (exit code 3); a quote that cannot be traded, as
    one without a bid, is a note.
    """
    from simulator.options.chain_guard import ChainReport

    with working(f"reading {source}"):
        drafts = read_drafts(source, layout, symbol, time, underlying, calendar)
        symbols = sorted({draft.symbol for draft in drafts})
        reports = [examined([d for d in drafts if d.symbol == name], calendar) for name in symbols]
    counts: dict[str, int] = {}
    for part in reports:
        for rule, count in part.counts.items():
            counts[rule] = counts.get(rule, 0) + count
    report = ChainReport(tuple(finding for part in reports for finding in part.findings), counts)
    origin = "modelled" if any(draft.origin == "modelled" for draft in drafts) else "real"
    quotes = sum(len(draft) for draft in drafts)
    names = layouts_of(source, layout)
    if as_json:
        emit_json(
            {
                "source": source,
                "layouts": names,
                "symbols": symbols,
                "grade": origin,
                "quotes": quotes,
                "passed": not report.errors,
                "counts": counts,
                "findings": [_finding(finding) for finding in report.findings],
            }
        )
    else:
        what = "nothing found" if not len(report) else f"{len(report):,} findings"
        emit(f"{source}: {', '.join(symbols[:8])}{', …' if len(symbols) > 8 else ''}")
        emit(f"layout {', '.join(names)}; {quotes:,} {origin} quotes, {what}")
        _emit_counts(report)
        for finding in report.findings[:SHOWN_FINDINGS]:
            emit(str(finding))
        if len(report.findings) > SHOWN_FINDINGS:
            emit(f"… and {len(report.findings) - SHOWN_FINDINGS:,} more; --json lists them")
    if report.errors:
        raise typer.Exit(EXIT_FOUND)


def _head(chain: Chain) -> dict[str, Any]:
    return {
        "symbol": chain.symbol,
        "grade": chain.origin,
        "quotes": len(chain),
        "tradeable": int(chain.tradeable.sum()),
        "times": len(chain.times),
        "first": _when(int(chain.times[0])),
        "last": _when(int(chain.times[-1])),
        "expiries": len(chain.expiries),
        "roots": [root for root in chain.roots if root],
        "calendar": chain.calendar,
        "notes": list(chain.notes),
    }


def _expiries(snapshot: Chain) -> tuple[list[dict[str, Any]], dict[tuple[int, str], float]]:
    """Return a row per expiry and root of one snapshot, and the forwards that are known."""
    import numpy as np

    from simulator.options.iv_index import atm_term_structure

    term = atm_term_structure(snapshot)
    rows: list[dict[str, Any]] = []
    forwards: dict[tuple[int, str], float] = {}
    for when, root, forward, iv in zip(
        term["expiry"], term["root"], term["forward"], term["iv"], strict=True
    ):
        day = int(np.datetime64(when, "D").astype(np.int64))
        part = snapshot.select(expiry=day, root=root)
        if np.isfinite(forward):
            forwards[day, root] = float(forward)
        rows.append(
            {
                "expiry": _date(day),
                "root": root,
                "days": int(part.dte[0]),
                "quotes": len(part),
                "tradeable": int(part.tradeable.sum()),
                "lowest": float(part.strike.min()),
                "highest": float(part.strike.max()),
                "forward": float(forward),
                "iv_percent": 100.0 * float(iv),
            }
        )
    return rows, forwards


def _around(strip: Chain, forward: float | None, count: int) -> list[dict[str, Any]]:
    """Return calls and puts side by side, of `count` strikes on either side of the money."""
    import numpy as np

    strikes = np.unique(strip.strike)
    spot = _spot(strip)
    # without parity and without a price of the underlying nobody knows where the money is: the middle then
    money = forward if forward is not None else spot if spot is not None else float(np.median(strikes))
    at = int(np.searchsorted(strikes, money))
    rows = []
    for strike in strikes[max(0, at - count) : at + count]:
        row: dict[str, Any] = {"strike": float(strike)}
        for kind, code in (("call", 1), ("put", -1)):
            found = np.flatnonzero((strip.strike == strike) & (strip.kind == code))
            for name in ("bid", "ask"):
                values = getattr(strip, name)[found]
                row[f"{kind}_{name}"] = float(values[0]) if values.size else None
        rows.append(row)
    return rows


def _spot(chain: Chain) -> float | None:
    import numpy as np

    known = chain.underlying[chain.underlying > 0]
    return float(np.median(known)) if known.size else None


def _finding(finding: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(finding) | {"ts": _when(finding.ts), "grade": finding.grade, "message": str(finding)}


def _emit_counts(report: ChainReport) -> None:
    from simulator.options.chain_guard import ERROR_RULES

    for rule, count in report.counts.items():
        emit(f"  {count:>9,} {rule} ({'error' if rule in ERROR_RULES else 'note'})")


def _emit_notes(chain: Chain) -> None:
    for line in chain.notes[:SHOWN_FINDINGS]:
        emit(f"note: {line}")
    if len(chain.notes) > SHOWN_FINDINGS:
        emit(f"… and {len(chain.notes) - SHOWN_FINDINGS} more; `twinstep chain check` lists them")


def _when(ts: int) -> str:
    import pandas as pd

    return pd.Timestamp(ts, tz="UTC").isoformat()


def _date(day: int) -> str:
    import numpy as np

    return str(np.datetime64(day, "D"))
