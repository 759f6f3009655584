"""Work that parameter sets have in common, done once: series, and whole signals.

A search tries thousands of sets of which many differ only in a stop or a filter: the averages behind them are
the same. Which parameters matter to a piece of work is not declared by strategies; it is observed. While
`values(bars)` (or `signals(bars)`) runs, the parameters that it reads are noted, with their values. A later
set for which those parameters have those values would take the same way through the same code, so it gets the
same arrays. That holds for every strategy that keeps its contract: it depends on bars and parameters alone.

Arrays are handed out read-only. A strategy that writes into them, keeps state of its own, or does anything
else for which the observation fails, is run plainly from then on: sharing never changes an answer.

>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> bars = load_bars("synthetic:1x200?seed=1")
>>> cache = SignalCache(bars)
>>> kind = strategy_class("sma-cross")
>>> for stop in (1.0, 2.0, 3.0):
...     _ = cache.signals(kind(fast=5, slow=20, stop_atr=stop))
>>> cache.computed
{'values': 1, 'signals': 3}
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["SignalCache"]

_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Series and signals that one cache keeps; the ones used longest ago go first."""

_ABSENT: Final = object()


class SignalCache:
    """Signals of strategies over one set of bars.

    Attributes
    ----------
    computed
        How often `values` and `signals` really ran, for tests and benchmarks.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._values = _Memo()
        self._signals = _Memo()
        self._plain: set[type[Any]] = set()
        self.computed = {"values": 0, "signals": 0}

    def signals(self, strategy: Any) -> Signals:
        """Return the signals of a strategy, or of a function of the bars, as `simulator.sweep` would."""
        from simulator.engine import signals_of

        kind = type(strategy)
        if kind not in self._plain and _observable(strategy):
            try:
                return self._shared(strategy)
            except Exception:  # the plain run below raises what is really wrong with the strategy
                self._plain.add(kind)
        self.computed["signals"] += 1
        return signals_of(strategy, self._bars)

    def _shared(self, strategy: Any) -> Signals:
        from simulator.engine import signals_of

        kind, params = type(strategy), strategy.params
        found = self._signals.find(kind, params)
        if found is not _ABSENT:
            return found  # type: ignore[no-any-return]
        reads: dict[str, Any] = {}
        copy = object.__new__(kind)
        copy.params = _watched(params, reads)
        if "values" in dir(kind):
            copy.values = lambda bars: self._series(kind, params, bars, reads)
        signals = signals_of(copy, self._bars)
        self.computed["signals"] += 1
        self._signals.keep(kind, reads, signals, signals.records.nbytes + signals.legs.nbytes + 512)
        return signals

    def _series(self, kind: Any, params: Any, bars: Bars, outer: dict[str, Any]) -> Mapping[str, Any]:
        if bars is not self._bars:
            # a strategy that asks for the series of other bars
            plain = object.__new__(kind)
            plain.params = _watched(params, outer)
            return kind.values(plain, bars)  # type: ignore[no-any-return]
        found = self._values.find(kind, params)
        if found is _ABSENT:
            reads: dict[str, Any] = {}
            copy = object.__new__(kind)
            copy.params = _watched(params, reads)
            series = dict(kind.values(copy, bars))
            self.computed["values"] += 1
            for array in series.values():
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
            size = sum(getattr(array, "nbytes", 0) for array in series.values())
            found = (reads, MappingProxyType(series))
            self._values.keep(kind, reads, found, size + 512)
        outer |= found[0]
        return dict(found[1])


class _Memo:
    """Answers by what was read for them.

    Which parameters are read may depend on the values of others, so a class has several shapes of keys.
    """

    def __init__(self) -> None:
        self._shapes: dict[type[Any], dict[tuple[str, ...], None]] = {}
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def find(self, kind: type[Any], params: Any) -> Any:
        for names in self._shapes.get(kind, ()):
            key = (kind, names, tuple(_value_key(getattr(params, name)) for name in names))
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        return _ABSENT

    def keep(self, kind: type[Any], reads: Mapping[str, Any], answer: Any, size: int) -> None:
        names = tuple(sorted(reads))
        self._shapes.setdefault(kind, {})[names] = None
        key = (kind, names, tuple(_value_key(reads[name]) for name in names))
        self._kept[key] = (answer, size)
        self._bytes += size
        while self._bytes > _LIMIT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1]


def _value_key(value: Any) -> Hashable:
    # 1, 1.0 and True are equal and not the same
    return (type(value), value if value.__hash__ is not None else repr(value))


def _observable(strategy: Any) -> bool:
    """Whether all that a strategy knows is `params`, a frozen dataclass, so that reads can be watched."""
    params = getattr(strategy, "params", None)
    return (
        hasattr(strategy, "signals")
        and getattr(strategy, "__dict__", {}).keys() == {"params"}
        and dataclasses.is_dataclass(params)
        and getattr(params, "__dict__", {}).keys() == {spec.name for spec in dataclasses.fields(params)}
    )


_WATCHED: dict[type[Any], type[Any]] = {}


def _watched(params: Any, reads: dict[str, Any]) -> Any:
    """Return parameters that note each of their fields that is read, and its value, in `reads`."""
    kind = type(params)
    if kind not in _WATCHED:
        _WATCHED[kind] = type(kind.__name__, (kind,), {"__getattribute__": _reader(kind)})
    watched = object.__new__(_WATCHED[kind])
    for name, value in vars(params).items():
        object.__setattr__(watched, name, value)
    object.__setattr__(watched, "_reads", reads)
    return watched


def _reader(kind: type[Any]) -> Callable[[Any, str], Any]:
    names = frozenset(spec.name for spec in dataclasses.fields(kind))

    def read(self: Any, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name in names:
            object.__getattribute__(self, "_reads")[name] = value
        elif name == "__dict__":
            # whoever takes all of it may read all of it
            object.__getattribute__(self, "_reads").update({field: value[field] for field in names})
        return value

    return read
