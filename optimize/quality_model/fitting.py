"""Two small models of a trade: the probability that it succeeds, and its expected R.

Both are linear in the encoded snapshot, because journals are short: a logistic regression and a ridge
regression (scikit-learn), with a weak prior on their coefficients. What either says is then calibrated on
cases that it was not fitted to: inside the training cases, purged folds give each case the deviation from the
base rate that a model without it would have told, and one number, the share of that deviation which held,
multiplies all of them (Platt 1999, with the slope held between 0 and 1). Where nothing held, the share is 0
and the model says the base rate. It can only shrink: a slope above 1 would be a deviation that nobody saw.

A fitted model is numbers only: applying one needs no scikit-learn, and keeping one needs no pickle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from optimize.quality_model.encoding import Encoding, learn_encoding
from optimize.quality_model.folds import folds_of
from simulator.errors import MissingExtraError

__all__ = ["HEADS", "Cases", "Fitted", "fit", "need_sklearn"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PRIOR_DEVIATION: Final = 0.5
"""Standard deviation that the prior gives a coefficient, per standard deviation of its measure: log odds for
the probability, residual standard deviations for R."""

INNER_FOLDS: Final = 4
"""Folds inside the training cases, for calibration."""

HEADS: Final = ("probability", "expected_r")


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """What is fitted to: measures (n, k), strategies, the target, and the times that purging needs."""

    values: Floats
    strategies: tuple[str, ...]
    target: Floats
    entry_ts: NDArray[np.int64]
    exit_ts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, chosen: Ints) -> Cases:
        """Return some of the cases."""
        return Cases(
            self.values[chosen],
            tuple(self.strategies[place] for place in chosen),
            self.target[chosen],
            self.entry_ts[chosen],
            self.exit_ts[chosen],
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted and calibrated model: `link(shift + slope * columns @ weights)`.

    `base` is what it would say without a snapshot: the share of trades won, or the mean R.
    """

    head: str
    encoding: Encoding
    weights: tuple[float, ...]
    slope: float
    shift: float
    base: float
    cases: int

    def say(self, values: Floats, strategies: Sequence[str]) -> Floats:
        """Return the probability, or the expected R, of each case; shape (n,)."""
        told = self.shift + self.slope * (self.encoding.rows(values, strategies) @ np.asarray(self.weights))
        return _sigmoid(told) if self.head == "probability" else told

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "head": self.head, "encoding": self.encoding.plain(), "weights": list(self.weights),
            "slope": self.slope, "shift": self.shift, "base": self.base, "cases": self.cases,
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Fitted:
        """Return what `plain` gave; ValueError, KeyError or TypeError where that is not so."""
        made = cls(
            head=str(plain["head"]),
            encoding=Encoding.of(plain["encoding"]),
            weights=tuple(float(weight) for weight in plain["weights"]),
            slope=float(plain["slope"]),
            shift=float(plain["shift"]),
            base=float(plain["base"]),
            cases=int(plain["cases"]),
        )
        numbers = (*made.weights, made.slope, made.shift, made.base)
        if made.head not in HEADS or len(made.weights) != made.encoding.width:
            raise ValueError("no model of this shape")
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a model has finite numbers")
        return made


def need_sklearn() -> None:
    """Raise MissingExtraError OPTIMIZE_EXTRA_QUALITY where scikit-learn is not installed."""
    try:
        import sklearn.linear_model  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "a model of trade quality needs scikit-learn; install it with: pip install 'twinstep[quality]'",
            code="OPTIMIZE_EXTRA_QUALITY",
        ) from error


def fit(head: str, cases: Cases) -> Fitted | None:
    """Fit and calibrate; None where the cases cannot be fitted: no column, one class, or no spread.

    Calibration uses what purged folds inside the cases give; folds whose training part cannot be fitted are
    left out, and without any the model says the base rate.
    """
    weights = _weights(head, cases)
    if weights is None:
        return None
    encoding, coefficients = weights
    told = np.full(len(cases), np.nan)
    for train, test in folds_of(cases.entry_ts, cases.exit_ts, INNER_FOLDS):
        inner = _weights(head, cases.take(train))
        if inner is not None:
            rows = inner[0].rows(cases.values[test], [cases.strategies[place] for place in test])
            told[test] = rows @ inner[1]
    known = ~np.isnan(told)
    calibrate = _platt if head == "probability" else _share
    slope = calibrate(told[known], cases.target[known])
    # the deviations of the whole fit, with the share of them that held: the mean must come out as it is
    deviations = slope * (encoding.rows(cases.values, cases.strategies) @ coefficients)
    shift = (
        _intercept(deviations, cases.target)
        if head == "probability"
        else float(np.mean(cases.target - deviations))
    )
    return Fitted(
        head=head,
        encoding=encoding,
        weights=tuple(float(weight) for weight in coefficients),
        slope=slope,
        shift=shift,
        base=float(cases.target.mean()),
        cases=len(cases),
    )


def _weights(head: str, cases: Cases) -> tuple[Encoding, Floats] | None:
    """Return the columns and their coefficients, None where there is nothing to fit."""
    from sklearn.linear_model import LogisticRegression, Ridge

    target = cases.target
    if len(cases) < 2 or np.ptp(target) <= 1e-12:
        return None
    encoding = learn_encoding(cases.values, cases.strategies)
    if not encoding.width:
        return None
    rows = encoding.rows(cases.values, cases.strategies)
    strength = PRIOR_DEVIATION * PRIOR_DEVIATION
    if head == "probability":
        model: Any = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200)
        model.fit(rows, target.astype(np.int64))
    else:
        model = Ridge(alpha=1.0 / strength, solver="cholesky")
        model.fit(rows, target)
    return encoding, np.asarray(model.coef_, dtype=np.float64).reshape(-1)


def _platt(told: Floats, won: Floats) -> float:
    """Return the slope between 0 and 1 that fits log odds to outcomes best, by maximum likelihood."""
    if not len(told) or np.ptp(told) <= 1e-12 or np.ptp(won) <= 1e-12:
        return 0.0

    # the likelihood is concave in the slope once the intercept is the best one for it, so its derivative
    # falls and changes its sign at most once
    def rise(slope: float) -> float:
        chance = _sigmoid(slope * told + _intercept(slope * told, won))
        return float(told @ (won - chance))

    return _root(rise)


def _share(told: Floats, outcome: Floats) -> float:
    """Return the share of the deviations, 0 to 1, that outcomes follow: least squares with an intercept."""
    if not len(told) or np.ptp(told) <= 1e-12:
        return 0.0
    away = told - told.mean()
    return float(np.clip((away @ outcome) / (away @ away), 0.0, 1.0))


def _intercept(deviations: Floats, won: Floats) -> float:
    """Return the intercept in log odds at which the mean probability is the share won (Newton's method)."""
    share = float(np.clip(won.mean(), 1e-6, 1 - 1e-6))
    intercept = math.log(share / (1 - share)) - float(deviations.mean())
    for _ in range(50):
        chance = _sigmoid(deviations + intercept)
        step = float((chance - won).mean() / max(float((chance * (1 - chance)).mean()), 1e-9))
        intercept -= max(-2.0, min(2.0, step))
        if abs(step) < 1e-12:
            break
    return intercept


def _root(falling: Callable[[float], float]) -> float:
    """Return where a falling function crosses 0 between 0 and 1, or the end that is nearer to it."""
    if falling(0.0) <= 0:
        return 0.0
    if falling(1.0) >= 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _sigmoid(told: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(told, -40.0, 40.0))))
