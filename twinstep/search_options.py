"""Options of searches: what is searched, by what, how long, and where the report goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from simulator.errors import ConfigError
from twinstep.console import working
from twinstep.options import OUTPUT

__all__ = ["SEARCH", "Objectives", "ReportFile", "Reported", "Search", "names_of", "write_report"]

SEARCH: Final = "Search"

Objectives = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="What to maximise: sharpe (the default), sortino, calmar, average_r, expectancy_r, sqn, "
        "profit_per_margin_day or tail_penalised. Several give a Pareto front.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write an HTML report, one file.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Searched = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Search only these parameters; without it, all that the strategy declares a space for.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
Trials = Annotated[
    int, typer.Option(min=1, help="Trials of a search; a study in a storage goes on.", rich_help_panel=SEARCH)
]
Sampler = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="tpe, qmc, random, grid, nsga2, nsga3, gp or cmaes.", rich_help_panel=SEARCH
    ),
]
MinTrades = Annotated[
    int | None,
    typer.Option(min=0, help="Fewest trades of a set.", rich_help_panel=SEARCH, show_default=False),
]
MaxDrawdownPct = Annotated[
    float | None,
    typer.Option(
        metavar="PERCENT",
        help="Largest drawdown of a set, as 20.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, help="The same seed gives the same answer.", rich_help_panel=SEARCH)
]


class Reported(Protocol):
    """What can write its report."""

    def report(self, path: Path, /) -> Path:
        """Write one HTML file and return its path."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """How sets are proposed, and which of them count."""

    search: Searched = None
    trials: Trials = 100
    sampler: Sampler = "tpe"
    min_trades: MinTrades = None
    max_drawdown_pct: MaxDrawdownPct = None
    seed: Seed = 0


def write_report(found: Reported, path: Path | None) -> Path | None:
    """Write the report that was asked for, and return its path."""
    if path is None:
        return None
    with working("writing the report"):
        return found.report(path)


def names_of(text: str | None) -> list[str] | None:
    """Return the names of `--search`, None for all; CLI_PARAM where it names none."""
    if text is None:
        return None
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--search names no parameter, as in --search fast,slow", code="CLI_PARAM")
    return names
