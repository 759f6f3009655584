"""The page of a study: what was tried, what mattered, and how much of the best figure is luck.

Everything on it is in sample, and says so: the figures come from the history that chose the set.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from optimize.report.blocks import (
    Bars,
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
    Words,
    figure,
    percent,
    share,
    signed,
    spoken,
    tone,
    typeset,
    value_word,
)  # fmt: skip
from optimize.report.lines import curve_of, session_times
from optimize.report.market import market_facts, market_head
from optimize.report.surfaces import maps_of, plateau_of, plateau_words
from optimize.studies.study import CONVINCING
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from strategies.space import Choice

if TYPE_CHECKING:
    from optimize.strategy import StrategyStudy

__all__ = ["study_page"]

SHOWN: Final = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")
TOP: Final = 10
IN_SAMPLE: Final = "IN SAMPLE"


def study_page(study: StrategyStudy, *, title: str | None = None) -> Page:
    """Return the page of a strategy study."""
    bars = study.evaluator.bars
    several = len(study.objectives) > 1
    deflated = study.deflated
    convincing = deflated is not None and deflated.probability >= CONVINCING
    first, last = study.window
    importance = study.importance()
    goal = study.objectives[0]
    word = "Nothing found" if deflated is None else "In sample, within luck"
    if convincing:
        word = "In sample, worth a test on data that the search has not seen"
    metric = goal.label if len(goal.label) < 24 else goal.name
    sections = [
        Section(
            "history", "Trials", _history(study), menu="History",
            legend=[Key("ring", "trial"), Key("ring out", "outside the constraints"),
                    Key("line a", "best so far"), Key("line dash", "as given")],
            hint=f"Each point is a parameter set that was run; its height is the {metric}. "
            f"{_without(study)}",
            pointer="Point at one, or use the arrow keys, for its figures.",
        ),
        Section(
            "importance", "What the figure depends on", _importance(importance), menu="Importance", half=True,
            hint="Share of each parameter in what tells good sets from the rest (PED-ANOVA).",
        ),
        Section("luck", "How much of it is luck", _luck(study), menu="Luck", half=True),
        Section(
            "surface", "Parameter surface", _surface(study, importance), menu="Surface",
            legend=[Key("box good", "above 0"), Key("box poor", "below 0")],
            hint=f"Mean {metric} of the trials in a cell, over all other parameters; the outlined cell is "
            "the highest, hatched ones were not tried. A broad hill is more believable than a needle.",
        ),
        Section(
            "equity", "Equity of the best set against the strategy as given", _equity(study), menu="Equity",
            chip=IN_SAMPLE, legend=[Key("line a", "best set"), Key("line b", "as given")],
            hint="The best set was chosen for this curve, so it cannot be evidence for it.",
            pointer="Drag to zoom, double-click for the whole span.",
        ),
        Section(
            "sets", "The front" if several else "Best sets", _sets(study), menu="Sets", chip=IN_SAMPLE,
            hint="The strategy as it was given comes first.",
        ),
        Section("provenance", "Provenance", [Facts(_facts(study))]),
    ]  # fmt: skip
    if several:
        sections.insert(1, _front(study))
    return Page(
        title=title or f"{getattr(study.strategy, 'name', study.name)}: {len(study.table):,} trials",
        eyebrow=f"Study · {bars.name}",
        origin=market_head(bars)["origin"],
        subtitles=[
            market_head(bars, first, last)["span"],
            "maximised: " + ", ".join(one.label for one in study.objectives)
            + "".join(f" · {_limit(name, value)}" for name, value in study.limits.items()),
        ],
        verdict=spoken(study.sentence()),
        verdict_word=word,
        tone="open" if convincing else "bad",
        tiles=_tiles(study),
        sections=sections,
        rows=last - first,
        daily=bars.daily,
    )  # fmt: skip


def _tiles(study: StrategyStudy) -> list[Tile]:
    goal, deflated = study.objectives[0], study.deflated
    several = len(study.objectives) > 1
    best = float(study.pareto[goal.name].max()) if several and len(study.pareto) else study.best_value
    given = study.default_values[goal.name]
    nan = math.nan
    return [
        Tile("Best, in sample", figure(best), f"{goal.label} of the best set; chosen for it.", tone(best)),
        Tile("As given", figure(given), f"{goal.label} of the strategy as it was given.", tone(given)),
        Tile(
            "Luck would show", figure(deflated.luck if deflated else nan),
            "Sharpe ratio that the best of so many sets without an edge is expected to show.",
        ),
        Tile(
            "Deflated Sharpe", figure(deflated.probability if deflated else nan),
            "Probability that the best set's Sharpe ratio is above what luck shows; 0.95 would convince.",
        ),
        Tile("Sets run", f"{deflated.trials if deflated else 0:,}", "Different sets that were run."),
        Tile("Trials", f"{len(study.table):,}", "Finished trials, pruned and refused ones included."),
    ]  # fmt: skip


def _history(study: StrategyStudy) -> list[Block]:
    goal = study.objectives[0]
    values = study.table[goal.name].to_numpy(np.float64)
    kept = study.table["feasible"].to_numpy(np.bool_)
    best = np.fmax.accumulate(np.where(kept, values, np.nan))
    known = values[np.isfinite(values)]
    if not len(known):
        return [Words("No trial has a figure.", style="empty")]
    # a few very poor sets would flatten all others: they stand at the bottom edge
    floor = float(np.quantile(known, 0.03))
    data = {
        "draw": "history",
        "metric": goal.label,
        "item": "trial",
        "baseline": "as given",
        "value": _plain(values),
        "best": _plain(best),
        "kept": kept.tolist(),
        "why": [str(one) for one in study.table["why_not"]],
        "given": _plain(np.array([study.default_values[goal.name]]))[0],
        "floor": floor,
    }
    label = (
        f"{goal.label} of {len(values)} trials in order, with the best so far at {figure(study.best_value)}."
    )
    return [Chart("history-chart", label, data)]


def _without(study: StrategyStudy) -> str:
    missing = int(study.table[study.objectives[0].name].isna().sum())
    if not missing:
        return ""
    return f"{missing:,} of {len(study.table):,} trials have no figure: pruned, refused or without a trade. "


def _importance(importance: dict[str, float]) -> list[Block]:
    if not importance:
        return [Words("It cannot be told: too few completed trials, or all alike.", style="empty")]
    most = max(importance.values()) or 1.0
    return [Bars([(name, round(100 * one / most, 2), percent(one, 0)) for name, one in importance.items()])]


def _luck(study: StrategyStudy) -> list[Block]:
    found = study.deflated
    if found is None or math.isnan(found.probability):
        return [
            Words("The best set's Sharpe ratio cannot be deflated: too few sets or sessions.", style="empty")
        ]
    top = max(found.sharpe, found.luck, 0.0) * 1.15 or 1.0
    low = min(found.sharpe, found.luck, 0.0)

    def at(value: float) -> float:
        return share(value, low, top)

    zero = at(0.0)
    rows = [
        Span("Sharpe ratio of the best set", "", figure(found.sharpe), "",
             (min(zero, at(found.sharpe)), at(found.sharpe), max(zero, at(found.sharpe))), zero, tone="up"),
        Span("What the best of so many sets without an edge would show", "", figure(found.luck), "",
             (min(zero, at(found.luck)), at(found.luck), max(zero, at(found.luck))), zero, tone="down"),
    ]  # fmt: skip
    words = (
        f"{found.trials:,} different sets over {found.sessions:,} sessions. The deflated Sharpe ratio, "
        f"{found.probability:.2f}, is the probability that the true figure is above what luck shows; "
        "neighbouring sets count as independent, so it is on the careful side."
    )
    return [Spans(rows), Words(words, style="hint")]


def _surface(study: StrategyStudy, importance: dict[str, float]) -> list[Block]:
    goal = study.objectives[0]
    done = study.table[study.table["state"] == "complete"]
    if not len(done):
        return [Words("No trial was completed.", style="empty")]
    plateau = plateau_of(done, list(study.space), goal.name)
    blocks: list[Block] = [] if plateau is None else [Words(spoken(plateau_words(plateau, done)))]
    return blocks + maps_of(done, list(study.space), goal.name, importance)


def _equity(study: StrategyStudy) -> list[Block]:
    first, last = study.window
    chosen = study.best
    if chosen is None and len(study.pareto):
        row = study.pareto.iloc[0]
        chosen = {name: _value(row[name]) for name in study.space}
    if chosen is None:
        return [Words("There is no best set.", style="empty")]
    cash = study.evaluator.rules.cash
    rows, times = session_times(study.evaluator.bars, first, last)
    curves = [
        (
            name,
            np.asarray(
                cash * np.cumprod(1.0 + study.evaluator.returns(values, first=first, last=last)), np.float64
            ),
        )
        for name, values in (("best set", chosen), ("as given", {}))
    ]
    ends = ", ".join(f"{name} {curve[-1]:,.0f}" for name, curve in curves)
    label = f"In-sample equity from {cash:,.0f} to: {ends}."
    return [Chart("equity-chart", label, curve_of(rows - first, times, curves), height=320)]


def _sets(study: StrategyStudy) -> list[Block]:
    several = len(study.objectives) > 1
    best = (study.pareto if several else study.top(TOP)).head(TOP)
    goals = [one.name for one in study.objectives]
    names = list(dict.fromkeys([*goals, *(name for name in SHOWN if name in study.default)]))
    given = study.strategy.parameters() if hasattr(study.strategy, "parameters") else {}
    default = {**study.default, **study.default_values}
    rows = [_row("as given", given, default, list(study.space), names)]
    rows += [
        _row(f"{place}", row, row, list(study.space), names)
        for place, row in enumerate(best.to_dict("records"), start=1)
    ]
    labels = [METRIC_DEFINITIONS[name].label if name in METRIC_DEFINITIONS else name for name in names]
    return [Table(["", *study.space, *labels], rows, marked=frozenset({0}))]


def _row(name: str, values: Any, metrics: Any, space: list[str], names: list[str]) -> list[Cell]:
    cells = [Cell(name, numeric=False)]
    cells += [Cell(value_word(values.get(one)) if values else "") for one in space]
    for one in names:
        value = float(metrics.get(one, math.nan))
        signed_one = one in ("total_return", "sharpe", "calmar", "sortino", "average_r", "cagr")
        cells.append(Cell(typeset(format_metric(one, value)), tone(value) if signed_one else ""))
    return cells


def _front(study: StrategyStudy) -> Section:
    across, up = study.objectives[0], study.objectives[1]
    best = {tuple(row) for row in study.pareto[list(study.space)].itertuples(index=False)}
    points = []
    for row in study.table[study.table["feasible"]].to_dict("records"):
        place = [float(row[across.name]), float(row[up.name])]
        if all(map(math.isfinite, place)):
            front = tuple(row[name] for name in study.space) in best
            name = ", ".join(f"{one}={value_word(row[one])}" for one in study.space)
            points.append([*place, front, name])
    blocks: list[Block] = [Words("No trial is within the constraints.", style="empty")]
    if points:
        label = f"{up.label} over {across.label} of {len(points)} trials; {len(best)} are on the front."
        data = {"draw": "points", "across": across.label, "up": up.label, "points": points}
        blocks = [Chart("front-chart", label, data, height=340)]
    return Section(
        "front", f"{up.label} over {across.label}", blocks, menu="Front",
        legend=[Key("ring", "trial"), Key("ring full", "no other is better in everything")],
    )  # fmt: skip


def _facts(study: StrategyStudy) -> list[tuple[str, str]]:
    timing = study.timing
    return [
        ("Study", study.name),
        ("Objectives", ", ".join(one.name for one in study.objectives)),
        ("Constraints", ", ".join(_limit(name, value) for name, value in study.limits.items()) or "none"),
        *((name, value_word(one)) for name, one in _spaces(study)),
        *market_facts(study.evaluator.bars, study.window, study.evaluator.rules),
        ("Seconds", f"{timing.total:.1f}: sampler {timing.sampler:.1f}, simulator {timing.simulator:.1f}"),
    ]


def _spaces(study: StrategyStudy) -> list[tuple[str, str]]:
    found = []
    for name, one in study.space.items():
        if isinstance(one, Choice):
            words = value_word(one.options)
        else:
            words = f"{value_word(one.low)} to {value_word(one.high)}"
            words += f" in steps of {value_word(one.step)}" if one.step else ""
            words += ", logarithmic" if one.log else ""
        found.append((f"Space of {name}", words))
    return found


def _limit(name: str, value: float) -> str:
    return {
        "min_trades": f"at least {value:g} trades",
        "max_drawdown_pct": f"drawdown at most {value:g} %",
    }.get(name, f"{name} {signed(value)}")


def _plain(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def _value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
