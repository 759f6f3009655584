"""`twinstep strategies` and `twinstep new-strategy`: what there is, and a start for what there is not."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from twinstep.console import emit, emit_json, table
from twinstep.options import Json

__all__ = ["EXAMPLES", "new_strategy", "strategies"]

EXAMPLES: Final = (
    "Example:\n\n\b\n"
    "  twinstep new-strategy my-idea\n"
    "  twinstep backtest my_idea.py:MyIdea\n"
    "  twinstep lookahead my_idea.py:MyIdea"
)


def strategies(
    name: Annotated[
        str | None,
        typer.Argument(help="Only this one, with its description.", metavar="NAME", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the strategies and their parameters.

    Your own load as path/to/mine.py:Mine, without being listed.
    """
    from strategies.loader import load_class, strategy_names

    found = {spec: load_class(spec) for spec in ([name] if name else strategy_names())}
    if as_json:
        emit_json(
            {spec: {"doc": _doc(kind), "parameters": _parameters(kind)} for spec, kind in found.items()}
        )
        return
    for spec, kind in found.items():
        first, _, rest = _doc(kind).partition("\n")
        emit(f"{spec}: {first}")
        if name and rest.strip():
            emit(rest)
        rows = [[row["name"], row["default"], row["space"] or "", row["help"]] for row in _parameters(kind)]
        if rows:
            table(
                ["  parameter", "default", "worth trying", "meaning"], [[f"  {r[0]}", *r[1:]] for r in rows]
            )
        else:
            emit()


def new_strategy(
    name: Annotated[str, typer.Argument(help="Name in words or dashes, as my-idea.", metavar="NAME")],
    folder: Annotated[Path, typer.Option(help="Folder to write into.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a commented strategy and its test, ready to run."""
    from strategies import new_strategy as write

    files = write(name, folder)
    if as_json:
        emit_json({"files": files})
        return
    for file in files:
        emit(f"wrote {file}")


def _doc(kind: type[Any]) -> str:
    return inspect.getdoc(kind) or ""


def _parameters(kind: type[Any]) -> list[dict[str, Any]]:
    """Rows of a strategy's parameters; empty for a class that does not describe itself."""
    describe = getattr(kind, "describe", None)
    return [{**row, "space": _space(row["space"])} for row in describe()] if callable(describe) else []


def _space(space: Any) -> str | None:
    if space is None:
        return None
    options = getattr(space, "options", None)
    if options is not None:
        return ", ".join(str(option) for option in options)
    step = getattr(space, "step", None)
    return f"{space.low:g}:{space.high:g}" + (f":{step:g}" if step else "")
