"""Is the best parameter set a hill or a spike? Scores and pictures of a parameter surface.

An edge that is there changes slowly with the parameters, luck does not: around a spike the neighbours are
poor. The plateau score is the mean of the neighbours' figures over the peak's. Surfaces come from a table of
a sweep or a study: one row per parameter set, parameters and figures in columns.

Neighbours are the sets at most `radius` steps away in every parameter, a step being one of the values that
the table has, in order. Parameters of words have no order: only the same word is near. Values drawn at random
hardly ever repeat; `bins` puts them into as many ranges of equal width first and works on the means.

>>> import pandas as pd
>>> table = pd.DataFrame({"fast": [5, 10, 15, 20], "sharpe": [0.9, 1.0, 0.8, 0.1]})
>>> round(plateau_score(table, ["fast"]).score, 6)
0.85
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, MissingExtraError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Plateau", "plateau_score", "plot_surface", "surface_page"]

Floats = npt.NDArray[np.float64]

_NEAR: Final = 0.2
_MOST_SHOWN: Final = 6  # parameters in pairwise projections: 15 pictures


@dataclass(frozen=True, slots=True)
class Plateau:
    """The neighbourhood of the best parameter set.

    Attributes
    ----------
    metric, peak
        Name and the highest figure; NaN where no set has one.
    parameters
        The set of the peak; with `bins` the middles of its ranges.
    neighbours, unknown
        Sets in the neighbourhood, and those among them without a figure (NaN).
    mean
        Mean of the neighbours' figures; an unknown one counts as 0, for it earned nothing.
    score
        mean / peak, capped at neither end; NaN without neighbours, or where the peak is not above 0.
    share, tolerance
        Share of neighbours whose figure is at least (1 - tolerance) of the peak; unknown ones are not.
    """

    metric: str
    peak: float
    parameters: Mapping[str, Any]
    neighbours: int
    unknown: int
    mean: float
    score: float
    share: float
    tolerance: float

    def __str__(self) -> str:
        if math.isnan(self.peak):
            return f"No parameter set has a {self.metric}."
        where = ", ".join(f"{name}={_short(value)}" for name, value in self.parameters.items())
        if math.isnan(self.score):
            why = "has no neighbours" if not self.neighbours else "is not above 0"
            return f"The best {self.metric} of {self.peak:.3g} ({where}) {why}, so there is no plateau score."
        return (
            f"Around the best {self.metric} of {self.peak:.3g} ({where}) the {self.neighbours} neighbours "
            f"reach {self.score:.0%} of it on average, and {self.share:.0%} of them come within "
            f"{self.tolerance:.0%}."
        )


def plateau_score(
    table: pd.DataFrame,
    parameters: Sequence[str],
    metric: str = "sharpe",
    *,
    radius: int = 1,
    tolerance: float = _NEAR,
    bins: int | None = None,
) -> Plateau:
    """Return how the neighbours of the best parameter set compare with it.

    Parameters
    ----------
    table
        One row per parameter set, as `simulator.sweep` returns it. Sets that occur more than once are
        averaged.
    parameters
        Columns that are parameters; those with one value only do not matter.
    metric
        Column of the figure, higher is better.
    radius
        Steps in each parameter that are still near, at least 1.
    tolerance
        How far below the peak a neighbour may be for `share`, as a fraction of the peak.
    bins
        Ranges to put the values of each numeric parameter into, at least 2; None takes them as they are.

    Raises
    ------
    ConfigError
        OPTIMIZE_TABLE for missing columns, no rows, figures that are no numbers; OPTIMIZE_METHOD for radius,
        tolerance or bins outside their limits.
    """
    if radius < 1 or not 0.0 <= tolerance < 1.0:
        raise ConfigError(
            f"radius is {radius} and tolerance {tolerance:g}; they are at least 1, and 0 to below 1",
            code="OPTIMIZE_METHOD",
        )
    cells = _cells(table, parameters, metric, bins)
    figures = cells[metric].to_numpy(np.float64)
    if np.isnan(figures).all():
        nan = math.nan
        return Plateau(metric, nan, {}, 0, 0, nan, nan, nan, tolerance)
    best = int(np.nanargmax(figures))
    near = np.ones(len(cells), np.bool_)
    for name in parameters:
        place, ordered = _places(cells[name])
        near &= np.abs(place - place[best]) <= (radius if ordered else 0)
    near[best] = False
    around = figures[near]
    peak = float(figures[best])
    known = ~np.isnan(around)
    mean = float(np.where(known, around, 0.0).mean()) if around.size else math.nan
    share = math.nan
    if around.size and peak > 0.0:
        share = float((around >= (1.0 - tolerance) * peak).mean())  # NaN is not
    return Plateau(
        metric=metric,
        peak=peak,
        parameters={name: cells[name].iloc[best] for name in parameters},
        neighbours=int(around.size),
        unknown=int((~known).sum()),
        mean=mean,
        score=mean / peak if around.size and peak > 0.0 else math.nan,
        share=share,
        tolerance=tolerance,
    )


def plot_surface(
    table: pd.DataFrame, parameters: Sequence[str], metric: str = "sharpe", *, bins: int | None = None
) -> Any:
    """Draw a parameter surface with plotly and return the figure.

    One parameter: a line. Two: a map of colours with the peak marked. Three to six: a map per pair, each cell
    the mean over all other parameters (unknown figures left out). NaN stays blank.

    Parameters
    ----------
    table, parameters, metric, bins
        As in `plateau_score`.

    Raises
    ------
    MissingExtraError
        OPTIMIZE_EXTRA_REPORT where plotly is not installed.
    ConfigError
        OPTIMIZE_TABLE, OPTIMIZE_METHOD; more than six parameters are too many for pictures of pairs.
    """
    graphs, subplots = _plotly()
    cells = _cells(table, parameters, metric, bins)
    names = list(parameters)
    if len(names) > _MOST_SHOWN:
        raise ConfigError(
            f"{len(names)} parameters make {math.comb(len(names), 2)} pairs; choose {_MOST_SHOWN} at most",
            code="OPTIMIZE_TABLE",
        )
    if len(names) == 1:
        line = cells.sort_values(names[0])
        figure = graphs.Figure(
            graphs.Scatter(x=line[names[0]].tolist(), y=_plain(line[metric]), mode="lines+markers")
        )
        figure.update_layout(xaxis_title=names[0], yaxis_title=metric, template="plotly_white")
        return figure
    pairs = list(itertools.combinations(names, 2))
    wide = min(3, len(pairs))
    rows = -(-len(pairs) // wide)
    figure = subplots.make_subplots(rows=rows, cols=wide)
    best = (
        cells.iloc[int(np.nanargmax(cells[metric].to_numpy(np.float64)))]
        if cells[metric].notna().any()
        else None
    )
    for index, (across, up) in enumerate(pairs):
        at = {"row": index // wide + 1, "col": index % wide + 1}
        grid = cells.groupby([up, across])[metric].mean().unstack(across)
        heat = graphs.Heatmap(
            x=[_label(value) for value in grid.columns],
            y=[_label(value) for value in grid.index],
            z=[_plain(row) for row in grid.to_numpy(np.float64)],
            coloraxis="coloraxis",
        )
        figure.add_trace(heat, **at)
        if best is not None:
            peak = graphs.Scatter(
                x=[_label(best[across])], y=[_label(best[up])], mode="markers", showlegend=False,
                marker={"symbol": "star", "size": 12, "color": "black"}, name="best",
            )  # fmt: skip
            figure.add_trace(peak, **at)
        # words, so that steps are drawn alike, however far apart their values are
        figure.update_xaxes(title_text=across, type="category", **at)
        figure.update_yaxes(title_text=up, type="category", **at)
    figure.update_layout(
        coloraxis={"colorscale": "Viridis", "colorbar": {"title": {"text": metric}}},
        template="plotly_white",
        height=120 + 360 * rows,
    )
    return figure


def surface_page(
    table: pd.DataFrame, parameters: Sequence[str], metric: str = "sharpe", *, bins: int | None = None
) -> str:
    """Return the picture of `plot_surface` as one HTML page that opens without a network."""
    figure = plot_surface(table, parameters, metric, bins=bins)
    return str(figure.to_html(include_plotlyjs=True, include_mathjax=False, div_id="surface"))


# Parts


def _cells(table: pd.DataFrame, parameters: Sequence[str], metric: str, bins: int | None) -> pd.DataFrame:
    """One row per parameter set that occurs, with its mean figure."""
    import pandas as pd

    if isinstance(parameters, str) or not parameters or not len(table):
        raise ConfigError(
            f"parameters are {parameters!r} and the table has {len(table)} rows; give a list of one column "
            "at least, and a table with rows",
            code="OPTIMIZE_TABLE",
        )
    for name in (*parameters, metric):
        if name not in table:
            raise ConfigError(
                f"the table has no column {name!r}.{did_you_mean(name, map(str, table.columns))}",
                code="OPTIMIZE_TABLE",
            )
    if not pd.api.types.is_numeric_dtype(table[metric]):
        raise ConfigError(f"{metric} holds other things than numbers", code="OPTIMIZE_TABLE")
    if bins is not None and bins < 2:
        raise ConfigError(f"bins is {bins}; 2 at least tell values apart", code="OPTIMIZE_METHOD")
    cells = table[[*parameters, metric]].copy()
    # an infinite figure (no losing trade) is no height to compare with
    cells[metric] = cells[metric].astype(np.float64).where(np.isfinite(cells[metric].astype(np.float64)))
    if bins is not None:
        for name in parameters:
            if _is_number(cells[name]):
                cells[name] = _middles(cells[name].to_numpy(np.float64), bins)
    found: pd.DataFrame = (
        cells.groupby(list(parameters), sort=False, dropna=False)[metric].mean().reset_index()
    )
    return found


def _middles(values: Floats, bins: int) -> Floats:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return values
    width = (high - low) / bins
    place = np.minimum(np.floor((values - low) / width), bins - 1)
    return np.asarray(low + (place + 0.5) * width)


def _places(column: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], bool]:
    """Place of each value in the order of the table's values, and whether they have an order."""
    import pandas as pd

    ordered = _is_number(column)
    codes, _ = pd.factorize(column, sort=ordered)
    return np.asarray(codes, np.int64), ordered


def _is_number(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _plain(values: Any) -> list[float | None]:
    # a list with gaps: plotly packs arrays in a form that older browsers do not read
    return [None if math.isnan(value) else float(value) for value in values]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _label(value: Any) -> str:
    return _short(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def _plotly() -> tuple[Any, Any]:
    try:
        import plotly.graph_objects
        import plotly.subplots
    except ImportError as error:
        raise MissingExtraError(
            "pictures of surfaces need plotly, which is not installed: pip install 'twinstep[report]'",
            code="OPTIMIZE_EXTRA_REPORT",
        ) from error
    return plotly.graph_objects, plotly.subplots
