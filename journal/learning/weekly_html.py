"""The weekly report as one HTML file: tables and bars in plain HTML, nothing from elsewhere.

Symbols, notes and reasons come from users and brokers: the template escapes everything. Page, style sheet,
figures and histogram are those of the report of a backtest (`simulator.results.onepage`); its only script is
what every report has, the button that switches light and dark.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from journal.learning.text import estimate_text, headline, no_advice
from journal.learning.weekly_text import price, quantity, signed
from journal.values import from_nanoseconds
from simulator.results.histogram import histogram_view
from simulator.results.onepage import render_page

if TYPE_CHECKING:
    from journal.learning.weekly_parts import Refusals
    from journal.weekly_report import WeeklyReport

__all__ = ["weekly_html"]

_MOST_ROWS: Final = 200


def weekly_html(report: WeeklyReport) -> str:
    """Return the page."""
    known = [math.nan if one.r_multiple is None else one.r_multiple for one in report.closed]
    return render_page(
        "journal.learning",
        "weekly_report.html.j2",
        styles=["weekly_report.css"],
        filters={"money": _typeset, "tone": _tone, "r": _r, "quantity": quantity, "price": price},
        report=report,
        made=f"{from_nanoseconds(report.made_ts):%Y-%m-%d %H:%M} UTC",
        tiles=_tiles(report),
        extremes=[*report.best, *reversed(report.worst)],
        histogram=histogram_view(np.array(known, np.float64)),
        weeks=_bars(report),
        refusals=[_refusals(one) for one in report.refusals],
        headline=headline(report.analysis),
        no_advice=no_advice(report.analysis),
        advice=[_advice(one) for one in report.analysis.recommendations],
        questions=len(report.analysis.examination.evidence),
        most=_MOST_ROWS,
    )


def _tiles(report: WeeklyReport) -> list[dict[str, str]]:
    interval = report.interval
    span = "" if interval is None else f"95 % interval {interval.low:.0f} to {interval.high:.0f} %"
    rate = "–" if report.win_rate is None else f"{report.win_rate:.0f} %"
    values = report.r_multiples
    mean_r = f"{_r(math.fsum(values) / len(values))} R" if values else "–"
    tiles = [
        ("Total P&L", _typeset(report.total_pnl), "after fees"),
        ("Trades closed", f"{len(report.closed):,}", f"{report.wins} won, {report.losses} lost"),
        ("Win rate", rate, span),
        ("Mean R", mean_r, f"{len(values)} trades with a known risk"),
        ("Fees", f"{report.fees:,.2f}", "of the trades closed this week"),
        ("Open positions", f"{len(report.open_positions):,}", "when this report was made"),
    ]
    tones = {"Total P&L": _tone(report.total_pnl)}
    return [
        {"label": label, "value": value, "tone": tones.get(label, ""), "note": note}
        for label, value, note in tiles
    ]


def _bars(report: WeeklyReport) -> list[dict[str, Any]]:
    most = max((abs(week.pnl) for week in report.weeks), default=0.0)
    return [
        {
            "monday": week.monday,
            "trades": week.trades,
            "pnl": week.pnl,
            "share": round(100.0 * abs(week.pnl) / most, 2) if most else 0.0,
        }
        for week in report.weeks
    ]


def _advice(one: Any) -> dict[str, Any]:
    return {
        "text": one.text,
        "verdict": one.verdict,
        "mark": one.mark,
        "significant": one.significant,
        "reasons": one.reasons,
        "estimates": [estimate_text(estimate) for estimate in one.estimates],
    }


def _refusals(one: Refusals) -> dict[str, Any]:
    known = one.low is not None and one.high is not None
    return {
        "name": one.name,
        "who": "rule" if one.origin == "rule" else "person",
        "week": f"{one.week:,}",
        "total": f"{one.total:,}",
        "measured": f"{one.measured:,}",
        "saved": "–" if one.saved_r is None else _signed(one.saved_r),
        "tone": _tone(one.saved_r) if one.decided and one.saved_r is not None else "",
        "interval": f"{_signed(one.low)} to {_signed(one.high)}" if known else "–",
        "evidence": "enough" if one.decided else "not enough",
    }


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}".replace("-", "−")


def _r(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _typeset(amount: float) -> str:
    return signed(amount).replace("-", "−")


def _tone(amount: float) -> str:
    return "up" if round(amount, 2) > 0 else "down" if round(amount, 2) < 0 else ""
