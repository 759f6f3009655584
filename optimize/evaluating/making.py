"""Strategies from parameter sets, and when two of them are the same.

>>> from strategies import SmaCross
>>> make = maker_of(SmaCross(stop_atr=4.0))
>>> make({"fast": 5}).params.stop_atr
4.0
>>> key_of(make({"fast": 5}), {}) == key_of(make({"fast": 5.0}), {})
True
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, StrategyError

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["key_of", "maker_of"]


def maker_of(strategy: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function from a parameter set to a strategy, or to a function of the bars.

    What a set does not name keeps the values of a strategy's instance, or the defaults of a class.

    Raises
    ------
    ConfigError
        CONFIG_SWEEP for what is neither a strategy nor a function. What is returned raises `StrategyError`
        for a set that the strategy does not accept.
    """
    if isinstance(strategy, type) and hasattr(strategy, "signals"):
        return lambda parameters: strategy(**parameters)
    if hasattr(strategy, "signals"):
        fixed = strategy.parameters() if hasattr(strategy, "parameters") else {}
        return lambda parameters: type(strategy)(**{**fixed, **parameters})
    if callable(strategy):
        return lambda parameters: _Bound(strategy, dict(parameters))
    hint = f": strategies.strategy_class({strategy!r})()" if isinstance(strategy, str) else ""
    raise ConfigError(
        f"{strategy!r} cannot be scored; give a strategy with signals(bars){hint}, or a function from bars "
        "and parameters to Signals",
        code="CONFIG_SWEEP",
    )


def key_of(made: Any, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what strategies made of equal sets share; `parameters` are those of a function."""
    # parameters as the strategy holds them: 5 and 5.0 are the same length, True and 1 are not
    values = made.parameters() if hasattr(made, "parameters") else parameters
    return tuple(sorted((name, type(value).__name__, _frozen(value)) for name, value in values.items()))


class _Bound:
    """A function of bars with its parameters given."""

    def __init__(self, function: Any, parameters: dict[str, Any]) -> None:
        try:
            inspect.signature(function).bind(None, **parameters)
        except TypeError as error:
            name = getattr(function, "__name__", "the function")
            raise StrategyError(f"{name}: {error}", code="STRATEGY_PARAM_UNKNOWN") from None
        self._function, self._parameters = function, parameters

    def __call__(self, bars: Bars) -> Any:
        return self._function(bars, **self._parameters)


def _frozen(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value
