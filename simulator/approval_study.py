"""What waiting costs: the same signals with a person and without, over many seeds.

One run with an approval is one draw of delays and decisions. `approval_study` draws many, each a lane of one
compiled loop, and sets the distribution of every metric beside full automation, and beside the same waiting
without vetoes: what is lost by waiting, and what by saying no, are told apart.

>>> from datetime import timedelta
>>> from simulator import Signals, load_bars
>>> from simulator.approval import Approval, Delay
>>> bars = load_bars("synthetic:1x200?seed=1")
>>> signals = Signals.from_arrays(bars, range(10, 190, 9), 0, 1, stop_percent=5.0, max_bars=5)
>>> study = approval_study(bars, signals, Approval(delay=Delay.exponential(timedelta(hours=3))), seeds=20)
>>> len(study.frame)
20
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.approval import DECISIONS, Approval, refuse_on_bar
from simulator.approval_desk import Desk
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, signals_of
from simulator.errors import ConfigError
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric, metrics_from_accumulators
from simulator.results.terminal import Canvas
from simulator.setup import check_bars
from simulator.sweeps import run_lanes_over

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["STUDIED", "ApprovalStudy", "approval_study"]

STUDIED: Final = (
    "total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "average_r", "final_equity",
)  # fmt: skip
"""Metrics that are shown; the tables have those that a sweep has."""
_BATCH: Final = 32  # lanes whose signals are held at once


@dataclass(frozen=True)
class ApprovalStudy:
    """Metrics of many draws, and of full automation.

    Parameters
    ----------
    approval
        The person; its own seed is the first.
    auto
        Metrics without a person.
    frame
        One row per seed: `seed`, the metrics, and how often each decision fell.
    waiting
        The same seeds with the same delays and no veto.
    """

    approval: Approval
    auto: dict[str, float]
    frame: pd.DataFrame
    waiting: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Return one row per metric.

        Columns: auto, mean, low and high (the middle 90 % of the seeds), worse (share of seeds below full
        automation), waiting_cost (auto less the mean without vetoes), veto_cost (that less the mean), both in
        the metric's own unit; positive is lost where more is better.
        """
        import pandas as pd

        rows = {}
        for name in STUDIED:
            values, alone = self.frame[name].to_numpy(float), self.waiting[name].to_numpy(float)
            auto = self.auto[name]
            low, high = _middle(values)
            rows[name] = {
                "auto": auto,
                "mean": _mean(values),
                "low": low,
                "high": high,
                "worse": float(np.mean(values < auto)),
                "waiting_cost": auto - _mean(alone),
                "veto_cost": _mean(alone) - _mean(values),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def plain(self) -> dict[str, Any]:
        """Return the study as values that JSON can hold."""
        table = self.summary()
        counts = [name for name in DECISIONS if name in self.frame]
        return {
            "approval": str(self.approval),
            "seeds": len(self.frame),
            "metrics": {
                name: {key: value if math.isfinite(value) else None for key, value in row.items()}
                for name, row in table.to_dict("index").items()
            },
            "decisions": {name: float(self.frame[name].mean()) for name in counts},
        }

    def text(self, *, width: int | None = None, color: bool | None = None) -> str:
        """Return the study as a terminal table with a sentence."""
        from rich.table import Table

        canvas = Canvas(width=width, color=color)
        canvas.print(f"A person in the loop, {len(self.frame):,} seeds: {self.approval}", style="bold")
        table = Table(box=None, pad_edge=False)
        for name in ("", "full auto", "mean", "5 %", "95 %", "waiting costs", "vetoes cost"):
            table.add_column(name, justify="right" if name else "left")
        for metric, row in self.summary().drop(columns="worse").to_dict("index").items():
            cells = [format_metric(str(metric), value) for value in row.values()]
            table.add_row(METRIC_DEFINITIONS[str(metric)].label, *cells)
        canvas.print(table)
        canvas.print()
        canvas.print(self.sentence())
        return canvas.text()

    def sentence(self) -> str:
        """Say what the person costs, in return."""
        row = self.summary().loc["total_return"]
        lost = row["waiting_cost"] + row["veto_cost"]
        word = "costs" if lost > 0 else "brings"
        return (
            f"The person {word} {abs(lost):.2%} of return on average, {row['waiting_cost']:+.2%} lost by "
            f"waiting and {row['veto_cost']:+.2%} by vetoes; {row['worse']:.0%} of the seeds end below full "
            "automation."
        )

    def __str__(self) -> str:
        """Return `text()`."""
        return self.text()


def approval_study(
    bars: Bars,
    strategy: Any,
    approval: Approval,
    *,
    seeds: int | Sequence[int] = 100,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    threads: int | None = None,
) -> ApprovalStudy:
    """Run many seeds of an approval, and set them beside full automation.

    Parameters
    ----------
    bars, strategy, cash, risk, costs, conventions
        As in `backtest`.
    approval
        How the person stands.
    seeds
        How many, counted from the approval's own, or which.
    threads
        As in `sweep`; the answer does not depend on it.

    Raises
    ------
    ConfigError
        CONFIG_APPROVAL for no seeds.
    StrategyError
        STRATEGY_APPROVAL for a strategy that is called bar by bar.
    """
    refuse_on_bar(strategy)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        chosen = list(range(approval.seed, approval.seed + seeds))
    else:
        chosen = list(seeds) if not isinstance(seeds, bool) else []
    if not chosen:
        raise ConfigError(f"seeds is {seeds!r}; a study draws at least one", code="CONFIG_APPROVAL")
    signals = signals_of(strategy, check_bars(bars))
    rules = {
        "cash": cash, "risks": [risk], "costs": [Costs.of(costs)],
        "conventions": [Conventions.of(conventions)], "threads": threads,
    }  # fmt: skip
    desk = Desk(signals, bars)
    auto = _metrics(bars, [signals], rules)
    return ApprovalStudy(
        approval,
        {name: values[0].item() for name, values in auto.items()},
        _table(desk, approval, chosen, rules),
        _table(desk, replace(approval, veto=0.0), chosen, rules),
    )


def _table(desk: Desk, approval: Approval, seeds: list[int], rules: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for first in range(0, len(seeds), _BATCH):
        batch = seeds[first : first + _BATCH]
        reviews = [desk.review(approval.with_seed(seed)) for seed in batch]
        metrics = _metrics(desk.bars, [review.signals for review in reviews], rules)
        counts = {name: [review.counts.get(name, 0) for review in reviews] for name in DECISIONS[:-1]}
        parts.append(pd.DataFrame({"seed": batch, **metrics, **counts}))
    return pd.concat(parts, ignore_index=True)


def _metrics(bars: Bars, signals: Sequence[Signals], rules: dict[str, Any]) -> dict[str, Any]:
    lanes = run_lanes_over(bars, signals, **rules)
    return metrics_from_accumulators(lanes.metrics, lanes.account, bars.sessions_per_year)


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _middle(values: Any) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.05, 0.95])
    return float(low), float(high)
