"""`twinstep paper` and `twinstep parity`: a paper session in the journal, and the receipt that it replays."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import EXIT_FOUND, EXIT_INTERRUPTED, emit, emit_json, note
from twinstep.journals import JournalPath, place
from twinstep.option_market import Iv, RatePct, SurfaceName, with_options
from twinstep.options import (
    Cash,
    ConfigFile,
    ConventionsName,
    CostsName,
    End,
    Json,
    NoRisk,
    Param,
    Set,
    Source,
    Start,
    Symbols,
    Timeframe,
    settings_from,
)
from twinstep.parameters import parse_parameters
from twinstep.session_options import (
    SESSION,
    AcceptChange,
    BarCount,
    FeedSpec,
    Folder,
    Lines,
    SessionName,
    Speed,
    StrategyNames,
    check_name,
    chosen_strategies,
    head_of,
    opened_alerts,
    session_feed,
    state_folder,
    watched,
)
from twinstep.wiring import find_strategy, title

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["PAPER_EXAMPLES", "PARITY_EXAMPLES", "paper", "parity"]

PAPER_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep paper --strategy donchian-breakout --end 2004-12-31\n"
    "  twinstep paper --strategy sma-cross --speed 20 --journal desk.db --name trend\n"
    "  twinstep paper --strategy sma-cross --feed 'yfinance:AAPL,MSFT?interval=1m' --lines 1\n"
    "  twinstep paper --data sample:spx --iv sample:vix --strategy short-put-spread --start 2014-01-01 "
    "--cash 1000000 --name premium\n"
    "  twinstep parity paper"
)
PARITY_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep parity\n  twinstep parity trend --journal desk.db --json\n"
    "  twinstep parity trend --against sample:stocks\n"
    "  twinstep parity premium --against sample:spx --iv sample:vix"
)


_USUAL: Final = "paper"


def paper(
    strategy: StrategyNames,
    param: Param = None,
    data: Source = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    iv: Iv = None,
    surface: SurfaceName = "index",
    rate_pct: RatePct = 0.0,
    cash: Cash = None,
    config: ConfigFile = None,
    conventions: ConventionsName = None,
    costs: CostsName = None,
    no_risk: NoRisk = False,
    changes: Set = None,
    journal: JournalPath = None,
    name: SessionName = "paper",
    speed: Speed = None,
    bars: BarCount = None,
    group: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Bars per transaction; more is faster, and a crash undoes as many. With --speed, N bars at "
            "once every N / BARS seconds.",
            rich_help_panel=SESSION,
        ),
    ] = 1,
    folder: Folder = None,
    feed: FeedSpec = None,
    lines: Lines = None,
    accept_change: AcceptChange = None,
    as_json: Json = False,
) -> None:
    """Trade on paper, bar by bar, in a journal; the same name goes on where it was.

    Ctrl-C and SIGTERM end it after the bar that is being stepped: exit code 130.
    """
    settings = settings_from(
        config, changes, source=data, symbols=symbols, start=start, end=end, timeframe=timeframe, cash=cash,
        conventions=conventions, costs=costs, no_risk=no_risk,
    )  # fmt: skip
    check_name(name)
    chosen = chosen_strategies(strategy, param)
    where = place(journal, "paper").where
    state = state_folder(where, folder)
    from journal.database import Database
    from live.kill_switch import KillSwitch
    from live.session import Session
    from twinstep.paper_summary import Answers, show, summary
    from twinstep.paper_watch import Watch, feed_line, request_reader, spoken

    source = session_feed(feed, data, settings, speed, iv, surface, rate_pct)
    head = head_of(source, feed)
    with ExitStack() as ending:
        # first the right to write: a journal that is refused gets no armed switch beside it
        database = ending.enter_context(Database(where))
        database.lock()
        switch = KillSwitch(state)
        session = ending.enter_context(
            Session(
                database, feed=source, strategies=chosen, cash=settings.account.cash, risk=settings.risk,
                costs=settings.costs, conventions=settings.conventions, name=name, kill_switch=switch,
                group=group, accept_change=accept_change,
            )
        )  # fmt: skip
        before = session.bars
        if not as_json:
            emit(title(head) if feed is None else f"{feed}: {', '.join(source.like.symbols)}")
            if before:
                note(f"session {name!r} goes on after {before:,} bars")
            if folder is not None:
                note(f"kill switch: {state}; halt with twinstep kill --folder {folder}")
        watch = Watch(
            quiet=as_json,
            every=int(source.live) if lines is None else lines,
            requests=request_reader(state),
            feed=feed_line(source, feed or settings.data.source),
        )
        watch.begin(session)
        answers = Answers()
        ending.callback(session.on_outcome(answers.take))
        watched(ending, session, opened_alerts(ending, settings), switch)
        if source.live:
            ending.callback(source.close)
            source.on_event(spoken)
            source.watch(switch)
        ending.enter_context(watch)
        stepped = session.run(bars, tell=watch.tell)
        found = summary(session, stepped, watch, answers)
        stopped = session.stopped
    if as_json:
        emit_json({**found, "data": head, "journal": database.name, "switch": str(state)})
    else:
        show(found)
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)


def parity(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The session; without it, paper, else the only one of the journal.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="SOURCE",
            help="Compare trade by trade with a backtest over other bars, as coarse or coarser, and name why "
            "they differ.",
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            metavar="STRATEGY",
            help="With --against: asked anew over those bars, in place of the recorded signals.",
            show_default=False,
        ),
    ] = None,
    param: Param = None,
    iv: Iv = None,
    surface: SurfaceName = "index",
    rate_pct: RatePct = 0.0,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Replay a session's recorded inputs through the backtest and compare every byte.

    Of a session at a broker every trade is then put beside what was filled there, and each difference
    explained. With --against the backtest is one over other bars, and trades are compared; a session that
    trades options needs their --iv. Exit code 3 where a byte differs, or a difference has no known cause.
    """
    where = place(journal, "paper").where
    name = _chosen(where) if name is None else name
    if against is not None:
        parameters = parse_parameters(param or ())
        if parameters and len(strategy or ()) != 1:
            raise ConfigError("--param belongs to one --strategy", code="CLI_EXCLUSIVE")
        chosen = [find_strategy(spec, parameters) for spec in strategy or ()]
        _compare(where, name, chosen, _other_bars(against, iv, surface, rate_pct), as_json)
        return
    if strategy or param or iv is not None:
        raise ConfigError(
            "--strategy, --param and --iv say what is asked over the bars of --against; without it the "
            "recorded inputs are replayed",
            code="CLI_EXCLUSIVE",
        )
    from live.following.explain import explain
    from live.following.record import followed, parted
    from live.parity import verify_parity

    receipt = verify_parity(where, name)
    found = explain(where, name) if followed(where, name) or parted(where, name) else None
    if as_json:
        emit_json(receipt.plain() | ({} if found is None else {"trades": found.plain()}))
    else:
        emit(str(receipt))
        if found is not None:
            emit(f"\n{found}")
    if not receipt.ok or not (found is None or found.ok):
        raise typer.Exit(EXIT_FOUND)


