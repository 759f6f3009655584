"""The weekly report for the terminal: plain words without colours, in lines of any length.

`simulator.results.terminal.fitted` wraps them. What people and brokers wrote stays on its line and moves no
cursor.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from journal.learning.text import RULE, advice_lines, money, no_advice
from journal.performance.readable import counted
from journal.values import from_nanoseconds
from simulator.results.terminal import printable

if TYPE_CHECKING:
    from journal.learning.weekly_parts import Refusals
    from journal.weekly_report import ClosedTrade, WeeklyReport

__all__ = ["MOST_ROWS", "price", "quantity", "refused_words", "signed", "weekly_text"]

MOST_ROWS: Final = 30
"""Trades and positions that are listed one by one."""

_MOST_R: Final = 5
_BAR: Final = 30
_SIGNS: Final = {1: "+ ", -1: "- ", 0: ""}


def weekly_text(report: WeeklyReport) -> str:
    """Return the whole report."""
    lines = [f"WEEKLY REPORT: {report.monday} to {report.sunday}", RULE]
    lines += [*report.analysis.notes, f"Source: {', '.join(report.sources)}", ""]
    lines += [*_closed(report), *_extremes(report), *_distribution(report)]
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
    lines += ["", "LESSONS:"]
    lines += [f"  {one.symbol} (trade {one.trade_id}): {one.text}" for one in report.lessons]
    lines += [] if report.lessons else ["  None written"]
    lines += ["", *_open(report), *_refused(report), *_learned(report)]
    lines += no_advice(report.analysis)
    lines += ["PARAMETER RECOMMENDATIONS", RULE, *advice_lines(report.analysis), ""]
    lines += ["NEXT STEPS:", *(f"  {number}. {one}" for number, one in enumerate(report.next_steps, 1))]
    lines += [] if report.next_steps else ["  Nothing is due"]
    return "\n".join([*map(printable, lines), ""])


def signed(amount: float) -> str:
    """Return currency with its sign, as in "+$665.00"."""
    return f"{'+' if round(amount, 2) > 0 else ''}{money(amount)}"


def quantity(count: float) -> str:
    """Return a number of shares or contracts, whole however many they are."""
    return f"{count:,.12g}"


def price(value: float) -> str:
    """Return a price with two digits, or below a cent with as many as show four."""
    if not 0.0 < value < 0.01:
        return f"{value:,.2f}"
    return f"{value:.{3 - math.floor(math.log10(value))}f}".rstrip("0")


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
    lines += [f"  {_line(trade)}" for trade in report.closed[:MOST_ROWS]]
    lines += _left_out(len(report.closed))
    return [*lines, ""] if report.closed else lines


def _line(trade: ClosedTrade) -> str:
    r = "" if trade.r_multiple is None else f" ({trade.r_multiple:+.2f}R)"
    why = f" - {trade.close_reason}" if trade.close_reason else ""
    return f"{trade.exit} {trade.symbol} {trade.strategy}: {signed(trade.pnl)}{r}{why}"


def _extremes(report: WeeklyReport) -> list[str]:
    if not report.closed:
        return []
    lines = ["BEST AND WORST:"]
    for word, chosen in (("best ", report.best), ("worst", report.worst)):
        lines += [f"  {word}  {_line(trade)}" for trade in chosen]
    return [*(lines if len(lines) > 1 else [*lines, "  Nothing was won or lost"]), ""]


def _distribution(report: WeeklyReport) -> list[str]:
    """Return R-multiples as bars, one row per R, all losses beyond the last row in it."""
    values = report.r_multiples
    if not values:
        return []
    counts = Counter(max(-_MOST_R, min(_MOST_R, math.floor(value))) for value in values)
    most = max(counts.values())
    lines = [f"R-MULTIPLES ({counted(len(values))}, mean {math.fsum(values) / len(values):+.2f}R):"]
    for low in range(min(counts), max(counts) + 1):
        count = counts[low]
        span = f"{_whole(low)} to {_whole(low + 1)}"
        span = f"below {_whole(low + 1)}" if low == -_MOST_R else f"from {low:+d}" if low == _MOST_R else span
        bar = "#" * math.ceil(_BAR * count / most)
        lines.append(f"  {span:>9} {bar}{' ' if bar else ''}{count}")
    return [*lines, ""]


def _whole(r: int) -> str:
    return f"{r:+d}" if r else "0"


def _refused(report: WeeklyReport) -> list[str]:
    lines = ["REFUSED SIGNALS, AND WHAT REFUSING THEM WAS WORTH:"]
    for one in report.refusals:
        who = "rule" if one.origin == "rule" else "person"
        lines.append(
            f"  {one.name} ({who}): {one.week:,} this week, {one.total:,} so far; {refused_words(one)}"
        )
    return [*(lines if report.refusals else [*lines, "  None this week in the ledger"]), ""]


def refused_words(one: Refusals) -> str:
    """Return what refusing was worth, in words; below zero it cost."""
    if one.saved_r is None:
        return "none has ended with a known R"
    span = "" if one.low is None or one.high is None else f" (95%: {one.low:+.1f} to {one.high:+.1f})"
    sure = "" if one.decided else ", not enough evidence"
    return f"saved {one.saved_r:+.1f}R{span} over {one.measured:,}{sure}"


def _learned(report: WeeklyReport) -> list[str]:
    lines = ["LEARNED PARAMETERS:"]
    for one in report.learned:
        state = f"in force, by {one.decided_by}" if one.status == "in_force" else "proposed"
        lines.append(f"  {one.component} version {one.version} ({state}): {one.words}")
    return [*(lines if report.learned else [*lines, "  None: defaults apply"]), ""]


def _open(report: WeeklyReport) -> list[str]:
    lines = [
        f"OPEN POSITIONS ({len(report.open_positions)}, as of {from_nanoseconds(report.made_ts):%Y-%m-%d}):"
    ]
    for one in report.open_positions[:MOST_ROWS]:
        word = "sold" if one.side < 0 else "bought"
        left = "" if one.days_left is None else f", {one.days_left} days to expiry"
        risk = "" if one.max_loss is None else f", max loss {money(one.max_loss)}"
        lines.append(
            f"  {one.symbol} {one.strategy}: {word} {quantity(one.quantity)} at {price(one.entry_price)} on "
            f"{one.entry}{left}{risk}"
        )
    lines += _left_out(len(report.open_positions))
    return [*(lines if report.open_positions else [*lines, "  None"]), ""]


def _left_out(count: int) -> list[str]:
    return [f"  ... and {count - MOST_ROWS:,} more"] if count > MOST_ROWS else []
