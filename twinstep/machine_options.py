"""Options of more processes and more machines; what they mean is the same in every command that has them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from simulator.errors import ConfigError

__all__ = ["MACHINES", "Scheduler", "Workers", "check_machines"]

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


def check_machines(workers: int, scheduler: str | None) -> None:
    """Refuse both at once: a cluster brings its own workers. CLI_EXCLUSIVE."""
    if scheduler is not None and workers > 1:
        raise ConfigError(
            f"--scheduler {scheduler} uses all workers of that cluster; leave out --workers {workers}",
            code="CLI_EXCLUSIVE",
        )
