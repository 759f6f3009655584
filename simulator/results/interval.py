"""The interval: how far a result depends on what bars do not say.

A bar does not tell in which order its prices came, and conventions fill the gap. `IntervalReport` holds, per
trade with its entry fixed, the lowest and highest outcome over all conventions, and beside it two full runs
under the profiles "worst" and "best". The per-trade figures bound each trade; the full runs are no bound of
the portfolio, because a trade that ends earlier frees cash and a slot, and what takes them may do better or
worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import EngineError
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from simulator.results.terminal import Canvas

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["INTERVAL_COLUMNS", "NO_BOUND", "IntervalReport"]

INTERVAL_COLUMNS: Final = (
    "trade",
    "symbol",
    "entry_time",
    "pnl",
    "r",
    "pnl_min",
    "pnl_max",
    "r_min",
    "r_max",
    "depends",
)
NO_BOUND: Final = (
    "The full worst and best runs are no mathematical bound of the portfolio: a trade that ends earlier "
    "frees cash and a slot, and what takes them may do better or worse."
)
HEADLINE: Final = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "average_r")


@dataclass(frozen=True)
class IntervalReport:
    """Outcomes over all conventions, per trade and for full runs.

    Parameters
    ----------
    frame
        One row per trade of the base run, columns `INTERVAL_COLUMNS`: the trade's id, symbol and entry time,
        its net profit and R in the base run, the lowest and highest of both over all conventions with the
        entry fixed, and `depends`: whether they differ.
    worst, best
        Metrics of the full runs under these profiles.
    base
        Metrics of the run itself.
    profile
        Name of its conventions.
    conventions
        Names of the conventions, or combinations, that were tried.
    """

    frame: pd.DataFrame
    worst: dict[str, float]
    best: dict[str, float]
    base: dict[str, float] = field(default_factory=dict)
    profile: str = "base"
    conventions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = [name for name in INTERVAL_COLUMNS if name not in self.frame.columns]
        if missing:
            raise EngineError(
                f"the interval's table lacks {', '.join(missing)}", code="ENGINE_INTERVAL_COLUMNS"
            )

    @property
    def dependent(self) -> pd.DataFrame:
        """The trades whose outcome depends on the convention, the widest span first."""
        chosen = self.frame[self.frame["depends"].astype(bool)]
        span = (chosen["pnl_max"] - chosen["pnl_min"]).sort_values(ascending=False, kind="stable")
        return chosen.loc[span.index]

    @property
    def lowest_pnl(self) -> float:
        """Sum of the lowest outcomes, in currency: no choice of conventions does worse on these entries."""
        return float(self.frame["pnl_min"].sum())

    @property
    def highest_pnl(self) -> float:
        """Sum of the highest outcomes, in currency."""
        return float(self.frame["pnl_max"].sum())

    @property
    def base_pnl(self) -> float:
        """Sum of the outcomes of the run itself, in currency."""
        return float(self.frame["pnl"].sum())

    @property
    def lowest_mean_r(self) -> float:
        """Mean of the lowest R-multiples; NaN where no trade has one."""
        return float(self.frame["r_min"].mean())

    @property
    def highest_mean_r(self) -> float:
        """Mean of the highest R-multiples; NaN where no trade has one."""
        return float(self.frame["r_max"].mean())

    @property
    def base_mean_r(self) -> float:
        """Mean R of the run itself; NaN where no trade has one."""
        return float(self.frame["r"].mean())

    @property
    def sign_depends(self) -> bool:
        """Whether even the sign of the total profit depends on the convention."""
        return self.lowest_pnl < 0.0 < self.highest_pnl

    def to_dict(self) -> dict[str, Any]:
        """Return the totals, both runs and the dependent trades as plain values, NaN as None."""
        return {
            "profile": self.profile,
            "trades": len(self.frame),
            "dependent_trades": int(self.frame["depends"].astype(bool).sum()),
            "pnl": _plain({"base": self.base_pnl, "lowest": self.lowest_pnl, "highest": self.highest_pnl}),
            "mean_r": _plain(
                {"base": self.base_mean_r, "lowest": self.lowest_mean_r, "highest": self.highest_mean_r}
            ),
            "sign_depends": self.sign_depends,
            "worst": _plain(self.worst),
            "best": _plain(self.best),
            "conventions": list(self.conventions),
            "depending": [
                {
                    "trade": int(row["trade"]),
                    "symbol": str(row["symbol"]),
                    "entry_time": row["entry_time"].isoformat(),
                    **_plain(
                        {name: row[name] for name in ("pnl", "pnl_min", "pnl_max", "r", "r_min", "r_max")}
                    ),
                }
                for row in self.dependent.to_dict("records")
            ],
            "note": NO_BOUND,
        }

    def text(self, *, width: int | None = None, color: bool | None = None, trades: int = 5) -> str:
        """Return the interval as a terminal table of at most 100 columns, with the widest trades."""
        canvas = Canvas(width=width, color=color)
        self._print_totals(canvas)
        self._print_runs(canvas)
        canvas.print(NO_BOUND, style="dim")
        self._print_trades(canvas, trades)
        return canvas.text()

    def __str__(self) -> str:
        """Return `text()`."""
        return self.text()

    def _print_totals(self, canvas: Canvas) -> None:
        from rich.table import Table

        count = int(self.frame["depends"].astype(bool).sum())
        canvas.print(
            f"Convention interval: {count:,} of {len(self.frame):,} trades depend on the convention",
            style="bold",
        )
        table = Table(box=None, pad_edge=False)
        for name in ("Entries fixed, every convention", "lowest", self.profile, "highest"):
            table.add_column(name, justify="left" if name.startswith("Entries") else "right")
        money = [f"{value:,.0f}" for value in (self.lowest_pnl, self.base_pnl, self.highest_pnl)]
        means = [
            format_metric("average_r", value)
            for value in (self.lowest_mean_r, self.base_mean_r, self.highest_mean_r)
        ]
        table.add_row("Total profit", *money)
        table.add_row("Mean R", *means)
        canvas.print(table)
        if self.sign_depends:
            canvas.print("The sign of the profit depends on the convention.", style="bold yellow")
        canvas.print()

    def _print_runs(self, canvas: Canvas) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        title = "Run whole under the profile"
        for name in (title, "worst", self.profile, "best"):
            table.add_column(name, justify="left" if name == title else "right")
        for name in HEADLINE:
            values = [
                format_metric(name, runs.get(name, math.nan)) for runs in (self.worst, self.base, self.best)
            ]
            table.add_row(METRIC_DEFINITIONS[name].label, *values)
        canvas.print(table)

    def _print_trades(self, canvas: Canvas, most: int) -> None:
        from rich.table import Table

        widest = self.dependent.head(most)
        if not len(widest):
            return
        canvas.print()
        table = Table(box=None, pad_edge=False)
        for name in ("Widest trades", "entered", "lowest", self.profile, "highest"):
            table.add_column(name, justify="left" if name in ("Widest trades", "entered") else "right")
        for row in widest.to_dict("records"):
            figures = [_outcome(row[f"pnl{end}"], row[f"r{end}"]) for end in ("_min", "", "_max")]
            table.add_row(str(row["symbol"]), f"{row['entry_time']:%Y-%m-%d}", *figures)
        canvas.print(table)


def _outcome(pnl: float, r: float) -> str:
    return f"{pnl:,.0f}" + ("" if math.isnan(r) else f" ({r:+.2f} R)")


def _plain(values: dict[str, Any]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
