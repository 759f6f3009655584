"""What the pages of backtests show: runs that were kept, found by strategy, sorted, a page at a time.

The files lie beside the journal and are read without it. A file's head is read once and remembered until the
file changes, so a list of thousands costs one look at the folder. Whatever a file says is only text.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from simulator.results.kept import KeptRun, Scalar
from simulator.results.kept_folder import RunFolder
from simulator.results.kept_pair import in_words

__all__ = ["COLUMNS", "PER_PAGE", "Order", "RunList", "Sort", "read_runs", "told_apart"]

Sort = Literal["when", "strategy", "data", "return", "sharpe", "drawdown", "trades"]
Order = Literal["down", "up"]

PER_PAGE: Final = 50
COLUMNS: Final[tuple[tuple[Sort, str, bool], ...]] = (
    ("strategy", "Strategy", False), ("return", "Return", True), ("sharpe", "Sharpe", True),
    ("drawdown", "Drawdown", True), ("trades", "Trades", True), ("data", "Data", False),
    ("when", "Kept", False),
)  # fmt: skip
"""Columns that the list is sorted by: code, heading, and whether they are figures."""
_METRICS: Final[Mapping[Sort, str]] = {
    "return": "total_return", "sharpe": "sharpe", "drawdown": "max_drawdown", "trades": "trades",
}  # fmt: skip
_MOST_STRATEGIES: Final = 200
_MOST_PARAMETERS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """A page of runs.

    Attributes
    ----------
    folder
        Where they lie.
    runs
        Of this page.
    apart
        By id: what tells a run from others of its strategy, in words.
    count, total
        Runs of the chosen strategy, and all.
    strategies
        Names to choose from.
    problems
        Files that could not be read, a sentence each.
    """

    folder: str
    runs: tuple[KeptRun, ...]
    apart: Mapping[str, str]
    count: int
    total: int
    strategies: tuple[str, ...]
    strategy: str
    sort: Sort
    order: Order
    page: int
    pages: int
    problems: tuple[str, ...]

    def query(self, **changes: str | int) -> str:
        """Return the address of the same list with some of it changed; what is the default is left out."""
        values = {"strategy": self.strategy, "sort": self.sort, "order": self.order, "page": self.page}
        values |= changes
        plain: dict[str, object] = {"strategy": "", "sort": "when", "order": "down", "page": 1}
        text = urlencode({name: value for name, value in values.items() if value != plain[name]})
        return f"/runs?{text}" if text else "/runs"

    def sorted_by(self, column: Sort) -> str:
        """Return the address of the list sorted by a column; by the same one, the other way round."""
        turned = "up" if self.order == "down" else "down"
        first = "up" if column in ("strategy", "data") else "down"
        return self.query(sort=column, order=turned if column == self.sort else first, page=1)


def read_runs(
    folder: RunFolder, *, strategy: str = "", sort: Sort = "when", order: Order = "down", page: int = 1
) -> RunList:
    """Return a page of the list; one beyond the last is the last."""
    found = folder.look()
    names = sorted({run.strategy for run in found.runs})
    chosen = [run for run in found.runs if not strategy or run.strategy == strategy]
    chosen.sort(key=_KEYS[sort], reverse=order == "down")
    if sort in _METRICS:
        # what is not known comes last, whichever way
        chosen.sort(key=lambda run: math.isnan(run.metric(_METRICS[sort])))
    pages = max(1, -(-len(chosen) // PER_PAGE))
    page = min(page, pages)
    shown = tuple(chosen[(page - 1) * PER_PAGE : page * PER_PAGE])
    return RunList(
        folder=str(folder.folder), runs=shown, apart=told_apart(found.runs, shown), count=len(chosen),
        total=len(found.runs), strategies=tuple(names[:_MOST_STRATEGIES]), strategy=strategy, sort=sort,
        order=order, page=page, pages=pages, problems=found.problems,
    )  # fmt: skip


def told_apart(runs: tuple[KeptRun, ...], shown: tuple[KeptRun, ...]) -> dict[str, str]:
    """Return the parameters of each shown run in which runs of its strategy differ, by id."""
    values: dict[tuple[str, str], set[Scalar]] = defaultdict(set)
    for run in runs:
        for name, value in run.parameters.items():
            values[run.strategy, name].add(value)
    found = {}
    for run in shown:
        names = [name for name in run.parameters if len(values[run.strategy, name]) > 1]
        words = [f"{name} {in_words(run.parameters[name])}" for name in names[:_MOST_PARAMETERS]]
        found[run.id] = ", ".join(words) + (", …" if len(names) > _MOST_PARAMETERS else "")
    return found


def _figure(name: str) -> Callable[[KeptRun], float]:
    def key(run: KeptRun) -> float:
        value = run.metric(name)
        return -math.inf if math.isnan(value) else value

    return key


_KEYS: Final[Mapping[Sort, Callable[[KeptRun], Any]]] = {
    "when": lambda run: run.updated,
    "strategy": lambda run: run.strategy.casefold(),
    "data": lambda run: run.text("name").casefold(),
    **{name: _figure(metric) for name, metric in _METRICS.items()},
}
