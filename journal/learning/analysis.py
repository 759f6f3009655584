"""What closed trades say: records, comparisons of winners and losers, and the evidence behind each.

`examine` asks a fixed list of questions about a set of closed trades and answers each with figures and an
`Evidence`. Shares of the error level are fixed per question before any trade is seen (`SHARES`); symbols and
strategies share theirs in the order of their first closed trade, older ones get more. Win rates are percent,
amounts are currency after fees; a profit of exactly 0 is a trade, and neither a win nor a loss.

What counts as "no edge" is said by the null of each question, in `Evidence.null`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from journal.learning.evidence import LEVEL, adjust, link_wealth, mean_wealth, more_needed, wealth_to_p
from journal.performance.statistics import mean_interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from journal.learning.data import ClosedTrades, Floats, Labels

__all__ = [
    "SHARES",
    "Comparison",
    "Estimate",
    "Evidence",
    "Examination",
    "Group",
    "Record",
    "estimates",
    "examine",
    "share_won",
]

SHARES: Final = {
    "profit:option": 0.15,
    "profit:stock": 0.10,
    "iv_rank": 0.20,
    "dte": 0.10,
    "delta": 0.05,
    "score": 0.10,
    "symbol": 0.20,
    "strategy": 0.10,
}
"""Shares of the error level, summing to 1; half of each goes to either direction."""

_QUEUE: Final = 5
"""The j-th symbol gets a share in proportion to 1 / ((j + 4) (j + 5)), which sums to 1 / 5 over all j."""

_WORDS: Final = {
    "iv_rank": "IV rank",
    "dte": "days to expiry",
    "delta": "absolute delta",
    "score": "score",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval and sample size; `low` and `high` are None where there is none."""

    label: str
    value: float
    low: float | None
    high: float | None
    trades: int
    unit: str  # "%" or "currency"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strong the evidence against a null is.

    Attributes
    ----------
    question
        Stable name, such as "symbol:SPY:+".
    null
        What is assumed, in words; evidence speaks against it.
    trades
        Closed trades that took part.
    p_value
        For this question alone, valid at every look.
    adjusted_p
        Corrected for all questions, those of later reports included.
    significant
        Whether `adjusted_p` is at most 0.05.
    more_trades
        About how many more trades would decide, going on like this; None where evidence does not grow.
    """

    question: str
    null: str
    trades: int
    p_value: float
    adjusted_p: float
    significant: bool
    more_trades: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """Figures of a set of trades; None is unknown. `break_even` is the win rate at which it earns nothing."""

    trades: int
    wins: int
    losses: int
    total_pnl: float
    average_pnl: float | None
    average_win: float | None
    average_loss: float | None
    win_rate: float | None
    break_even: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The trades of a symbol, strategy or close reason; for the last there is no evidence."""

    name: str
    trades: int
    wins: int
    losses: int
    total_pnl: float
    average_pnl: float
    win_rate: float
    win_rate_low: float
    win_rate_high: float
    gains: Evidence | None
    loses: Evidence | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Winners against losers in something known at entry; averages are None where there are none."""

    name: str
    trades: int
    winners: int
    losers: int
    winners_average: float | None
    losers_average: float | None
    rising: Evidence
    falling: Evidence

    @property
    def difference(self) -> float:
        """Average of the winners less that of the losers; 0.0 where one is missing."""
        if self.winners_average is None or self.losers_average is None:
            return 0.0
        return self.winners_average - self.losers_average


@dataclass(frozen=True, slots=True)
class Examination:
    """Answers to all questions; `records` has "all", "option" and "stock"."""

    records: dict[str, Record]
    profit: dict[str, tuple[Evidence, Evidence]]
    comparisons: dict[str, Comparison]
    symbols: tuple[Group, ...]
    strategies: tuple[Group, ...]
    reasons: tuple[Group, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Everything that was tested."""
        pairs = [
            *self.profit.values(),
            *((one.rising, one.falling) for one in self.comparisons.values()),
            *((one.gains, one.loses) for one in (*self.symbols, *self.strategies)),
        ]
        return tuple(one for pair in pairs for one in pair if one is not None)


