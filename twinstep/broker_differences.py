"""Differences between books and a broker, in words: what differs, what accepting does, and what to type.

Only what lies beside the review queue is read, so this works where no session runs and where one does. A
shortfall of stops is the one difference that accepting cannot end: the next look finds it again, and a stop
is what it needs.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from live.reconciling.differences import Difference

__all__ = ["accept_line", "difference_fields", "difference_words", "effect_of", "open_differences"]

_EFFECTS: Final = {
    "foreign_order": "the order is left alone from now on",
    "missing_order": "the order is given up",
    "overfill": "it is on record as seen; the books have its fills already",
    "double_exit": "it is on record as seen; the books have its fills already",
    "late_order": "it is on record as seen; the order stays as it is",
    "order_id_reused": "it is on record as seen; the orders stay as they are",
    "split_order": "it is on record as seen; the order stays as it is",
}


def open_differences(place: Path) -> list[Difference]:
    """Return the differences that wait in a switch's folder, oldest first; none where there is no queue.

    Raises
    ------
    JournalError
        LIVE_REVIEW_STORE where they cannot be read.
    """
    from live.reconciling.differences import Differences

    where = place / "reviews"
    return Differences(where).open() if where.is_dir() else []


def effect_of(one: Difference) -> str:
    """Return what accepting a difference does, in words."""
    found = one.found
    if found.cause == "unprotected":
        return "accepting does not end this: twinstep broker protect puts a stop there"
    if found.cause in _EFFECTS:
        return _EFFECTS[found.cause]
    words = f"the books take over the broker's {float(found.data['broker']):g} (they say " + (
        f"{float(found.data['books']):g})"
    )
    return f"{words}, and working orders are brought in line" if found.cause == "split" else words


def accept_line(one: Difference, place: Path | None = None) -> str:
    """Return the command that ends a difference; with the folder, it can be typed anywhere."""
    where = "" if place is None else f" --folder {shlex.quote(str(place))}"
    if one.found.cause == "unprotected":
        return f"twinstep broker protect{where}"
    return f"twinstep broker accept {one.item_id}{where} --by NAME --reason TEXT"


def difference_words(one: Difference, place: Path | None = None) -> list[str]:
    """Return a difference as lines: what it is, what accepting does, and the command."""
    seen = one.opened_at.strftime("%Y-%m-%d %H:%M:%SZ")
    return [
        f"{one.item_id}  {one.message}",
        f"  {one.found.cause} at {one.found.broker}, found {seen}; accepted: {effect_of(one)}",
        f"  {accept_line(one, place)}",
    ]


def difference_fields(one: Difference) -> dict[str, Any]:
    """Return a difference for JSON."""
    found = asdict(one.found)
    return {
        "kind": "difference", "item_id": one.item_id, "what": one.message, "state": one.state,
        "cause": found["cause"], "broker": found["broker"], "symbols": list(found["symbols"]),
        "data": found["data"], "opened_at": one.opened_at, "seen_at": one.seen_at,
        "decided_by": one.decided_by, "decided_at": one.decided_at, "note": one.note,
        "effect": effect_of(one),
    }  # fmt: skip
