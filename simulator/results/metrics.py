"""Metrics: one definition each, computed from the kernel's accumulators for one run or for a whole sweep.

Returns are simple returns of sessions: the last mark of a session against the last mark of the one before,
the first session against the initial cash; a deposit counts as part of what the session began with. A session
without a position has the return 0 and counts. Ratios are annualised with the calendar's sessions per year
(252 for New York) and no risk-free rate is subtracted. Fractions are fractions (0.12 is 12 %), losses are
negative (`max_drawdown` is -0.21), money is in the currency of the account. A metric that is not defined,
because nothing was traded or nothing varied, is NaN.

>>> import numpy as np
>>> from simulator.kernel.dtypes import ACCOUNT, METRICS
>>> metrics, account = np.zeros(1, METRICS), np.zeros(1, ACCOUNT)
>>> metrics["sessions"], account["initial_cash"], account["equity"] = 252, 100.0, 110.0
>>> round(float(metrics_from_accumulators(metrics, account, 252.0)["cagr"][0]), 6)
0.1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "METRIC_DEFINITIONS",
    "Metric",
    "benchmark_metrics",
    "definitions_table",
    "format_metric",
    "metrics_from_accumulators",
]

Unit = Literal["fraction", "ratio", "currency", "count", "sessions", "bars", "R"]
Floats = npt.NDArray[np.float64]

# A variance below this share of the mean square is rounding, not variation.
_NOISE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name in tables, its words in reports, its unit and its definition."""

    name: str
    label: str
    unit: Unit
    definition: str


METRIC_DEFINITIONS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric(
            "total_return",
            "Total return",
            "fraction",
            "Final equity / (initial cash + net deposits) - 1.",
        ),
        Metric(
            "cagr",
            "CAGR",
            "fraction",
            "Compound annual growth: (1 + total return) ^ (sessions per year / sessions) - 1. -1 after a "
            "total loss.",
        ),
        Metric(
            "volatility",
            "Volatility",
            "fraction",
            "Sample standard deviation (ddof = 1) of session returns x sqrt(sessions per year).",
        ),
        Metric(
            "sharpe",
            "Sharpe ratio",
            "ratio",
            "Mean session return / sample standard deviation (ddof = 1) x sqrt(sessions per year); "
            "risk-free rate 0.",
        ),
        Metric(
            "sortino",
            "Sortino ratio",
            "ratio",
            "Mean session return / downside deviation x sqrt(sessions per year); downside deviation = "
            "sqrt(sum of min(return, 0)^2 / sessions).",
        ),
        Metric(
            "calmar",
            "Calmar ratio",
            "ratio",
            "CAGR / size of the largest drawdown.",
        ),
        Metric(
            "max_drawdown",
            "Largest drawdown",
            "fraction",
            "Lowest value of equity / highest equity so far - 1 over all bar marks, the initial cash being "
            "the first peak. Negative: -0.21 is a fall of 21 %.",
        ),
        Metric(
            "max_drawdown_sessions",
            "Longest drawdown",
            "sessions",
            "Most sessions in a row below an earlier peak, one that lasts to the end included.",
        ),
        Metric(
            "exposure",
            "Time in market",
            "fraction",
            "Share of bars at whose close a position was open.",
        ),
        Metric(
            "mean_gross_exposure",
            "Mean gross exposure",
            "fraction",
            "Mean over all bars of (long + short value) / equity.",
        ),
        Metric(
            "turnover",
            "Annual turnover",
            "ratio",
            "Traded notional per year / capital: the sum of |quantity x price| of all fills, divided by "
            "years and by the mean of initial cash (with net deposits) and final equity. The equity between "
            "these two ends does not count, so an account that grew and fell back shows more than it turned "
            "over. Buying and selling the whole account once a year is about 2.",
        ),
        Metric(
            "trades",
            "Trades",
            "count",
            "Positions that were opened; one still open when the data end counts at its last mark.",
        ),
        Metric("win_rate", "Win rate", "fraction", "Share of trades with a net profit above 0."),
        Metric(
            "profit_factor",
            "Profit factor",
            "ratio",
            "Sum of net profits / sum of net losses; infinite without a losing trade.",
        ),
        Metric("expectancy", "Expectancy", "currency", "Mean net profit per trade."),
        Metric(
            "average_r",
            "Average R",
            "R",
            "Mean R-multiple: net profit / initial risk, where the initial risk is the distance from the "
            "fill to the initial stop times the quantity. Trades without a stop have no R and are left out.",
        ),
        Metric(
            "expectancy_r",
            "Expectancy / average loss",
            "ratio",
            "Mean net profit per trade / mean size of a losing trade: Van Tharp's expectancy where the "
            "average loss stands for 1 R. Unlike average R it is defined without stops.",
        ),
        Metric(
            "sqn",
            "SQN",
            "ratio",
            "System quality number (Van Tharp): sqrt(number of R-multiples) x mean R / sample standard "
            "deviation of R; not capped at 100 trades.",
        ),
        Metric(
            "average_mae",
            "Average MAE",
            "fraction",
            "Mean over trades of the largest adverse excursion, as a fraction of the entry price; 0 or "
            "negative.",
        ),
        Metric(
            "average_mfe",
            "Average MFE",
            "fraction",
            "Mean over trades of the largest favourable excursion, as a fraction of the entry price; 0 or "
            "positive.",
        ),
        Metric(
            "longest_winning_streak",
            "Longest winning streak",
            "count",
            "Most winning trades in a row, in the order in which they ended; a trade of exactly 0 ends a "
            "streak.",
        ),
        Metric(
            "longest_losing_streak",
            "Longest losing streak",
            "count",
            "Most losing trades in a row, in the order in which they ended.",
        ),
        Metric(
            "average_bars_held",
            "Average bars held",
            "bars",
            "Mean number of a symbol's own bars that a trade was open.",
        ),
        Metric("fees", "Fees", "currency", "Commissions and regulatory fees of all fills."),
        Metric("final_equity", "Final equity", "currency", "Cash plus positions at the last mark."),
        Metric("sessions", "Sessions", "sessions", "Sessions seen, those without a position included."),
        Metric("signals", "Signals", "count", "Signals that came before the risk manager."),
        Metric(
            "admitted",
            "Signals admitted",
            "count",
            "Signals that became an entry order, at the size asked for or at less.",
        ),
        Metric(
            "shrunk",
            "Signals shrunk",
            "count",
            "Admitted signals whose size a rule cut; NaN where the run kept no verdicts.",
        ),
        Metric(
            "rejected",
            "Signals rejected",
            "count",
            "Signals that a rule refused; NaN where the run kept no verdicts.",
        ),
        Metric(
            "sessions_halted",
            "Sessions halted",
            "sessions",
            "Sessions in which the daily loss limit halted entries.",
        ),
        Metric(
            "alpha",
            "Alpha",
            "fraction",
            "Annual: (mean session return - beta x mean benchmark return) x sessions per year.",
        ),
        Metric(
            "beta",
            "Beta",
            "ratio",
            "Covariance of session returns with the benchmark's / variance of the benchmark's.",
        ),
        Metric(
            "correlation",
            "Correlation",
            "ratio",
            "Pearson correlation of session returns with the benchmark's.",
        ),
        Metric(
            "up_capture",
            "Up capture",
            "ratio",
            "Mean session return / mean benchmark return over the sessions in which the benchmark rose.",
        ),
        Metric(
            "down_capture",
            "Down capture",
            "ratio",
            "The same over the sessions in which the benchmark fell; below 1 loses less, negative gains.",
        ),
        Metric(
            "benchmark_return",
            "Benchmark return",
            "fraction",
            "Total return of the benchmark over the same bars.",
        ),
    )
}
"""Every metric by name, in the order in which tables show them."""


