"""Errors: one root, a stable code, and a message that diagnoses.

Every error that this project raises on purpose derives from `TwinstepError` and carries a `code` that
never changes between releases, so that a script can tell an empty file from a wrong column without reading
prose. The message names the object, the value, the limit and the likely cause. Classes inherit from the
standard exception that a caller would expect (`ValueError`, `LookupError`, `OSError`, ...).

>>> try:
...     raise DataError("AAPL 2020-01-02: high 10.0 is below low 11.0", code="DATA_OHLC")
... except ValueError as error:
...     print(error.code)
DATA_OHLC
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = [
    "ConfigError",
    "DataError",
    "EngineError",
    "FetchError",
    "JournalError",
    "MissingExtraError",
    "SignalError",
    "StrategyError",
    "TwinstepError",
    "TwinstepWarning",
    "UnknownNameError",
    "did_you_mean",
    "known_fields",
    "warn",
]

_Class = TypeVar("_Class", bound=type[Any])


class TwinstepError(Exception):
    """Root of all errors raised on purpose; `code` is stable between releases."""

    code: str

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        """Message with its code in front, as it is shown on the command line."""
        return f"[{self.code}] {super().__str__()}"

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling between worker processes with the code kept."""
        return (_rebuild, (type(self), self.args[0], self.code))


class DataError(TwinstepError, ValueError):
    """Market data that breaks a rule: wrong columns, impossible bars, unsorted or naive times."""


class SignalError(TwinstepError, ValueError):
    """A signal that cannot be traded as written."""


class ConfigError(TwinstepError, ValueError):
    """A limit, cost, convention or configuration key outside what it may be."""


class UnknownNameError(TwinstepError, LookupError):
    """A name that nothing answers to: a profile, preset, sample, symbol or strategy."""


class StrategyError(TwinstepError, ValueError):
    """A strategy that cannot be loaded, or that broke its contract."""


class FetchError(TwinstepError, OSError):
    """A source of data that did not answer, or answered with nothing."""


class EngineError(TwinstepError, RuntimeError):
    """The simulator refuses to go on: a state of another schema, a full capacity, a broken invariant."""


class JournalError(TwinstepError, RuntimeError):
    """The journal's database cannot be used as asked: locked, read-only, full, damaged or newer."""


class MissingExtraError(TwinstepError, ImportError):
    """An optional package is not installed; the message says which extra brings it."""


class TwinstepWarning(UserWarning):
    """Something legal that is probably not what was meant; the message starts with a stable code."""


def did_you_mean(value: str, options: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest option, or the list of options where none is near."""
    names = sorted(options)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(names)}." if names else ""


def known_fields(what: str, *, code: str) -> Callable[[_Class], _Class]:
    """Make a keyword-only dataclass answer an unknown field with a `ConfigError` instead of a `TypeError`.

    Parameters
    ----------
    what
        What a field is called: "cost" gives "no cost 'slipage_bps'. Did you mean 'slippage_bps'?".
    code
        Stable code of the error.
    """

    def check(cls: _Class) -> _Class:
        names = [field.name for field in dataclasses.fields(cls)]
        init = cls.__init__

        # `wraps` keeps the signature, which is what completion and help show
        @functools.wraps(init)
        def checked(self: Any, /, *args: Any, **given: Any) -> None:
            if args:
                raise ConfigError(
                    f"{cls.__name__} has {args[0]!r} without a name; write {cls.__name__}({names[0]}=...)",
                    code=code,
                )
            for name in given:
                if name not in names:
                    raise ConfigError(f"no {what} {name!r}.{did_you_mean(name, names)}", code=code)
            init(self, **given)

        cls.__init__ = checked
        return cls

    return check


def warn(message: str, *, code: str, stacklevel: int = 3) -> None:
    """Emit a `TwinstepWarning` whose text starts with its stable code."""
    warnings.warn(f"[{code}] {message}", TwinstepWarning, stacklevel=stacklevel)


def _rebuild(kind: type[TwinstepError], message: str, code: str) -> TwinstepError:
    return kind(message, code=code)
