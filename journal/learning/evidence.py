"""How strong the evidence in closed trades is, at whatever moment somebody looks.

A journal is looked at every week, often until something shows. A p-value for a fixed sample is wrong then:
over a year of weekly looks it cries wolf several times as often as it says. So every question here is put as
a fair game. Somebody bets on the answer, with stakes fixed before each outcome; if there is no edge his
wealth is a martingale that starts at 1, and the chance that it *ever* reaches 1/p is at most p (Ville 1939).
`1 / wealth` is therefore a p-value that holds at every look, and after any number of looks. Several stakes
are played side by side with equal shares, so none has to be chosen with hindsight.

Two games are enough:

- `mean_wealth`: is the expected profit above 0? Null: no trade has an expected profit above 0, given what was
  known when it was opened. This is also the honest form of "is the win rate high enough?": a win rate is
  above its break-even, average loss / (average win + average loss), exactly where the mean profit is above 0.
- `link_wealth`: does profit grow (or shrink) with something known at entry, such as IV rank? Null: expected
  profit per unit of possible loss is the same whatever its value. Neighbours in time are compared with each
  other, so a good or bad year, or an edge that has nothing to do with IV rank, is no evidence.

`adjust` corrects for the number of questions: Holm (1979) with weights that are fixed beforehand, so that a
symbol traded for the first time next year does not change what counts today.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024);
Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference" (2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

__all__ = ["LEVEL", "STAKES", "adjust", "link_wealth", "mean_wealth", "more_needed", "wealth_to_p"]

LEVEL: Final = 0.05
"""Level at which something is called significant, over all questions and all looks together."""

STAKES: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Shares of the wealth that are put at risk on each bet; each gets an equal part of the start."""

BLOCK: Final = 6
"""Trades that `link_wealth` compares with each other: larger blocks use more of the information in a weak
link and less of that in a strong one."""


_DIRECT: Final = 1_000_000
"""Pairs of group and bet up to which they are counted without sorting."""


def mean_wealth(outcomes: Floats, bets: Ints, groups: Ints, count: int) -> Floats:
    """Return the log of the wealth from betting that outcomes are above 0 on average, one per group.

    Parameters
    ----------
    outcomes
        Profit of each trade divided by the most it could lose, so at least -1; NaN is left out.
    bets
        Trades of a group with the same number are one bet on their average. Trades that end together share
        what the market did, and so they are not counted as independent.
    groups, count
        Number of the group of each trade, 0 to `count` - 1.

    Returns
    -------
    Shape (count,): natural logarithm; 0.0 for a group without trades.
    """
    import numpy as np

    known = ~np.isnan(outcomes)
    values, groups, bets = outcomes[known], groups[known], bets[known]
    if not len(values):
        return np.zeros(count)
    values = np.maximum(values, -1.0)
    bets = bets - bets.min()
    many = int(bets.max()) + 1
    cell = groups * many + bets
    if count * many > _DIRECT:  # too sparse to count directly
        used, cell = np.unique(cell, return_inverse=True)
    else:
        used = np.arange(count * many)
    trades = np.bincount(cell, minlength=len(used))
    means = np.bincount(cell, weights=values, minlength=len(used)) / np.maximum(trades, 1)
    owner = used // many
    logs = np.empty((len(STAKES), count))
    for row, stake in enumerate(STAKES):
        logs[row] = np.bincount(owner, weights=np.log1p(stake * means), minlength=count)
    return _mixed(logs)


def link_wealth(levels: Floats, outcomes: Floats, most: Floats) -> tuple[float, float, int]:
    """Return the log of the wealth from betting that outcomes rise with levels, and that they fall.

    Parameters
    ----------
    levels
        What was known at entry of each trade, in the order in which trades closed. NaN is left out.
    outcomes
        Profit divided by the most that could be lost, at least -1.
    most
        Largest outcome that was possible, known at entry; outcomes above it count as it.

    Returns
    -------
    rising, falling
        Natural logarithms.
    used
        Trades that took part: complete blocks only, so that a look in between changes nothing.
    """
    import numpy as np

    known = ~(np.isnan(levels) | np.isnan(outcomes))
    blocks = int(known.sum()) // BLOCK
    used = blocks * BLOCK
    if not blocks:
        return 0.0, 0.0, 0
    shape = (blocks, BLOCK)
    level = levels[known][:used].reshape(shape)
    ceiling = np.maximum(most[known][:used], 0.0)
    # from -1 .. ceiling to 0 .. 1 + ceiling: adding a constant changes no comparison within a block
    outcome = np.clip(outcomes[known][:used], -1.0, ceiling).reshape(shape) + 1.0
    span = ceiling.reshape(shape).max(axis=1) + 1.0
    away = level - level.mean(axis=1, keepdims=True)
    largest = span * np.abs(away).sum(axis=1) / 2.0
    total = (away * outcome).sum(axis=1)
    share = np.divide(total, largest, out=np.zeros(blocks), where=largest > 1e-12)
    share = np.clip(share, -1.0, 1.0)
    stakes = np.array(STAKES)[:, None]
    rising = _mixed(np.log1p(stakes * share).sum(axis=1)[:, None])[0]
    falling = _mixed(np.log1p(-stakes * share).sum(axis=1)[:, None])[0]
    return float(rising), float(falling), used


def wealth_to_p(log_wealth: float) -> float:
    """Return the p-value of a wealth, which holds at every look."""
    return math.exp(-max(0.0, log_wealth))


def adjust(p_values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return p-values corrected for the number of questions: Holm's method, weights summing to at most 1.

    Weights of questions that nobody asked yet need not be given; they keep their share.

    >>> adjust([0.01, 0.04], [0.5, 0.5])
    [0.02, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i] / weights[i])
    adjusted = [1.0] * len(p_values)
    left, so_far = 1.0, 0.0
    for i in order:
        so_far = max(so_far, min(1.0, p_values[i] * max(left, weights[i]) / weights[i]))
        adjusted[i] = so_far
        left -= weights[i]
    return adjusted


def more_needed(log_wealth: float, trades: int, share: float) -> int | None:
    """Return about how many more trades would decide, if they went on as the ones before.

    Parameters
    ----------
    log_wealth, trades
        Evidence so far, and from how many trades.
    share
        The part of `LEVEL` that the question has.

    Returns
    -------
    None where the evidence does not grow, 0 where it is enough.
    """
    target = -math.log(LEVEL * share)
    if log_wealth >= target:
        return 0
    if trades == 0 or log_wealth <= 0:
        return None
    return math.ceil((target - log_wealth) * trades / log_wealth)


def _mixed(logs: Any) -> Floats:
    """Return the log of the mean over stakes (axis 0) of exp(logs)."""
    import numpy as np

    top = logs.max(axis=0)
    mixed: Floats = top + np.log(np.exp(logs - top).mean(axis=0))
    return mixed
