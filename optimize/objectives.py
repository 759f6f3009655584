"""Objectives and constraints of strategy studies, by name: functions of the metrics table of a sweep.

An objective is a number per parameter set, larger is better, computed from the columns of `simulator.sweep`.
**NaN policy**: where it is not defined, because nothing was traded or nothing varied, it is NaN; such a set
has been tried and counts as a trial, and it can never be the best. Infinite values are treated alike.

A constraint is a number per set that must be 0 or less. What breaks one is never the best; samplers that know
constraints (TPE, GP, NSGA-II, NSGA-III) also learn to stay away from there.

>>> import pandas as pd
>>> table = pd.DataFrame({"sharpe": [0.5, float("nan")], "trades": [40, 3], "max_drawdown": [-0.3, -0.1]})
>>> objective("sharpe").of(table).tolist()
[0.5, nan]
>>> {name: values.tolist() for name, values in constraints_of(table, min_trades=20).items()}
{'min_trades': [-20.0, 17.0]}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "OBJECTIVES",
    "Objective",
    "check_limits",
    "constraints_of",
    "objective",
    "objectives",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure to maximise.

    Attributes
    ----------
    name, label
        As in commands, and as in tables.
    definition
        Its formula in words.
    formula
        From the metrics table of a sweep to a figure per row, shape (rows,).
    """

    name: str
    label: str
    definition: str
    formula: Callable[[pd.DataFrame], Any]

    def of(self, table: pd.DataFrame) -> Floats:
        """Return the figure of every row; NaN where it is not defined or not finite."""
        values = np.asarray(self.formula(table), np.float64)
        if values.shape != (len(table),):
            raise ConfigError(
                f"the objective {self.name!r} returned an array of shape {values.shape} for {len(table)} "
                "parameter sets; it must return one number each",
                code="OPTIMIZE_OBJECTIVE",
            )
        return np.where(np.isfinite(values), values, np.nan)


def _column(name: str) -> Callable[[pd.DataFrame], Any]:
    # no lambda: objectives travel to other processes
    return partial(_values, name)


def _values(name: str, table: pd.DataFrame) -> Floats:
    return table[name].to_numpy(np.float64)


