"""Learned settings as versioned sets: proposed, approved or rejected, in force, rolled back.

A component (the options scanner, the signal generator) has at most one set in force; the tables themselves
hold to that. A set is never changed: a new one takes its place and keeps it as parent, so that rolling back
finds what was in force before. Each set carries the evidence that it was proposed with, and who decided what
and when.

What was learned from live trades takes force only by a person's name. Sets from paper or backtests may be
applied by a program (`AUTOMATIC`), but never in place of a set that a person approved, and a live journal
does not see them.

>>> store = ParameterStore(journal)   # doctest: +SKIP
>>> proposed = store.propose("options_scanner", {"min_iv_rank": 60.0})   # doctest: +SKIP
>>> store.approve(proposed.id, by="Ada")   # doctest: +SKIP
>>> OptionsScanner(chain, parameters=journal).min_iv_rank   # doctest: +SKIP
60.0
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from journal.database import Database
from journal.ledger.lookup import chosen
from journal.schema import SOURCES, parameters
from journal.values import as_json, from_nanoseconds, nanoseconds, text
from simulator.errors import ConfigError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from journal.trade_journal import TradeJournal

__all__ = ["AUTOMATIC", "ParameterSet", "ParameterStore", "check_settings", "in_force"]

AUTOMATIC: Final = "automatic"
"""Who decided, where no person did."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One version of a component's learned settings.

    Attributes
    ----------
    id, component, version
        Number in the journal, whose settings, and which version of them: 1, 2, ...
    status
        "proposed", "in_force", "superseded", "rejected" or "rolled_back".
    settings
        Values by the name of the setting, as the component takes them.
    evidence
        What it was proposed with: sample sizes, intervals, significance.
    decisions
        What happened to it: `action`, `by`, `ts` (UTC nanoseconds) and `reason` of each, oldest first.
    source
        Where its trades came from.
    created_ts, decided_ts, decided_by, reason
        When it was proposed (UTC nanoseconds), and the last decision.
    parent_id
        The set that it took the place of, or that was in force when it was proposed.
    """

    id: int
    component: str
    version: int
    status: str
    settings: Mapping[str, Any]
    evidence: Mapping[str, Any]
    decisions: tuple[Mapping[str, Any], ...]
    source: str
    created_ts: int
    decided_ts: int | None
    decided_by: str | None
    reason: str
    parent_id: int | None

    @property
    def created_time(self) -> datetime:
        """When it was proposed."""
        return from_nanoseconds(self.created_ts)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return values | {
            "settings": dict(self.settings),
            "evidence": dict(self.evidence),
            "decisions": [dict(decision) for decision in self.decisions],
        }

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in sorted(self.settings.items()))
        return f"{self.component} version {self.version} ({self.status}): {settings or 'defaults'}"


class ParameterStore:
    """Learned settings in a journal.

    Parameters
    ----------
    where
        A `TradeJournal`, a `Database`, or where to find one.
    source
        Where trades come from that sets are proposed for; that of the journal, else "live".
    clock
        Returns the time, aware; the journal's, else the system's.
    """

    def __init__(
        self,
        where: TradeJournal | Database | str | os.PathLike[str] = "trade_journal.db",
        *,
        source: str | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        if isinstance(where, Database):
            self.database = where
        elif isinstance(where, (str, os.PathLike)):
            self.database = Database(where)
        else:
            self.database = where.database
            source = source or where.source
        self.source = chosen("source", source or "live", SOURCES)
        self._now: Callable[[], int] = lambda: nanoseconds(clock() if clock else datetime.now(UTC))
        if clock is None and hasattr(where, "now"):
            self._now = where.now

    def propose(
        self,
        component: str,
        settings: Mapping[str, Any],
        *,
        evidence: Mapping[str, Any] | None = None,
        source: str | None = None,
        reason: str = "",
    ) -> ParameterSet:
        """Store a new version that waits for a decision.

        Parameters
        ----------
        component
            "options_scanner", "signal_generator", or another name.
        settings
            All learned settings of it, those that stay included: a set replaces the one in force.
        evidence
            What speaks for it, as JSON takes it.

        Raises
        ------
        ConfigError
            CONFIG_* for settings that the component would refuse, JOURNAL_PARAMETER_NAME for no name.
        DataError
            JOURNAL_VALUE for what JSON cannot hold.
        """
        if not text("component", component).strip():
            raise ConfigError("a parameter set needs the name of a component", code="JOURNAL_PARAMETER_NAME")
        check_settings(component, settings)
        stored = as_json("settings", dict(settings))
        packed = as_json("evidence", {"evidence": dict(evidence or {}), "decisions": []})
        with self.database.write() as connection:
            latest = connection.execute(
                select(func.max(parameters.c.version)).where(parameters.c.component == component)
            ).scalar()
            parent = in_force(connection, component)
            key = connection.execute(
                insert(parameters).returning(parameters.c.id),
                {
                    "component": component,
                    "version": (latest or 0) + 1,
                    "status": "proposed",
                    "settings": stored,
                    "evidence": packed,
                    "source": chosen("source", source or self.source, SOURCES),
                    "created_ts": self._now(),
                    "reason": text("reason", reason),
                    "parent_id": parent.id if parent else None,
                },
            ).scalar_one()
            return _get(connection, int(key))

    def approve(self, set_id: int, by: str = AUTOMATIC, *, reason: str = "") -> ParameterSet:
        """Put a proposed set in force in place of the one that is.

        Parameters
        ----------
        by
            The name of the person who decides; a program may leave it out for sets not learned live.

        Raises
        ------
        ConfigError
            JOURNAL_PARAMETER_PERSON where a person must decide, JOURNAL_PARAMETER_STATE where the set is not
            proposed, CONFIG_* where its component would refuse it by now.
        UnknownNameError
            NAME_PARAMETER_SET for a set that does not exist.
        """
        with self.database.write() as connection:
            candidate = _get(connection, set_id)
            _must_be(candidate, "proposed", "approved")
            before = in_force(connection, candidate.component)
            person = _decider(by, candidate, before)
            check_settings(candidate.component, candidate.settings)
            now = self._now()
            if before is not None:
                _decide(
                    connection, before, "superseded", person, now, f"version {candidate.version} approved"
                )
            return _decide(
                connection, candidate, "in_force", person, now, reason,
                action="approved", parent=before.id if before else None,
            )  # fmt: skip

    def reject(self, set_id: int, by: str = AUTOMATIC, *, reason: str = "") -> ParameterSet:
        """Turn a proposed set down; errors as `approve`."""
        with self.database.write() as connection:
            candidate = _get(connection, set_id)
            _must_be(candidate, "proposed", "rejected")
            return _decide(connection, candidate, "rejected", _decider(by, candidate), self._now(), reason)

    def roll_back(
        self, component: str, by: str = AUTOMATIC, *, reason: str = "", set_id: int | None = None
    ) -> ParameterSet | None:
        """Take the set in force back, and put the one before it in force again.

        Parameters
        ----------
        set_id
            The set that is meant: where another one is in force by now, nothing is rolled back.

        Returns
        -------
        The set that is in force now; None where there was none before, so that defaults apply.

        Raises
        ------
        ConfigError
            JOURNAL_PARAMETER_PERSON; JOURNAL_PARAMETER_STATE where no set is in force, or not the one meant.
        """
        with self.database.write() as connection:
            current = in_force(connection, component)
            if current is None:
                raise ConfigError(
                    f"{component} has no parameter set in force to roll back", code="JOURNAL_PARAMETER_STATE"
                )
            if set_id is not None and current.id != set_id:
                raise ConfigError(
                    f"{component} has set {current.id} in force by now, not {set_id}: nothing is rolled back",
                    code="JOURNAL_PARAMETER_STATE",
                )
            person, now = _decider(by, current, current), self._now()
            _decide(connection, current, "rolled_back", person, now, reason)
            if current.parent_id is None:
                return None
            parent = _get(connection, current.parent_id)
            note = f"version {current.version} rolled back by {person}"
            return _decide(connection, parent, "in_force", parent.decided_by, now, note, action="restored")

    def in_force(self, component: str) -> ParameterSet | None:
        """Return the set in force, None where defaults apply."""
        with self.database.read() as connection:
            return in_force(connection, component)

    def history(self, component: str | None = None) -> list[ParameterSet]:
        """Return all versions of a component, or of all, oldest first."""
        question = select(parameters).order_by(parameters.c.id)
        if component is not None:
            question = question.where(parameters.c.component == component)
        with self.database.read() as connection:
            return [_of(row) for row in connection.execute(question)]


def in_force(connection: Connection, component: str, *, source: str | None = None) -> ParameterSet | None:
    """Return the set of a component that is in force.

    Parameters
    ----------
    source
        Where it is going to be used: "live" sees no set that took force without a person.
    """
    row = connection.execute(
        select(parameters).where(parameters.c.component == component, parameters.c.status == "in_force")
    ).first()
    found = None if row is None else _of(row)
    if found is not None and source == "live" and found.decided_by == AUTOMATIC:
        return None
    return found


def check_settings(component: str, settings: Mapping[str, Any]) -> None:
    """Raise the component's own `ConfigError` for settings that it would refuse."""
    values = dict(settings)
    for name in values:
        text("the name of a setting", name)
    if component == "options_scanner":
        from strategies.scanner_settings import ScanSettings

        for name in ("blacklist", "favourites"):
            listed = values.pop(name, ())
            if isinstance(listed, str) or not all(isinstance(symbol, str) for symbol in listed):
                raise ConfigError(
                    f"{name} is {listed!r}; it must be a list of symbols", code="CONFIG_SCANNER"
                )
        ScanSettings(**values)
    elif component == "signal_generator":
        from strategies.signal_generator import SignalGenerator

        known = ("min_pattern_score", "min_risk_reward_ratio")
        for name in values:
            if name not in known:
                raise ConfigError(
                    f"the signal generator has no setting {name!r}.{did_you_mean(name, known)}",
                    code="CONFIG_SIGNAL_SETTING",
                )
        SignalGenerator(**values)


