"""What a person decides about learned settings from a page: what `twinstep parameters` does, once per form.

Approving and rolling back change what is traded by, so they are confirmed by typing the component. The
journal has one writer: where a session holds it, the decision is left in its inbox, and the session checks it
again, as with the command. Rolling back names the set that it means, since another may be in force by then.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from journal.parameters import ParameterSet, ParameterStore
from simulator.errors import JournalError, UnknownNameError
from twinstep.dashboard.doing.acting import UNNAMED, Acting
from twinstep.dashboard.doing.forms import Form, Name, Reason, Text, confirmed
from twinstep.dashboard.reading.parts import opened
from twinstep.dashboard.reading.reader import Reader
from twinstep.journals import Place, leave, writing

__all__ = ["ApproveSet", "Deciding", "RejectSet", "RollBack", "SetNumber"]

SetNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Decision(Form):
    """A decision: in whose name, and why."""

    by: Name = ""
    reason: Text = ""


class ApproveSet(_Decision):
    """Put a set in force; its component is typed."""

    typed: Name


class RejectSet(_Decision):
    """Turn a set down."""

    reason: Reason


class RollBack(_Decision):
    """Take the set of a component back; the component is typed."""

    component: Name
    typed: Name


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
            confirmed(form.typed, self._set(number).component)
            found = self._write("approve_parameters", form, set_id=number)
            return found if isinstance(found, str) else f"{_title(found)} is in force."

        return self._acting.once(form, act, number)

    def reject(self, number: int, form: RejectSet) -> dict[str, Any]:
        """Turn a proposed set down."""

        def act() -> str:
            self._set(number)
            found = self._write("reject_parameters", form, set_id=number)
            return found if isinstance(found, str) else f"{_title(found)} is rejected."

        return self._acting.once(form, act, number)

    def roll_back(self, form: RollBack) -> dict[str, Any]:
        """Take the set in force back, and put the one before it in force again."""

        def act() -> str:
            confirmed(form.typed, form.component)
            self._there()
            with opened(self._reader) as database:
                current = ParameterStore(database).in_force(form.component)
            found = self._write(
                "roll_back_parameters", form, component=form.component,
                set_id=None if current is None else current.id,
            )  # fmt: skip
            if found is None:
                return f"{form.component}: no set is in force, the defaults apply."
            return found if isinstance(found, str) else f"{_title(found)} is in force again."

        return self._acting.once(form, act)

    @staticmethod
    def _by(form: _Decision) -> str:
        return form.by.strip() or UNNAMED

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

    def _write(self, name: str, form: _Decision, **about: Any) -> Any:
        """Return the set that a decision was about, or in words that it waits."""
        arguments = {**about, "by": self._by(form), "reason": form.reason}
        with writing(Place(str(self._reader.journal), "live")) as journal:
            try:
                return journal.apply(name, arguments)
            except JournalError as error:
                if error.code != "JOURNAL_LOCKED":
                    raise
                leave(journal, name, arguments)
                return "Another process writes to the journal: left in its inbox, decided when it is taken."


def _title(one: ParameterSet) -> str:
    return f"{one.component} version {one.version}"
