"""How a `TradingAutomation` trades: account, limits, order handling, modes and safety, as one checked value.

Names that end in `_pct` or `_percent`, and `daily_loss_limit`, are percent: 2.0 is 2 %. Every assignment is
checked like the constructor's arguments. The two modes may be changed while an automation runs; the rest is
fixed when its account opens, and the automation says so where something else was changed.

>>> AutomationConfig(risk_per_trade_pct=1.0).limits().risk_per_trade_pct
1.0
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, did_you_mean, known_fields
from simulator.risk_limits import RiskLimits
from simulator.types import SignalStrength

__all__ = ["AutomationConfig", "AutomationMode", "ExecutionMode"]


class AutomationMode(Enum):
    """Who decides what.

    MANUAL: signals are made and executed by hand; pattern scans are refused. SEMI_AUTO: scans become signals,
    a person executes them. FULL_AUTO: what the risk manager admits is executed at once.
    """

    MANUAL = "manual"
    SEMI_AUTO = "semi_auto"
    FULL_AUTO = "full_auto"


class ExecutionMode(Enum):
    """Where orders go: straight to the paper account, there through a person's review, or to a broker."""

    PAPER_ONLY = "paper_only"
    MANUAL_REVIEW = "manual_review"
    LIVE = "live"


_ENUMS: Final[dict[str, type[Enum]]] = {
    "automation_mode": AutomationMode,
    "execution_mode": ExecutionMode,
    "min_signal_strength": SignalStrength,
}
_FLAGS: Final = (
    "use_bracket_orders",
    "use_trailing_stops",
    "scale_out_enabled",
    "kill_switch_enabled",
    "allow_full_auto_live",
    "live_key",
)
_POSITIVE: Final = ("account_size", "trailing_stop_percent", "scale_out_r", "signal_valid_days")


