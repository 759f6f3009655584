"""What tuning learns from: one row per trade that was taken, or that was not and whose outcome is known.

`Cases` are columns in the order of entry. A trade that was never taken (a recommendation that was ignored, a
candidate below the threshold) is a case like others with `taken` False: its outcome comes from the
counterfactual ledger. Without such cases nothing can be learned about what the set in force refuses.

Unknown is NaN, never 0. What was known at entry is a feature; what is part of the outcome (how it was closed,
how far it ran) must not be one.

>>> cases = Cases(outcome=[0.1, -0.4], entry_ts=[0, 1], exit_ts=[5, 6], features={"iv_rank": [55.0, 30.0]})
>>> len(cases), cases.symbol.tolist(), cases.taken.tolist()
(2, ['', ''], [True, True])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError

__all__ = ["DAY", "Cases"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

DAY: Final = 86_400_000_000_000
"""Nanoseconds of a day."""

_NUMBERS: Final = ("outcome", "r", "worst", "best", "mfe_fraction", "gross")
_TEXTS: Final = ("symbol", "source")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """Columns of length n, copied, brought into the order of entry and made read-only.

    Whatever NumPy reads as a column is one: arrays, lists, or a single value that stands for all cases.

    Parameters
    ----------
    outcome
        What the trade came to: R per margin-day. NaN is unknown, and such a case is not used.
    entry_ts, exit_ts
        UTC nanoseconds; the exit is not before the entry.
    r
        Profit in R, for what is shown. Default unknown.
    symbol, source
        Labels. `source` is "backtest", "paper" or "live". Default "".
    taken
        False for a counterfactual case. Default True.
    features
        What was known at entry, by name: `iv_rank` (0 to 100), `dte` (calendar days), `delta` (size, without
        its sign), `score`, ... NaN is unknown. A setting `min_x` or `max_x` is a bound on the feature `x`.
    worst, best
        The least and the most that the outcome could have been when the trade was opened, in its unit: the
        maximum loss (below 0) and the whole credit. NaN is unknown.
    mfe_fraction
        The largest profit that was open at some time, as a share of the maximum profit. A trade that took its
        profit early shows no more than that.
    gross
        What the outcome would be before fees and with the holding time of the mean, in the unit of `best`: a
        profit target is a share of `best`, and is compared with this. Where it is NaN, the outcome itself.

    Raises
    ------
    DataError
        TUNING_CASES for columns of other lengths, infinite numbers, an exit before its entry.
    """

    outcome: Floats
    entry_ts: Ints
    exit_ts: Ints
    r: Floats = field(default_factory=lambda: np.asarray(np.nan))
    symbol: Texts = field(default_factory=lambda: np.asarray(""))
    taken: Flags = field(default_factory=lambda: np.asarray(True))
    source: Texts = field(default_factory=lambda: np.asarray(""))
    features: Mapping[str, Floats] = field(default_factory=dict)
    worst: Floats = field(default_factory=lambda: np.asarray(np.nan))
    best: Floats = field(default_factory=lambda: np.asarray(np.nan))
    mfe_fraction: Floats = field(default_factory=lambda: np.asarray(np.nan))
    gross: Floats = field(default_factory=lambda: np.asarray(np.nan))

    def __post_init__(self) -> None:
        count = np.size(self.outcome)
        columns: dict[str, npt.NDArray[Any]] = {
            name: _numbers(name, getattr(self, name), count) for name in _NUMBERS
        }
        columns |= {name: _texts(name, getattr(self, name), count) for name in _TEXTS}
        columns |= {name: _times(name, getattr(self, name), count) for name in ("entry_ts", "exit_ts")}
        columns["taken"] = _filled("taken", self.taken, count, np.bool_)
        features = {name: _numbers(name, values, count) for name, values in self.features.items()}
        early = np.flatnonzero(columns["exit_ts"] < columns["entry_ts"])
        if len(early):
            raise _wrong(f"case {early[0]} ends before it begins; exit_ts is at or after entry_ts")
        # by everything there is, so that the order in which cases were given changes nothing
        ties = [*features.values(), columns["outcome"], columns["symbol"]]
        order = np.lexsort((*ties, columns["exit_ts"], columns["entry_ts"]))
        for name, values in columns.items():
            object.__setattr__(self, name, _fixed(values[order]))
        object.__setattr__(self, "features", {name: _fixed(v[order]) for name, v in features.items()})

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, chosen: npt.NDArray[Any]) -> Cases:
        """Return some of the cases: positions, or a flag per case."""
        columns = {
            spec.name: getattr(self, spec.name)[chosen]
            for spec in dataclasses.fields(self)
            if spec.name != "features"
        }
        features = {name: values[chosen] for name, values in self.features.items()}
        return Cases(**columns, features=features)


def _numbers(name: str, given: Any, count: int) -> Floats:
    values = _filled(name, np.nan if given is None else given, count, np.float64)
    if np.isinf(values).any():
        raise _wrong(f"{name} of case {np.flatnonzero(np.isinf(values))[0]} is infinite; unknown is NaN")
    return values


def _texts(name: str, given: Any, count: int) -> Texts:
    return _filled(name, given, count, np.str_)


def _times(name: str, given: Any, count: int) -> Ints:
    values = np.asarray(given)
    if values.dtype.kind not in "iu" and values.size:
        raise _wrong(f"{name} has type {values.dtype}; times are whole nanoseconds in UTC")
    return _filled(name, values, count, np.int64)


def _filled(name: str, given: Any, count: int, kind: type[Any]) -> npt.NDArray[Any]:
    """Return a column of its own: a single value stands for all cases."""
    try:
        values = np.asarray(given).astype(kind)
    except (TypeError, ValueError) as error:
        raise _wrong(f"{name} cannot be read as {kind.__name__}: {error}") from error
    if values.ndim == 0:
        return np.full(count, values)
    if values.shape != (count,):
        raise _wrong(f"{name} has shape {values.shape}; outcome has {count} cases")
    return values.copy()


def _fixed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values.setflags(write=False)
    return values


def _wrong(what: str) -> DataError:
    return DataError(what, code="TUNING_CASES")
