"""The ground floor: types, bars, orders, fills, risk, the step, metrics and results.

`backtest` runs a strategy over bars under the risk manager; `sweep` runs many parameter sets at once;
`load_bars` brings the market; `RiskLimits`, `Costs` and `Conventions` say by which rules. Everything rests on
one compiled function, `simulator.kernel.step`. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.bars import Bars, load_bars
    from simulator.commands import Command
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.engine import Run, backtest
    from simulator.portfolio_risk_manager import PortfolioRisk, PortfolioRiskManager, PositionRisk
    from simulator.results import Result
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals
    from simulator.stepper import Stepper
    from simulator.stream import backtest_stream
    from simulator.sweeps import sweep

__all__ = [
    "Bars",
    "Command",
    "Conventions",
    "Costs",
    "PortfolioRisk",
    "PortfolioRiskManager",
    "PositionRisk",
    "Result",
    "RiskLimits",
    "Run",
    "Signals",
    "Stepper",
    "backtest",
    "backtest_stream",
    "load_bars",
    "sweep",
]

_HOMES = {
    "Bars": "bars",
    "Command": "commands",
    "Conventions": "conventions",
    "Costs": "costs",
    "PortfolioRisk": "portfolio_risk_manager",
    "PortfolioRiskManager": "portfolio_risk_manager",
    "PositionRisk": "portfolio_risk_manager",
    "Result": "results",
    "RiskLimits": "risk_limits",
    "Run": "engine",
    "Signals": "signals",
    "Stepper": "stepper",
    "backtest": "engine",
    "backtest_stream": "stream",
    "load_bars": "bars",
    "sweep": "sweeps",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"simulator.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
