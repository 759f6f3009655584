"""Taking missing bars out before an indicator and putting them back after it.

A bar that is NaN in any of an indicator's inputs is skipped: it counts for no window and moves no average.
On such a row the indicator keeps its last value, so that comparing a row with the row before it compares
with the last bar that existed. Before the first defined value there is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import StrategyError
from strategies.indicators._jit import Array, call

__all__ = ["apply", "check_length"]


def apply(
    kernel: Callable[..., Any], inputs: Sequence[npt.ArrayLike], *arguments: object, outputs: int = 1
) -> list[Array]:
    """Run `kernel` on every column of the inputs and return `outputs` arrays of the inputs' shape.

    Inputs are (T,) or (T, S), all of one shape; the kernel sees one gap-free column at a time.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in inputs]
    shape = arrays[0].shape
    if any(array.shape != shape for array in arrays) or len(shape) not in (1, 2):
        raise StrategyError(
            f"an indicator was given arrays of shapes {[array.shape for array in arrays]}; "
            "it needs (T,) or (T, S), the same for all",
            code="STRATEGY_INDICATOR_SHAPE",
        )
    if len(shape) == 1:
        return _column(kernel, [np.ascontiguousarray(array) for array in arrays], arguments, outputs)
    # one row per symbol: a column is contiguous both when it is read and when it is written
    results = [np.empty((shape[1], shape[0])) for _ in range(outputs)]
    turned = [np.ascontiguousarray(array.T) for array in arrays]
    for column in range(shape[1]):
        answers = _column(kernel, [array[column] for array in turned], arguments, outputs)
        for result, answer in zip(results, answers, strict=True):
            result[column] = answer
    return [result.T for result in results]


def check_length(name: str, length: int, *, minimum: int = 1) -> int:
    """Return `length` as an integer of at least `minimum`, or raise `StrategyError`."""
    if isinstance(length, bool) or int(length) != length or length < minimum:
        raise StrategyError(
            f"{name}: length {length!r} makes no sense; it is a whole number of bars, at least {minimum}",
            code="STRATEGY_INDICATOR_LENGTH",
        )
    return int(length)


def _column(
    kernel: Callable[..., Any], columns: list[Array], arguments: tuple[object, ...], outputs: int
) -> list[Array]:
    present = ~np.isnan(columns[0])
    for column in columns[1:]:
        present &= ~np.isnan(column)
    whole = bool(present.all())
    if not whole:
        columns = [column[present] for column in columns]
    answer = call(kernel, *columns, *arguments)
    results: list[Array] = list(answer) if outputs > 1 else [answer]
    if whole:
        return results
    source = np.cumsum(present) - 1
    return [_spread(result, source) for result in results]


def _spread(values: Array, source: npt.NDArray[np.intp]) -> Array:
    out = np.full(source.size, np.nan)
    known = source >= 0
    out[known] = values[source[known]]
    return out
