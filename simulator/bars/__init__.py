"""Market data: a time-major panel of bars, its sources, and the guard that checks it.

`Bars` (in `panel`) is what everything else reads; `load_bars` (in `load`) builds one from the bundled
samples, from files, from Yahoo or from a seeded synthetic market; `resample` and `completed` give higher
timeframes without a look ahead; `check` and `GuardReport` (in `guard`) find bars that cannot be true. Names
are imported when they are first used, so that a command pays only for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.bars.actions import infer_actions, make_actions
    from simulator.bars.guard import GuardReport, check
    from simulator.bars.load import load_bars
    from simulator.bars.panel import Bars
    from simulator.bars.resample import completed

__all__ = ["Bars", "GuardReport", "check", "completed", "infer_actions", "load_bars", "make_actions"]

_HOMES = {
    "Bars": "simulator.bars.panel",
    "GuardReport": "simulator.bars.guard",
    "check": "simulator.bars.guard",
    "completed": "simulator.bars.resample",
    "infer_actions": "simulator.bars.actions",
    "load_bars": "simulator.bars.load",
    "make_actions": "simulator.bars.actions",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
