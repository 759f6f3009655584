"""Views: how compiled code reaches the arrays of a state, its logs and its market.

Passing thirty arrays to every function would cost more than the functions do, both to compile and to run. So
compiled code gets one record per bundle, with the address and the shape of each array, and the accessors
below answer with a record inside it, which is read and written in place. A view is valid as long as the
arrays it was made from live; the drivers hold both. With the JIT switched off a view is the bundle itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.kernel import dtypes
from simulator.kernel._jit import jit_disabled, kernel_jit
from simulator.kernel.state import OPTION_FIELDS, Lane, Logs, Market, State
from simulator.kernel.surface import SURFACE_FIELDS

__all__ = [
    "clear_record",
    "copy_record",
    "has_options",
    "lanes_of",
    "prefetch_bar",
    "prefetch_record",
    "view_of",
]


def _view_dtype(names: Sequence[str]) -> np.dtype[np.void]:
    return np.dtype([(f"{name}{part}", "<i8") for name in names for part in ("", "_rows", "_columns")])


_DTYPES: Final = {bundle: _view_dtype(bundle._fields) for bundle in (State, Logs, Market, Lane)}
# A state without room for option packages has a type of its own, for which their code is not compiled. Its
# last field keeps numba from taking one type for a special case of the other.
_STOCKS_ONLY: Final = _view_dtype([*(name for name in State._fields if name not in OPTION_FIELDS), "stocks"])


def view_of(bundle: State | Logs | Market | Lane) -> Any:
    """Return what compiled code takes for a bundle. The bundle must outlive the view."""
    if jit_disabled():
        return bundle
    stocks_only = isinstance(bundle, State) and not len(bundle.packages)
    numbers = []
    for name, array in zip(bundle._fields, bundle, strict=True):
        if stocks_only and name in OPTION_FIELDS:
            continue
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} is not contiguous")
        numbers += [array.ctypes.data, len(array), array.shape[1] if array.ndim > 1 else 1]
    if stocks_only:
        numbers += [0, 0, 0]
    return np.array(numbers, np.int64).view(_STOCKS_ONLY if stocks_only else _DTYPES[type(bundle)])[0]


def has_options(state: Any) -> bool:
    """Whether the account has room for option packages; compiled code knows it from the state's type."""
    return len(state.packages) > 0


has_options.by_type = lambda state: "packages" in state.fields  # type: ignore[attr-defined]


def lanes_of(given: Sequence[Lane]) -> Any:
    """Return what the loop takes for several lanes. The arrays must outlive the answer."""
    if jit_disabled():
        return [_PlainLane(*lane) for lane in given]
    lanes = np.zeros(len(given), _DTYPES[Lane])
    lanes["signals"] = [lane.signals.ctypes.data for lane in given]
    lanes["signals_rows"] = [len(lane.signals) for lane in given]
    for index, lane in enumerate(given):
        if len(lane.packages):
            lanes["packages"][index] = lane.packages.ctypes.data
            lanes["packages_rows"][index] = len(lane.packages)
            lanes["legs"][index] = lane.legs.ctypes.data
    lanes["legs_columns"] = 4
    return lanes


class _PlainLane(Lane):
    """A lane for the plain-Python kernel, which asks for its length as a field."""

    def __getitem__(self, key: Any) -> Any:
        return len(self.signals) if key == "signals_rows" else super().__getitem__(key)


def _emit_record_at(context: Any, address: Any, index: Any, dtype: Any) -> Any:
    """Return the record number `index` of an array of `dtype` that starts at `address`."""
    record = dtype.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = context.get_constant(types.int64, record.size)
        start = builder.add(arguments[0], builder.mul(arguments[1], size))
        return builder.inttoptr(start, context.get_value_type(record))

    return record(types.int64, types.int64, dtype), generate


_record_at: Any = intrinsic(_emit_record_at)


def _emit_copy(context: Any, target: Any, source: Any) -> Any:
    """Copy one record over another of the same type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = context.get_constant(types.intp, signature.args[0].size)
        cgutils.raw_memcpy(builder, arguments[0], arguments[1], size, 1)
        return context.get_dummy_value()

    return types.void(target, source), generate


_copy: Any = intrinsic(_emit_copy)


def _emit_clear(context: Any, target: Any) -> Any:
    """Set every byte of a record to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = context.get_constant(types.intp, signature.args[0].size)
        cgutils.memset(builder, arguments[0], size, 0)
        return context.get_dummy_value()

    return types.void(target), generate


_clear: Any = intrinsic(_emit_clear)


def _emit_prefetch(context: Any, record: Any) -> Any:
    """Ask for a record's cache lines, to be read a little later."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        start = builder.ptrtoint(arguments[0], ir.IntType(64))
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), word, word, word])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for offset in range(0, signature.args[0].size, 64):
            line = builder.inttoptr(builder.add(start, ir.IntType(64)(offset)), ir.PointerType())
            # to read, kept in every level, data
            builder.call(prefetch, [line, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(record), generate


_prefetch: Any = intrinsic(_emit_prefetch)


if jit_disabled():

    def prefetch_record(record: Any) -> None:
        """Ask for a record's cache lines, to be read a little later."""

    def clear_record(target: Any) -> None:
        """Set every field of a record to zero."""
        for name in target.dtype.names:
            target[name] = 0

    def copy_record(target: Any, source: Any) -> None:
        """Copy one record over another of the same type."""
        for name in source.dtype.names:
            target[name] = source[name]

else:

    @kernel_jit.inlined
    def prefetch_record(record: Any) -> None:
        """Ask for a record's cache lines, to be read a little later."""
        _prefetch(record)

    @kernel_jit
    def clear_record(target: Any) -> None:
        """Set every field of a record to zero."""
        _clear(target)

    @kernel_jit
    def copy_record(target: Any, source: Any) -> None:
        """Copy one record over another of the same type."""
        _copy(target, source)


