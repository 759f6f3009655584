"""From figures to advice: one reconciled proposal per setting, each with its evidence.

The rules: a win rate under 50 % raises the IV-rank threshold, 70 % and above lowers it, winners with a higher
IV rank than losers raise it; steps are fixed. Where rules contradict each other there is still one answer: a
significant reason outweighs those that are not, and reasons of equal rank that disagree mean "keep". Where
strong evidence leads to no change, `kept` says why: it is not for want of evidence. A win
rate that is good or bad by its number only, on the wrong side of its break-even, moves nothing.

Every piece of advice carries its reasons, sample, intervals and evidence. What rests on no test, such as
close reasons (they are part of the outcome), is never called significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from journal.learning.analysis import Estimate, estimates, share_won
from journal.learning.votes import (
    LEAST_TRADES,
    NO_DIFFERENCE,
    SCANNER,
    SIGNALS,
    THRESHOLDS,
    Threshold,
    Vote,
    against_break_even,
    reconciled,
    votes_of,
)
from journal.performance.readable import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from journal.learning.analysis import Evidence, Examination, Group
    from journal.learning.data import ClosedTrades, Floats, Labels

__all__ = ["DEFAULTS", "Recommendation", "recommend"]

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    SCANNER: {"min_iv_rank": 50.0, "target_dte": 45, "blacklist": ()},
    SIGNALS: {"min_pattern_score": 60.0},
}
"""What the components use where no set is in force; a test keeps them equal to theirs."""

LEAST_GROUP: Final = 2
"""Trades of a symbol below which it is not judged."""

LEAST_TO_FORESEE: Final = 5
"""Tested trades below which nothing is said about how many more would decide: one trade foretells nothing."""

MOST_LISTED: Final = 5
"""Symbols listed to either side where the evidence is not significant."""

_DTE_STEP, _DTE_REACH, _DTE_SIDE = 5, 15, 15


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One piece of advice.

    Attributes
    ----------
    kind
        "min_iv_rank", "min_pattern_score", "target_dte", "delta", "blacklist", "favourite", "strategy" or
        "close_reason".
    component, setting
        Which setting of which component it changes; None where it is advice to the trader.
    current, proposed
        Values of the setting; equal where it says to keep it.
    text
        The advice as a sentence.
    reasons
        What speaks for and against it.
    trades
        Closed trades that it rests on.
    estimates
        Figures with 95 % intervals.
    evidence
        The test behind it; None where there is none.
    significant
        Whether the evidence is significant at the 5 % level over all questions and looks, and the value moves
        by it.
    kept
        Why a setting stays although evidence on it is significant, with the p-values; empty otherwise.
    """

    kind: str
    component: str | None
    setting: str | None
    current: Any
    proposed: Any
    text: str
    reasons: tuple[str, ...]
    trades: int
    estimates: tuple[Estimate, ...]
    evidence: Evidence | None
    significant: bool
    kept: str = ""

    @property
    def verdict(self) -> str:
        """How sure it is in a word or two."""
        if self.significant:
            return "significant"
        return "strong evidence, but kept" if self.kept else "not significant"

    @property
    def changes(self) -> bool:
        """Whether it proposes another value than the current one."""
        return self.setting is not None and self.proposed != self.current

    @property
    def mark(self) -> str:
        """How much it is worth, in words."""
        if self.kept:
            return self.kept
        if self.evidence is None:
            return f"not significant: not tested, {counted(self.trades)}"
        tested = self.evidence.trades
        if not tested:
            return f"not significant: too few to test, {counted(self.trades)}"
        part = f"{tested:,} of " if tested < self.trades else ""
        p = f"p = {self.evidence.adjusted_p:.2g} over {part}{counted(self.trades if part else tested)}"
        if self.significant:
            return f"significant: {p}"
        more = self.evidence.more_trades if tested >= LEAST_TO_FORESEE else None
        wait = f"; about {more:,} more trades like these would decide" if more else ""
        return f"not significant: {p}{wait}"


def recommend(
    found: Examination, closed: ClosedTrades, current: Mapping[str, Mapping[str, Any]]
) -> tuple[Recommendation, ...]:
    """Return all advice, settings first.

    Parameters
    ----------
    current
        Settings in force by component, complete.
    """
    advice = []
    for threshold in THRESHOLDS:
        one = _threshold(threshold, found, closed, float(current[threshold.component][threshold.setting]))
        advice += [one] if one else []
    days = _target_dte(found, closed, int(current[SCANNER]["target_dte"]))
    delta = _delta(found)
    advice += [one for one in (days, delta) if one]
    advice += _symbols(found, closed, frozenset(current[SCANNER]["blacklist"]))
    advice += _strategies(found, closed)
    advice += _close_reasons(found, closed)
    return tuple(advice)


