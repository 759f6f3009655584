"""The strategy contract, and base classes that keep it.

A strategy is a name, a frozen set of parameters, a warm-up, and `signals(bars) -> Signals`. One rule binds
it, the **prefix rule**: the signals of `bars[:t]` are, bit for bit, the first part of the signals of all
bars. `strategies.lookahead` proves the rule at every bar. A strategy that needs its own fills or positions
derives from `OnBarStrategy` instead and is called once per completed bar.

>>> from dataclasses import dataclass
>>> class Buy(Strategy):
...     @dataclass(frozen=True)
...     class Params:
...         stop_percent: float = param(5.0, Float(2.0, 10.0, 1.0), minimum=0.1)
...
...     params: Params
...
...     def signals(self, bars):
...         return self.emit(bars, bars.close > bars.open, stop_percent=self.params.stop_percent)
>>> Buy(stop_percent=3).replace(stop_percent=4.0)
Buy(stop_percent=4.0)
>>> try:
...     Buy(stop_precent=3)
... except StrategyError as error:
...     print(error)
[STRATEGY_PARAM_UNKNOWN] buy has no parameter 'stop_precent'. Did you mean 'stop_percent'?
"""

from __future__ import annotations

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from simulator.errors import StrategyError, did_you_mean
from strategies.space import Choice, Float, Int, Space, param

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.context import Context
    from simulator.signals import Signals

__all__ = ["Choice", "Float", "Int", "OnBarStrategy", "Parametrised", "Space", "Strategy", "param"]

Array = npt.NDArray[np.float64]


# above the classes, because naming a class needs it while the module is still being read
def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


@dataclass(frozen=True)
class NoParams:
    """No parameters at all."""


class Parametrised:
    """A class with a `name` and validated, frozen parameters; keywords only, unknown ones refused.

    A subclass declares its parameters in a frozen dataclass called `Params`. Instances with equal parameters
    are equal, and `type(strategy)(**parameters)` builds any of them, which is what sweeps do.
    """

    name: ClassVar[str] = ""
    Params: ClassVar[type[Any]] = NoParams
    params: Any

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" not in cls.__dict__:
            cls.name = _kebab(cls.__name__)
        kind = cls.Params
        frozen = getattr(kind, "__dataclass_params__", None)
        if frozen is None or not frozen.frozen:
            raise StrategyError(
                f"{cls.__name__}.Params must be a frozen dataclass: put @dataclass(frozen=True) above it, so "
                "that a strategy cannot change between the run and the report",
                code="STRATEGY_PARAMS_CLASS",
            )

    def __init__(self, **parameters: Any) -> None:
        known = {spec.name: spec for spec in dataclasses.fields(self.Params)}
        for key in parameters:
            if key not in known:
                raise StrategyError(
                    f"{self.name} has no parameter {key!r}.{did_you_mean(key, known)}",
                    code="STRATEGY_PARAM_UNKNOWN",
                )
        values = {key: _checked(self.name, known[key], value) for key, value in parameters.items()}
        self.params = self.Params(**values)

    @property
    def warmup(self) -> int:
        """Bars of history before the first signal can be trusted; 0 for a strategy without memory."""
        return 0

    @classmethod
    def space(cls) -> dict[str, Space]:
        """Return the search space of every parameter that has one."""
        spaces = {spec.name: spec.metadata.get("space") for spec in dataclasses.fields(cls.Params)}
        return {name: space for name, space in spaces.items() if space is not None}

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Return one row per parameter: name, type, default, space and help text."""
        return [
            {
                "name": spec.name,
                "type": type(spec.default).__name__,
                "default": spec.default,
                "space": spec.metadata.get("space"),
                "help": spec.metadata.get("help", ""),
            }
            for spec in dataclasses.fields(cls.Params)
        ]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as a dictionary that `type(self)(**...)` takes."""
        return dataclasses.asdict(self.params)

    def replace(self, **changes: Any) -> Self:
        """Return the same strategy with some parameters changed."""
        return type(self)(**{**self.parameters(), **changes})

    def __repr__(self) -> str:
        """Class name and parameters, as one would write it."""
        inner = ", ".join(f"{key}={value!r}" for key, value in self.parameters().items())
        return f"{type(self).__name__}({inner})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.params == getattr(other, "params", None)

    def __hash__(self) -> int:
        return hash((type(self), self.params))


