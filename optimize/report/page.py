"""From a page to a file: the style and the chart of the reports of runs, with a template of its own."""

from __future__ import annotations

from pathlib import Path

from optimize.report.blocks import Page
from simulator.results.onepage import render_page, write_page

__all__ = ["render", "write"]


def render(page: Page) -> str:
    """Return the page as one HTML document."""
    return render_page(
        "optimize.report",
        "report.html.j2",
        scripts=["charts.js", "report.js"],
        styles=["report.css"],
        page=page,
    )


def write(page: Page, path: str | Path) -> Path:
    """Write the page as HTML, or as PDF by the file's ending; errors as `write_page`."""
    return write_page(render(page), Path(path))
