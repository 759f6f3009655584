"""What a person decides about learned settings from a page: what `twinstep parameters` does, once per form.

Approving and rolling back change what is traded by, so they are confirmed by typing the component. The
journal has one writer: where a session holds it, nothing is decided, and the answer says who has it, as the
command does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from journal.database import Database
from journal.parameters import ParameterSet, ParameterStore
from simulator.errors import ConfigError, JournalError, UnknownNameError
from twinstep.dashboard.acting import Acting
from twinstep.dashboard.reading import Reader
from twinstep.dashboard.reading_parts import opened

__all__ = ["ApproveSet", "Deciding", "RejectSet", "RollBack", "SetNumber"]

_Found = TypeVar("_Found")

_Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_Name = Annotated[str, Field(max_length=80)]
_Text = Annotated[str, Field(max_length=2000)]

SetNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Decision(BaseModel):
    """What every form sends: its key, in whose name, and why."""

    model_config = ConfigDict(extra="forbid")

    key: _Key
    by: _Name = ""
    reason: _Text = ""


class ApproveSet(_Decision):
    """Put a set in force; its component is typed."""

    typed: _Name


class RejectSet(_Decision):
    """Turn a set down."""

    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class RollBack(_Decision):
    """Take the set of a component back; the component is typed."""

    component: _Name
    typed: _Name


class Deciding:
    """Does what a person decided, once per key; errors of the project are answers.

    Parameters
    ----------
    reader
        Whose journal.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._acting = Acting(reader)

    def approve(self, number: int, form: ApproveSet) -> dict[str, Any]:
        """Put a proposed set in force."""

        def act() -> str:
            _confirmed(form.typed, self._set(number).component)
            found = self._write(lambda store: store.approve(number, self._by(form), reason=form.reason))
            return f"{_title(found)} is in force."

        return self._acting.once(form.key, act)

    def reject(self, number: int, form: RejectSet) -> dict[str, Any]:
        """Turn a proposed set down."""

        def act() -> str:
            self._set(number)
            found = self._write(lambda store: store.reject(number, self._by(form), reason=form.reason))
            return f"{_title(found)} is rejected."

        return self._acting.once(form.key, act)

    def roll_back(self, form: RollBack) -> dict[str, Any]:
        """Take the set in force back, and put the one before it in force again."""

        def act() -> str:
            _confirmed(form.typed, form.component)
            self._there()
            found = self._write(
                lambda store: store.roll_back(form.component, self._by(form), reason=form.reason)
            )
            if found is None:
                return f"{form.component}: no set is in force, the defaults apply."
            return f"{_title(found)} is in force again."

        return self._acting.once(form.key, act)

    def _by(self, form: _Decision) -> str:
        return form.by.strip() or self._acting.by

    def _set(self, number: int) -> ParameterSet:
        self._there()
        with opened(self._reader) as database:
            found = next((one for one in ParameterStore(database).history() if one.id == number), None)
        if found is None:
            raise UnknownNameError(f"the journal has no parameter set {number}", code="NAME_PARAMETER_SET")
        return found

    def _there(self) -> None:
        # opening a journal for writing begins one, and a page begins none
        if not self._reader.journal.exists():
            raise JournalError(
                f"the journal {self._reader.journal.name} is not there yet", code="JOURNAL_MISSING"
            )

    def _write(self, decide: Callable[[ParameterStore], _Found]) -> _Found:
        with Database(self._reader.journal) as database:
            return decide(ParameterStore(database))


def _title(one: ParameterSet) -> str:
    return f"{one.component} version {one.version}"


def _confirmed(typed: str, wanted: str) -> None:
    if typed.strip().casefold() != wanted.strip().casefold() or not wanted.strip():
        raise ConfigError(
            f"type {wanted} to confirm; {typed.strip()[:40]!r} was typed, and nothing was done",
            code="CLI_CONFIRM",
        )
