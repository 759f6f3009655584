"""Whether a model of trade quality may speak: its forecasts of unseen trades against the base rate.

Purged folds give each case a forecast by a model that was fitted and calibrated without it and without any
case that overlaps it; and beside it the base rate (or mean R) of the same training cases. The model may speak
only where a proper score says that it is better, with a lower bound above 0: Brier score and, without a
bound, log loss for the probability; squared error for R. A proper score cannot be gained by saying anything
but what one believes, so neither bold nor timid forecasts pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from optimize.quality_model.encoding import learn_encoding
from optimize.quality_model.fitting import Cases, Fitted, fit
from optimize.quality_model.folds import folds_of
from optimize.quality_model.overlap import effective_cases, mean_above

__all__ = [
    "FOLDS", "LEAST_CASES", "LEAST_EFFECTIVE", "LEAST_OF_A_KIND", "Judged", "cannot", "forecasts", "judge",
]  # fmt: skip

Floats = NDArray[np.float64]

FOLDS: Final = 5
"""Outer folds."""
LEAST_CASES: Final = 60
"""Closed trades below which nothing is fitted."""
LEAST_OF_A_KIND: Final = 12
"""Of wins and of losses each: below it nothing shows what tells them apart."""
LEAST_EFFECTIVE: Final = 10.0
"""Independent cases, once overlaps are counted."""
_FIFTHS: Final = 5
_NO_TABLE: Final[tuple[tuple[float, float, int], ...]] = ()

Answer = Literal["use", "refuse", "too few", "one class", "constant", "no snapshot"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one head: the probability of success, or expected R.

    Attributes
    ----------
    answer
        "use", or why not: "refuse" (it does not beat the base rate), "too few", "one class" (all won or all
        lost), "constant" (every R is the same), "no snapshot" (nothing known at entry varies).
    cases, effective
        Cases with a known outcome, and how many independent ones they are.
    base
        Share won, or mean R; NaN without cases.
    score, base_score
        Brier score, or mean squared error in R squared, of the forecasts and of the base rate, out of sample;
        NaN where nothing was fitted. Smaller is better.
    gain, lower
        `base_score - score`, and its lower bound at `confidence`.
    log_gain
        The same of log loss, for the probability; NaN for R.
    slope
        Of outcomes on forecasts, out of sample: 1 is calibrated, below 1 is too bold.
    needed
        About how many more trades, where there are too few.
    confidence
        Of the bound.
    table
        Calibration out of sample, for the probability: mean forecast, share won and cases of each fifth of
        the forecasts, from the lowest.
    """

    answer: Answer
    cases: int
    effective: float
    base: float
    score: float = math.nan
    base_score: float = math.nan
    gain: float = math.nan
    lower: float = math.nan
    log_gain: float = math.nan
    slope: float = math.nan
    needed: int | None = None
    confidence: float = math.nan
    table: tuple[tuple[float, float, int], ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it: None for what is not known."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in found.items()
        } | {"table": [list(row) for row in self.table]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Judged:
        """Return what `plain` gave; ValueError, KeyError or TypeError where that is not so."""
        if plain["answer"] not in get_args(Answer):
            raise ValueError("no such answer")
        numbers = {name: math.nan if plain[name] is None else float(plain[name]) for name in _NUMBERS}
        if plain["lower"] is None and plain["gain"] is not None:
            numbers["lower"] = -math.inf
        return cls(
            answer=plain["answer"],
            cases=int(plain["cases"]),
            needed=None if plain["needed"] is None else int(plain["needed"]),
            table=tuple((float(told), float(won), int(cases)) for told, won, cases in plain["table"]),
            **numbers,
        )


_NUMBERS: Final = (
    "effective", "base", "score", "base_score", "gain", "lower", "log_gain", "slope", "confidence",
)  # fmt: skip


def judge(head: str, cases: Cases, *, confidence: float) -> tuple[Judged, Fitted | None]:
    """Validate a head on cases, and fit it to all of them where it may speak."""
    early = cannot(head, cases, confidence=confidence)
    if early is not None:
        return early, None
    told, base = forecasts(head, cases)
    known = ~np.isnan(told)
    effective = effective_cases(cases.entry_ts, cases.exit_ts)
    mean = float(cases.target.mean())
    if known.sum() < LEAST_CASES * (FOLDS - 1) / FOLDS:
        # purging leaves too little to train on: the journal must grow beyond the time that a trade lasts
        return Judged("too few", len(cases), effective, mean, needed=len(cases), confidence=confidence), None
    told, base, target = told[known], base[known], cases.target[known]
    gains = np.square(base - target) - np.square(told - target)
    bound = mean_above(gains, cases.entry_ts[known], cases.exit_ts[known], confidence)
    log_gain, table = math.nan, _NO_TABLE
    if head == "probability":
        log_gain = float((_log_loss(base, target) - _log_loss(told, target)).mean())
        table = _table(told, target)
    better = bound.lower > 0 and not log_gain <= 0
    away = told - told.mean()
    spread = float(away @ away)
    judged = Judged(
        answer="use" if better else "refuse",
        cases=len(cases),
        effective=bound.effective,
        base=mean,
        score=float(np.square(told - target).mean()),
        base_score=float(np.square(base - target).mean()),
        gain=bound.mean,
        lower=bound.lower,
        log_gain=log_gain,
        slope=float(away @ target) / spread if spread > 1e-12 else math.nan,
        confidence=confidence,
        table=table,
    )
    return judged, fit(head, cases) if better else None


def forecasts(head: str, cases: Cases) -> tuple[Floats, Floats]:
    """Return what models without a case say of it, and the base rate without it; NaN where none could."""
    told, base = np.full(len(cases), np.nan), np.full(len(cases), np.nan)
    for train, test in folds_of(cases.entry_ts, cases.exit_ts, FOLDS):
        without = cases.take(train)
        fitted = fit(head, without) if len(train) >= LEAST_CASES // 2 else None
        if fitted is not None:
            told[test] = fitted.say(cases.values[test], [cases.strategies[place] for place in test])
            base[test] = fitted.base
    return told, base


def cannot(head: str, cases: Cases, *, confidence: float) -> Judged | None:
    """Return the answer where nothing can be fitted."""
    count, target = len(cases), cases.target
    effective = effective_cases(cases.entry_ts, cases.exit_ts)
    mean = float(target.mean()) if count else math.nan
    answer: Answer | None = None
    needed: int | None = None
    if count < LEAST_CASES:
        answer, needed = "too few", LEAST_CASES - count
    elif np.ptp(target) <= 1e-12:
        answer = "one class" if head == "probability" else "constant"
    elif head == "probability" and min(target.sum(), count - target.sum()) < LEAST_OF_A_KIND:
        rare = float(min(target.sum(), count - target.sum()))
        answer, needed = "too few", math.ceil((LEAST_OF_A_KIND - rare) * count / rare)
    elif effective < LEAST_EFFECTIVE:
        answer, needed = "too few", math.ceil((LEAST_EFFECTIVE - effective) * count / effective)
    elif not learn_encoding(cases.values, cases.strategies).width:
        answer = "no snapshot"
    if answer is None:
        return None
    return Judged(answer, count, effective, mean, needed=needed, confidence=confidence)


def _table(told: Floats, won: Floats) -> tuple[tuple[float, float, int], ...]:
    order = np.argsort(told, kind="stable")
    return tuple(
        (float(told[part].mean()), float(won[part].mean()), len(part))
        for part in np.array_split(order, _FIFTHS)
    )


def _log_loss(chance: Floats, won: Floats) -> Floats:
    safe = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.asarray(-(won * np.log(safe) + (1 - won) * np.log(1 - safe)))
