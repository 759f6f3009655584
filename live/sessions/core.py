"""What a session has in memory, and the one transaction that a bar is.

Everything here follows from what is stored: `recover` builds it, from the newest snapshot and the bars that
strategies and gates look back on. `transact` lets bars in, asks the strategies, steps, and stores; if
anything of that fails, nothing is stored, and memory goes back to what is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from journal.result_rows import equity_row
from live.feeds.holds import Hold, without_entries
from live.sessions.account import Account, Rules, identity
from live.sessions.bar_strategies import BarStrategies, is_called_by_bar, matched
from live.sessions.frames import check_extends, decode_frame, encode_frame, widened
from live.sessions.history import History
from live.sessions.intake import Gap, Intake, Refused
from live.sessions.known_signals import known_at
from live.sessions.memory import Memory, Waiting
from live.sessions.outcome import Logs, Rehearsal, StepOutcome, joined_logs
from live.sessions.recording import (
    Piece,
    decode_piece,
    encode_piece,
    pack,
    records_of_commands,
    unpack,
)
from live.sessions.store import SessionStore, Snapshot, Step, StoredSession, note_data, sealed
from live.sessions.trade_rows import store_trade, store_verdicts
from live.sessions.trades import StepRecord, TradeLog
from simulator.kernel.state import from_bytes, to_bytes
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.kill_switch import KillSwitch
    from simulator.bars import Bars

__all__ = ["Core", "Setup"]

_MOVING: Final = ("fills", "trades", "verdicts", "events")  # logs without which the book stays as it is
_MARK_EVERY: Final = 64  # bars after which the closes of daily bars are stored anew


@dataclass(frozen=True, slots=True)
class Setup:
    """How a session was started: rules, strategies, rows that they see, bars per transaction."""

    rules: Rules
    strategies: list[Any]
    history: int | None
    group: int
    kill_switch: KillSwitch | None
    trade_log: TradeLog | None = None
    callers: BarStrategies | None = None


class Core:
    """The working parts of one session.

    Attributes
    ----------
    like
        What all bars share.
    account, history, intake
        The account, the bars seen, and what the next bar is measured by.
    bars
        Bars stepped.
    memory
        What it goes on with beside the state.
    broken
        Whether memory could not be brought back to what is stored.
    """

    like: Bars
    account: Account
    history: History
    intake: Intake
    bars: int
    memory: Memory

    def __init__(self, store: SessionStore, session: StoredSession, setup: Setup) -> None:
        self._store = store
        self._session = session
        self._setup = setup
        self.broken = False
        self._asked = [one for one in setup.strategies if not is_called_by_bar(one)]
        self._callers = setup.callers
        self.recover()

    def recover(self) -> None:
        """Take up the session from what is stored, whatever was in memory."""
        with self._store.database.read() as connection:
            snapshot = self._store.snapshot(connection, self._session.id)
            segments = self._session.segments()
            self._frames = [(one.first, decode_frame(one.frame)) for one in segments]
            self.like, self._seal = self._frames[-1][1], segments[-1].seal
            closes = unpack(snapshot.closes)[0].get("closes")
            self.account = Account(
                self.like, self._setup.rules, state=from_bytes(snapshot.state), closes=closes
            )
            self.bars, self._closes_bars = snapshot.bars, snapshot.closes_bars
            self.intake = Intake(self.like)
            self.memory = Memory.of(snapshot.memory, self.intake)
            self.memory.told(self.account.state)
            self.history = History(self.like, self._setup.history, slack=self._setup.group)
            wanted = 0 if self._setup.history is None else self.bars - self._setup.history
            first = max(0, min(wanted, snapshot.closes_bars))
            for bar, data in enumerate(self._store.pieces(connection, self._session.id, first), first):
                row = self._read(bar, data)
                self.history.extend(row)
                if bar >= snapshot.closes_bars:
                    self.account.look_back(row)
                if bar == self.bars - 1:
                    self.intake.seen(row)
        if self._callers is not None:
            self._callers.stale = True
        self.broken = False

    def grow(self, like: Bars) -> None:
        """Go on with the symbols of `like` from the next bar on."""
        check_extends(self.like, like)
        if like.symbols == self.like.symbols:
            return
        frame = encode_frame(like)
        with self._store.database.write() as connection:
            self._store.grow(connection, self._session, self.bars, self.last_ts, frame)
        self._session.frames.append((self.bars, frame))
        segment = self._session.segments()[-1]
        self.like, self._seal = decode_frame(frame), segment.seal
        self._frames.append((self.bars, self.like))
        self.account, self.history = self.account.grown(self.like), self.history.grown(self.like)
        self.intake.like = self.like

    def rehearse(self, bars: Bars, given: Signals | None, commands: Sequence[dict[str, Any]]) -> Rehearsal:
        """Do on a copy what `transact` would do with these bars, strategies aside; nothing is stored."""
        check_extends(self.like, bars)
        like = self.like if bars.symbols == self.like.symbols else decode_frame(encode_frame(bars))
        rows, _ = replace(self.intake.copy(), like=like).sort(bars, self._stepped)
        account = self.account.grown(like)
        own = like is not self.like or len(rows) > self._setup.group
        history, known = self.history.grown(like) if own else self.history, self.history.total
        names, waiting = self.memory.names.copy(), self.memory.waiting
        waiting = replace(waiting, pending=(*waiting.pending, *commands))
        logged: list[Logs] = []
        try:
            for row in rows:
                history.extend(row)
                signals = known_at(
                    history, [row], [] if given is None else [given], asked=(), names=names,
                    risk=self._setup.rules.risk,
                )[0]  # fmt: skip
                due_now, waiting = waiting.at(int(row.ts[0]), self._setup.kill_switch)
                piece = Piece(row, signals, records_of_commands(due_now, like.symbols))
                logged += [logs for _, logs in account.each(row, [piece])]
        finally:
            if not own:
                history.forget(history.total - known)
        return Rehearsal(joined_logs(logged), account.state, like.symbols, len(rows))

    @property
    def last_ts(self) -> int:
        """Label of the last bar, UTC nanoseconds; 0 before any."""
        return self.intake.ts if self.bars else 0

    def keep_note(self, data: bytes) -> None:
        """Store a note beside the last bar."""
        with self._store.database.write() as connection:
            self._store.note(connection, self._session.id, self.bars - 1, "note", self.last_ts, data)

    def transact(
        self, bars: Bars, signals: Signals | None, note: bytes | None = None, holds: Sequence[Hold] = ()
    ) -> StepOutcome:
        """Let bars in, step them, and store what came of it: all of it, or nothing."""
        intake, known, memory = self.intake.copy(), self.history.total, self.memory
        waiting, names = memory.waiting, memory.names.copy()
        self._recall()
        try:
            rows, notes = self.intake.sort(bars, self._stepped)
            prepared = self._prepared(rows, signals)
            prepared, held = _held_back(prepared, holds)
        except BaseException:
            self.history.forget(self.history.total - known)
            self.intake, memory.names = intake, names
            if self._callers is not None:
                self._callers.stale = True
            raise
        try:
            with self._store.database.write() as connection:
                for before, told in notes:
                    self._note(connection, before, told)
                outcome = self._advance(connection, rows, prepared, notes)
                for said in (held, note):
                    if said is not None:
                        self.keep_note(said)
                stepped = {int(row.ts[0]) for row in rows}
                return replace(outcome, holds=tuple(hold for hold in holds if hold.ts in stepped))
        except BaseException:
            # what is in memory is ahead of what is stored: go back to that
            self._go_back(waiting)
            raise

    def _advance(
        self,
        connection: Connection,
        rows: Sequence[Bars],
        prepared: Sequence[Signals],
        notes: Sequence[tuple[int, Refused | Gap]],
    ) -> StepOutcome:
        code, state, first, whole = 0, "", self.bars, b""
        steps: list[Step] = []
        logged: list[Logs] = []
        worth: list[dict[str, Any]] = []
        trades: list[int] = []
        recorded = [
            encode_piece(Piece(row, signals, self._commands_for(row)))
            for row, signals in zip(rows, prepared, strict=True)
        ]
        # what is stepped is what was recorded, read back
        pieces = [decode_piece(data, self.like) for data in recorded]
        bars = pieces[0].bars if len(pieces) == 1 else self.history.bars()[len(self.history) - len(rows) :]
        session, judged = (int(self.account.state.account[name][0]) for name in ("session", "seq"))
        stepped = self.account.each(bars, pieces) if pieces else ()
        for piece, data, (code, logs) in zip(pieces, recorded, stepped, strict=True):
            whole = to_bytes(self.account.state)
            state = identity(self.account.state, whole)
            steps.append(
                Step(
                    self.bars,
                    piece.ts,
                    code,
                    data,
                    sealed(self._seal, data),
                    state,
                    pack({name: rows for name, rows in logs.items() if len(rows)}),
                )
            )
            logged.append(logs)
            worth += [equity_row(row, self._session.run_id, piece.ts) for row in logs["equity"]]
            trades += self._settled(connection, piece, logs, judged)
            judged = int(self.account.state.account["seq"][0])
            if any(len(logs[name]) for name in _MOVING):
                self.memory.book.prune(self.account.state)
                self.memory.touched()
            self.bars += 1
        everything = joined_logs(logged)
        if steps:
            marked = self._mark(bars.session, session, first)
            if self._setup.trade_log is None:
                store_verdicts(
                    connection, everything["verdicts"], like=self.like, names=self.memory.names,
                    run_id=self._session.run_id,
                )  # fmt: skip
            self._store.append(connection, self._session.id, steps)
            self._store.log_equity(connection, worth)
            closes = pack({"closes": self.account.closes}) if marked else b""
            snapshot = Snapshot(self.bars, whole, self.packed(), closes, self._closes_bars)
            self._store.save(connection, self._session.id, snapshot, closes=marked)
        return StepOutcome(
            bars=len(rows),
            ts=self.last_ts,
            code=code,
            state=state or identity(self.account.state),
            logs=everything,
            signals=sum(len(signals) for signals in prepared),
            refused=tuple(note for _, note in notes if isinstance(note, Refused)),
            gaps=tuple(note for _, note in notes if isinstance(note, Gap)),
            trades=tuple(trades),
        )

    def _settled(self, connection: Connection, piece: Piece, logs: Logs, judged: int) -> list[int]:
        """Write what a bar did to trades; returns the numbers of those that closed."""
        run_id = self._session.run_id
        if self._setup.trade_log is not None:
            return self._setup.trade_log.write(connection, StepRecord(self.bars, logs, self.like, run_id))
        return [
            store_trade(
                connection, closed, like=self.like, names=self.memory.names, run_id=run_id,
                account=self._session.name,
            )
            for closed in self.memory.book.follow(piece, logs, judged, self.history)
        ]  # fmt: skip

    def _prepared(self, rows: Sequence[Bars], given: Signals | None) -> list[Signals]:
        """Return the signals of each row, aligned, with their ATRs, in the names of the session."""
        history, parts = self.history, [] if given is None else [given]
        for row in rows:
            history.extend(row)
        if self._callers is not None:
            return self._called(rows, parts, self._callers)
        if self._setup.history is None:
            # by the prefix rule the signals of all rows are those of each when it was the newest
            return self._known(rows, parts)
        return [self._known([row], parts, len(rows) - 1 - index)[0] for index, row in enumerate(rows)]

    def _known(self, rows: Sequence[Bars], parts: Sequence[Signals], behind: int = 0) -> list[Signals]:
        return known_at(
            self.history, rows, parts, asked=self._asked, names=self.memory.names,
            risk=self._setup.rules.risk, behind=behind,
        )  # fmt: skip

    def _called(self, rows: Sequence[Bars], parts: list[Signals], callers: BarStrategies) -> list[Signals]:
        """Return the signals of each row, strategies asked that want to see the account first."""
        found: list[Signals] = []
        account, waiting = self.account, self.memory.waiting
        for index, row in enumerate(rows):
            behind = len(rows) - 1 - index
            commands, waiting = waiting.at(int(row.ts[0]), self._setup.kill_switch)
            records = records_of_commands(commands, self.like.symbols)
            state = matched(account, Piece(row, Signals.empty(row), records))
            seen = self.history.until(len(self.history) - 1 - behind)
            orders = callers.orders(seen, self.bars + index + 1, state)
            found += self._known([row], [*parts, *orders], behind)
            if behind:
                account = account.grown(self.like) if account is self.account else account
                for _ in account.each(row, [Piece(row, found[-1], records)]):
                    pass
        return found

    def _commands_for(self, row: Bars) -> npt.NDArray[np.void]:
        """Return the commands of a bar."""
        commands, self.memory.waiting = self.memory.waiting.at(int(row.ts[0]), self._setup.kill_switch)
        return records_of_commands(commands, self.like.symbols)

    def _mark(self, sessions: npt.NDArray[np.int64], before: int, first: int) -> bool:
        """Say whether the closes that the account looks back on are to be stored, and from which bar on."""
        if self.like.daily:
            if self.bars - self._closes_bars < _MARK_EVERY:
                return False
            self._closes_bars = self.bars
            return True
        # of intraday bars, where a session has begun: what it looks back on are the sessions before
        if int(sessions[-1]) == before:
            return False
        self._closes_bars = first + int(np.searchsorted(sessions, sessions[-1]))
        return True

    def packed(self) -> bytes:
        """Return what is stored beside the state."""
        return self.memory.packed(self.intake)

    def _note(self, connection: Connection, before: int, note: Refused | Gap) -> None:
        bar, session = self.bars + before, self._session.id
        if isinstance(note, Gap):
            data = json.dumps({"after_ts": note.after_ts, "sessions": note.sessions}).encode()
            self._store.note(connection, session, bar, "gap", note.before_ts, data)
            return
        said = b""
        if note.kind != "duplicate":
            said = encode_piece(Piece(note.bars, Signals.empty(note.bars), records_of_commands([], ())))
        self._store.note(connection, session, bar, note.kind, note.ts, said)

    def _recall(self) -> None:
        """Have strategies that are called bar by bar remember what was stored, where they do not."""
        if self._callers is not None and self._callers.stale:
            with self._store.database.read() as connection:
                self._callers.recall(self._store, connection, self._session, self._setup.history)

    def _stepped(self, ts: int) -> Bars | None:
        with self._store.database.read() as connection:
            found = self._store.at(connection, self._session.id, ts)
        return None if found is None else self._read(*found)

    def _read(self, bar: int, data: bytes) -> Bars:
        """Return a stored bar, for the symbols that the session has now."""
        like = next(like for first, like in reversed(self._frames) if first <= bar)
        return widened(decode_piece(data, like).bars, self.like)

    def _go_back(self, waiting: Waiting) -> None:
        try:
            self.recover()
            self.memory.waiting = replace(self.memory.waiting, pending=waiting.pending)
        except Exception:
            # the journal cannot even be read: the error that led here says why
            self.broken = True


def _held_back(prepared: list[Signals], holds: Sequence[Hold]) -> tuple[list[Signals], bytes | None]:
    """Return signals without the entries that holds forbid, and a note of them where there were any."""
    if not holds:
        return prepared, None
    left = [without_entries(signals, holds) for signals in prepared]
    dropped = [one for some, kept in zip(prepared, left, strict=True) for one in _dropped(some, kept)]
    if not dropped:
        return left, None
    said = {"held": [str(hold) for hold in holds], "entries": len(dropped), "signals": dropped}
    return left, note_data(said)


def _dropped(signals: Signals, kept: Signals) -> list[dict[str, Any]]:
    """Return what there is to know of the signals that were not kept, which are in their old order."""
    found, left = [], [record.tobytes() for record in kept.records]
    for record in signals.records:
        if left and left[0] == record.tobytes():
            left.pop(0)
            continue
        found.append(
            {
                "ts": int(record["ts"]), "symbol": signals.symbols[record["sym"]],
                "side": int(record["side"]), "strategy": signals.strategies[record["strategy"]],
            }
        )  # fmt: skip
    return found
