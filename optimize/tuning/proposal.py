"""The answer of a tuning: adopt, keep, or not enough evidence, in one sentence and in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import optuna

__all__ = ["ADOPT", "KEEP", "UNKNOWN", "Answer", "Proposal", "in_words", "plain"]

Answer = Literal["adopt", "keep", "not enough evidence"]

ADOPT: Final = "adopt"
KEEP: Final = "keep"
UNKNOWN: Final = "not enough evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a tuning proposes.

    Attributes
    ----------
    answer
        "adopt", "keep" or "not enough evidence".
    settings
        The whole set: with the changes where the answer is "adopt", else the one in force.
    changes
        Only what differs from the set in force; empty unless the answer is "adopt".
    sentence
        The answer in words.
    needed_trades
        About how many more trades would decide; None where the answer needs none or nobody can say.
    lower, estimate
        How much better the best candidate is than the set in force, in R per margin-day: at least, with the
        confidence asked for and the search counted in, and as estimated, shrunk towards the prior. Of
        several steps the smallest bound of one, and the sum of the estimates. NaN where no candidate could be
        judged.
    n, n_effective
        Cases used, and how many independent ones they are worth.
    evidence
        All figures, as JSON takes them: what was tried, bounds, p-value, notes.
    """

    answer: Answer
    settings: Mapping[str, Any]
    changes: Mapping[str, Any]
    sentence: str
    needed_trades: int | None
    lower: float
    estimate: float
    n: int
    n_effective: float
    evidence: Mapping[str, Any]

    @property
    def adopted(self) -> bool:
        """Whether the answer is "adopt"."""
        return self.answer == ADOPT

    def study(self) -> optuna.Study:
        """Return what was tried as an Optuna study, in memory; its value is the lower bound."""
        from optimize.tuning.search import study_of

        return study_of(self.evidence["candidates"], self.evidence["in_force"])

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it: NaN is None."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        for name in ("lower", "estimate"):
            values[name] = None if values[name] != values[name] else values[name]
        return values | {name: dict(values[name]) for name in ("settings", "changes", "evidence")}

    def __str__(self) -> str:
        return self.sentence


def in_words(changes: Mapping[str, Any], in_force: Mapping[str, Any]) -> str:
    """Return changes as a reader takes them: "min_iv_rank 55 instead of 50"."""
    return ", ".join(
        f"{name} {_shown(value)} instead of {_shown(in_force.get(name))}" for name, value in changes.items()
    )


def plain(value: Any) -> Any:
    """Return a setting as JSON takes it: lists for tuples and sets."""
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, (int, float)) else "none" if value is None else str(value)