def _threshold(
    threshold: Threshold, found: Examination, closed: ClosedTrades, current: float
) -> Recommendation | None:
    votes = votes_of(found, threshold.setting)
    record = found.records[threshold.kind]
    reasons = [f"{vote.reason}: {'raise' if vote.direction > 0 else 'lower'}" for vote in votes]
    doubt = against_break_even(record)
    reasons += [doubt] if doubt else []
    if not reasons:
        return None
    direction, significant = reconciled(votes)
    wanted = current + direction * threshold.step
    # a threshold that already stands at its bound moves no further, and never back
    low, high = min(threshold.low, current), max(threshold.high, current)
    proposed = min(max(wanted, low), high)
    deciding = [vote for vote in votes if vote.direction == direction] or list(votes)
    evidence = min((vote.evidence for vote in deciding), key=lambda one: one.adjusted_p, default=None)
    if len({vote.direction for vote in votes}) > 1:
        reasons.append("the rules contradict each other; this is the one answer")
    at = max(current, proposed)
    labels = (f"won at {threshold.word} {at:g} and above", f"won below {threshold.word} {at:g}")
    kind = closed.option if threshold.kind == "option" else ~closed.option
    shown = _either_side(getattr(closed, threshold.compared), kind, closed.pnl, at, labels)
    return Recommendation(
        threshold.setting,
        threshold.component,
        threshold.setting,
        current,
        proposed,
        _threshold_text(threshold, current, proposed),
        tuple(reasons),
        record.trades,
        shown,
        evidence,
        significant and proposed != current,
        _kept(votes, proposed == current, f"{threshold.setting} stands at its bound"),
    )


def _kept(votes: Sequence[Vote], unmoved: bool, bound: str) -> str:
    """Say why strong evidence moves nothing; empty where something moves or there is none."""
    strong = sorted((vote for vote in votes if vote.significant), key=lambda vote: -vote.direction)
    if not strong or not unmoved:
        return ""
    said = [
        f"{'raising' if vote.direction > 0 else 'lowering'} (p = {vote.evidence.adjusted_p:.2g} over "
        f"{counted(vote.evidence.trades)})"
        for vote in strong
    ]
    if len({vote.direction for vote in strong}) > 1:
        return f"strong evidence in both directions, for {' and for '.join(said)}: it stays"
    return f"strong evidence for {' and '.join(said)}, but {bound}: it stays"


def _threshold_text(threshold: Threshold, current: float, proposed: float) -> str:
    name, unit = threshold.setting, threshold.unit
    if proposed == current:
        return f"Keep {name} at {current:g}{unit}"
    if proposed > current:
        return f"Increase {name} threshold to {proposed:g}{unit}"
    return f"Lower {name} to {proposed:g}{unit} (find more opportunities)"


def _target_dte(found: Examination, closed: ClosedTrades, current: int) -> Recommendation | None:
    compared = found.comparisons["dte"]
    won, lost = compared.winners_average, compared.losers_average
    if won is None or lost is None or compared.trades < LEAST_TRADES:
        return None
    best = round(won / _DTE_STEP) * _DTE_STEP
    proposed = max(_DTE_STEP, min(max(best, current - _DTE_REACH), current + _DTE_REACH))
    longer = compared.difference > 0
    reason = f"winners were entered at {won:.0f} days to expiry on average, losers at {lost:.0f}"
    if (proposed > current) is not longer or compared.difference == 0:
        proposed = current
    evidence = compared.rising if longer else compared.falling
    middle = (current + proposed) / 2
    labels = (f"won from {middle:g} days on", f"won below {middle:g} days")
    shown = _either_side(closed.dte, closed.option, closed.pnl, middle, labels)
    low, high = max(1, proposed - _DTE_SIDE), proposed + _DTE_SIDE
    word = f"Keep target_dte at {current}" if proposed == current else f"Move target_dte to {proposed}"
    return Recommendation(
        "target_dte", SCANNER, "target_dte", current, proposed, f"{word} (range {low} to {high} days)",
        (reason,), compared.trades, shown, evidence, evidence.significant and proposed != current,
        _dte_kept(evidence, best, current, longer=longer) if proposed == current else "",
    )  # fmt: skip


def _dte_kept(evidence: Evidence, best: int, current: int, *, longer: bool) -> str:
    if not evidence.significant:
        return ""
    words, p = "longer" if longer else "shorter", f"p = {evidence.adjusted_p:.2g} over"
    proof = f"that {words} does better ({p} {counted(evidence.trades)})"
    if best == current:
        return f"strong evidence {proof}, and the winners' average is where it stands: it stays"
    if (best > current) is longer:
        return f"strong evidence {proof}, but {current} is as short as it goes: it stays"
    way = "down" if best < current else "up"
    return f"strong evidence against moving it {way} to the winners' average, {proof}: it stays"


