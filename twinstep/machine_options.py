"""Options of more processes and more machines; what they mean is the same in every command that has them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

__all__ = ["MACHINES", "Scheduler", "Workers"]

MACHINES: Final = "More processes and machines"

Workers = Annotated[int, typer.Option(min=1, help="Processes of this machine.", rich_help_panel=MACHINES)]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the workers of this Dask scheduler, as tcp://host:8786.",
        rich_help_panel=MACHINES,
        show_default=False,
    ),
]
