"""Where backtests are kept, and how commands find one again: in `runs` beside the journal.

Every `twinstep backtest` keeps its run, unless somebody says otherwise: `--no-keep`, `keep = false` under
[report] in the configuration, or TWINSTEP_NO_KEEP in the environment. Where that fails a warning says so, and
the result is shown all the same. A journal on a server has no folder: runs are then kept in this one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import TwinstepError, UnknownNameError, warn
from twinstep.console import working

if TYPE_CHECKING:
    from simulator.results import KeptRun, Result, RunFolder
    from twinstep.config import Settings

__all__ = ["FOLDER", "find_run", "keep_run", "kept_words", "runs_beside"]

FOLDER: Final = "runs"
_ORDINALS: Final = {"last": 0, "previous": 1}


def runs_beside(journal: str) -> Path:
    """Return the folder of the runs of a journal; it need not be there yet."""
    return Path(FOLDER) if "://" in journal else Path(journal).expanduser().with_name(FOLDER)


def keep_run(
    result: Result,
    settings: Settings,
    strategy: Any,
    *,
    journal: str | None = None,
    off: bool = False,
    note: str = "",
) -> KeptRun | None:
    """Keep a run, and return its entry; None where it is not to be kept, or cannot be (CLI_NOT_KEPT)."""
    if off or not settings.report.keep or os.environ.get("TWINSTEP_NO_KEEP"):
        return None
    folder = runs_beside(journal or settings.journal.path)
    try:
        with working(f"keeping the run in {folder}"):
            return result.keep(folder, strategy=strategy, note=note)
    except (TwinstepError, OSError) as error:
        warn(f"the run is not kept in {folder}: {' '.join(str(error.args[-1]).split())}", code="CLI_NOT_KEPT")
        return None


def kept_words(run: KeptRun, folder: Path) -> str:
    """Return what became of a run that was kept, in words."""
    if run.created == run.updated:
        return f"kept run {run.id} in {folder}"
    return f"kept run {run.id} in {folder} again; it was first kept {run.created:%Y-%m-%d %H:%M} UTC"


def find_run(folder: RunFolder, name: str) -> KeptRun:
    """Return a run by the begin of its id, or as "last" or "previous"; raises NAME_RUN."""
    place = _ORDINALS.get(name)
    if place is None:
        return folder.find(name)
    runs = folder.look().runs
    if len(runs) <= place:
        raise UnknownNameError(
            f"no {name} run in {folder.folder}, which holds {len(runs):,}; twinstep backtest keeps one",
            code="NAME_RUN",
        )
    return runs[place]
