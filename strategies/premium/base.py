"""What all premium strategies share: when to enter, how packages are managed, and the way to signals.

A strategy says in `plans` which contracts it would trade at every close; the base decides on which closes it
may: IV rank, weekday, distance from earnings. Contracts are chosen at the close that they are traded at, from
that close alone, so the prefix rule holds, and `values` shows strikes and expiries to the look-ahead proof.

Three traps. A rank that is not known (the first year, a gap in the index) never enters, not even with
`min_iv_rank=0`. The score column stays empty, because the risk manager's `min_pattern_score` would take an IV
rank for the quality of a chart; the tag carries the rank's quarter instead ("rank 25-50"). And a signal comes
on every day that qualifies: while a package is open the step refuses the next ("same_side_open").
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import StrategyError
from simulator.kernel.dtypes import LEG
from simulator.options.iv_rank import iv_rank
from simulator.options.selection import ExpiryWindow, Pick, Selection
from strategies.base import Array, Choice, Float, Int, Strategy, param
from strategies.earnings import SHIFT_DAYS, near_earnings

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["DeltaParams", "Leg", "Plan", "PremiumParams", "PremiumStrategy", "check_rule"]

Mask = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday")


class Leg(NamedTuple):
    """A contract at every bar, bought (+1) or sold (-1); None stands for shares of the underlying."""

    side: int
    pick: Pick | None


class Plan(NamedTuple):
    """A package that a strategy would open at every bar, and what makes it a candidate.

    Parameters
    ----------
    legs
        One to four.
    side
        -1 for a credit, +1 for what is paid for.
    where : (T,) bool or None
        Bars on which it is a candidate, beside the common conditions; None is all.
    rules
        Rules of `simulator.options.packages.make_rules` beside the common ones, or in their place.
    priority
        Of two packages on one bar, the higher is judged first.
    """

    legs: Sequence[Leg]
    side: int = -1
    where: Mask | None = None
    rules: Mapping[str, float] = {}
    priority: float = 0.0


@dataclass(frozen=True)
class PremiumParams:
    """Entries and exits of every premium strategy; days are calendar days, ranks run from 0 to 100."""

    target_dte: int = param(45, Int(35, 60, 5), minimum=1, help="wanted days to expiry at the entry")
    min_dte: int = param(30, minimum=1, help="least days to expiry at the entry")
    max_dte: int = param(65, minimum=1, help="most days to expiry at the entry")
    weeklies: bool = param(
        False, help="modelled markets: every Friday is listed, not each month's third only"
    )
    min_iv_rank: float = param(
        0.0, Float(0.0, 60.0, 10.0), minimum=0.0, maximum=100.0, help="least IV rank; unknown never enters"
    )
    rank_window: int = param(252, minimum=2, help="sessions of the IV rank")
    entry_day: str = param("every", Choice(("every", *WEEKDAYS)), help="every session, or one weekday")
    earnings_blackout_days: int = param(
        0, minimum=0, maximum=45, help="no entry this near to earnings, past or expected; 0 is off"
    )
    earnings_shift_days: int = param(
        SHIFT_DAYS, minimum=0, maximum=30, help="days around earnings that are expected, not announced"
    )
    profit_target_pct: float = param(
        50.0, Float(25.0, 75.0, 12.5), minimum=0.0, maximum=100.0, help="of the credit, to keep; 0 is never"
    )
    stop_multiple: float = param(
        2.0, Float(1.5, 4.0, 0.5), minimum=0.0, help="stop at so many credits (2 loses one); 0 is never"
    )
    exit_dte: int = param(21, Int(0, 28, 7), minimum=0, help="exit at days to expiry; 0 holds to expiry")
    roll: bool = param(False, help="the exit at exit_dte is a roll: the next entry goes on in its group")
    delta_exit: float = param(
        0.0, minimum=0.0, maximum=1.0, help="exit where an option sold has this absolute delta; 0 is never"
    )
    trail_start_pct: float = param(
        0.0, minimum=0.0, help="gain from which the profit is trailed, percent of the credit; 0 is never"
    )
    trail_back_pct: float = param(
        0.0, minimum=0.0, help="percent of the credit to give back before a trailed profit is taken"
    )
    qty: float = param(0.0, minimum=0.0, help="packages per trade; 0: sized by the risk manager")

    def __post_init__(self) -> None:
        check_rule(
            self.min_dte <= self.target_dte <= self.max_dte, "target_dte lies from min_dte to max_dte", self
        )
        check_rule(
            self.exit_dte < self.min_dte, "exit_dte is below min_dte, or every trade ends at once", self
        )
        off = self.stop_multiple == 0.0
        check_rule(
            off or self.stop_multiple > 1.0, "stop_multiple is above 1 (1 is the entry itself), or 0", self
        )
        trails = self.trail_start_pct > 0.0, self.trail_back_pct > 0.0
        check_rule(trails[0] == trails[1], "trail_start_pct and trail_back_pct are both 0, or neither", self)


@dataclass(frozen=True)
class DeltaParams(PremiumParams):
    """The common parameters, and between which deltas the options sold must lie."""

    min_delta: float = param(0.05, minimum=0.0, maximum=1.0, help="least absolute delta of an option sold")
    max_delta: float = param(0.50, minimum=0.0, maximum=1.0, help="most absolute delta of an option sold")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delta", "put_delta", "call_delta"):
            if not hasattr(self, name):
                continue
            delta = getattr(self, name)
            inside = self.min_delta <= delta <= self.max_delta
            check_rule(inside, f"{name} lies from min_delta to max_delta", self)
            later = self.delta_exit == 0.0 or self.delta_exit > delta
            check_rule(later, f"delta_exit is above {name}, or every trade ends at once", self)


class PremiumStrategy(Strategy):
    """Base of strategies that open option packages at the close of daily bars."""

    name = "premium"
    Params = PremiumParams
    params: Any

    @abstractmethod
    def plans(self, selection: Selection) -> list[Plan]:
        """Return the packages that would be opened on one symbol, at every bar."""

    @property
    def warmup(self) -> int:
        """Sessions until the IV rank is known."""
        return int(self.params.rank_window)

    @property
    def window(self) -> ExpiryWindow:
        """Expiries that will do at the entry."""
        given = self.params
        return ExpiryWindow(given.target_dte, given.min_dte, given.max_dte, given.weeklies)

    def signals(self, bars: Bars) -> Signals:
        """One signal per plan, symbol and bar on which everything asked for is there.

        Raises
        ------
        StrategyError
            STRATEGY_NO_OPTIONS for bars without options or without their implied volatility,
            STRATEGY_INTRADAY for bars shorter than a session.
        """
        from simulator.options.packages import make_rules, package_signals

        market = self._market(bars)
        rows, columns, sides, priorities, ranks = [], [], [], [], []
        legs: list[Records] = []
        rules: list[Records] = []
        for column, symbol in enumerate(bars.symbols):
            selection = Selection.on(bars, symbol)
            rank = self._rank(selection, market.volatility[:, column])
            allowed = self._allowed(bars, column, rank)
            for plan in self.plans(selection):
                row = np.flatnonzero(allowed & _complete(plan))
                common = self._rules(selection)
                rows.append(row)
                columns.append(np.full(row.size, column))
                sides.append(np.full(row.size, plan.side))
                priorities.append(np.full(row.size, plan.priority))
                ranks.append(rank[row])
                legs.append(_legs(plan, row))
                rules.append(make_rules(row.size, **{**common, **plan.rules}))
        # By bar: the number of a package must not depend on bars to come.
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        packages = np.concatenate(rules)[order]
        unsized = (packages["covered"] == 1) | (self.params.qty == 0.0)
        return package_signals(
            bars,
            row[order],
            np.concatenate(columns)[order],
            np.concatenate(sides)[order],
            np.concatenate(legs)[order],
            packages,
            qty=np.where(unsized, np.nan, self.params.qty),
            priority=np.concatenate(priorities)[order],
            strategy=self.name,
            tag=_quarters(np.concatenate(ranks)[order]),
        )

    def values(self, bars: Bars) -> Mapping[str, Array]:
        """IV rank, and strike, expiry (days since 1970-01-01, 0 is none) and delta of every option leg."""
        market = self._market(bars)
        shape = (len(bars), len(bars.symbols))
        series = {"iv_rank": np.full(shape, np.nan)}
        for column, symbol in enumerate(bars.symbols):
            selection = Selection.on(bars, symbol)
            series["iv_rank"][:, column] = self._rank(selection, market.volatility[:, column])
            for number, plan in enumerate(self.plans(selection)):
                for k, leg in enumerate(plan.legs):
                    for what in ("strike", "expiry", "delta") if leg.pick is not None else ():
                        named = series.setdefault(f"{what}_{number}_{k}", np.full(shape, np.nan))
                        named[:, column] = getattr(leg.pick, what)
        return series

    def sold(self, selection: Selection, right: str, delta: float) -> Pick:
        """Return the option to sell at a delta within `min_delta` and `max_delta`."""
        return selection.by_delta(right, self.window, delta, self.params.min_delta, self.params.max_delta)

    def credit(self, selection: Selection, legs: Sequence[Leg]) -> Array:
        """Return what options bring at the middle of their quotes, currency per share, (T,)."""
        picks = [(leg.side, leg.pick) for leg in legs if leg.pick is not None]
        mids = [-side * selection.mid(pick, american=not selection.index) for side, pick in picks]
        return np.asarray(np.sum(mids, axis=0), np.float64)

    def _market(self, bars: Bars) -> Any:
        if bars.options is None:
            raise StrategyError(
                f"{self.name} trades options, and {bars!r} knows nothing of them; add quotes or a surface: "
                "bars.with_options(OptionMarket.modelled(bars, {symbol: volatility}))",
                code="STRATEGY_NO_OPTIONS",
            )
        if not bars.options.volatility.size:
            raise StrategyError(
                f"{self.name} enters by IV rank, and the option market of {bars!r} has stored quotes but no "
                "implied volatility; `OptionMarket.from_chains` derives it, or takes volatility=",
                code="STRATEGY_NO_OPTIONS",
            )
        if not bars.daily:
            raise StrategyError(
                f"{self.name} ranks one volatility per session, and {bars!r} has several bars in one; "
                'resample them: bars.resample("1d")',
                code="STRATEGY_INTRADAY",
            )
        return bars.options

    def _rank(self, selection: Selection, volatility: Array) -> Array:
        window = self.params.rank_window
        rank: Array = selection.remember(("rank", window), lambda: iv_rank(volatility, window))
        return rank

    def _allowed(self, bars: Bars, column: int, rank: Array) -> Mask:
        allowed = (rank >= self.params.min_iv_rank) & np.isfinite(bars.close[:, column])  # NaN is never
        if self.params.entry_day != "every":
            # 1970-01-01 was a Thursday
            allowed &= (bars.session + 3) % 7 == WEEKDAYS.index(self.params.entry_day)
        if self.params.earnings_blackout_days:
            near, shift = self.params.earnings_blackout_days, self.params.earnings_shift_days
            allowed &= ~near_earnings(bars, column, near, shift)
        return np.asarray(allowed, bool)

    def _rules(self, selection: Selection) -> dict[str, float]:
        # Options on an index are European and pay cash; those on shares are American and deliver them.
        shares = float(not selection.index)
        return {
            "profit_target": self.params.profit_target_pct / 100.0,
            "stop_loss": max(self.params.stop_multiple - 1.0, 0.0),
            "dte_exit": self.params.exit_dte,
            "roll": float(self.params.roll),
            "delta_exit": self.params.delta_exit,
            "trail_start": self.params.trail_start_pct / 100.0,
            "trail_back": self.params.trail_back_pct / 100.0,
            "american": shares,
            "physical": shares,
        }


def check_rule(holds: bool, rule: str, params: PremiumParams) -> None:
    """Raise `StrategyError` STRATEGY_PARAM_VALUE where parameters that must fit each other do not."""
    if not holds:
        raise StrategyError(
            f"a rule of the parameters is broken: {rule}. Given: {params}", code="STRATEGY_PARAM_VALUE"
        )


def _complete(plan: Plan) -> Mask:
    found = np.bool_(True) if plan.where is None else plan.where
    for leg in plan.legs:
        if leg.pick is not None:
            found = found & (leg.pick.expiry > 0)
    return np.asarray(found, bool)


def _legs(plan: Plan, row: npt.NDArray[np.intp]) -> Records:
    legs = np.zeros((row.size, 4), LEG)
    legs["strike"] = np.nan
    for k, leg in enumerate(plan.legs):
        legs["side"][:, k], legs["ratio"][:, k] = leg.side, 1
        if leg.pick is not None:
            legs["right"][:, k] = leg.pick.right
            legs["strike"][:, k] = leg.pick.strike[row]
            legs["expiry"][:, k] = leg.pick.expiry[row]
    return legs


def _quarters(rank: Array) -> list[str]:
    words = [f"rank {low}-{low + 25}" for low in (0, 25, 50, 75)]
    return [words[quarter] for quarter in np.clip(rank // 25, 0, 3).astype(int)]
