"""Tables: trades by what they have in common, returns by month, verdicts by rule, results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import UnknownNameError, did_you_mean
from simulator.results.metrics import METRIC_DEFINITIONS
from simulator.results.packages import BUCKETS, bucket_of

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.result import Result

__all__ = ["GROUPS", "compare", "group_packages", "group_trades", "monthly_table", "verdict_table"]

GROUPS: Final = ("tag", "sector", "year", "symbol", "strategy", "exit_reason", "side")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def group_trades(trades: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return one row per value of `what`, one of `GROUPS`; a trade belongs to the year in which it ended.

    Columns: trades, win_rate, pnl, expectancy, profit_factor, average_r, average_mae, average_mfe,
    average_bars_held, fees, defined as the metrics of the same names. Sorted by profit, years by time.
    Raises `UnknownNameError` NAME_GROUP.
    """
    if what not in GROUPS:
        raise UnknownNameError(
            f"trades cannot be grouped by {what!r}.{did_you_mean(what, (*GROUPS, *BUCKETS))}",
            code="NAME_GROUP",
        )
    if what == "year":
        keys = trades["exit_time"].dt.year
    elif what == "side":
        keys = trades["side"].map({1: "long", -1: "short"})
    else:
        keys = trades[what]
    table = _statistics(trades, keys)
    table.index.name = what
    return table if what == "year" else table.sort_values("pnl", ascending=False, kind="stable")


def group_packages(packages: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return the statistics of `group_trades` for packages by one of `BUCKETS`, in the order of the buckets.

    One more column, `captured`: the mean share of the premium that was kept.
    """
    import pandas as pd

    keys = pd.Series(bucket_of(what, packages[what]), index=packages.index)
    table = _statistics(packages, keys).assign(captured=packages["captured"].groupby(keys).mean())
    table.index.name = what
    order = packages[what].groupby(keys).min().sort_values(na_position="last").index
    return table.loc[order]


def _statistics(trades: pd.DataFrame, keys: pd.Series[Any]) -> pd.DataFrame:
    import pandas as pd

    pnl = trades["pnl"]
    working = trades.assign(key=keys, win=pnl > 0, profit=pnl.clip(lower=0), loss=-pnl.clip(upper=0))
    groups = working.groupby("key", sort=True)
    profit, loss = groups["profit"].sum(), groups["loss"].sum()
    return pd.DataFrame(
        {
            "trades": groups.size(),
            "win_rate": groups["win"].mean().astype(np.float64),
            "pnl": groups["pnl"].sum(),
            "expectancy": groups["pnl"].mean(),
            "profit_factor": (profit / loss.where(loss > 0)).where((loss > 0) | (profit <= 0), np.inf),
            "average_r": groups["r_multiple"].mean(),
            "average_mae": groups["mae"].mean(),
            "average_mfe": groups["mfe"].mean(),
            "average_bars_held": groups["bars_held"].mean(),
            "fees": groups["fees"].sum(),
        }
    )


def monthly_table(returns: npt.NDArray[np.float64], session: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return compounded returns, one row per year, columns Jan to Dec and Year; NaN without a session.

    Parameters
    ----------
    returns, session : (sessions,)
        Session returns, and session dates in days since 1970-01-01.
    """
    import pandas as pd

    month = session.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    series = pd.Series(1.0 + returns)
    of_month = series.groupby(month).prod() - 1.0
    of_year = series.groupby(month // 12).prod() - 1.0
    keys, years = of_month.index.to_numpy(np.int64), of_year.index.to_numpy(np.int64)
    cells = np.full((len(years), 13), np.nan)
    cells[np.searchsorted(years, keys // 12), keys % 12] = of_month.to_numpy()
    cells[:, 12] = of_year.to_numpy()
    return pd.DataFrame(cells, index=pd.Index(years + 1970, name="year"), columns=[*MONTHS, "Year"])


def verdict_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return how many signals each rule admitted, shrunk and rejected, the most frequent first."""
    import pandas as pd

    table = pd.crosstab(verdicts["rule"], verdicts["outcome"]) if len(verdicts) else pd.DataFrame()
    table = table.reindex(columns=["admitted", "shrunk", "rejected"], fill_value=0).astype(np.int64)
    table.columns.name = None
    table["signals"] = table.sum(axis=1)
    table.index.name = "rule"
    return table.sort_values("signals", ascending=False, kind="stable")


def compare(results: Mapping[str, Result]) -> pd.DataFrame:
    """Return metrics of several results side by side: one row per metric, one column per result."""
    import pandas as pd

    columns: dict[str, dict[str, Any]] = {name: dict(result.metrics) for name, result in results.items()}
    return pd.DataFrame(columns, index=pd.Index(list(METRIC_DEFINITIONS), name="metric"))