class Strategy(Parametrised, ABC):
    """Base of strategies that turn bars into signals, causally and vectorised."""

    @abstractmethod
    def signals(self, bars: Bars) -> Signals:
        """Return every signal that the bars give; see the prefix rule in the module's docstring."""

    def values(self, bars: Bars) -> Mapping[str, npt.NDArray[Any]]:
        """Return the series behind the signals by name, each of shape (T,) or (T, S).

        Optional. What is returned here is held to the prefix rule at every bar, not only where a signal is,
        and the warm-up report measures it; charts may show it.
        """
        return {}

    def emit(
        self,
        bars: Bars,
        where: npt.NDArray[np.bool_],
        side: npt.ArrayLike = 1,
        **columns: Any,
    ) -> Signals:
        """Build signals wherever `where` is true and the bar exists.

        Parameters
        ----------
        bars
            The bars given to `signals`.
        where
            Shape (T, S), or (T,) for all symbols alike.
        side
            +1 long, -1 short, 0 close; a scalar, or of shape (T,) or (T, S).
        **columns
            Signal columns (see `simulator.signals`): scalars and words as they are, arrays of shape (T,) or
            (T, S) picked where the signals are. NaN means absent.
        """
        from simulator.signals import Signals

        shape = (len(bars), len(bars.symbols))
        mask = np.broadcast_to(where if where.ndim == 2 else where[:, None], shape) & ~np.isnan(bars.close)
        rows, symbols = np.nonzero(mask)
        picked = {key: _pick(value, rows, symbols, shape) for key, value in columns.items()}
        picked.setdefault("strategy", self.name)
        return Signals.from_arrays(
            bars, rows, symbols, _pick(np.asarray(side), rows, symbols, shape), **picked
        )


class OnBarStrategy(Parametrised, ABC):
    """Base of strategies that see their own positions and place orders bar by bar.

    `context.bars` holds the bars up to the one that has just closed; `context.buy(symbol, stop=..., ...)`,
    `context.sell(...)` and `context.close(symbol)` place orders for the next bar, and
    `context.position(symbol)` and `context.equity` show the account. Slower than `Strategy`, over the same
    step.
    """

    @abstractmethod
    def on_bar(self, context: Context) -> None:
        """Look at the bar that has just closed and place orders."""


def _pick(
    value: Any, rows: npt.NDArray[np.intp], symbols: npt.NDArray[np.intp], shape: tuple[int, int]
) -> Any:
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return value
    if value.shape == shape:
        return value[rows, symbols]
    if value.shape == shape[:1]:
        return value[rows]
    raise StrategyError(
        f"a signal column has shape {value.shape}; with {shape[0]} bars of {shape[1]} symbols it must be "
        f"{shape}, {shape[:1]} or a single value",
        code="STRATEGY_SIGNAL_SHAPE",
    )


def _checked(owner: str, spec: dataclasses.Field[Any], value: Any) -> Any:
    """Return `value` in the type of the parameter's default, or raise `StrategyError`."""
    kind = type(spec.default)
    if isinstance(value, np.generic):
        value = value.item()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if spec.default is not None and spec.default is not dataclasses.MISSING and not right:
        raise _bad(owner, spec.name, value, f"expected {_TYPES.get(kind, kind.__name__)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise _bad(owner, spec.name, value, "expected a finite number")
    space = spec.metadata.get("space")
    if isinstance(space, Choice) and value not in space.options:
        hint = did_you_mean(str(value), [str(option) for option in space.options])
        raise _bad(owner, spec.name, value, f"expected one of {', '.join(map(repr, space.options))}.{hint}")
    minimum, maximum = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if minimum is not None and value < minimum:
        raise _bad(owner, spec.name, value, f"must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise _bad(owner, spec.name, value, f"must be at most {maximum}")
    return value


_TYPES = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _bad(owner: str, name: str, value: Any, rule: str) -> StrategyError:
    return StrategyError(f"{owner}: {name} is {value!r}; {rule}", code="STRATEGY_PARAM_VALUE")
