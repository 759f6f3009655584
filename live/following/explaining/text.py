"""An explanation for people: totals, what each cause came to, and every trade with its two sides.

Amounts are rounded to cents so that those shown add up to the whole that is shown: what rounding leaves over
goes to the parts that were rounded furthest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from live.following.explaining.values import CAUSES, Course, Explained, average
from simulator.bars.arrays import stamp

if TYPE_CHECKING:
    from live.following.explain import Explanation

__all__ = ["table", "whole_cents"]

_HEAD: Final[tuple[str, ...]] = ("", "", "qty", "entered", "at", "left", "at", "how", "profit")
_RIGHT: Final = frozenset({2, 4, 6, 8})
_EDGE: Final = "  "
_WIDTH: Final = 80
"""Columns for which an explanation is made."""


def table(found: Explanation) -> str:
    """Return an explanation as lines."""
    count = sum(one.is_trade for one in found.trades)
    where = ", ".join(found.accounts) or "(no fill yet)"
    head = (
        f"session {found.session} and account {where}: {found.equal} of {count} "
        f"trade{'' if count == 1 else 's'} as planned"
    )
    if found.rounded:
        head += f", {found.rounded} more but for rounding"
    cents = whole_cents(list(found.causes.values()), found.difference)
    counts = found.counts
    lines = [
        head if found.ok else f"{head}, {len(found.unexplained)} UNEXPLAINED",
        f"  profit in the plan     {found.plan_profit:>14,.2f}",
        f"  profit at the broker   {found.fact_profit:>14,.2f}",
        f"  difference             {_signed(found.difference):>14}",
    ]
    for cause, amount in zip(found.causes, cents, strict=True):
        said = f"{cause}, {_times(counts[cause])}: {CAUSES[cause]}"
        lines += _said(f"    {_signed(amount):>14}  ", said)
    return "\n".join([*lines, *_trades(found.trades)])


def whole_cents(amounts: Sequence[float], total: float) -> list[float]:
    """Return amounts in whole cents that add up to the total in whole cents.

    Where the amounts add up to the total, none moves by more than a cent.

    >>> whole_cents([0.004, 0.004, 0.004], 0.012)
    [0.01, 0.0, 0.0]
    """
    cents = [floor(100.0 * amount) for amount in amounts]
    left = round(100.0 * total) - sum(cents)
    order = sorted(range(len(amounts)), key=lambda index: cents[index] - 100.0 * amounts[index])
    for place in range(max(0, left)):
        cents[order[place % len(order)]] += 1
    return [one / 100.0 for one in cents]


def _signed(amount: float) -> str:
    return f"{amount:+,.2f}" if round(100.0 * amount) else "0.00"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _trades(trades: Sequence[Explained]) -> Iterator[str]:
    if not trades:
        return
    rows = [_HEAD]
    for number, one in enumerate(trades, 1):
        name = f"{number} {one.symbol} {'long' if one.side > 0 else 'short'}"
        if one.is_trade:
            rows += [_row(name, "plan", one.plan), _row("", "fact", one.fact)]
        else:
            rows.append((f"{number} {one.symbol}", *[""] * (len(_HEAD) - 1)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    # a space between columns where two would be too wide for a terminal
    roomy = len(_EDGE) * len(widths) + sum(widths) <= _WIDTH
    lines = iter([_line(row, widths, "  " if roomy else " ") for row in rows])
    yield ""
    yield next(lines)
    for one in trades:
        yield next(lines)
        if one.is_trade:
            yield next(lines)
        cents = whole_cents([each.amount for each in one.differences], one.amount)
        for each, amount in zip(one.differences, cents, strict=True):
            said = f"{each.field}, {each.cause}: {each.detail}"
            yield from _said(f"{_EDGE * 2}{_signed(amount):>12}  ", said)


def _row(name: str, side: str, course: Course | None) -> tuple[str, ...]:
    if course is None or not (course.entries or course.exits):
        how = "not entered" if side == "fact" else "-"
        return name, side, "-", "-", "-", "-", "-", how, "0.00"
    entered, left = average(course.entries), average(course.exits)
    return (
        name, side, f"{course.quantity:g}",
        _time(course.entries[0].ts) if course.entries else "-", "-" if entered is None else _price(entered),
        _time(course.exits[-1].ts) if course.exits else "-", "-" if left is None else _price(left),
        course.reason, f"{course.profit:,.2f}",
    )  # fmt: skip


def _said(head: str, words: str) -> list[str]:
    """Return words behind their amount, in lines below each other."""
    lines = wrap(words, _WIDTH - len(head), break_long_words=False, break_on_hyphens=False)
    return [f"{head if not number else ' ' * len(head)}{one}" for number, one in enumerate(lines)]


def _price(value: float) -> str:
    return f"{value:,.2f}" if abs(value - round(value, 2)) < 1e-9 else f"{value:,.4f}"


def _time(ts: int) -> str:
    text = stamp(ts)[:19]
    return text.removesuffix(":00") if len(text) == 19 else text


def _line(row: Sequence[str], widths: Sequence[int], gap: str) -> str:
    cells = (
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return (_EDGE + gap.join(cells)).rstrip()
