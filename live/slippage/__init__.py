"""Slippage: what fills cost against what was expected, learned from the journal of orders.

The manager stores with every intent what the order was expected to fill at (`expecting`), `samples` joins it
with the fills, `calibrate` makes quantiles of them by broker, order type, hour and spread, which
`Calibration.costs` turns into `simulator.Costs`. `watch_slippage` says when fills have become worse than
that, and demotes what trades by itself until a person says `promote`. Names are imported when they are first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.slippage.calibrating import Calibration, Cell, calibrate
    from live.slippage.demoting import Demotion, promote, standing
    from live.slippage.drift import Drift, find_drift
    from live.slippage.expecting import Expectation
    from live.slippage.measuring import Sample, SampleBook, samples
    from live.slippage.watching import SlippageWatch, watch_slippage

__all__ = [
    "Calibration",
    "Cell",
    "Demotion",
    "Drift",
    "Expectation",
    "Sample",
    "SampleBook",
    "SlippageWatch",
    "calibrate",
    "find_drift",
    "promote",
    "samples",
    "standing",
    "watch_slippage",
]

_HOMES = {
    "Calibration": "calibrating",
    "Cell": "calibrating",
    "Demotion": "demoting",
    "Drift": "drift",
    "Expectation": "expecting",
    "Sample": "measuring",
    "SampleBook": "measuring",
    "SlippageWatch": "watching",
    "calibrate": "calibrating",
    "find_drift": "drift",
    "promote": "demoting",
    "samples": "measuring",
    "standing": "demoting",
    "watch_slippage": "watching",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.slippage.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
