"""From what a source says of each symbol to bars on the grid, with what has to be held back.

Rows that are not on the grid, or not complete, are left out; rows that cannot be a price become missing bars
by the data guard. Splits and dividends act once: on the first bar handed over in their session, and on none
of a session that was begun before a restart, where they acted already.

A restart loses the last trusted prices. They are found again from the source's own bars up to the last one
that was handed over; without them the first price after a restart would be believed whatever it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from live.feeds.band import SETTLE, PriceBand
from live.feeds.grid import Grid, Slots
from live.feeds.holds import Hold
from simulator.bars.arrays import DAY, Floats
from simulator.bars.yahoo import Quoted
from simulator.kernel import codes

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Assembly"]

REMEMBERED: Final = 8  # bars handed over whose revision is noticed
SEEDED: Final = 2 * SETTLE + 2  # bars before a restart from which the last trusted prices are worked out
COUNTED: Final = 10_000  # rows off the grid that are told apart


class Assembly:
    """Makes bars of answers.

    Parameters
    ----------
    symbols, grid, sectors, name
        Of the feed.
    band
        See `PriceBand`.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        grid: Grid,
        *,
        sectors: Mapping[str, str] | None,
        name: str,
        band: float,
    ) -> None:
        self.symbols, self.grid, self.name = symbols, grid, name
        given = {symbol.upper(): sector for symbol, sector in (sectors or {}).items()}
        self._sectors = {symbol: given[symbol] for symbol in symbols if symbol in given}
        self._band = PriceBand(len(symbols), fraction=band)
        self._seeds: Slots | None = None  # bars from before a restart
        self.unseeded: set[str] = set()  # symbols whose last trusted price is not known yet
        self._acted_until = -(2**62)  # session up to which actions have acted, whichever they were
        self._acted: set[tuple[str, int, str]] = set()
        self._given: dict[int, Floats] = {}
        self._holds: tuple[Hold, ...] = ()
        self._strange: set[tuple[str, int]] = set()
        self.bad_prices = 0
        first = np.zeros(1, np.int64) + 20_000 * DAY
        nothing = np.full((1, len(symbols), 5), np.nan)
        self.like = self._made(first, first + grid.length, nothing, [])[0:0]

    @property
    def off_grid(self) -> int:
        """Rows that lay beside the grid."""
        return len(self._strange)

    def resume(self, after: int | None) -> None:
        """Go on after the bar with this label; None: from the beginning."""
        if after is not None:
            self._acted_until = self.grid.session_of(after)
            if np.isnan(self._band.reference).all():
                self._seeds = self.grid.last(SEEDED, self.grid.close_of(after))
                self.unseeded = set(self.symbols)
        self._given.clear()

    def wanted(self, symbol: str, session: int) -> int:
        """Return from which session (days since 1970) on a symbol is to be asked for, `session` or before."""
        if symbol not in self.unseeded or self._seeds is None or not len(self._seeds):
            return session
        return min(session, int(self._seeds.session[0]))

    def bars(self, due: Slots, answers: Mapping[str, Quoted]) -> tuple[list[Bars], Bars | None]:
        """Return bars that were handed over and have changed, one by one, and the due ones that are there."""
        self._seed(answers)
        panel = self._panel(due, answers)
        here = ~np.isnan(panel[:, :, 3]).all(axis=1)
        changed = self._changed(answers)
        if not here.any():
            return changed, None
        slots, panel = due[here], panel[here]
        made = self._made(slots.ts, slots.close, panel, self._actions(slots, answers))
        self.bad_prices += int(np.isnan(made.panel[:, :, 3]).sum() - np.isnan(panel[:, :, 3]).sum())
        return changed, made

    def single(self, slots: Slots, values: Floats) -> Bars:
        """Return one bar that was put together elsewhere; `values` of shape (S, 5)."""
        made = self._made(slots.ts, slots.close, values[None], [])
        self.bad_prices += int(np.isnan(made.panel[:, :, 3]).sum() - np.isnan(values[:, 3]).sum())
        return made

    def judge(
        self,
        part: Bars,
        *,
        late: int,
        tolerance: int,
        warming: bool,
        doubtful: bool,
        tell: Callable[[str], object] = lambda text: None,
        more: tuple[Hold, ...] = (),
    ) -> None:
        """Work out what is held of bars that are handed over now, and remember them."""
        found = list(more)
        for row in range(len(part)):
            ts = int(part.ts[row])
            following = self.grid.following(self.grid.close_of(ts))
            opened = int(following.open[0]) if len(following) else ts + self.grid.length
            if late > opened + tolerance:
                text = "it is history" if warming else "it came after the next bar had opened"
                found.append(Hold(ts, None, "WARM" if warming else "GAP", text))
            if doubtful:
                found.append(Hold(ts, None, "CLOCK_JUMP", "the clock was moved"))
            self._given[ts] = part.panel[row].copy()
            found += self._held_prices(part, row, tell)
        for ts in list(self._given)[:-REMEMBERED]:
            del self._given[ts]
        self._holds = tuple(found)

    def holds(self, bars: Bars) -> tuple[Hold, ...]:
        """Return the holds of bars that were judged last."""
        times = set(bars.ts.tolist())
        return tuple(hold for hold in self._holds if hold.ts in times)

    def forget_holds(self) -> None:
        """Judge nothing: what is handed over now was handed over before."""
        self._holds = ()

    def _seed(self, answers: Mapping[str, Quoted]) -> None:
        """Work out the last trusted prices of before a restart, of the symbols that were answered."""
        seeds = self._seeds
        if seeds is None or not self.unseeded:
            return
        for column, symbol in enumerate(self.symbols):
            if symbol not in self.unseeded or symbol not in answers:
                continue
            self.unseeded.discard(symbol)
            answer = answers[symbol]
            # after a split within them only what was quoted since compares
            splits = [_day(when) for when, kind, _ in answer.actions if kind == "split"]
            since = max((day for day in splits if day <= self._acted_until), default=-(2**62))
            prices = np.full((len(self.symbols), 4), np.nan)
            for row in np.flatnonzero(np.isin(answer.ts, seeds.ts[seeds.session >= since])):
                values = answer.values[row, :4]
                if (values > 0).all() and values[1] >= values[2]:
                    prices[column] = values
                    self._band.judge(prices)

    def _held_prices(self, part: Bars, row: int, tell: Callable[[str], object]) -> list[Hold]:
        ts, prices = int(part.ts[row]), part.panel[row, :, :4]
        for action in part.actions[part.actions["row"] == row]:
            if action["kind"] == codes.ACTION_SPLIT:
                self._band.split(int(action["sym"]), float(action["value"]))
        before = self._band.reference.copy()
        found = []
        for column in np.flatnonzero(self._band.judge(prices)):
            low, high = prices[column].min(), prices[column].max()
            text = f"{low:g} to {high:g} after {before[column]:g}"
            found.append(Hold(ts, self.symbols[column], "PRICE_BAND", text))
            tell(f"{self.symbols[column]}: {text}, and nothing confirms it yet")
        missing = np.isnan(prices[:, 3])
        found += [
            Hold(ts, self.symbols[column], "STALE_QUOTE", "it has no bar here, others have")
            for column in np.flatnonzero(missing)
        ]
        return found

    def _panel(self, due: Slots, answers: Mapping[str, Quoted]) -> Floats:
        panel = np.full((len(due), len(self.symbols), 5), np.nan)
        known = self.grid.between(int(due.open[0]), int(due.close[-1]) + 2 * DAY).ts
        for column, symbol in enumerate(self.symbols):
            answer = answers.get(symbol)
            if answer is None or not len(answer.ts):
                continue
            places = np.searchsorted(due.ts, answer.ts)
            places[places == len(due)] = 0
            mine = due.ts[places] == answer.ts
            panel[places[mine], column] = answer.values[mine]
            beside = answer.ts[(answer.ts >= due.ts[0]) & ~np.isin(answer.ts, known)]
            if len(self._strange) < COUNTED:
                self._strange.update((symbol, ts) for ts in beside.tolist())
        return panel

    def _changed(self, answers: Mapping[str, Quoted]) -> list[Bars]:
        """Return bars whose prices are not those that were handed over, or that have one more symbol now."""
        found = []
        for ts, old in sorted(self._given.items()):
            new = old.copy()
            for column, symbol in enumerate(self.symbols):
                answer = answers.get(symbol)
                if answer is None:
                    continue
                at = int(np.searchsorted(answer.ts, ts))
                # volume is corrected all the time, and decides nothing that was decided
                if at < len(answer.ts) and answer.ts[at] == ts:
                    if not np.array_equal(answer.values[at, :4], old[column, :4], equal_nan=True):
                        new[column] = answer.values[at]
            if np.array_equal(new, old, equal_nan=True):
                continue
            one, close = np.array([ts], np.int64), np.array([self.grid.close_of(ts)], np.int64)
            made = self._made(one, close, new[None], [])
            if not np.array_equal(made.panel[0, :, :4], old[:, :4], equal_nan=True):
                self._given[ts] = made.panel[0].copy()
                found.append(made)
        return found

    def _actions(self, slots: Slots, answers: Mapping[str, Quoted]) -> list[tuple[str, str, str, float]]:
        first, last = int(slots.session[0]), int(slots.session[-1])
        found = []
        for symbol, answer in answers.items():
            for when, kind, value in answer.actions:
                day = _day(when)
                if (
                    first <= day <= last
                    and day > self._acted_until
                    and (symbol, day, kind) not in self._acted
                ):
                    self._acted.add((symbol, day, kind))
                    found.append((symbol, str(np.datetime64(day, "D")), kind, float(value)))
        return found

    def _made(
        self,
        ts: np.ndarray[tuple[int], np.dtype[np.int64]],
        close: np.ndarray[tuple[int], np.dtype[np.int64]],
        panel: Floats,
        actions: list[tuple[str, str, str, float]],
    ) -> Bars:
        from simulator.bars import Bars

        return Bars.from_arrays(
            self.symbols,
            ts,
            panel,
            sectors=self._sectors,
            actions=actions or None,
            calendar=self.grid.calendar,
            raw=True,
            name=self.name,
            origin="real",
            guard="drop",
            daily=self.grid.daily,
            close_ts=None if self.grid.daily else close,
        )


def _day(when: np.datetime64) -> int:
    return int(when.astype("datetime64[D]").astype(np.int64))
