"""What each rule says about a threshold, and what the rules come to together.

A threshold such as the least IV rank is moved by two rules: a comparison of winners with losers, and the win
rate. Each gives a `Vote` with its evidence, or says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from journal.learning.analysis import Comparison, Evidence, Examination, Record

__all__ = [
    "LEAST_TRADES",
    "NO_DIFFERENCE",
    "SCANNER",
    "SIGNALS",
    "THRESHOLDS",
    "Threshold",
    "Vote",
    "against_break_even",
    "reconciled",
    "votes_of",
]

SCANNER: Final = "options_scanner"
SIGNALS: Final = "signal_generator"

LOW_WIN_RATE: Final = 50.0
HIGH_WIN_RATE: Final = 70.0
"""Win rates in percent below which a threshold rises, and from which it falls."""

LEAST_TRADES: Final = 5
"""Trades with a known value below which winners and losers are not compared."""

NO_DIFFERENCE: Final = 1e-9
"""Averages nearer to each other than this are the same."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A setting that rules move in steps, and what is compared for it among trades of which kind."""

    setting: str
    component: str
    compared: str
    kind: str
    step: float
    low: float
    high: float
    unit: str
    word: str


THRESHOLDS: Final = (
    Threshold("min_iv_rank", SCANNER, "iv_rank", "option", 10.0, 0.0, 90.0, "%", "IV rank"),
    Threshold("min_pattern_score", SIGNALS, "score", "stock", 5.0, 0.0, 95.0, "", "score"),
)


@dataclass(frozen=True, slots=True)
class Vote:
    """What one rule says about a threshold: +1 raise, -1 lower."""

    direction: int
    reason: str
    evidence: Evidence

    @property
    def significant(self) -> bool:
        """Whether its evidence is."""
        return self.evidence.significant


def votes_of(found: Examination, setting: str) -> tuple[Vote, ...]:
    """Return what each rule says about a threshold; rules that say nothing are left out."""
    threshold = next(one for one in THRESHOLDS if one.setting == setting)
    compared = _vote_of_comparison(found.comparisons[threshold.compared], threshold)
    rate = _vote_of_win_rate(found.records[threshold.kind], found.profit[threshold.kind], threshold)
    return tuple(vote for vote in (compared, rate) if vote)


def _vote_of_comparison(compared: Comparison, threshold: Threshold) -> Vote | None:
    won, lost = compared.winners_average, compared.losers_average
    few = compared.trades < LEAST_TRADES
    if few or won is None or lost is None or abs(compared.difference) < NO_DIFFERENCE:
        return None
    up = compared.difference > 0
    word = "higher" if up else "lower"
    reason = (
        f"winners had a {word} {threshold.word} ({won:.1f}{threshold.unit}) than losers "
        f"({lost:.1f}{threshold.unit})"
    )
    return Vote(1 if up else -1, reason, compared.rising if up else compared.falling)


def _vote_of_win_rate(record: Record, profit: tuple[Evidence, Evidence], threshold: Threshold) -> Vote | None:
    if record.win_rate is None or record.average_pnl is None:
        return None
    rate, average = record.win_rate, record.average_pnl
    even = "" if record.break_even is None else f" (break-even {record.break_even:.0f}%)"
    gains, loses = profit
    if rate < LOW_WIN_RATE and average < 0:
        return Vote(1, f"win rate {rate:.0f}% is under 50%{even}", loses)
    if rate >= HIGH_WIN_RATE and average > 0:
        return Vote(-1, f"win rate {rate:.0f}% is 70% or more{even}", gains)
    return None


def against_break_even(record: Record) -> str | None:
    """Say where the win rate and the money disagree, so that the rule on win rates does not apply."""
    rate, average, even = record.win_rate, record.average_pnl, record.break_even
    if rate is None or average is None or even is None:
        return None
    if rate >= HIGH_WIN_RATE and average <= 0:
        return f"win rate {rate:.0f}% is high, but its break-even is {even:.0f}%: no reason to lower"
    if rate < LOW_WIN_RATE and average >= 0:
        return f"win rate {rate:.0f}% is low, but its break-even is {even:.0f}%: no reason to raise"
    return None


def reconciled(votes: tuple[Vote, ...]) -> tuple[int, bool]:
    """Return the direction that the votes come to, 0 for keep, and whether it is significant."""
    strong = {vote.direction for vote in votes if vote.significant}
    if strong:
        return (strong.pop(), True) if len(strong) == 1 else (0, False)
    weak = {vote.direction for vote in votes}
    return (weak.pop() if len(weak) == 1 else 0), False
