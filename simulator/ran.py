"""What was run, in one wording: strategy, parameters, state of the code, and the rules it was run under.

A run is known again by these words (`simulator.trials`), whoever makes it: a backtest, a lane of a sweep, a
trial of a study. So they are made here alone. Code counts by what it says and not by its layout; a function
counts with its defaults and the values it reads from outside, because somebody who tries values by hand
changes those. Values are told by what they say (`simulator.told_values`), never by an address; where that
cannot be, the signals tell runs apart, and without signals each run counts as one of its own.

>>> ran_of(lambda bars, length=20: None).parameters
{'length': 20}
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import warn
from simulator.told_values import UntoldError, code_of, digest, plain, told

if TYPE_CHECKING:
    from simulator.risk_limits import RiskLimits
    from simulator.signals import Signals

__all__ = ["Ran", "digest_of", "plain", "ran_of", "rules_of", "settled"]


class Ran(NamedTuple):
    """What was run: the strategy's name, its parameters, the state of its code.

    `untold` names what decides the outcome and cannot be told; `settled` makes up for it.
    """

    strategy: str
    parameters: dict[str, Any]
    version: str
    untold: tuple[str, ...] = ()


def ran_of(strategy: Any, given: Mapping[str, Any] | None = None) -> Ran:
    """Return the identity of whatever can be traded.

    Ask before it runs: a strategy may keep what it has seen in its attributes.

    Parameters
    ----------
    strategy
        A strategy: its name, all its parameters (without `parameters()` its attributes), its class. A
        function: its name, the values it was given, its defaults and the values it reads from outside;
        modules, classes and functions that it reads there are not looked into. Signals: what they say, as a
        hash. A list of strategies: all of them.
    given
        Parameters of a function.
    """
    if isinstance(strategy, Ran):
        return strategy
    if isinstance(strategy, (list, tuple)):
        parts = [ran_of(part) for part in strategy]
        names = [f"{number}: {part.strategy}" for number, part in enumerate(parts, start=1)]
        parameters = {name: part.parameters for name, part in zip(names, parts, strict=True)}
        untold = tuple(dict.fromkeys(name for part in parts for name in part.untold))
        version = digest(part.version for part in parts)
        return Ran(" + ".join(part.strategy for part in parts), parameters, version, untold)
    if hasattr(strategy, "records"):
        named = [name for name in strategy.strategies if name]
        return Ran(" + ".join(named) or "signals", {"signals": _said(strategy)}, "")
    if hasattr(strategy, "signals") or hasattr(strategy, "on_bar"):
        kind = strategy if isinstance(strategy, type) else type(strategy)
        name = str(getattr(strategy, "name", kind.__name__))
        if kind is strategy or not hasattr(strategy, "parameters"):
            return Ran(name, *_told(_attributes(strategy), code_of(kind)))
        return Ran(name, *_told(dict(strategy.parameters()), code_of(kind)))
    keywords: dict[str, Any] = {}
    positional: tuple[Any, ...] = ()
    while isinstance(strategy, partial):
        keywords = {**strategy.keywords, **keywords}
        positional = (*strategy.args, *positional)
        strategy = strategy.func
    values = {**_values_of(strategy), **keywords, **(given or {})}
    if positional:
        values["given"] = positional
    code: Any = strategy if inspect.isroutine(strategy) else type(strategy)
    return Ran(str(getattr(strategy, "__name__", type(strategy).__name__)), *_told(values, code_of(code)))


def settled(runs: Sequence[Ran], signals: Sequence[Signals] | None = None) -> list[Ran]:
    """Return runs that are all told apart: by their signals, where values cannot be told.

    Without signals each of them counts as one of its own, and a warning says so (OPTIMIZE_TRIAL_UNTOLD).
    """
    found, names = [], dict[str, None]()
    for number, ran in enumerate(runs):
        if not ran.untold:
            found.append(ran)
            continue
        if signals is not None:
            extra = {"signals": _said(signals[number])}
        else:
            names.update(dict.fromkeys(ran.untold))
            extra = {"untold": uuid.uuid4().hex}
        found.append(Ran(ran.strategy, {**ran.parameters, **extra}, ran.version))
    if names:
        warn(
            f"{runs[0].strategy}: what {', '.join(map(repr, names))} holds cannot be told, so each run "
            "counts as a trial of its own, also the same one again; a method parameters() that returns what "
            "decides the outcome mends that",
            code="OPTIMIZE_TRIAL_UNTOLD",
            stacklevel=5,  # of whoever ran a backtest or a sweep
        )
    return found


def digest_of(value: Any) -> str:
    """Return a digest of what a function or a value says; what cannot be told is left out of it."""
    ran = ran_of(value) if callable(value) else Ran("", *_told({"value": value}, ""))
    return digest([json.dumps([ran.parameters, ran.version], sort_keys=True)])


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
        What else decides the outcome (a person who is asked, commands, bars that only warm up), told by what
        it says; None is left out.
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
            exact[name] = shown[name] = _rule(value)
    return json.dumps({**shown, "digest": digest([json.dumps(exact, sort_keys=True)])}, sort_keys=True)


# Parts


def _told(values: Mapping[str, Any], version: str) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """Return what can be told of values by name, the version, and the names of what cannot."""
    known, untold = {}, []
    for name, value in values.items():
        try:
            known[name] = told(value)
        except Exception:  # also whatever goes wrong in a value's own methods: the run is worth more
            untold.append(name)
    return known, version, tuple(untold)


def _rule(value: Any) -> Any:
    try:
        return told(value)
    except UntoldError:
        return uuid.uuid4().hex


def _said(signals: Signals) -> str:
    arrays = (signals.records, signals.packages, signals.legs)
    return digest([repr(signals.symbols), *(array.tobytes() for array in arrays)])


def _attributes(strategy: Any) -> dict[str, Any]:
    """Return the values that an instance holds, and the data of its class, which may be changed by hand."""
    found: dict[str, Any] = {}
    slots: list[str] = []
    for kind in reversed(type(strategy).__mro__):
        own = kind.__dict__.get("__slots__", ())
        slots += [own] if isinstance(own, str) else own
        for name, value in vars(kind).items():
            code = callable(value) or hasattr(value, "__get__")
            if not (name.startswith("_") or name == "name" or code):
                found[name] = value
    found |= {name: getattr(strategy, name) for name in slots if hasattr(strategy, name)}
    found |= getattr(strategy, "__dict__", {})
    found.pop("name", None)
    return found


def _values_of(function: Any) -> dict[str, Any]:
    """Return what a function is run with beside the bars: what it reads from outside, and its defaults."""
    held: dict[str, Any] = {}
    if inspect.ismethod(function):
        held, function = _attributes(function.__self__), function.__func__
    elif not inspect.isroutine(function):
        held, function = _attributes(function), type(function).__dict__.get("__call__", function)
    try:
        outside = inspect.getclosurevars(function)
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return held
    defaults = {
        name: given.default
        for name, given in signature.parameters.items()
        if given.default is not inspect.Parameter.empty
    }
    data = {name: value for name, value in outside.globals.items() if not _is_code(value)}
    return {**data, **outside.nonlocals, **defaults, **held}


def _is_code(value: Any) -> bool:
    return inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)
