"""The page of a walk-forward: what tuning earned where it could not look, beside the strategy as given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from optimize.report.blocks import (
    NONE,
    Block,
    Cell,
    Chart,
    Facts,
    Key,
    Page,
    Section,
    Span,
    Spans,
    Table,
    Tile,
    Timeline,
    Words,
    figure,
    percent,
    share,
    spoken,
    tone,
    value_word,
)
from optimize.report.lines import curve_of
from optimize.report.market import market_facts, market_head
from optimize.statistics.returns import column_sharpes
from simulator.results.curves import drawdown_of

if TYPE_CHECKING:
    from optimize.forward.result import WalkForward

__all__ = ["forward_page"]

Floats = npt.NDArray[np.float64]

MOST_FOLDS: Final = 60
MOST_PATHS: Final = 30
OUT_OF_SAMPLE: Final = "OUT OF SAMPLE"
_MODES: Final = {
    "rolling": "windows of equal length, each tested right after it",
    "anchored": "trainings that all begin with the first bar, each tested right after it",
    "kfold": "each stretch tested once, tuned on all others, later ones too: nobody could have traded this",
    "combinatorial": "every choice of stretches tested, tuned on all others, later ones too: nobody could "
    "have traded this",
}


def forward_page(walk: WalkForward, *, title: str | None = None) -> Page:
    """Return the page of a walk-forward."""
    verdict, bars = walk.verdict, walk.bars
    mood: Literal["good", "bad", "open"] = "bad"
    word = "No evidence out of sample"
    if verdict.claims_evidence:
        mood, word = "good", "Evidence out of sample"
    elif math.isnan(verdict.p_value):
        mood, word = "open", "Not enough evidence"
    lines = [Key("line a", "tuned"), Key("line b", "as given")]
    sections = [
        Section(
            "equity", "Equity of the tuned strategy against the strategy as given", _equity(walk),
            menu="Equity", chip=OUT_OF_SAMPLE, legend=lines,
            hint="Stitched from the tested windows; dotted lines are their borders. "
            + ("The mean of all paths. " if len(walk.paths) > 1 else "")
            + "Below, the drawdown.",
            pointer="Drag to zoom, double-click for the whole span.",
        ),
        Section("evidence", "Evidence", _evidence(walk), half=True),
        Section("beside", "Beside each other", _beside(walk), half=True, chip=OUT_OF_SAMPLE),
        Section(
            "folds", "Folds", _folds(walk), note=f"{walk.objective.label} in and out of sample",
            hint="Shaded: the strategy as given was better out of sample. What is lost from in sample to out "
            "of sample is what the search had found in the past alone.",
        ),
        Section(
            "parameters", "What was chosen", _chosen(walk), menu="Parameters",
            hint="Values that jump from fold to fold were fitted to the past.",
        ),
    ]  # fmt: skip
    keys = [Key("box train", "trained on"), Key("box test", "tested on")]
    sections.insert(4, Section("windows", "Windows", _windows(walk), legend=keys))
    if len(walk.paths) > 1:
        sections.append(Section("paths", "Paths", _paths(walk), chip=OUT_OF_SAMPLE))
    sections.append(Section("provenance", "Provenance", [Facts(_facts(walk))]))
    return Page(
        title=title or f"{walk.name}: walked forward",
        eyebrow=f"Walk-forward · {bars.name}",
        origin=market_head(bars)["origin"],
        subtitles=[
            market_head(bars)["span"],
            f"{walk.mode}: {_MODES[walk.mode]}",
        ],
        verdict=spoken(walk.sentence()),
        verdict_word=word,
        tone=mood,
        tiles=_tiles(walk),
        sections=sections,
        rows=len(walk.returns),
        daily=True,
    )


def _tiles(walk: WalkForward) -> list[Tile]:
    verdict = walk.verdict
    return [
        Tile(
            "Per year", percent(verdict.mean), "Return per year out of sample, not compounded.",
            tone(verdict.mean),
        ),
        Tile("Sharpe, tuned", figure(walk.sharpe), "Annual Sharpe ratio out of sample.", tone(walk.sharpe)),
        Tile(
            "Sharpe, as given", figure(walk.default_sharpe), "The same of the strategy as it was given.",
            tone(walk.default_sharpe),
        ),
        Tile(
            "As given is better", percent(walk.default_beats_tuned, 0),
            "Share of the folds in which the strategy as given was better out of sample than the tuned one.",
        ),
        Tile("p-value", figure(verdict.p_value, 3), "Of no edge: the larger of the two tests of it."),
        Tile("Trades", f"{verdict.trades:,}", f"Out of sample, in {verdict.sessions:,} sessions."),
        Tile("Folds", f"{len(walk.folds):,}", "Times the strategy was tuned and tested."),
        Tile("Sets tried", f"{walk.tried:,}", "In all searches together."),
    ]  # fmt: skip


def _equity(walk: WalkForward) -> list[Block]:
    index = pd.DatetimeIndex(walk.returns.index).as_unit("ns")
    times = np.asarray(index.asi8 // 1_000_000_000, np.int64)
    rows = np.arange(len(times), dtype=np.int64)
    mine = np.asarray(walk.equity.to_numpy(), np.float64)
    given = np.asarray(walk.default_equity.to_numpy(), np.float64)
    borders = sorted({int(index.searchsorted(one.normalize())) for one in walk.folds["test_start"]})[1:]
    falls = [(name, _fall(one.to_numpy(np.float64))) for name, one in _pair(walk)]
    label = f"Out-of-sample equity: tuned ends at {mine[-1]:,.0f}, as given at {given[-1]:,.0f}."
    worst = ", ".join(f"{name} {percent(float(fall.min()))}" for name, fall in falls)
    return [
        Chart(
            "equity-chart", label,
            curve_of(rows, times, [("tuned", mine), ("as given", given)], folds=borders), height=330,
        ),
        Chart(
            "drawdown-chart", f"Drawdown out of sample, at worst: {worst}.",
            curve_of(rows, times, falls, unit="percent", level=0.0), height=130,
        ),
    ]  # fmt: skip


def _evidence(walk: WalkForward) -> list[Block]:
    verdict = walk.verdict
    blocks: list[Block] = []
    if math.isfinite(verdict.lower) and math.isfinite(verdict.upper):
        low, high = min(verdict.lower, 0.0), max(verdict.upper, 0.0)
        pad = (high - low) * 0.06
        places = [
            share(one, low - pad, high + pad) for one in (verdict.lower, verdict.mean, verdict.upper, 0.0)
        ]
        blocks.append(
            Spans(
                [
                    Span(
                        "Return per year", percent(verdict.lower), percent(verdict.mean),
                        percent(verdict.upper),
                        (places[0], places[1], places[2]), places[3], "each bound with 95 % confidence",
                        "up" if verdict.lower > 0 else "",
                    )
                ]
            )
        )  # fmt: skip
    asked = [
        ("The mean return is not above 0", verdict.p_zero),
        (f"Its share of the market's move explains it (beta {figure(verdict.beta)})", verdict.p_market),
        ("Tuning is not better than the strategy as given", verdict.p_default),
    ]
    rows = [
        [
            Cell(name, numeric=False),
            Cell(figure(value, 3)),
            Cell("refused" if value <= 0.05 else "stands", numeric=False),
        ]
        for name, value in asked
    ]
    blocks.append(Table(["Without an edge", "p-value", "at 5 %"], rows))
    words = "An edge is claimed where the first two are refused, that tuning helps only where all three are."
    if verdict.needed_trades is not None:
        words += f" About {verdict.needed_trades:,} more trades would be needed."
    return [*blocks, Words(words, style="hint")]


def _beside(walk: WalkForward) -> list[Block]:
    year = math.sqrt(walk.bars.sessions_per_year)
    rows = []
    named = [*_pair(walk), ("holding", walk.market_returns)]
    trades = {
        "tuned": walk.verdict.trades,
        "as given": sum(len(one.raw.trades) for one in walk.default_results),
    }
    for name, one in named:
        values = one.to_numpy(np.float64)
        sharpe = float(column_sharpes(values[:, None])[0] * year)
        total = float(np.prod(1.0 + values) - 1.0)
        rows.append(
            [
                Cell(name, numeric=False), Cell(percent(total), tone(total)), _signed_cell(sharpe),
                Cell(percent(float(_fall(values).min()))),
                Cell(f"{trades[name]:,}" if name in trades else NONE),
            ]
        )  # fmt: skip
    return [
        Table(["", "Total return", "Sharpe ratio", "Largest drawdown", "Trades"], rows),
        Words("Holding: all symbols in equal parts over the same sessions.", style="hint"),
    ]


def _folds(walk: WalkForward) -> list[Block]:
    names = [
        "Fold",
        "Tested",
        "Trades",
        "In sample",
        "Out of sample",
        "As given, out of sample",
        "Return",
        "As given",
    ]
    rows, marked = [], set()
    for at, row in enumerate(walk.folds.head(MOST_FOLDS).to_dict("records")):
        if row["default_better"]:
            marked.add(at)
        rows.append(
            [
                Cell(f"{row['fold']}", numeric=False),
                Cell(walk.tested(at), numeric=False),
                Cell(f"{row['trades']:,}"),
                *(_signed_cell(row[one]) for one in ("in_sample", "out_of_sample", "out_of_sample_default")),
                *(
                    Cell(percent(row[one]), tone(row[one]))
                    for one in ("total_return", "total_return_default")
                ),
            ]
        )
    columns = [
        walk.folds[one].to_numpy(np.float64)
        for one in ("in_sample", "out_of_sample", "out_of_sample_default")
    ]
    rows.append(
        [
            Cell("Mean", numeric=False), Cell("", numeric=False), Cell(""),
            *(_signed_cell(_mean(column)) for column in columns), Cell(""), Cell(""),
        ]
    )  # fmt: skip
    blocks: list[Block] = [Table(names, rows, marked=frozenset(marked))]
    return blocks + _left_out(len(walk.folds), MOST_FOLDS, "folds")


def _windows(walk: WalkForward) -> list[Block]:
    starts, ends = walk.bars.index[0], walk.bars.index[-1]
    width = (ends - starts).total_seconds() or 1.0

    def span(kind: str, first: pd.Timestamp, last: pd.Timestamp) -> tuple[str, float, float, str]:
        begin = 100.0 * (first - starts).total_seconds() / width
        length = 100.0 * (last - first).total_seconds() / width
        words = "trained on" if kind == "train" else "tested on"
        return kind, round(begin, 2), round(length, 2), f"{words} {first:%Y-%m-%d} to {last:%Y-%m-%d}"

    labels = walk.bars.index
    rows = [
        (
            f"fold {fold.number}",
            [
                span(kind, labels[first], labels[last - 1])
                for kind, stretches in (("train", fold.train), ("test", fold.test))
                for first, last in stretches
            ],
        )
        for fold in walk.windows[:MOST_FOLDS]
    ]
    return [Timeline(rows, (f"{starts:%Y-%m-%d}", f"{ends:%Y-%m-%d}"))]


def _chosen(walk: WalkForward) -> list[Block]:
    names = parameters_of(walk)
    if not names:
        return [Words("No fold found a set: the strategy as given traded everywhere.", style="empty")]
    given = walk.strategy.parameters() if hasattr(walk.strategy, "parameters") else {}
    rows = [[Cell("as given", numeric=False), *(Cell(value_word(given.get(name))) for name in names)]]
    rows += [
        [Cell(f"fold {row['fold']}", numeric=False), *(Cell(value_word(row[name])) for name in names)]
        for row in walk.folds.head(MOST_FOLDS).to_dict("records")
    ]
    return [Table(["", *names], rows, marked=frozenset({0}))]


def parameters_of(walk: WalkForward) -> list[str]:
    """Return the names of the tuned parameters, which stand behind the figures in the table of folds."""
    columns = [str(name) for name in walk.folds.columns]
    return columns[columns.index("trades_default") + 1 :]


def _paths(walk: WalkForward) -> list[Block]:
    rows = [
        [
            Cell(f"{int(row['path'])}", numeric=False), _signed_cell(row["sharpe"]),
            Cell(percent(row["total_return"]), tone(row["total_return"])), Cell(percent(row["max_drawdown"])),
        ]
        for row in walk.paths.head(MOST_PATHS).to_dict("records")
    ]  # fmt: skip
    blocks: list[Block] = [Table(["Path", "Sharpe ratio", "Total return", "Largest drawdown"], rows)]
    return blocks + _left_out(len(walk.paths), MOST_PATHS, "paths")


def _facts(walk: WalkForward) -> list[tuple[str, str]]:
    raw, folds = walk.results[0].raw, walk.folds
    return [
        ("Mode", walk.mode),
        ("Objective", walk.objective.name),
        ("Sessions of a training", _span_word(folds["train_sessions"].tolist())),
        ("Sessions of a test", _span_word(folds["test_sessions"].tolist())),
        *market_facts(walk.bars, (0, len(walk.bars)), raw),
        ("Engine", raw.engine_hash[:16]),
    ]


def _span_word(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _left_out(count: int, most: int, what: str) -> list[Block]:
    return [Words(f"and {count - most:,} more {what}", style="hint")] if count > most else []


def _pair(walk: WalkForward) -> list[tuple[str, Any]]:
    return [("tuned", walk.returns), ("as given", walk.default_returns)]


def _fall(returns: Floats) -> Floats:
    worth = np.asarray(np.cumprod(1.0 + returns), np.float64)
    return np.asarray(drawdown_of(worth, 1.0, None), np.float64)


def _signed_cell(value: float) -> Cell:
    return Cell(figure(value), tone(value))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
