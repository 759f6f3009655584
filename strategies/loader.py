"""Finding a strategy: by short name, in a file, in a module, or in an installed package.

=============================  ===============================================================================
written as                     found in
=============================  ===============================================================================
``sma-cross``                  the shipped strategies (`strategies.registry`)
``path/to/mine.py:Mine``       a class in a file; the modules beside it can be imported while it loads
``path/to/mine.py``            the same, where the file defines exactly one strategy
``package.module:Mine``        a class in an importable module
``their-name``                 the entry point group ``twinstep.strategies`` of installed packages
=============================  ===============================================================================

Loading a file or module runs its code: load only what you trust.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from simulator.errors import StrategyError, UnknownNameError, did_you_mean
from simulator.types import OnBarStrategy, Strategy
from strategies.base import Parametrised
from strategies.registry import STRATEGIES, strategy_class

__all__ = ["ENTRY_POINTS", "SOURCE", "load_class", "load_strategy", "source_of", "strategy_names"]

ENTRY_POINTS: Final = "twinstep.strategies"
"""Entry point group under which a package offers strategies."""
SOURCE: Final = "__twinstep_source__"
"""Where a strategy's module, and each module beside it that it imports, keeps the text that was run."""


def load_strategy(spec: str, **params: Any) -> Strategy | OnBarStrategy:
    """Load a strategy and give it its parameters.

    Parameters
    ----------
    spec
        See the table in the module's docstring.
    **params
        Parameters of the strategy; the others keep their defaults.

    Raises
    ------
    UnknownNameError
        NAME_STRATEGY: no such name, with the nearest one.
    StrategyError
        STRATEGY_FILE_MISSING, STRATEGY_MODULE_MISSING, STRATEGY_IMPORT (the file or module raised),
        STRATEGY_CLASS_MISSING, STRATEGY_CLASS_AMBIGUOUS, STRATEGY_CONTRACT (not a strategy),
        STRATEGY_PARAM_UNKNOWN, STRATEGY_PARAM_VALUE.
    """
    kind = load_class(spec)
    if not issubclass(kind, Parametrised):
        _check_constructor(kind, params)
    strategy = kind(**params)
    _check_contract(strategy, spec)
    return strategy  # type: ignore[no-any-return]  # checked a line above


def load_class(spec: str) -> type[Any]:
    """Load a strategy's class without building it, for its `space()` and `describe()`."""
    if not isinstance(spec, str):
        raise UnknownNameError(
            f"the strategy is {spec!r}; write its name, path/to/file.py:Class or package.module:Class",
            code="NAME_STRATEGY",
        )
    if not spec.strip():
        raise UnknownNameError("the name of the strategy is empty", code="NAME_STRATEGY")
    spec = spec.strip()
    target, attribute = _split(spec)
    if target.endswith(".py"):
        return _class_of(_load_file(Path(target)), attribute, spec)
    if attribute is not None:
        return _class_of(_load_module(target), attribute, spec)
    if target in STRATEGIES:
        return strategy_class(target)
    return _from_entry_point(target)


def strategy_names() -> list[str]:
    """Return the shipped names, then those of installed packages."""
    return [*STRATEGIES, *sorted(set(_offered()) - set(STRATEGIES))]


def _split(spec: str) -> tuple[str, str | None]:
    head, colon, tail = spec.rpartition(":")
    # a drive letter's colon is followed by a path, a class's by a name
    if colon and tail.isidentifier():
        return head, tail
    return spec, None


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _from_entry_point(name: str) -> type[Any]:
    offered = _offered()
    if name not in offered:
        raise UnknownNameError(
            f"no strategy {name!r}.{did_you_mean(name, [*STRATEGIES, *offered])} "
            "Your own loads as path/to/file.py:Class or package.module:Class.",
            code="NAME_STRATEGY",
        )
    point = offered[name]
    try:
        kind = point.load()
    except Exception as error:
        raise StrategyError(
            f"entry point {name!r} ({point.value}) of group {ENTRY_POINTS} cannot be loaded: "
            f"{type(error).__name__}: {error}",
            code="STRATEGY_IMPORT",
        ) from error
    if not isinstance(kind, type):
        raise _no_strategy(f"entry point {name!r} gives {kind!r}, which is not a class")
    return kind


def source_of(file: Path) -> str:
    """Return the text of a Python file, in whatever encoding it declares.

    Raises
    ------
    OSError, SyntaxError, UnicodeDecodeError
        Where it cannot be read, or not in that encoding.
    """
    return importlib.util.decode_source(file.read_bytes())


