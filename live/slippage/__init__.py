"""Slippage: what fills cost against what was expected, learned from the journal of orders.

`expect` writes down the quote that stood when an order was sent, `samples` joins it with the fills,
`calibrate` makes quantiles of them by broker, order type, hour and spread, which `Calibration.costs` turns
into `simulator.Costs`; `SlippageWatch` says when fills have become worse than that. Names are imported when
they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.slippage.calibrating import Calibration, Cell, calibrate
    from live.slippage.drift import Drift, SlippageWatch, find_drift
    from live.slippage.measuring import Sample, expect, samples

__all__ = [
    "Calibration",
    "Cell",
    "Drift",
    "Sample",
    "SlippageWatch",
    "calibrate",
    "expect",
    "find_drift",
    "samples",
]

_HOMES = {
    "Calibration": "calibrating",
    "Cell": "calibrating",
    "Drift": "drift",
    "Sample": "measuring",
    "SlippageWatch": "drift",
    "calibrate": "calibrating",
    "expect": "measuring",
    "find_drift": "drift",
    "samples": "measuring",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.slippage.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
