"""Closed trades of a journal with what was known at their entry and what they came to.

A case is a campaign: a trade, its rolls, and the shares that came of an assignment. A put that is assigned
keeps its whole credit and its shares bear the loss, so that the trades one by one would say that puts never
lose. The case has the snapshot of its first trade, the profit of all, and lasts until the last has closed; a
campaign that is still open is no case yet. Trades that were only cut off by the end of a backtest's data are
left out: nothing ended there.

R is profit after fees over the initial risk of the first trade; as in `journal.learning`, losses beyond five
times it and gains beyond ten count as that.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, or_, select

from journal.learning.data import GAIN_LIMIT, LOSS_LIMIT, latest_run
from journal.schema import legs, trades
from optimize.quality_model.snapshots import MEASURES, measures_of
from simulator.types import ExitReason

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["History", "read_history"]

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Cases in the order of their entries (then exits, then numbers); NaN is unknown.

    Attributes
    ----------
    kind, sources
        "option" or "stock", and where the trades come from.
    values, strategies
        Measures at entry, shape (n, k) in the order of `MEASURES[kind]`, and the strategy of each case.
    won, r
        Whether it ended with a profit after fees, and its R.
    entry_ts, exit_ts
        UTC nanoseconds.
    modelled
        Cases whose option prices come from a model, not from quotes.
    notes
        What a reader should know: mixed sources, mixed definitions of IV rank, what was left out.
    elsewhere
        Closed trades of this kind by the other sources, where the chosen ones have no case.
    """

    kind: str
    sources: tuple[str, ...]
    values: Floats
    strategies: tuple[str, ...]
    won: NDArray[np.bool_]
    r: Floats
    entry_ts: Stamps
    exit_ts: Stamps
    modelled: int = 0
    notes: tuple[str, ...] = ()
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.won)

    def digest(self) -> str:
        """Return a name for exactly these cases: the same trades give the same name anywhere."""
        found = hashlib.sha256(repr((self.kind, MEASURES[self.kind], self.strategies)).encode())
        columns = (self.values + 0.0, self.won.astype(np.int64), self.r + 0.0, self.entry_ts, self.exit_ts)
        for column in columns:
            # every NaN alike, whatever its bits
            plain = np.where(np.isnan(column), np.nan, column) if column.dtype.kind == "f" else column
            found.update(np.ascontiguousarray(plain).tobytes())
        return found.hexdigest()


def read_history(
    connection: Connection,
    kind: str,
    sources: Sequence[str],
    *,
    until: int | None = None,
    run: int | None = None,
) -> History:
    """Read the cases of one kind.

    Parameters
    ----------
    until
        Only what had closed at or before this time (UTC nanoseconds).
    run
        Which stored backtest, where `sources` has "backtest"; the one stored last by default.
    """
    notes: list[str] = []
    if "backtest" in sources and run is None:
        run, count = latest_run(connection)
        if count > 1:
            notes.append(f"of {count} stored backtests the last one, run {run}, counts")
    groups: dict[int, list[Any]] = {}
    for row in connection.execute(_question(sources, run)).mappings():
        groups.setdefault(row["campaign_id"] or row["id"], []).append(row)
    cases, cut = [], 0
    for members in groups.values():
        first = min(members, key=lambda one: (one["entry_ts"], one["id"]))
        if first["kind"] != kind or not _ended(members, until):
            continue
        if any(one["close_code"] == _CUT_OFF for one in members):
            cut += 1
            continue
        cases.append((first, sum(one["pnl"] for one in members), max(one["exit_ts"] for one in members)))
    cases.sort(key=lambda case: (case[0]["entry_ts"], case[2], case[0]["id"]))
    if cut:
        notes.append(f"{cut} trades that the end of the data cut off are left out")
    notes += _mixtures([case[0] for case in cases])
    names = MEASURES[kind]
    values = np.array([measures_of(kind, first) for first, _, _ in cases], dtype=np.float64)
    return History(
        kind=kind,
        sources=tuple(sources),
        values=values.reshape(len(cases), len(names)),
        strategies=tuple(first["strategy"] for first, _, _ in cases),
        won=np.array([pnl > 0 for _, pnl, _ in cases], dtype=np.bool_),
        r=np.array([_r(first, pnl) for first, pnl, _ in cases], dtype=np.float64),
        entry_ts=np.array([first["entry_ts"] for first, _, _ in cases], dtype=np.int64),
        exit_ts=np.array([ended for _, _, ended in cases], dtype=np.int64),
        modelled=sum(first["grade"] == "modelled" for first, _, _ in cases),
        notes=tuple(notes),
        elsewhere={} if cases else _elsewhere(connection, kind, sources),
    )


_CUT_OFF: Final = ExitReason.END_OF_DATA.label
_COLUMNS: Final = (
    "id", "campaign_id", "status", "kind", "source", "strategy", "side", "entry_ts", "exit_ts", "entry_price",
    "stop_price", "target_price", "initial_risk", "dte", "width", "iv", "iv_rank", "iv_rank_definition",
    "delta", "score", "strength", "probability", "pnl", "close_code",
    "grade",
)  # fmt: skip


def _question(sources: Sequence[str], run: int | None) -> Any:
    sold = (
        select(legs.c.trade_id, func.max(func.abs(legs.c.delta)).label("leg_delta"))
        .where(legs.c.trade_id.is_not(None), legs.c.side == -1, legs.c.kind.in_(("call", "put")))
        .group_by(legs.c.trade_id)
        .subquery()
    )
    question = (
        select(*(trades.c[name] for name in _COLUMNS), sold.c.leg_delta)
        .join_from(trades, sold, sold.c.trade_id == trades.c.id, isouter=True)
        # an open trade counts where it keeps a campaign open
        .where(
            trades.c.source.in_(sources),
            or_(trades.c.status == "closed", trades.c.campaign_id.is_not(None)),
        )
        .order_by(trades.c.id)
    )
    if run is not None:
        question = question.where(or_(trades.c.source != "backtest", and_(trades.c.run_id == run)))
    return question


def _elsewhere(connection: Connection, kind: str, sources: Sequence[str]) -> dict[str, int]:
    closed = select(trades.c.source, func.count()).where(
        trades.c.status == "closed", trades.c.kind == kind, trades.c.source.not_in(sources)
    )
    rows = connection.execute(closed.group_by(trades.c.source).order_by(trades.c.source))
    return {source: count for source, count in rows}


def _ended(members: Sequence[Mapping[str, Any]], until: int | None) -> bool:
    return all(one["status"] == "closed" and (until is None or one["exit_ts"] <= until) for one in members)


def _r(first: Mapping[str, Any], pnl: float) -> float:
    risk = first["initial_risk"]
    if risk is None or risk <= 0:
        return math.nan
    return min(max(pnl / float(risk), -LOSS_LIMIT), GAIN_LIMIT)


def _mixtures(first: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what was put together that may not belong together."""
    found = []
    counts = _counted(one["source"] for one in first)
    if len(counts) > 1:
        found.append(f"sources are mixed: {_listed(counts)}")
    counts = _counted(one["iv_rank_definition"] for one in first if one["iv_rank_definition"])
    if len(counts) > 1:
        found.append(f"IV rank is defined in {len(counts)} ways: {_listed(counts)}")
    return found


def _counted(labels: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for label in labels:
        found[label] = found.get(label, 0) + 1
    return found


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in sorted(counts.items(), key=lambda one: -one[1]))