@known_fields("setting of the automation", code="LIVE_CONFIG")
@dataclass(kw_only=True)
class AutomationConfig:
    """Settings of an automation; the defaults are those of a careful swing trader.

    Parameters
    ----------
    account_size
        Cash at the start, in currency.
    risk_per_trade_pct, max_portfolio_heat_pct, max_sector_exposure_pct
        Percent of equity: loss at the stop of one trade, sum of open risk, notional per sector. Symbols
        whose sector is unknown share one sector.
    min_signal_strength, min_risk_reward_ratio, min_pattern_score
        Smallest class, reward per unit of risk, and score from 0 to 100, where a signal carries them.
    use_bracket_orders
        Attach the signal's target to its stop; without, only the stop and the trail end a trade.
    use_trailing_stops, trailing_stop_percent
        Trail the stop, percent below the best price; the tighter of stop and trail is in force.
    scale_out_enabled
        Take `scale_out_fraction` of a position off at a gain of `scale_out_r`.
    max_days_in_trade
        Calendar days after which a position leaves; None: no limit.
    max_open_positions
        Positions at one time.
    automation_mode, execution_mode
        See `AutomationMode` and `ExecutionMode`.
    daily_loss_limit
        Loss since the last session's end that halts entries, percent.
    kill_switch_enabled
        Engage the kill switch at the daily loss limit: it holds until a person arms it. Without, entries
        are halted until the next session, and with it too.
    trailing_activate_r
        Gain in R after which the trail begins; None: with the fill.
    scale_out_r, scale_out_fraction
        See `scale_out_enabled`.
    signal_valid_days
        Days in which a processed signal may be executed.
    costs, conventions
        As in `backtest`; a cap on volume has no meaning for prices without volume, and is refused.
    calendar
        Exchange calendar whose sessions count, ISO 10383 code or "24/7".
    live_key
        The key without which LIVE is refused; it needs the flag of whoever starts as well, and a kill switch
        of scope "live" that a person has armed.
    allow_full_auto_live
        The separate key without which FULL_AUTO and LIVE do not go together.

    Raises
    ------
    ConfigError
        LIVE_CONFIG for an unknown name or an impossible value, LIVE_FULL_AUTO; CONFIG_... from `RiskLimits`.
    """

    account_size: float = 100_000.0
    risk_per_trade_pct: float = 2.0
    max_portfolio_heat_pct: float = 6.0
    max_sector_exposure_pct: float = 25.0
    min_signal_strength: SignalStrength = SignalStrength.MODERATE
    min_risk_reward_ratio: float = 2.0
    min_pattern_score: float = 60.0
    use_bracket_orders: bool = True
    use_trailing_stops: bool = True
    trailing_stop_percent: float = 5.0
    scale_out_enabled: bool = False
    max_days_in_trade: int | None = 30
    max_open_positions: int = 5
    automation_mode: AutomationMode = AutomationMode.SEMI_AUTO
    execution_mode: ExecutionMode = ExecutionMode.PAPER_ONLY
    daily_loss_limit: float = 2.0
    kill_switch_enabled: bool = True
    trailing_activate_r: float | None = None
    scale_out_r: float = 1.0
    scale_out_fraction: float = 0.5
    signal_valid_days: float = 5.0
    costs: Costs | str | None = None
    conventions: Conventions | str = "realistic"
    calendar: str = "XNYS"
    live_key: bool = False
    allow_full_auto_live: bool = False

    def __post_init__(self) -> None:
        for name, kind in _ENUMS.items():
            object.__setattr__(self, name, _member(name, kind, getattr(self, name)))
        self._check()
        object.__setattr__(self, "_checked", True)

    def __setattr__(self, name: str, value: Any) -> None:
        names = [field.name for field in fields(self)]
        if name not in names:
            raise ConfigError(
                f"no setting of the automation {name!r}.{did_you_mean(name, names)}", code="LIVE_CONFIG"
            )
        if not getattr(self, "_checked", False):
            object.__setattr__(self, name, value)
            return
        before = getattr(self, name)
        object.__setattr__(self, name, _member(name, _ENUMS[name], value) if name in _ENUMS else value)
        try:
            self._check()
        except ConfigError:
            object.__setattr__(self, name, before)
            raise

    def limits(self) -> RiskLimits:
        """Return the limits under which the account trades."""
        return RiskLimits(
            risk_per_trade_pct=self.risk_per_trade_pct,
            max_portfolio_heat_pct=self.max_portfolio_heat_pct,
            max_sector_exposure_pct=self.max_sector_exposure_pct,
            daily_loss_limit=self.daily_loss_limit,
            max_open_positions=self.max_open_positions,
            min_risk_reward_ratio=self.min_risk_reward_ratio,
            min_signal_strength=self.min_signal_strength,
            min_pattern_score=self.min_pattern_score,
            max_days_in_trade=self.max_days_in_trade,
        )

    def rules(self) -> dict[str, Any]:
        """Return what an account is opened with: cash, limits, costs and conventions."""
        return {
            "cash": float(self.account_size),
            "risk": self.limits(),
            "costs": Costs.of(self.costs),
            "conventions": Conventions.of(self.conventions),
        }

    def _check(self) -> None:
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                _refuse(name, getattr(self, name), "it is True or False")
        for name in _POSITIVE:
            _number(name, getattr(self, name))
        if self.trailing_stop_percent >= 100.0:
            _refuse("trailing_stop_percent", self.trailing_stop_percent, "it must be below 100")
        if _number("scale_out_fraction", self.scale_out_fraction) >= 1.0:
            _refuse("scale_out_fraction", self.scale_out_fraction, "a part is less than the whole: below 1")
        if self.trailing_activate_r is not None:
            _number("trailing_activate_r", self.trailing_activate_r)
        days = self.max_days_in_trade
        if days is not None and (isinstance(days, bool) or not isinstance(days, Integral)):
            _refuse("max_days_in_trade", days, "it is a whole number of days, or None")
        if self.rules()["conventions"].volume_cap > 0.0:
            _refuse("conventions", self.conventions, "its volume_cap needs volumes, and prices have none")
        self.check_modes()

    def check_modes(self) -> None:
        """Raise `ConfigError` LIVE_FULL_AUTO where the two modes do not go together."""
        if (
            self.automation_mode == AutomationMode.FULL_AUTO
            and self.execution_mode == ExecutionMode.LIVE
            and not self.allow_full_auto_live
        ):
            raise ConfigError(
                "FULL_AUTO is for paper trading, and execution_mode is LIVE; let a person decide "
                "(SEMI_AUTO), or say allow_full_auto_live=True as well",
                code="LIVE_FULL_AUTO",
            )


def _member(name: str, kind: type[Enum], value: Any) -> Enum:
    if isinstance(value, kind):
        return value
    names = list(kind.__members__)
    word = str(value).strip().upper().replace(" ", "_")
    if isinstance(value, str) and word in names:
        return kind[word]
    raise ConfigError(
        f"{name} is {value!r}, no {kind.__name__}.{did_you_mean(word, names)}", code="LIVE_CONFIG"
    )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        _refuse(name, value, "it must be a finite number above 0")
    return float(value)


def _refuse(name: str, value: Any, why: str) -> None:
    raise ConfigError(f"{name} is {value!r}; {why}", code="LIVE_CONFIG")
