"""What came of a run: trades, equity, verdicts and metrics, tables, reports and exports.

A driver builds a `Result` from a `RawRun` and computes nothing; every table is made when it is first asked
for. `metrics_from_accumulators` gives the same numbers for a whole sweep at once, `compare` sets results side
by side. `docs/metrics.md` defines every metric.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.results.interval import IntervalReport
    from simulator.results.kept import KeptRun
    from simulator.results.kept_folder import RunFolder, kept_runs
    from simulator.results.metrics import METRIC_DEFINITIONS, Metric, metrics_from_accumulators
    from simulator.results.raw import RawRun
    from simulator.results.result import Result
    from simulator.results.tables import compare

__all__ = [
    "METRIC_DEFINITIONS",
    "IntervalReport",
    "KeptRun",
    "Metric",
    "RawRun",
    "Result",
    "RunFolder",
    "compare",
    "kept_runs",
    "metrics_from_accumulators",
]

_HOMES = {
    "METRIC_DEFINITIONS": "metrics",
    "IntervalReport": "interval",
    "KeptRun": "kept",
    "Metric": "metrics",
    "RawRun": "raw",
    "Result": "result",
    "RunFolder": "kept_folder",
    "compare": "tables",
    "kept_runs": "kept_folder",
    "metrics_from_accumulators": "metrics",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"simulator.results.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
