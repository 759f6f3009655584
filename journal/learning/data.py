"""Closed trades as columns, for figures over a whole journal.

One query reads what learning needs; everything else is arithmetic on arrays. The order is that of closing
(exit time, then id), because evidence is gathered in that order.

The most that a trade could lose, and gain, is needed to weigh its outcome, and must have been known when it
was opened: for packages with a bounded payoff it is `max_loss` and `max_profit`; otherwise a trade counts as
at most five times its initial risk, and at most ten times it as a gain. A trade without either is measured by
the mean absolute profit of the trades that closed in the weeks before, and the first ones not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, func, select

from journal.ledger.lookup import chosen
from journal.schema import SOURCES, runs, trades

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

__all__ = ["ClosedTrades", "Labels", "latest_run", "read_closed", "sources_of"]

WEEK: Final = 7 * 86_400 * 1_000_000_000
"""Nanoseconds of a week."""

_MONDAY: Final = 4 * 86_400 * 1_000_000_000
"""1970-01-05 was a Monday."""

LOSS_LIMIT: Final = 5.0
"""Losses beyond so many times the initial risk count as this, where no largest loss is known."""

GAIN_LIMIT: Final = 10.0
"""Gains beyond so many times the initial risk count as this, where no largest profit is known."""

_NUMBERS: Final = ("pnl", "iv_rank", "dte", "seen", "initial_risk", "max_loss", "max_profit")
"""Columns that are read as numbers; `seen` is delta for options and score for shares."""

_UNKNOWN: Final = 1.5e308
"""Stands for NULL on the way; the tables refuse numbers beyond 1e300."""

_BETWEEN: Final = "\x1f"
"""Separates labels on the way: texts are joined so that each row brings one. It is a control character."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts by trade: distinct names in the order of their first closed trade, and the number of each."""

    names: tuple[str, ...]
    codes: Ints


