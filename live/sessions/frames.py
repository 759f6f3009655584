"""What all bars of a session share: symbols, instruments, surfaces; and what becomes of it when symbols join.

A frame is bars without a row. A session begins with one, and may go on with another that has more symbols at
its end (`check_extends`); bars from before are then read as if the new symbols had no bar yet (`widened`).

>>> from simulator import load_bars
>>> decode_frame(encode_frame(load_bars("synthetic:2x30?seed=1"))).symbols
('TEC1', 'FIN1')
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from live.sessions.recording import pack, unpack
from simulator.errors import DataError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["check_extends", "decode_frame", "encode_frame", "widened"]

Array = npt.NDArray[Any]


def encode_frame(like: Bars) -> bytes:
    """Return what `like` shares with every bar of its session as bytes; none of its rows."""
    arrays: dict[str, Array] = {"instruments": like.instruments}
    values = {
        "symbols": like.symbols, "sectors": like.sectors, "sector_names": like.sector_names,
        "daily": like.daily, "raw": like.raw, "origin": like.origin, "name": like.name,
        "calendar": like.calendar, "spread": bool(like.spread.shape[1]), "options": like.options is not None,
        "detail": None,
    }  # fmt: skip
    if like.options is not None:
        arrays |= {"yields": like.options.yields, "surfaces": like.options.surfaces}
        values["ranked"] = bool(like.options.volatility.shape[1])
    if like.detail is not None:
        values["detail"] = {"daily": like.detail.daily, "name": like.detail.name}
    return pack(arrays, values)


def decode_frame(data: bytes) -> Bars:
    """Return bars without a row that share everything else with those that `encode_frame` was given."""
    from simulator.bars import Bars
    from simulator.kernel.dtypes import ACTION, QUOTE
    from simulator.options.market import OptionMarket

    arrays, values = unpack(data)
    symbols = tuple(values["symbols"])
    nothing, no_times = np.zeros((0, len(symbols), 5)), np.zeros(0, np.int64)
    options = None
    if values["options"]:
        options = OptionMarket(
            np.zeros((0, len(symbols) if values["ranked"] else 0)),
            np.zeros(0), arrays["yields"], arrays["surfaces"], np.zeros(0, QUOTE), np.zeros(1, np.int64),
        )  # fmt: skip
    like = Bars(
        symbols=symbols,
        panel=nothing,
        ts=no_times,
        session=no_times,
        session_no=no_times,
        daily=values["daily"],
        instruments=arrays["instruments"],
        sectors=tuple(values["sectors"]),
        sector_names=tuple(values["sector_names"]),
        actions=np.zeros(0, ACTION),
        raw=values["raw"],
        spread=np.zeros((0, len(symbols) if values["spread"] else 0)),
        origin=values["origin"],
        name=values["name"],
        calendar=values["calendar"],
        options=options,
    )
    if values["detail"] is None:
        return like
    finer = like.replaced(options=None, **values["detail"])
    return like.replaced(detail=finer, detail_start=np.zeros(1, np.int64))


def check_extends(like: Bars, more: Bars) -> None:
    """Raise `DataError` LIVE_FRAME where `more` is not `like` with symbols added at its end."""
    count = len(like.symbols)
    found = None
    if more.symbols[:count] != like.symbols:
        found = (
            f"symbols {', '.join(more.symbols[:5])}; those it has, {', '.join(like.symbols[:5])}, come first"
        )
    elif more.instruments[:count].tobytes() != like.instruments.tobytes() or (
        more.sector_names[: len(like.sector_names)] != like.sector_names
    ):
        found = "other ticks, lots, sectors or contract terms for symbols that it has"
    elif (more.raw, more.daily, more.calendar) != (like.raw, like.daily, like.calendar):
        found = (
            f"raw={more.raw}, daily={more.daily}, calendar {more.calendar}; it has raw={like.raw}, "
            f"daily={like.daily}, calendar {like.calendar}"
        )
    elif (more.options is None) != (like.options is None) or (more.detail is None) != (like.detail is None):
        found = "options or lower-timeframe bars, and the session has none, or the other way round"
    elif more.options is not None and like.options is not None:
        for name in ("surfaces", "yields"):
            mine, theirs = getattr(like.options, name), getattr(more.options, name)
            if len(mine) and theirs[:count].tobytes() != mine.tobytes():
                found = f"other {name} of the options on symbols that it has"
        if bool(more.options.volatility.shape[1]) != bool(like.options.volatility.shape[1]):
            found = "a volatility to rank, and the session has none, or the other way round"
    if found:
        raise DataError(f"the session cannot grow to these bars: they have {found}", code="LIVE_FRAME")


def widened(bars: Bars, like: Bars) -> Bars:
    """Return bars with the further symbols of `like`, which have no bar, no spread and no volatility."""
    more = len(like.symbols) - len(bars.symbols)
    if not more:
        return bars
    parts: dict[str, Any] = {}
    if bars.options is not None and like.options is not None:
        parts["options"] = replace(
            bars.options,
            volatility=_padded(bars.options.volatility, more),
            yields=like.options.yields,
            surfaces=like.options.surfaces,
        )
    if bars.detail is not None and like.detail is not None:
        parts["detail"] = widened(bars.detail, like.detail)
    return bars.replaced(
        symbols=like.symbols,
        instruments=like.instruments,
        sectors=like.sectors,
        sector_names=like.sector_names,
        origin=like.origin,
        name=like.name,
        panel=np.pad(bars.panel, ((0, 0), (0, more), (0, 0)), constant_values=np.nan),
        spread=_padded(bars.spread, more),
        **parts,
    )


def _padded(columns: npt.NDArray[np.float64], more: int) -> npt.NDArray[np.float64]:
    # what has no columns is not known of any symbol
    if not columns.shape[1]:
        return columns
    return np.pad(columns, ((0, 0), (0, more)), constant_values=np.nan)
