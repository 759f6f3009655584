"""The counterfactual ledger of paper sessions: their vetoes, run on the bars that they recorded.

A session stores every bar, every signal and every verdict. `SessionLedger.update` reads them as the parity
receipt does, runs each signal that was rejected or shrunk alone to the end of the recorded bars
(`simulator.shadow`), under the costs, conventions and time exit in force at its bar, and stores what came of
it. What people decided against (ignored recommendations, rejected and expired reviews) is run on the same
bars, or on others that are given. Run it again when there are more bars: cases that are open go on.

>>> with TradeJournal("desk.db", source="paper") as journal:   # doctest: +SKIP
...     ledger = SessionLedger(journal)
...     ledger.update("paper")
...     print(ledger.report())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from journal.counterfactual.rows import Entry, final_keys
from journal.counterfactuals import CounterfactualLedger, Found
from live.sessions.account import Rules
from live.sessions.frames import decode_frame, widened
from live.sessions.history import History
from live.sessions.recording import Piece, decode_piece, one_set, unpack
from live.sessions.store import SessionStore
from simulator.errors import EngineError
from simulator.kernel.dtypes import VERDICT
from simulator.results.counterfactuals import cases_of
from simulator.shadow import RISK_UNIT, shadow
from simulator.signals import Signals

if TYPE_CHECKING:
    from journal.database import Database
    from simulator.bars import Bars

__all__ = ["Recorded", "SessionLedger", "recorded_session"]

Records = npt.NDArray[np.void]

_PAPER: Final = "paper"  # the source of all that sessions trade


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a session recorded, as one history.

    Attributes
    ----------
    id, name
        Of the session.
    bars, signals, verdicts
        Everything; a verdict's `signal` counts in `signals`.
    rules
        Rules with the number of the bar from which on they hold, oldest first.
    """

    id: int
    name: str
    bars: Bars
    signals: Signals
    verdicts: Records
    rules: Sequence[tuple[int, Rules]]


class SessionLedger(CounterfactualLedger):
    """A `CounterfactualLedger` that reads what sessions recorded."""

    def update(
        self,
        session: str,
        bars: Bars | None = None,
        *,
        max_days: int | None = None,
        package_rules: Mapping[str, float] | None = None,
        store: bool = True,
    ) -> Found:
        """Run the vetoes of a session and what people decided against, and store what it came to.

        Parameters
        ----------
        session
            Its name.
        bars
            On which what people decided against is run; the session's own by default. Its vetoes always run
            on what it recorded.
        max_days
            Calendar days that such a trade may last; that of the session's limits by default.
        package_rules, store
            As in `update_decisions`.

        Raises
        ------
        UnknownNameError
            LIVE_SESSION.
        EngineError
            LIVE_RECORDING for damaged recordings.
        JournalError
            What writing a journal raises; JOURNAL_LOCKED while another process has it: `store=False` only
            looks.
        """
        recorded = recorded_session(self.journal.database, session)
        with self.journal.database.read() as connection:
            done = final_keys(connection)
        entries = _vetoes(recorded, done)
        limits = recorded.rules[-1][1]
        longest = limits.risk.max_days_in_trade if limits.risk is not None else None
        decided = self.update_decisions(
            recorded.bars if bars is None else bars,
            session=session,
            costs=limits.costs,
            conventions=limits.conventions,
            max_days=longest if max_days is None else max_days,
            package_rules=package_rules,
            store=False,
        )
        mine = [*entries, *decided.entries]
        return self.record(mine, notes=decided.notes, store=store)


def recorded_session(database: Database, name: str) -> Recorded:
    """Return what a session recorded; bars from before it grew have its later symbols without a bar.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION.
    EngineError
        LIVE_RECORDING.
    """
    store = SessionStore(database, name)
    with database.read() as connection:
        session = store.get(connection)
        segments = session.segments()
        frames = {segment.first: decode_frame(segment.frame) for segment in segments}
        like = decode_frame(session.newest_frame)
        history = History(like)
        pieces: list[Piece] = []
        logged: list[Records] = []
        for step in store.steps(connection, session.id):
            piece = decode_piece(step.data, frames[max(first for first in frames if first <= step.bar)])
            history.extend(widened(piece.bars, like))
            pieces.append(Piece(piece.bars[0:0], piece.signals, piece.commands[:0]))
            verdicts = unpack(step.logs)[0].get("verdicts")
            if verdicts is not None:
                logged.append(verdicts)
    bars = history.bars()
    signals = _named(pieces, bars)
    verdicts = np.concatenate(logged) if logged else np.zeros(0, VERDICT)
    if len(verdicts) and int(verdicts["signal"].max()) >= len(signals):
        raise EngineError(
            f"session {name!r} has a verdict on signal {int(verdicts['signal'].max())} and recorded "
            f"{len(signals)} signals",
            code="LIVE_RECORDING",
        )
    rules = [(segment.first, Rules.of(segment.configuration)) for segment in segments]
    return Recorded(session.id, name, bars, signals, verdicts, rules)


def _named(pieces: Sequence[Piece], bars: Bars) -> Signals:
    # All signals as one set; codes of tags and strategies are the session's, names come with the pieces.
    if not pieces:
        return Signals.empty(bars)
    whole, _ = one_set(pieces)
    names: dict[str, dict[int, str]] = {"tags": {}, "strategies": {}}
    for piece in pieces:
        for table, found in names.items():
            given = getattr(piece.signals, table)
            found.update({code: name for code, name in enumerate(given) if name})
    tables = {
        table: tuple(found.get(code, "") for code in range(max(found, default=0) + 1))
        for table, found in names.items()
    }
    signals = Signals(
        whole.records, bars.symbols, sectors=bars.sector_names, packages=whole.packages, legs=whole.legs,
        tags=tables["tags"], strategies=tables["strategies"],
    )  # fmt: skip
    # as they were recorded, ATRs worked out: what is absent stays absent
    signals.keep_ready(bars, signals.records, -1)
    return signals


def _vetoes(recorded: Recorded, done: frozenset[str]) -> list[Entry]:
    verdicts = recorded.verdicts
    refused = verdicts[(verdicts["side"] != 0) & ~(verdicts["granted"] >= verdicts["asked"])]
    keys = [f"session:{recorded.id}:{number}" for number in refused["signal"].tolist()]
    left = np.array([key not in done for key in keys], bool)
    refused = refused[left]
    rows = recorded.signals.records["row"][refused["signal"]]
    names: dict[str, Any] = {"strategies": recorded.signals.strategies, "tags": recorded.signals.tags}
    entries: list[Entry] = []
    edges = [*(first for first, _ in recorded.rules), len(recorded.bars) + 1]
    for part, (first, rules) in enumerate(recorded.rules):
        mine = refused[(rows >= first) & (rows < edges[part + 1])]
        risk = rules.risk
        outcomes = shadow(
            recorded.bars,
            recorded.signals,
            mine,
            costs=rules.costs,
            conventions=rules.conventions,
            max_days=None if risk is None else risk.max_days_in_trade,
            risk_unit=RISK_UNIT if risk is None else rules.cash * risk.risk_per_trade_pct / 100.0,
        )
        entries += [
            Entry(f"session:{recorded.id}:{int(verdict['signal'])}", _PAPER, "rule", case, recorded.name)
            for verdict, case in zip(mine, cases_of(mine, outcomes, names), strict=True)
        ]
    return entries
