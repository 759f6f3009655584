"""Maps of a figure over two parameters at a time, and how flat the land around the peak is.

Values that hardly repeat (a sampler draws them from a range) are put into ranges first, so that a cell holds
several sets; a parameter with few values keeps them. A cell is the mean over all other parameters: a hill
that is seen in the mean is broad, a needle is not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from optimize.report.blocks import Block, Heat, Maps, Words, figure, typeset, value_word
from optimize.surface import Plateau, plateau_score

__all__ = ["maps_of", "plateau_of", "plateau_words"]

MOST_PAIRED: Final = 4
"""Parameters in maps of pairs: six maps."""

CELLS: Final = 9
"""Ranges of a parameter on a map."""


def plateau_of(table: pd.DataFrame, parameters: Sequence[str], metric: str) -> Plateau | None:
    """Return the neighbourhood of the best set; None where no trial has a figure.

    Parameters with many values are put into as many ranges as leave about one trial per neighbour.
    """
    known = table[np.isfinite(table[metric].to_numpy(np.float64))]
    varied = [name for name in parameters if known[name].nunique() > 1]
    if not varied:
        return None
    ranges = int(np.clip(round(len(known) ** (1.0 / len(varied))), 3, CELLS))
    return plateau_score(_ranged(known, varied, ranges), varied, metric)


def plateau_words(plateau: Plateau, table: pd.DataFrame) -> str:
    """Return the sentence; where values were put into ranges it speaks of a cell and not of a set."""
    told = str(plateau)
    if all((table[name].map(str) == str(value)).any() for name, value in plateau.parameters.items()):
        return told
    return told.replace(
        f"Around the best {plateau.metric} of", f"Around the best cell, with a mean {plateau.metric} of", 1
    )


def maps_of(
    table: pd.DataFrame, parameters: Sequence[str], metric: str, importance: Mapping[str, float]
) -> list[Block]:
    """Return maps over each pair of the parameters that matter most."""
    known = table[np.isfinite(table[metric].to_numpy(np.float64))]
    varied = sorted(
        (name for name in parameters if known[name].nunique() > 1),
        key=lambda name: -importance.get(name, 0.0),
    )
    if not varied:
        return [Words("No two trials with a figure differ in a parameter.", style="empty")]
    chosen = varied[:MOST_PAIRED]
    cells = _ranged(known, chosen, CELLS)
    pairs: list[tuple[str, str | None]] = list(itertools.combinations(chosen, 2)) or [(chosen[0], None)]
    blocks: list[Block] = [Maps([_map(cells, across, up, metric) for across, up in pairs])]
    if len(varied) > len(chosen):
        left = ", ".join(varied[MOST_PAIRED:])
        blocks.append(Words(f"Left out, because the figure depends on them least: {left}.", style="hint"))
    return blocks


def _map(cells: pd.DataFrame, across: str, up: str | None, metric: str) -> Heat:
    frame = cells.assign(_up="") if up is None else cells.assign(_up=cells[up])
    grouped = frame.groupby(["_up", across], sort=True)[metric]
    means = grouped.mean().unstack(across)
    figures = means.to_numpy(np.float64)
    counts = grouped.size().unstack(across, fill_value=0).to_numpy(np.int64)
    best = int(np.nanargmax(figures))
    most = float(np.nanmax(np.abs(figures))) or 1.0
    digits = 1 if most >= 10.0 else max(2, 1 - math.floor(math.log10(most)))
    rows = []
    for at in reversed(range(len(means))):
        name = "" if up is None else _axis(means.index[at])
        rows.append(
            (
                name,
                [
                    _cell(
                        float(figures[at, column]),
                        most,
                        digits,
                        int(counts[at, column]),
                        f"{across} {_axis(means.columns[column])}" + (f", {up} {name}" if up else ""),
                        at * len(means.columns) + column == best,
                    )
                    for column in range(len(means.columns))
                ],
            )
        )
    return Heat(metric, across, up or "", [_axis(value) for value in means.columns], rows)


def _cell(
    value: float, most: float, digits: int, count: int, where: str, peak: bool
) -> tuple[str, int, str, str, bool]:
    if not count:
        return "", 0, "none", f"{where}: no trial", False
    text = figure(value, digits)
    trials = "1 trial" if count == 1 else f"{count} trials"
    return (
        text,
        round(100 * abs(value) / most),
        "up" if value >= 0 else "down",
        f"{where}: {text} in {trials}",
        peak,
    )


def _ranged(table: pd.DataFrame, parameters: Sequence[str], ranges: int) -> pd.DataFrame:
    """Replace the values of parameters that have more of them than `ranges` by the middle of their range."""
    found = table.copy()
    for name in parameters:
        column = found[name]
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            found[name] = column.astype(str)
            continue
        values = column.to_numpy(np.float64)
        if len(np.unique(values)) > ranges:
            low, high = float(values.min()), float(values.max())
            place = np.minimum(np.floor((values - low) / (high - low) * ranges), ranges - 1)
            found[name] = low + (place + 0.5) * (high - low) / ranges
    return found


def _axis(value: Any) -> str:
    return typeset(f"{float(value):.3g}") if isinstance(value, (float, np.floating)) else value_word(value)
