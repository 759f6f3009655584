"""Weights walked forward: fitted on the past, judged on what came after, against equal weights.

Equal weights need no estimate, so nothing about them can be wrong, and they are hard to beat: DeMiguel,
Garlappi and Uppal (2009), Optimal versus naive diversification, Review of Financial Studies 22(5). Each
method is fitted to a window, held over the next stretch, and the stretches are put together. The verdict asks
whether the Sharpe ratio out of sample is above that of equal weights
(`optimize.statistics.sharpe_difference`), corrected for having tried several methods (Holm 1979).

>>> import numpy as np
>>> returns = np.random.default_rng(2).normal(0.0005, [0.01, 0.02, 0.01], (600, 3))
>>> found = walk_weights_forward(returns, ["inverse_volatility"], train=200, test=100, samples=200)
>>> found.windows, found.claims_evidence
(4, False)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from optimize.splits import Split, anchored, rolling
from optimize.statistics.returns import matrix_of
from optimize.statistics.sharpe import sharpe_sample
from optimize.statistics.sharpe_difference import SharpeDifference, sharpe_difference
from optimize.weights import Covariance, Method, PortfolioWeights, portfolio_weights, words
from simulator.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WeightsForward", "walk_weights_forward"]

Floats = npt.NDArray[np.float64]

EQUAL: Final = "equal"


@dataclass(frozen=True, eq=False)
class WeightsForward:
    """Methods out of sample, beside equal weights.

    Attributes
    ----------
    returns : DataFrame (observations out of sample, methods)
        Of the mixtures, the column "equal" first.
    weights : dict of DataFrame (windows, sleeves)
        By method: what was held from the first observation of each window on.
    table : DataFrame, one row per method
        `sharpe` and `volatility` (annual), `max_drawdown` (0 or negative), `turnover` (mean share of the
        account that moves at a window's begin); against equal weights `difference` and `lower` (annual Sharpe
        ratios), `p_value` alone and `adjusted` for all methods; NaN in the row "equal".
    best
        The method with the highest Sharpe ratio out of sample, equal weights not among them.
    claims_evidence
        Whether it beats equal weights with the confidence asked for, after all methods that were tried.
    needed
        Observations out of sample that would show a difference of this size, where it is positive and not yet
        shown; None otherwise.
    latest : dict of PortfolioWeights
        By method: fitted to the last window's length of all, for what comes now.
    windows, confidence, periods
        Stretches out of sample, the confidence asked for, observations per year.
    """

    returns: pd.DataFrame
    weights: dict[str, pd.DataFrame]
    table: pd.DataFrame
    best: str
    claims_evidence: bool
    needed: int | None
    latest: dict[str, PortfolioWeights]
    windows: int
    confidence: float
    periods: float

    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        columns = self.table.to_dict()
        row, equal = (
            {name: column[which] for name, column in columns.items()} for which in (self.best, EQUAL)
        )
        name = words(self.best).capitalize()
        tried = len(self.table) - 1
        if math.isnan(row["adjusted"]):
            return (
                f"Nothing can be said: {len(self.returns):,} observations out of sample, or a mixture that "
                "does not vary; keep equal weights."
            )
        measured = (
            f"{name} has a Sharpe ratio of {row['sharpe']:.2f} out of sample, equal weights "
            f"{equal['sharpe']:.2f} ({self.windows} windows, p = {row['adjusted']:.2f}"
            + (f" after {tried} methods)" if tried > 1 else ")")
        )
        if self.claims_evidence:
            return f"{measured}: evidence that it is better."
        if row["difference"] <= 0.0:
            return f"{measured}: no method was better; keep equal weights."
        more = "" if self.needed is None else f" it would take about {self.needed:,} observations;"
        return f"{measured}: no evidence that it is better;{more} keep equal weights."

    def __str__(self) -> str:
        return f"{self.table.round(3).to_string()}\n{self.sentence()}"


def walk_weights_forward(
    returns: Any,
    methods: Sequence[Method] = ("inverse_volatility", "minimum_variance", "risk_parity"),
    *,
    train: int = 252,
    test: int = 63,
    mode: Literal["rolling", "anchored"] = "rolling",
    covariance: Covariance = "shrunk",
    max_weight: float = 1.0,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    periods: float = 252.0,
) -> WeightsForward:
    """Fit weights to windows, hold them over what follows, and compare with equal weights.

    Weights are held constant over a stretch, as a share of risk per trade is: mixtures are put back to their
    weights at every observation. Nothing is charged for that; `turnover` says how much moves when weights
    change.

    Parameters
    ----------
    returns : (observations, sleeves)
        Simple returns of sleeves, a DataFrame or a matrix; rows with NaN are left out.
    methods
        What to compare with equal weights.
    train, test
        Observations to fit to, and to hold for.
    mode
        "rolling": the last `train` observations; "anchored": everything before.
    covariance, max_weight
        As in `portfolio_weights`.
    confidence, samples, seed
        Of the comparison; see `sharpe_difference`.
    periods
        Observations per year.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPLIT where not one window fits; OPTIMIZE_WEIGHTS for methods that are none, or none at all;
        OPTIMIZE_RETURNS, OPTIMIZE_CONFIDENCE.
    MissingExtraError
        OPTIMIZE_EXTRA_WEIGHTS.
    """
    import pandas as pd

    wanted: list[Method] = [method for method in dict.fromkeys(methods) if method != EQUAL]
    if not wanted:
        raise ConfigError(
            "there is no method to compare with equal weights, such as 'risk_parity'", code="OPTIMIZE_WEIGHTS"
        )
    whole = matrix_of(returns)
    known = np.flatnonzero(np.isfinite(whole).all(axis=1))
    matrix = whole[known]
    names = [str(name) for name in getattr(returns, "columns", range(matrix.shape[1]))]
    index = pd.Index(getattr(returns, "index", np.arange(len(known))))[known]
    cut = rolling if mode == "rolling" else anchored
    splits = cut(len(matrix), train=train, test=test)

    def fit(rows: Floats, method: Method) -> PortfolioWeights:
        return portfolio_weights(rows, method, names=names, covariance=covariance, max_weight=max_weight)

    held: dict[str, Floats] = {
        method: np.array([list(fit(matrix[split.train], method).weights.values()) for split in splits])
        for method in (EQUAL, *wanted)
    }
    mixed: dict[str, Floats] = {method: _mixed(matrix, splits, weights) for method, weights in held.items()}
    compared: dict[str, SharpeDifference] = {
        method: sharpe_difference(
            mixed[method], mixed[EQUAL], confidence=confidence, samples=samples, seed=seed
        )
        for method in wanted
    }
    table = _table(mixed, held, compared, periods)
    best = str(table["sharpe"].drop(EQUAL).fillna(-math.inf).idxmax())
    claims = bool(table["adjusted"].to_dict()[best] < 1.0 - confidence)
    last = matrix[-train:] if mode == "rolling" else matrix
    rows = np.concatenate([split.test for split in splits])
    return WeightsForward(
        returns=pd.DataFrame(mixed, index=index[rows]),
        weights={
            method: pd.DataFrame(
                weights, index=index[[int(split.test[0]) for split in splits]], columns=names
            )
            for method, weights in held.items()
        },
        table=table,
        best=best,
        claims_evidence=claims,
        needed=None if claims else _needed(compared[best], confidence, len(wanted)),
        latest={method: fit(last, method) for method in wanted},
        windows=len(splits),
        confidence=confidence,
        periods=periods,
    )


# Parts


def _mixed(matrix: Floats, splits: Sequence[Split], weights: Floats) -> Floats:
    parts = [matrix[split.test] @ held for split, held in zip(splits, weights, strict=True)]
    return np.concatenate(parts)


def _table(
    mixed: dict[str, Floats],
    held: dict[str, Floats],
    compared: dict[str, SharpeDifference],
    periods: float,
) -> pd.DataFrame:
    import pandas as pd

    year = math.sqrt(periods)
    adjusted = _holm({method: found.p_value for method, found in compared.items()})
    rows: dict[str, dict[str, float]] = {}
    for method, series in mixed.items():
        equity = np.concatenate([[1.0], np.cumprod(1.0 + series)])
        moved = np.abs(np.diff(held[method], axis=0)).sum(axis=1) / 2.0
        against = compared.get(method)
        rows[method] = {
            "sharpe": sharpe_sample(series).sharpe * year,
            "volatility": float(series.std(ddof=1)) * year,
            "max_drawdown": float((equity / np.maximum.accumulate(equity) - 1.0).min()),
            "turnover": float(moved.mean()) if len(moved) else 0.0,
            "difference": math.nan if against is None else against.difference * year,
            "lower": math.nan if against is None else against.lower * year,
            "p_value": math.nan if against is None else against.p_value,
            "adjusted": adjusted.get(method, math.nan),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _holm(p_values: dict[str, float]) -> dict[str, float]:
    """Return p-values that allow for the number of tests (Holm 1979); NaN stays."""
    known = sorted((p, method) for method, p in p_values.items() if not math.isnan(p))
    found = dict.fromkeys(p_values, math.nan)
    highest = 0.0
    for place, (p, method) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - place)))
        found[method] = highest
    return found


def _needed(found: SharpeDifference, confidence: float, methods: int) -> int | None:
    """Observations in all at which such a difference would be this many standard errors."""
    from scipy.special import ndtri

    if not found.difference > 0.0 or not found.standard_error > 0.0:
        return None
    wanted = float(ndtri(1.0 - (1.0 - confidence) / methods))
    ratio = wanted * found.standard_error / found.difference
    # a difference that is there already by this rule is held back by the shape of the bootstraps alone
    return math.ceil(found.observations * max(1.0, ratio * ratio))