def metrics_from_accumulators(
    metrics: npt.NDArray[np.void], account: npt.NDArray[np.void], sessions_per_year: float
) -> dict[str, npt.NDArray[np.generic]]:
    """Return metrics of many runs from their final records.

    Parameters
    ----------
    metrics : (n,) METRICS
        Accumulators after `finish`.
    account : (n,) ACCOUNT
    sessions_per_year
        For annualising, above 0.

    Returns
    -------
    dict of (n,) arrays
        Counts are int64, everything else float64; NaN where a metric is not defined. What needs a log (counts
        of verdicts, the benchmark) is not in here.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _from_accumulators(np.atleast_1d(metrics), np.atleast_1d(account), float(sessions_per_year))


def _from_accumulators(
    m: npt.NDArray[np.void], account: npt.NDArray[np.void], per_year: float
) -> dict[str, npt.NDArray[np.generic]]:
    sessions = m["sessions"].astype(np.float64)
    years = sessions / per_year
    invested = account["initial_cash"] + account["deposits"]
    equity = account["equity"]
    total_return = _ratio(equity, invested) - 1.0
    cagr = np.where(
        sessions > 0, np.power(np.maximum(1.0 + total_return, 0.0), _ratio(1.0, years)) - 1.0, np.nan
    )
    mean = _ratio(m["sum_return"], sessions)
    deviation = _deviation(m["sum_return"], m["sum_square"], sessions)
    downside = np.sqrt(_ratio(m["sum_downside"], sessions))
    drawdown = m["max_drawdown"]
    trades = m["trades"].astype(np.float64)
    bars = m["bars"].astype(np.float64)
    average_loss = _ratio(m["gross_loss"], m["losses"])
    n_r = m["n_r"].astype(np.float64)
    average_r = _ratio(m["sum_r"], n_r)
    annual = np.sqrt(per_year)
    return {
        "total_return": total_return,
        "cagr": cagr,
        "volatility": deviation * annual,
        "sharpe": _ratio(mean, deviation) * annual,
        "sortino": _ratio(mean, downside) * annual,
        "calmar": _ratio(cagr, drawdown),
        "max_drawdown": 0.0 - drawdown,
        "max_drawdown_sessions": m["longest_drawdown"].astype(np.int64),
        "exposure": _ratio(m["bars_in_market"], bars),
        "mean_gross_exposure": _ratio(m["sum_exposure"], bars),
        "turnover": _ratio(m["turnover"], years * np.maximum((invested + equity) / 2.0, 0.0)),
        "trades": m["trades"].astype(np.int64),
        "win_rate": _ratio(m["wins"], trades),
        "profit_factor": np.where(
            (m["gross_loss"] == 0) & (m["gross_profit"] > 0),
            np.inf,
            _ratio(m["gross_profit"], m["gross_loss"]),
        ),
        "expectancy": _ratio(m["sum_pnl"], trades),
        "average_r": average_r,
        "expectancy_r": _ratio(_ratio(m["sum_pnl"], trades), average_loss),
        "sqn": np.sqrt(n_r) * _ratio(average_r, _deviation(m["sum_r"], m["sum_r_square"], n_r)),
        "average_mae": _ratio(m["sum_mae"], trades),
        "average_mfe": _ratio(m["sum_mfe"], trades),
        "longest_winning_streak": m["longest_win"].astype(np.int64),
        "longest_losing_streak": m["longest_loss"].astype(np.int64),
        "average_bars_held": _ratio(m["sum_bars_held"], trades),
        "fees": account["fees"].astype(np.float64),
        "final_equity": equity.astype(np.float64),
        "sessions": m["sessions"].astype(np.int64),
        "signals": m["signals"].astype(np.int64),
        "admitted": m["admitted"].astype(np.int64),
        "sessions_halted": account["halted_sessions"].astype(np.int64),
    }


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    # What is divided by nothing is not defined, not infinite.
    divisor = np.asarray(below, np.float64)
    return np.asarray(np.where(divisor > 0, np.divide(above, divisor), np.nan))


def _deviation(total: Floats, squares: Floats, n: Floats) -> Floats:
    """Sample standard deviation from sums; NaN below two values or without variation."""
    variance = (squares - total * total / n) / (n - 1.0)
    varies = (n > 1) & (variance > _NOISE * squares / n)
    return np.asarray(np.where(varies, np.sqrt(np.maximum(variance, 0.0)), np.nan))


def benchmark_metrics(returns: Floats, benchmark: Floats, sessions_per_year: float) -> dict[str, float]:
    """Return alpha, beta, correlation and capture of session returns against a benchmark's, both (n,).

    Sessions in which either is NaN are left out. NaN without at least two sessions in which the benchmark
    varies.
    """
    both = np.isfinite(returns) & np.isfinite(benchmark)
    mine, theirs = (returns, benchmark) if both.all() else (returns[both], benchmark[both])
    nan = float("nan")
    found = dict.fromkeys(
        ("alpha", "beta", "correlation", "up_capture", "down_capture", "benchmark_return"), nan
    )
    if len(theirs):
        found["benchmark_return"] = float(np.prod(1.0 + theirs) - 1.0)
        for name, chosen in (("up_capture", theirs > 0), ("down_capture", theirs < 0)):
            if chosen.any():
                found[name] = float(mine[chosen].mean() / theirs[chosen].mean())
    if len(theirs) < 2:
        return found
    n = len(theirs)
    mean, expected = float(mine.mean()), float(theirs.mean())
    mine_off, theirs_off = mine - mean, theirs - expected
    own, spread = _dot(mine_off, mine_off) / (n - 1), _dot(theirs_off, theirs_off) / (n - 1)
    if spread > _NOISE * _dot(theirs, theirs) / n:
        shared = _dot(mine_off, theirs_off) / (n - 1)
        beta = shared / spread
        found["beta"] = beta
        found["alpha"] = (mean - beta * expected) * sessions_per_year
        if own > _NOISE * _dot(mine, mine) / n:
            found["correlation"] = shared / math.sqrt(spread * own)
    return found


def _dot(a: Floats, b: Floats) -> float:
    # not BLAS's, whose order of adding depends on the processor
    return float(np.add.reduce(a * b))


def format_metric(name: str, value: float) -> str:
    """Return a metric as it is shown: fractions in percent, money with separators, "n/a" where undefined."""
    metric = METRIC_DEFINITIONS.get(name)
    unit = metric.unit if metric else "ratio"
    if np.isnan(value):
        return "n/a"
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    if unit == "fraction":
        text = f"{value:.2%}"
    elif unit == "currency":
        text = f"{value:,.2f}"
    elif unit == "sessions" and metric is not None and not metric.label.startswith("Sessions"):
        text = f"{value:,.0f} session{'' if abs(value) == 1 else 's'}"
    elif unit in ("count", "sessions"):
        text = f"{value:,.0f}"
    elif unit == "bars":
        text = f"{value:,.1f}"
    elif unit == "R":
        text = f"{value:.3f} R"
    else:
        text = f"{value:.2f}"
    return text


def definitions_table() -> str:
    """Return the definitions as the Markdown table of `docs/metrics.md`."""
    rows = ["| metric | unit | definition |", "|---|---|---|"]
    for metric in METRIC_DEFINITIONS.values():
        definition = metric.definition.replace("|", "\\|")
        rows.append(f"| `{metric.name}` | {metric.unit} | {definition} |")
    return "\n".join(rows)