def _load_file(path: Path) -> ModuleType:
    path = path.expanduser()
    if not path.is_file():
        near = did_you_mean(path.name, [file.name for file in path.parent.glob("*.py")])
        raise StrategyError(f"there is no file {path}.{near}", code="STRATEGY_FILE_MISSING")
    path = path.resolve()
    # unique per file, and in sys.modules, so that instances can be sent to worker processes that load it too
    name = f"twinstep_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path} is not a Python file", code="STRATEGY_IMPORT")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    _forget_changed(path.parent)
    sys.modules[name] = module
    try:
        with _importable(path.parent):
            vars(module)[SOURCE] = source_of(path)
            spec.loader.exec_module(module)
    except Exception as error:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise StrategyError(
            f"{path} cannot be loaded: {type(error).__name__}: {error}{_where(error, path)}",
            code="STRATEGY_IMPORT",
        ) from error
    return module


def _forget_changed(folder: Path) -> None:
    """Have the modules beside a file imported anew where they changed, or came from beside another one."""
    for name, module in list(sys.modules.items()):
        text, file = getattr(module, "__dict__", {}).get(SOURCE), folder / f"{name}.py"
        if text is None or not file.is_file():
            continue
        if module.__file__ != str(file) or source_of(file) != text:
            del sys.modules[name]


def _keep_sources(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        file = folder / f"{name}.py"
        if getattr(module, "__file__", None) == str(file):
            vars(module).setdefault(SOURCE, source_of(file))


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        # also where the file itself failed: its next try is to see what has changed beside it
        _keep_sources(folder)


def _where(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path
    ]
    return f" (line {lines[-1]})" if lines else ""


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise StrategyError(
                f"there is no module {error.name!r} to import; is its package installed, or its folder on "
                "the path? A file is written with its ending: mine.py:Mine",
                code="STRATEGY_MODULE_MISSING",
            ) from error
        raise _import_failed(name, error) from error
    except Exception as error:
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: Exception) -> StrategyError:
    return StrategyError(
        f"module {name!r} cannot be imported: {type(error).__name__}: {error}", code="STRATEGY_IMPORT"
    )


def _class_of(module: ModuleType, attribute: str | None, spec: str) -> type[Any]:
    own = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and _looks_like_strategy(value)
    }
    if attribute is None:
        if len(own) == 1:
            return next(iter(own.values()))
        if not own:
            raise StrategyError(f"{spec} defines no strategy class", code="STRATEGY_CLASS_MISSING")
        raise StrategyError(
            f"{spec} defines several strategies: {', '.join(sorted(own))}; write {spec}:{sorted(own)[0]}",
            code="STRATEGY_CLASS_AMBIGUOUS",
        )
    if not hasattr(module, attribute):
        raise StrategyError(
            f"{spec.rpartition(':')[0]} has no class {attribute!r}.{did_you_mean(attribute, own)}",
            code="STRATEGY_CLASS_MISSING",
        )
    kind = getattr(module, attribute)
    if not isinstance(kind, type) or not _looks_like_strategy(kind):
        raise _no_strategy(f"{spec} is {kind!r}")
    return kind


def _looks_like_strategy(kind: type[Any]) -> bool:
    return callable(getattr(kind, "signals", None)) or callable(getattr(kind, "on_bar", None))


def _no_strategy(what: str) -> StrategyError:
    return StrategyError(
        f"{what}; a strategy is a class with signals(bars) or on_bar(context), best derived from "
        "strategies.Strategy",
        code="STRATEGY_CONTRACT",
    )


def _check_constructor(kind: type[Any], params: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(kind)
    except ValueError:  # a class implemented in C says nothing about its arguments
        return
    known = [name for name in signature.parameters if name not in ("args", "kwargs")]
    try:
        signature.bind(**params)
    except TypeError as error:
        unknown = [name for name in params if name not in known]
        hint = did_you_mean(unknown[0], known) if unknown else ""
        raise StrategyError(f"{kind.__name__}: {error}.{hint}", code="STRATEGY_PARAM_UNKNOWN") from error


def _check_contract(strategy: object, spec: str) -> None:
    if not isinstance(strategy, (Strategy, OnBarStrategy)):
        missing = [name for name in ("name", "warmup") if not hasattr(strategy, name)]
        raise _no_strategy(f"{spec} lacks {' and '.join(missing)}")
