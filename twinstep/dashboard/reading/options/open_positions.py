"""What the page "options" shows of open positions: legs, mark, result, what they can make and lose, Greeks.

Positions come from two places and are never added up across them. A session's are read off its newest state
and its last bar, which has the quotes (or the surface) that they were marked with. The journal's are trades
that somebody logged, or that came from a broker; the journal keeps no marks, so they are valued by the
session's last bar where that is recent and knows options on the symbol, and else their mark is unknown. What
is not known is None with a reason, never 0.

Prices are per unit of the underlying, amounts in currency for the whole position, volatilities fractions,
times UTC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from twinstep.account_lines import account_lines, stored_sessions
from twinstep.dashboard.reading.options.market import LastBar, betas_of
from twinstep.dashboard.reading.options.payoff import Terms
from twinstep.dashboard.reading.options.position import Book, OptionPosition, book_of, finite, position_of
from twinstep.dashboard.reading.options.trades import MOST, read_trades
from twinstep.dashboard.reading.parts import part
from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from simulator.kernel.state import State

__all__ = ["Options", "age", "read_positions"]

RECENT: Final = timedelta(days=5)
"""A last bar older than that, over a weekend and holidays, marks no trade of the journal."""

_SESSION: Final = (
    "SELECT s.run_id, coalesce((SELECT i.data FROM inputs i WHERE i.session_id = s.id AND i.kind = 'frame' "
    "AND i.bar < p.bars ORDER BY i.id DESC LIMIT 1), s.frame) AS frame, p.bars, p.state, p.memory, p.closes, "
    "(SELECT i.data FROM inputs i WHERE i.session_id = s.id AND i.kind = 'bar' AND i.bar = p.bars - 1) "
    "AS last FROM sessions s JOIN snapshots p ON p.session_id = s.id WHERE s.name = ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All books that hold something, and the bar that valued them; None: there is none."""

    books: tuple[Book, ...]
    last: LastBar | None
    problems: tuple[str, ...]
    looked: datetime

    @property
    def positions(self) -> tuple[OptionPosition, ...]:
        """All of them, book by book."""
        return tuple(one for book in self.books for one in book.positions)


def read_positions(reader: Reader, looked: datetime, session: str = "") -> Options:
    """Read what is open; each place by itself, and what cannot be read is said.

    Parameters
    ----------
    session
        Whose positions stand beside the journal's trades; "" is that of the reader.
    """
    problems: list[str] = []
    found = part(problems, "The session", lambda: _session(reader, session or reader.session))
    last, books = found if found is not None else (None, [])
    recent = last
    if last is not None and abs(looked.timestamp() - last.ts / 1e9) > RECENT.total_seconds():
        recent = None
    for source in ("live", "paper"):
        read = partial(read_trades, reader, source, recent, last, looked)
        book = part(problems, f"Open trades of source {source}", read)
        books += [] if book is None else [book]
    return Options(books=tuple(books), last=last, problems=tuple(problems), looked=looked)


def age(ts: int, looked: datetime) -> str:
    """Return how long ago a time was, in words."""
    seconds = max(0.0, looked.timestamp() - ts / 1e9)
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        count = int(seconds // length)
        if count:
            return f"{count:,} {unit}{'' if count == 1 else 's'} old"
    return "less than a minute old"


def _session(reader: Reader, wanted: str | None) -> tuple[LastBar | None, list[Book]]:
    from live.sessions.frames import decode_frame
    from live.sessions.recording import decode_piece, unpack
    from simulator.kernel.state import from_bytes

    names = stored_sessions(reader.journal)
    chosen = wanted if wanted is not None else next(iter(names), None)
    rows = [] if chosen is None else reader.ask(_SESSION, (chosen,))
    if chosen is not None and not rows:
        raise ValueError(f"it has no session {chosen!r}")
    if chosen is None or rows[0]["last"] is None:
        return None, []
    row = rows[0]
    bars = decode_piece(row["last"], decode_frame(row["frame"])).bars
    state = from_bytes(row["state"])
    betas, against = betas_of(bars, unpack(row["closes"])[0].get("closes"))
    last = LastBar(chosen, int(bars.close_ts[0]), bars, betas, against)
    held = [int(slot) for slot in state.open_slots["slot"][: int(state.account["n_positions"][0])]]
    packages = [slot for slot in held if state.positions["package"][slot] and len(state.legs)]
    if not packages:
        return last, []
    arrays, values = unpack(row["memory"])
    ranks = dict(zip(arrays["market_positions"].tolist(), arrays["markets"].tolist(), strict=True))
    trades = {
        (one["symbol"], one["entry_ts"]): one["id"]
        for one in reader.ask("SELECT id, symbol, entry_ts FROM trades WHERE run_id = ? AND status = 'open' "
                              "AND kind = 'option' LIMIT 500", (row["run_id"],))
    }  # fmt: skip
    lines = account_lines(state, bars.symbols, session=chosen, bars=row["bars"], limits=None, heat=None)
    place = f"session {chosen}"
    positions: list[OptionPosition] = []
    for slot, line in zip(held, lines.positions, strict=True):
        if slot in packages and len(positions) < MOST:
            one = state.positions[slot]
            market = ranks.get(int(one["id"]), [float("nan")] * 4)
            strategy = values["strategies"][int(one["strategy"])] or values["tags"][int(one["tag"])]
            made = _of_session(last, state, slot, place, strategy, market, (line.target, line.stop))
            positions.append(replace(made, trade=trades.get((made.symbol, made.entry_ts))))
    stocks = [
        (bars.symbols[int(state.positions["sym"][slot])], _shares(state.positions[slot]))
        for slot in held
        if slot not in packages
    ]
    return last, [book_of(place, positions, last, stocks, len(packages) - len(positions))]


def _of_session(
    last: LastBar,
    state: State,
    slot: int,
    place: str,
    strategy: str,
    market: list[float],
    levels: tuple[float | None, float | None],
) -> OptionPosition:
    held, package = state.positions[slot], state.packages[slot]
    legs = state.legs[slot][: int(package["legs"])]
    symbol, side = last.bars.symbols[int(held["sym"])], int(held["side"])
    entry, size = float(held["entry_price"]), float(held["qty"] * held["multiplier"])
    rate, carry = last.rates(symbol)
    terms = Terms(
        legs=legs, units=(legs["side"] * legs["ratio"]).astype(np.float64),
        volatility=np.full(len(legs), np.nan), paid=side * entry, size=size, day=last.day, rate=rate,
        carry=carry, american=bool(package["american"]),
    )  # fmt: skip
    seen = last.priced(symbol, terms)
    unknown = []
    mark = finite(held["mark"])
    if seen.mark is None:
        unknown.append("The last bar does not price every leg: the mark is an earlier one, of unknown age.")
    target, stop = ((None if one is None else side * (one - entry) * size) for one in levels)
    return position_of(
        last, terms, key=f"s{int(held['id'])}", place=place, symbol=symbol, strategy=strategy,
        quantity=float(held["qty"]), entry_ts=int(held["entry_ts"]), price=side * entry, shares_paid=0.0,
        worth=None if mark is None else side * mark, mark_ts=None if seen.mark is None else last.ts,
        seen=(seen.source, seen.greeks),
        volatility=seen.volatility, modelled=last.bars.options is not None
        and last.bars.options.grade == "modelled", iv_rank=finite(market[2]), entry_spot=finite(market[0]),
        bounds=None, target=target, stop=stop, unknown=unknown,
    )  # fmt: skip


def _shares(held: Any) -> float:
    return float(held["side"] * held["qty"] * held["multiplier"])
