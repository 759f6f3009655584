"""The page of a tuning from a journal: the answer, the settings side by side, and what the answer rests on.

All outcomes are R per margin-day, of the same trades that the candidates were judged by; what stands for more
than these trades is the lower bound, which counts the search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimize.report.blocks import (
    NONE,
    Block,
    Cell,
    Chart,
    Facts,
    Key,
    Page,
    Section,
    Spans,
    Table,
    Tile,
    Words,
    figure,
    signed,
    spoken,
    tone,
    value_word,
)
from optimize.report.candidates import change_word, searched, setting_word, spans_of
from optimize.report.lines import curve_of
from optimize.tuning.settings import admits, feature_of

if TYPE_CHECKING:
    from optimize.journal import Tuning

__all__ = ["tuning_page"]

Floats = npt.NDArray[np.float64]

GROUPS: Final = 5
"""Parts that the cases are put into by a feature."""

_MOODS: Final[Mapping[str, tuple[Literal["good", "bad", "open", "calm"], str]]] = {
    "adopt": ("good", "Adopt"),
    "keep": ("calm", "Keep"),
    "not enough evidence": ("open", "Not enough evidence"),
}


def tuning_page(tuning: Tuning, *, title: str | None = None) -> Page:
    """Return the page of a tuning."""
    cases, proposal = tuning.cases, tuning.proposal
    mood, word = _MOODS[tuning.answer]
    sections = [
        Section("settings", "Settings", _settings(tuning), half=True, hint=_settings_hint(tuning)),
        Section("evidence", "Evidence", _evidence(tuning), half=True, note="R per margin-day"),
        *searched(tuning),
        Section(
            "outcomes", "Outcomes by what was known at entry", _outcomes(tuning), menu="Outcomes",
            note="mean R per margin-day, with 95 %",
            hint="About a fifth of the cases each. The intervals count neither the search nor trades that "
            "overlap; the evidence above does.",
        ),
        *_grown(tuning),
        Section("read", "What was read", [Facts(_facts(tuning)), *_notes(tuning)], menu="Journal"),
    ]  # fmt: skip
    return Page(
        title=title or f"{tuning.component}: tuned from the journal",
        eyebrow="Tuning",
        origin=f"{tuning.source} trades",
        subtitles=[
            f"{len(cases):,} cases{_days(tuning)}: {int(cases.taken.sum()):,} traded, "
            f"{int((~cases.taken).sum()):,} refused, ignored or vetoed, with the outcome they would have had"
        ],
        verdict=spoken(tuning.sentence()),
        verdict_word=word,
        tone=mood,
        tiles=[
            Tile(
                "Better by", signed(proposal.estimate, 4),
                "R per margin-day of the best candidate beside the set in force, shrunk towards the prior.",
                tone(proposal.estimate),
            ),
            Tile(
                "At least", signed(proposal.lower, 4),
                "Lower bound of the same, with the confidence asked for and the search counted in.",
                tone(proposal.lower),
            ),
            Tile("Cases", f"{proposal.n:,}", "With a known outcome."),
            Tile("Worth", f"{proposal.n_effective:,.0f}", "Independent trades that the cases amount to."),
            Tile(
                "More needed",
                NONE if proposal.needed_trades is None else f"about {proposal.needed_trades:,}",
                "Trades that would decide, if what is seen is all there is.",
            ),
        ],
        sections=sections,
        rows=max(len(cases), 1),
        daily=True,
    )  # fmt: skip


def _settings(tuning: Tuning) -> list[Block]:
    proposed = tuning.proposal.settings
    names = list(dict.fromkeys([*tuning.used, *proposed]))
    rows, marked = [], set()
    for at, name in enumerate(names):
        values = [tuning.used.get(name), tuning.prior.get(name), proposed.get(name)]
        if value_word(values[0]) != value_word(values[2]):
            marked.add(at)
        rows.append([Cell(name, numeric=False), *(Cell(setting_word(value)) for value in values)])
    return [Table(["", "in force", "rules", "proposed"], rows, marked=frozenset(marked))]


def _settings_hint(tuning: Tuning) -> str:
    before = "defaults" if tuning.before is None else f"version {tuning.before.version}"
    words = f"In force: {before}. Rules: what the simple rules of the journal would use, the prior. "
    if tuning.stored is None:
        return words + "Nothing was stored."
    stored = tuning.stored
    return words + f"Stored as set {stored.id}, version {stored.version}: {stored.status.replace('_', ' ')}."


def _evidence(tuning: Tuning) -> list[Block]:
    proposal, evidence = tuning.proposal, tuning.proposal.evidence
    blocks: list[Block] = []
    if math.isfinite(proposal.lower) and math.isfinite(proposal.estimate):
        best = evidence.get("best", {})
        blocks.append(Spans(spans_of([(change_word(best), proposal.lower, proposal.estimate, "")])))
    facts = [
        ("Confidence", f"{100 * float(evidence['confidence']):g} %"),
        ("p-value of no better set", figure(evidence.get("p_value"), 3)),
        ("Candidates judged", f"{evidence.get('tried', 0):,}"),
        ("Cases", f"{proposal.n:,} worth {proposal.n_effective:,.0f} independent ones"),
    ]
    return [*blocks, Facts(facts)]


def _outcomes(tuning: Tuning) -> list[Block]:
    cases = tuning.cases
    names = [one for one in map(feature_of, tuning.used) if one is not None]
    blocks: list[Block] = []
    for name in dict.fromkeys([*names, *cases.features]):
        values = cases.features.get(name)
        known = None if values is None else np.isfinite(values) & np.isfinite(cases.outcome)
        if values is None or known is None or len(np.unique(values[known])) < 2:
            continue
        rows = _grouped(values[known], cases.outcome[known], cases.taken[known])
        columns = [name, "traded", "refused", "mean", "from", "to"]
        blocks.append(Table(columns, rows))
    return blocks or [Words("No feature is known of two cases that differ.", style="empty")]


def _grouped(values: Floats, outcomes: Floats, taken: npt.NDArray[np.bool_]) -> list[list[Cell]]:
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, GROUPS + 1)))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for at in range(len(edges) - 1):
        mine = outcomes[place == at]
        if not len(mine):
            continue
        mean = float(mine.mean())
        error = _error(mine)
        closed = int(taken[place == at].sum())
        last = at == len(edges) - 2
        rows.append(
            [
                Cell(f"{edges[at]:.3g} to {'' if last else 'below '}{edges[at + 1]:.3g}", numeric=False),
                Cell(f"{closed:,}"), Cell(f"{len(mine) - closed:,}"), Cell(signed(mean, 4), tone(mean)),
                Cell(signed(mean - error, 4)), Cell(signed(mean + error, 4)),
            ]
        )  # fmt: skip
    return rows


def _error(outcomes: Floats) -> float:
    """Return half of Student's interval of 95 % around the mean."""
    from scipy.special import stdtrit

    count = len(outcomes)
    if count < 2:
        return math.nan
    return float(stdtrit(count - 1, 0.975) * outcomes.std(ddof=1) / math.sqrt(count))


