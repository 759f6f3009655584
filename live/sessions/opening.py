"""Opening a session: a new one, or the stored one where it goes on as it was left.

A session goes on under the engine, limits, costs, conventions and strategies that it was left with; others
have to be accepted with a reason, and are recorded with the bar from which on they hold. One of strategies in
which nothing has happened, because its first start failed, is opened anew as it is asked for now.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from sqlalchemy import delete, update

from journal import schema
from journal.database import Database
from journal.values import as_json
from live.sessions.account import Account, Rules
from live.sessions.frames import decode_frame, encode_frame
from live.sessions.intake import Intake
from live.sessions.memory import Memory
from live.sessions.recording import pack, unpack
from live.sessions.store import SessionStore, Snapshot, StoredSession
from simulator.errors import ConfigError, DataError, EngineError
from simulator.kernel._jit import ENGINE_HASH
from simulator.kernel.state import from_bytes, to_bytes
from simulator.signals import Signals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from live.clock import Clock
    from live.feeds import Feed
    from simulator.bars import Bars

__all__ = ["HasDatabase", "check_group", "database_of", "open_stored", "rows_to_keep"]

HISTORY_ROWS: Final = 1_000
"""Bars kept for ATRs where no strategy needs more."""


class HasDatabase(Protocol):
    """A journal: `TradeJournal`, or anything else with an open database."""

    @property
    def database(self) -> Database:
        """The database."""
        ...


def open_stored(
    store: SessionStore, like: Bars | None, rules: Rules, strategies: Sequence[Any], accept_change: str | None
) -> StoredSession:
    """Return the stored session, begun where there is none.

    Raises
    ------
    ConfigError
        LIVE_LIKE for a new one without bars to be like.
    EngineError
        LIVE_CHANGED for one that was left otherwise, and nothing is accepted.
    DataError
        LIVE_FRAME for one that was opened for other bars.
    """
    configuration = {**rules.plain(), "strategies": [_described(one) for one in strategies]}
    with store.database.write() as connection:
        found = store.find(connection)
        if found is not None and strategies and _is_blank(store, connection, found):
            return _begun_anew(store, connection, found, like, rules, configuration)
        if found is not None:
            _go_on(store, connection, found, like, rules, configuration, accept_change)
            return found
        if like is None:
            raise ConfigError(
                f"session {store.name!r} is new; say what its bars are like: like=bars, or a feed",
                code="LIVE_LIKE",
            )
        frame = encode_frame(like)
        return store.create(
            connection, engine=ENGINE_HASH, configuration=configuration, frame=frame,
            first=_first(frame, rules, _spacing(like)),
        )  # fmt: skip


def check_group(group: int, feed: Feed | None) -> int:
    """Return the bars per transaction; `ConfigError` LIVE_GROUP where they cannot be."""
    if not _is_whole(group, 1):
        raise ConfigError(f"group is {group!r}; it is a whole number of bars", code="LIVE_GROUP")
    if group > 1 and feed is not None and feed.live:
        raise ConfigError(
            f"group is {group}; of a feed that is live every bar is a transaction of its own, so that "
            "nothing that was decided can be lost",
            code="LIVE_GROUP",
        )
    return group


def rows_to_keep(history: int | None, strategies: Sequence[Any]) -> int | None:
    """Return the bars that strategies see, None for all; `ConfigError` LIVE_HISTORY for too few."""
    asking = [one for one in strategies if not isinstance(one, Signals)]
    if history is None:
        return None if asking else HISTORY_ROWS
    least = max([2, *(int(getattr(one, "warmup", 0)) + 1 for one in asking)])
    if not _is_whole(history, least):
        raise ConfigError(
            f"history is {history!r}; the strategies need a whole number of bars, at least {least}",
            code="LIVE_HISTORY",
        )
    return history


def database_of(
    where: str | os.PathLike[str] | Database | HasDatabase, clock: Clock
) -> tuple[Database, bool]:
    """Return the journal's database, and whether it was opened here."""
    if isinstance(where, Database):
        return where, False
    if isinstance(where, (str, os.PathLike)):
        return Database(where, clock=clock), True
    return where.database, False


def _first(frame: bytes, rules: Rules, spacing: float) -> Snapshot:
    like = decode_frame(frame)
    memory = Memory().packed(Intake(like, spacing=spacing))
    state = to_bytes(Account(like, rules).state)
    return Snapshot(bars=0, state=state, memory=memory, closes=pack({}), closes_bars=0)


def _spacing(like: Bars) -> float:
    return float(np.median(np.diff(like.session))) if len(like) > 2 else 1.0


