"""The bars that a session has seen, growing by one row at a time.

Strategies are asked about all that is known so far, and an ATR needs the bars before its own. Arrays grow in
place, so that a row costs the same however long the history is; what `bars` hands out are views that later
rows leave alone. With a limit the oldest rows are let go, and memory stays bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from live.sessions.frames import widened
from simulator.kernel.dtypes import ACTION, QUOTE

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["History"]

_FIRST_ROWS: Final = 64


class History:
    """Rows of bars, oldest first.

    Parameters
    ----------
    like
        What all bars share; see `live.sessions.frames.decode_frame`.
    limit
        Rows that `until` shows at most; some more are held. None keeps and shows all.
    slack
        Rows that may be taken in before the first of them is asked about.
    """

    def __init__(self, like: Bars, limit: int | None = None, *, slack: int = 1) -> None:
        self.like = like
        self.limit = limit
        self.slack = slack
        self.total = 0  # rows taken in, those let go included
        symbols = len(like.symbols)
        self._times = _Growing((5,), np.int64)  # ts, session, session number, opening, closing
        self._panel = _Growing((symbols, 5), np.float64)
        self._spread = _Growing((symbols,), np.float64)
        self._actions = _Growing((), ACTION)
        self._detail = None if like.detail is None else History(like.detail)
        self._detail_start = _Growing((), np.int64)
        self._volatility = _Growing((symbols,), np.float64)
        self._rates = _Growing((), np.float64)
        self._quotes = _Growing((), QUOTE)
        self._quote_start = _Growing((), np.int64)
        self._made: Bars | None = None

    def __len__(self) -> int:
        return self._times.count

    def extend(self, bars: Bars) -> None:
        """Take in further rows."""
        count = len(bars)
        if not count:
            return
        self._made = None
        self.total += count
        first = len(self)
        times = np.zeros((count, 5), np.int64)
        times[:, 0], times[:, 1], times[:, 2] = bars.ts, bars.session, bars.session_no
        if not bars.daily:
            times[:, 3], times[:, 4] = bars.open_ts, bars.close_ts
        self._times.extend(times)
        self._panel.extend(bars.panel)
        if bars.spread.size:
            self._spread.extend(bars.spread)
        if len(bars.actions):
            self._actions.extend(_moved(bars.actions, first))
        if self._detail is not None and bars.detail is not None:
            self._detail_start.extend(bars.detail_start[:-1] + len(self._detail))
            self._detail.extend(bars.detail)
        options = bars.options
        if options is not None:
            if options.volatility.size:
                self._volatility.extend(options.volatility)
            self._rates.extend(options.rates)
            self._quote_start.extend(options.start[:-1] + self._quotes.count)
            if len(options.quotes):
                self._quotes.extend(_moved(options.quotes, first))
        if self.limit is not None and len(self) > 2 * self.limit + self.slack:
            self._let_go(len(self) - self.limit - self.slack)

    def forget(self, rows: int) -> None:
        """Take back the newest rows."""
        self._made = None
        self.total -= rows
        left = len(self) - rows
        self._times.count = self._panel.count = left
        self._spread.count = min(self._spread.count, left)
        self._actions.count = int(np.searchsorted(self._actions.rows["row"], left))
        if self._detail is not None:
            self._detail.forget(len(self._detail) - self._start_of(self._detail_start, left))
            self._detail_start.count = left
        if self.like.options is not None:
            self._volatility.count = min(self._volatility.count, left)
            self._quotes.count = self._start_of(self._quote_start, left)
            self._rates.count = self._quote_start.count = left

    def grown(self, like: Bars) -> History:
        """Return a copy for more symbols, which have no bar in the rows so far."""
        made = History(like, self.limit, slack=self.slack)
        made.extend(widened(self.bars(), like))
        made.total = self.total
        return made

    def bars(self) -> Bars:
        """Return all rows as bars."""
        if self._made is None:
            self._made = self._bars()
        return self._made

    def until(self, row: int) -> Bars:
        """Return the rows up to `row`, itself included: as many as the limit shows, whatever is held."""
        first = 0 if self.limit is None else max(0, row + 1 - self.limit)
        return self.bars() if row + 1 - first == len(self) else self.bars()[first : row + 1]

    def _bars(self) -> Bars:
        like, times = self.like, self._times.rows
        parts: dict[str, Any] = {}
        if not like.daily:
            parts = {"open_ts": np.ascontiguousarray(times[:, 3]), "close_ts": times[:, 4].copy()}
        if self._detail is not None:
            parts["detail"] = self._detail.bars()
            parts["detail_start"] = np.append(self._detail_start.rows, len(self._detail))
        if like.options is not None:
            parts["options"] = type(like.options)(
                self._volatility.rows if self._volatility.count else like.options.volatility,
                self._rates.rows, like.options.yields, like.options.surfaces, self._quotes.rows,
                np.append(self._quote_start.rows, self._quotes.count),
            )  # fmt: skip
        return like.replaced(
            panel=self._panel.rows,
            ts=times[:, 0].copy(),
            session=times[:, 1].copy(),
            session_no=times[:, 2].copy(),
            actions=self._actions.rows,
            spread=self._spread.rows if self._spread.count else like.spread[:0],
            **parts,
        )

    def _let_go(self, rows: int) -> None:
        self._made = None
        for growing in (self._times, self._panel):
            growing.drop(rows)
        if self._spread.count:
            self._spread.drop(rows)
        self._actions.drop(int(np.searchsorted(self._actions.rows["row"], rows)))
        self._actions.shift("row", rows)
        if self._detail is not None:
            gone = self._start_of(self._detail_start, rows)
            self._detail._let_go(gone)
            self._detail_start.drop(rows)
            self._detail_start.shift(None, gone)
        if self.like.options is not None:
            if self._volatility.count:
                self._volatility.drop(rows)
            gone = self._start_of(self._quote_start, rows)
            self._quotes.drop(gone)
            self._quotes.shift("row", rows)
            self._rates.drop(rows)
            self._quote_start.drop(rows)
            self._quote_start.shift(None, gone)

    def _start_of(self, starts: _Growing, row: int) -> int:
        # where the details, or the quotes, of a row begin; behind the last row, where all of them end
        if row < starts.count:
            return int(starts.rows[row])
        if starts is self._quote_start:
            return self._quotes.count
        return 0 if self._detail is None else len(self._detail)


class _Growing:
    """An array that grows at its end and shrinks at its beginning."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._buffer: npt.NDArray[Any] = np.empty((0, *shape), dtype)
        self.count = 0

    @property
    def rows(self) -> npt.NDArray[Any]:
        return self._buffer[: self.count]

    def extend(self, rows: npt.NDArray[Any]) -> None:
        end = self.count + len(rows)
        if end > len(self._buffer):
            room = max(_FIRST_ROWS, 2 * end)
            buffer = np.empty((room, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[: self.count] = self.rows
            self._buffer = buffer
        self._buffer[self.count : end] = rows
        self.count = end

    def drop(self, rows: int) -> None:
        # into new memory, because views of the old may be in use
        self._buffer, self.count = self.rows[rows:].copy(), self.count - rows

    def shift(self, field: str | None, by: int) -> None:
        numbers = self._buffer if field is None else self._buffer[field]
        numbers -= by


def _moved(records: npt.NDArray[np.void], rows: int) -> npt.NDArray[np.void]:
    moved = records.copy()
    moved["row"] += rows
    return moved
