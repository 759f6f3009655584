"""The weekly report for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from journal.learning.text import RULE, advice_lines, money
from journal.performance.readable import counted
from journal.values import from_nanoseconds

if TYPE_CHECKING:
    from journal.weekly_report import WeeklyReport

__all__ = ["MOST_ROWS", "signed", "weekly_text"]

MOST_ROWS: Final = 30
"""Trades and positions that are listed one by one."""

_SIGNS: Final = {1: "+ ", -1: "- ", 0: ""}


def weekly_text(report: WeeklyReport) -> str:
    """Return the whole report."""
    lines = [f"WEEKLY REPORT: {report.monday} to {report.sunday}", RULE]
    lines += [*report.analysis.notes, f"Source: {', '.join(report.sources)}", ""]
    lines += _closed(report)
    lines += ["KEY INSIGHTS:"]
    for finding in report.insights:
        often = f" ({finding.count} trades: {', '.join(finding.symbols)})" if finding.count > 1 else ""
        lines.append(f"  {_SIGNS[finding.direction]}{finding.text}{often}")
    lines += [] if report.insights else ["  None this week"]
    lines += ["", "MISTAKES:"]
    for one in report.mistakes:
        name = one.category.replace("_", " ")
        lines.append(f"  {name}: {one.count}x in {counted(one.trades)}, P&L of these {signed(one.pnl)}")
    lines += [] if report.mistakes else ["  None recorded"]
    lines += ["", *_open(report)]
    lines += ["PARAMETER RECOMMENDATIONS", RULE, *advice_lines(report.analysis)]
    return "\n".join([*lines, ""])


def signed(amount: float) -> str:
    """Return currency with its sign, as in "+$665.00"."""
    return f"{'+' if round(amount, 2) > 0 else ''}{money(amount)}"


def _closed(report: WeeklyReport) -> list[str]:
    lines = [f"Trades closed this week: {len(report.closed)}", f"Total P&L: {signed(report.total_pnl)}"]
    if report.win_rate is not None and report.interval is not None:
        lines.append(
            f"Win rate: {report.win_rate:.0f}% ({report.wins} won, {report.losses} lost; "
            f"95%: {report.interval.low:.0f}-{report.interval.high:.0f}%)"
        )
    before = report.weeks[-2] if len(report.weeks) > 1 else None
    if before is not None:
        lines.append(f"Week before: {counted(before.trades)}, {signed(before.pnl)}")
    lines.append("")
    for trade in report.closed[:MOST_ROWS]:
        r = "" if trade.r_multiple is None else f" ({trade.r_multiple:+.2f}R)"
        why = f" - {trade.close_reason}" if trade.close_reason else ""
        lines.append(f"  {trade.exit} {trade.symbol} {trade.strategy}: {signed(trade.pnl)}{r}{why}")
    lines += _left_out(len(report.closed))
    return [*lines, ""] if report.closed else lines


def _open(report: WeeklyReport) -> list[str]:
    lines = [
        f"OPEN POSITIONS ({len(report.open_positions)}, as of {from_nanoseconds(report.made_ts):%Y-%m-%d}):"
    ]
    for one in report.open_positions[:MOST_ROWS]:
        word = "sold" if one.side < 0 else "bought"
        left = "" if one.days_left is None else f", {one.days_left} days to expiry"
        risk = "" if one.max_loss is None else f", max loss {money(one.max_loss)}"
        lines.append(
            f"  {one.symbol} {one.strategy}: {word} {one.quantity:g} at {one.entry_price:,.2f} on "
            f"{one.entry}{left}{risk}"
        )
    lines += _left_out(len(report.open_positions))
    return [*(lines if report.open_positions else [*lines, "  None"]), ""]


def _left_out(count: int) -> list[str]:
    return [f"  ... and {count - MOST_ROWS:,} more"] if count > MOST_ROWS else []
