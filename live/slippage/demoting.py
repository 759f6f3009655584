"""Taking the reins back: FULL_AUTO becomes SEMI_AUTO until a person promotes, across every restart.

A demotion is an event of the account's journal and stands until a promotion follows it there; who holds
something that trades by itself asks at every look, and at every start, so that a setting that says FULL_AUTO
again gives nothing back. A promotion is left by a named person as a line in the folder of the kill switch,
because the session that it is for has the journal; that session takes it up at its next look, or the next
session at its start.

What is demoted is an `AutomationConfig` (FULL_AUTO becomes SEMI_AUTO) or a `BrokerManager`, whose orders then
wait for a person as in MANUAL_REVIEW; what only protects goes out as ever.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from live.brokers.manager import BrokerManager
from live.intents import IntentLog, LoggedEvent
from live.people import check_name
from simulator.errors import ConfigError, JournalError

__all__ = ["Demotable", "Demotion", "Reins", "Standing", "promote", "standing"]

Demotable = AutomationConfig | BrokerManager

_FILE: Final = "promotions.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demotion:
    """A demotion that stands.

    Attributes
    ----------
    at
        Aware.
    why
        In words.
    """

    at: datetime
    why: str

    def __str__(self) -> str:
        return f"demoted since {self.at:%Y-%m-%d %H:%M} UTC, a person promotes: {self.why}"


def promote(
    folder: str | os.PathLike[str], account: str, *, by: str, reason: str, at: datetime | None = None
) -> None:
    """Let an account trade by itself again, in the name of a person; from any process.

    Parameters
    ----------
    folder
        Of the account's kill switch.
    account
        Name of the desk, as its `IntentLog` has it.
    by, reason
        Who, and why.
    at
        Aware; now by default.

    Raises
    ------
    ConfigError
        LIVE_REVIEW_NAME where `by` is no person.
    JournalError
        LIVE_REVIEW_STORE where it cannot be written; nothing is promoted then.
    """
    check_name(by)
    line = {
        "mark": secrets.token_hex(8), "account": account, "by": by, "reason": reason,
        "at": (at or datetime.now(UTC)).isoformat(),
    }  # fmt: skip
    try:
        handle = os.open(Path(folder) / _FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # begins with an end of line, so that a line which a full disk has cut off spoils no other
            os.write(handle, b"\n" + json.dumps(line).encode("ascii") + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise JournalError(
            f"the promotion of {account} cannot be written to {folder}: {error.strerror or error}",
            code="LIVE_REVIEW_STORE",
        ) from error


def standing(log: IntentLog, folder: str | os.PathLike[str] | None = None) -> Demotion | None:
    """Return the demotion of an account that stands now; None for none.

    Parameters
    ----------
    folder
        Of the kill switch, for promotions that nobody has taken up; without it they do not count.
    """
    record = Standing()
    for event in log.events(*Standing.KINDS):
        record.take(event)
    waiting = folder is not None and _lines(Path(folder), log.account, record.known)
    return None if waiting else record.demotion


class Standing:
    """What the journal says of demotions, as far as its events were taken in: all of `KINDS`, in order.

    Attributes
    ----------
    demotion
        That stands; None for none.
    promoted
        When somebody promoted last, aware; None for never.
    known
        Marks of the promotions that were taken up.
    """

    KINDS: Final = ("demoted", "promoted")

    def __init__(self) -> None:
        self.demotion: Demotion | None = None
        self.promoted: datetime | None = None
        self.known: set[str] = set()

    def take(self, event: LoggedEvent) -> None:
        """Take in an event."""
        if event.kind == "demoted":
            self.demotion = self.demotion or Demotion(at=event.time, why=event.data["why"])
        else:
            self.demotion, self.promoted = None, event.time
            self.known.add(event.data["mark"])

    def note_promotions(self, log: IntentLog, folder: Path, at: datetime) -> None:
        """Write down the promotions that persons have left; raises `JournalError` where it cannot."""
        for line in _lines(folder, log.account, self.known):
            log.note(
                "promoted", at, key=f"promoted:{line['mark']}", mark=line["mark"], by=line["by"],
                reason=line["reason"], left_at=line["at"],
            )  # fmt: skip


class Reins:
    """Holds one thing back while a demotion stands, and gives back what it had before.

    Raises
    ------
    ConfigError
        LIVE_NO_QUEUE for a manager without a review queue, whose orders could wait nowhere.
    """

    def __init__(self, held: Demotable) -> None:
        if isinstance(held, BrokerManager) and held.review_queue is None:
            raise ConfigError(
                "this manager has no review queue, so its orders cannot wait for a person; give it one, or "
                "demote nothing",
                code="LIVE_NO_QUEUE",
            )
        self._held = held
        self._before: AutomationMode | ExecutionMode | None = None

    def pull(self) -> bool:
        """Demote; returns whether something traded by itself."""
        held = self._held
        if isinstance(held, AutomationConfig):
            if held.automation_mode is not AutomationMode.FULL_AUTO:
                return False
            self._before, held.automation_mode = held.automation_mode, AutomationMode.SEMI_AUTO
            return True
        if held.mode is ExecutionMode.MANUAL_REVIEW:
            return False
        self._before, held.mode = held.mode, ExecutionMode.MANUAL_REVIEW
        return True

    def give(self) -> None:
        """Undo what `pull` did, unless somebody has set another mode meanwhile."""
        held, before, self._before = self._held, self._before, None
        if isinstance(held, AutomationConfig):
            if isinstance(before, AutomationMode) and held.automation_mode is AutomationMode.SEMI_AUTO:
                held.automation_mode = before
        elif isinstance(before, ExecutionMode) and held.mode is ExecutionMode.MANUAL_REVIEW:
            held.mode = before


def _lines(folder: Path, account: str, known: Set[str]) -> list[dict[str, str]]:
    """Return the promotions of an account that are not known; what cannot be read promotes nobody."""
    try:
        content = (folder / _FILE).read_bytes()
    except OSError:
        return []
    found = []
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        whole = isinstance(line, dict) and all(
            isinstance(line.get(name), str) for name in ("mark", "account", "by", "reason", "at")
        )
        if whole and line["account"] == account and line["mark"] not in known:
            found.append(line)
    return found
