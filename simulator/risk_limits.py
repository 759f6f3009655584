"""Risk limits: the user's rules as one validated value.

Names that end in `_pct`, and `daily_loss_limit`, are percent: 2.0 is 2 %. A limit of None is no limit. The
rules themselves are in `simulator.kernel.risk`; `docs/risk.md` explains each with numbers.

>>> RiskLimits().max_portfolio_heat_pct
6.0
>>> RiskLimits(max_open_positions=8).replace(risk_per_trade_pct=1.0).max_open_positions
8
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Final

from simulator.errors import ConfigError, known_fields, warn
from simulator.kernel import codes
from simulator.types import SignalStrength

__all__ = ["POLICIES", "RiskLimits"]

POLICIES: Final[dict[str, dict[str, int]]] = {
    "unknown_correlation": {"admit": codes.UNKNOWN_ADMIT, "reject": codes.UNKNOWN_REJECT},
    "halt_release": {"next_session": codes.RELEASE_NEXT_SESSION, "manual": codes.RELEASE_MANUAL},
    "daily_loss_action": {"halt": codes.BREACH_HALT, "flatten": codes.BREACH_FLATTEN},
    "drawdown_action": {"halt": codes.BREACH_HALT, "flatten": codes.BREACH_FLATTEN},
    "heat_basis": {"entry": codes.HEAT_FROM_ENTRY, "mark": codes.HEAT_FROM_MARK},
    "on_risk": {"shrink": codes.POLICY_SHRINK, "reject": codes.POLICY_REJECT},
    "on_heat": {"shrink": codes.POLICY_SHRINK, "reject": codes.POLICY_REJECT},
    "on_sector": {"shrink": codes.POLICY_SHRINK, "reject": codes.POLICY_REJECT},
    "on_exposure": {"shrink": codes.POLICY_SHRINK, "reject": codes.POLICY_REJECT},
    "on_greeks": {"shrink": codes.POLICY_SHRINK, "reject": codes.POLICY_REJECT},
}
"""Named policies and the codes that the kernel reads, default first."""

# Below these a percent was probably given as a fraction (0.02 for 2 %).
_FRACTION_SUSPECTS: Final = {
    "risk_per_trade_pct": 0.1,
    "max_portfolio_heat_pct": 0.5,
    "max_sector_exposure_pct": 1.0,
    "daily_loss_limit": 0.1,
    "max_position_size_pct": 1.0,
    "max_gross_exposure_pct": 3.0,
    "max_net_exposure_pct": 3.0,
    "max_drawdown_pct": 1.0,
    "max_net_delta_pct": 3.0,
    "max_gamma_pct": 0.05,
    "max_theta_pct": 0.01,
    "max_vega_pct": 0.01,
}
_POSITIVE: Final = (
    "risk_per_trade_pct",
    "max_portfolio_heat_pct",
    "max_sector_exposure_pct",
    "daily_loss_limit",
    "max_position_size_pct",
    "max_gross_exposure_pct",
    "max_net_exposure_pct",
    "max_drawdown_pct",
    "max_net_delta_pct",
    "max_gamma_pct",
    "max_theta_pct",
    "max_vega_pct",
    "leverage",
)
_COUNTS: Final = (
    "max_open_positions",
    "max_days_in_trade",
    "correlation_window",
    "correlation_min_observations",
    "max_positions_per_symbol",
    "max_positions_per_strategy",
)


@known_fields("risk limit", code="CONFIG_LIMIT")
@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """The limits of the risk manager, with the defaults of a careful swing trader.

    Parameters
    ----------
    risk_per_trade_pct
        Largest loss at the stop of one trade, percent of equity.
    max_portfolio_heat_pct
        Largest sum of open risk, resting entries included, percent of equity.
    max_sector_exposure_pct
        Largest gross notional per sector, percent of equity; unknown sectors share one bucket.
    max_correlation
        Largest absolute correlation of daily log returns with any position on the same side; None: no check.
    daily_loss_limit
        Loss since the last mark of the previous session that halts entries, percent of that mark.
    max_open_positions
        Positions and resting entries together.
    min_risk_reward_ratio
        Smallest reward per unit of risk; 2.0 passes 2.0. Applies where a target and a stop are given.
    min_signal_strength, min_pattern_score
        Smallest strength class, and score from 0 to 100, where a signal carries them.
    max_days_in_trade
        Calendar days after which a position leaves at the next open; None: no limit.
    correlation_window, correlation_min_observations
        Common daily log returns to use, and the least that make a correlation known.
    unknown_correlation
        "admit" (the verdict says that it was unknown) or "reject".
    max_position_size_pct, max_gross_exposure_pct, max_net_exposure_pct
        Notional of one position, of all, and long minus short, percent of equity; None: no limit.
    max_net_delta_pct
        Beta-weighted dollar delta of shares and options, long or short, percent of equity; None: no limit.
    max_gamma_pct
        Change of dollar delta for a move of 1 %, long or short, percent of equity; None: no limit.
    max_theta_pct
        Theta received per calendar day, percent of equity; theta paid has no limit. None: no limit.
    max_vega_pct
        Gain or loss per percentage point of volatility, long or short, percent of equity; None: no limit.
    max_drawdown_pct
        Fall from the highest equity that halts entries until a person arms again; None: no limit.
    cooldown_losses, cooldown_bars
        After so many losing trades in a row, no entries for so many bars; 0: off.
    max_positions_per_symbol, max_positions_per_strategy
        Resting entries included; None: no limit.
    leverage
        Buying power as a multiple of equity.
    halt_release
        A daily-loss halt ends at the "next_session", or by a person: "manual", as always with real money.
    daily_loss_action, drawdown_action
        On breach "halt" entries, or also "flatten" at the next open.
    heat_basis
        Open risk from the "entry" to the stop, or from the "mark".
    on_risk, on_heat, on_sector, on_exposure, on_greeks
        A rule on size may "shrink" the order to what is left, or "reject" it.
    """

    risk_per_trade_pct: float = 2.0
    max_portfolio_heat_pct: float = 6.0
    max_sector_exposure_pct: float = 25.0
    max_correlation: float | None = 0.8
    daily_loss_limit: float = 2.0
    max_open_positions: int = 5
    min_risk_reward_ratio: float = 2.0
    min_signal_strength: SignalStrength = SignalStrength.MODERATE
    min_pattern_score: float = 60.0
    max_days_in_trade: int | None = 30
    correlation_window: int = 60
    correlation_min_observations: int = 40
    unknown_correlation: str = "admit"
    max_position_size_pct: float | None = None
    max_gross_exposure_pct: float | None = None
    max_net_exposure_pct: float | None = None
    max_net_delta_pct: float | None = None
    max_gamma_pct: float | None = None
    max_theta_pct: float | None = None
    max_vega_pct: float | None = None
    max_drawdown_pct: float | None = None
    cooldown_losses: int = 0
    cooldown_bars: int = 0
    max_positions_per_symbol: int | None = 1
    max_positions_per_strategy: int | None = None
    leverage: float = 1.0
    halt_release: str = "next_session"
    daily_loss_action: str = "halt"
    drawdown_action: str = "halt"
    heat_basis: str = "entry"
    on_risk: str = "shrink"
    on_heat: str = "shrink"
    on_sector: str = "shrink"
    on_exposure: str = "shrink"
    on_greeks: str = "shrink"

    def __post_init__(self) -> None:
        for name, choices in POLICIES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise ConfigError(
                    f"risk limit {name} is {value!r}; it may be {' or '.join(choices)}", code="CONFIG_POLICY"
                )
        for name in _POSITIVE:
            self._number(name, above=0.0)
        for name in _COUNTS:
            self._count(name, least=1)
        for name in ("cooldown_losses", "cooldown_bars"):
            self._count(name, least=0)
        self._number("min_risk_reward_ratio", above=-1.0)
        self._number("min_pattern_score", above=-1.0, most=100.0)
        self._number("max_correlation", above=-1e-12, most=1.0)
        if math.isinf(self.leverage):
            raise ConfigError("risk limit leverage is inf; it must be finite", code="CONFIG_LIMIT_RANGE")
        if self.correlation_min_observations > self.correlation_window:
            raise ConfigError(
                f"correlation_min_observations {self.correlation_min_observations} is above "
                f"correlation_window {self.correlation_window}",
                code="CONFIG_CORRELATION",
            )
        try:
            object.__setattr__(self, "min_signal_strength", _strength(self.min_signal_strength))
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"min_signal_strength is {self.min_signal_strength!r}; it may be "
                f"{', '.join(s.name for s in SignalStrength)}",
                code="CONFIG_STRENGTH",
            ) from error
        for name, least in _FRACTION_SUSPECTS.items():
            value = getattr(self, name)
            if value is not None and value < least:
                warn(
                    f"{name} is {value:g}, which means {value:g} %; was {value * 100:g} % meant? "
                    "Limits are percent: 2.0 is 2 %.",
                    code="CONFIG_PERCENT_LOOKS_LIKE_FRACTION",
                    stacklevel=5,  # of whoever made the limits, past two layers of `__init__`
                )

    def replace(self, **changes: Any) -> RiskLimits:
        """Return a copy with some limits changed."""
        return dataclasses.replace(self, **changes)

    def policy(self, name: str) -> int:
        """Integer that the kernel reads for a policy."""
        return POLICIES[name][getattr(self, name)]

    def _number(self, name: str, *, above: float, most: float = math.inf) -> None:
        value = getattr(self, name)
        if value is None and name not in ("risk_per_trade_pct", "daily_loss_limit", "leverage"):
            return
        if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
            raise ConfigError(f"risk limit {name} is {value!r}, not a number", code="CONFIG_NUMBER")
        if not above < float(value) <= most:
            bound = "above 0" if above == 0.0 else "0 or more"
            raise ConfigError(
                f"risk limit {name} is {value:g}; it must be {bound}"
                + (f" and at most {most:g}" if math.isfinite(most) else ""),
                code="CONFIG_LIMIT_RANGE",
            )

    def _count(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        if value is None and name in (
            "max_days_in_trade",
            "max_positions_per_symbol",
            "max_positions_per_strategy",
        ):
            return
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ConfigError(
                f"risk limit {name} is {value!r}; it must be a whole number, {least} or more",
                code="CONFIG_LIMIT_RANGE",
            )


def _strength(value: Any) -> SignalStrength:
    if isinstance(value, str):
        return SignalStrength[value.upper().replace(" ", "_")]
    if isinstance(value, bool):
        raise ValueError(value)
    return SignalStrength(value)