class _Questions:
    """Collects questions first, because the correction needs all of them."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[str, int, float, float]] = {}

    def ask(self, name: str, null: str, trades: int, log_wealth: float, share: float) -> None:
        self.asked[name] = (null, trades, log_wealth, share)

    def answers(self) -> Callable[[str], Evidence]:
        p_values = [wealth_to_p(wealth) for _, _, wealth, _ in self.asked.values()]
        adjusted = adjust(p_values, [share for *_, share in self.asked.values()])
        found = {
            name: Evidence(
                name, null, trades, p, corrected, corrected <= LEVEL, more_needed(wealth, trades, share)
            )
            for (name, (null, trades, wealth, share)), p, corrected in zip(
                self.asked.items(), p_values, adjusted, strict=True
            )
        }
        return found.__getitem__


def examine(closed: ClosedTrades) -> Examination:
    """Answer all questions about closed trades."""
    import numpy as np

    everything = np.ones(len(closed), dtype=np.bool_)
    kinds = {"all": everything, "option": closed.option, "stock": ~closed.option}
    questions = _Questions()
    gain = closed.pnl / closed.worst
    loss = -closed.pnl / closed.best
    for kind in ("option", "stock"):
        codes = kinds[kind].astype(np.intp)
        share = SHARES[f"profit:{kind}"] / 2
        count = int(codes.sum())
        for sign, outcome, null in ((1, gain, _NO_GAIN), (-1, loss, _NO_LOSS)):
            wealth = float(mean_wealth(outcome, closed.weeks, codes, 2)[1])
            questions.ask(f"profit:{kind}:{_sign(sign)}", null, count, wealth, share)
    levels = {
        "iv_rank": np.where(closed.option, closed.iv_rank, np.nan),
        "dte": np.where(closed.option, closed.dte, np.nan),
        "delta": np.where(closed.option, np.abs(closed.delta), np.nan),
        "score": np.where(closed.option, np.nan, closed.score),
    }
    for name, level in levels.items():
        rising, falling, used = link_wealth(level, gain, closed.best / closed.worst)
        for sign, wealth in ((1, rising), (-1, falling)):
            null = f"expected profit per unit of possible loss does not depend on {_WORDS[name]} at entry"
            questions.ask(f"{name}:{_sign(sign)}", null, used, wealth, SHARES[name] / 2)
    for kind, labels in (("symbol", closed.symbols), ("strategy", closed.strategies)):
        _ask_groups(questions, kind, labels, closed, gain, loss)
    answer = questions.answers()
    return Examination(
        records={kind: _record(closed.pnl[chosen]) for kind, chosen in kinds.items()},
        profit={
            kind: (answer(f"profit:{kind}:+"), answer(f"profit:{kind}:-")) for kind in ("option", "stock")
        },
        comparisons={name: _compare(name, level, closed.pnl, answer) for name, level in levels.items()},
        symbols=_groups("symbol", closed.symbols, closed.pnl, answer),
        strategies=_groups("strategy", closed.strategies, closed.pnl, answer),
        reasons=_groups("", closed.reasons, closed.pnl, None),
    )


def estimates(pnl: Floats) -> tuple[Estimate, ...]:
    """Return win rate (Wilson) and average profit (bootstrap) of trades with their intervals."""
    count = len(pnl)
    if not count:
        return ()
    interval = mean_interval(pnl.tolist())
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    average = Estimate("average P&L", float(pnl.mean()), low, high, count, "currency")
    return share_won(pnl, "win rate"), average


def share_won(pnl: Floats, label: str) -> Estimate:
    """Return the win rate in percent of at least one trade, with Wilson's interval."""
    count, wins = len(pnl), int((pnl > 0).sum())
    interval = wilson(wins, count)
    low, high = (None, None) if interval is None else (100.0 * interval.low, 100.0 * interval.high)
    return Estimate(label, 100.0 * wins / count, low, high, count, "%")


_NO_GAIN: Final = "no trade had an expected profit above 0 when it was opened"
_NO_LOSS: Final = "no trade had an expected loss when it was opened"


def _sign(direction: int) -> str:
    return "+" if direction > 0 else "-"


def _ask_groups(
    questions: _Questions, kind: str, labels: Labels, closed: ClosedTrades, gain: Floats, loss: Floats
) -> None:
    import numpy as np

    count = len(labels.names)
    sizes = np.bincount(labels.codes, minlength=count)
    for sign, outcome, null in ((1, gain, _NO_GAIN), (-1, loss, _NO_LOSS)):
        wealth = mean_wealth(outcome, closed.weeks, labels.codes, count)
        for code, name in enumerate(labels.names):
            share = SHARES[kind] / 2 * _QUEUE / ((code + _QUEUE) * (code + _QUEUE + 1))
            questions.ask(f"{kind}:{name}:{_sign(sign)}", null, int(sizes[code]), float(wealth[code]), share)


def _record(pnl: Floats) -> Record:
    won, lost = pnl > 0, pnl < 0
    wins, losses, count = int(won.sum()), int(lost.sum()), len(pnl)
    average_win = float(pnl[won].sum()) / wins if wins else None
    average_loss = float(pnl[lost].sum()) / losses if losses else None
    break_even = None
    if average_win is not None and average_loss is not None:
        break_even = 100.0 * -average_loss / (average_win - average_loss)
    total = float(pnl.sum())
    return Record(
        count, wins, losses, total, total / count if count else None, average_win, average_loss,
        100.0 * wins / count if count else None, break_even,
    )  # fmt: skip


def _compare(name: str, level: Floats, pnl: Floats, answer: Callable[[str], Evidence]) -> Comparison:
    import numpy as np

    known = ~np.isnan(level)
    winners, losers = level[known & (pnl > 0)], level[known & (pnl < 0)]
    return Comparison(
        name,
        int(known.sum()),
        len(winners),
        len(losers),
        float(winners.mean()) if len(winners) else None,
        float(losers.mean()) if len(losers) else None,
        answer(f"{name}:+"),
        answer(f"{name}:-"),
    )


def _groups(
    kind: str, labels: Labels, pnl: Floats, answer: Callable[[str], Evidence] | None
) -> tuple[Group, ...]:
    import numpy as np

    count = len(labels.names)

    def counted(chosen: NDArray[np.bool_]) -> list[int]:
        return [int(number) for number in np.bincount(labels.codes[chosen], minlength=count)]

    sizes, wins, losses = counted(np.ones(len(pnl), dtype=np.bool_)), counted(pnl > 0), counted(pnl < 0)
    totals = np.bincount(labels.codes, weights=pnl, minlength=count)
    found = []
    for code, name in enumerate(labels.names):
        size, total = sizes[code], float(totals[code])
        interval = wilson(wins[code], size)
        low, high = (0.0, 1.0) if interval is None else (interval.low, interval.high)
        found.append(
            Group(
                name, size, wins[code], losses[code], total, total / size, 100.0 * wins[code] / size,
                100.0 * low, 100.0 * high,
                answer(f"{kind}:{name}:+") if answer else None,
                answer(f"{kind}:{name}:-") if answer else None,
            )
        )  # fmt: skip
    # what brought most first
    return tuple(sorted(found, key=lambda group: (-group.average_pnl, group.name)))
