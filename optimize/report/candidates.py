"""The candidates of a tuning: what each came to, in which order, what mattered, and the map of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimize.report.blocks import (
    NONE,
    Bars,
    Block,
    Chart,
    Key,
    Section,
    Span,
    Spans,
    Words,
    percent,
    share,
    signed,
    spoken,
    value_word,
)
from optimize.report.surfaces import maps_of, plateau_of
from simulator.errors import MissingExtraError

if TYPE_CHECKING:
    from optimize.journal import Tuning

__all__ = ["change_word", "searched", "setting_word", "spans_of"]

Floats = npt.NDArray[np.float64]

SHOWN: Final = 9
"""Candidates with their intervals."""


def searched(tuning: Tuning) -> list[Section]:
    """Return what the candidates came to, how the search went, what mattered, and the map."""
    # a candidate without a bound was left out of the judgement
    candidates = [
        row
        for row in tuning.proposal.evidence.get("candidates", ())
        if None not in (row["lower"], row["estimate"])
    ]
    if not candidates:
        words = Words("No other set could be judged.", style="empty")
        return [Section("candidates", "Candidates", [words])]
    table = _table(tuning, candidates)
    names = [name for name in table.columns if name not in ("estimate", "lower", "trades", "changed")]
    order = sorted(candidates, key=lambda row: -float(row["lower"]))[:SHOWN]
    rows = [
        (
            change_word(row["settings"]), float(row["lower"]), float(row["estimate"]),
            f"{row['trades']:,} trades, {row['changed']:,} decided otherwise",
        )
        for row in order
    ]  # fmt: skip
    importance = _importance(tuning)
    left = len(candidates) - len(order)
    return [
        Section(
            "candidates", "Candidates", [Spans(spans_of(rows))], half=True,
            note="better than what is in force by",
            hint="From the lower bound to the estimate, best bound first; the thin line is the set in force. "
            "Adopted is only what begins to its right."
            + (f" {left:,} more are not shown." if left > 0 else ""),
        ),
        Section(
            "history", "History", [_history(table), *_bars(importance)], half=True,
            legend=[Key("ring", "candidate"), Key("line a", "best so far"), Key("line dash", "in force")],
            hint="Lower bound of each candidate, in the order in which they were listed.",
        ),
        Section(
            "surface", "Surface",
            [*_plateau(tuning, table, names), *maps_of(table, names, "estimate", importance)],
            legend=[Key("box good", "better"), Key("box poor", "worse")],
            hint="Mean estimate of the candidates in a cell, over all other settings.",
        ),
    ]  # fmt: skip


def spans_of(rows: list[tuple[str, float, float, str]]) -> list[Span]:
    """Return (label, lower bound, estimate, note) on one scale that holds 0."""
    ends = [
        value for _, lower, estimate, _ in rows for value in (lower, estimate, 0.0) if math.isfinite(value)
    ]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.05 or 1.0
    found = []
    for label, lower, estimate, note in rows:
        left, right = (share(one, low - pad, high + pad) for one in (lower, estimate))
        found.append(
            Span(
                label, f"at least {signed(lower, 4)}", f"estimate {signed(estimate, 4)}", "",
                (min(left, right), right, max(left, right)), share(0.0, low - pad, high + pad), note,
                "up" if lower > 0 else "",
            )
        )  # fmt: skip
    return found


def change_word(changes: Mapping[str, Any]) -> str:
    """Return the changes of a candidate in words."""
    return ", ".join(f"{name} {setting_word(value)}" for name, value in changes.items()) or "no change"


def setting_word(value: Any) -> str:
    """Return a setting in words; a dash where there is none."""
    return NONE if value is None else value_word(value)


def _table(tuning: Tuning, candidates: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Return candidates as whole sets: what a candidate does not change is as in force."""
    changed = list(dict.fromkeys(name for row in candidates for name in row["settings"]))
    rows = []
    for row in candidates:
        whole = {name: row["settings"].get(name, tuning.used.get(name)) for name in changed}
        rows.append(
            {name: value_word(one) if isinstance(one, (list, tuple)) else one for name, one in whole.items()}
            | {name: row[name] for name in ("estimate", "lower", "trades", "changed")}
        )
    return pd.DataFrame(rows)


def _importance(tuning: Tuning) -> dict[str, float]:
    """Return how far the bound depends on each setting; nothing where that cannot be told."""
    from optimize.studies._optuna import quiet, the_optuna

    try:
        with quiet():
            found = the_optuna().importance.get_param_importances(tuning.proposal.study())
    except (ValueError, RuntimeError, MissingExtraError):
        return {}
    return {str(name): float(value) for name, value in found.items()}


def _bars(importance: dict[str, float]) -> list[Block]:
    if len(importance) < 2:
        return []
    words = Words("What the bound depends on:", style="hint")
    return [words, Bars([(name, round(100 * one, 2), percent(one, 0)) for name, one in importance.items()])]


def _history(table: pd.DataFrame) -> Block:
    lower = table["lower"].to_numpy(np.float64)
    data = {
        "draw": "history",
        "metric": "at least",
        "item": "candidate",
        "baseline": "in force",
        "value": _plain(lower),
        "best": _plain(np.asarray(np.fmax.accumulate(lower), np.float64)),
        "kept": [True] * len(lower),
        "why": [""] * len(lower),
        "given": 0.0,
        "floor": float(np.nanquantile(lower, 0.03)),
    }
    return Chart("history-chart", f"Lower bounds of {len(lower)} candidates.", data, height=280)


def _plateau(tuning: Tuning, table: pd.DataFrame, names: list[str]) -> list[Block]:
    """Return how the neighbours of the best candidate fare, moved in what it moves."""
    moved = [name for name in names if name in tuning.proposal.evidence.get("best", {})]
    same = [
        table[name].map(value_word) == value_word(tuning.used.get(name))
        for name in names
        if name not in moved
    ]
    found = plateau_of(table[np.logical_and.reduce(same)] if same else table, moved, "estimate")
    return [] if found is None else [Words(spoken(str(found)))]


def _plain(values: Floats) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]
