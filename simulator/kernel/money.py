"""Money: slippage, fees and buying power. Prices here are real prices, not mirrored ones."""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.views import leg_at, package_at

__all__ = ["buying_power", "commission", "leg_fee", "package_fee", "slipped", "unit_cost"]


@kernel_jit
def slipped(
    params: Any, instrument: Any, price: float, direction: float, spread: float, span: float
) -> float:
    """Price after slippage; `direction` +1 buys, -1 sells; `span` is the bar's range."""
    distance = (
        price * params["slippage"]
        + params["slippage_ticks"] * instrument["tick"]
        + params["slippage_range"] * span
    )
    if spread > 0.0:
        distance += params["slippage_spread"] * spread
    moved = price + direction * distance
    if moved <= 0.0:
        return price
    return moved


@kernel_jit
def commission(params: Any, instrument: Any, direction: float, qty: float, price: float) -> float:
    """Fees of one fill in currency, regulatory ones included."""
    notional = qty * price * instrument["multiplier"]
    fee = params["commission"] * notional + params["per_order"]
    if instrument["kind"] == codes.INSTRUMENT_OPTION:
        leg = params["per_contract"] * qty
        if params["leg_cap"] > 0.0 and leg > params["leg_cap"]:
            leg = params["leg_cap"]
        fee += leg
    else:
        fee += params["per_share"] * qty
    if fee < params["commission_min"]:
        fee = params["commission_min"]
    if params["commission_max"] > 0.0 and fee > params["commission_max"] * notional:
        fee = params["commission_max"] * notional
    if direction < 0.0:
        taf = params["taf"] * qty
        if params["taf_max"] > 0.0 and taf > params["taf_max"]:
            taf = params["taf_max"]
        fee += params["sec_rate"] * notional + taf
    return fee


@kernel_jit
def package_fee(state: Any, params: Any, slot: int, qty: float, ended: int) -> float:
    """Fees of trading `qty` packages: per leg, each with its cap.

    Options of the session `ended`, and of those before, have expired and cost nothing.
    """
    package = package_at(state, slot)
    fee = 0.0
    traded = 0
    for k in range(package["legs"]):
        leg = leg_at(state, slot, k)
        if leg["right"] == 0 or leg["expiry"] > ended:
            fee += leg_fee(params, leg["right"], float(leg["ratio"]) * qty, package["multiplier"])
            traded += 1
    if traded == 0:
        return 0.0
    return max(fee + params["per_order"], params["commission_min"])


@kernel_jit
def leg_fee(params: Any, right: int, units: float, multiplier: float) -> float:
    """Fees of one leg: of `units` contracts, with their cap, or of that many times `multiplier` shares."""
    if right == 0:
        return params["per_share"] * units * multiplier
    fee = params["per_contract"] * units
    if params["leg_cap"] > 0.0 and fee > params["leg_cap"]:
        return params["leg_cap"]
    return fee


@kernel_jit
def unit_cost(params: Any, instrument: Any, price: float) -> float:
    """Buying power that one unit takes, its share of the fees included; per-fill fees come on top."""
    per_unit = (
        params["per_contract"] if instrument["kind"] == codes.INSTRUMENT_OPTION else params["per_share"]
    )
    return price * instrument["multiplier"] * (1.0 + params["commission"]) + per_unit


@kernel_jit
def buying_power(params: Any, account: Any) -> float:
    """Leverage times equity less gross exposure; at leverage 1 and without shorts that is the cash.

    What option packages tie up is taken off.
    """
    extra = (params["leverage"] - 1.0) * (account["cash"] + account["long_value"] - account["short_value"])
    return extra + account["cash"] - 2.0 * account["short_value"] - account["collateral"]
