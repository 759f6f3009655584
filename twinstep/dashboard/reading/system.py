"""What the page "system" shows: sessions, what happened, who halted and armed, what waits, and versions.

Each part is read by itself, from the journal, from the folder of the switch, from the inbox, from this
machine; where one cannot be read the others are shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from live.kill_files import read_record
from twinstep.account_lines import AccountLines, stored_lines
from twinstep.dashboard.reading.files import json_of
from twinstep.dashboard.reading.parts import part
from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from live.reconciling.differences import Difference
    from twinstep.checks import Finding

__all__ = ["AlertLines", "EventLine", "SessionLine", "SwitchLine", "System", "WaitingCommand", "read_system"]

MOST_SESSIONS: Final = 8
"""Sessions whose account is read; of older ones the last bar is shown."""
MOST_LINES: Final = 40
MOST_WORDS: Final = 200

_SESSIONS: Final = (
    "SELECT s.name, s.created_ts, (SELECT max(bar) + 1 FROM steps t WHERE t.session_id = s.id) AS bars, "
    "(SELECT max(ts) FROM steps t WHERE t.session_id = s.id) AS ts FROM sessions s "
    "ORDER BY ts DESC, s.id DESC"
)
_EVENTS: Final = (
    "SELECT ts, account, kind, symbol, client_order_id, substr(data, 1, 2000) AS data FROM events "
    "ORDER BY id DESC LIMIT ?"
)
_FAULTS: Final = (
    "SELECT i.ts, s.name AS session, i.kind, i.bar FROM inputs i JOIN sessions s ON s.id = i.session_id "
    "WHERE i.kind <> 'bar' AND i.kind <> 'note' ORDER BY i.id DESC LIMIT ?"
)
_RECEIVED: Final = {
    "frame": "new list of symbols",
    "change": "new settings",
    "duplicate": "bar twice",
    "revised": "bar revised",
    "late": "bar late",
}
"""What a session calls what it received, and what a reader does."""
_COMMANDS: Final = (
    "SELECT name, dropped_ts, decided_ts, outcome, reason FROM commands ORDER BY decided_ts DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine:
    """A session and its last bar; its account is None where it is not read."""

    name: str
    begun: int
    bars: int
    ts: int | None
    account: AccountLines | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """Something that happened; `kind` and `about` are words, the time is None before the first bar."""

    ts: int | None
    where: str
    kind: str
    symbol: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchLine:
    """A halt, an arming or what else the switch has on record; the time is None where it has none."""

    event: str
    at: datetime | None
    by: str
    reason: str
    scope: str


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """A command in the inbox."""

    name: str
    ts: int


@dataclass(frozen=True, slots=True)
class AlertLines:
    """Who is told, by number; addresses are secrets."""

    addresses: int
    kinds: tuple[str, ...]
    per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The page; what is None could not be read, and a problem says why."""

    sessions: tuple[SessionLine, ...] | None
    events: tuple[EventLine, ...] | None
    faults: tuple[EventLine, ...] | None
    switch: tuple[SwitchLine, ...] | None
    differences: tuple[Difference, ...] | None
    waiting: tuple[WaitingCommand, ...] | None
    commands: tuple[dict[str, Any], ...] | None
    alerts: AlertLines | None
    findings: tuple[Finding, ...] | None
    problems: tuple[str, ...] = ()


def read_system(reader: Reader) -> System:
    """Return the page."""
    problems: list[str] = []
    name = reader.journal.name
    sessions = events = faults = commands = None
    if not reader.journal.exists():
        problems.append(f"The journal {name} cannot be read: it is not there yet")
    else:
        sessions = part(problems, f"Sessions of {name}", lambda: _sessions(reader, problems))
        events = part(problems, f"The log of {name}", lambda: _events(reader))
        faults = part(problems, f"What sessions of {name} received", lambda: _faults(reader))
        commands = part(
            problems, f"Commands of {name}", lambda: tuple(reader.ask(_COMMANDS, (MOST_LINES // 4,)))
        )
    return System(
        sessions=sessions,
        events=events,
        faults=faults,
        switch=part(problems, "The record of the switch", lambda: _switch(reader)),
        differences=part(problems, "Differences", lambda: _differences(reader)),
        waiting=part(problems, "The inbox", lambda: _waiting(reader)),
        commands=commands,
        alerts=part(problems, "The configuration of alerts", _alerts),
        findings=part(problems, "This machine", _findings),
        problems=tuple(problems),
    )


def _sessions(reader: Reader, problems: list[str]) -> tuple[SessionLine, ...]:
    found = []
    for place, row in enumerate(reader.ask(_SESSIONS)):
        name = str(row["name"])
        account = None
        if place < MOST_SESSIONS and row["bars"]:
            account = part(problems, f"Session {name}", partial(stored_lines, reader.journal, name))
        found.append(
            SessionLine(
                name=name, begun=row["created_ts"], bars=row["bars"] or 0, ts=row["ts"], account=account
            )
        )
    return tuple(found)


def _events(reader: Reader) -> tuple[EventLine, ...]:
    return tuple(
        EventLine(
            ts=row["ts"], where=row["account"], kind=row["kind"], symbol=row["symbol"],
            about=_about(row["client_order_id"], row["data"]),
        )
        for row in reader.ask(_EVENTS, (MOST_LINES,))
    )  # fmt: skip


def _about(order: str, data: str) -> str:
    """Return what an event says, as names and values; what is no JSON as it is."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = data
    words = [order] if order else []
    if isinstance(fields, dict):
        words += [
            f"{name} {_plain(value)}" for name, value in fields.items() if value not in (None, "", [], {})
        ]
    else:
        words.append(str(fields))
    text = ", ".join(words)
    return text if len(text) <= MOST_WORDS else f"{text[: MOST_WORDS - 1]}…"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _faults(reader: Reader) -> tuple[EventLine, ...]:
    return tuple(
        EventLine(
            ts=row["ts"] or None, where=row["session"], kind=_RECEIVED.get(row["kind"], row["kind"]),
            symbol="", about=f"at bar {row['bar']:,}" if row["bar"] else "before the first bar",
        )
        for row in reader.ask(_FAULTS, (MOST_LINES,))
    )  # fmt: skip


def _switch(reader: Reader) -> tuple[SwitchLine, ...]:
    return tuple(
        SwitchLine(
            event=str(one.get("event", "unknown")), at=_time(one.get("at")), by=str(one.get("by", "")),
            reason=str(one.get("reason", "")), scope=str(one.get("scope", "")),
        )
        for one in reversed(read_record(reader.folder)[-MOST_LINES:])
    )  # fmt: skip


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _differences(reader: Reader) -> tuple[Difference, ...]:
    from live.reconciling.differences import Differences

    return tuple(Differences(reader.reviews).open())


def _waiting(reader: Reader) -> tuple[WaitingCommand, ...]:
    from journal.inbox import Inbox

    # a file's name begins with the time at which it was left
    return tuple(
        WaitingCommand(_command(file), int(file.name[:20])) for file in Inbox(reader.journal).waiting()
    )


def _command(file: Path) -> str:
    """Return what a waiting file asks for; one that the holder will refuse is called unreadable."""
    try:
        return str(json_of(file)["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "unreadable"


def _alerts() -> AlertLines:
    from live.alerting.addresses import addresses
    from twinstep.config import load_settings

    alerts = load_settings(None).alerts
    found = addresses(alerts.urls, alerts.file)
    return AlertLines(len(found), tuple(alerts.kinds), alerts.per_hour)


def _findings() -> tuple[Finding, ...]:
    from twinstep.checks import examine

    return tuple(examine(None, start_engine=False))