def _either_side(
    level: Floats, kind: NDArray[np.bool_], pnl: Floats, at: float, labels: tuple[str, str]
) -> tuple[Estimate, ...]:
    """Return the win rates at and above a level, and below it; unknown levels (NaN) are on neither side."""
    sides = zip((kind & (level >= at), kind & (level < at)), labels, strict=True)
    return tuple(share_won(pnl[chosen], label) for chosen, label in sides if chosen.any())


def _delta(found: Examination) -> Recommendation | None:
    compared = found.comparisons["delta"]
    won, lost = compared.winners_average, compared.losers_average
    few = compared.trades < LEAST_TRADES
    if few or won is None or lost is None or abs(compared.difference) < NO_DIFFERENCE:
        return None
    larger = compared.difference > 0
    evidence = compared.rising if larger else compared.falling
    word = "larger" if larger else "smaller"
    return Recommendation(
        "delta", None, None, None, None, f"Prefer entries with {word} delta",
        (f"winners had an absolute delta of {won:.2f} on average, losers of {lost:.2f}",),
        compared.trades, (), evidence, evidence.significant,
    )  # fmt: skip


def _symbols(found: Examination, closed: ClosedTrades, excluded: frozenset[str]) -> list[Recommendation]:
    judged = [group for group in found.symbols if group.trades >= LEAST_GROUP]
    advice = []
    for group in _listed([g for g in judged if g.average_pnl > 0 and g.wins > g.losses], gains=True):
        word = "proven winner" if group.gains is not None and group.gains.significant else "ahead so far"
        advice.append(("favourite", "favourites", f"Focus on {group.name} ({word})", group, group.gains))
    losing = [g for g in reversed(judged) if g.average_pnl < 0 and g.name not in excluded]
    advice += [
        ("blacklist", "blacklist", f"Blacklist {group.name}", group, group.loses)
        for group in _listed(losing, gains=False)
    ]
    return [
        _of_group(
            group, evidence, closed.symbols, closed.pnl, kind, text, (SCANNER, setting, None, group.name)
        )
        for kind, setting, text, group, evidence in advice
    ]


def _listed(groups: list[Group], *, gains: bool) -> list[Group]:
    """Keep all that are significant, and the first few of the others."""

    def significant(group: Group) -> bool:
        evidence = group.gains if gains else group.loses
        return evidence is not None and evidence.significant

    sure = [group for group in groups if significant(group)]
    return sure + [group for group in groups if not significant(group)][:MOST_LISTED]


def _strategies(found: Examination, closed: ClosedTrades) -> list[Recommendation]:
    """Advise on strategies where the evidence is significant; the table shows the others."""
    advice = []
    for group in found.strategies:
        for evidence, text in (
            (group.gains, f"Go on with {group.name}"),
            (group.loses, f"Stop trading {group.name}, or change it"),
        ):
            if evidence is not None and evidence.significant:
                advice.append(
                    _of_group(
                        group, evidence, closed.strategies, closed.pnl, "strategy", text,
                        (None, None, None, None),
                    )
                )  # fmt: skip
    return advice


def _close_reasons(found: Examination, closed: ClosedTrades) -> list[Recommendation]:
    named = [group for group in found.reasons if group.name and group.trades >= LEAST_GROUP]
    best = max((g for g in named if g.average_pnl > 0), key=lambda g: (g.total_pnl, g.name), default=None)
    worst = min((g for g in named if g.average_pnl < 0), key=lambda g: (g.total_pnl, g.name), default=None)
    advice = []
    for group, text in ((best, "Continue following"), (worst, "Review what led to")):
        if group is not None:
            advice.append(
                _of_group(
                    group, None, closed.reasons, closed.pnl, "close_reason", f"{text} {group.name}",
                    (None, None, None, None),
                )
            )  # fmt: skip
    return advice


def _of_group(
    group: Group,
    evidence: Evidence | None,
    labels: Labels,
    pnl: Floats,
    kind: str,
    text: str,
    change: tuple[str | None, str | None, Any, Any],
) -> Recommendation:
    component, setting, current, proposed = change
    chosen = labels.codes == labels.names.index(group.name)
    reason = f"{counted(group.trades)}, {group.win_rate:.0f}% win rate, average P&L {group.average_pnl:+,.2f}"
    reasons = [reason]
    if kind == "close_reason":
        reasons.append("a reason to close is part of the outcome, so its average proves nothing")
    return Recommendation(
        kind, component, setting, current, proposed, text, tuple(reasons), group.trades,
        estimates(pnl[chosen]), evidence, evidence is not None and evidence.significant,
    )  # fmt: skip
