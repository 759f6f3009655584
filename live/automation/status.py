"""The status of an automation as plain values: what a page, a terminal or a script shows.

Rates and shares are percent, amounts are currency, times are aware. `win_rate` and averages are NaN before
the first closed trade, so that they can be formatted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from journal.performance.metrics import PerformanceMetrics
from live.automation.account import to_time
from simulator.portfolio_risk_manager import PortfolioRisk, PositionRisk

if TYPE_CHECKING:
    from live.trading_automation import TradingAutomation

__all__ = ["portfolio_status"]

_FIGURES: Final = (
    "trades", "wins", "losses", "scratches", "win_rate", "profit_factor", "expectancy", "average_win",
    "average_loss", "payoff_ratio", "mean_r", "sum_r", "total_pnl", "total_fees", "streak",
    "longest_win_streak", "longest_loss_streak", "max_drawdown",
)  # fmt: skip
_GREEKS: Final = ("delta_pct", "beta_delta_pct", "gamma_pct", "theta_pct", "vega_pct")


def portfolio_status(automation: TradingAutomation) -> dict[str, Any]:
    """Return what `TradingAutomation.get_portfolio_status` gives.

    Returns
    -------
    dict
        `time`; `equity`, `cash`, `account_size`, `total_return` (percent of the account size);
        `portfolio_heat` and `max_portfolio_heat`, `daily_loss` (0 after a gain) and `daily_loss_limit`,
        `gross_exposure`, `net_exposure`, `drawdown`, all percent; `sector_exposure` by name, percent;
        `open_positions` (a count), `max_open_positions`, `positions` (one mapping each); `greeks`, percent of
        equity, empty before the first price; `pending_signals` (ids), `pending_requests` (ids);
        `review_problems` (what is wrong with requests and decisions, in words); `halt_state` of the account,
        `kill_switch` (the status of the switch); `performance` (figures of all
        closed trades); `automation_mode`, `execution_mode`; `journal`.
    """
    config = automation.config
    risk = automation.portfolio_risk()
    last = automation.session.last_ts
    return {
        "time": automation.clock() if last is None else to_time(last),
        "equity": risk.equity,
        "cash": risk.cash,
        "account_size": float(config.account_size),
        "total_return": 100.0 * (risk.equity / float(config.account_size) - 1.0),
        "portfolio_heat": risk.heat_pct,
        "max_portfolio_heat": config.max_portfolio_heat_pct,
        "daily_loss": max(0.0, risk.daily_loss_pct),
        "daily_loss_limit": config.daily_loss_limit,
        "gross_exposure": risk.gross_exposure_pct,
        "net_exposure": risk.net_exposure_pct,
        "drawdown": risk.drawdown_pct,
        "sector_exposure": _sectors(automation, risk),
        "open_positions": risk.open_positions,
        "max_open_positions": config.max_open_positions,
        "positions": [_position(automation, position) for position in risk.positions],
        "greeks": {name: getattr(risk, name) for name in _GREEKS} if last is not None else {},
        "pending_signals": [bracket.signal_id for bracket in automation.pending_signals()],
        "pending_requests": [
            request.request_id for request in automation.broker_manager.get_pending_requests()
        ],
        "review_problems": automation.safety.problems,
        "halt_state": risk.halt_state.name,
        "kill_switch": automation.broker_manager.kill_switch.status,
        "performance": _performance(automation.tracker.metrics()),
        "automation_mode": config.automation_mode.name,
        "execution_mode": config.execution_mode.name,
        "journal": automation.journal_note,
    }


def _performance(metrics: PerformanceMetrics) -> dict[str, Any]:
    found = {name: getattr(metrics, name) for name in _FIGURES}
    return {name: math.nan if value is None else value for name, value in found.items()}


def _position(automation: TradingAutomation, position: PositionRisk) -> dict[str, Any]:
    bracket = automation.desk.held_bracket(position.symbol)
    target = bracket.take_profit
    trail = bracket.trailing_stop
    return {
        "symbol": position.symbol,
        "signal_id": bracket.signal_id,
        "side": "long" if position.side > 0 else "short",
        "quantity": position.quantity,
        "entry_price": position.entry_price,
        "price": position.mark,
        "stop": position.stop,
        "target": None if target is None or not target.is_open else target.price,
        "trailing_stop": None if trail is None else trail.level,
        "market_value": position.market_value,
        "unrealized_pnl": position.unrealized,
        "risk": position.risk,
        "risk_pct": position.risk_pct,
        "sector": automation.account.sectors.get(position.symbol, "Unknown"),
        "opened": bracket.entry.updated_at,
    }


def _sectors(automation: TradingAutomation, risk: PortfolioRisk) -> dict[str, float]:
    found: dict[str, float] = {}
    for position in risk.positions:
        name = automation.account.sectors.get(position.symbol, "Unknown")
        found[name] = found.get(name, 0.0) + 100.0 * abs(position.market_value) / risk.equity
    return dict(sorted(found.items()))
