"""`twinstep live`: a session whose orders go to the broker of the configuration.

It takes what `twinstep paper` takes. What differs between brokers is in section [broker] of the file, so the
same line trades at each of them; real money is reached behind three locks (docs/live.md).
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, TwinstepError
from twinstep.console import EXIT_INTERRUPTED, emit, emit_json, note
from twinstep.journals import JournalPath, place
from twinstep.option_market import Iv, RatePct, SurfaceName
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
from twinstep.session_options import (
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
from twinstep.wiring import title

if TYPE_CHECKING:
    from collections.abc import Callable

    from live.alerts import Alerts
    from live.automation.config import ExecutionMode
    from live.following.session import BrokerSession
    from live.following.standing import Standing
    from twinstep.config import Settings
    from twinstep.live_watch import LiveWatch

__all__ = ["EXAMPLES", "live"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep live --strategy sma-cross --feed 'alpaca:AAPL,MSFT?interval=5m'\n"
    "  twinstep live --strategy sma-cross --feed 'alpaca:AAPL?interval=5m' --mode manual_review --name slow\n"
    "  twinstep live --strategy sma-cross --feed 'alpaca:AAPL?interval=5m' --shadow\n"
    "  twinstep parity live"
)

BROKER: Final = "Broker"
_LOOKS: Final = 3
"""Looks at the broker after the last bar, while each finds something."""


def live(
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
    real: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Real money: needs key = true in section live and an armed switch of scope live too; "
            "without it, "
            "paper.",
            rich_help_panel=BROKER,
        ),
    ] = False,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="PAPER_ONLY, MANUAL_REVIEW (entries and exits wait for twinstep approve) or LIVE; without "
            "it, LIVE with --live, else PAPER_ONLY.",
            rich_help_panel=BROKER,
            show_default=False,
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow",
            help="Send nothing: the broker's account and prices, with orders that are filled here. With "
            "--live those of the account of real money.",
            rich_help_panel=BROKER,
        ),
    ] = False,
    poll: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Between two looks at the broker while no bar comes.",
            rich_help_panel=BROKER,
        ),
    ] = 5.0,
    slippage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What fills usually cost, as `twinstep broker slippage --save` has written it: where they "
            "become dearer an alert goes out, and orders wait for a person.",
            rich_help_panel=BROKER,
            show_default=False,
        ),
    ] = None,
    journal: JournalPath = None,
    name: SessionName = "live",
    speed: Speed = None,
    bars: BarCount = None,
    folder: Folder = None,
    feed: FeedSpec = None,
    lines: Lines = None,
    accept_change: AcceptChange = None,
    as_json: Json = False,
) -> None:
    """Trade at the configured broker: the plan is a session as on paper, its orders go there.

    The same name goes on where it was, and first looks at what happened meanwhile. Ctrl-C and SIGTERM end it
    after the bar that is being stepped: exit code 130. What rests at the broker stays there, and is told.
    """
    settings = settings_from(
        config, changes, source=data, symbols=symbols, start=start, end=end, timeframe=timeframe, cash=cash,
        conventions=conventions, costs=costs, no_risk=no_risk,
    )  # fmt: skip
    check_name(name)
    chosen = chosen_strategies(strategy, param)
    execution = _mode(mode, real=real and not shadow)
    if not poll > 0.0:
        raise ConfigError(f"--poll is {poll:g}; it is seconds, above 0", code="CLI_USAGE")
    where = place(journal, "paper").where
    state = state_folder(where, folder)
    from live.following.session import BrokerSession
    from twinstep.live_view import left_working
    from twinstep.live_watch import LiveWatch
    from twinstep.paper_summary import Answers, show, summary
    from twinstep.paper_watch import feed_line, request_reader, spoken

    _check_locks(settings, execution, state, real=real, shadow=shadow)
    source = session_feed(feed, data, settings, speed, iv, surface, rate_pct)
    if real and not shadow and not source.live:
        raise ConfigError(
            "--live trades real money now, and stored bars are of another day; name bars as they happen with "
            "--feed",
            code="CLI_REPLAY",
        )
    head = head_of(source, feed)
    begun = datetime.now(UTC)
    with ExitStack() as ending:
        alerts = opened_alerts(ending, settings)
        session = ending.enter_context(
            BrokerSession(
                where, settings.broker, feed=source, strategies=chosen, cash=settings.account.cash,
                risk=settings.risk, costs=settings.costs, conventions=settings.conventions, name=name,
                mode=execution, live_key=settings.live.key, live_flag=real, shadow=shadow, folder=state,
                config=settings.path, accept_change=accept_change, notify=_told(alerts), alerts=alerts,
                calibration=slippage, poll_seconds=poll,
            )
        )  # fmt: skip
        before = session.session.bars
        if not as_json:
            emit(title(head) if feed is None else f"{feed}: {', '.join(source.like.symbols)}")
            _introduce(session, before, name)
            if not source.live and settings.broker.name != "paper":
                note("these bars are stored ones, and what the broker fills is filled at the prices of now")
            if folder is not None:
                note(f"kill switch: {state}; halt with twinstep kill --folder {folder}")
        watch = LiveWatch(
            quiet=as_json,
            every=int(source.live) if lines is None else lines,
            requests=request_reader(state),
            feed=feed_line(source, feed or settings.data.source),
            since=begun,
            look_seconds=poll if source.live else None,
            stored=not source.live,
            place=_place_words(folder, journal),
        )
        watch.begin_at(session)
        answers = Answers()
        ending.callback(session.session.on_outcome(answers.take))
        watched(ending, session.session, alerts, session.desk.kill_switch)
        if source.live:
            ending.callback(source.close)
            source.on_event(spoken)
            source.watch(session.desk.kill_switch)
        with watch:
            stepped = session.run(bars, tell=watch.tell_at)
            _look_again(session, watch)
        found = summary(session.session, stepped, watch, answers)
        fact, stopped = session.status(), session.stopped
        told: Any = getattr(session.broker, "status", None)
        beside = told() if shadow and told is not None else None
    if as_json:
        account = _plain(fact, watch) | ({} if beside is None else {"shadow": beside.plain()})
        emit_json({**found, "data": head, "journal": where, "switch": str(state), "broker": account})
    else:
        show(found)
        _show_fact(fact, left_working(fact))
        if beside is not None:
            emit(str(beside))
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)


def _look_again(session: BrokerSession, watch: LiveWatch) -> None:
    """Ask the broker until nothing more comes of it: what the last bar has changed is told as it stands."""
    for _ in range(_LOOKS):
        before = sum(watch.counts.values())
        try:
            session.poll()
        except TwinstepError as error:
            note(f"warning: the last look at the broker failed: {error}")
            return
        watch.look()
        if sum(watch.counts.values()) == before:
            return


def _place_words(folder: str | None, journal: str | None) -> str:
    """Return the options that lead other commands to the same kill switch."""
    if folder is not None:
        return f" --folder {shlex.quote(str(folder))}"
    return "" if journal is None else f" --journal {shlex.quote(str(journal))}"


def _mode(given: str | None, *, real: bool) -> ExecutionMode:
    from live.automation.config import ExecutionMode

    if given is None:
        return ExecutionMode.LIVE if real else ExecutionMode.PAPER_ONLY
    word, names = given.strip().upper().replace("-", "_"), list(ExecutionMode.__members__)
    if word not in names:
        raise ConfigError(f"--mode is {given!r}; it is {', '.join(names)}", code="CLI_USAGE")
    return ExecutionMode[word]


def _check_locks(
    settings: Settings, execution: ExecutionMode, state: Path, *, real: bool, shadow: bool
) -> None:
    """Say what is missing before a journal is begun, or a library imported; opening looks again."""
    from live.automation.config import ExecutionMode
    from live.brokers.live_gate import check_live
    from twinstep.broker_desk import configured_switch

    if settings.broker.name == "paper" and shadow:
        raise ConfigError(
            "--shadow reads an account at a broker, and [broker] name is paper; name the broker",
            code="LIVE_SHADOW",
        )
    if settings.broker.name == "paper" and real:
        raise ConfigError(
            "--live asks for real money, and [broker] name is paper; name the broker", code="LIVE_NOT_ENABLED"
        )
    if real and not shadow:
        check_live(key=settings.live.key, flag=True, switch=configured_switch(state, live=True))
        if execution is ExecutionMode.PAPER_ONLY:
            raise ConfigError("PAPER_ONLY, and --live asks for real money; drop one", code="LIVE_PAPER_ONLY")
    elif execution is ExecutionMode.LIVE:
        raise ConfigError(
            "mode LIVE trades real money and needs --live; paper accounts are traded in PAPER_ONLY and "
            "MANUAL_REVIEW",
            code="LIVE_NOT_ENABLED",
        )


def _told(alerts: Alerts | None) -> Callable[[str, str, str], object] | None:
    """Return what passes on to the alerts what a desk says, of the kinds that they know."""
    if alerts is None:
        return None
    from live.alerts import KINDS

    known: dict[str, Any] = {kind: kind for kind in KINDS}

    def tell(kind: str, title: str, text: str) -> None:
        if kind in known:
            alerts.send(known[kind], title, text)

    return tell


def _introduce(session: BrokerSession, before: int, name: str) -> None:
    """Say where orders go, how the switch stands, and what is known of the account."""
    from twinstep.live_view import standing_line, trouble_words

    fact = session.status()
    emit(f"{fact.kind}, switch {fact.switch}: {standing_line(fact, datetime.now(UTC))}")
    if before:
        note(f"session {name!r} goes on after {before:,} bars")
    for words in trouble_words(fact):
        note(f"warning: {words}")


def _show_fact(fact: Standing, left: list[str]) -> None:
    from twinstep.live_view import trouble_words

    equity = "unknown" if fact.equity is None else f"{fact.equity:,.2f} {fact.currency}"
    emit(f"at {fact.broker} {fact.account}: equity {equity}, switch {fact.switch}")
    for words in trouble_words(fact):
        note(f"warning: {words}")
    for line in left:
        emit(line)
    if not left and fact.at is not None:
        emit(f"nothing is open or at work at {fact.broker}")


def _plain(fact: Standing, watch: Any) -> dict[str, Any]:
    """Return the account at the broker as values that JSON can hold."""
    from twinstep.broker_orders import order_fields

    positions = [
        {
            "symbol": one.symbol, "quantity": one.quantity, "average_price": one.average_price,
            "mark": one.mark, "guarded": one.guarded, "naked": one.naked, "stop": one.stop,
            "loss_at_stops": one.loss_at_stops, "open_loss": one.open_loss,
            "naked_since": None if one.naked_since is None else one.naked_since.isoformat(),
            "naked_seconds": one.naked_seconds,
        }
        for one in fact.positions
    ]  # fmt: skip
    return {
        "kind": fact.kind, "mode": fact.execution, "broker": fact.broker, "account": fact.account,
        "paper": fact.is_paper, "switch": fact.switch,
        "asked": None if fact.at is None else fact.at.isoformat(), "equity": fact.equity, "cash": fact.cash,
        "currency": fact.currency, "positions": positions, "waiting": fact.waiting,
        "orders": [order_fields(one) for one in fact.orders], "differences": list(fact.differences),
        "problems": list(fact.problems), "slippage": fact.slippage, "sent": dict(watch.counts),
    }  # fmt: skip