def _decider(by: str, candidate: ParameterSet, replaced: ParameterSet | None = None) -> str:
    name = text("by", by).strip()
    if name and name.lower() != AUTOMATIC:
        return name
    by_person = replaced is not None and replaced.decided_by != AUTOMATIC
    if not name or candidate.source == "live" or by_person:
        why = (
            "was learned from live trades" if candidate.source == "live" else "touches what a person approved"
        )
        raise ConfigError(
            f"{candidate.component} version {candidate.version} {why}: by is {by!r}, and it must name the "
            f"person who decides",
            code="JOURNAL_PARAMETER_PERSON",
        )
    return AUTOMATIC


def _decide(
    connection: Connection,
    candidate: ParameterSet,
    status: str,
    by: str | None,
    now: int,
    reason: str,
    *,
    action: str | None = None,
    parent: int | None = None,
) -> ParameterSet:
    decision = {"action": action or status, "by": by, "ts": now, "reason": text("reason", reason)}
    packed = {"evidence": dict(candidate.evidence), "decisions": [*map(dict, candidate.decisions), decision]}
    changed: dict[str, Any] = {"status": status, "evidence": as_json("evidence", packed), "reason": reason}
    if status != "superseded":  # who approved it stays to be seen, and is needed when it is restored
        changed |= {"decided_ts": now, "decided_by": by}
    if action == "approved":
        changed["parent_id"] = parent
    connection.execute(update(parameters).where(parameters.c.id == candidate.id).values(**changed))
    return _get(connection, candidate.id)


def _must_be(candidate: ParameterSet, status: str, action: str) -> None:
    if candidate.status != status:
        raise ConfigError(
            f"{candidate.component} version {candidate.version} is {candidate.status}; only a {status} "
            f"set can be {action}",
            code="JOURNAL_PARAMETER_STATE",
        )


def _get(connection: Connection, set_id: int) -> ParameterSet:
    row = connection.execute(select(parameters).where(parameters.c.id == set_id)).first()
    if row is None:
        raise UnknownNameError(f"the journal has no parameter set {set_id!r}", code="NAME_PARAMETER_SET")
    return _of(row)


def _of(row: Row[Any]) -> ParameterSet:
    values = dict(row._mapping)
    packed = json.loads(values.pop("evidence"))
    return ParameterSet(
        **{**values, "settings": json.loads(values["settings"])},
        evidence=packed.get("evidence", {}),
        decisions=tuple(packed.get("decisions", ())),
    )
