"""The learning report for the terminal.

Sections and lines follow one layout: what winners and losers had in common, records by symbol, strategy and
close reason, then what to change. Below each piece of advice stands what it is worth. Win rates have Wilson's
95 % interval in brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from journal.learning.votes import HIGH_WIN_RATE, LOW_WIN_RATE
from journal.performance.readable import counted

if TYPE_CHECKING:
    from journal.learning.analysis import Comparison, Estimate, Group
    from journal.learning.rules import Recommendation
    from journal.learning_system import LearningAnalysis

__all__ = ["advice_lines", "analysis_text", "estimate_text", "headline", "money", "no_advice"]

RULE: Final = "=" * 80

_MOST_GROUPS: Final = 20
_LEAST_GROUP: Final = 2


def analysis_text(analysis: LearningAnalysis) -> str:
    """Return the whole report."""
    found = analysis.examination
    lines = ["LEARNING ANALYSIS: What Works?", RULE, *analysis.notes, *_summary(analysis), ""]
    if not found.records["all"].trades:
        return "\n".join([*lines, "No closed trades yet: there is nothing to learn from.", ""])
    lines += _iv_rank(found.comparisons["iv_rank"], analysis.recommendations)
    lines += _averages("DTE ANALYSIS:", "DTE", found.comparisons["dte"], "{:.0f} days")
    lines += _averages("DELTA ANALYSIS:", "delta", found.comparisons["delta"], "{:.2f}")
    lines += _averages("SCORE ANALYSIS:", "score", found.comparisons["score"], "{:.0f}")
    lines += _table("SYMBOL PERFORMANCE (2+ trades):", found.symbols)
    lines += _table("WIN RATE BY STRATEGY:", found.strategies, least=1)
    lines += _reasons(found.reasons)
    lines += [*no_advice(analysis), "PARAMETER RECOMMENDATIONS", RULE, *advice_lines(analysis)]
    return "\n".join([*lines, ""])


def headline(analysis: LearningAnalysis) -> str:
    """Return the line above the advice, by the win rate and whether it pays."""
    record = analysis.examination.records["all"]
    rate = record.win_rate
    if rate is None:
        return "No closed trades yet."
    even = record.break_even
    losing = record.average_pnl is not None and record.average_pnl < 0
    if even is not None and losing and rate >= LOW_WIN_RATE:
        return f"⚠ Win rate {rate:.0f}% is below its break-even of {even:.0f}% - Consider:"
    if even is not None and even < rate < LOW_WIN_RATE:
        return f"• Win rate {rate:.0f}% is above its break-even of {even:.0f}% - Consider:"
    if rate >= HIGH_WIN_RATE:
        return f"✓ Excellent win rate ({rate:.0f}%) - Consider:"
    if rate < LOW_WIN_RATE:
        return f"⚠ Low win rate ({rate:.0f}%) - Consider:"
    return f"• Win rate {rate:.0f}% - Consider:"


def no_advice(analysis: LearningAnalysis) -> list[str]:
    """Return what to read before advice of which none is significant, and an empty line; else nothing."""
    trades = analysis.examination.records["all"].trades
    if not trades or not analysis.recommendations or any(one.significant for one in analysis.recommendations):
        return []
    closed = counted(trades).replace(" ", " closed ")
    return [
        f"NO ADVICE: nothing is significant over all {closed}. What follows was looked at, "
        "and is no reason to change anything.",
        "",
    ]


def advice_lines(analysis: LearningAnalysis) -> list[str]:
    """Return all advice with reasons, figures and marks."""
    lines = [headline(analysis)]
    if not analysis.examination.records["all"].trades:
        return lines
    for one in analysis.recommendations:
        lines.append(f"  - {one.text}")
        lines.append(f"      [{one.mark}]")
        lines += [f"      {reason}" for reason in one.reasons]
        lines += [f"      {estimate_text(estimate)}" for estimate in one.estimates]
    if not analysis.recommendations:
        return [*lines, "  - Nothing yet: too few closed trades, or nothing that differs"]
    sure = sum(one.significant for one in analysis.recommendations)
    lines += [
        "",
        f"{sure} of {len(analysis.recommendations)} significant at the 5% level, after correction for "
        f"{len(analysis.examination.evidence)} questions and any number of looks.",
    ]
    return lines


def estimate_text(one: Estimate) -> str:
    """Return a figure with its interval and sample."""
    show = "{:.0f}%".format if one.unit == "%" else money
    span = "" if one.low is None or one.high is None else f" (95%: {show(one.low)} to {show(one.high)})"
    return f"{one.label}: {show(one.value)}{span}, {counted(one.trades)}"


def money(amount: float) -> str:
    """Return currency as in "-$280.00"."""
    return f"{'-' if round(amount, 2) < 0 else ''}${abs(amount):,.2f}"


def _summary(analysis: LearningAnalysis) -> Iterable[str]:
    record = analysis.examination.records["all"]
    yield f"Source: {', '.join(analysis.sources)} - {counted(record.trades).replace(' ', ' closed ')}"
    for estimate in analysis.estimates:
        even = record.break_even
        extra = f", break-even {even:.0f}%" if estimate.unit == "%" and even is not None else ""
        yield f"{estimate_text(estimate)}{extra}"


def _iv_rank(compared: Comparison, advice: Sequence[Recommendation]) -> list[str]:
    lines = ["IV RANK ANALYSIS:"]
    won, lost = compared.winners_average, compared.losers_average
    if won is None and lost is None:
        return [*lines, "  No closed trade has a known IV rank", ""]
    lines.append(f"  Winners avg IV:  {_shown(won, '{:.1f}%')}")
    lines.append(f"  Losers avg IV:   {_shown(lost, '{:.1f}%')}")
    if won is None or lost is None or compared.difference == 0:
        return [*lines, ""]
    word = "Higher" if compared.difference > 0 else "Lower"
    evidence = compared.rising if compared.difference > 0 else compared.falling
    lines.append(f"  💡 INSIGHT: {word} IV rank ({won:.1f}%) correlates with wins")
    sure = "significant" if evidence.significant else "not significant"
    lines.append(
        f"     [{sure}: p = {evidence.adjusted_p:.2g}, {compared.winners} winners, {compared.losers} losers]"
    )
    proposal = next((one for one in advice if one.kind == "min_iv_rank"), None)
    if proposal is not None:
        # by itself a higher IV rank of winners speaks for a higher threshold; the rules may disagree
        lines.append(f"  → RECOMMENDATION: {proposal.text}")
        lines.append(f"     [{proposal.verdict}]")
    return [*lines, ""]


def _averages(title: str, name: str, compared: Comparison, form: str) -> list[str]:
    won, lost = compared.winners_average, compared.losers_average
    if won is None and lost is None:
        return []
    evidence = compared.rising if compared.difference > 0 else compared.falling
    lines = [
        title,
        f"  Winners avg {name}: {_shown(won, form)}",
        f"  Losers avg {name}:  {_shown(lost, form)}",
    ]
    if won is not None and lost is not None:
        sure = "significant" if evidence.significant else "not significant"
        lines.append(f"     [{sure}: p = {evidence.adjusted_p:.2g}, {counted(compared.trades)}]")
    return [*lines, ""]


def _table(title: str, groups: Sequence[Group], *, least: int = _LEAST_GROUP) -> list[str]:
    chosen = [group for group in groups if group.trades >= least]
    lines = [title]
    width = max([6, *(len(group.name) for group in chosen)])
    for group in _ends(chosen):
        if group is None:
            lines.append(f"  ... {len(chosen) - _MOST_GROUPS:,} more between these")
            continue
        sure = ""
        if group.gains is not None and group.gains.significant:
            sure = ", significantly profitable"
        elif group.loses is not None and group.loses.significant:
            sure = ", significantly losing"
        lines.append(
            f"  {group.name or '(none)':<{width}} - {counted(group.trades)}, {group.win_rate:.0f}% win rate, "
            f"Avg P&L: {money(group.average_pnl)}  "
            f"[won 95%: {group.win_rate_low:.0f}-{group.win_rate_high:.0f}%{sure}]"
        )
    return [*(lines if chosen else [*lines, "  None yet"]), ""]


def _ends(groups: Sequence[Group]) -> list[Group | None]:
    """Return the best and the worst of many, with None between."""
    if len(groups) <= _MOST_GROUPS:
        return list(groups)
    half = _MOST_GROUPS // 2
    return [*groups[:half], None, *groups[-half:]]


def _reasons(groups: Sequence[Group]) -> list[str]:
    lines = ["CLOSE REASONS:"]
    for group in sorted(groups, key=lambda one: (-one.trades, one.name))[:_MOST_GROUPS]:
        name = group.name or "(no reason)"
        lines.append(f"  {name}: {counted(group.trades)}, Avg P&L: {money(group.average_pnl)}")
    return [*lines, ""]


def _shown(value: float | None, form: str) -> str:
    return "none" if value is None else form.format(value)
