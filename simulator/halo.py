"""The halo: session closes that a chunk or a live bar needs from before itself.

The correlation gate looks back over sessions. A run in one piece has them all; a run in pieces keeps as many
complete session closes as the gate may look at, and the open session's last closes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Halo"]


class Halo:
    """Session closes carried from piece to piece, shape (sessions, symbols), oldest first."""

    def __init__(self, symbols: int, window: int, *, daily: bool) -> None:
        self.rows = 2 * window + 2
        self.daily = daily
        self.complete: npt.NDArray[np.float64] = np.zeros((0, symbols))
        self._session: int | None = None
        self._open: npt.NDArray[np.float64] = np.full(symbols, np.nan)

    def extend(
        self, session: npt.NDArray[np.int64], close: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Take in the bars of a piece; return session closes and, per bar, how many are complete.

        Parameters
        ----------
        session
            Session dates of the bars, shape (n,), not falling.
        close
            Closes, shape (n, symbols); NaN where a bar is missing.
        """
        if self.daily:
            closes = np.concatenate([self.complete, close])
            counts = len(self.complete) + np.arange(1, len(close) + 1)
            self.complete = closes[-self.rows :].copy()
            return closes, counts
        finished = [row for row in self.complete]
        counts = np.zeros(len(close), np.int64)
        for index in range(len(close)):
            if self._session is not None and session[index] != self._session:
                finished.append(self._open.copy())
                self._open[:] = np.nan
            self._session = int(session[index])
            known = ~np.isnan(close[index])
            self._open[known] = close[index][known]
            counts[index] = len(finished)
        closes = np.array(finished).reshape(len(finished), close.shape[1])
        self.complete = closes[-self.rows :].copy()
        return closes, counts

    def copy(self, symbols: int) -> Halo:
        """Return one that goes its own way; symbols that came at the end have no closes yet."""
        made = Halo(symbols, 0, daily=self.daily)
        made.rows, made._session = self.rows, self._session
        more = symbols - len(self._open)
        made.complete = np.pad(self.complete, ((0, 0), (0, more)), constant_values=np.nan)
        made._open = np.pad(self._open, (0, more), constant_values=np.nan)
        return made
