"""The closed trades of a journal as columns, in one pull.

Every figure of a report is computed from these columns, so a report is one consistent look at the journal,
and two hundred thousand trades take well under a second to read. Trades stand in the order of (exit time,
number). Numbers that are unknown are NaN here, and labels that are unknown or empty are None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, func, literal, select

from journal.ledger.lookup import chosen
from journal.schema import KINDS, SOURCES, tags, trades
from journal.values import nanoseconds, symbol_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

__all__ = ["Closed", "Scope", "pull"]

NUMBERS: Final = (
    "pnl", "fees", "r_multiple", "days", "iv_rank", "dte", "buying_power", "capture_percent",
    "mae", "mfe", "initial_risk", "slippage", "side",
)  # fmt: skip
LABELS: Final = ("symbol", "strategy", "sector", "signal_type", "close_code", "close_reason", "kind")

_UNKNOWN: Final = 1.5e308  # the tables refuse numbers beyond 1e300, so none is ever taken for it
_BETWEEN: Final = "\ufdd0"  # Unicode keeps it for internal use: it stands in no text


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which closed trades are meant.

    Attributes
    ----------
    sources
        Any of "backtest", "paper" and "live".
    since_ts, until_ts
        Range of the exit time in UTC nanoseconds, both ends inside; None is unbounded.
    symbol, strategy, kind, account, tag
        Only trades that have it; None is any. The kind is "stock" or "option".
    """

    sources: tuple[str, ...]
    since_ts: int | None = None
    until_ts: int | None = None
    symbol: str | None = None
    strategy: str | None = None
    kind: str | None = None
    account: str | None = None
    tag: str | None = None

    @classmethod
    def of(
        cls,
        source: str | Sequence[str],
        *,
        since: datetime | int | None = None,
        until: datetime | int | None = None,
        **others: str | None,
    ) -> Scope:
        """Make a scope; `source` is one name, several, or "all".

        Raises
        ------
        DataError
            JOURNAL_CHOICE for a source or a kind that does not exist, or for no source.
        """
        names = (source,) if isinstance(source, str) else tuple(source)
        if names == ("all",):
            names = SOURCES
        if not names:
            chosen("source", "", SOURCES)
        for name in names:
            chosen("source", name, SOURCES)
        if (kind := others.get("kind")) is not None:
            chosen("kind", kind, KINDS)
        if (symbol := others.get("symbol")) is not None:
            others["symbol"] = symbol_of("symbol", symbol)
        return cls(
            sources=tuple(name for name in SOURCES if name in names),
            since_ts=None if since is None else nanoseconds(since, "since"),
            until_ts=None if until is None else nanoseconds(until, "until"),
            **others,
        )

    @property
    def label(self) -> str:
        """The sources in words; says so where several are mixed."""
        if len(self.sources) == 1:
            return self.sources[0]
        return f"{', '.join(self.sources)} (mixed)"

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what selects the closed trades of the scope in SQL."""
        status: ColumnElement[str] = trades.c.status
        source: ColumnElement[str] = trades.c.source
        if self.since_ts is None:
            # Most of the table is wanted: reading it in its order beats a detour over an index.
            status, source = func.coalesce(status, ""), func.coalesce(source, "")
        found: list[ColumnElement[bool]] = [status == "closed", source.in_(self.sources)]
        if self.since_ts is not None:
            found.append(trades.c.exit_ts >= self.since_ts)
        if self.until_ts is not None:
            found.append(trades.c.exit_ts <= self.until_ts)
        for name in ("symbol", "strategy", "kind", "account"):
            wanted = getattr(self, name)
            if wanted is not None:
                found.append(trades.c[name] == wanted)
        if self.tag is not None:
            found.append(trades.c.id.in_(select(tags.c.trade_id).where(tags.c.tag == self.tag)))
        return found


@dataclass(frozen=True, slots=True)
class Closed:
    """Columns of closed trades, all of the same length, ordered by exit.

    Attributes
    ----------
    id, entry_ts, exit_ts
        int64; times in UTC nanoseconds.
    numbers
        Column name -> float64 values, NaN where unknown.
    combination
        Position of each trade's labels in `labels`.
    labels
        Distinct combinations of the columns in `LABELS`.
    """

    id: NDArray[np.int64]
    entry_ts: NDArray[np.int64]
    exit_ts: NDArray[np.int64]
    numbers: dict[str, NDArray[np.float64]]
    combination: NDArray[np.int64]
    labels: list[tuple[str | None, ...]]

    def __len__(self) -> int:
        return len(self.id)

    def label(self, name: str) -> tuple[NDArray[np.intp], list[str | None]]:
        """Return the position of each trade's label among the labels of a column, and those labels."""
        import numpy as np

        at = LABELS.index(name)
        places: dict[str | None, int] = {}
        codes = [places.setdefault(labels[at], len(places)) for labels in self.labels]
        return np.asarray(codes, dtype=np.intp)[self.combination], list(places)

    def take(self, which: NDArray[np.intp]) -> Closed:
        """Return some of the trades, which are given by position in ascending order."""
        return Closed(
            self.id[which],
            self.entry_ts[which],
            self.exit_ts[which],
            {name: values[which] for name, values in self.numbers.items()},
            self.combination[which],
            self.labels,
        )


def pull(connection: Connection, scope: Scope) -> Closed:
    """Read the closed trades of a scope."""
    import numpy as np

    table = trades.c
    # The labels of a trade come as one text: few texts are distinct, and one costs a seventh of seven.
    join = func.printf if connection.dialect.name == "sqlite" else func.format
    form = literal(_BETWEEN.join(["%s"] * len(LABELS)))
    labels = join(form, *[table[name] for name in LABELS])
    query = select(
        table.id, table.entry_ts, table.exit_ts, *[_number(name) for name in NUMBERS], labels
    ).where(*scope.conditions())
    whole = [(name, "i8") for name in ("id", "entry_ts", "exit_ts")]
    kind = np.dtype([*whole, *((name, "f8") for name in NUMBERS), ("labels", "O")])
    cursor: Any = connection.execute(
        query
    ).cursor  # plain tuples: rows of the result object cost as much again
    rows = np.fromiter(cursor, dtype=kind)
    order = np.lexsort((rows["id"], rows["exit_ts"]))
    numbers = {}
    for name in NUMBERS:
        values = rows[name][order]
        values[values == _UNKNOWN] = np.nan
        numbers[name] = values
    places = _Places()
    combination = np.fromiter(map(places.__getitem__, rows["labels"]), dtype=np.int64, count=len(rows))
    return Closed(
        rows["id"][order],
        rows["entry_ts"][order],
        rows["exit_ts"][order],
        numbers,
        combination[order],
        [tuple(part or None for part in combined.split(_BETWEEN)) for combined in places],
    )


def _number(name: str) -> ColumnElement[float]:
    column = trades.c[name]
    return func.coalesce(column, literal(_UNKNOWN)) if column.nullable else column


class _Places(dict[str, int]):
    """Numbers what it is asked for in the order of asking."""

    def __missing__(self, key: str) -> int:
        self[key] = place = len(self)
        return place
