"""The answers of the model of trade quality in plain words, each with its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from optimize.quality_model.judging import Judged

if TYPE_CHECKING:
    from optimize.quality import TradeQuality

__all__ = ["explained", "told_in_one"]

_MOST_NAMED: Final = 4
"""Strategies that the sentence names."""

_VISIBLE: Final = 1e-4
"""A difference of scores below it cannot be seen in what is printed."""


def told_in_one(quality: TradeQuality) -> str:
    """Return one sentence: what is shown, or why nothing is."""
    sources = ", ".join(quality.sources) + (f"; {quality.modelled:,} modelled" if quality.modelled else "")
    head = f"quality of {quality.kind} trades, by {quality.trades:,} closed ones ({sources})"
    chance, expected = _chance(quality.probability), _expected(quality.expected_r)
    both = (quality.probability, quality.expected_r)
    if all(one.answer == "too few" for one in both):
        needed = max(one.needed or 0 for one in both)
        independent = _independent(min(both, key=lambda one: one.effective))
        answer = f"{head}: not enough evidence{independent}, about {needed:,} more trades are needed"
        return answer + _elsewhere(quality)
    if not quality.speaks:
        return f"{head}: none is shown. {chance}; {expected}"
    return f"{head}: {chance}; {expected}; {_spoken_of(quality)}"


def _elsewhere(quality: TradeQuality) -> str:
    """Say where the trades are, if not where they were looked for."""
    if not quality.elsewhere:
        return ""
    others = ", ".join(f"{count:,} {source}" for source, count in quality.elsewhere.items())
    return f"; the journal has none of this source, but {others} ones: name the source"


def _spoken_of(quality: TradeQuality) -> str:
    """Say which strategies the models know, since they say nothing of others."""
    names = list(quality.strategies)
    left = len(names) - _MOST_NAMED
    named = ", ".join(names[:_MOST_NAMED]) + (f" and {left} more" if left > 0 else "")
    return f"shown for what was traded alone: {named}"


def explained(quality: TradeQuality) -> str:
    """Return the sentence, the calibration out of sample, what the models use, and the notes."""
    lines = [quality.sentence()]
    if quality.probability.table and quality.probability.answer == "use":
        lines.append("calibration on trades that were not fitted to (said, won, trades):")
        lines += [f"  {told:6.1%} {won:6.1%} {cases:6,}" for told, won, cases in quality.probability.table]
    lines += [f"note: {note}" for note in quality.notes]
    return "\n".join(lines)


def _chance(one: Judged) -> str:
    if one.answer == "use":
        return (
            f"the probability of success beats the base rate of {one.base:.0%} on unseen trades (Brier "
            f"{one.score:.4f} against {one.base_score:.4f}, better by at least {one.lower:.4f} at "
            f"{one.confidence:.1%})"
        )
    if one.answer == "refuse":
        return (
            f"the probability of success does not beat the base rate of {one.base:.0%} on unseen trades "
            f"(Brier {one.score:.4f} against {one.base_score:.4f}{_least(one)})"
        )
    if one.answer == "one class":
        word, other = ("won", "loss") if one.base > 0.5 else ("lost", "win")
        return f"all {one.cases:,} trades {word}, so nothing shows what a {other} looks like"
    return _other(one, "the probability of success")


def _expected(one: Judged) -> str:
    if one.answer == "use":
        return (
            f"expected R beats the mean of {one.base:+.2f} R on unseen trades (squared error {one.score:.3f} "
            f"against {one.base_score:.3f}, better by at least {one.lower:.3f} at {one.confidence:.1%})"
        )
    if one.answer == "refuse":
        return (
            f"expected R does not beat the mean of {one.base:+.2f} R on unseen trades (squared error "
            f"{one.score:.3f} against {one.base_score:.3f}{_least(one)})"
        )
    if one.answer == "constant":
        return f"all {one.cases:,} trades came to {one.base:+.2f} R, so there is nothing to tell apart"
    return _other(one, "expected R")


def _other(one: Judged, what: str) -> str:
    if one.answer == "no snapshot":
        return f"nothing that was known at entry varies between the trades, so {what} has nothing to go by"
    needed = f", about {one.needed:,} more trades are needed" if one.needed else ""
    return f"not enough evidence for {what} in {one.cases:,} trades{_independent(one)}{needed}"


def _independent(one: Judged) -> str:
    if one.cases and one.effective < 0.8 * one.cases:
        return f" (they overlap and count as {one.effective:.0f})"
    return ""


def _least(one: Judged) -> str:
    """Say why a better score is not enough; nothing where it is no better as printed."""
    if one.gain < _VISIBLE:
        return ""
    return f", which may be chance: the difference is above {one.lower:+.4f} at {one.confidence:.1%}"
