"""`twinstep trials`: what has been tried, and what the best of it is worth after so many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import UnknownNameError, did_you_mean
from twinstep.console import emit, emit_json, table
from twinstep.journals import JournalPath, place, reading
from twinstep.options import OUTPUT, Json

if TYPE_CHECKING:
    import pandas as pd

    from optimize.ledger import HypothesisRecord, TrialLedger

__all__ = ["EXAMPLES", "trials"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep trials\n"
    "  twinstep trials sma-cross --top 20\n"
    "  twinstep trials 'sma-cross on 3f2a90c1d4e5' --json"
)

_SPAN: Final = ("first_ts", "last_ts", "sessions")


def trials(
    hypothesis: Annotated[
        str | None,
        typer.Argument(
            metavar="HYPOTHESIS",
            help="Show this one; a part of its name will do. Without it, all are listed.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=0, help="Trials to show of one, best first; 0: all.", rich_help_panel=OUTPUT)
    ] = 10,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Show what has been tried, and what the best of it is worth.

    Backtests, sweeps, comparisons and studies are counted in trials.db beside the journal, the trials that a
    walk-forward runs within its windows as well. Deflated is the probability that the best Sharpe ratio is
    above what the best of so many would show by luck. Sharpe ratios are annual, in --json per session.
    """
    from optimize.ledger import TrialLedger

    chosen = place(journal, None)
    if journal is not None and "://" not in chosen.where:
        with reading(chosen):  # a name that is misspelt, or the file of something else
            pass
    ledger = TrialLedger.beside(chosen.where)
    if hypothesis is None:
        _list(ledger, as_json=as_json)
    else:
        _show(ledger, _named(hypothesis, ledger.hypotheses()), top, as_json=as_json)


def _list(ledger: TrialLedger, *, as_json: bool) -> None:
    found = [ledger.summary(name) for name in ledger.hypotheses()]
    if as_json:
        emit_json(
            {
                "ledger": ledger.name,
                "trials": sum(one.trials for one in found),
                "hypotheses": [dataclasses.asdict(one) for one in found],
            }
        )
        return
    if not found:
        emit(f"no trials are counted in {ledger.name} yet")
        return
    columns = (
        "hypothesis", "trials", "in walk-forwards", "independent", "best Sharpe", "by luck", "deflated"
    )  # fmt: skip
    rows = []
    for one in found:
        year = math.sqrt(one.per_year)
        rows.append(
            (
                one.hypothesis, f"{one.trials:,}", f"{one.walk_forward:,}", f"{one.effective:,.1f}",
                _figure(one.best_sharpe * year), _figure(one.expected_max * year), _figure(one.deflated, 3),
            )
        )  # fmt: skip
    table(columns, rows)
    forward = sum(one.walk_forward for one in found)
    within = f", of which {forward:,} in walk-forward windows" if forward else ""
    every = sum(one.trials for one in found)
    emit(f"trials in {ledger.name}: {every:,}{within}; Sharpe ratios are annual")


def _show(ledger: TrialLedger, hypothesis: str, top: int, *, as_json: bool) -> None:
    record, frame = ledger.summary(hypothesis), ledger.frame(hypothesis)
    sources = {str(name): int(count) for name, count in frame["source"].value_counts().items()}
    # Sharpe ratios over windows of different length do not compare: the longest first
    ranked = frame.sort_values(["sessions", "sharpe"], ascending=False, kind="stable", na_position="last")
    shown = ranked.head(top) if top else ranked
    if as_json:
        rows = [_row(row) for row in shown.to_dict("records")]
        emit_json({"ledger": ledger.name, **dataclasses.asdict(record), "sources": sources, "rows": rows})
        return
    emit(str(record))
    counts = ", ".join(f"{count:,} by {name.replace('_', '-')}" for name, count in sources.items())
    emit(f"run {counts}{_normal(record)}")
    _print(shown)


def _print(shown: pd.DataFrame) -> None:
    from optimize.counting.summary import usual_sessions

    rows = shown.to_dict("records")
    years = [math.sqrt(usual_sessions(*(int(row[name]) for name in _SPAN))) for row in rows]
    # what all have in common says nothing about the best
    names = [name for name in _names(rows) if len({repr(row["parameters"].get(name)) for row in rows}) > 1]
    table(
        ["annual Sharpe", "return", "trades", *names, "source", "window", "sessions"],
        [
            (
                _figure(row["sharpe"] * year), _percent(row["metrics"].get("total_return")),
                _figure(row["metrics"].get("trades"), 0),
                *(_word(row["parameters"].get(name)) for name in names),
                row["source"], _window(row), f"{row['sessions']:,}",
            )
            for row, year in zip(rows, years, strict=True)
        ],
    )  # fmt: skip


def _window(row: Mapping[Any, Any]) -> str:
    import pandas as pd

    if not row["last_ts"]:
        return "-"
    first, last = (pd.Timestamp(int(row[name]), tz="UTC") for name in _SPAN[:2])
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    import pandas as pd

    left_out = ("hypothesis", "recorded_ts", "first_ts", "last_ts")
    times = {
        name: pd.Timestamp(int(row[f"{name}_ts"]), tz="UTC").isoformat()
        for name in ("recorded", "first", "last")
    }
    return {**{key: value for key, value in row.items() if key not in left_out}, **times}


def _named(given: str, known: Sequence[str]) -> str:
    if given in known:
        return given
    holding = [name for name in known if given in name]
    if len(holding) == 1:
        return holding[0]
    if holding:
        shown = ", ".join(repr(name) for name in holding[:5]) + (", …" if len(holding) > 5 else "")
        hint = f" {len(holding)} hold it: {shown}"
    else:
        hint = did_you_mean(given, known)
    raise UnknownNameError(f"no hypothesis {given!r}.{hint}", code="NAME_HYPOTHESIS")


def _normal(record: HypothesisRecord) -> str:
    if not record.assumed_normal:
        return ""
    return "; of the best the shape of the returns is not known, and is taken as normal"


def _names(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["parameters"]))


def _word(value: object) -> object:
    return "" if value is None else value


def _percent(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2%}"


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or value != value else f"{value:,.{digits}f}"
