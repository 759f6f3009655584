"""A person between signal and account: how long the answer takes, when it comes too late, how often it is no.

In semi-automatic trading every entry waits for a yes. `Approval` says how: a signal asks at the close of its
bar; the answer comes after a delay, counted while the market trades or in working hours; with a probability
it is no. A request that waits longer than its expiry ends; so does one whose price has moved too far, as in
the live review queue, and one whose strategy has meanwhile said close. What is approved reaches the account
at the first bar that is complete at or after the answer, and is judged by the risk manager there: its prices
(stop, target, limit) are those of the signal, what is relative stays relative, its ATR is that of the signal.
Closing signals do not wait.

Nothing depends on the order of draws: delay and decision of a signal come from a hash of the seed and of what
the signal is (symbol, time, side, strategy, tag). So a longer history changes none of them, the same seed
gives the same run in every driver, and two strategies do not disturb each other.

>>> from datetime import timedelta
>>> from simulator import Signals, load_bars
>>> bars = load_bars("synthetic:1x60?seed=1")
>>> asked = Signals.from_arrays(bars, [10], 0, 1, stop_percent=5.0)
>>> reviewed = Approval(delay=timedelta(hours=2)).review(asked, bars)
>>> int(reviewed.signals.records["row"][0]), reviewed.counts
(11, {'approved': 1})
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.approval_clock import NEVER, WorkingHours
from simulator.approval_text import read_approval
from simulator.bars.arrays import Ints
from simulator.engine import signals_of
from simulator.errors import ConfigError, StrategyError
from simulator.setup import check_bars
from simulator.signals import Signals

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars

__all__ = [
    "DECISIONS",
    "Approval",
    "Delay",
    "Reviewed",
    "ReviewedStrategy",
    "WorkingHours",
    "length_of",
    "refuse_on_bar",
]

Floats = npt.NDArray[np.float64]

DECISIONS: Final = ("approved", "vetoed", "expired", "drifted", "withdrawn", "waiting", "unasked")
"""What became of a request; "waiting": no answer when the bars end; "unasked": a signal that closes."""
_UNASKED: Final = DECISIONS.index("unasked")


@dataclass(frozen=True, slots=True)
class Delay:
    """How long an answer takes; a day is a session on the trading clock, and a working day in working hours.

    Parameters
    ----------
    kind
        "fixed", "exponential" (its mean) or "empirical" (each value as likely as the others).
    values
        One length, or several of an empirical delay.
    never
        Share of requests that nobody answers, 0 to 1.

    Raises
    ------
    ConfigError
        CONFIG_APPROVAL.
    """

    kind: str = "fixed"
    values: tuple[timedelta, ...] = (timedelta(0),)
    never: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("fixed", "exponential", "empirical"):
            raise _wrong(f"a delay is {self.kind!r}; it is fixed, exponential or empirical")
        if not self.values or (self.kind != "empirical" and len(self.values) != 1):
            raise _wrong(f"a delay that is {self.kind} has {len(self.values)} values")
        if any(value < timedelta(0) for value in self.values):
            raise _wrong(f"a delay is {min(self.values)}; nobody answers before they are asked")
        if not 0.0 <= self.never <= 1.0:
            raise _wrong(f"never is {self.never!r}; it is a share from 0 to 1")

    @classmethod
    def of(cls, given: Delay | timedelta) -> Delay:
        """Return a delay as it is, and a length as a fixed one."""
        return given if isinstance(given, Delay) else cls("fixed", (given,))

    @classmethod
    def exponential(cls, mean: timedelta) -> Delay:
        """Return an exponential delay: most answers come soon, some take long."""
        return cls("exponential", (mean,))

    @classmethod
    def empirical(cls, values: Sequence[timedelta], *, never: float = 0.0) -> Delay:
        """Return a delay as it was observed."""
        return cls("empirical", tuple(values), never)

    def drawn(self, uniform: Floats, answered: Floats, day: int) -> Ints:
        """Return lengths in ns for numbers from 0 to 1; `day` is the clock's, ns."""
        lengths = np.array([length_of(value, day) for value in self.values], np.int64)
        if self.kind == "exponential":
            with np.errstate(over="ignore"):
                found = np.minimum(-float(lengths[0]) * np.log1p(-uniform), 9e18).astype(np.int64)
        else:
            found = lengths[np.minimum((uniform * len(lengths)).astype(np.int64), len(lengths) - 1)]
        return np.where(answered < self.never, NEVER, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """How a person stands between signals and the account.

    Parameters
    ----------
    delay
        A length, or a `Delay`.
    expiry
        A request that is not answered in less than this ends; None: it waits for ever.
    veto
        Probability of a no, 0 to 1.
    price_drift_pct
        How far the price may have moved from the signal's close to that of the bar at which it is judged,
        percent; of a package that of its underlying. None: as far as it likes.
    seed
        Whole number; another one draws other delays and decisions.
    hours
        When the person answers; None: while the market trades.

    Raises
    ------
    ConfigError
        CONFIG_APPROVAL for what cannot be so.
    """

    delay: Delay | timedelta = timedelta(0)
    expiry: timedelta | None = None
    veto: float = 0.0
    price_drift_pct: float | None = None
    seed: int = 0
    hours: WorkingHours | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.delay, (Delay, timedelta)):
            raise _wrong(f"delay is {self.delay!r}; it is a timedelta or a Delay")
        Delay.of(self.delay)
        if self.expiry is not None and not self.expiry > timedelta(0):
            raise _wrong(f"expiry is {self.expiry}; it is above 0, or None")
        if not _is_number(self.veto) or not 0.0 <= self.veto <= 1.0:
            raise _wrong(f"veto is {self.veto!r}; it is a probability from 0 to 1")
        drift = self.price_drift_pct
        if drift is not None and not (_is_number(drift) and drift > 0.0):
            raise _wrong(f"price_drift_pct is {drift!r}; it is above 0, or None")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise _wrong(f"seed is {self.seed!r}; it is a whole number")

    @classmethod
    def parse(cls, text: str) -> Approval:
        """Read an approval as it is written on the command line.

        >>> Approval.parse("delay=2h,veto=0.1,expiry=1d").veto
        0.1

        `delay` (as 90m, 2h, 1d; `exp:2h` is exponential), `expiry`, `veto`, `drift` (percent), `seed`,
        `hours` (as 09:00-17:00, with @America/New_York behind it for another zone than that).
        """
        given = read_approval(text)
        kind, length = given.pop("delay", ("fixed", timedelta(0)))
        return cls(delay=Delay(kind, (length,)), **given)

    def with_seed(self, seed: int) -> Approval:
        """Return the same person on another day."""
        return replace(self, seed=seed)

    def review(self, signals: Signals, bars: Bars) -> Reviewed:
        """Return what of some signals reaches the account, and when.

        Raises `SignalError` and `UnknownNameError` for signals that do not fit the bars.
        """
        from simulator.approval_desk import Desk

        return Desk(signals, check_bars(bars)).review(self)

    def applied_to(self, strategy: Any) -> ReviewedStrategy:
        """Return a strategy whose signals pass this person: for sessions, sweeps and `twinstep lookahead`."""
        return ReviewedStrategy(strategy, self)

    def __str__(self) -> str:
        """Say it in words."""
        delay = Delay.of(self.delay)
        mean = sum(delay.values, timedelta(0)) / len(delay.values)
        parts = [f"delay {delay.kind} {_words(mean)}"]
        if delay.never:
            parts.append(f"{delay.never:.0%} never answered")
        parts += [] if self.expiry is None else [f"expiry {_words(self.expiry)}"]
        parts += [f"veto {self.veto:.0%}"] if self.veto else []
        parts += [] if self.price_drift_pct is None else [f"drift at most {self.price_drift_pct:g} %"]
        parts.append("trading time" if self.hours is None else "working hours")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Reviewed:
    """What a person made of signals.

    Parameters
    ----------
    approval
        How the person stood.
    asked
        SIGNAL records of the signals as they were given, in their order on the bars.
    signals
        Those that reach the account, on the bars that they reach it.
    decision, reached
        Per signal asked: what became of it as an index of `DECISIONS`, and the row of the bar at which it was
        decided (-1: never). Shape (n,).
    delay, drift
        Of each: length of the wait on the clock in seconds (inf: no answer), and move of the price in percent
        where that was looked at, else NaN.
    """

    approval: Approval
    bars: Bars
    asked: npt.NDArray[np.void]
    signals: Signals
    decision: Ints
    reached: Ints
    delay: Floats
    drift: Floats

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each decision fell, signals that close left out."""
        found = Counter(self.decision.tolist())
        return {name: found[code] for code, name in enumerate(DECISIONS) if found[code] and code != _UNASKED}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per signal asked: time, symbol, side, decision, decided (time), delay (s), drift (%)."""
        import pandas as pd

        index = self.bars.index
        decided = pd.Series(index.take(np.maximum(self.reached, 0)) if len(index) else index)
        return pd.DataFrame(
            {
                "time": index.take(self.asked["row"]) if len(self.asked) else index[:0],
                "symbol": np.array(self.bars.symbols, dtype=object)[self.asked["sym"]],
                "side": self.asked["side"],
                "decision": np.array(DECISIONS, dtype=object)[self.decision],
                "decided": decided.where(self.reached >= 0),
                "delay_seconds": self.delay,
                "drift_pct": self.drift,
            }
        )

    def __str__(self) -> str:
        """Count the decisions in one line."""
        total = sum(self.counts.values())
        words = ", ".join(f"{count:,} {name}" for name, count in self.counts.items()) or "none"
        return f"review ({self.approval}): {total:,} requests: {words}"


