"""The page that `twinstep iv --plot` writes: level and range above, rank and percentile below.

One file with plotly's script inside, so that it opens without a network. Plotly is the extra `report`; names
come from users and files, and the title is the one place where plotly would read them as markup.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, MissingExtraError
from twinstep.iv_sources import IvHistory

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plotly_or_error", "write_page"]


def plotly_or_error() -> Any:
    """Return plotly; `MissingExtraError` CLI_EXTRA_REPORT where it is not installed."""
    try:
        import plotly.graph_objects
        import plotly.subplots
    except ImportError as error:
        raise MissingExtraError(
            "--plot needs plotly, which is not installed: pip install 'twinstep[report]'",
            code="CLI_EXTRA_REPORT",
        ) from error
    return plotly


def write_page(history: IvHistory, ranked: pd.DataFrame, path: Path, window: int) -> str:
    """Write the page and return its path.

    `ranked` has a row per session with iv, rank and percentile; what is NaN there is a gap in its line.
    Raises `ConfigError` CLI_WRITE where the file cannot be written.
    """
    import html

    plotly = plotly_or_error()
    scale = 1.0 if history.unit == "points" else 100.0
    # a list of texts: plotly packs arrays in a form that older browsers do not read
    dates = [str(day)[:10] for day in ranked.index]
    rolling = (scale * ranked["iv"]).rolling(window, min_periods=window // 2)
    lines = (
        (1, f"lowest of {window} sessions", rolling.min(), "#b9c2cc"),
        (1, f"highest of {window} sessions", rolling.max(), "#b9c2cc"),
        (1, "level", scale * ranked["iv"], "#1f4e79"),
        (2, "IV rank", ranked["rank"], "#c0561a"),
        (2, "IV percentile", ranked["percentile"], "#3b7d4f"),
    )
    figure = plotly.subplots.make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, name, values, color in lines:
        held = [None if value != value else round(float(value), 6) for value in values]
        figure.add_trace(
            plotly.graph_objects.Scatter(x=dates, y=held, name=name, mode="lines", line={"color": color}),
            row=row,
            col=1,
        )
    title = html.escape(f"{history.label}: {history.definition}")
    figure.update_layout(title={"text": title}, template="plotly_white", hovermode="x unified", height=720)
    figure.update_yaxes(title_text="points" if history.unit == "points" else "percent", row=1, col=1)
    figure.update_yaxes(title_text="0 to 100", range=[0, 100], row=2, col=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.write_html(path, include_plotlyjs=True, include_mathjax=False, div_id="iv")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}", code="CLI_WRITE") from error
    return str(path)
