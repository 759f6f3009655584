"""The Python face of the risk manager: what is at risk now, and what it would say to a signal.

Nothing is decided here: measures come from `simulator.kernel.measures` and verdicts from
`simulator.kernel.risk`, the rules that backtest, paper and live run under.

>>> from simulator import Run, Signals, load_bars
>>> bars = load_bars("synthetic:3x90?seed=1")
>>> run = Run(bars, Signals.empty(bars))
>>> run.advance()
>>> PortfolioRiskManager().portfolio_risk(run).heat_pct
0.0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import Run, prepare
from simulator.kernel.inspect import correlations, judge_once, portfolio_greeks, portfolio_measures
from simulator.kernel.state import Market, State, allocate_logs
from simulator.kernel.views import lanes_of, view_of
from simulator.risk_limits import RiskLimits
from simulator.setup import market_of, params_of
from simulator.types import HaltState, Reason, Verdict, absent_inputs

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["PortfolioRisk", "PortfolioRiskManager", "PositionRisk", "Verdict"]


class HasState(Protocol):
    """Anything with an account: a `Run` or a `Stepper`."""

    @property
    def state(self) -> State:
        """The account's state."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        ...


@dataclass(frozen=True, slots=True)
class PositionRisk:
    """What one open position has at risk; prices and amounts in currency."""

    symbol: str
    side: int
    quantity: float
    entry_price: float
    mark: float
    stop: float
    market_value: float
    unrealized: float
    risk: float
    risk_pct: float
    sector: int


@dataclass(frozen=True, slots=True)
class PortfolioRisk:
    """What the whole account has at risk, working entries and planned adds included; percents of equity.

    The Greeks are those that `RiskLimits` caps: dollar delta (plain, and weighted by the betas of the bars),
    its change for a move of 1 %, theta per calendar day (above 0: received), and vega per percentage point of
    volatility. They need bars, and are NaN without them.
    """

    equity: float
    cash: float
    heat: float
    heat_pct: float
    gross_exposure_pct: float
    net_exposure_pct: float
    drawdown_pct: float
    daily_loss_pct: float
    delta_pct: float
    beta_delta_pct: float
    gamma_pct: float
    theta_pct: float
    vega_pct: float
    open_positions: int
    working_entries: int
    halt_state: HaltState
    positions: tuple[PositionRisk, ...]
    limits: RiskLimits


class PortfolioRiskManager:
    """Asks the kernel's rules about an account.

    Parameters
    ----------
    limits
        The limits in force.
    costs, conventions
        Fees and same-symbol rules that sizing looks at.
    """

    def __init__(
        self,
        limits: RiskLimits | None = None,
        *,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
    ) -> None:
        self.limits = limits or RiskLimits()
        self._params = params_of(1.0, self.limits, Costs.of(costs), Conventions.of(conventions), raw=False)

    def portfolio_risk(self, account: HasState, bars: Bars | None = None, *, row: int = -1) -> PortfolioRisk:
        """Measure an account as it stands.

        Parameters
        ----------
        account
            A run or a stepper.
        bars, row
            The bars, with their options, and the row of the last bar that the account has seen: Greeks are
            worked out there. A run knows its own; a stepper keeps none.
        """
        if bars is None and isinstance(account, Run):
            bars, row = account.bars, account.at - 1
        state = account.state
        heats = np.zeros(len(state.positions))
        heat, gross, net, _ = portfolio_measures(view_of(state), self._params, -1, heats)
        record = state.account[0]
        equity = float(record["equity"])
        positions = tuple(
            self._position(state, int(slot), account.symbols, heats, equity)
            for slot in state.open_slots["slot"][: int(record["n_positions"])]
        )
        greeks = _greeks(state, bars, row)
        return PortfolioRisk(
            equity=equity,
            cash=float(record["cash"]),
            heat=float(heat),
            heat_pct=100.0 * heat / equity,
            gross_exposure_pct=100.0 * gross / equity,
            net_exposure_pct=100.0 * net / equity,
            drawdown_pct=100.0 * (1.0 - equity / float(record["peak_equity"])),
            daily_loss_pct=100.0 * (1.0 - equity / float(record["baseline"])),
            **{f"{name}_pct": 100.0 * value / equity for name, value in greeks.items()},
            open_positions=int(record["n_positions"]),
            working_entries=int(record["n_orders"]),
            halt_state=HaltState(int(record["state"])),
            positions=positions,
            limits=self.limits,
        )

    def evaluate(self, run: Run, signals: Signals) -> list[Verdict]:
        """Say what each signal would get at the last bar of `run`, one after another, changing nothing."""
        state = State(*(array.copy() for array in run.state))
        logs = allocate_logs(0, 0, len(signals), 0, 0)
        view, logs_view, market_view = view_of(state), view_of(logs), view_of(run.market)
        records = prepare(signals, run.bars, self.limits)
        lanes = lanes_of([signals.lane(records)])
        for index in range(len(records)):
            judge_once(view, logs_view, market_view, self._params, lanes, index, max(run.at - 1, 0))
        return [_verdict(row, run.bars.symbols) for row in logs.verdicts[: int(logs.counts["verdicts"][0])]]

    def correlation_matrix(self, bars: Bars, row: int = -1) -> pd.DataFrame:
        """Correlations of daily log returns at a bar, as the gate sees them; NaN where too few are common."""
        import pandas as pd

        market: Market = market_of(bars)
        rho = np.zeros((len(bars.symbols), len(bars.symbols)))
        count: npt.NDArray[np.int64] = np.zeros(rho.shape, np.int64)
        correlations(view_of(market), row % len(bars), self.limits.correlation_window, rho, count)
        rho[count < self.limits.correlation_min_observations] = np.nan
        return pd.DataFrame(rho, index=list(bars.symbols), columns=list(bars.symbols))

    def _position(
        self, state: State, slot: int, symbols: tuple[str, ...], heats: npt.NDArray[np.float64], equity: float
    ) -> PositionRisk:
        record = state.positions[slot]
        side = int(record["side"])
        value = float(record["qty"] * record["mark"] * record["multiplier"])
        gain = (record["mark"] - record["entry_price"]) * side * record["qty"] * record["multiplier"]
        return PositionRisk(
            symbol=symbols[int(record["sym"])],
            side=side,
            quantity=float(record["qty"]),
            entry_price=float(record["entry_price"]),
            mark=float(record["mark"]),
            stop=float(record["stop_now"]) * side,
            market_value=value * side,
            unrealized=float(gain),
            risk=float(heats[slot]),
            risk_pct=100.0 * float(heats[slot]) / equity,
            sector=int(record["sector"]),
        )


def _greeks(state: State, bars: Bars | None, row: int) -> dict[str, float]:
    names = ("delta", "beta_delta", "gamma", "theta", "vega")
    if bars is None:
        return dict.fromkeys(names, float("nan"))
    copied = State(*(array.copy() for array in state))
    at = max(row % len(bars) if row < 0 else row, 0) if len(bars) else 0
    values = portfolio_greeks(view_of(copied), view_of(market_of(bars)), at)
    return dict(zip(names, map(float, values), strict=True))


def _verdict(row: np.void, symbols: tuple[str, ...]) -> Verdict:
    return Verdict(
        symbol=symbols[int(row["sym"])],
        side=int(row["side"]),
        reason=Reason(int(row["reason"])),
        rule=Reason(int(row["rule"])),
        value=float(row["value"]),
        limit=float(row["limit"]),
        asked=float(row["asked"]),
        granted=float(row["granted"]),
        absent=tuple(absent_inputs(int(row["absent"]))),
    )
