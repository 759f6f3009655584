"""From a journal to `Cases`: closed trades, and what was refused with the outcome that it would have had.

Three things are put right on the way, each a trap for whoever reads the tables plainly:

- **Assignment.** An assigned option keeps its whole credit and the loss is borne by the shares, which are a
  trade of their own. Both are one case here, from the entry of the option to the exit of the shares; while
  the shares are held the case is not closed.
- **What was never traded** comes from the counterfactual ledger, with the entry snapshot of its
  recommendation. A recommendation that was traded after all is a trade, not both. Refusals without a
  recommendation have no snapshot and are left out.
- **Marks.** A position that was open when the data of a backtest ended has no result, and no case.

One source is read at a time. A value that the journal does not know is NaN: an unknown IV rank takes no part
in questions about IV rank, and is never taken for 0 or 50.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, select

from journal import schema
from journal.learning.data import latest_run
from optimize.tuning.cases import Cases
from optimize.tuning.outcomes import rates
from optimize.tuning.refusal_rows import refused_rows
from optimize.tuning.trade_rows import closed_rows
from simulator.errors import ConfigError, UnknownNameError

__all__ = ["FEATURES", "Reading", "read_cases"]

FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "option": ("iv_rank", "dte", "delta", "probability", "score"),
    "stock": ("pattern_score",),
}
"""What was known at entry, by kind of trade; names are those of the settings without `min_` and `max_`."""

_EXPECTED: Final = frozenset({"iv_rank", "dte", "pattern_score"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal has to learn from.

    Attributes
    ----------
    cases
        In the order of entry; of one source and one kind.
    notes
        In words, what was left out and what a reader must know.
    counts
        Closed trades, refused ones with an outcome, and how many were left out for which reason.
    rate, days
        R per margin-day and mean days of all cases; NaN without any.
    """

    cases: Cases
    notes: tuple[str, ...]
    counts: Mapping[str, int]
    rate: float
    days: float


def read_cases(
    connection: Connection,
    source: str,
    *,
    kind: str = "option",
    run: int | Sequence[int] | None = None,
    until: int | None = None,
) -> Reading:
    """Read what one source of a journal has to learn from.

    Parameters
    ----------
    source
        "live", "paper" or "backtest".
    kind
        "option" or "stock".
    run
        Which stored backtests, where the source is "backtest"; the one stored last by default.
    until
        Only what had ended by then (UTC nanoseconds).

    Raises
    ------
    UnknownNameError
        NAME_RUN for a backtest that is not stored.
    ConfigError
        OPTIMIZE_RUN for backtests of another source.
    """
    counts = dict.fromkeys(("closed", "refused", "held", "marked", "twice", "unsnapped", "unmeasured"), 0)
    notes: list[str] = []
    runs = _runs(connection, source, run, notes)
    rows = closed_rows(connection, source, kind, runs, until, counts)
    rows += refused_rows(connection, source, kind, until, counts)
    r, days = _column(rows, "r_margin"), _column(rows, "days")
    found = rates(
        r, days, least=_column(rows, "least"), most=_column(rows, "most"), fees=_column(rows, "fees")
    )
    counts["unmeasured"] = int(np.isnan(r).sum())
    cases = Cases(
        outcome=found.outcome,
        entry_ts=np.array([row["entry_ts"] for row in rows], np.int64),
        exit_ts=np.array([row["exit_ts"] for row in rows], np.int64),
        r=_column(rows, "r"),
        symbol=np.array([row["symbol"] for row in rows], np.str_),
        taken=np.array([row["taken"] for row in rows], np.bool_),
        source=np.asarray(source),
        features={name: _column(rows, name) for name in FEATURES[kind]},
        worst=found.worst,
        best=found.best,
        gross=found.gross,
        mfe_fraction=_column(rows, "mfe_fraction"),
    )
    return Reading(cases, (*notes, *_told(counts, cases)), counts, found.rate, found.days)


def _runs(
    connection: Connection, source: str, run: int | Sequence[int] | None, notes: list[str]
) -> tuple[int, ...] | None:
    """Return the backtests to read; None is no restriction."""
    named = () if run is None else (run,) if isinstance(run, int) else tuple(run)
    if source != "backtest":
        if named:
            raise ConfigError(
                f"run={run!r} names stored backtests, and the source is {source!r}; take source='backtest'",
                code="OPTIMIZE_RUN",
            )
        return None
    if named:
        table = schema.runs.c
        there = set(connection.execute(select(table.id).where(table.source == source)).scalars())
        if absent := [number for number in named if number not in there]:
            stored = f"it has {min(there)} to {max(there)}" if there else "it has none"
            raise UnknownNameError(
                f"the journal has no stored backtest {absent[0]!r}; {stored}", code="NAME_RUN"
            )
        return named
    latest, many = latest_run(connection)
    if latest is None:
        return None
    if many > 1:
        notes.append(f"backtest {latest}, the last of {many} that are stored")
    return (latest,)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    return np.array([row[name] for row in rows], np.float64)


def _told(counts: Mapping[str, int], cases: Cases) -> list[str]:
    """Say in words what was left out, and what is not known."""
    said = [
        ("held", "assigned, and the shares are still held: no result yet"),
        ("marked", "open when the data ended: a mark is no result"),
        ("twice", "the same trade in several backtests: counted once"),
        ("unsnapped", "refused without a recommendation: nothing is known of their entry"),
        ("unmeasured", "without a known margin (no buying power, largest loss, legs or risk): no outcome"),
    ]
    notes = [f"{counts[name]:,} left out, {why}" for name, why in said if counts[name]]
    for name, values in cases.features.items():
        missing = int(np.isnan(values).sum())
        # many journals have no delta at all; an IV rank is expected
        if missing and (missing < len(cases) or name in _EXPECTED):
            notes.append(f"{name} is unknown in {missing:,} of {len(cases):,} cases")
    return notes
