"""The summary: a run on one screen of a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from simulator.results.cut import cut_of
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from simulator.results.terminal import Canvas

if TYPE_CHECKING:
    from simulator.results.result import Result

__all__ = ["head_of", "summary_of"]

ACCOUNT: Final = (
    "total_return", "cagr", "benchmark_return", "final_equity", "fees", "turnover", "max_drawdown",
    "max_drawdown_sessions",
)  # fmt: skip
RISK: Final = (
    "volatility", "sharpe", "sortino", "calmar", "alpha", "beta", "exposure", "mean_gross_exposure",
)  # fmt: skip
TRADES: Final = (
    "trades", "win_rate", "profit_factor", "expectancy", "average_r", "sqn", "average_bars_held",
    "longest_losing_streak",
)  # fmt: skip
_SIGNED: Final = frozenset({"total_return", "cagr", "alpha", "expectancy", "average_r"})
_ANY: Final = 1_000
"""Columns in which every figure has room, to find out what three columns of them need."""


def summary_of(
    result: Result, *, width: int | None = None, color: bool | None = None, interval: bool = True
) -> str:
    """Return the summary as text; see `Result.summary`. Without `interval` its own text follows elsewhere."""
    canvas = Canvas(width=width, color=color)
    _print_head(canvas, result)
    _print_metrics(canvas, result)
    _print_verdicts(canvas, result)
    _print_cut(canvas, result)
    _print_exits(canvas, result)
    if interval:
        _print_interval(canvas, result)
    return canvas.text()


def head_of(result: Result) -> dict[str, str]:
    """Return name, label, span and rules of a run, in words."""
    bars = result.raw.bars
    seen = int(result.raw.metrics["bars"][0]) or len(bars)
    shown = ", ".join(bars.symbols[:6]) + (
        f" and {len(bars.symbols) - 6} more" if len(bars.symbols) > 6 else ""
    )
    names = [name for name in result.raw.strategies if name]
    costs = result.raw.costs.name
    return {
        "name": bars.name,
        "label": f"{result.data_label} DATA",
        "symbols": shown,
        "first": f"{bars.index[0]:%Y-%m-%d}",
        "last": f"{bars.index[min(seen, len(bars)) - 1]:%Y-%m-%d}",
        "bars": f"{seen:,}",
        "conventions": result.raw.conventions.name,
        "costs": f"costs {costs}" if costs != "zero" else "no fees" if result.option_grade else "no costs",
        "risk": "risk manager off" if result.raw.risk is None else "risk manager on",
        "strategies": ", ".join(names),
    }


def _print_head(canvas: Canvas, result: Result) -> None:
    from rich.text import Text

    head = head_of(result)
    styles = {"SYNTHETIC": "bold black on yellow", "REAL": "bold black on green"}
    style = styles["SYNTHETIC"] if result.option_grade == "modelled" else styles.get(result.data_label)
    line = Text(f" {head['label']} ", style=style or "bold reverse")
    line.append("  ")
    line.append(f"{head['name']}", style="bold")
    if head["strategies"]:
        line.append(f"  {head['strategies']}", style="bold")
    canvas.print(line)
    kind = "daily" if result.raw.bars.daily else "intraday"
    canvas.print(f"{head['symbols']}: {head['bars']} {kind} bars, {head['first']} to {head['last']}")
    canvas.print(
        f"conventions {head['conventions']}, {head['costs']}, {head['risk']}, fingerprint "
        f"{result.fingerprint[:12]}",
        style="dim",
    )


def _print_metrics(canvas: Canvas, result: Result) -> None:
    from rich.table import Table

    def drawn(*blocks: tuple[str, ...]) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False, expand=False)
        for _ in blocks:
            table.add_column(justify="left", no_wrap=True)
            table.add_column(justify="right", no_wrap=True)
        for names in zip(*blocks, strict=True):
            cells: list[Any] = []
            for name in names:
                apart = " " if cells else ""
                cells += [apart + METRIC_DEFINITIONS[name].label, _value(result, name)]
            table.add_row(*cells)
        return table

    wide = drawn(ACCOUNT, RISK, TRADES)
    needed = canvas.console.measure(wide, options=canvas.console.options.update(max_width=_ANY)).maximum
    canvas.print()
    canvas.print(wide if needed <= canvas.width else drawn(ACCOUNT + RISK + TRADES))


def _value(result: Result, name: str) -> Any:
    from rich.text import Text

    value = result.metrics[name]
    style = "bold"
    if name in _SIGNED and not math.isnan(value) and value != 0:
        style = "bold green" if value > 0 else "bold red"
    return Text(format_metric(name, value), style=style)


def _print_verdicts(canvas: Canvas, result: Result) -> None:
    from rich.table import Table

    m = result.metrics
    canvas.print()
    halted = f"{m['sessions_halted']:,.0f} of {m['sessions']:,.0f} sessions halted"
    admitted = f"{m['admitted']:,.0f} of {m['signals']:,.0f} signals admitted"
    shrunk = "" if math.isnan(m["shrunk"]) else f" ({m['shrunk']:,.0f} of them shrunk)"
    canvas.print(f"Risk manager: {admitted}{shrunk}, {halted}", style="bold")
    counts = result.verdict_counts if len(result.raw.verdicts) else None
    if counts is None:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("verdicts by rule", no_wrap=True)
    for name in ("admitted", "shrunk", "rejected"):
        table.add_column(name, justify="right")
    for rule, row in counts.iterrows():
        table.add_row(
            str(rule), *(f"{row[name]:,}" if row[name] else "" for name in ("admitted", "shrunk", "rejected"))
        )
    canvas.print(table)
    if len(result.raw.verdicts) and not m["admitted"]:
        canvas.print(_nothing_admitted(result), style="bold yellow")


def _nothing_admitted(result: Result) -> str:
    """Say which rule most signals met, and what it measured; often the account is too small."""
    verdicts = result.verdicts
    rule = str(verdicts["rule"].value_counts().index[0])
    met = verdicts[verdicts["rule"] == rule]
    value, limit = met["value"].median(), met["limit"].median()
    measured = "" if math.isnan(value + limit) else f", typically {value:.3g} against a limit of {limit:.3g}"
    if rule == "min_quantity" and result.raw.risk is not None:
        measured = f": one unit would risk more than {result.raw.risk.risk_per_trade_pct:g} % of the equity"
    return (
        f"Nothing was admitted: {len(met):,} of {len(verdicts):,} signals met {rule}{measured}. More cash, a "
        "smaller instrument or another limit would let some through; docs/risk.md has every rule."
    )


def _print_cut(canvas: Canvas, result: Result) -> None:
    cut = cut_of(result.raw)
    if cut is not None:
        canvas.print(str(cut))


def _print_exits(canvas: Canvas, result: Result) -> None:
    if not len(result.raw.trades):
        return
    exits = result.by("exit_reason").sort_values("trades", ascending=False, kind="stable")
    parts = [f"{name} {int(row['trades']):,} ({row['average_r']:+.2f} R)" for name, row in exits.iterrows()]
    canvas.print(
        "Exits: " + ", ".join(part.replace(" (+nan R)", "").replace(" (nan R)", "") for part in parts)
    )


def _print_interval(canvas: Canvas, result: Result) -> None:
    interval = result.interval_if_made
    if interval is None:
        if result.raw.interval_runner is not None:
            canvas.print("Convention interval: not computed; result.interval() makes it", style="dim")
        return
    depends = int(interval.frame["depends"].astype(bool).sum())
    canvas.print()
    canvas.print(
        f"Convention interval: {depends:,} of {len(interval.frame):,} trades depend on the convention",
        style="bold",
    )
    low, base, high = interval.lowest_mean_r, interval.base_mean_r, interval.highest_mean_r
    means = "" if math.isnan(base) else f", mean R {low:+.3f} to {high:+.3f} (here {base:+.3f})"
    canvas.print(
        f"entries fixed: profit {interval.lowest_pnl:,.0f} to {interval.highest_pnl:,.0f} (here "
        f"{interval.base_pnl:,.0f})" + means
    )
    worst, here, best = (
        format_metric("total_return", run.get("total_return", math.nan))
        for run in (interval.worst, interval.base, interval.best)
    )
    canvas.print(
        f"run whole under a profile: total return {worst} (worst), {here} ({interval.profile}), {best} "
        "(best); no range, freed slots feed back",
        style="dim",
    )
