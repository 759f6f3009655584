"""Options: prices, Greeks and implied volatility, chains of quotes, the modelled surface, IV rank.

`price`, `greeks` and `implied_volatility` take scalars or arrays; `load_chain` reads real quotes into a
`Chain`, `Surface` makes modelled ones; `vix_style_index` turns a chain into one 30-day volatility, which
`iv_rank` and `iv_percentile` compare with its past year. The others are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, and light: a module that is loaded later would put itself in the place of its namesake function.
from simulator.options.iv_rank import iv_percentile, iv_rank

if TYPE_CHECKING:
    from simulator.options.chain import Chain, load_chain
    from simulator.options.exposure import portfolio_greeks
    from simulator.options.iv_index import vix_style_index
    from simulator.options.market import OptionMarket
    from simulator.options.modelled import modelled_chain, strike_for_delta
    from simulator.options.packages import make_legs, make_rules, package_signals
    from simulator.options.pricing import (
        Greeks,
        ImpliedVolatility,
        VolatilityStatus,
        greeks,
        implied_volatility,
        price,
        solve_volatility,
    )
    from simulator.options.surface import Surface

__all__ = [
    "Chain",
    "Greeks",
    "ImpliedVolatility",
    "OptionMarket",
    "Surface",
    "VolatilityStatus",
    "greeks",
    "implied_volatility",
    "iv_percentile",
    "iv_rank",
    "load_chain",
    "make_legs",
    "make_rules",
    "modelled_chain",
    "package_signals",
    "portfolio_greeks",
    "price",
    "solve_volatility",
    "strike_for_delta",
    "vix_style_index",
]

_HOMES = {
    "Chain": "chain",
    "Greeks": "pricing",
    "ImpliedVolatility": "pricing",
    "OptionMarket": "market",
    "Surface": "surface",
    "VolatilityStatus": "pricing",
    "greeks": "pricing",
    "implied_volatility": "pricing",
    "load_chain": "chain",
    "make_legs": "packages",
    "make_rules": "packages",
    "modelled_chain": "modelled",
    "package_signals": "packages",
    "portfolio_greeks": "exposure",
    "price": "pricing",
    "solve_volatility": "pricing",
    "strike_for_delta": "modelled",
    "vix_style_index": "iv_index",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"simulator.options.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
