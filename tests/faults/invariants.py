"""What must hold after every fault, as one function.

    (a)  the end is that of a run without the fault, or HALTED with something for a person to look at
    (b)  the broker's orders and positions are the journal's, or the difference is written down
    (c)  no order is sent twice, no trade is stored twice
    (d)  the database is whole, and nothing that was acknowledged is missing
    (e)  from when the fault was noticed until it was over nothing made the exposure larger

`broken` looks at the evidence of one run and returns what does not hold, in words; an empty list is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from journal.database import Database
from live.sessions.recording import unpack
from live.sessions.store import SessionStore
from simulator.errors import JournalError
from simulator.kernel.state import from_bytes

__all__ = ["Evidence", "broken"]


@dataclass
class Evidence:
    """What is known of a run with a fault; parts that a run does not have stay empty.

    Attributes
    ----------
    journal, session
        Where it is stored.
    expected
        `answer_of` the run without the fault; a run that has not come to its end is its beginning.
    acknowledged
        Bars that somebody was told are stored.
    complete
        Whether the run had to come to its end.
    halted
        Whether trading is halted, and `to_review` something waits for a person: then the end may differ.
    sent
        Client order ids in the order in which the broker was given them.
    broker, known
        Positions by symbol, and ids of working orders, as the broker and as the journal has them.
    noted
        Symbols or orders in a difference that waits for a person.
    exposure
        (at the fault, the most from then until it was over), in currency, one pair per fault noticed.
    """

    journal: Path
    session: str = "paper"
    expected: Mapping[str, Any] | None = None
    acknowledged: int = 0
    complete: bool = True
    halted: bool = False
    to_review: bool = False
    sent: Sequence[str] = ()
    broker: tuple[Mapping[str, float], frozenset[str]] | None = None
    known: tuple[Mapping[str, float], frozenset[str]] | None = None
    noted: frozenset[str] = frozenset()
    exposure: list[tuple[float, float]] = field(default_factory=list)


def broken(evidence: Evidence) -> list[str]:
    """Return the invariants that do not hold, each with what was found."""
    found = [*_whole(evidence)]
    if not found:
        found += _same_end(evidence)
        found += _twice(evidence)
    found += _broker(evidence)
    found += [
        f"(e) exposure went from {before:g} to {after:g} while the fault was known"
        for before, after in evidence.exposure
        if after > before + 1e-9
    ]
    return found


def _whole(evidence: Evidence) -> list[str]:
    try:
        with Database(evidence.journal, read_only=True) as database:
            database.check(full=True)
            with database.read() as connection:
                bars = connection.exec_driver_sql(
                    "SELECT count(*), coalesce(max(bar) + 1, 0) FROM steps t "
                    "JOIN sessions s ON s.id = t.session_id WHERE s.name = ?",
                    (evidence.session,),
                ).one()
    except JournalError as error:
        return [f"(d) {error}"]
    if bars[0] != bars[1]:
        return [f"(d) {bars[0]} bars are stored, the last is number {bars[1] - 1}"]
    if bars[0] < evidence.acknowledged:
        return [f"(d) {evidence.acknowledged} bars were acknowledged, {bars[0]} are stored"]
    return []


def _same_end(evidence: Evidence) -> list[str]:
    if evidence.expected is None or (evidence.halted and evidence.to_review):
        return []
    with Database(evidence.journal, read_only=True) as database:
        store = SessionStore(database, evidence.session)
        with database.read() as connection:
            found = store.find(connection)
            steps = [] if found is None else list(store.steps(connection, found.id))
    states = [step.state for step in steps]
    wanted = list(evidence.expected["states"])
    problems = []
    if evidence.complete and len(states) != len(wanted):
        problems.append(f"(a) it came to bar {len(states)} of {len(wanted)}")
    differing = [bar for bar, (is_, was) in enumerate(zip(states, wanted, strict=False)) if is_ != was]
    if differing:
        problems.append(f"(a) the state differs from bar {differing[0]} on")
    if evidence.complete and not problems:
        logs: dict[str, list[bytes]] = {}
        for step in steps:
            for name, rows in unpack(step.logs)[0].items():
                logs.setdefault(name, []).append(rows.tobytes())
        problems += [
            f"(a) the {name} differ"
            for name, rows in evidence.expected.items()
            if isinstance(rows, bytes) and b"".join(logs.get(name, [])) != rows
        ]
    return problems


def _twice(evidence: Evidence) -> list[str]:
    problems = [
        f"(c) order {order} was sent {count} times"
        for order, count in Counter(evidence.sent).items()
        if count > 1
    ]
    with Database(evidence.journal, read_only=True) as database:
        store = SessionStore(database, evidence.session)
        with database.read() as connection:
            found = store.find(connection)
            if found is None:
                return problems
            steps = list(store.steps(connection, found.id))
            snapshot = store.snapshot(connection, found.id)
            stored = connection.exec_driver_sql(
                "SELECT count(*) FROM trades WHERE run_id = ? AND status = 'closed'", (found.run_id,)
            ).scalar_one()
            symbols = unpack(found.frame)[1]["symbols"]
    logs = [unpack(step.logs)[0] for step in steps]
    trades = sum(len(one.get("trades", ())) for one in logs)
    if stored != trades:
        problems.append(f"(c) {trades} trades ended, {stored} are stored")
    problems += _ledger(logs, from_bytes(snapshot.state), symbols)
    return problems


def _ledger(logs: Sequence[Mapping[str, Any]], state: Any, symbols: Sequence[str]) -> list[str]:
    """Compare what is held with the sum of all fills."""
    if len(state.packages):
        return []  # their legs settle in other ways than by fills
    filled = np.zeros(len(symbols))
    for one in logs:
        fills = one.get("fills")
        if fills is not None:
            np.add.at(filled, fills["sym"], fills["side"] * fills["qty"])
    held = np.zeros(len(symbols))
    for slot in state.open_slots["slot"][: int(state.account["n_positions"][0])]:
        position = state.positions[int(slot)]
        held[int(position["sym"])] += float(position["side"]) * float(position["qty"])
    wrong = np.flatnonzero(~np.isclose(filled, held))
    return [f"(b) {held[k]:g} {symbols[k]} are held, the fills make {filled[k]:g}" for k in map(int, wrong)]


def _broker(evidence: Evidence) -> list[str]:
    if evidence.broker is None or evidence.known is None:
        return []
    there, mine = evidence.broker, evidence.known
    names = {*there[0], *mine[0]}
    problems = [
        f"(b) the broker holds {there[0].get(name, 0.0):g} {name}, the journal {mine[0].get(name, 0.0):g}"
        for name in sorted(names)
        if not np.isclose(there[0].get(name, 0.0), mine[0].get(name, 0.0)) and name not in evidence.noted
    ]
    problems += [
        f"(b) order {order} works at one of broker and journal only"
        for order in sorted(there[1] ^ mine[1])
        if order not in evidence.noted
    ]
    return problems
