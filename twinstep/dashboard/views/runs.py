"""Backtests that were kept: a list, one of them, its report, and two side by side.

A report is a page with a script of its own. It is served in a sandbox: the browser gives it an origin that is
nobody's, so it has no cookie, reaches no page of ours and no other machine, and runs only scripts whose hash
was noted when the run was kept. What a name or a note in it says is no such script.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse

from simulator.errors import DataError, UnknownNameError
from simulator.results.kept import KeptRun, WholeRun
from simulator.results.kept_folder import RunFolder
from simulator.results.kept_pair import in_words, pair_of
from simulator.results.metrics import METRIC_DEFINITIONS, format_metric
from twinstep.dashboard.charts import runs as charts
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.runs import COLUMNS, Order, RunList, Sort, read_runs
from twinstep.dashboard.words import NARROW, NONE
from twinstep.runs import runs_beside

__all__ = ["pages"]

MOST_TRADES: Final = 30
"""Trades of a list; the report and the command line have all."""
MOST_OTHERS: Final = 100
"""Runs that one can be compared with from its own page; the list offers all."""
TILES: Final = (
    "cagr", "sortino", "win_rate", "profit_factor", "average_r", "exposure", "fees", "benchmark_return",
)  # fmt: skip
_SANDBOX: Final = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; script-src "
)

RunId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$")]
OtherId = Annotated[str, Query(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, Query(max_length=200)]
PageNumber = Annotated[int, Query(ge=1, le=100_000)]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the list, a run, its report, and the comparison of two."""
    found = APIRouter(default_response_class=HTMLResponse)
    folder = RunFolder(runs_beside(str(reader.journal)))

    @found.get("/runs")
    def runs(strategy: Name = "", sort: Sort = "when", order: Order = "down", page: PageNumber = 1) -> Any:
        listed = read_runs(folder, strategy=strategy, sort=sort, order=order, page=page)
        values = {"listed": listed, "columns": COLUMNS, "first": _first(listed), **_SHARED}
        return draw("runs.html.j2", {**values, "now": reader.now()})

    @found.get("/runs/compare")
    def compare(a: OtherId, b: OtherId) -> Any:
        opened, problems = _opened(folder, (a, b))
        one, two = opened
        values: dict[str, Any] = {"ids": (a, b), "opened": opened, "problems": problems, "pair": None}
        if one is not None and two is not None and a != b:
            chart, pair = charts.both(one, two), pair_of(one, two)
            values |= {"chart": chart, "pair": pair, "most": MOST_TRADES}
        text = draw("runs_compare.html.j2", {**values, **_SHARED, "now": reader.now()})
        return HTMLResponse(text, 200 if one is not None and two is not None else 404)

    @found.get("/runs/{run_id}")
    def run(run_id: RunId) -> Any:
        opened, problems = _opened(folder, (run_id,))
        whole = opened[0]
        values: dict[str, Any] = {"run_id": run_id, "run": whole, "problems": problems}
        if whole is not None:
            others = [one for one in folder.look().runs if one.id != run_id][:MOST_OTHERS]
            values |= {
                "growth": charts.growth(whole), "drawdown": charts.drawdown(whole),
                "trades": whole.trades[: -MOST_TRADES - 1 : -1], "others": others,
                "tiles": [(METRIC_DEFINITIONS[name], whole.head.metric(name)) for name in TILES],
                "labels": {name: one.label for name, one in METRIC_DEFINITIONS.items()},
            }  # fmt: skip
        text = draw("runs_one.html.j2", {**values, **_SHARED, "now": reader.now()})
        return HTMLResponse(text, 200 if whole is not None else 404)

    @found.get("/runs/{run_id}/report")
    def report(run_id: RunId, download: bool = False) -> Any:
        try:
            head, page = folder.head(run_id), folder.report(run_id)
        except (UnknownNameError, DataError) as error:
            raise HTTPException(404, str(error.args[0])) from None
        if page is None:
            raise HTTPException(404, f"run {run_id} was kept without a report")
        return HTMLResponse(page, headers=_sealed(head, download=download))

    return found


def _sealed(head: KeptRun, *, download: bool) -> dict[str, str]:
    """Return the headers under which a report can do nothing but draw itself."""
    scripts = " ".join(f"'sha256-{one}'" for one in head.scripts) or "'none'"
    kind = "attachment" if download else "inline"
    return {
        "content-security-policy": _SANDBOX + scripts,
        # a browser shows no sandboxed page that asks for a group of its own; the sandbox is stricter
        "cross-origin-opener-policy": "unsafe-none",
        "content-disposition": f'{kind}; filename="backtest-{head.id}.html"',
    }


def _opened(folder: RunFolder, ids: tuple[str, ...]) -> tuple[list[WholeRun | None], list[str]]:
    """Return runs, None for those that cannot be read, and why they cannot."""
    found: list[WholeRun | None] = []
    problems: list[str] = []
    for run_id in ids:
        try:
            found.append(folder.open(run_id))
        except (UnknownNameError, DataError) as error:
            found.append(None)
            problems.append(str(error.args[0]))
    return found, list(dict.fromkeys(problems))


def _first(listed: RunList) -> tuple[str, str]:
    """Return the runs that are chosen to be compared unless somebody chooses others."""
    ids = [run.id for run in listed.runs[:2]]
    return (ids[1], ids[0]) if len(ids) == 2 else ("", "")


def _figure(name: str, value: float) -> str:
    return _typeset(format_metric(name, value))


def _typeset(text: str) -> str:
    return text.replace("-", "−").replace("n/a", NONE).replace("inf", "∞").replace("%", f"{NARROW}%")


_SHARED: Final[dict[str, Any]] = {
    "page": "/runs", "figure": _figure, "typeset": _typeset, "in_words": in_words, "nan": math.nan,
}  # fmt: skip
