"""Names of the columns of signals, by what may stand in them; `simulator.signals` says what they mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.kernel import codes
from simulator.kernel.dtypes import SIGNAL
from simulator.types import Entry, TimeInForce

__all__ = [
    "ALTERNATIVES", "COLUMNS", "COUNTS", "ENTRIES", "FLOATS", "FRACTIONS", "INTERNAL", "MULTIPLES", "NAMES",
    "POSITIVE", "STOPS", "TIFS", "WORDS",
]  # fmt: skip

FLOATS: Final = tuple(name for name in SIGNAL.names or () if SIGNAL[name] == np.dtype("<f8"))
COUNTS: Final = ("valid_bars", "max_bars", "max_days", "oco")
WORDS: Final = ("entry", "tif", "exit", "strength")
NAMES: Final = ("tag", "strategy", "sector")
PRICES: Final = ("entry_price", "limit_price", "stop", "target", "target2", "target3")
POSITIVE: Final = (
    *PRICES,
    *("stop_percent", "stop_atr", "target_percent", "target2_percent", "target3_percent"),
    *("target_r", "target2_r", "target3_r", "trail_percent", "trail_amount", "trail_atr"),
    *("breakeven_r", "atr", "add_r", "add2_r", "scale_out_r"),
)
FRACTIONS: Final = (
    *("target_fraction", "target2_fraction", "target3_fraction"),
    *("add_fraction", "add2_fraction", "scale_out_fraction"),
)
STOPS: Final = ("stop", "stop_percent", "stop_atr", "trail_percent", "trail_amount", "trail_atr")
ALTERNATIVES: Final = {
    "trail": ("trail_percent", "trail_amount", "trail_atr"),
    "stop": ("stop", "stop_percent", "stop_atr"),
    **{name: (name, f"{name}_percent", f"{name}_r") for name in ("target", "target2", "target3")},
}
MULTIPLES: Final = (
    *("target_r", "target2_r", "target3_r", "breakeven_r"),
    *("add_r", "add2_r", "scale_out_r"),
)
INTERNAL: Final = (
    "forced_ts",
    "forced_phase",
    "forced_reason",
    "forced_price",
    "group",
    "extras",
    "package",
)
COLUMNS: Final = frozenset(
    {"time", "symbol", "side", "valid_until", *FLOATS, *COUNTS, *WORDS, *NAMES} - {"forced_price"}
)
ENTRIES: Final = {entry.label: int(entry) for entry in Entry if int(entry) <= codes.ENTRY_MOC}
TIFS: Final = {tif.name: int(tif) for tif in TimeInForce}