def _chosen(where: str) -> str:
    """Return the session that is meant where none is named; an unreadable journal says so when it is read."""
    import sqlite3

    from twinstep.account_lines import stored_sessions

    if "://" in where:
        return _USUAL
    try:
        names = stored_sessions(where)
    except (sqlite3.Error, OSError):
        return _USUAL
    if _USUAL in names or not names:
        return _USUAL
    if len(names) == 1:
        return names[0]
    raise ConfigError(
        f"{where} has {len(names)} sessions, {', '.join(names)}; name one: twinstep parity {names[0]}",
        code="CLI_SESSION",
    )


def _compare(where: str, name: str, strategies: list[Any], bars: Bars, as_json: bool) -> None:
    from live.comparison import compare_with_backtest

    found = compare_with_backtest(where, bars, name, strategies=strategies or None)
    if as_json:
        emit_json(found.plain())
    else:
        emit(str(found))
    if not found.ok:
        raise typer.Exit(EXIT_FOUND)


def _other_bars(against: str, iv: str | None, surface: str, rate_pct: float) -> Bars:
    """Return the bars to compare with, all of them: dates of the configuration are those of other runs."""
    from simulator.bars import load_bars

    settings = settings_from(None, source=against)
    whole = replace(settings, data=replace(settings.data, start=None, end=None))
    return with_options(load_bars(against), iv, surface, rate_pct, whole)