def _is_blank(store: SessionStore, connection: Connection, found: StoredSession) -> bool:
    """Whether nothing has happened since the session was opened: no bar, no note, no command that waits.

    Strategies decide with the first bar; a caller that brings its own signals may have decided before.
    """
    snapshot = store.snapshot(connection, found.id)
    return (
        bool(found.configuration["strategies"])
        # not the snapshot's word alone: a damaged one must not have recorded bars deleted
        and not store.bars_in(connection, found.id, snapshot)
        and not set(store.beside(connection, found.id)) - {"change", "frame"}
        and not unpack(snapshot.memory)[1]["pending"]
    )


def _begun_anew(
    store: SessionStore,
    connection: Connection,
    found: StoredSession,
    like: Bars | None,
    rules: Rules,
    configuration: dict[str, Any],
) -> StoredSession:
    """Open a session anew in its own row, so that whatever names the row or its run still does."""
    snapshot = store.snapshot(connection, found.id)
    if like is None:
        frame, spacing = found.newest_frame, float(unpack(snapshot.memory)[1]["spacing"])
    else:
        frame, spacing = encode_frame(like), _spacing(like)
    plain = as_json("the configuration", configuration)
    connection.execute(delete(schema.inputs).where(schema.inputs.c.session_id == found.id))
    connection.execute(update(schema.runs).where(schema.runs.c.id == found.run_id).values(config=plain))
    connection.execute(
        update(schema.sessions)
        .where(schema.sessions.c.id == found.id)
        .values(engine=ENGINE_HASH, configuration=plain, changes="[]", frame=frame)
    )
    store.save(connection, found.id, _first(frame, rules, spacing), closes=True)
    return replace(found, engine=ENGINE_HASH, configuration=configuration, changes=[], frame=frame, frames=[])


def _go_on(
    store: SessionStore,
    connection: Connection,
    found: StoredSession,
    like: Bars | None,
    rules: Rules,
    configuration: dict[str, Any],
    accept_change: str | None,
) -> None:
    known = [found.frame, *(frame for _, frame in found.frames)]
    if like is not None and encode_frame(like) not in known:
        _refuse(store.name, like, decode_frame(found.newest_frame))
    last = found.changes[-1] if found.changes else None
    engine = found.engine if last is None else last["engine"]
    before = found.configuration if last is None else last["configuration"]
    now = json.loads(json.dumps(configuration))
    changed = [] if engine == ENGINE_HASH else [f"the engine was {engine[:12]} and is {ENGINE_HASH[:12]}"]
    changed += list(_changes(before, now))
    if not changed:
        return
    if not accept_change:
        raise EngineError(
            f"session {store.name!r} cannot go on as it was: {'; '.join(changed[:5])}. Start it as it "
            "was, open a session under another name, or say why, which is recorded: --accept-change "
            "'why' (in Python accept_change='why')",
            code="LIVE_CHANGED",
        )
    snapshot = store.snapshot(connection, found.id)
    entry = {
        "bar": snapshot.bars, "reason": accept_change, "changed": changed, "engine": ENGINE_HASH,
        "configuration": now, "ts": store.database.now(),
    }  # fmt: skip
    store.change(connection, found, entry, int(from_bytes(snapshot.state).account["ts"][0]))
    if not snapshot.bars:
        # nothing was stepped: it begins with the cash and the room that it has now
        spacing = float(unpack(snapshot.memory)[1]["spacing"])
        store.save(connection, found.id, _first(found.newest_frame, rules, spacing), closes=True)
    elif before["risk"] != now["risk"]:
        # other limits may look further back than what was kept: everything is read once more
        afresh = replace(snapshot, closes=pack({}), closes_bars=0)
        store.save(connection, found.id, afresh, closes=True)


def _refuse(name: str, like: Bars, stored: Bars) -> None:
    Intake(stored).check(like[0:0])
    raise DataError(
        f"session {name!r} was opened for other bars: the name, origin or sectors of {like.name} "
        f"differ from those of {stored.name}",
        code="LIVE_FRAME",
    )


def _described(strategy: Any) -> str:
    if isinstance(strategy, Signals):
        return f"Signals {hashlib.sha256(strategy.records.tobytes()).hexdigest()[:16]}"
    text = repr(strategy)
    if " at 0x" not in text:
        return text
    kind = strategy if hasattr(strategy, "__qualname__") else type(strategy)
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"{name}.{key} was {old.get(key)!r} and is {new.get(key)!r}"
        elif old != new:
            yield f"{name} was {old!r} and is {new!r}"