def _per_margin_day(table: pd.DataFrame) -> Floats:
    held = table["mean_gross_exposure"].to_numpy(np.float64) * table["sessions"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(held > 0, table["total_return"].to_numpy(np.float64) / held, np.nan)


def _tail(table: pd.DataFrame) -> Floats:
    sharpe, sortino = (table[name].to_numpy(np.float64) for name in ("sharpe", "sortino"))
    with np.errstate(divide="ignore", invalid="ignore"):
        # mean / downside deviation against mean / deviation: the mean cancels
        lopsided = np.where(sortino == 0, 1.0, math.sqrt(2.0) * sharpe / sortino)
    # without a losing session there is no downside
    lopsided = np.where(np.isnan(sortino) & np.isfinite(sharpe), 0.0, lopsided)
    fall = np.abs(table["max_drawdown"].to_numpy(np.float64))
    growth = table["cagr"].to_numpy(np.float64)
    # what never traded has no Sharpe ratio; it is undefined here too, not a safe 0
    return np.where(np.isnan(sharpe), np.nan, growth - 0.5 * fall * np.maximum(lopsided, 1.0))


OBJECTIVES: Final[dict[str, Objective]] = {
    one.name: one
    for one in (
        Objective("sharpe", "Sharpe ratio", "The metric of that name, annual.", _column("sharpe")),
        Objective("sortino", "Sortino ratio", "The metric of that name, annual.", _column("sortino")),
        Objective("calmar", "Calmar ratio", "CAGR / size of the largest drawdown.", _column("calmar")),
        Objective(
            "average_r",
            "Average R",
            "Expectancy in R where stops define R: mean of net profit / initial risk over the trades with a "
            "stop.",
            _column("average_r"),
        ),
        Objective(
            "expectancy_r",
            "Expectancy / average loss",
            "Expectancy in R where the average loss stands for 1 R: mean net profit per trade / mean size of "
            "a losing trade. Defined without stops, not defined without a losing trade.",
            _column("expectancy_r"),
        ),
        Objective(
            "sqn",
            "SQN",
            "sqrt(number of R-multiples) x mean R / their sample standard deviation (Van Tharp).",
            _column("sqn"),
        ),
        Objective(
            "profit_per_margin_day",
            "Profit per day of margin",
            "Total return / (mean gross exposure x sessions): profit per session and per unit of gross "
            "position value held. For stock that value is what the position ties up without borrowing; for "
            "option packages it is the gross market value of the legs, which is less than their margin.",
            _per_margin_day,
        ),
        Objective(
            "tail_penalised",
            "Tail-penalised growth",
            "CAGR - 0.5 x size of the largest drawdown x max(1, L), with the lopsidedness L = sqrt(2) x "
            "Sharpe ratio / Sortino ratio, which is sqrt(2) x downside deviation / standard deviation: 1 "
            "where losses and gains are alike, up to sqrt(2) where all variation is loss.",
            _tail,
        ),
    )
}
"""Every objective by its name."""


def objective(given: str | Objective) -> Objective:
    """Return an objective by its name; OPTIMIZE_OBJECTIVE_NAME with the nearest one for another name."""
    if isinstance(given, Objective):
        return given
    if given not in OBJECTIVES:
        several = [one.strip() for one in str(given).split(",")]
        if len(several) > 1 and all(one in OBJECTIVES for one in several):
            raise ConfigError(
                f"{given!r} names {len(several)} objectives; give them one by one: a list, on the command "
                "line --objective again for each",
                code="OPTIMIZE_OBJECTIVE",
            )
        raise UnknownNameError(
            f"no objective {given!r}.{did_you_mean(str(given), OBJECTIVES)}", code="OPTIMIZE_OBJECTIVE_NAME"
        )
    return OBJECTIVES[given]


def objectives(given: str | Objective | Sequence[str | Objective]) -> tuple[Objective, ...]:
    """Return one objective, or several for a Pareto front; none, or one named twice, is an error."""
    many = (given,) if isinstance(given, (str, Objective)) else given
    if not isinstance(many, Sequence) or not all(isinstance(one, (str, Objective)) for one in many):
        raise ConfigError(
            f"objective is {given!r}; give a name, an Objective, or a list of them", code="OPTIMIZE_OBJECTIVE"
        )
    found = tuple(objective(one) for one in many)
    names = [one.name for one in found]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"the objectives are {names}; give one or more, each once", code="OPTIMIZE_OBJECTIVE"
        )
    return found


def check_limits(*, min_trades: int | None, max_drawdown_pct: float | None) -> dict[str, float]:
    """Return the constraints that are set, by name; OPTIMIZE_CONSTRAINT for an impossible one."""
    limits: dict[str, float] = {}
    if min_trades is not None:
        if isinstance(min_trades, bool) or not isinstance(min_trades, int) or min_trades < 0:
            raise ConfigError(
                f"min_trades is {min_trades!r}; it is a whole number, 0 or more", code="OPTIMIZE_CONSTRAINT"
            )
        limits["min_trades"] = float(min_trades)
    if max_drawdown_pct is not None:
        if isinstance(max_drawdown_pct, bool) or not 0 < max_drawdown_pct <= 100:
            raise ConfigError(
                f"max_drawdown_pct is {max_drawdown_pct!r}; it is in percent, above 0 and at most 100 (20 is "
                "a fall of 20 %)",
                code="OPTIMIZE_CONSTRAINT",
            )
        limits["max_drawdown_pct"] = float(max_drawdown_pct)
    return limits


def constraints_of(
    table: pd.DataFrame, *, min_trades: float | None = None, max_drawdown_pct: float | None = None
) -> Mapping[str, Floats]:
    """Return the excess over each limit that is set, shape (rows,): 0 or less where it is kept.

    Parameters
    ----------
    table
        Metrics of a sweep.
    min_trades
        Fewest trades; the excess is how many are missing.
    max_drawdown_pct
        Largest drawdown in percent; the excess is in percentage points.
    """
    found: dict[str, Floats] = {}
    if min_trades is not None:
        found["min_trades"] = min_trades - table["trades"].to_numpy(np.float64)
    if max_drawdown_pct is not None:
        found["max_drawdown_pct"] = -100.0 * table["max_drawdown"].to_numpy(np.float64) - max_drawdown_pct
    return found
