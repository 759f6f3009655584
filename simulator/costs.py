"""Costs: commissions, regulatory fees, slippage, borrow and interest, as one value.

Per-fill commission is `commission_per_share · shares + commission_per_contract · contracts +
commission_pct / 100 · notional + commission_per_order`, at least `commission_min`, at most
`commission_max_pct` of the notional. Regulatory fees fall on sales. Slippage moves market and stop fills
against the trader, never limits. Rates are per year on calendar days.

Presets are what the brokers published for US stocks and options in 2026; check yours before you rely on it.

>>> Costs.preset("ibkr-fixed").commission_per_share
0.005
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from simulator.errors import ConfigError, UnknownNameError, did_you_mean, known_fields

__all__ = ["PRESETS", "Costs"]


@known_fields("cost", code="COST_NAME")
@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading costs. The default is free of charge.

    Parameters
    ----------
    commission_per_share, commission_per_contract
        Currency per unit.
    commission_pct
        Percent of the notional (0.1 is 0.1 %).
    commission_min, commission_per_order
        Currency per fill.
    commission_max_pct
        Cap in percent of the notional; 0 is no cap.
    commission_leg_cap
        Largest commission per option leg, currency; 0 is no cap.
    sec_fee_pct
        Percent of the proceeds of a sale (SEC section 31).
    taf_per_share, taf_max
        Trading activity fee on sold shares, and its cap per fill, currency.
    slippage_bps, slippage_ticks, slippage_range, slippage_spread
        Against the trader on market and stop fills: basis points of the price, ticks of the instrument,
        share of the bar's range, share of the quoted spread. They add up.
    borrow_rate_pct
        Percent per year of a short's value; an instrument's own rate goes first.
    margin_rate_pct, cash_rate_pct
        Percent per year paid on negative, and earned on positive, cash.
    spread_share_1_leg, spread_share_2_legs, spread_share_3_legs, spread_share_4_legs
        What an option package of so many legs gives away against its mid: share of the sum of its legs'
        quoted spreads. 0.5 crosses the whole spread, 0 fills at the mid.
    name
        Name of the preset, or "custom".
    """

    commission_per_share: float = 0.0
    commission_per_contract: float = 0.0
    commission_pct: float = 0.0
    commission_min: float = 0.0
    commission_per_order: float = 0.0
    commission_max_pct: float = 0.0
    commission_leg_cap: float = 0.0
    sec_fee_pct: float = 0.0
    taf_per_share: float = 0.0
    taf_max: float = 0.0
    slippage_bps: float = 0.0
    slippage_ticks: float = 0.0
    slippage_range: float = 0.0
    slippage_spread: float = 0.0
    borrow_rate_pct: float = 0.0
    margin_rate_pct: float = 0.0
    cash_rate_pct: float = 0.0
    spread_share_1_leg: float = 0.25
    spread_share_2_legs: float = 0.16
    spread_share_3_legs: float = 0.11
    spread_share_4_legs: float = 0.06
    name: str = "custom"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "name":
                if not isinstance(value, str):
                    raise ConfigError(f"the name of costs is {value!r}, not a text", code="COST_TYPE")
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                raise ConfigError(f"cost {field.name} is {value!r}, not a finite number", code="COST_NUMBER")
            if value < 0 and field.name != "cash_rate_pct":
                raise ConfigError(
                    f"cost {field.name} is {value:g}; a cost is 0 or more", code="COST_NEGATIVE"
                )
            object.__setattr__(self, field.name, float(value))
        for name, limit in (("commission_pct", 50.0), ("slippage_bps", 5000.0), ("slippage_range", 1.0)):
            if getattr(self, name) > limit:
                raise ConfigError(
                    f"cost {name} is {getattr(self, name):g}, above {limit:g}; is the unit right?",
                    code="COST_TOO_LARGE",
                )

    @classmethod
    def preset(cls, name: str) -> Costs:
        """Return a broker's schedule: one of `PRESETS`."""
        if name not in PRESETS:
            raise UnknownNameError(
                f"no cost preset {name!r}.{did_you_mean(str(name), PRESETS)}", code="NAME_COSTS"
            )
        return PRESETS[name]

    @classmethod
    def of(cls, value: str | Costs | None) -> Costs:
        """Return a preset for a name, `Costs` as it is, and no costs for None."""
        if value is None:
            return PRESETS["zero"]
        if isinstance(value, str):
            return cls.preset(value)
        if isinstance(value, Costs):
            return value
        raise ConfigError(
            f"costs must be Costs or a preset's name, not {type(value).__name__}", code="COST_TYPE"
        )

    def replace(self, **changes: Any) -> Costs:
        """Return a copy with some costs changed, named "custom" unless a name is given."""
        return dataclasses.replace(self, **{"name": "custom", **changes})


# Fees on sales, SEC section 31 and FINRA TAF, as published for 2026; and a basis point of slippage.
_US: Final = Costs(sec_fee_pct=0.00206, taf_per_share=0.000195, taf_max=9.79, slippage_bps=1.0)
_IBKR: Final = _US.replace(commission_per_contract=0.65, commission_min=1.0, commission_max_pct=1.0)

PRESETS: Final[dict[str, Costs]] = {
    "zero": Costs(name="zero"),
    "alpaca": _US.replace(name="alpaca"),
    "ibkr-fixed": _IBKR.replace(name="ibkr-fixed", commission_per_share=0.005),
    "ibkr-tiered": _IBKR.replace(name="ibkr-tiered", commission_per_share=0.0035, commission_min=0.35),
    "tastytrade": _US.replace(name="tastytrade", commission_per_contract=1.0, commission_leg_cap=10.0),
}
"""Schedules by name."""
