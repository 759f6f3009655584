"""`twinstep runs`: the backtests that were kept, listed, looked at, compared and thrown away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, DataError
from twinstep.console import emit, emit_json, note, price_text, table
from twinstep.journals import JournalPath, place
from twinstep.options import OUTPUT, Force, Json
from twinstep.runs import find_run, runs_beside

if TYPE_CHECKING:
    from simulator.results import KeptRun, RunFolder
    from simulator.results.kept import KeptTrade, WholeRun
    from simulator.results.kept_pair import Pair

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep runs list\n"
    "  twinstep runs compare previous last\n"
    "  twinstep runs report last out/report.html"
)
LIST_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep runs list --strategy sma --sort sharpe --top 10\n  twinstep runs list --json"
)
SHOW_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep runs show last\n  twinstep runs show previous --json"
COMPARE_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep runs compare previous last\n  twinstep runs compare previous last --json"
)
REPORT_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep runs report last out/report.html"
DELETE_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep runs delete previous last"
PRUNE_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep runs prune --older-than 90 --newest 50\n"
    "  twinstep runs prune --newest 200 --yes"
)

SORTS: Final = {
    "when": None, "return": "total_return", "sharpe": "sharpe", "drawdown": "max_drawdown",
    "trades": "trades",
}  # fmt: skip
_SHOWN: Final = (
    "total_return", "cagr", "volatility", "sharpe", "sortino", "max_drawdown", "exposure", "trades",
    "win_rate", "profit_factor", "average_r", "fees", "final_equity",
)  # fmt: skip
_MOST_TRADES: Final = 20
_MOST_DAYS: Final = 36_500

app = typer.Typer(
    no_args_is_help=True,
    help="Backtests that were kept: list, look at, compare, delete them.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)

FolderName = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Folder of the runs; without it, `runs` beside the journal.",
        show_default=False,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The begin of the run's id or fingerprint, or `last` or `previous`.",
        show_default=False,
    ),
]


@app.command("list", epilog=LIST_EXAMPLES)
def list_runs(
    strategy: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only strategies with this in their name.", show_default=False),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="when|return|sharpe|drawdown|trades", help="Highest first; when: last kept first."
        ),
    ] = "when",
    top: Annotated[int, typer.Option(min=0, help="Runs to show; 0: all.", rich_help_panel=OUTPUT)] = 20,
    folder: FolderName = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """List the backtests that were kept."""
    if sort not in SORTS:
        raise ConfigError(f"--sort is {sort!r}; it may be {', '.join(SORTS)}", code="CLI_RANK")
    store = _store(folder, journal)
    found = store.look()
    chosen = [run for run in found.runs if (strategy or "").casefold() in run.strategy.casefold()]
    metric = SORTS[sort]
    if metric is not None:
        chosen.sort(key=lambda run: -_or_lowest(run.metric(metric)))
    shown = chosen[:top] if top else chosen
    for problem in found.problems:
        note(f"skipped: {problem}")
    if as_json:
        rows = [_plain(run) for run in shown]
        emit_json({"folder": str(store.folder), "runs": rows, "of": len(chosen), "problems": found.problems})
        return
    if not shown:
        emit(f"no such run in {store.folder}" if found.runs else f"no run is kept in {store.folder} yet")
        return
    _list(shown)
    if len(shown) < len(chosen):
        emit(f"{len(shown):,} of {len(chosen):,} runs; --top 0 shows all")


@app.command("show", epilog=SHOW_EXAMPLES)
def show(run: RunName, folder: FolderName = None, journal: JournalPath = None, as_json: Json = False) -> None:
    """Show one run: figures and settings."""
    store = _store(folder, journal)
    whole = store.open(find_run(store, run).id)
    if as_json:
        emit_json({**_plain(whole.head), "settings": whole.settings, "interval": whole.interval})
        return
    from simulator.results.kept_pair import in_words
    from simulator.results.metrics import METRIC_DEFINITIONS, format_metric

    head = whole.head
    emit(f"{head.strategy} on {head.text('name')} ({head.text('label')}), run {head.id}")
    emit(f"{head.text('first')} to {head.text('last')}, {head.conventions} conventions, costs {head.costs}")
    emit(f"kept {head.updated:%Y-%m-%d %H:%M} UTC by Twinstep {head.version}")
    if head.note:
        emit(head.note)
    rows = [(METRIC_DEFINITIONS[name].label, format_metric(name, head.metric(name))) for name in _SHOWN]
    table(("figure", ""), rows)
    if head.sharpe_interval is not None:
        low, high = head.sharpe_interval
        emit(f"Sharpe ratio at 95 %: {low:.2f} to {high:.2f}, sessions taken as independent")
    for section, values in whole.settings.items():
        table((section, ""), [(name, in_words(value)) for name, value in values.items()])


@app.command("compare", epilog=COMPARE_EXAMPLES)
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, as for `show`.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.", show_default=False)],
    folder: FolderName = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: settings that differ, figures side by side, trades that only one of them has."""
    from simulator.results.kept_pair import pair_of

    store = _store(folder, journal)
    one, two = (store.open(find_run(store, name).id) for name in (a, b))
    pair = pair_of(one, two)
    if as_json:
        emit_json(_pair_document(one, two, pair))
        return
    for letter, run in (("A", one), ("B", two)):
        emit(f"{letter}: {run.head.strategy} on {run.head.text('name')}, run {run.head.id}")
    if pair.settings:
        rows = [(f"{s.section}: {s.name}", _absent(s.a), _absent(s.b)) for s in pair.settings]
        table(("setting that differs", "A", "B"), rows)
    else:
        emit("All settings are the same.")
    table(("figure", "A", "B", "B less A"), [figure[1:] for figure in pair.figures])
    if not pair.whole:
        emit("The trades are not compared: one of the runs was too long to keep them all.")
        return
    emit(
        f"trades: {pair.same:,} the same, {len(pair.changed):,} otherwise, {len(pair.only_a):,} only in A, "
        f"{len(pair.only_b):,} only in B"
    )
    for name, trades in (("only in A", pair.only_a), ("only in B", pair.only_b)):
        if trades:
            _print_trades(name, trades)


