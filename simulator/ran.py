"""What was run, in one wording: strategy, parameters, state of the code, and the rules it was run under.

A run is known again by these words (`simulator.trials`), whoever makes it: a backtest, a lane of a sweep, a
trial of a study. So they are made here alone. Code counts by what it says and not by its layout; a function
counts with its defaults and the plain values it reads from outside, because somebody who tries values by hand
changes those.

>>> ran_of(lambda bars, length=20: None).parameters
{'length': 20}
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import math
import textwrap
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from simulator.conventions import Conventions
from simulator.costs import Costs

if TYPE_CHECKING:
    from simulator.risk_limits import RiskLimits

__all__ = ["Ran", "plain", "ran_of", "rules_of"]

_DIGITS: Final = 12  # hex digits of a digest


class Ran(NamedTuple):
    """What was run: the strategy's name, its parameters, the state of its code."""

    strategy: str
    parameters: dict[str, Any]
    version: str


def ran_of(strategy: Any, given: Mapping[str, Any] | None = None) -> Ran:
    """Return the identity of whatever can be traded.

    Parameters
    ----------
    strategy
        A strategy: its name, all its parameters, its class. A function: its name, the values it was given,
        its defaults and the plain values it reads from outside. Signals: what they say, as a hash. A list of
        strategies: all of them.
    given
        Parameters of a function.
    """
    if isinstance(strategy, (list, tuple)):
        parts = [ran_of(part) for part in strategy]
        names = [f"{number}: {part.strategy}" for number, part in enumerate(parts, start=1)]
        parameters = {name: part.parameters for name, part in zip(names, parts, strict=True)}
        return Ran(" + ".join(part.strategy for part in parts), parameters, _digest(p.version for p in parts))
    if hasattr(strategy, "records"):
        named = [name for name in strategy.strategies if name]
        arrays = (strategy.records, strategy.packages, strategy.legs)
        said = _digest([repr(strategy.symbols), *(array.tobytes() for array in arrays)])
        return Ran(" + ".join(named) or "signals", {"signals": said}, "")
    if hasattr(strategy, "signals") or hasattr(strategy, "on_bar"):
        parameters = dict(strategy.parameters()) if hasattr(strategy, "parameters") else {}
        name = str(getattr(strategy, "name", type(strategy).__name__))
        return Ran(name, parameters, _version(cast("Hashable", type(strategy))))
    keywords: dict[str, Any] = {}
    while isinstance(strategy, partial):
        keywords = {**strategy.keywords, **keywords}
        strategy = strategy.func
    values = {**_values_of(strategy), **keywords, **(given or {})}
    known = {name: value for name, value in values.items() if _is_plain(value)}
    code: Any = strategy if inspect.isroutine(strategy) else type(strategy)
    return Ran(str(getattr(strategy, "__name__", type(strategy).__name__)), known, _version(code))


def rules_of(
    *,
    cash: float,
    risk: RiskLimits | None,
    costs: Costs | str | None,
    conventions: Conventions | str,
    **others: Any,
) -> str:
    """Return in one wording what a run was made under, so that the same run is known again.

    It shows what differs from the defaults, and a digest of everything. Names of presets and profiles are not
    in it: what counts is what they say.

    Parameters
    ----------
    cash, risk, costs, conventions
        As in `backtest`.
    **others
        What else decides the outcome (a person who is asked, commands, bars that only warm up): told by its
        `repr`; None is left out.
    """
    parts = {"risk": risk, "costs": Costs.of(costs), "conventions": Conventions.of(conventions)}
    exact: dict[str, Any] = {"cash": plain(float(cash))}
    shown: dict[str, Any] = dict(exact)
    for name, value in parts.items():
        if value is None:
            exact[name] = shown[name] = "off"
            continue
        fields = {key: plain(item) for key, item in dataclasses.asdict(value).items() if key != "name"}
        usual = dataclasses.asdict(type(value)())
        exact[name] = fields
        changed = {key: item for key, item in fields.items() if item != plain(usual[key])}
        if changed:
            shown[name] = changed
    for name, value in others.items():
        if value is not None:
            exact[name] = shown[name] = repr(value)
    return json.dumps({**shown, "digest": _digest([json.dumps(exact, sort_keys=True)])}, sort_keys=True)


def plain(value: Any) -> Any:
    """Return a value as JSON has it, the same for equal values: 10.0 is 10, NaN is null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


# Parts


def _values_of(function: Any) -> dict[str, Any]:
    """Return what a function is run with beside the bars: what it reads from outside, and its defaults."""
    try:
        outside = inspect.getclosurevars(function)
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}
    defaults = {
        name: given.default
        for name, given in signature.parameters.items()
        if given.default is not inspect.Parameter.empty
    }
    return {**outside.globals, **outside.nonlocals, **defaults}


def _is_plain(value: Any) -> bool:
    # anything else would be told by its address, or not in full
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str, np.generic))


@lru_cache(maxsize=256)
def _version(made_of: Hashable) -> str:
    """Return a digest of the source of a class or function: what it says, not how it is laid out."""
    if isinstance(made_of, type):
        own = [kind for kind in made_of.__mro__ if kind.__module__ not in _BASES]
        return _digest(_source(kind) for kind in own)
    return _digest([_source(made_of)])


_BASES: Final = ("abc", "builtins", "typing", "strategies.base")
"""Modules of base classes that say nothing of what a strategy does."""


def _source(made_of: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(made_of))
    except (OSError, TypeError):
        # typed in where no file keeps it
        code = getattr(made_of, "__code__", None)
        return "" if code is None else code.co_code.hex()
    try:
        return ast.unparse(ast.parse(text))
    except SyntaxError:  # a part of a line, as of a lambda
        return text


def _digest(texts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text if isinstance(text, bytes) else text.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:_DIGITS]
