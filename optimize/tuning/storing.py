"""What becomes of a set that is to be adopted: stored, put in force, or left to a person.

A person's word stands. Where a person turned a setting down, by rejecting a set or rolling it back, no value
of that setting takes force without one, for its neighbour is the same wish by another number. A set that
waits is brought up to date when it is proposed again, so that nobody approves it on old evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import update

from journal import schema
from journal.parameters import AUTOMATIC, ParameterSet, ParameterStore
from journal.values import as_json
from optimize.tuning.settings import feature_of
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from journal.trade_journal import TradeJournal

__all__ = ["AGAIN", "in_force_then", "store_set"]

AGAIN: Final = 1.5
"""Times the cases that a set was turned down on, from which on it is proposed again."""

_BEGAN: Final = ("approved", "restored")


def in_force_then(history: Sequence[ParameterSet], until: int, *, source: str) -> ParameterSet | None:
    """Return the set that was in force at a time, as far as the decisions on record tell.

    Parameters
    ----------
    history
        All versions of one component.
    until
        UTC nanoseconds.
    source
        "live" sees no set that took force without a person.
    """
    for one in reversed(history):
        past = [decision for decision in one.decisions if decision["ts"] <= until]
        if past and past[-1]["action"] in _BEGAN:
            return None if source == "live" and past[-1]["by"] == AUTOMATIC else one
    return None


def store_set(
    journal: TradeJournal,
    *,
    component: str,
    source: str,
    settings: Mapping[str, Any],
    learned: Mapping[str, Any],
    before: ParameterSet | None,
    evidence: Mapping[str, Any],
    reason: str,
    apply: bool | None,
) -> tuple[ParameterSet | None, str]:
    """Store a set and put it in force where no person needs to; inside a write.

    Parameters
    ----------
    settings, learned
        The whole set to store, and the one that it was measured against.
    before
        The set in force.
    evidence
        With `trades`, the cases that speak for it.
    apply
        True demands that it takes force, None lets it on paper, False lets it wait.

    Returns
    -------
    The set, or None and why it was not stored.

    Raises
    ------
    ConfigError
        JOURNAL_PARAMETER_PERSON for `apply=True` where a person must decide.
    """
    store = ParameterStore(journal, source=source)
    history = store.history(component)
    alike = [one for one in history if one.source == source and dict(one.settings) == settings]
    waiting = [one for one in alike if one.status == "proposed"]
    down = [one for one in alike if one.status in ("rejected", "rolled_back")]
    if down and not waiting:
        enough = math.ceil(AGAIN * int(down[-1].evidence.get("trades", 0)))
        if int(evidence["trades"]) < enough:
            word = down[-1].status.replace("_", " ")
            return None, (
                f"version {down[-1].version} had these settings and was {word} by {down[-1].decided_by}: it "
                f"is not proposed again before there are {enough:,} cases"
            )
    refused = _turned_down(history) & _moved(settings, learned)
    if apply and refused:
        raise ConfigError(
            f"a person turned {', '.join(sorted(refused))} of {component} down before; leave out apply=True "
            "and let a person approve what is proposed",
            code="JOURNAL_PARAMETER_PERSON",
        )
    if waiting:
        kept = _refreshed(journal, waiting[-1], before, evidence, reason)
    else:
        kept = store.propose(component, settings, evidence=evidence, reason=reason)
    by_person = bool(refused) or (before is not None and before.decided_by != AUTOMATIC)
    if apply or (apply is None and source == "paper" and not by_person):
        kept = store.approve(kept.id, reason="tuned from the journal")
    return kept, ""


def _turned_down(history: Sequence[ParameterSet]) -> set[str]:
    """Return what persons turned down, by the feature that a setting bounds, or its name."""
    by_id = {one.id: one for one in history}
    found: set[str] = set()
    for one in history:
        if one.status in ("rejected", "rolled_back") and one.decided_by not in (None, AUTOMATIC):
            parent = by_id.get(one.parent_id) if one.parent_id is not None else None
            found |= _moved(one.settings, {} if parent is None else parent.settings)
    return found


def _moved(settings: Mapping[str, Any], before: Mapping[str, Any]) -> set[str]:
    names = [name for name in {*settings, *before} if settings.get(name) != before.get(name)]
    return {feature_of(name) or name for name in names}


def _refreshed(
    journal: TradeJournal,
    waiting: ParameterSet,
    before: ParameterSet | None,
    evidence: Mapping[str, Any],
    reason: str,
) -> ParameterSet:
    """Give a set that waits the evidence of today; its settings are the same."""
    table = schema.parameters
    packed = {"evidence": dict(evidence), "decisions": [dict(one) for one in waiting.decisions]}
    with journal.database.write() as connection:
        connection.execute(
            update(table)
            .where(table.c.id == waiting.id)
            .values(
                evidence=as_json("evidence", packed),
                reason=reason,
                parent_id=None if before is None else before.id,
            )
        )
    found = ParameterStore(journal, source=waiting.source).history(waiting.component)
    return next(one for one in found if one.id == waiting.id)
