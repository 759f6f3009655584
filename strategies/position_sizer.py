"""How many packages of an opportunity an account can bear.

Five limits are asked, the smallest answer counts, rounded down, and the `Sizing` names the limit that bound
it. Risk is `Opportunity.risk`: the maximum loss where that is defined, a loss at two deviations otherwise.
Percentages are of the account's equity, and 2.0 is 2 %.

What is not given is read from `RiskLimits`, so that sizer and risk manager have one rule. At its 2 % an
account of 46,000 takes two spreads five wide at a credit of 1.90, which can lose 310 each; seven of them lose
4.7 % of the account, and need `risk_per_trade_pct=5.0`.

>>> PositionSizer(account_size=46000)
PositionSizer(account_size=46000.0, risk_per_trade_pct=2.0, max_position_pct=25.0,
              max_portfolio_heat_pct=6.0, max_buying_power_pct=50.0, max_contracts=None)
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Final

from simulator.errors import ConfigError, SignalError, warn
from simulator.opportunity import Opportunity, Sizing
from simulator.risk_limits import RiskLimits

__all__ = ["PositionSizer"]

_ROUNDING: Final = 1e-9
"""Relative slack before a number of packages is rounded down: 2300 / 328.571... is 6.999999999 in binary."""
_SUSPICIOUS_PCT: Final = 0.1
"""Below this a percentage was probably meant as a fraction."""


class PositionSizer:
    """Whole packages within limits on risk and buying power.

    Parameters
    ----------
    account_size
        Equity in currency.
    limits
        The risk manager's limits, from which the next three come where they are not given; its defaults.
    risk_per_trade_pct
        Most that one position may lose (`Opportunity.risk`), percent of the account (2.0).
    max_position_pct
        Most buying power of one position, percent of the account: `max_position_size_pct` of the limits, or,
        where that is None, `max_sector_exposure_pct` (25.0), which bounds one position as well.
    max_portfolio_heat_pct
        Most that all open positions may lose together, percent of the account (6.0).
    max_buying_power_pct
        Most buying power of all open positions together, percent of the account.
    max_contracts
        Most packages of one position; None is no limit.

    Raises
    ------
    ConfigError
        CONFIG_ACCOUNT_SIZE, CONFIG_RISK_PCT (above 0, at most 100), CONFIG_POSITION_PCT (above 0, at most
        100), CONFIG_CONTRACTS for a `max_contracts` below 1.
    """

    def __init__(
        self,
        account_size: float,
        *,
        limits: RiskLimits | None = None,
        risk_per_trade_pct: float | None = None,
        max_position_pct: float | None = None,
        max_portfolio_heat_pct: float | None = None,
        max_buying_power_pct: float = 50.0,
        max_contracts: int | None = None,
    ) -> None:
        read = RiskLimits() if limits is None else limits
        position = read.max_position_size_pct
        if risk_per_trade_pct is None:
            risk_per_trade_pct = _most(read.risk_per_trade_pct)
        if max_position_pct is None:
            max_position_pct = _most(read.max_sector_exposure_pct if position is None else position)
        if max_portfolio_heat_pct is None:
            max_portfolio_heat_pct = _most(read.max_portfolio_heat_pct)
        if not (_is_number(account_size) and 0 < account_size < math.inf):
            raise ConfigError(
                f"account_size is {account_size!r}; it must be an amount above 0", code="CONFIG_ACCOUNT_SIZE"
            )
        for name, value in (
            ("risk_per_trade_pct", risk_per_trade_pct),
            ("max_portfolio_heat_pct", max_portfolio_heat_pct),
        ):
            _check_percent(name, value, code="CONFIG_RISK_PCT")
        for name, value in (
            ("max_position_pct", max_position_pct),
            ("max_buying_power_pct", max_buying_power_pct),
        ):
            _check_percent(name, value, code="CONFIG_POSITION_PCT")
        if max_contracts is not None and (
            isinstance(max_contracts, bool) or not isinstance(max_contracts, int) or max_contracts < 1
        ):
            raise ConfigError(
                f"max_contracts is {max_contracts!r}; give a whole number, at least 1, or None",
                code="CONFIG_CONTRACTS",
            )
        self.account_size = float(account_size)
        self.risk_per_trade_pct = float(risk_per_trade_pct)
        self.max_position_pct = float(max_position_pct)
        self.max_portfolio_heat_pct = float(max_portfolio_heat_pct)
        self.max_buying_power_pct = float(max_buying_power_pct)
        self.max_contracts = max_contracts

    def calculate_position_details(
        self, opp: Opportunity, *, open_risk: float = 0.0, open_buying_power: float = 0.0
    ) -> Sizing:
        """Return how many packages fit, what they bring, cost and tie up, and which limit bound them.

        Parameters
        ----------
        opp
            What a scan found.
        open_risk, open_buying_power
            Risk and buying power of the positions that are open already, in currency, 0 or more.

        Raises
        ------
        SignalError
            SIGNAL_OPPORTUNITY where risk or buying power of the opportunity is not finite or not positive:
            what costs nothing cannot be counted.
        ConfigError
            CONFIG_OPEN_RISK for open risk or buying power that is negative or not finite.
        """
        for name, value in (("open_risk", open_risk), ("open_buying_power", open_buying_power)):
            if not (_is_number(value) and 0 <= value < math.inf):
                raise ConfigError(
                    f"{name} is {value!r}; give the amount in use, 0 or more", code="CONFIG_OPEN_RISK"
                )
        for name, value in (("risk", opp.risk), ("buying power", opp.buying_power)):
            if not 0 < value < math.inf:
                raise SignalError(
                    f"{opp.symbol} {opp.strategy}: the {name} of one package is {value!r}; it must be an "
                    f"amount above 0 to be counted against limits",
                    code="SIGNAL_OPPORTUNITY",
                )
        room = {
            "risk_per_trade": (self.risk_per_trade_pct, 0.0, opp.risk, "risk"),
            "position_size": (self.max_position_pct, 0.0, opp.buying_power, "buying power"),
            "heat": (self.max_portfolio_heat_pct, open_risk, opp.risk, "risk"),
            "buying_power": (self.max_buying_power_pct, open_buying_power, opp.buying_power, "buying power"),
        }
        limits: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for name, (percent, used, unit, what) in room.items():
            amount = percent / 100 * self.account_size
            limits[name] = float(_whole(max(0.0, amount - used), unit))
            taken = f" less {used:,.2f} in use" if used else ""
            reasons[name] = (
                f"{name}: {percent:g}% of {self.account_size:,.2f} is {amount:,.2f}{taken}, {what} of one "
                f"is {unit:,.2f}: {limits[name]:.0f}"
            )
        limits["max_contracts"] = math.inf if self.max_contracts is None else float(self.max_contracts)
        if self.max_contracts is not None:
            reasons["max_contracts"] = f"max_contracts: {self.max_contracts}"
        rule = min(limits, key=limits.__getitem__)
        contracts = int(limits[rule])
        ordered = [reasons[rule], *(text for name, text in reasons.items() if name != rule)]
        if contracts == 0:
            ordered[0] += "; one is too many"
        buying_power, risk = contracts * opp.buying_power, contracts * opp.risk
        return Sizing(
            contracts=contracts,
            total_credit=contracts * opp.credit * opp.multiplier,
            max_loss=contracts * opp.max_loss if contracts else 0.0,
            risk=risk,
            buying_power=buying_power,
            account_percent=100 * buying_power / self.account_size,
            heat_percent=100 * risk / self.account_size,
            rule=rule,
            limits=limits,
            reasons=tuple(ordered),
            account_size=self.account_size,
        )

    def __repr__(self) -> str:
        return (
            f"PositionSizer(account_size={self.account_size}, risk_per_trade_pct={self.risk_per_trade_pct}, "
            f"max_position_pct={self.max_position_pct},\n              "
            f"max_portfolio_heat_pct={self.max_portfolio_heat_pct}, "
            f"max_buying_power_pct={self.max_buying_power_pct}, max_contracts={self.max_contracts})"
        )


def _whole(room: float, unit: float) -> int:
    """Return how many units fit, rounded down, but for what is lost in the last binary digits."""
    return math.floor(room / unit * (1 + _ROUNDING))


def _most(percent: float | None) -> float:
    # a limit of None is no limit, and one above the whole account binds no sooner than that
    return 100.0 if percent is None else min(float(percent), 100.0)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_percent(name: str, value: float, *, code: str) -> None:
    if not (_is_number(value) and 0 < value <= 100):
        raise ConfigError(f"{name} is {value!r}; it must be a percentage above 0 and at most 100", code=code)
    if value < _SUSPICIOUS_PCT:
        warn(
            f"{name} is {value:g} %, less than {_SUSPICIOUS_PCT:g} %; 2.0 is 2 %",
            code="CONFIG_PERCENT_LOOKS_LIKE_FRACTION",
        )
