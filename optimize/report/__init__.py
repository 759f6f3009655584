"""Reports of one file about searches: a study, a walk-forward, a tuning from the journal.

`write_report(found, path)` writes a page that needs no network, no library and no second file, in the style
of the reports of runs: the verdict in one sentence on top, then what it rests on; a path that ends in .pdf
gets the same page on paper. `render_report` returns the HTML.

>>> from optimize import tune_strategy
>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> study = tune_strategy(load_bars("synthetic:2x300?seed=1"), strategy_class("gap-fade")(), trials=4,
...                       sampler="qmc", progress=False)
>>> "The best figure in sample is no evidence" in render_report(study)
True
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from optimize.forward import WalkForward
    from optimize.journal import Tuning
    from optimize.report.blocks import Page
    from optimize.strategy import StrategyStudy

__all__ = ["render_report", "write_report"]


def write_report(
    found: StrategyStudy | WalkForward | Tuning, path: str | Path, *, title: str | None = None
) -> Path:
    """Write the report as one file, HTML or PDF by its ending, and return its path.

    Raises
    ------
    ConfigError
        CONFIG_OUTPUT where the file cannot be written, OPTIMIZE_REPORT for what there is no report of; for a
        PDF also CONFIG_NO_CHROMIUM and CONFIG_PDF.
    """
    from optimize.report.page import write

    return write(_page(found, title), path)


def render_report(found: StrategyStudy | WalkForward | Tuning, *, title: str | None = None) -> str:
    """Return the report as HTML; errors as `write_report`."""
    from optimize.report.page import render

    return render(_page(found, title))


def _page(found: object, title: str | None) -> Page:
    from optimize.studies.study import StrategyStudy

    if isinstance(found, StrategyStudy):
        from optimize.report.study import study_page

        return study_page(found, title=title)
    from optimize.forward.result import WalkForward

    if isinstance(found, WalkForward):
        from optimize.report.forward import forward_page

        return forward_page(found, title=title)
    from optimize.journal import Tuning

    if isinstance(found, Tuning):
        from optimize.report.tuning import tuning_page

        return tuning_page(found, title=title)
    raise ConfigError(
        f"there is no report of {type(found).__name__}; give a study, a walk-forward or a tuning",
        code="OPTIMIZE_REPORT",
    )
