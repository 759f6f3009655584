"""What the closed trades of the journal came to, with intervals: one look, made anew when asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from twinstep.dashboard.charts.axes import Chart
from twinstep.dashboard.charts.figures import curve, distribution, fall, span
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.performance import PERIODS, Performance, read_performance
from twinstep.dashboard.reading.reader import Reader

__all__ = ["pages"]

Source = Literal["live", "paper", "backtest"]
Whole = Literal["symbol", "sector", "strategy", "iv_rank", "dte"]
By = Literal["time", "trade"]
Days = Annotated[int | None, Query(ge=1, le=36_500)]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the page "performance"."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/performance")
    def performance(
        source: Source | None = None, days: Days = None, whole: Whole | None = None, by: By = "time"
    ) -> Any:
        now = reader.now()
        looked = read_performance(reader, real=now.real, source=source, days=days, whole=whole)
        values = {"page": "/performance", "now": now, "performance": looked, "by": by}
        charts = _charts(looked, by_trade=by == "trade")
        return draw("performance.html.j2", {**values, "charts": charts, "span": span, "periods": PERIODS})

    return found


def _charts(looked: Performance, *, by_trade: bool) -> dict[str, Chart]:
    report = looked.report
    if report is None or not len(report.closed):
        return {}
    ts, total = report.closed.exit_ts, np.cumsum(report.metrics.pnl)
    found = {
        "curve": curve(ts, total, "Result of closed trades", by_trade=by_trade),
        "fall": fall(ts, total, "Drawdown", by_trade=by_trade),
    }
    if report.metrics.r_count:
        metrics = report.metrics
        found["r"] = distribution(metrics.r_multiples, metrics.mean_r, metrics.mean_r_interval)
    return found
