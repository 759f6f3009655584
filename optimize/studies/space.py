"""From a strategy's declared spaces to Optuna's distributions, and back to values that a strategy takes.

A stepped `Float` counts in steps and comes back rounded as `Float.grid` shows it, so that equal settings are
equal numbers. A scale that multiplies (`log`) and has a step as well is searched by its steps: Optuna has no
distribution for both.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optimize.studies._optuna import the_optuna
from simulator.errors import ConfigError, did_you_mean
from strategies.space import Choice, Float, Int, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["describe_space", "distributions", "grid_values", "read_space", "values_of"]


def read_space(strategy: Any, given: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Space]:
    """Return what to search: what a strategy declares, a part of it, or spaces given by name.

    Parameters
    ----------
    strategy
        Instance, class or function.
    given
        None: every declared space. Names: these of the declared ones. A mapping from names to `Int`, `Float`,
        `Choice`, or a list of values.

    Raises
    ------
    ConfigError
        OPTIMIZE_SPACE_EMPTY: nothing to search. OPTIMIZE_SPACE: an unknown parameter, or no space.
    """
    name = getattr(strategy, "name", getattr(strategy, "__name__", "the strategy"))
    declared: dict[str, Space] = dict(strategy.space()) if hasattr(strategy, "space") else {}
    if given is None:
        found = declared
    elif isinstance(given, Mapping):
        found = {key: _space(key, value) for key, value in given.items()}
    else:
        if isinstance(given, str) or not all(isinstance(key, str) for key in given):
            raise ConfigError(
                f"space is {given!r}; give names of parameters, or spaces by name", code="OPTIMIZE_SPACE"
            )
        missing = [key for key in given if key not in declared]
        if missing:
            raise ConfigError(
                f"{name} declares no space for {missing[0]!r}.{did_you_mean(missing[0], declared)}",
                code="OPTIMIZE_SPACE",
            )
        found = {key: declared[key] for key in given}
    if hasattr(strategy, "describe"):
        known = [row["name"] for row in strategy.describe()]
        for key in found:
            if key not in known:
                raise ConfigError(
                    f"{name} has no parameter {key!r}.{did_you_mean(key, known)}", code="OPTIMIZE_SPACE"
                )
    for key, one in found.items():
        _check_legal(name, key, one, strategy)
    if not found:
        raise ConfigError(
            f"there is nothing to search: {name} declares no space for any parameter; declare one with "
            "param(default, Int(5, 50, 5)), or give space={'length': Int(5, 50, 5)}",
            code="OPTIMIZE_SPACE_EMPTY",
        )
    return found


def distributions(space: Mapping[str, Space]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each parameter."""
    return {name: _distribution(name, one) for name, one in space.items()}


def values_of(space: Mapping[str, Space], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return drawn values as a strategy takes them, in the order of the space."""
    return {name: _value(one, drawn[name]) for name, one in space.items() if name in drawn}


def grid_values(space: Mapping[str, Space]) -> dict[str, list[Any]]:
    """Return the values that a grid tries: every step, and five of a space without steps."""
    return {name: list(one.grid()) for name, one in space.items()}


def describe_space(space: Mapping[str, Space]) -> dict[str, str]:
    """Return each space in words that change when the space does."""
    return {name: repr(one) for name, one in space.items()}


def _value(space: Space, drawn: Any) -> Any:
    return round(float(drawn), 12) if isinstance(space, Float) and space.step is not None else drawn


def _space(name: str, given: Any) -> Space:
    if isinstance(given, (Int, Float, Choice)):
        return given
    if isinstance(given, Sequence) and not isinstance(given, str):
        return Choice(tuple(given))
    raise ConfigError(
        f"the space of {name!r} is {given!r}; give Int, Float, Choice or a list of values",
        code="OPTIMIZE_SPACE",
    )


def _check_legal(name: str, key: str, space: Space, strategy: Any) -> None:
    """Raise where a range leaves what the strategy takes: its trials would all be refused."""
    if isinstance(space, Choice) or not dataclasses.is_dataclass(getattr(strategy, "params", None)):
        return
    spec = next((spec for spec in dataclasses.fields(strategy.params) if spec.name == key), None)
    least, most = (
        (None, None) if spec is None else (spec.metadata.get("minimum"), spec.metadata.get("maximum"))
    )
    if (least is not None and space.low < least) or (most is not None and space.high > most):
        legal = " and ".join(
            f"{word} {limit:g}"
            for word, limit in (("at least", least), ("at most", most))
            if limit is not None
        )
        raise ConfigError(
            f"the space of {key!r} is {space.low:g} to {space.high:g}, and {name} takes {legal}",
            code="OPTIMIZE_SPACE",
        )


def _distribution(name: str, space: Space) -> BaseDistribution:
    make = the_optuna().distributions
    found: BaseDistribution
    if isinstance(space, Int):
        last = space.low + (space.high - space.low) // space.step * space.step
        found = make.IntDistribution(space.low, last, log=space.log and space.step == 1, step=space.step)
    elif isinstance(space, Float):
        if space.step is None:
            found = make.FloatDistribution(space.low, space.high, log=space.log)
        else:
            steps = math.floor((space.high - space.low) / space.step + 1e-9)
            top = space.low + steps * space.step
            found = make.FloatDistribution(space.low, top, step=space.step)
    else:
        strange = [one for one in space.options if not isinstance(one, (bool, int, float, str, type(None)))]
        if strange:
            raise ConfigError(
                f"the space of {name!r} holds {strange[0]!r}; a study can keep numbers, texts, truth values "
                "and None",
                code="OPTIMIZE_SPACE",
            )
        found = make.CategoricalDistribution(space.options)
    return found
