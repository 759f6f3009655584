"""Values by what they say: the same for equal values, in every process, and never an address.

Numbers, words and short collections stay readable; arrays, tables and objects become a digest of their
content; functions and classes count by their code and the values they hold. What cannot be told (an open
file, a lock) raises `UntoldError`: leaving it out would make different runs look the same.

>>> told({"fast": 5.0, "when": (1, 2)})
{'fast': 5, 'when': [1, 2]}
>>> told(np.arange(3)) == told(np.arange(3)) != told(np.arange(4))
True
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import hashlib
import inspect
import json
import logging
import math
import pickle
import textwrap
from collections.abc import Hashable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import PurePath
from types import CodeType
from typing import Any, Final, cast

import numpy as np

__all__ = ["UntoldError", "code_of", "digest", "plain", "told"]

_DIGITS: Final = 12  # hex digits of a digest
_READABLE: Final = 200  # characters of a value that is kept as it is
_DEEPEST: Final = 30
_BASES: Final = ("abc", "builtins", "typing", "strategies.base")
"""Modules of base classes that say nothing of what a strategy does."""
_NAMED: Final = (date, time, timedelta, Decimal, Fraction, PurePath, complex)


class UntoldError(ValueError):
    """What a value holds cannot be told."""


def told(value: Any) -> Any:
    """Return a value as JSON has it: as it is where that is short, else as a digest of its content.

    Raises
    ------
    UntoldError
        For what cannot be told.
    """
    if _is_plain(value):
        return plain(value)
    found = _told(value, ())
    text = json.dumps(found, sort_keys=True)
    return found if len(text) <= _READABLE else digest([text])


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


@lru_cache(maxsize=256)
def code_of(made_of: Hashable) -> str:
    """Return a digest of the source of a class or function: what it says, not how it is laid out."""
    if isinstance(made_of, type):
        own = [kind for kind in made_of.__mro__ if kind.__module__ not in _BASES]
        return digest(_source(kind) for kind in own)
    return digest([_source(made_of)])


def digest(texts: Iterable[str | bytes]) -> str:
    """Return a short hash of texts in their order."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text if isinstance(text, bytes) else text.encode())
        found.update(b"\0")
    return found.hexdigest()[:_DIGITS]


# Parts


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str, np.generic))


def _told(value: Any, inside: tuple[int, ...]) -> Any:
    if isinstance(value, enum.Enum):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return plain(value)
    if isinstance(value, _NAMED):
        return str(value)
    if isinstance(value, logging.Logger):
        return value.name  # it decides nothing
    if isinstance(value, (bytes, bytearray)):
        return digest([bytes(value)])
    if id(value) in inside:
        return f"above {len(inside) - inside.index(id(value))}"
    if len(inside) > _DEEPEST:
        raise UntoldError(type(value).__name__)
    inside = (*inside, id(value))
    if isinstance(value, (list, tuple)):
        return [_told(one, inside) for one in value]
    if isinstance(value, Mapping):
        return _pairs(value, inside)
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(_told(one, inside), sort_keys=True) for one in value)
    if isinstance(value, np.ndarray):
        said = [json.dumps(_told(value.tolist(), inside))] if value.dtype.hasobject else [value.tobytes()]
        return digest([str(value.dtype), repr(value.shape), *said])
    if inspect.ismodule(value):
        return value.__name__
    return _object(value, inside)


def _pairs(value: Mapping[Any, Any], inside: tuple[int, ...]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {key: _told(one, inside) for key, one in value.items()}
    pairs = [[_told(key, inside), _told(one, inside)] for key, one in value.items()]
    return sorted(json.dumps(pair, sort_keys=True) for pair in pairs)


def _object(value: Any, inside: tuple[int, ...]) -> Any:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, type):
        return [value.__qualname__, code_of(cast("Hashable", value))]
    if isinstance(getattr(value, "fingerprint", None), str):
        return [name, value.fingerprint]  # bars, results
    if kind.__module__.startswith("pandas."):
        return [name, *_table(value)]
    if inspect.isroutine(value) or isinstance(value, partial) or hasattr(value, "records"):
        return _function(value, inside)
    if callable(getattr(value, "parameters", None)):
        return [name, code_of(cast("Hashable", kind)), _told(value.parameters(), inside)]
    if dataclasses.is_dataclass(value):
        # attributes beyond the fields are worked out from them
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return [name, _told(fields, inside)]
    if getattr(value, "__dict__", None):
        return [name, _told(value.__dict__, inside)]
    try:
        return [name, digest([pickle.dumps(value, protocol=4)])]
    except Exception as error:
        raise UntoldError(name) from error


def _function(value: Any, inside: tuple[int, ...]) -> Any:
    from simulator.ran import ran_of

    if inspect.isbuiltin(value):
        return value.__qualname__
    try:
        ran = ran_of(value)
    except RecursionError as error:  # a function that holds itself
        raise UntoldError(value.__qualname__) from error
    if ran.untold:
        raise UntoldError(ran.strategy)
    return [ran.strategy, ran.parameters, ran.version]


def _table(value: Any) -> list[Any]:
    from pandas.util import hash_pandas_object

    try:
        hashes = hash_pandas_object(value).to_numpy()
    except (TypeError, ValueError) as error:
        try:
            return [digest([pickle.dumps(value, protocol=4)])]
        except Exception:  # pickling runs the code of what is in the table, which may raise anything
            raise UntoldError(type(value).__name__) from error
    return [str(getattr(value, "columns", getattr(value, "name", ""))), digest([hashes.tobytes()])]


def _source(made_of: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(made_of))
    except (OSError, TypeError):
        # typed in where no file keeps it
        if isinstance(made_of, type):
            codes = {name: getattr(one, "__code__", None) for name, one in vars(made_of).items()}
            return "".join(name + _compiled(code) for name, code in codes.items() if code is not None)
        code = getattr(made_of, "__code__", None)
        return "" if code is None else _compiled(code)
    try:
        return ast.unparse(ast.parse(text))
    except SyntaxError:  # a part of a line, as of a lambda
        return text


def _compiled(code: CodeType) -> str:
    """Return instructions, names and constants; constants that are code the same way."""
    constants = (_compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts)
    return " ".join([code.co_code.hex(), *code.co_names, *constants])