def _grown(tuning: Tuning) -> list[Section]:
    """Return what the sets would have summed up to over these very cases."""
    cases, proposal = tuning.cases, tuning.proposal
    order = np.argsort(cases.exit_ts, kind="stable")
    order = order[np.isfinite(cases.outcome[order])]
    best = {**tuning.used, **proposal.evidence.get("best", {})}
    if len(order) < 2 or best == dict(tuning.used):
        return []
    times = np.asarray(cases.exit_ts[order] // 1_000_000_000, np.int64)

    def grown(settings: Mapping[str, Any]) -> Floats:
        kept = admits(cases, settings)[order]
        return np.asarray(np.cumsum(np.where(kept, cases.outcome[order], 0.0)), np.float64)

    name = "proposed" if tuning.answer == "adopt" else "best candidate"
    curves = [(name, grown(best)), ("in force", grown(tuning.used))]
    ends = ", ".join(f"{word} {signed(float(curve[-1]), 2)}" for word, curve in curves)
    chart = Chart(
        "grown-chart", f"Sum of R per margin-day over the cases: {ends}.",
        curve_of(np.arange(len(order), dtype=np.int64), times, curves, unit="number", level=0.0),
    )  # fmt: skip
    return [
        Section(
            "sum", "What the sets would have summed up to", [chart], menu="Sum", chip="IN SAMPLE",
            legend=[Key("line a", name), Key("line b", "in force")],
            hint="R per margin-day of the cases that each set lets through, in the order of their exits. The "
            "candidate was chosen by these cases, so the curve is no evidence for it.",
        )
    ]  # fmt: skip


def _facts(tuning: Tuning) -> list[tuple[str, str]]:
    counts = [
        (name.replace("_", " ").capitalize(), f"{value:,}") for name, value in tuning.reading.counts.items()
    ]
    return [
        ("Component", tuning.component),
        ("Source", tuning.source),
        *counts,
        ("R per margin-day", signed(tuning.reading.rate, 4)),
        ("Mean days held", figure(tuning.reading.days, 1)),
    ]


def _notes(tuning: Tuning) -> list[Block]:
    notes = [*tuning.notes, *tuning.proposal.evidence.get("notes", ())]
    return [Words(spoken(note), style="hint") for note in dict.fromkeys(notes)]


def _days(tuning: Tuning) -> str:
    cases = tuning.cases
    if not len(cases):
        return ""
    first, last = (pd.Timestamp(int(one)) for one in (cases.entry_ts.min(), cases.exit_ts.max()))
    return f" from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
