"""What a report recommends, by rules, and how sure it is.

Each recommendation carries the number of trades it rests on. It is `significant` only where a test says so:
the expectancy by an interval at level 1 - `OVERALL_ALPHA`, differences between groups by a shuffling test
that corrects for the number of groups, at `GROUPS_ALPHA`. Both are approximate for few and skewed trades, so
they add up to less than 5 %: a journal without any edge gets a significant recommendation in at most one
report in twenty. That holds for one look: who reads a report every week looks often, and
`journal.learning_system` is made for that. All other rules state arithmetic (what a mistake cost, what fees
took) and claim nothing about the future.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from journal.performance.breakdowns import UNKNOWN, groups
from journal.performance.excursions import ExcursionMetrics
from journal.performance.metrics import PerformanceMetrics
from journal.performance.readable import counted
from journal.performance.statistics import Interval, largest_difference, mean_interval

if TYPE_CHECKING:
    from journal.performance.closed import Closed
    from journal.performance.report import MistakeCost

__all__ = ["Advice", "advise"]

LEAST_TRADES: Final = 10
"""Below it a report says only that it is too early."""

LEAST_FOR_TEST: Final = 20
"""Trades, and among them at least `LEAST_OF_EACH` wins and losses, from which the expectancy is tested."""

LEAST_OF_EACH: Final = 5

OVERALL_ALPHA: Final = 0.005
GROUPS_ALPHA: Final = 0.03

LEAST_IN_GROUP: Final = 10
"""Trades inside and outside of a group from which it is compared with the rest."""

LATEST: Final = 2_000
"""Latest trades that the groups are compared in, so that the time stays bounded."""

LEAST_SHARE_IN_R: Final = 0.5
"""Share of trades with a known R-multiple from which groups are compared in R, else in currency: R takes the
size of a trade out of the comparison."""

SHUFFLES: Final = 499

COMPARED: Final = ("strategy", "symbol", "signal_type", "sector", "iv_rank", "dte", "weekday")
"""What is known at entry; how a trade was closed is part of its outcome and would always differ."""

LARGE_LOSS_R: Final = -1.1
"""R-multiple below which a loser lost more than was planned."""

FEES_PERCENT: Final = 20.0
"""Fees in percent of the profit before fees that are worth a word."""

EXIT_EFFICIENCY_PERCENT: Final = 40.0
"""Share of best open profits kept, percent, below which exits are worth a look."""

LOSING_STREAK: Final = 5


class Advice(NamedTuple):
    """One recommendation; prints as its text.

    Attributes
    ----------
    code
        Stable name of the rule.
    text
        The recommendation.
    sample
        Trades it rests on.
    significant
        Whether a test supports it at the 5 % level, after correction for everything the report tests; None
        for what is arithmetic and claims nothing.
    """

    code: str
    text: str
    sample: int
    significant: bool | None = None

    def __str__(self) -> str:
        return self.text


def advise(
    closed: Closed,
    metrics: PerformanceMetrics,
    excursions: ExcursionMetrics,
    costs: Mapping[str, MistakeCost],
) -> tuple[Advice, ...]:
    """Return the recommendations for some closed trades, the most general first."""
    count = metrics.trades
    if count == 0:
        return (Advice("no_trades", "No closed trades: nothing to say yet", 0),)
    found: list[Advice | None] = []
    if count < LEAST_TRADES:
        text = f"Only {counted(count)} closed: too few to conclude anything, keep logging"
        found.append(Advice("too_few", text, count, False))
    else:
        found += [_expectancy(metrics), _break_even(metrics), *_compared(closed)]
    found += [_planned_loss(metrics), _fees(metrics), _streak(metrics), _exits(metrics, excursions)]
    found += [*_mistakes(costs), _no_risk(metrics)]
    return tuple(one for one in found if one is not None)


def _expectancy(metrics: PerformanceMetrics) -> Advice:
    count, mean = metrics.trades, metrics.expectancy or 0.0
    head = f"Expectancy is {_money(mean)} per trade over {counted(count)}"
    enough = count >= LEAST_FOR_TEST and min(metrics.wins, metrics.losses) >= LEAST_OF_EACH
    strict = _strict(metrics) if enough else None
    if strict is not None and strict.high < 0:
        text = f"{head} ({_range(strict)}), significant: trade smaller or stop until the cause is known"
        return Advice("expectancy_negative", text, count, True)
    if strict is not None and strict.low > 0:
        return Advice(
            "expectancy_positive", f"{head} ({_range(strict)}), significant: keep to the plan", count, True
        )
    usual = metrics.expectancy_interval
    some = f" ({_range(usual)})" if usual else ""
    return Advice(
        "expectancy_open", f"{head}{some}, not significant: no reason to change the size", count, False
    )


def _strict(metrics: PerformanceMetrics) -> Interval | None:
    return mean_interval(metrics.pnl, 1 - OVERALL_ALPHA, resample=False)  # type: ignore[arg-type]


def _break_even(metrics: PerformanceMetrics) -> Advice | None:
    win, loss, interval = metrics.average_win, metrics.average_loss, metrics.win_rate_interval
    if win is None or loss is None or metrics.win_rate is None or interval is None:
        return None
    needed = 100.0 * -loss / (win - loss)
    if metrics.win_rate >= needed:
        return None
    text = (
        f"An average loss of {_money(loss)} against an average win of {_money(win)} needs a win rate of "
        f"{needed:.0f}%; it is {metrics.win_rate:.0f}% ({interval.low:.0f}% to {interval.high:.0f}%) over "
        f"{counted(metrics.trades)}"
    )
    return Advice("break_even", text, metrics.trades)


def _compared(closed: Closed) -> list[Advice]:
    import numpy as np

    known = np.flatnonzero(~np.isnan(closed.numbers["r_multiple"]))
    in_r = len(known) >= LEAST_SHARE_IN_R * len(closed)
    latest = closed.take((known if in_r else np.arange(len(closed)))[-LATEST:])
    groupings: list[list[str | None]] = []
    for by in COMPARED:
        codes, labels = groups(latest, by)
        named = [None if label == UNKNOWN else f"{_WORDS.get(by, by)} {label}" for label in labels]
        groupings.append([named[code] for code in codes.tolist()])
    differences = largest_difference(
        latest.numbers["r_multiple" if in_r else "pnl"],  # type: ignore[arg-type]
        groupings,
        strata=_layers(latest),
        least=LEAST_IN_GROUP,
        resamples=SHUFFLES,
    )
    if not differences:
        return []
    found = []
    for one in differences:
        if one.p_value > GROUPS_ALPHA:
            continue
        worse = one.difference < 0
        size = f"{abs(one.difference):.2f}R" if in_r else _money(abs(one.difference))
        text = (
            f"{_capital(one.group)}: {counted(one.size)} made {size} {'less' if worse else 'more'} per trade "
            f"than others of their kind, significant after correcting for {len(differences)} comparisons "
            f"(p = {one.p_value:.3f}): {'review it' if worse else 'favour it'}"
        )
        found.append(Advice("group_worse" if worse else "group_better", text, one.size, True))
    if found:
        return found
    text = f"None of {len(differences)} groups compared differs significantly from the rest: it may be luck"
    return [Advice("groups_alike", text, len(latest), False)]


def _layers(closed: Closed) -> list[int]:
    """Return a number per trade for shares or options, bought or sold: they pay off differently."""
    kinds, _ = closed.label("kind")
    layers: list[int] = (2 * kinds + (closed.numbers["side"] > 0)).tolist()
    return layers


def _planned_loss(metrics: PerformanceMetrics) -> Advice | None:
    import numpy as np

    losers = metrics.r_multiples[metrics.r_multiples < 0]
    beyond = int(np.sum(losers < LARGE_LOSS_R))
    if beyond < 2 or beyond < 0.2 * len(losers):
        return None
    text = (
        f"{beyond} of {len(losers)} losers lost more than {-LARGE_LOSS_R:g}R: the stops do not hold what "
        "they promise, so size for the loss that really comes"
    )
    return Advice("losses_beyond_plan", text, len(losers))


def _fees(metrics: PerformanceMetrics) -> Advice | None:
    before = metrics.total_pnl + metrics.total_fees
    if before <= 0 or metrics.total_fees < FEES_PERCENT / 100.0 * before:
        return None
    share = 100.0 * metrics.total_fees / before
    text = f"Fees of {_money(metrics.total_fees)} took {share:.0f}% of the profit before fees"
    return Advice("fees", text, metrics.trades)


def _streak(metrics: PerformanceMetrics) -> Advice | None:
    if metrics.streak > -LOSING_STREAK:
        return None
    text = f"{-metrics.streak} losses in a row; the longest such run is {metrics.longest_loss_streak}"
    return Advice("losing_streak", text, -metrics.streak)


def _exits(metrics: PerformanceMetrics, excursions: ExcursionMetrics) -> Advice | None:
    kept, mean = excursions.exit_efficiency, metrics.mean_r
    if (
        kept is None
        or mean is None
        or excursions.targets_count < LEAST_FOR_TEST
        or kept >= EXIT_EFFICIENCY_PERCENT
    ):
        return None
    best = max(excursions.targets, key=lambda one: one.expected_r)
    text = (
        f"Trades kept {kept:.0f}% of their best open profits. Of {len(excursions.targets)} targets tried in "
        f"hindsight, {best.target:g}R did best with {best.expected_r:+.2f}R per trade; this was not tested"
    )
    return Advice("exits", text, excursions.targets_count, False)


def _mistakes(costs: Mapping[str, MistakeCost]) -> list[Advice]:
    found = []
    for category, cost in costs.items():
        if cost.trades < 2 or cost.total_pnl >= 0:
            continue
        text = f"Mistake {category}: {counted(cost.trades)} that made {_money(cost.total_pnl)} together"
        if cost.average_without is not None:
            without = _money(cost.average_without)
            text += f", {_money(cost.average_pnl)} on average against {without} without a mistake"
        found.append(Advice("mistake", text, cost.trades))
    return found[:3]


def _no_risk(metrics: PerformanceMetrics) -> Advice | None:
    missing = metrics.trades - metrics.r_count
    if 2 * missing <= metrics.trades:
        return None
    if metrics.r_count:
        which = f"{missing} of {counted(metrics.trades)} {'has' if missing == 1 else 'have'}"
        text = f"{which} no initial risk: R-multiples speak for the others only"
    else:
        which = "The trade has" if missing == 1 else f"None of the {counted(missing)} has an"
        text = f"{which} {'no ' if missing == 1 else ''}initial risk: there are no R-multiples"
    return Advice("risk_unknown", text, metrics.trades)


def _money(value: float) -> str:
    return f"{'-' if round(value, 2) < 0 else ''}${abs(value):,.2f}"


def _range(interval: Interval) -> str:
    return f"{100 * interval.level:.0f}% interval {_money(interval.low)} to {_money(interval.high)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_WORDS: Final = {"signal_type": "signal type", "iv_rank": "IV rank", "dte": "DTE"}
