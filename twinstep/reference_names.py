"""The generated parts of `docs/api_*.md`: the public names of every package, each with its first sentence.

A package's public names are its `__all__`, in the order in which a reader needs them: what loads something,
the other functions, classes, values. A name that two packages offer is listed where it comes first. The site
replaces each table with the full documentation of its names (`docs/conf.py`), so that both say the same.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from twinstep.reference_tables import table

__all__ = ["PACKAGES", "names_of", "public_names"]

PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "simulator": (
        "simulator",
        "simulator.bars",
        "simulator.results",
        "simulator.options",
        "simulator.options.importers",
    ),
    "strategies": ("strategies", "strategies.indicators", "strategies.patterns", "strategies.premium"),
    "journal": ("journal", "journal.statements"),
    "optimize": ("optimize", "optimize.forward", "optimize.report"),
    "live": (
        "live",
        "live.feeds",
        "live.brokers",
        "live.brokers.alpaca",
        "live.brokers.interactive_brokers",
        "live.brokers.tastytrade",
        "live.following",
        "live.slippage",
        "live.exchange",
        "live.venue",
    ),
    "twinstep": ("twinstep", "twinstep.dashboard"),
}
"""Packages by the page that lists their names."""
_KINDS: Final = ("function", "class", "value")


def public_names(page: str) -> str:
    """Return a section per package of a page: what it is, and a table of its names."""
    parts = []
    for package in PACKAGES[page]:
        rows = [
            (f"`{package}.{name}`", kind, _sentence(meaning).replace("|", "\\|"))
            for name, kind, meaning in names_of(page, package)
        ]
        if rows:
            about = _sentence(inspect.getdoc(importlib.import_module(package)) or "")
            parts += [f"## {package}", about, table(("name", "kind", "what it is"), rows)]
    return "\n\n".join(parts)


def names_of(page: str, package: str) -> list[tuple[str, str, str]]:
    """Return name, kind (class, function or value) and docstring of what a package is the first to offer."""
    seen: set[int] = set()
    for earlier in PACKAGES[page]:
        module = importlib.import_module(earlier)
        offered = {name: _offered(module, name) for name in module.__all__}
        if earlier == package:
            found = [
                (name, _kind(value), _meaning(module, name, value))
                for name, value in offered.items()
                if id(value) not in seen
            ]
            return sorted(found, key=lambda one: (not one[0].startswith("load_"), _KINDS.index(one[1])))
        seen |= {id(value) for value in offered.values()}
    raise LookupError(f"the page {page} has no package {package}")


def _offered(module: ModuleType, name: str) -> Any:
    # a module of the same name, imported by itself, stands before what the package offers
    value = getattr(module, name)
    return getattr(value, name) if inspect.ismodule(value) else value


def _kind(value: Any) -> str:
    return "class" if inspect.isclass(value) else "function" if inspect.isroutine(value) else "value"


def _meaning(module: ModuleType, name: str, value: Any) -> str:
    if _kind(value) == "value":
        return _values(module.__name__).get(name, f"A {type(value).__name__}.")
    return inspect.getdoc(value) or ""


@lru_cache
def _values(package: str) -> dict[str, str]:
    """Docstrings of constants: the string that stands below each, anywhere in the package."""
    folder = next(iter(importlib.import_module(package).__path__))
    found: dict[str, str] = {}
    for file in sorted(Path(folder).rglob("*.py")):
        found = {**dict(_described(ast.parse(file.read_text(encoding="utf-8")))), **found}
    return found


def _described(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield target.id, inspect.cleandoc(value.value)


def _sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", paragraph, maxsplit=1)[0]
