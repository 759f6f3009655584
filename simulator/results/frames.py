"""Log records as tables: words for codes, names for numbers, times as UTC timestamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.bars.instruments import UNKNOWN_SECTOR
from simulator.kernel import codes
from simulator.signal_input import OWN_SECTOR, sector_code
from simulator.types import ExitReason, FillKind, OrderState, PriceRule, Reason, absent_inputs

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.raw import RawRun

__all__ = [
    "OUTCOMES",
    "events_frame",
    "fills_frame",
    "outcomes_of",
    "times_of",
    "trades_frame",
    "verdicts_frame",
]

OUTCOMES: Final = ("admitted", "shrunk", "rejected")
_SOURCES: Final = {
    codes.SOURCE_SIMULATED: "simulated",
    codes.SOURCE_MANUAL: "manual",
    codes.SOURCE_BROKER: "broker",
}
_GRADES: Final = {
    codes.GRADE_QUOTED: "quoted",
    codes.GRADE_BAR: "bar",
    codes.GRADE_MODELLED: "modelled",
    codes.GRADE_USER: "user",
}


def trades_frame(raw: RawRun) -> pd.DataFrame:
    """Return one row per position, in the order in which they ended."""
    import pandas as pd

    log = raw.trades
    return pd.DataFrame(
        {
            "symbol": _names(raw.bars.symbols, log["sym"]),
            "side": log["side"],
            "qty": log["qty"],
            "entry_time": times_of(log["entry_ts"]),
            "entry_price": log["entry_price"],
            "exit_time": times_of(log["exit_ts"]),
            "exit_price": log["exit_price"],
            "exit_reason": _labels(ExitReason.labels(), log["exit_reason"]),
            "fees": log["fees"],
            "pnl": log["pnl"],
            "r_multiple": log["r_multiple"],
            "mae": log["mae"],
            "mfe": log["mfe"],
            "bars_held": log["bars_held"],
            "tag": _names(raw.tags, log["tag"]),
            "sector": _sectors(raw, log["sector"]),
            "strategy": _names(raw.strategies, log["strategy"]),
            "initial_risk": log["initial_risk"],
            "stop": log["stop"],
            "dividends": log["dividends"],
            "id": log["id"],
        }
    )


def fills_frame(raw: RawRun) -> pd.DataFrame:
    """Return one row per fill; `side` is +1 for a purchase and -1 for a sale."""
    import pandas as pd

    log = raw.fills
    exits = {**ExitReason.labels(), codes.EXIT_NONE: ""}
    return pd.DataFrame(
        {
            "time": times_of(log["ts"]),
            "symbol": _names(raw.bars.symbols, log["sym"]),
            "side": log["side"],
            "kind": _labels(FillKind.labels(), log["kind"]),
            "reason": _labels(exits, log["reason"]),
            "qty": log["qty"],
            "price": log["price"],
            "fee": log["fee"],
            "slippage": log["slippage"],
            "rule": _labels(PriceRule.labels(), log["rule"]),
            "source": _labels(_SOURCES, log["source"]),
            "grade": _labels(_GRADES, log["grade"]),
            "order": log["order"],
            "position": log["position"],
            "signal": log["signal"],
        }
    )


def verdicts_frame(raw: RawRun) -> pd.DataFrame:
    """Return one row per signal: what the risk manager answered, by which rule, with its value and limit."""
    import pandas as pd

    log = raw.verdicts
    reasons = Reason.labels()
    absent = {int(bits): absent_inputs(int(bits)) for bits in np.unique(log["absent"])}
    return pd.DataFrame(
        {
            "time": times_of(log["ts"]),
            "symbol": _names(raw.bars.symbols, log["sym"]),
            "side": log["side"],
            "outcome": _names(OUTCOMES, outcomes_of(log)),
            "reason": _labels(reasons, log["reason"]),
            "rule": _labels(reasons, log["rule"]),
            "value": log["value"],
            "limit": log["limit"],
            "asked": log["asked"],
            "granted": log["granted"],
            "absent": pd.Series([list(absent[int(bits)]) for bits in log["absent"]], dtype=object),
            "tag": _names(raw.tags, log["tag"]),
            "strategy": _names(raw.strategies, log["strategy"]),
            "price": log["price"],
            "order": log["order"],
            "signal": log["signal"],
        }
    )


def outcomes_of(verdicts: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return indices into `OUTCOMES`; a signal that closed something was admitted."""
    reason = verdicts["reason"]
    accepted = (reason == codes.REASON_ADMITTED) | (reason == codes.REASON_CLOSE_ACCEPTED)
    return np.where(accepted, 0, np.where(reason == codes.REASON_SHRUNK, 1, 2)).astype(np.int64)


def events_frame(raw: RawRun) -> pd.DataFrame:
    """Return order and account events; `symbol` is "" and `order` -1 for events of the account."""
    import pandas as pd

    log = raw.events
    return pd.DataFrame(
        {
            "time": times_of(log["ts"]),
            "symbol": _names(("", *raw.bars.symbols), log["sym"] + 1),
            "kind": _labels(FillKind.labels(), log["kind"]),
            "state": _labels(OrderState.labels(), log["state"]),
            "reason": _labels(Reason.labels(), log["reason"]),
            "price": log["price"],
            "qty": log["qty"],
            "order": log["order"],
            "position": log["position"],
        }
    )


def times_of(ts: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return UTC nanoseconds as timestamps."""
    import pandas as pd

    return pd.DatetimeIndex(np.ascontiguousarray(ts, np.int64).view("datetime64[ns]")).tz_localize("UTC")


def _names(names: Sequence[str], code: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    table = np.array(names, dtype=object)
    return np.asarray(table[code]) if len(table) else np.full(len(code), "", dtype=object)


def _sectors(raw: RawRun, code: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    # Sectors that only signals name have no place among those of the instruments.
    own = code >= OWN_SECTOR
    found = _names(raw.bars.sector_names, np.where(own, 0, code))
    if own.any():
        names = {sector_code(name): name for name in raw.signals.sectors}
        found[own] = [names.get(int(value), UNKNOWN_SECTOR) for value in code[own]]
    return found


def _labels(labels: Mapping[int, str], code: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    # A code that this version does not know keeps its number: logs may come from a newer one.
    known, place = np.unique(code, return_inverse=True)
    words = np.array([labels.get(int(value), f"code {int(value)}") for value in known], dtype=object)
    return np.asarray(words[place]) if len(code) else np.zeros(0, dtype=object)
