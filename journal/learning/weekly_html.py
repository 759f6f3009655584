"""The weekly report as one HTML file: tables and bars in plain HTML, no script, nothing from elsewhere.

Symbols, notes and reasons come from users and brokers: the template escapes everything. It looks like the
report of a backtest because it uses the same style sheet.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from journal.learning.text import estimate_text, headline
from journal.learning.weekly_text import signed
from journal.values import from_nanoseconds

if TYPE_CHECKING:
    from journal.weekly_report import WeeklyReport

__all__ = ["weekly_html"]

_MOST_ROWS: Final = 200


def weekly_html(report: WeeklyReport) -> str:
    """Return the page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"money": _typeset, "tone": _tone}
    folder = files("journal.learning")
    template = environment.from_string(folder.joinpath("weekly_report.html.j2").read_text(encoding="utf-8"))
    shared = files("simulator").joinpath("results", "report.css").read_text(encoding="utf-8")
    own = folder.joinpath("weekly_report.css").read_text(encoding="utf-8")
    return template.render(
        report=report,
        made=f"{from_nanoseconds(report.made_ts):%Y-%m-%d %H:%M} UTC",
        style=shared + own,
        tiles=_tiles(report),
        weeks=_bars(report),
        headline=headline(report.analysis),
        advice=[_advice(one) for one in report.analysis.recommendations],
        questions=len(report.analysis.examination.evidence),
        most=_MOST_ROWS,
    )


def _tiles(report: WeeklyReport) -> list[dict[str, str]]:
    interval = report.interval
    span = "" if interval is None else f"95 % interval {interval.low:.0f} to {interval.high:.0f} %"
    rate = "–" if report.win_rate is None else f"{report.win_rate:.0f} %"
    values = [r for one in report.closed if (r := one.r_multiple) is not None]
    mean_r = f"{sum(values) / len(values):+.2f} R".replace("-", "−") if values else "–"
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
        {"label": label, "value": value, "tone": tones.get(label, ""), "hint": hint}
        for label, value, hint in tiles
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


def _typeset(amount: float) -> str:
    return signed(amount).replace("-", "−")


def _tone(amount: float) -> str:
    return "up" if round(amount, 2) > 0 else "down" if round(amount, 2) < 0 else ""