def _single(name: str, dtype: np.dtype[np.void]) -> Callable[[Any], Any]:
    # Accessor of an array of one record.
    if jit_disabled():
        return lambda view: getattr(view, name)[0]

    def read(view: Any) -> Any:
        return _record_at(view[name], 0, dtype)

    return kernel_jit(read)


def _row(name: str, dtype: np.dtype[np.void]) -> Callable[[Any, int], Any]:
    # Accessor of a one-dimensional array.
    if jit_disabled():
        return lambda view, i: getattr(view, name)[i]

    def read(view: Any, i: int) -> Any:
        return _record_at(view[name], i, dtype)

    return kernel_jit(read)


def _cell(name: str, dtype: np.dtype[np.void]) -> Callable[[Any, int, int], Any]:
    # Accessor of a two-dimensional array.
    columns = f"{name}_columns"
    if jit_disabled():
        return lambda view, i, j: getattr(view, name)[i, j]

    def read(view: Any, i: int, j: int) -> Any:
        return _record_at(view[name], i * view[columns] + j, dtype)

    return kernel_jit(read)


def _floats(name: str, count: int) -> Callable[[Any, int], Any]:
    # Accessor of a row of an array of values, as a tuple: what of it is not used is not read.
    if jit_disabled():
        return lambda view, i: getattr(view, name)["value"][i]
    values_at = intrinsic(_emit_values(count))

    def read(view: Any, i: int) -> Any:
        return values_at(view[name], i)

    return kernel_jit(read)


def _emit_values(count: int) -> Callable[..., Any]:
    def emit(context: Any, address: Any, index: Any) -> Any:
        answer = types.UniTuple(types.float64, count)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            size = context.get_constant(types.int64, 8 * count)
            start = builder.add(arguments[0], builder.mul(arguments[1], size))
            first = builder.inttoptr(start, ir.DoubleType().as_pointer())
            values = [builder.load(builder.gep(first, [ir.IntType(64)(k)])) for k in range(count)]
            return context.make_tuple(builder, answer, values)

        return answer(types.int64, types.int64), generate

    return emit


def _room(name: str) -> Callable[[Any], int]:
    # Number of rows of an array.
    rows = f"{name}_rows"
    if jit_disabled():
        return lambda view: len(getattr(view, name))

    def read(view: Any) -> int:
        return view[rows]

    return kernel_jit(read)


if jit_disabled():

    def has_parts(market: Any) -> bool:
        """Whether lower-timeframe bars replace the path inside a bar."""
        return market.parts is not market.bars

else:

    @kernel_jit
    def has_parts(market: Any) -> bool:
        """Whether lower-timeframe bars replace the path inside a bar."""
        return market["parts"] != market["bars"]


account_of = _single("account", dtypes.ACCOUNT)
metrics_of = _single("metrics", dtypes.METRICS)
position_at = _row("positions", dtypes.POSITION)
target_at = _cell("targets", dtypes.TARGET)
add_at = _cell("adds", dtypes.ADD)
open_at = _row("open_slots", dtypes.SLOT)
order_at = _row("orders", dtypes.ORDER)
plan_at = _row("plans", dtypes.SIGNAL)
working_at = _row("order_slots", dtypes.SLOT)
symbol_at = _row("symbols", dtypes.SYMBOL)
package_at = _row("packages", dtypes.PACKAGE)
leg_at = _cell("legs", dtypes.LEG)
plan_package_at = _row("plan_packages", dtypes.PACKAGE)
plan_leg_at = _cell("plan_legs", dtypes.LEG)
packages_room = _room("packages")
positions_room = _room("positions")
orders_room = _room("orders")
symbols_room = _room("symbols")

fill_at = _row("fills", dtypes.FILL)
trade_at = _row("trades", dtypes.TRADE)
verdict_at = _row("verdicts", dtypes.VERDICT)
event_at = _row("events", dtypes.EVENT)
equity_at = _row("equity", dtypes.EQUITY)
counts_of = _single("counts", dtypes.COUNTS)
fills_room = _room("fills")
trades_room = _room("trades")
verdicts_room = _room("verdicts")
events_room = _room("events")
equity_room = _room("equity")

bar_at = _cell("bars", dtypes.BAR)

if jit_disabled():

    def prefetch_bar(market: Any, t: int, sym: int) -> None:
        """Ask for the cache lines of a bar, which need not exist."""

else:

    @kernel_jit.inlined
    def prefetch_bar(market: Any, t: int, sym: int) -> None:
        """Ask for the cache lines of a bar, which need not exist."""
        _prefetch(bar_at(market, t, sym))


part_at = _cell("parts", dtypes.BAR)
clock_at = _row("clock", dtypes.CLOCK)
return_at = _cell("returns", dtypes.VALUE)
spread_at = _cell("spread", dtypes.VALUE)
spread_room = _room("spread")
instrument_at = _row("instruments", dtypes.INSTRUMENT)
action_at = _row("actions", dtypes.ACTION)
volatility_at = _cell("volatility", dtypes.VALUE)
rate_at = _row("rates", dtypes.VALUE)
yield_at = _row("yields", dtypes.VALUE)
volatility_room = _room("volatility")
rates_room = _room("rates")
yields_room = _room("yields")
surface_of = _floats("surfaces", len(SURFACE_FIELDS))
quote_at = _row("quotes", dtypes.QUOTE)
quote_start_at = _row("quote_start", dtypes.SLOT)
quotes_room = _room("quotes")
surfaces_room = _room("surfaces")
signal_at = _row("signals", dtypes.SIGNAL)
