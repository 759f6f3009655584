"""Position size from risk: how many shares may be lost at the stop without losing more than planned.

>>> RiskCalculator().position_size(100_000, risk_per_trade_pct=2.0, entry_price=150.0, stop_loss=145.0)
400
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from simulator.errors import ConfigError, SignalError, warn

__all__ = ["RiskCalculator", "reward_risk"]

_ROUNDING = 1e-9
"""Relative slack before a size is floored: 2000 / (150.3 - 145.3) is 399.99999999999 in binary, and 400."""

_SUSPICIOUS_PCT = 0.1
"""Below this a percentage was probably meant as a fraction."""


@dataclass(frozen=True, slots=True)
class RiskCalculator:
    """Whole shares by fixed fractional risk, never more than the account can pay for.

    Parameters
    ----------
    max_position_pct
        Largest notional as percent of the account; 100.0 is what an account without margin can buy.
    lot
        Shares come in multiples of this.
    """

    max_position_pct: float = 100.0
    lot: int = 1

    def __post_init__(self) -> None:
        if not self.max_position_pct > 0 or not math.isfinite(self.max_position_pct):
            raise ConfigError(
                f"max_position_pct is {self.max_position_pct!r}; it must be a percentage above 0",
                code="CONFIG_POSITION_PCT",
            )
        if self.lot < 1:
            raise ConfigError(f"lot is {self.lot!r}; it must be at least 1 share", code="CONFIG_LOT")

    def position_size(
        self,
        account_size: float,
        risk_per_trade_pct: float = 2.0,
        entry_price: float = math.nan,
        stop_loss: float = math.nan,
    ) -> int:
        """Return the shares whose loss at the stop is at most the risk, rounded down to whole lots.

        Parameters
        ----------
        account_size
            Equity, in currency.
        risk_per_trade_pct
            Percent of the account that may be lost: 2.0 is 2 %.
        entry_price, stop_loss
            In currency per share; on either side of each other, but not equal.

        Returns
        -------
        int
            0 where not even one lot fits.

        Raises
        ------
        ConfigError
            For an account or a percentage that is not positive, or a percentage above 100.
        SignalError
            For prices that are not positive, or a stop at the entry.
        """
        risk = self.risk_amount(account_size, risk_per_trade_pct)
        entry_price = _price("entry price", entry_price)
        stop_loss = _price("stop", stop_loss)
        distance = abs(entry_price - stop_loss)
        if distance == 0:
            raise SignalError(
                f"the stop equals the entry price {entry_price:g}, so the risk per share is 0",
                code="SIGNAL_STOP_SIDE",
            )
        affordable = float(account_size) * self.max_position_pct / 100.0 / entry_price
        units = min(risk / distance, affordable) / self.lot
        return math.floor(units * (1.0 + _ROUNDING)) * self.lot

    def risk_amount(self, account_size: float, risk_per_trade_pct: float = 2.0) -> float:
        """Return the currency that one trade may lose."""
        if not account_size > 0 or not math.isfinite(account_size):
            raise ConfigError(
                f"account_size is {account_size!r}; it must be an amount above 0", code="CONFIG_ACCOUNT_SIZE"
            )
        if not 0 < risk_per_trade_pct <= 100:
            raise ConfigError(
                f"risk_per_trade_pct is {risk_per_trade_pct!r}; it must be percent of the account, above 0 "
                "and at most 100 (2.0 is 2 %)",
                code="CONFIG_RISK_PCT",
            )
        if risk_per_trade_pct < _SUSPICIOUS_PCT:
            warn(
                f"risk_per_trade_pct {risk_per_trade_pct:g} is {risk_per_trade_pct:g} % of the account; was "
                f"{risk_per_trade_pct * 100:g} % meant?",
                code="CONFIG_PERCENT_LOOKS_LIKE_FRACTION",
                stacklevel=4,
            )
        return float(account_size) * risk_per_trade_pct / 100.0


def reward_risk(entry_price: float, stop_loss: float, target_price: float) -> float:
    """Return reward per unit of risk, after checking that stop and target are on opposite sides.

    Raises `SignalError`: SIGNAL_PRICE for prices that are not positive, SIGNAL_STOP_SIDE for a stop at the
    entry, SIGNAL_TARGET_SIDE for a target that is not beyond the entry, seen from the stop.
    """
    entry_price = _price("entry price", entry_price)
    stop_loss = _price("stop", stop_loss)
    target_price = _price("target", target_price)
    risk = entry_price - stop_loss
    reward = target_price - entry_price
    if risk == 0:
        raise SignalError(f"the stop equals the entry price {entry_price:g}", code="SIGNAL_STOP_SIDE")
    if risk * reward <= 0:
        word, where = ("long", "above") if risk > 0 else ("short", "below")
        raise SignalError(
            f"stop {stop_loss:g} makes this a {word}, so the target must be {where} the entry "
            f"{entry_price:g}; it is {target_price:g}. Are stop and target mixed up?",
            code="SIGNAL_TARGET_SIDE",
        )
    return reward / risk


def _price(name: str, value: float) -> float:
    """Return a price as a float, from whatever kind of number it is: a table of integers has other ones."""
    if isinstance(value, bool) or not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise SignalError(
            f"the {name} is {value!r}; it must be a positive, finite price", code="SIGNAL_PRICE"
        )
    return float(value)