@dataclass(frozen=True, slots=True)
class ClosedTrades:
    """Columns of closed trades in the order of closing; NaN is unknown, amounts are currency."""

    exit_ts: NDArray[np.int64]
    option: NDArray[np.bool_]
    symbols: Labels
    strategies: Labels
    reasons: Labels
    pnl: Floats
    iv_rank: Floats
    dte: Floats
    delta: Floats
    score: Floats
    worst: Floats
    best: Floats

    def __len__(self) -> int:
        return len(self.pnl)

    @property
    def weeks(self) -> Ints:
        """Number of the week, Monday to Sunday in UTC, in which each trade closed."""
        import numpy as np

        return ((self.exit_ts - _MONDAY) // WEEK).astype(np.intp)


def sources_of(source: str | Sequence[str]) -> tuple[str, ...]:
    """Return the sources that `source` means: one, several, or "all".

    Raises
    ------
    DataError
        JOURNAL_CHOICE for anything else.
    """
    wanted = SOURCES if source == "all" else (source,) if isinstance(source, str) else tuple(source)
    return tuple(dict.fromkeys(chosen("source", name, SOURCES) for name in wanted))


def latest_run(connection: Connection) -> tuple[int | None, int]:
    """Return the id of the backtest stored last, None where there is none, and how many there are."""
    row = connection.execute(
        select(func.max(runs.c.id), func.count()).where(runs.c.source == "backtest")
    ).one()
    return row[0], row[1]


def read_closed(
    connection: Connection, sources: Sequence[str], *, until: int | None = None, run: int | None = None
) -> ClosedTrades:
    """Read closed trades of the sources.

    Parameters
    ----------
    until
        Only trades closed at or before this time (UTC nanoseconds).
    run
        Only trades of this backtest, where `sources` has backtests; other sources are not affected.
    """
    import numpy as np

    table = trades.c
    seen = case((table.kind == "option", table.delta), else_=table.score)
    numbers = [seen if name == "seen" else table[name] for name in _NUMBERS]
    labels = [table.kind, table.symbol, table.strategy, func.coalesce(table.close_reason, "")]
    joined = labels[0].concat(_BETWEEN)
    for label in labels[1:]:
        joined = joined.concat(func.replace(label, _BETWEEN, " ")).concat(_BETWEEN)
    question = select(
        table.id, table.exit_ts, *(func.coalesce(number, _UNKNOWN) for number in numbers), joined
    ).where(
        # read in the order of the table: nearly all rows are wanted, and an index would be a detour
        func.coalesce(table.status, "") == "closed",
        func.coalesce(table.source, "").in_(sources),
    )
    if until is not None:
        question = question.where(func.coalesce(table.exit_ts, 0) <= until)
    if run is not None:
        question = question.where((table.source != "backtest") | (table.run_id == run))
    kind = np.dtype([("id", "i8"), ("exit_ts", "i8"), *((name, "f8") for name in _NUMBERS), ("labels", "i8")])
    places = _Places()
    cursor: Any = connection.execute(question).cursor  # plain tuples cost half of what result rows do
    rows = np.fromiter(((*row[:-1], places[row[-1]]) for row in cursor), dtype=kind)
    rows = rows[np.lexsort((rows["id"], rows["exit_ts"]))]
    column = {name: np.where(rows[name] == _UNKNOWN, np.nan, rows[name]) for name in _NUMBERS}
    parts = [text.split(_BETWEEN) for text in places]
    option = np.array([part[0] == "option" for part in parts], dtype=np.bool_)[rows["labels"]]
    exit_ts, pnl = rows["exit_ts"], column["pnl"]
    # a stop is no bound: prices gap over it
    max_loss = np.where(option, column["max_loss"], np.nan)
    worst, best = _bounds(exit_ts, pnl, column["initial_risk"], max_loss, column["max_profit"])
    symbols, strategies, reasons = (_labels([part[at] for part in parts], rows["labels"]) for at in (1, 2, 3))
    return ClosedTrades(
        exit_ts=exit_ts,
        option=option,
        symbols=symbols,
        strategies=strategies,
        reasons=reasons,
        pnl=pnl,
        iv_rank=column["iv_rank"],
        dte=column["dte"],
        delta=np.where(option, column["seen"], np.nan),
        score=np.where(option, np.nan, column["seen"]),
        worst=worst,
        best=best,
    )


class _Places(dict[str, int]):
    """Numbers texts in the order in which they are asked for."""

    def __missing__(self, key: str) -> int:
        self[key] = place = len(self)
        return place


def _labels(values: Sequence[str], which: Ints) -> Labels:
    """Return distinct values numbered by their first trade; `which` says which of `values` a trade has."""
    import numpy as np

    number = _Places()
    codes = np.array([number[value] for value in values], dtype=np.intp)[which]
    first = np.zeros(len(number), dtype=np.intp)
    # the last assignment stays, so going backwards leaves the first occurrence
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    by_age = np.argsort(first)
    renumbered = np.empty(len(number), dtype=np.intp)
    renumbered[by_age] = np.arange(len(by_age))
    names = list(number)
    return Labels(tuple(names[code] for code in by_age), renumbered[codes])


def _bounds(
    exit_ts: NDArray[np.int64], pnl: Floats, initial_risk: Floats, max_loss: Floats, max_profit: Floats
) -> tuple[Floats, Floats]:
    """Return the most that each trade could lose and gain, in currency; NaN where nothing says."""
    import numpy as np

    has_loss, has_profit = max_loss > 0, max_profit > 0
    unit = np.where(initial_risk > 0, initial_risk, np.where(has_loss, max_loss, np.nan))
    unknown = np.isnan(unit)
    if unknown.any():
        # the start of the week is what makes it known beforehand
        start = np.searchsorted(exit_ts, (exit_ts - _MONDAY) // WEEK * WEEK + _MONDAY)
        total = np.concatenate(([0.0], np.cumsum(np.abs(pnl))))[start]
        earlier = np.divide(total, start, out=np.full(len(pnl), np.nan), where=total > 0)
        unit = np.where(unknown, earlier, unit)
    worst = np.where(has_loss, np.fmin(max_loss, LOSS_LIMIT * unit), LOSS_LIMIT * unit)
    best = np.where(has_profit, np.fmin(max_profit, GAIN_LIMIT * unit), GAIN_LIMIT * unit)
    return worst, best
