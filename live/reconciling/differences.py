"""Differences between the books and a broker, which wait for a person.

A difference has an id that follows from what it is, so a run that is repeated, or that a crash cut off, finds
the one that there is. While it is open its symbols may only be left. It ends in one of two ways: the broker
and the books agree again, and it is `cleared`; or a named person accepts what the broker says. What an
acceptance changes in the books is done by the reconciler, on record, in that person's name.

Like review requests they are files: another process may accept, and the submit gate sees them without asking
a database.

>>> for one in Differences("state/reviews").open():               # doctest: +SKIP
...     print(one.item_id, one.message)
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from live.review.files import RequestFiles
from simulator.errors import ConfigError, JournalError, UnknownNameError

__all__ = ["LASTING", "Cause", "Difference", "Differences", "Found"]

Cause = Literal[
    "foreign_position", "missing_position", "position", "foreign_trade", "assignment", "split",
    "fills_missing", "foreign_order", "missing_order", "late_order", "overfill", "double_exit",
    "unprotected", "order_id_reused", "split_order",
]  # fmt: skip

LASTING: Final[frozenset[Cause]] = frozenset(
    {"overfill", "double_exit", "late_order", "order_id_reused", "split_order"}
)
"""What has happened and does not go away by itself; only a person ends it."""

State = Literal["open", "accepted", "cleared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A difference as a run of the reconciler finds it.

    Attributes
    ----------
    subject
        What tells it from others of its cause in the same symbol: an order, an execution; "" for none.
    symbols
        What may only be left meanwhile.
    data
        Plain values: quantities, ratio, order ids.
    """

    cause: Cause
    broker: str
    symbols: tuple[str, ...]
    message: str
    subject: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference that waits, or did.

    Attributes
    ----------
    occurrence
        How many like it had ended before this one was opened.
    seen_at
        When a run saw it last.
    """

    item_id: str
    found: Found
    occurrence: int
    opened_at: datetime
    seen_at: datetime
    state: State = "open"
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""

    @property
    def message(self) -> str:
        """What differs, in words."""
        return self.found.message


class Differences:
    """The differences of one desk.

    Parameters
    ----------
    folder
        That of the review queue; made when it is needed.
    clock
        Aware.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._files = RequestFiles(Path(folder))
        self._clock = clock or _now
        self._ended: dict[str, Difference] = {}  # what has ended never changes, so it is read once

    def open(self) -> list[Difference]:
        """Return what waits, oldest first.

        Raises
        ------
        JournalError
            LIVE_REVIEW_STORE where the folder or one of its files cannot be read.
        """
        return [one for one in self.all() if one.state == "open"]

    def all(self) -> list[Difference]:
        """Return all of them, oldest first."""
        found = [one for name in self._files.names("D") if (one := self._read(name)) is not None]
        return sorted(found, key=lambda one: (one.opened_at, one.item_id))

    def reduces(self, symbols: Sequence[str]) -> bool:
        """Whether one of these symbols may only be left; True as well where nobody can say."""
        try:
            return any(set(symbols) & set(one.found.symbols) for one in self.open())
        except JournalError:
            return True

    def settle(
        self, broker: str, found: Iterable[Found], *, keep: Callable[[Difference], bool]
    ) -> list[Difference]:
        """Take in what a complete run found at a broker: open what is new, clear what is gone.

        Returns what was opened.

        Parameters
        ----------
        keep
            Whether a difference that was not found is left open, as while its symbol is in motion.
        """
        with self._files.locked():
            now, seen = self._clock(), set()
            opened = []
            before = {one.item_id: one for one in self.all()}
            for one in found:
                there = self._place(one, before)
                if there is None:
                    continue
                if there.item_id not in before:
                    opened.append(there)
                if there.found != one or there.item_id not in before:
                    self._write(replace(there, found=one, seen_at=now))
                seen.add(there.item_id)
            for old in before.values():
                gone = old.state == "open" and old.found.broker == broker and old.item_id not in seen
                if gone and old.found.cause not in LASTING and not keep(old):
                    self._write(replace(old, state="cleared", decided_at=now))
        return opened

    def accept(self, item_id: str, by: str, note: str) -> Difference:
        """Take the broker's word for it, in the name of a person; the reconciler carries it out.

        Raises
        ------
        ConfigError
            LIVE_REVIEW_NAME where name or note is empty.
        UnknownNameError
            NAME_REQUEST.
        JournalError
            LIVE_REVIEW_STORE.
        """
        if not by.strip() or not note.strip():
            raise ConfigError(
                f"difference {item_id} is accepted by {by!r} because of {note!r}; a name and a reason are "
                "needed",
                code="LIVE_REVIEW_NAME",
            )
        with self._files.locked():
            one = self._read(item_id)
            if one is None:
                raise UnknownNameError(f"no difference {item_id!r}", code="NAME_REQUEST")
            if one.state == "open":
                now = self._clock()
                one = replace(one, state="accepted", decided_by=by, decided_at=now, note=note)
                self._write(one)
        return one

    def _place(self, found: Found, before: dict[str, Difference]) -> Difference | None:
        """Return the difference that this is, new where the ones like it have ended."""
        for occurrence in itertools.count():
            name = _name(found, occurrence)
            there = before.get(name)
            if there is None:
                now = self._clock()
                return Difference(
                    item_id=name, found=found, occurrence=occurrence, opened_at=now, seen_at=now
                )
            if there.state == "open":
                return there
            if found.cause in LASTING:
                break  # it has happened once, and was looked at
        return None

    def _write(self, one: Difference) -> None:
        fields = asdict(one)
        for name in ("opened_at", "seen_at", "decided_at"):
            fields[name] = None if fields[name] is None else fields[name].astimezone(UTC).isoformat()
        self._files.write(one.item_id, fields)

    def _read(self, name: str) -> Difference | None:
        if name in self._ended:
            return self._ended[name]
        fields = self._files.read(name)
        if fields is None:
            return None
        try:
            one = _difference(fields)
        except (TypeError, ValueError, KeyError) as error:
            raise JournalError(
                f"the difference {name} in {self._files.folder} is damaged: {error}; move its file away",
                code="LIVE_REVIEW_STORE",
            ) from error
        if one.state != "open":
            self._ended[name] = one
        return one


def _name(found: Found, occurrence: int) -> str:
    content = json.dumps([found.broker, found.cause, list(found.symbols), found.subject, occurrence])
    return "D-" + hashlib.sha256(content.encode()).hexdigest()[:16]


def _difference(fields: dict[str, Any]) -> Difference:
    found = fields["found"]
    decided = fields["decided_at"]
    return Difference(
        **{
            **fields,
            "found": Found(**{**found, "symbols": tuple(found["symbols"])}),
            "opened_at": datetime.fromisoformat(fields["opened_at"]),
            "seen_at": datetime.fromisoformat(fields["seen_at"]),
            "decided_at": None if decided is None else datetime.fromisoformat(decided),
        }
    )


def _now() -> datetime:
    return datetime.now(UTC)