@app.command("report", epilog=REPORT_EXAMPLES)
def report(
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.", show_default=False)],
    force: Force = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    folder: FolderName = None,
    journal: JournalPath = None,
) -> None:
    """Write the HTML report that was kept with a run."""
    from simulator.results.onepage import write_page

    store = _store(folder, journal)
    found = find_run(store, run)
    page = store.report(found.id)
    if page is None:
        raise DataError(f"run {found.id} was kept without a report", code="DATA_RUN_REPORT")
    if file.exists() and not force:
        raise ConfigError(f"{file} exists already; --force replaces it", code="CLI_EXISTS")
    write_page(page, file)
    note(f"wrote {file}")
    if open_report:
        typer.launch(str(file.resolve()))


@app.command("delete", epilog=DELETE_EXAMPLES)
def delete(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Runs, as for `show`.", show_default=False)
    ],
    folder: FolderName = None,
    journal: JournalPath = None,
) -> None:
    """Delete runs. All of them have to be there, else nothing is deleted."""
    store = _store(folder, journal)
    found = dict.fromkeys(find_run(store, name).id for name in runs)
    emit(f"deleted {_counted(store.delete(found))} of {store.folder}")


@app.command("prune", epilog=PRUNE_EXAMPLES)
def prune(
    older_than: Annotated[
        int | None,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=0,
            max=_MOST_DAYS,
            help="Delete what was last kept so many days ago.",
            show_default=False,
        ),
    ] = None,
    newest: Annotated[
        int | None,
        typer.Option(
            "--newest",
            metavar="N",
            min=0,
            help="Leave the last N, however old; alone: delete all others.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, it is only said what.")] = False,
    folder: FolderName = None,
    journal: JournalPath = None,
) -> None:
    """Delete old runs, by age or number. Without --yes nothing is deleted."""
    if older_than is None and newest is None:
        raise ConfigError("give --older-than DAYS, --newest N, or both", code="CLI_PRUNE")
    store = _store(folder, journal)
    runs = store.look().runs[newest or 0 :]
    if older_than is not None:
        end = datetime.now(UTC) - timedelta(days=older_than)
        runs = tuple(run for run in runs if run.updated <= end)
    if not runs:
        emit(f"nothing of {store.folder} is to be deleted")
    elif yes:
        emit(f"deleted {_counted(store.delete(run.id for run in runs))} of {store.folder}")
    else:
        _list(runs[:20])
        emit(f"{_counted(len(runs))} would be deleted; add --yes to do it")