class ReviewedStrategy:
    """A strategy whose entries pass a person.

    Parameters
    ----------
    strategy
        Anything with `signals(bars)`, or a function from bars to signals.
    approval
        The person.
    """

    def __init__(self, strategy: Any, approval: Approval) -> None:
        refuse_on_bar(strategy)
        self.strategy = strategy
        self.approval = approval
        self.name = f"{getattr(strategy, 'name', getattr(strategy, '__name__', 'strategy'))}-reviewed"
        self.warmup = int(getattr(strategy, "warmup", 0))

    def signals(self, bars: Bars) -> Signals:
        """Return the signals that reach the account."""
        return self.approval.review(signals_of(self.strategy, bars), bars).signals

    def __repr__(self) -> str:
        return f"ReviewedStrategy({self.strategy!r}, {self.approval!r})"


def refuse_on_bar(strategy: Any) -> None:
    """Refuse a strategy that places its orders bar by bar: what it does depends on what was approved."""
    if hasattr(strategy, "on_bar") and not hasattr(strategy, "signals"):
        raise StrategyError(
            f"{getattr(strategy, 'name', strategy)!r} places orders bar by bar (on_bar) by what it holds; "
            "approval works on signals that are known beforehand: give a strategy with signals(bars)",
            code="STRATEGY_APPROVAL",
        )


def length_of(value: timedelta, day: int) -> int:
    """Return a length in ns of a clock whose days are `day` ns long."""
    rest = value - timedelta(days=value.days)
    return value.days * day + round(rest / timedelta(microseconds=1)) * 1_000


def _words(value: timedelta) -> str:
    days, rest = value.days, value - timedelta(days=value.days)
    return " ".join([f"{days}d"] * (days > 0) + [str(rest)] * (rest > timedelta(0) or not days))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="CONFIG_APPROVAL")
