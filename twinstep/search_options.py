"""Options of searches: what is searched, by what, how long, and where the report goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from simulator.errors import ConfigError
from twinstep.console import emit_json, note, working
from twinstep.options import OUTPUT

if TYPE_CHECKING:
    from simulator.bars import Bars
    from twinstep.config import Settings

__all__ = [
    "SEARCH",
    "Objectives",
    "ReportFile",
    "Reported",
    "Search",
    "answer",
    "check_report",
    "check_storage",
    "costs_word",
    "names_of",
    "objectives_of",
]

SEARCH: Final = "Search"

Objectives = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="What to maximise: sharpe (the default), sortino, calmar, average_r, expectancy_r, sqn, "
        "profit_per_margin_day or tail_penalised. Several, with commas or one by one, give a Pareto front.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a report, one file: HTML, or PDF where the name ends in .pdf.",
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
        """Write one file, HTML or PDF by its ending, and return its path."""
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


def check_report(path: Path | None) -> None:
    """Refuse a report that cannot be written before a search is made for it; leaves nothing behind.

    Raises
    ------
    ConfigError
        CONFIG_OUTPUT; CONFIG_NO_CHROMIUM for a PDF that nothing here can print.
    """
    if path is None:
        return
    from simulator.results.pdf import check_report_path

    check_report_path(path)
    if path.is_dir():
        raise ConfigError(
            f"--report {path} is a folder; name a file in it, as {path / 'report.html'}", code="CONFIG_OUTPUT"
        )
    made = [one for one in path.parents if not one.exists()]
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise ConfigError(
            f"--report {path} cannot be written: {error.strerror or error}. Name a file in a folder that you "
            "may write to; nothing was run",
            code="CONFIG_OUTPUT",
        ) from error
    finally:
        for one in made:
            if one.is_dir() and not any(one.iterdir()):
                one.rmdir()


def answer(
    found: Reported,
    path: Path | None,
    *,
    as_json: bool,
    document: Callable[[], dict[str, Any]],
    show: Callable[[], None],
) -> None:
    """Write the report that was asked for, and show what was found, whatever becomes of the report."""
    written: Path | None = None
    try:
        if path is not None:
            with working("writing the report"):
                written = found.report(path)
    finally:
        if as_json:
            emit_json(document() | {"report": written})
        else:
            show()
    if written is not None and not as_json:
        note(f"wrote {written}")


def check_storage(storage: str | None, study: str | None, workers: int, scheduler: str | None) -> None:
    """Refuse what needs a storage, and has none that will do.

    Raises
    ------
    ConfigError
        CLI_STORAGE, OPTIMIZE_WORKERS_STORAGE.
    """
    if study is not None and storage is None:
        raise ConfigError(
            f"--study {study!r} is the name of a study in a storage; add --storage studies.db",
            code="CLI_STORAGE",
        )
    if scheduler is not None and not (storage or "").startswith(("postgresql://", "postgres://")):
        raise ConfigError(
            "on a Dask cluster a study is shared through a server that all machines reach; add --storage "
            "postgresql://user@host/studies (the password belongs into ~/.pgpass or PGPASSWORD)",
            code="OPTIMIZE_WORKERS_STORAGE",
        )
    if workers > 1 and storage is None:
        raise ConfigError(
            f"--workers {workers} share a study through its storage; add --storage studies.db",
            code="OPTIMIZE_WORKERS_STORAGE",
        )


def costs_word(settings: Settings, bars: Bars) -> str:
    """Return which costs fills have, as a run says it."""
    from simulator.costs import Costs

    name = Costs.of(settings.costs).name
    if name != "zero":
        return f"costs {name}"
    return "no costs" if bars.options is None else "no fees"


def objectives_of(given: Sequence[str] | None) -> list[str] | None:
    """Return the names of `--objective`, which may be repeated or hold commas; None without one."""
    names = [name.strip() for one in given or () for name in one.split(",") if name.strip()]
    if given and not names:
        raise ConfigError("--objective names nothing, as in --objective sharpe,calmar", code="CLI_PARAM")
    return names or None


def names_of(text: str | None) -> list[str] | None:
    """Return the names of `--search`, None for all; CLI_PARAM where it names none."""
    if text is None:
        return None
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--search names no parameter, as in --search fast,slow", code="CLI_PARAM")
    return names
