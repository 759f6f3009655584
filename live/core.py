"""What a session has in memory, and the one transaction that a bar is.

Everything here follows from what is stored: `recover` builds it, from the newest snapshot and the bars that
strategies and gates look back on. `transact` lets bars in, asks the strategies, steps, and stores; if
anything of that fails, nothing is stored, and memory goes back to what is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from live.account import Account, Rules, identity
from live.history import History
from live.intake import Gap, Intake, Refused
from live.outcome import Logs, StepOutcome, joined_logs
from live.recording import (
    Piece,
    decode_frame,
    decode_piece,
    encode_piece,
    pack,
    records_of_commands,
    unpack,
)
from live.session_commands import due, switch_commands
from live.store import SessionStore, Snapshot, Step, StoredSession, sealed
from live.trades import Book, Names, store_trade, store_verdicts
from simulator.engine import prepare, signals_of
from simulator.kernel.state import from_bytes, to_bytes
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.kill_switch import KillSwitch, SwitchState
    from simulator.bars import Bars

__all__ = ["Core", "Setup", "pack_memory"]

_MARK_EVERY: Final = 64  # bars after which the closes of daily bars are stored anew


@dataclass(frozen=True, slots=True)
class Setup:
    """How a session was started: rules, strategies, rows that they see, bars per transaction."""

    rules: Rules
    strategies: list[Any]
    history: int | None
    group: int
    kill_switch: KillSwitch | None


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
    pending
        Commands that wait.
    broken
        Whether memory could not be brought back to what is stored.
    """

    like: Bars
    account: Account
    history: History
    intake: Intake
    bars: int
    pending: list[dict[str, Any]]
    _switch: SwitchState

    def __init__(self, store: SessionStore, session: StoredSession, setup: Setup) -> None:
        self._store = store
        self._session = session
        self._setup = setup
        self.broken = False
        self.recover()

    def recover(self) -> None:
        """Take up the session from what is stored, whatever was in memory."""
        with self._store.database.read() as connection:
            snapshot = self._store.snapshot(connection, self._session.id)
            arrays, values = unpack(snapshot.memory)
            self.like = decode_frame(self._session.frame)
            self._seal = self._session.seals()[-1]
            closes = unpack(snapshot.closes)[0].get("closes")
            self.account = Account(
                self.like, self._setup.rules, state=from_bytes(snapshot.state), closes=closes
            )
            self._names = Names(values["tags"], values["strategies"])
            self._book = Book.of(arrays, values["fills"]) if arrays else Book()
            self.pending, self._switch = values["pending"], values["switch"]
            self.bars, self._closes_bars = snapshot.bars, snapshot.closes_bars
            self.intake = Intake(self.like, spacing=values["spacing"])
            self.intake.announced = {(sym, value) for sym, value in values["announced"]}
            self.history = History(self.like, self._setup.history, slack=self._setup.group)
            wanted = 0 if self._setup.history is None else self.bars - self._setup.history
            first = max(0, min(wanted, snapshot.closes_bars))
            for bar, data in enumerate(self._store.pieces(connection, self._session.id, first), first):
                row = decode_piece(data, self.like).bars
                self.history.extend(row)
                if bar >= snapshot.closes_bars:
                    self.account.look_back(row)
                if bar == self.bars - 1:
                    self.intake.seen(row)
        self.broken = False

    def transact(self, bars: Bars, signals: Signals | None) -> StepOutcome:
        """Let bars in, step them, and store what came of it: all of it, or nothing."""
        intake, pending, known = self.intake.copy(), list(self.pending), self.history.total
        try:
            rows, notes = self.intake.sort(bars, self._stepped)
            prepared = self._prepared(rows, signals)
        except BaseException:
            self.history.forget(self.history.total - known)
            self.intake, self.pending = intake, pending
            raise
        try:
            with self._store.database.write() as connection:
                for before, note in notes:
                    self._note(connection, before, note)
                return self._advance(connection, rows, prepared, notes)
        except BaseException:
            # what is in memory is ahead of what is stored: go back to that
            self._go_back(pending)
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
            trades += [
                store_trade(
                    connection, closed, like=self.like, names=self._names, run_id=self._session.run_id,
                    account=self._session.name,
                )
                for closed in self._book.follow(piece, logs, judged, self.history)
            ]  # fmt: skip
            judged = int(self.account.state.account["seq"][0])
            self._book.prune(self.account.state)
            self.bars += 1
        everything = joined_logs(logged)
        if steps:
            marked = self._mark(bars.session, session, first)
            store_verdicts(
                connection, everything["verdicts"], like=self.like, names=self._names,
                run_id=self._session.run_id,
            )  # fmt: skip
            self._store.append(connection, self._session.id, steps)
            closes = pack({"closes": self.account.closes}) if marked else b""
            snapshot = Snapshot(self.bars, whole, self.memory(), closes, self._closes_bars)
            self._store.save(connection, self._session.id, snapshot, closes=marked)
        return StepOutcome(
            bars=len(rows),
            ts=self.intake.ts if self.bars else 0,
            code=code,
            state=state or identity(self.account.state),
            logs=everything,
            signals=sum(len(signals) for signals in prepared),
            refused=tuple(note for _, note in notes if isinstance(note, Refused)),
            gaps=tuple(note for _, note in notes if isinstance(note, Gap)),
            trades=tuple(trades),
        )

    def _prepared(self, rows: Sequence[Bars], given: Signals | None) -> list[Signals]:
        """Return the signals of each row, aligned, with their ATRs, in the names of the session."""
        for row in rows:
            self.history.extend(row)
        if not rows or (given is None and not self._setup.strategies):
            return [Signals.empty(row) for row in rows]
        first = len(self.history) - len(rows)
        if self._setup.history is None:
            # by the prefix rule the signals of all rows are those of each when it was the newest
            return self._known_at(self.history.bars(), rows, given)
        return [
            self._known_at(self.history.until(first + index), [row], given)[0]
            for index, row in enumerate(rows)
        ]

    def _known_at(self, bars: Bars, rows: Sequence[Bars], given: Signals | None) -> list[Signals]:
        times = np.array([row.ts[0] for row in rows], np.int64)
        parts = [] if given is None else [given]
        if self._setup.strategies:
            asked = self._setup.strategies if len(self._setup.strategies) > 1 else self._setup.strategies[0]
            parts.append(signals_of(asked, bars))
        chosen = [_at_times(part, times) for part in parts]
        signals = chosen[0] if len(chosen) == 1 else Signals.concat(chosen)
        if not len(signals):
            return [Signals.empty(row) for row in rows]
        records = prepare(signals, bars, self._setup.rules.risk)
        edges = np.searchsorted(records["row"], np.arange(len(bars) - len(rows), len(bars) + 1))
        return [self._named(signals, records[edges[index] : edges[index + 1]]) for index in range(len(rows))]

    def _named(self, signals: Signals, records: npt.NDArray[np.void]) -> Signals:
        records = records.copy()
        records["row"] = 0
        for name, names in (("tag", signals.tags), ("strategy", signals.strategies)):
            records[name] = self._names.coded(records, name, names)
        packages = legs = None
        used = np.unique(records["package"][records["package"] > 0])
        if len(used):
            packages, legs = signals.packages[used - 1], signals.legs[used - 1]
            places = np.searchsorted(used, records["package"]) + 1
            records["package"] = np.where(records["package"] > 0, places, 0)
        return Signals(
            records, self.like.symbols, tags=tuple(self._names.tags),
            strategies=tuple(self._names.strategies), sectors=self.like.sector_names, packages=packages,
            legs=legs,
        )  # fmt: skip

    def _commands_for(self, row: Bars) -> npt.NDArray[np.void]:
        """Return the commands of a bar, the kill switch's first."""
        ts = int(row.ts[0])
        commands, self.pending = due(self.pending, ts)
        if self._setup.kill_switch is not None:
            now = self._setup.kill_switch.state
            commands = [*switch_commands(self._switch, now, ts), *commands]
            self._switch = now
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

    def memory(self) -> bytes:
        """Return what is stored beside the state."""
        return pack_memory(
            self._book,
            names=self._names,
            pending=self.pending,
            switch=self._switch,
            spacing=self.intake.spacing,
            announced=self.intake.announced,
        )

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

    def _stepped(self, ts: int) -> Bars | None:
        with self._store.database.read() as connection:
            data = self._store.at(connection, self._session.id, ts)
        return None if data is None else decode_piece(data, self.like).bars

    def _go_back(self, pending: list[dict[str, Any]]) -> None:
        try:
            self.recover()
            self.pending = pending
        except Exception:
            # the journal cannot even be read: the error that led here says why
            self.broken = True


def pack_memory(
    book: Book,
    *,
    names: Names,
    pending: Sequence[Mapping[str, Any]],
    switch: str,
    spacing: float,
    announced: set[tuple[int, float]],
) -> bytes:
    """Return what a session goes on with beside its state, as bytes."""
    values = {
        "tags": names.tags, "strategies": names.strategies, "pending": list(pending), "switch": switch,
        "spacing": spacing, "announced": sorted(announced), "fills": book.number,
    }  # fmt: skip
    return pack(book.arrays(), values)


def _at_times(signals: Signals, times: npt.NDArray[np.int64]) -> Signals:
    mine = np.isin(signals.records["ts"], times)
    if mine.all():
        return signals
    return Signals(
        signals.records[mine], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors, checked_stops=signals.checked_stops, packages=signals.packages,
        legs=signals.legs,
    )  # fmt: skip
