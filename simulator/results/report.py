"""The report: one HTML file that needs no network, no library and no second file, or the same as PDF.

Tables and bars are plain HTML; curves and prices are drawn by a small script from packed numbers
(`simulator.results.pagedata`). Symbols, tags and names come from users and data: the template escapes
everything, the script sets text and never HTML, and a content security policy allows no other script.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.results.cut import cut_of
from simulator.results.histogram import histogram_view
from simulator.results.interval import NO_BOUND
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from simulator.results.onepage import render_page, write_page
from simulator.results.packages import BUCKETS
from simulator.results.pagedata import page_data
from simulator.results.summary import head_of
from simulator.results.tables import GROUPS, MONTHS

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.pdf import Paper
    from simulator.results.result import Result

__all__ = ["render_report", "write_report"]

TILES: Final = (
    "total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor", "average_r",
)  # fmt: skip
BLOCKS: Final = {
    "Return": (
        "total_return", "cagr", "benchmark_return", "final_equity", "fees", "turnover", "exposure",
        "mean_gross_exposure",
    ),
    "Risk": (
        "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_sessions", "sessions",
        "sessions_halted",
    ),
    "Trades": (
        "trades", "win_rate", "profit_factor", "expectancy", "average_r", "expectancy_r", "sqn",
        "average_bars_held",
    ),
    "Excursions and streaks": (
        "average_mae", "average_mfe", "longest_winning_streak", "longest_losing_streak",
    ),
    "Against the benchmark": ("alpha", "beta", "correlation", "up_capture", "down_capture"),
    "Signals": ("signals", "admitted", "shrunk", "rejected"),
}  # fmt: skip
_ANSWERS: Final = ("signals", "admitted", "shrunk", "rejected", "sessions_halted")
_SIGNED: Final = frozenset(
    {"total_return", "cagr", "alpha", "expectancy", "average_r", "sharpe", "sortino", "calmar"}
)
_GROUP_COLUMNS: Final = (
    ("trades", "Trades", "count"),
    ("win_rate", "Win rate", "fraction"),
    ("pnl", "Profit", "currency"),
    ("expectancy", "Per trade", "currency"),
    ("profit_factor", "Profit factor", "ratio"),
    ("average_r", "Mean R", "R"),
    ("average_bars_held", "Bars held", "bars"),
)
_GROUP_WORDS: Final = {
    "tag": "Tag", "sector": "Sector", "year": "Year", "symbol": "Symbol", "strategy": "Strategy",
    "exit_reason": "Exit reason", "side": "Side", "iv_rank": "IV rank", "dte": "Days to expiry",
}  # fmt: skip
_GREEK_WORDS: Final = {
    "delta": ("Delta", "shares"),
    "beta_dollar_delta": ("Dollar delta", "currency, weighted by beta"),
    "gamma": ("Gamma", "shares per 1.00 of the underlying"),
    "theta": ("Theta", "currency per calendar day"),
    "vega": ("Vega", "currency per point of volatility"),
}
_MOST_ROWS: Final = 60
_MOST_INTERVAL_ROWS: Final = 25
# A monthly return of this size has the strongest colour.
_FULL_HEAT: Final = 0.10


def write_report(result: Result, path: Path, *, title: str | None = None, paper: Paper = "a4") -> Path:
    """Write the report, making its folder, and return the path; see `Result.report`."""
    return write_page(render_report(result, title=title), path, paper=paper)


def render_report(result: Result, *, title: str | None = None) -> str:
    """Return the report as HTML."""
    head = head_of(result)
    return render_page(
        "simulator.results",
        "report.html.j2",
        scripts=["charts.js", "report.js"],
        title=title or head["strategies"] or "Backtest",
        head=head,
        origin=result.raw.bars.origin,
        option_grade=result.option_grade,
        data=page_data(result),
        greeks=_greeks(result),
        tiles=[_metric(result, name) for name in TILES],
        blocks=[(word, [_metric(result, name) for name in names]) for word, names in BLOCKS.items()],
        answers=[_metric(result, name) for name in _ANSWERS],
        cut=str(cut_of(result.raw) or ""),
        months=MONTHS,
        monthly=_monthly(result),
        histogram=histogram_view(result.raw.trades["r_multiple"]),
        exits=_exits(result),
        verdicts=_verdicts(result),
        groups=_groups(result),
        interval=_interval(result),
        can_make_interval=result.raw.interval_runner is not None,
        provenance=_provenance(result),
        notes=result.raw.bars.notes,
    )


def _metric(result: Result, name: str) -> dict[str, Any]:
    metric, value = METRIC_DEFINITIONS[name], result.metrics[name]
    tone = ""
    if name in _SIGNED and not math.isnan(value) and value != 0:
        tone = "up" if value > 0 else "down"
    return {
        "name": name,
        "label": metric.label,
        "value": _typeset(format_metric(name, value)),
        "definition": metric.definition,
        "tone": tone,
    }


def _greeks(result: Result) -> list[dict[str, str]]:
    if not result.package_ids:
        return []
    return [{"name": name, "word": word, "unit": unit} for name, (word, unit) in _GREEK_WORDS.items()]


def _typeset(text: str) -> str:
    return text.replace("-", "−").replace("n/a", "–").replace("inf", "∞")


def _monthly(result: Result) -> list[dict[str, Any]]:
    rows = []
    for year, row in result.monthly_returns.iterrows():
        cells = [_cell(float(value)) for value in row]
        rows.append({"year": year, "cells": cells[:12], "total": cells[12]})
    return rows


def _cell(value: float) -> dict[str, Any]:
    if math.isnan(value):
        return {"text": "", "tone": "", "heat": 0}
    heat = min(abs(value) / _FULL_HEAT, 1.0)
    text = _typeset(f"{value * 100:.1f}").replace("−0.0", "0.0")
    return {
        "text": text,
        "tone": "up" if value > 0 else "down" if value < 0 else "",
        "heat": round(heat * 100),
    }


def _exits(result: Result) -> list[dict[str, Any]]:
    if not len(result.raw.trades):
        return []
    table = result.by("exit_reason").sort_values("trades", ascending=False, kind="stable")
    most = int(table["trades"].max())
    return [
        {
            "name": str(name),
            "trades": f"{int(row['trades']):,}",
            "share": round(100.0 * row["trades"] / most, 2),
            "mean_r": _shown("R", row["average_r"]),
            "pnl": _shown("currency", row["pnl"]),
            "tone": "up" if row["pnl"] > 0 else "down",
        }
        for name, row in table.iterrows()
    ]


def _verdicts(result: Result) -> list[dict[str, Any]]:
    counts = result.verdict_counts
    most = int(counts["signals"].max()) if len(counts) else 0
    return [
        {
            "name": str(rule),
            "signals": f"{row['signals']:,}",
            "parts": [
                {"name": name, "count": f"{row[name]:,}", "share": round(100.0 * row[name] / most, 2)}
                for name in ("admitted", "shrunk", "rejected")
                if row[name]
            ],
        }
        for rule, row in counts.iterrows()
    ]


def _groups(result: Result) -> list[dict[str, Any]]:
    if not len(result.raw.trades):
        return []
    found = []
    for what in ("year", "symbol", "sector", "tag", "strategy", "side", "exit_reason"):
        table = result.by(what)
        names = [str(name) for name in table.index]
        # a table with one unnamed row says nothing
        if names in ([""], []):
            continue
        found.append({"name": what, "word": _GROUP_WORDS[what], **_group(table, what)})
    assert {entry["name"] for entry in found} <= set(GROUPS)  # noqa: S101 - keeps both lists in step
    if result.package_ids:
        # premium asks these first
        return [
            *(
                {"name": what, "word": _GROUP_WORDS[what], **_group(result.by(what), what)}
                for what in BUCKETS
            ),
            *found,
        ]
    return found


def _group(table: pd.DataFrame, what: str) -> dict[str, Any]:
    columns = [*_GROUP_COLUMNS]
    if what == "year":
        columns.append(("return", "Return", "fraction"))
    elif what in BUCKETS:
        columns.append(("captured", "Captured", "fraction"))
    shown = table if what == "year" else table.head(_MOST_ROWS)
    rows = []
    for name, row in shown.iterrows():
        cells = []
        for column, _, unit in columns:
            value = float(row[column])
            signed = column in ("pnl", "expectancy", "average_r", "return", "captured")
            tone = "" if not signed or math.isnan(value) or value == 0 else "up" if value > 0 else "down"
            cells.append({"text": _shown(unit, value), "tone": tone})
        rows.append({"name": str(name) or "(none)", "cells": cells})
    return {"columns": [word for _, word, _ in columns], "rows": rows, "left_out": len(table) - len(shown)}


def _shown(unit: str, value: float) -> str:
    names = {"fraction": "win_rate", "currency": "expectancy", "ratio": "beta", "R": "average_r"}
    names |= {"count": "trades", "bars": "average_bars_held"}
    return _typeset(format_metric(names[unit], float(value)))


def _interval(result: Result) -> dict[str, Any] | None:
    report = result.interval_if_made
    if report is None:
        return None
    depends = report.dependent
    names = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "average_r")
    runs = [("worst", report.worst), (report.profile, report.base), ("best", report.best)]
    return {
        "trades": f"{len(report.frame):,}",
        "depends": f"{len(depends):,}",
        "sign": report.sign_depends,
        "note": NO_BOUND,
        "profile": report.profile,
        "ranges": [
            _range("Total profit", "currency", report.lowest_pnl, report.base_pnl, report.highest_pnl),
            _range("Mean R", "R", report.lowest_mean_r, report.base_mean_r, report.highest_mean_r),
        ],
        "runs": [name for name, _ in runs],
        "metrics": [
            (
                METRIC_DEFINITIONS[name].label,
                [_typeset(format_metric(name, values.get(name, math.nan))) for _, values in runs],
            )
            for name in names
        ],
        "rows": [
            {
                "symbol": str(row["symbol"]),
                "time": f"{row['entry_time']:%Y-%m-%d}",
                "ends": [_outcome(row[f"pnl{end}"], row[f"r{end}"]) for end in ("_min", "", "_max")],
            }
            for row in depends.head(_MOST_INTERVAL_ROWS).to_dict("records")
        ],
        "more": max(len(depends) - _MOST_INTERVAL_ROWS, 0),
    }


def _outcome(pnl: float, r: float) -> tuple[str, str]:
    """Return profit and R as they stand in the table, which has no room for cents."""
    return _typeset(f"{pnl:,.0f}"), "" if math.isnan(r) else _typeset(f"{r:+.2f} R")


def _range(label: str, unit: str, low: float, base: float, high: float) -> dict[str, Any]:
    """Return a labelled span and its places, in percent, on a scale that holds the span and 0."""
    first, last = min(low, 0.0), max(high, 0.0)
    width = last - first

    def at(value: float) -> float:
        return round(100.0 * (value - first) / width, 2) if width > 0 else 50.0

    known = all(map(math.isfinite, (low, base, high)))
    return {
        "label": label,
        "low": _shown(unit, low),
        "base": _shown(unit, base),
        "high": _shown(unit, high),
        "known": known,
        "at": [at(low), at(base), at(high), at(0.0)] if known else [0.0, 0.0, 0.0, 0.0],
    }


def _provenance(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    raw = result.raw
    origins = {
        "real": "real prices",
        "synthetic": "SYNTHETIC: a seeded model, not a market",
        "user": "given by the user",
    }
    head = head_of(result)
    run = [
        ("Fingerprint", result.fingerprint),
        ("Engine", raw.engine_hash),
        ("Data", raw.bars.name),
        ("Origin", origins.get(raw.bars.origin, raw.bars.origin)),
        *([("Options", result.option_grade)] if result.option_grade else []),
        ("Data fingerprint", raw.bars.fingerprint),
        ("Bars", f"{head['bars']} × {len(raw.bars.symbols)} symbols, {head['first']} to {head['last']}"),
        (
            "Prices",
            "raw; splits and dividends act on positions"
            if raw.bars.raw
            else "adjusted for splits and dividends",
        ),
        ("Calendar", f"{raw.bars.calendar}, {raw.bars.sessions_per_year:g} sessions per year"),
        ("Initial cash", f"{raw.cash:,.2f}"),
        ("Benchmark", result.benchmark_name),
    ]
    risk = [("Risk manager", "off")] if raw.risk is None else _fields(dataclasses.asdict(raw.risk))
    return [
        ("Run", run),
        ("Conventions", _fields(dataclasses.asdict(raw.conventions))),
        ("Costs", _fields(dataclasses.asdict(raw.costs))),
        ("Limits", risk),
    ]


def _fields(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    # the name first; amounts that are nothing say nothing
    ordered = sorted(values.items(), key=lambda item: item[0] != "name")
    return [
        (name, "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in ordered
        if value != 0.0 or isinstance(value, (bool, str))
    ]
