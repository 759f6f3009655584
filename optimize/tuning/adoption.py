"""The rule of adoption: a change must beat the set in force by a lower bound that counts the search.

`propose` takes cases, the set in force and the prior, and answers "adopt", "keep" or "not enough evidence:
about N more trades". On journals without an edge it adopts in at most 5 of 100, whatever the payoff. The
price is that small edges need many trades, and the answer says how many.

A change must, all at once:

- admit enough trades, five losses among them, and change the answer for enough, counted as independent ones;
- move no further than one adoption may, refuse at most two thirds of what is admitted now, in all its steps
  together, and stay inside what was observed;
- have a lower bound above 0 after shrinkage towards the prior and a charge for a loss not yet seen, over all
  cases and again within periods and symbols (`bounds`).

>>> import numpy as np
>>> from optimize.tuning.cases import DAY, Cases
>>> random = np.random.default_rng(1)
>>> rank = random.uniform(0, 100, 400)
>>> outcome = random.normal(np.where(rank >= 50, 0.3, -0.3), 1.0)
>>> day = np.arange(400) * DAY
>>> cases = Cases(outcome=outcome, entry_ts=day, exit_ts=day + 5 * DAY, features={"iv_rank": rank})
>>> found = propose(cases, in_force={"min_iv_rank": 20.0}, prior={"min_iv_rank": 20.0})
>>> found.answer, found.settings["min_iv_rank"]
('adopt', 50.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from optimize.tuning import bounds
from optimize.tuning.cases import Cases
from optimize.tuning.effective import blocks_of, effective_number, moments_of
from optimize.tuning.judging import TARGET_SHARE, Judged, Question
from optimize.tuning.proposal import ADOPT, KEEP, UNKNOWN, Answer, Proposal, in_words, plain
from optimize.tuning.settings import admits, searchable
from optimize.tuning.targets import PROFIT_TARGET
from simulator.errors import ConfigError, did_you_mean

__all__ = ["MIN_TRADES", "propose"]

MIN_TRADES: Final = 30
"""Independent trades that a candidate must admit."""

_HORIZON: Final = 10.0
"""Times the trades there are, beyond which no number of further ones is promised."""

_TRIALS: Final = 200


def propose(
    cases: Cases,
    *,
    in_force: Mapping[str, Any],
    prior: Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
    min_trades: int = MIN_TRADES,
    max_step: Mapping[str, float] | None = None,
    seed: int = 0,
    trials: int = _TRIALS,
) -> Proposal:
    """Judge whether another set than the one in force has earned its place.

    Parameters
    ----------
    cases
        What is learned from. Cases without an outcome are left out.
    in_force
        The settings in force, by name: `min_iv_rank`, `target_dte`, `blacklist`, `profit_target`, ...
    prior
        The set that estimates are shrunk towards; by default the one in force.
    space
        What to search: values or a `Space` by name, None for a round grid over what was observed. By default
        all settings in force that the cases say something about.
    confidence
        Of the lower bound, over everything that was searched.
    min_trades
        Independent trades that a candidate must admit; half as many must be decided differently than now.
    max_step
        How far one adoption moves a setting, by name; by default `MAX_STEP` by feature.
    seed
        Same seed, same answer.
    trials
        Candidates at most; longer lists of values are thinned out evenly.

    Raises
    ------
    ConfigError
        OPTIMIZE_CONFIDENCE, OPTIMIZE_COUNT; TUNING_SETTING for a space of a setting that no case says
        anything about.
    """
    _check(confidence, min_trades, trials)
    known = cases.take(~np.isnan(cases.outcome))
    effective = effective_number(known.outcome, known.entry_ts, known.exit_ts)
    notes: list[str] = []
    base = _Base(known, dict(in_force), len(cases), effective, confidence, notes)
    names = list(searchable(known, in_force, space))
    if PROFIT_TARGET in (in_force if space is None else space):
        names.append(PROFIT_TARGET)
    for name in max_step or ():
        if name not in names:
            raise ConfigError(
                f"max_step names {name!r}, which is not searched.{did_you_mean(name, names)}",
                code="TUNING_SETTING",
            )
    level = _level(confidence, names)
    early = _too_little(base, min_trades, bounds.least_turns(level))
    if early is not None:
        return early
    question = Question(
        known, dict(in_force), effective, confidence, dict(prior or in_force), space,
        dict(max_step or {}), min_trades, trials, seed, blocks_of(known.entry_ts, known.exit_ts),
        bounds.turns_of(
            moments_of(known.entry_ts, known.exit_ts),
            seed=seed,
            most=max(bounds.TURNS, bounds.least_turns(level)),
        ),
        notes,
    )  # fmt: skip
    first = families = question.ask(in_force, names)
    steps: list[tuple[Judged, int]] = []
    # what else should move is asked again from where the last step led
    while families and (best := max(families, key=_support)).lower[best.best] > 0.0:
        steps.append((best, best.best))
        moved = {key: value for family, at in steps for key, value in family.changes[at].items()}
        families = question.ask({**in_force, **moved}, [name for name in names if name not in moved])
    return _answer(base, first, steps, min_trades)


def _support(family: Judged) -> tuple[bool, float]:
    return bool(family.lower[family.best] > 0.0), float(family.ratio[family.best])


@dataclass(frozen=True, slots=True)
class _Base:
    """What every answer shows."""

    cases: Cases
    in_force: dict[str, Any]
    given: int
    effective: float
    confidence: float
    notes: list[str]

    @property
    def share(self) -> float:
        """Independent trades per trade."""
        return self.effective / max(len(self.cases), 1)

    def proposal(
        self,
        answer: Answer,
        sentence: str,
        *,
        needed: int | None = None,
        changes: Mapping[str, Any] | None = None,
        lower: float = math.nan,
        estimate: float = math.nan,
        evidence: Mapping[str, Any] | None = None,
    ) -> Proposal:
        changes = dict(changes or {})
        return Proposal(
            answer=answer,
            settings={**self.in_force, **changes},
            changes=changes,
            sentence=sentence,
            needed_trades=needed,
            lower=lower,
            estimate=estimate,
            n=len(self.cases),
            n_effective=self.effective,
            evidence={
                "in_force": {name: plain(value) for name, value in self.in_force.items()},
                "confidence": self.confidence,
                "cases": self.given,
                "used": len(self.cases),
                "counterfactual": int((~self.cases.taken).sum()),
                "effective": round(self.effective, 1),
                "candidates": [],
                "notes": list(self.notes),
                **(evidence or {}),
            },
        )


def _check(confidence: float, min_trades: int, trials: int) -> None:
    if not 0.5 <= confidence < 1.0:
        raise ConfigError(
            f"confidence is {confidence!r}; it lies from 0.5 to below 1", code="OPTIMIZE_CONFIDENCE"
        )
    for name, value in (("min_trades", min_trades), ("trials", trials)):
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise ConfigError(f"{name} is {value!r}; it is a whole number from 1", code="OPTIMIZE_COUNT")


def _level(confidence: float, names: Sequence[str]) -> float:
    """Return the strictest level that is asked of turns or signs; OPTIMIZE_CONFIDENCE where none can tell."""
    both = PROFIT_TARGET in names and len(names) > 1
    strictest = TARGET_SHARE if both else 1.0
    largest = 1.0 - 2.0 / (bounds.MOST_TURNS + 1) / strictest
    if confidence > largest + 1e-12:
        raise ConfigError(
            f"confidence is {confidence!r}; chance can be told from an edge up to {largest:g} here, because "
            f"{bounds.MOST_TURNS:,} journals without an edge are looked at",
            code="OPTIMIZE_CONFIDENCE",
        )
    return (1.0 - confidence) * (1.0 - TARGET_SHARE if both else 1.0)


def _too_little(base: _Base, min_trades: int, turns: int) -> Proposal | None:
    """Answer where no candidate can be judged at all."""
    cases, least = base.cases, min_trades + (min_trades + 1) // 2
    if base.given > len(cases):
        base.notes.append(f"{base.given - len(cases)} cases without a known outcome were left out")
    count = len(cases)
    if count and bool(np.ptp(cases.outcome) < 1e-12) and count >= 2:
        return base.proposal(KEEP, f"Keep what is in force: all {count} outcomes are the same number.")
    if base.effective < least:
        more = math.ceil((least - base.effective) / max(base.share, 1e-9)) if count else least
        seen = f"{count} cases" + (f" worth {base.effective:.0f}" if base.effective < count - 0.5 else "")
        return base.proposal(UNKNOWN, f"{_more(more)} {seen} are too few to judge by.", needed=more)
    moments = len(np.unique(moments_of(cases.entry_ts, cases.exit_ts)))
    if 2 * moments - 1 < turns:
        least = turns // 2 + 1
        more = math.ceil(count / moments * (least - moments))
        sentence = (
            f"{_more(more)} {count} cases were entered on {moments} days, and {least:,} are needed"
            f"{'' if turns < bounds.TURNS else f' for {100 * base.confidence:g} % confidence'}."
        )
        return base.proposal(UNKNOWN, sentence, needed=more)
    gains = int((cases.outcome > 0.0).sum())
    if gains in (0, count):
        what = "no loss has been seen" if gains else "no gain has been seen"
        return base.proposal(UNKNOWN, f"{_more(count)} In {count} cases {what} yet.", needed=count)
    return None


def _answer(
    base: _Base, families: list[Judged], steps: list[tuple[Judged, int]], min_trades: int
) -> Proposal:
    """Weigh what was found: `families` at the first step, and what passed at each step."""
    if not families:
        return _nothing_to_try(base, min_trades)
    family = steps[0][0] if steps else max(families, key=_support)
    at = steps[0][1] if steps else family.best
    changes = {key: value for one, best in steps for key, value in one.changes[best].items()}
    looked = changes or family.changes[at]
    # of several steps each has a bound of its own; the smallest holds for all
    lower = min((float(one.lower[best]) for one, best in steps), default=float(family.lower[at]))
    estimate = sum(float(one.estimate[best]) for one, best in steps) if steps else float(family.estimate[at])
    count, tried = len(base.cases), sum(len(one.changes) for one in families)
    evidence = {
        "best": {name: plain(value) for name, value in looked.items()},
        "estimate": estimate,
        "lower": lower,
        "p_value": family.p_value,
        "critical": family.critical,
        "tried": tried,
        "candidates": [row for one in families for row in one.rows()],
        "steps": [one.rows()[best] for one, best in steps],
    }
    worth = f"{count} cases" + (f" worth {base.effective:.0f}" if base.effective < count - 0.5 else "")
    words = in_words(looked, base.in_force)
    percent = f"{100 * base.confidence:g} %"
    answer = partial(base.proposal, lower=lower, estimate=estimate, evidence=evidence)
    if steps:
        shadow, of = _counterfactual(base, changes)
        if shadow:
            base.notes.append(f"{shadow} of the {of} cases that only the new set admits were never taken")
        bound = f"by {lower:+.3g} at least"
        if len(steps) > 1:
            bound = f"each of {len(steps)} steps {bound}"
        sentence = (
            f"Adopt {words}: better by {estimate:+.3g} R per margin-day on {worth}, {bound} "
            f"with {percent} confidence after {_candidates(tried)}."
        )
        return answer(ADOPT, sentence, changes=changes)
    ratio = float(family.ratio[at])
    needed = math.ceil(count * ((family.critical / ratio) ** 2 - 1.0)) if ratio > 0.0 else None
    chance = f"the best of {_candidates(tried)} ({words}) is no better than chance finds"
    many = needed is None or needed > _HORIZON * count
    if family.p_value >= 0.5 and (many or base.effective >= 4 * min_trades):
        sentence = f"Keep what is in force: on {worth}, {chance} (p = {family.p_value:.2g})."
        return answer(KEEP, sentence)
    if needed is None or many:
        sentence = (
            f"Keep what is in force: what speaks for {words} on {worth} is too small to be worth waiting for."
        )
        return answer(KEEP, sentence)
    sentence = (
        f"{_more(needed)} On {worth}, {words} looks better by {estimate:+.3g} R per margin-day, but "
        f"{lower:+.3g} is possible at {percent} confidence after {_candidates(tried)}."
    )
    return answer(UNKNOWN, sentence, needed=max(1, needed))


def _counterfactual(base: _Base, changes: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many cases a set newly admits were never taken, and how many it newly admits."""
    added = admits(base.cases, {**base.in_force, **changes}) & ~admits(base.cases, base.in_force)
    return int((added & ~base.cases.taken).sum()), int(added.sum())


def _nothing_to_try(base: _Base, min_trades: int) -> Proposal:
    count = len(base.cases)
    if base.effective >= 4 * min_trades:
        sentence = f"Keep what is in force: {count} cases show no other set that could be judged."
        return base.proposal(KEEP, sentence)
    more = max(1, math.ceil((4 * min_trades - base.effective) / base.share))
    sentence = f"{_more(more)} {count} cases show no other set with enough trades on both sides."
    return base.proposal(UNKNOWN, sentence, needed=more)


def _candidates(count: int) -> str:
    return "1 candidate" if count == 1 else f"{count:,} candidates"


def _more(count: int) -> str:
    return f"Not enough evidence: about {count:,} more {'trade' if count == 1 else 'trades'}."
