"""Two kept runs side by side: which settings differ, what that did to the figures, and to which trades.

Trades belong together where symbol, side and the time of entry are the same; of several that share these,
those that are alike go together, then the first with the first. What both have may differ in size, exit or
price: those are `changed`. Where a run kept only a part of its trades no list is made, since what is missing
would look like a difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

from simulator.results.kept import KeptTrade, Scalar, WholeRun
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric

__all__ = ["SIDE_BY_SIDE", "Figure", "Pair", "Setting", "in_words", "pair_of"]

SIDE_BY_SIDE: Final = (
    "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown",
    "max_drawdown_sessions", "exposure", "turnover", "trades", "win_rate", "profit_factor", "expectancy",
    "average_r", "average_bars_held", "fees", "final_equity", "signals", "rejected", "benchmark_return",
)  # fmt: skip
_UNSAID: Final = ("Data", "notes")


class Setting(NamedTuple):
    """A setting that differs; None where a run does not have it, else in words."""

    section: str
    name: str
    a: str | None
    b: str | None


class Figure(NamedTuple):
    """A metric of both, and b less a, in words; "n/a" where one is not defined."""

    name: str
    label: str
    a: str
    b: str
    difference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two runs have in common and what not.

    Attributes
    ----------
    settings
        Those that differ, in the order of their sections.
    alike
        Settings that are the same in both.
    figures
        Metrics, in the order of `SIDE_BY_SIDE`.
    only_a, only_b
        Trades that one of them has, in the order of their entries.
    changed
        Trades of both that ended otherwise or had another size.
    same
        Trades that are the same in both.
    whole
        Whether both kept all of their trades; else the lists are empty.
    """

    settings: tuple[Setting, ...]
    alike: int
    figures: tuple[Figure, ...]
    only_a: tuple[KeptTrade, ...]
    only_b: tuple[KeptTrade, ...]
    changed: tuple[tuple[KeptTrade, KeptTrade], ...]
    same: int
    whole: bool


def pair_of(a: WholeRun, b: WholeRun) -> Pair:
    """Return what two runs have in common and what not."""
    settings, alike = _settings(a, b)
    whole = not a.left_out and not b.left_out
    only_a, only_b, both = _matched(a.trades, b.trades) if whole else ([], [], [])
    changed = [pair for pair in both if _outcome(pair[0]) != _outcome(pair[1])]
    return Pair(
        settings=tuple(settings), alike=alike, figures=tuple(_figure(name, a, b) for name in SIDE_BY_SIDE),
        only_a=tuple(only_a), only_b=tuple(only_b), changed=tuple(changed),
        same=len(both) - len(changed), whole=whole,
    )  # fmt: skip


def in_words(value: Scalar) -> str:
    """Return a setting as people write it."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _settings(a: WholeRun, b: WholeRun) -> tuple[list[Setting], int]:
    found, alike = [], 0
    for section in dict.fromkeys([*a.settings, *b.settings]):
        one, two = a.settings.get(section, {}), b.settings.get(section, {})
        for name in dict.fromkeys([*one, *two]):
            if (section, name) == _UNSAID:
                continue
            if name in one and name in two and in_words(one[name]) == in_words(two[name]):
                alike += 1
                continue
            words = [in_words(values[name]) if name in values else None for values in (one, two)]
            found.append(Setting(section, name, words[0], words[1]))
    spans = [f"{run.head.text('first')} to {run.head.text('last')}" for run in (a, b)]
    if spans[0] != spans[1]:
        found.append(Setting("Data", "period", spans[0], spans[1]))
    return found, alike


def _figure(name: str, a: WholeRun, b: WholeRun) -> Figure:
    one, two = a.head.metric(name), b.head.metric(name)
    off = two - one
    if math.isnan(off):
        words = "n/a"
    elif METRIC_DEFINITIONS[name].unit == "fraction":
        words = f"{off * 100.0:+.2f} points"  # of percent: a percentage would be of a
    else:
        words = format_metric(name, off)
        words = words if words.startswith(("-", "+")) else f"+{words}"
    if math.isfinite(off) and not any(digit in words for digit in "123456789"):
        words = "0"
    label = METRIC_DEFINITIONS[name].label
    return Figure(name, label, format_metric(name, one), format_metric(name, two), words)


def _matched(
    a: tuple[KeptTrade, ...], b: tuple[KeptTrade, ...]
) -> tuple[list[KeptTrade], list[KeptTrade], list[tuple[KeptTrade, KeptTrade]]]:
    groups: dict[tuple[str, int, int], tuple[list[KeptTrade], list[KeptTrade]]] = defaultdict(
        lambda: ([], [])
    )
    for side, trades in enumerate((a, b)):
        for trade in sorted(trades, key=_entered):
            groups[_key(trade)][side].append(trade)
    only_a, only_b, both = list[KeptTrade](), list[KeptTrade](), list[tuple[KeptTrade, KeptTrade]]()
    for one, two in groups.values():
        pairs, one, two = _alike(one, two)
        both += [*pairs, *zip(one, two, strict=False)]
        only_a += one[len(two) :]
        only_b += two[len(one) :]
    return sorted(only_a, key=_entered), sorted(only_b, key=_entered), sorted(both, key=_begun)


def _alike(
    one: list[KeptTrade], two: list[KeptTrade]
) -> tuple[list[tuple[KeptTrade, KeptTrade]], list[KeptTrade], list[KeptTrade]]:
    """Return the trades that are the same in both, and what is left of each."""
    waiting: dict[object, list[KeptTrade]] = defaultdict(list)
    for trade in two:
        waiting[_outcome(trade)].append(trade)
    pairs, left = [], []
    for trade in one:
        same = waiting[_outcome(trade)]
        if same:
            pairs.append((trade, same.pop()))
        else:
            left.append(trade)
    return pairs, left, [trade for trades in waiting.values() for trade in trades]


def _key(trade: KeptTrade) -> tuple[str, int, int]:
    return trade.symbol, trade.side, trade.entry_ts


def _entered(trade: KeptTrade) -> tuple[int, str, int, int]:
    return trade.entry_ts, trade.symbol, trade.side, trade.exit_ts


def _begun(pair: tuple[KeptTrade, KeptTrade]) -> tuple[int, str, int, int]:
    return _entered(pair[0])


def _outcome(trade: KeptTrade) -> tuple[object, ...]:
    return (
        trade.qty, trade.entry_price, trade.exit_ts, trade.exit_price, trade.exit_reason, trade.fees,
    )  # fmt: skip