def _store(folder: Path | None, journal: str | None) -> RunFolder:
    from simulator.results import RunFolder

    return RunFolder(folder or runs_beside(place(journal, "backtest").where))


def _list(runs: Sequence[KeptRun]) -> None:
    from simulator.results.metrics import format_metric

    rows = []
    for run in runs:
        low_high = run.sharpe_interval
        sharpe = format_metric("sharpe", run.metric("sharpe"))
        rows.append(
            (
                run.id[:8], f"{run.updated:%Y-%m-%d %H:%M}", run.strategy, run.text("name"),
                f"{run.text('first')} to {run.text('last')}",
                format_metric("total_return", run.metric("total_return")),
                sharpe if low_high is None else f"{sharpe} ({low_high[0]:.2f} to {low_high[1]:.2f})",
                format_metric("max_drawdown", run.metric("max_drawdown")),
                format_metric("trades", run.metric("trades")), run.conventions, run.costs,
            )
        )  # fmt: skip
    table(
        ("run", "kept (UTC)", "strategy", "data", "period", "return", "Sharpe (95 %)", "drawdown", "trades",
         "conventions", "costs"),
        rows,
    )  # fmt: skip


def _plain(run: KeptRun) -> dict[str, Any]:
    return {
        "id": run.id, "fingerprint": run.fingerprint, "created": run.created, "updated": run.updated,
        "version": run.version, "engine": run.engine, "strategy": run.strategy,
        "parameters": run.parameters, "note": run.note, "data": run.data, "conventions": run.conventions,
        "costs": run.costs, "risk": run.risk, "metrics": run.metrics,
        "sharpe_interval": run.sharpe_interval,
    }  # fmt: skip


def _pair_document(one: WholeRun, two: WholeRun, pair: Pair) -> dict[str, Any]:
    metrics = {
        figure.name: {
            "a": one.head.metric(figure.name),
            "b": two.head.metric(figure.name),
            "difference": two.head.metric(figure.name) - one.head.metric(figure.name),
        }
        for figure in pair.figures
    }
    return {
        "a": _plain(one.head),
        "b": _plain(two.head),
        "settings": [setting._asdict() for setting in pair.settings],
        "alike": pair.alike,
        "metrics": metrics,
        "trades": {
            "compared": pair.whole,
            "same": pair.same,
            "changed": [{"a": x._asdict(), "b": y._asdict()} for x, y in pair.changed],
            "only_a": [trade._asdict() for trade in pair.only_a],
            "only_b": [trade._asdict() for trade in pair.only_b],
        },
    }


def _print_trades(title: str, trades: Sequence[KeptTrade]) -> None:
    rows = [
        (
            one.symbol, "long" if one.side > 0 else "short", _day(one.entry_ts), price_text(one.entry_price),
            _day(one.exit_ts), price_text(one.exit_price), one.exit_reason, f"{one.pnl:+,.2f}",
        )
        for one in trades[:_MOST_TRADES]
    ]  # fmt: skip
    table((title, "side", "entered", "at", "left", "at", "why", "result"), rows)
    if len(trades) > _MOST_TRADES:
        emit(f"and {len(trades) - _MOST_TRADES:,} more; --json has all")


def _day(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1_000_000_000, UTC):%Y-%m-%d}"


def _absent(value: str | None) -> str:
    return "(not there)" if value is None else value


def _counted(many: int) -> str:
    return f"{many:,} run{'s' if many != 1 else ''}"


def _or_lowest(value: float) -> float:
    return -math.inf if math.isnan(value) else value
