"""What signals must keep to, checked column by column before any bar is seen, and once more with the bars.

Every refusal names the signal, its symbol and time, the value and the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.errors import SignalError, UnknownNameError, did_you_mean, warn
from simulator.kernel import codes
from simulator.signal_columns import ALTERNATIVES, COLUMNS, FRACTIONS, MULTIPLES, POSITIVE, STOPS

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars

__all__ = [
    "check", "check_columns", "check_multiples", "check_numeric", "check_stop_side", "unknown_symbol",
    "validate",
]  # fmt: skip

Records = npt.NDArray[np.void]


def check_columns(columns: pd.Index[Any]) -> None:
    """Raise `SignalError` SIGNAL_COLUMN where a table lacks a column, or has one that is not known."""
    names = [str(name) for name in columns]
    for name in ("time", "symbol", "side"):
        if name not in names:
            raise SignalError(
                f"column {name!r} is missing; the table has {', '.join(names) or 'none'}",
                code="SIGNAL_COLUMN",
            )
    for name in names:
        if name not in COLUMNS:
            raise SignalError(f"unknown column {name!r}.{did_you_mean(name, COLUMNS)}", code="SIGNAL_COLUMN")


def check_numeric(
    given: pd.Series[Any], numbers: npt.NDArray[np.float64], name: str, *, hint: str = ""
) -> None:
    """Raise `SignalError` SIGNAL_NUMBER where a cell is given and was not read as a number."""
    bad = np.isnan(numbers) & given.notna().to_numpy()
    if bad.any():
        index = int(np.argmax(bad))
        raise SignalError(
            f"{name} in row {index} is {given.iloc[index]!r}, not a number{hint}", code="SIGNAL_NUMBER"
        )


def validate(records: Records, symbols: tuple[str, ...]) -> None:
    """Check the records of signals against each rule that needs no bars; warn of percents like fractions.

    Raises `SignalError` with the code of the column, SIGNAL_TARGET_SIDE or SIGNAL_STOP_SIDE.
    """
    # column by column, and only where something is given: most columns are absent in most tables
    if not len(records):
        return
    for name in POSITIVE:
        values = records[name]
        present = ~np.isnan(values)
        if present.any():
            good = ~present | ((values > 0) & np.isfinite(values))
            check(good, values, name, "must be a positive, finite number", records, symbols)
    for name in FRACTIONS:
        values = records[name]
        good = np.isnan(values) | ((values > 0) & (values <= 1))
        check(good, values, name, "must be a fraction above 0 and at most 1", records, symbols)
    activate = records["trail_activate_r"]
    check(
        np.isnan(activate) | (activate >= 0),
        activate,
        "trail_activate_r",
        "must be 0 or more",
        records,
        symbols,
    )
    qty = records["qty"]
    check(
        np.isnan(qty) | (qty > 0),
        qty,
        "qty",
        "must be above 0 (leave it out to size by risk)",
        records,
        symbols,
    )
    score = records["score"]
    check(
        np.isnan(score) | ((score >= 0) & (score <= 100)),
        score,
        "score",
        "must be 0 to 100",
        records,
        symbols,
    )
    for name in ("stop_percent", "target_percent", "trail_percent"):
        small = (records[name] > 0) & (records[name] < 0.1)
        if small.any():
            value = float(records[name][np.argmax(small)])
            warn(
                f"{name} {value:g} is {value:g} %, a {value / 100:g} part of the price; "
                f"was {value * 100:g} % meant?",
                code="SIGNAL_PERCENT_LOOKS_LIKE_FRACTION",
                stacklevel=6,
            )
    for what, names in ALTERNATIVES.items():
        ways = sum((~np.isnan(records[name])).astype(int) for name in names)
        check(ways <= 1, None, what, f"is given twice; choose one of {', '.join(names)}", records, symbols)
    for name in ("stop_percent", "trail_percent"):
        values = np.where(records["side"] > 0, records[name], np.nan)
        check(
            np.isnan(values) | (values < 100), values, name, "must be below 100 for a long", records, symbols
        )
    fractions = np.nansum([records[f"target{k}_fraction"] for k in ("", "2", "3")], axis=0)
    fractions = fractions + np.nan_to_num(records["scale_out_fraction"], nan=0.0)
    whole = "is the sum of the targets' and the scale-out's fractions; it may be at most 1"
    check(fractions <= 1 + 1e-12, fractions, "target_fraction", whole, records, symbols)
    entry = records["entry"]
    resting = (entry == codes.ENTRY_STOP) | (entry == codes.ENTRY_STOP_LIMIT)
    price = records["entry_price"]
    check(~resting | ~np.isnan(price), None, "entry_price", "is needed for a stop entry", records, symbols)
    limits = np.where(np.isnan(records["limit_price"]), price, records["limit_price"])
    wants = (entry == codes.ENTRY_LIMIT) | (entry == codes.ENTRY_STOP_LIMIT)
    check(~wants | ~np.isnan(limits), None, "limit_price", "is needed for a limit entry", records, symbols)
    until, dated = records["valid_until"], records["tif"] == codes.TIF_GTD
    check(~dated | (until > 0), None, "valid_until", "is needed for GTD", records, symbols)
    late = until >= records["ts"]
    check(~dated | late, None, "valid_until", "is before the signal itself", records, symbols)
    _check_sides(records, symbols)


def _check_sides(records: Records, symbols: tuple[str, ...]) -> None:
    side = records["side"]
    for name in ("target", "target2", "target3"):
        gap = (records[name] - records["stop"]) * side
        check(
            np.isnan(gap) | (gap > 0) | (side == 0),
            records[name],
            name,
            "is not beyond the stop on the profitable side (target inside the stop, or sides mixed up)",
            records,
            symbols,
            code="SIGNAL_TARGET_SIDE",
        )
    entry = records["entry"]
    resting = (entry == codes.ENTRY_LIMIT) | (entry == codes.ENTRY_STOP) | (entry == codes.ENTRY_STOP_LIMIT)
    price = np.where(
        (entry == codes.ENTRY_LIMIT) & ~np.isnan(records["limit_price"]),
        records["limit_price"],
        records["entry_price"],
    )
    gap = (price - records["stop"]) * side
    check(
        ~resting | np.isnan(gap) | (gap > 0),
        records["stop"],
        "stop",
        "is on the wrong side of the entry price",
        records,
        symbols,
        code="SIGNAL_STOP_SIDE",
    )
    gap = (records["target"] - price) * side
    check(
        ~resting | np.isnan(gap) | (gap > 0),
        records["target"],
        "target",
        "is on the wrong side of the entry price",
        records,
        symbols,
        code="SIGNAL_TARGET_SIDE",
    )


def check_multiples(records: Records, symbols: tuple[str, ...]) -> None:
    """Raise `SignalError` where something counts in R, or waits for a trail, and nothing measures it."""
    # R is the distance to the initial stop, or to the trail; without either a multiple of it means nothing.
    measured = np.logical_or.reduce([~np.isnan(records[name]) for name in STOPS])
    for name in MULTIPLES:
        values = records[name]
        rule = "counts in R, the distance to the stop, and there is neither a stop nor a trail"
        check(measured | np.isnan(values), values, name, rule, records, symbols)
    activate = records["trail_activate_r"]
    trails = np.logical_or.reduce([~np.isnan(records[name]) for name in ALTERNATIVES["trail"]])
    rule = "says when a trail begins, and there is no trail"
    check(trails | np.isnan(activate), activate, "trail_activate_r", rule, records, symbols)


def check_stop_side(records: Records, bars: Bars) -> None:
    """Raise `SignalError` SIGNAL_STOP_SIDE for a stop that the close of the signal's bar has passed already.

    `records` are aligned with `bars`.
    """
    market = np.isin(records["entry"], (codes.ENTRY_OPEN, codes.ENTRY_CLOSE, codes.ENTRY_MOC))
    close = bars.panel[records["row"], records["sym"], 3]
    gap = (close - records["stop"]) * records["side"]
    wrong = market & (records["side"] != 0) & (gap <= 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        record = records[index]
        word, where = ("long", "at or above") if record["side"] > 0 else ("short", "at or below")
        raise SignalError(
            f"{bars.symbols[record['sym']]} {stamp(record['ts'])}: the stop "
            f"{record['stop']:g} of a {word} is {where} the close {close[index]:g} of the signal's bar, so "
            "it would be hit at once. Is the side right, and is the stop on the bars' price scale?",
            code="SIGNAL_STOP_SIDE",
        )


def check(
    good: npt.NDArray[np.bool_],
    values: npt.NDArray[Any] | None,
    name: str,
    rule: str,
    records: Records,
    symbols: tuple[str, ...],
    *,
    code: str | None = None,
) -> None:
    """Raise `SignalError` for the first signal that is not good.

    Parameters
    ----------
    good, values
        (n,), one for each record; `values` are shown in the message.
    name, rule
        Column, and what it must be, in words that follow its value.
    code
        By default that of the column.
    """
    if good.all():
        return
    index = int(np.argmin(good))
    record = records[index]
    symbol = symbols[record["sym"]] if 0 <= record["sym"] < len(symbols) else f"symbol {record['sym']}"
    value = "" if values is None else f" {values[index]:g}"
    raise SignalError(
        f"signal {index} ({symbol} at {stamp(record['ts'])}): {name}{value} {rule}",
        code=code or f"SIGNAL_{name.upper()}",
    )


def unknown_symbol(name: str, symbols: Sequence[str]) -> UnknownNameError:
    """Return the error for a symbol that bars do not have."""
    return UnknownNameError(
        f"the bars have no symbol {name!r}.{did_you_mean(name, symbols)}", code="NAME_SYMBOL"
    )
