"""Weights as risk budgets: what share of the risk per trade each strategy or symbol may take.

The risk manager sizes every trade by `risk_per_trade_pct` of the account's equity, whoever trades. A budget
scales that per sleeve: weights on returns are weights on risk per trade, because what a sleeve earns is in
proportion to what it risks. All other limits (heat, sectors, slots, buying power) stay those of the account,
and hold as before. With `keep="limit"` the largest weight trades at the limit and the others below it, so no
limit is raised; with `keep="total"` the mean scale is 1, and risk per trade goes above the limit where a
weight is above the mean.

The kernel does the sizing: at each bar with signals it is asked what it would grant at the scaled risk, from
the equity of that moment, and the answer becomes the signal's quantity. So a budget gives ordinary signals,
which run, replay and report as any others.

>>> budget = RiskBudget({"trend": 0.6, "fade": 0.3, "gap": 0.1})
>>> {name: round(scale, 3) for name, scale in budget.scales.items()}
{'trend': 1.0, 'fade': 0.5, 'gap': 0.167}
>>> budget.limits_of("fade").risk_per_trade_pct
1.0
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from optimize.portfolio.sleeves import By, check_by, kept, scales_of, sleeve_signals
from optimize.weights import PortfolioWeights
from simulator.engine import DEFAULT_RISK, Run, backtest
from simulator.errors import ConfigError, TwinstepWarning, did_you_mean
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.results import Result
    from simulator.risk_limits import RiskLimits
    from simulator.types import TrialSink

__all__ = ["RiskBudget"]

Floats = npt.NDArray[np.float64]

_WHOLE: Final = 1e-6


@dataclass(frozen=True)
class RiskBudget:
    """Shares of the risk by sleeve.

    Parameters
    ----------
    weights
        `PortfolioWeights`, or shares by name of the sleeve: 0 or more, together 1.
    by
        What a sleeve is: "strategy", "symbol", or "both" ("strategy/symbol").
    keep
        "limit": the largest weight has the whole `risk_per_trade_pct`. "total": the mean of all weights has.

    Raises
    ------
    ConfigError
        OPTIMIZE_WEIGHTS for shares that are negative or do not make a whole.
    """

    weights: PortfolioWeights | Mapping[str, float]
    by: By = "strategy"
    keep: Literal["limit", "total"] = "limit"

    def __post_init__(self) -> None:
        check_by(self.by)
        if self.keep not in ("limit", "total"):
            raise _wrong(f"keep is {self.keep!r}; it is 'limit' or 'total'")
        values = list(self.shares.values())
        if not values or not all(0.0 <= value <= 1.0 for value in values):
            raise _wrong(f"the weights are {dict(self.shares)}; each is a share from 0 to 1")
        if abs(math.fsum(values) - 1.0) > _WHOLE:
            raise _wrong(f"the weights make {math.fsum(values):g} together; a whole is 1")

    @property
    def shares(self) -> Mapping[str, float]:
        """Weights by sleeve."""
        given = self.weights.weights if isinstance(self.weights, PortfolioWeights) else self.weights
        return MappingProxyType(dict(given))

    @property
    def scales(self) -> dict[str, float]:
        """What risk per trade is multiplied by, by sleeve."""
        shares = self.shares
        whole = max(shares.values()) if self.keep == "limit" else 1.0 / len(shares)
        return {name: share / whole for name, share in shares.items()}

    def limits_of(self, sleeve: str, limits: RiskLimits = DEFAULT_RISK) -> RiskLimits:
        """Return the limits of a sleeve that is run for itself, in a session or a backtest of its own.

        Its risk per trade is scaled; of the account's heat it has its share, so that all sleeves together
        keep to it.

        Raises
        ------
        ConfigError
            OPTIMIZE_WEIGHTS for a sleeve that has no budget.
        """
        if not self.shares.get(sleeve, 0.0) > 0.0:
            funded = [name for name, share in self.shares.items() if share > 0.0]
            raise _wrong(f"{sleeve!r} has no budget.{did_you_mean(sleeve, funded)}")
        return _quietly(
            limits,
            risk_per_trade_pct=limits.risk_per_trade_pct * self.scales[sleeve],
            max_portfolio_heat_pct=limits.max_portfolio_heat_pct * self.shares[sleeve],
        )

    def account_limits(self, limits: RiskLimits = DEFAULT_RISK) -> RiskLimits:
        """Return the limits of the one account: risk per trade as high as the largest scale asks for."""
        return _quietly(limits, risk_per_trade_pct=limits.risk_per_trade_pct * max(self.scales.values()))

    def signals(
        self,
        bars: Bars,
        strategies: Any,
        *,
        cash: float = 100_000.0,
        risk: RiskLimits = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: Conventions | str = "realistic",
    ) -> Signals:
        """Return the strategies' signals with the quantities that their budgets give them in one account.

        They belong to this run: run them with `account_limits` and the same cash, costs and conventions.
        Signals of a sleeve with weight 0 are left out; those with a `qty` of their own keep it.

        Raises
        ------
        ConfigError
            OPTIMIZE_WEIGHTS where a signal belongs to a sleeve without a weight.
        """
        together = Signals.concat(list(sleeve_signals(bars, strategies).values()))
        scales = scales_of(together, self.scales, self.by)
        self._check_known(together, scales)
        together = kept(together, scales > 0.0)
        scales = scales[scales > 0.0]
        rules: dict[str, Any] = {"cash": cash, "costs": costs, "conventions": conventions}
        return _sized(bars, together, scales, risk, self.account_limits(risk), rules)

    def backtest(
        self,
        bars: Bars,
        strategies: Any,
        *,
        cash: float = 100_000.0,
        risk: RiskLimits = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: Conventions | str = "realistic",
        sink: TrialSink | None = None,
    ) -> Result:
        """Run the strategies in one account under their budgets; parameters as in `simulator.backtest`."""
        signals = self.signals(bars, strategies, cash=cash, risk=risk, costs=costs, conventions=conventions)
        return backtest(
            bars, signals, cash=cash, risk=self.account_limits(risk), costs=costs, conventions=conventions,
            sink=sink,
        )  # fmt: skip

    def _check_known(self, signals: Signals, scales: Floats) -> None:
        unknown = np.isnan(scales)
        if unknown.any():
            record = signals.records[int(np.argmax(unknown))]
            strategy, symbol = signals.strategies[record["strategy"]], signals.symbols[record["sym"]]
            name = {"strategy": strategy, "symbol": symbol}.get(self.by, f"{strategy}/{symbol}")
            raise _wrong(f"sleeve {name!r} has no weight.{did_you_mean(name, self.shares)} Give it one, or 0")


# Parts


def _sized(
    bars: Bars, signals: Signals, scales: Floats, risk: RiskLimits, account: RiskLimits, rules: dict[str, Any]
) -> Signals:
    """Return the signals with the quantity that the kernel finds at each one's scaled risk."""
    run = Run(bars, signals, risk=account, **rules)
    records = run.records.copy()
    rates = scales * risk.risk_per_trade_pct / 100.0
    # at the account's own risk per trade the kernel needs no help
    asks = np.isnan(records["qty"]) & (records["side"] != 0) & (scales < scales.max(initial=0.0))
    rows, starts = np.unique(records["row"], return_index=True)
    for row, first, last in zip(rows, starts, [*starts[1:], len(records)], strict=True):
        run.advance(int(row))
        mine = records[first:last]
        for place in np.flatnonzero(asks[first:last]):
            alone = _asked(run, mine[place : place + 1], rates[first + place])[0]
            # a position that an earlier signal of this bar closes is in the way of one that comes alone
            mine["qty"][place] = alone if alone == alone else _asked(run, mine, rates[first + place])[place]
        run.step_with(mine)
        run.at = int(row) + 1
    given = signals.records.copy()
    given["qty"] = records["qty"]
    given["row"] = -1
    return Signals(
        given, signals.symbols, tags=signals.tags, strategies=signals.strategies, sectors=signals.sectors,
        checked_stops=signals.checked_stops, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip


def _asked(run: Run, records: npt.NDArray[np.void], rate: float) -> Floats:
    """Quantities that these signals would get at this risk per trade; NaN for those that are not sized.

    The run is as it was before.
    """
    whole = run.params["risk_per_trade"].copy()
    run.books.take()
    before = run.books.snapshot()
    run.params["risk_per_trade"] = rate
    run.step_with(records)
    found = run.books.take()["verdicts"]["asked"]
    run.books.restore(before)
    run.params["risk_per_trade"] = whole
    return np.asarray(found)


def _quietly(limits: RiskLimits, **changes: Any) -> RiskLimits:
    # a share of a limit is small because it is a share, and not because somebody meant a fraction
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)
        return limits.replace(**changes)


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="OPTIMIZE_WEIGHTS")
