"""What a model of trade quality says beside recommendations: as stored with each, else as of now.

What was said when a recommendation was made is kept with it, so that it can be held against what came of it.
An open one without that (a signal, one typed in by hand) is judged as the journal stands now; one that was
decided on is not: it would be told after the fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from simulator.opportunity import Quality

if TYPE_CHECKING:
    from journal.records import Recommendation
    from journal.trade_journal import TradeJournal
    from optimize.quality import JournalQuality

__all__ = ["qualities", "stored_quality"]


def qualities(
    journal: TradeJournal, recommendations: Iterable[Recommendation]
) -> tuple[dict[int, Quality], list[str]]:
    """Return what is said by the number of the recommendation, and a sentence per kind asked about."""
    found: dict[int, Quality] = {}
    notes: list[str] = []
    asked: dict[str, JournalQuality] = {}
    for one in recommendations:
        quality = stored_quality(one)
        if quality is None and one.status == "recommended":
            if one.source not in asked:
                from optimize.quality import JournalQuality as Source

                asked[one.source] = Source(journal, source=one.source)
            quality = asked[one.source].quality_of(one)
            notes.append(asked[one.source].quality_note(one.kind))
        if quality is not None:
            found[one.id] = quality
    return found, list(dict.fromkeys(notes))


def stored_quality(one: Recommendation) -> Quality | None:
    """Return what was said when it was made, None where nothing was."""
    details = json.loads(one.details) if one.details else {}
    kept = details.get("quality") if isinstance(details, dict) else None
    return None if kept is None else Quality(**{**kept, "notes": tuple(kept["notes"])})
