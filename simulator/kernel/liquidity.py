"""What a bar leaves of an order: its spread, its volume, and what the cash covers.

A bar's volume is shared by all that fills in it; the symbol's record counts what has been used. Quantities
are cut to whole lots where the risk manager is on, and never rounded up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel._jit import kernel_jit
from simulator.kernel.money import unit_cost
from simulator.kernel.views import account_of, bar_at, instrument_at, spread_at, spread_room, symbol_at

__all__ = ["affordable", "allowed_volume", "spread_of", "use_volume", "volume_left"]


@kernel_jit
def spread_of(market: Any, t: int, sym: int) -> float:
    """Quoted spread of a bar, else the instrument's; NaN where neither is known."""
    if spread_room(market) > 0:
        return spread_at(market, t, sym)["value"]
    return instrument_at(market, sym)["spread"]


@kernel_jit
def allowed_volume(state: Any, market: Any, params: Any, t: int, sym: int, qty: float) -> float:
    """Quantity that the volume cap leaves for this symbol in this bar."""
    if params["volume_cap"] <= 0.0:
        return qty
    symbol = symbol_at(state, sym)
    row = account_of(state)["row"] + 1
    if symbol["used_row"] != row:
        symbol["used_row"] = row
        symbol["used_volume"] = 0.0
    volume = bar_at(market, t, sym)["volume"]
    return volume_left(params, instrument_at(market, sym)["lot"], volume, symbol["used_volume"], qty)


@kernel_jit
def volume_left(params: Any, lot: float, volume: float, used: float, qty: float) -> float:
    """Part of `qty` that the volume cap leaves of a bar's volume, of which `used` is taken."""
    left = 0.0
    if volume > 0.0:
        cap = params["volume_cap"] * volume
        left = cap - used
        if left < 1e-9 * cap:  # what rounding leaves is no volume
            left = 0.0
    if left < qty:
        if params["risk_on"] == 1 and lot > 0.0:
            left = np.floor(left / lot + 1e-9) * lot
        return max(left, 0.0)
    return qty


@kernel_jit
def use_volume(state: Any, params: Any, sym: int, qty: float) -> None:
    """Count a filled quantity against the volume cap."""
    if params["volume_cap"] > 0.0:
        symbol_at(state, sym)["used_volume"] += qty


@kernel_jit
def affordable(params: Any, instrument: Any, qty: float, price: float, available: float) -> float:
    """Largest quantity up to `qty` that the buying power covers, fees included."""
    fixed = max(params["per_order"], params["commission_min"])
    unit = unit_cost(params, instrument, price)
    if qty * unit + fixed <= available:
        return qty
    most = (available - params["per_order"]) / unit
    if params["commission_min"] > 0.0:
        most = min(most, (available - fixed) / unit)
    if most >= qty:
        return qty
    lot = instrument["lot"]
    if params["risk_on"] == 1 and lot > 0.0:
        most = np.floor(most / lot) * lot
    return max(most, 0.0)
