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
from twinstep.wiring import describe_bars, find_strategy, read_bars, title

if TYPE_CHECKING:
    from pathlib import Path

    from live.kill_switch import KillSwitch
    from live.session import Session
    from simulator.bars import Bars
    from twinstep.config import Settings

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

SESSION: Final = "Session"


def paper(
    strategy: Annotated[
        list[str],
        typer.Option(
            "--strategy",
            metavar="STRATEGY",
            help="A name from `twinstep strategies`, a file or a module. May be repeated: one account.",
            show_default=False,
        ),
    ],
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
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the session.", rich_help_panel=SESSION)
    ] = "paper",
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="BARS",
            help="Bars per second; without it, as fast as they can be stored. With --group N, N bars at once "
            "every N / BARS seconds.",
            rich_help_panel=SESSION,
            show_default=False,
        ),
    ] = None,
    bars: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Stop after so many bars.", rich_help_panel=SESSION, show_default=False, min=1
        ),
    ] = None,
    group: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Bars per transaction; more is faster, and a crash undoes as many.",
            rich_help_panel=SESSION,
        ),
    ] = 1,
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Folder of kill switch and review queue, where the journal is on a server; beside one in a "
            "file they lie in its .switch folder.",
            rich_help_panel=SESSION,
            show_default=False,
        ),
    ] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            "--feed",
            metavar="SPEC",
            help="Bars as they happen, as yfinance:AAPL,MSFT?interval=1m, in place of --data.",
            rich_help_panel=SESSION,
            show_default=False,
        ),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Where no terminal is, a line of the account every N bars; 1 for bars as they happen, "
            "else 0: a line per trade only.",
            rich_help_panel=SESSION,
            show_default=False,
        ),
    ] = None,
    accept_change: Annotated[
        str | None,
        typer.Option(
            metavar="WHY",
            help="Go on although engine, limits, costs or strategies have changed; recorded.",
            rich_help_panel=SESSION,
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Trade on paper, bar by bar, in a journal; the same name goes on where it was.

    Ctrl-C and SIGTERM end it after the bar that is being stepped: exit code 130.
    """
    settings = settings_from(
        config, changes, source=data, symbols=symbols, start=start, end=end, timeframe=timeframe, cash=cash,
        conventions=conventions, costs=costs, no_risk=no_risk,
    )  # fmt: skip
    if feed is not None and data is not None:
        raise ConfigError("--feed and --data both say where bars come from; drop one", code="CLI_EXCLUSIVE")
    if not name.strip():
        raise ConfigError("--name is empty; a session is found by its name", code="CLI_USAGE")
    parameters = parse_parameters(param or ())
    if parameters and len(strategy) > 1:
        raise ConfigError(
            "--param belongs to one strategy, and several are named; give them their parameters in files",
            code="CLI_EXCLUSIVE",
        )
    chosen = [find_strategy(spec, parameters) for spec in strategy]
    where = place(journal, "paper").where
    state = _state_folder(where, folder)
    from journal.database import Database
    from live.kill_switch import KillSwitch
    from live.session import Session
    from twinstep.paper_summary import Answers, show, summary
    from twinstep.paper_watch import Watch, feed_line, request_reader, spoken

    source = _feed(feed, settings, speed, iv, surface, rate_pct)
    head = (
        describe_bars(source.like) if feed is None else {"name": feed, "symbols": list(source.like.symbols)}
    )
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
        _alerted(ending, session, settings, switch)
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
    name: Annotated[str, typer.Argument(metavar="NAME", help="The session.")] = "paper",
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

    With --against the backtest is one over other bars, and trades are compared; a session that trades options
    needs their --iv. Exit code 3 where something differs; the first difference is named.
    """
    where = place(journal, "paper").where
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
    from live.parity import verify_parity

    receipt = verify_parity(where, name)
    if as_json:
        emit_json(receipt.plain())
    else:
        emit(str(receipt))
    if not receipt.ok:
        raise typer.Exit(EXIT_FOUND)


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


def _state_folder(where: str, folder: str | None) -> Path:
    """Return where kill switch and review queue lie: beside a file, for a server where it was said."""
    from pathlib import Path

    from live.kill_switch import switch_folder

    if "://" not in where:
        if folder is not None:
            raise ConfigError(
                f"--folder is for journals on a server; the kill switch of {where} lies beside it, where "
                "twinstep kill looks for it",
                code="CLI_EXCLUSIVE",
            )
        return switch_folder(where)
    if folder is None:
        raise ConfigError(
            f"{where.partition('://')[0]} is a server, beside which no kill switch can lie; name its folder "
            "with --folder, as paper.switch: twinstep kill then halts it from here",
            code="CLI_SWITCH",
        )
    return Path(folder).expanduser().absolute()


def _alerted(ending: ExitStack, session: Session, settings: Settings, switch: KillSwitch) -> None:
    """Tell whoever the configuration names; what waits to be told at the end still goes out."""
    from live.alerting.addresses import alerts_from

    alerts = alerts_from(settings.alerts)
    if alerts is None:
        return
    from live.alerting.watch import watch
    from live.review_queue import ReviewQueue

    ending.callback(alerts.close)
    queue = ReviewQueue(switch.folder / "reviews", switch)
    ending.callback(watch(session, alerts, review_queue=queue).close)


def _feed(
    spec: str | None,
    settings: Settings,
    speed: float | None,
    iv: str | None,
    surface: str,
    rate_pct: float,
) -> Any:
    """Return the feed that is meant: stored bars at some speed, or bars as they happen."""
    if spec is None:
        from live.feeds.replay import ReplayFeed

        market = with_options(read_bars(settings), iv, surface, rate_pct, settings)
        describe_bars(market)  # says where there is no bar
        return ReplayFeed(market, speed=speed)
    if iv is not None:
        raise ConfigError(
            "--iv models options on stored bars; a feed of bars as they happen has none", code="CLI_EXCLUSIVE"
        )
    from live.feeds import feed_of

    data = settings.data
    return feed_of(
        spec, speed=speed, start=data.start, end=data.end, calendar=data.calendar, cache_dir=data.cache_dir
    )
