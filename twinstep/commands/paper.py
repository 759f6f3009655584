"""`twinstep paper` and `twinstep parity`: a paper session in the journal, and the receipt that it replays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import EXIT_FOUND, EXIT_INTERRUPTED, emit, emit_json, note, table
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
    from rich.live import Live

    from live.outcome import StepOutcome
    from live.session import Session

__all__ = ["PAPER_EXAMPLES", "PARITY_EXAMPLES", "paper", "parity"]

PAPER_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep paper --strategy donchian-breakout --end 2004-12-31\n"
    "  twinstep paper --strategy sma-cross --speed 20 --journal desk.db --name trend\n"
    "  twinstep paper --data sample:spx --iv sample:vix --strategy short-put-spread --start 2014-01-01\n"
    "  twinstep parity paper"
)
PARITY_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep parity\n  twinstep parity trend --journal desk.db --json"
)

SESSION: Final = "Session"
_LOOKS: Final = 8  # a second


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
            help="Bars per second; without it, as fast as they can be stored.",
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
    parameters = parse_parameters(param or ())
    if parameters and len(strategy) > 1:
        raise ConfigError(
            "--param belongs to one strategy, and several are named; give them their parameters in files",
            code="CLI_EXCLUSIVE",
        )
    chosen = [find_strategy(spec, parameters) for spec in strategy]
    market = with_options(read_bars(settings), iv, surface, rate_pct, settings)
    head = describe_bars(market)
    where = place(journal, "paper").where
    from live.feeds.replay import ReplayFeed
    from live.kill_switch import KillSwitch, switch_folder
    from live.session import Session

    switch = None if "://" in where else KillSwitch(switch_folder(where))
    with Session(
        where, feed=ReplayFeed(market, speed=speed), strategies=chosen, cash=settings.account.cash,
        risk=settings.risk, costs=settings.costs, conventions=settings.conventions, name=name,
        kill_switch=switch, group=group, accept_change=accept_change,
    ) as session:  # fmt: skip
        before = session.bars
        if not as_json:
            emit(title(head))
            if before:
                note(f"session {name!r} goes on after {before:,} bars")
        watch = _Watch(quiet=as_json)
        with watch:
            stepped = session.run(bars, tell=watch.tell)
        summary = _summary(session, stepped, watch)
        stopped = session.stopped
    if as_json:
        emit_json({**summary, "data": head, "journal": where})
    else:
        _show(summary)
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)


def parity(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The session.")] = "paper",
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Replay a session's recorded inputs through the backtest and compare every byte.

    Exit code 3 where something differs; the first difference is named.
    """
    where = place(journal, "paper").where
    from live.parity import verify_parity

    receipt = verify_parity(where, name)
    if as_json:
        emit_json(receipt.plain())
    else:
        emit(str(receipt))
    if not receipt.ok:
        raise typer.Exit(EXIT_FOUND)


class _Watch:
    """What is shown while a session runs: a live table on a terminal, a line per trade elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.signals = self.fills = self.trades = self.refused = self.gaps = 0
        self._live: Live | None = None

    def __enter__(self) -> _Watch:
        if not self.quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(refresh_per_second=_LOOKS, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, session: Session, outcome: StepOutcome) -> None:
        self.signals += outcome.signals
        self.fills += len(outcome.logs["fills"])
        self.trades += len(outcome.trades)
        self.refused += len(outcome.refused)
        self.gaps += len(outcome.gaps)
        if self.quiet:
            return
        for gap in outcome.gaps:
            note(str(gap))
        for bar in outcome.refused:
            note(f"{bar.kind} bar {_day(bar.ts)}: recorded and ignored")
        if self._live is not None:
            self._live.update(_view(session, self))
            return
        for trade in outcome.logs["trades"]:
            emit(_trade_line(session, trade))


def _trade_line(session: Session, trade: Any) -> str:
    from simulator.types import ExitReason

    side = "long" if trade["side"] > 0 else "short"
    reason = ExitReason(int(trade["exit_reason"])).label
    return (
        f"{_day(int(trade['exit_ts']))} {session.symbols[trade['sym']]} {side} {trade['qty']:g}: "
        f"{trade['entry_price']:.2f} to {trade['exit_price']:.2f}, {trade['pnl']:+,.2f} ({reason})"
    )


def _view(session: Session, watch: _Watch) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    account = session.state.account[0]
    grid = Table(box=None, pad_edge=False)
    for column in ("symbol", "side", "quantity", "entry", "mark", "profit"):
        grid.add_column(column, justify="left" if column in ("symbol", "side") else "right")
    for slot in session.state.open_slots["slot"][: int(account["n_positions"])]:
        held = session.state.positions[slot]
        sign, mark = int(held["side"]), float(held["mark"]) * int(held["side"])
        gain = sign * (mark - float(held["entry_price"])) * float(held["qty"]) * float(held["multiplier"])
        grid.add_row(
            session.symbols[held["sym"]], "long" if sign > 0 else "short", f"{held['qty']:g}",
            f"{held['entry_price']:.2f}", f"{mark:.2f}", f"{gain:+,.2f}",
        )  # fmt: skip
    state = _halt(session)
    head = (
        f"{_day(session.last_ts or 0)}  bar {session.bars:,}  equity {account['equity']:,.2f}  "
        f"cash {account['cash']:,.2f}  {state}  working {int(account['n_orders'])}  closed {watch.trades}"
    )
    return Group(Text(head), grid)


def _summary(session: Session, stepped: int, watch: _Watch) -> dict[str, Any]:
    account = session.state.account[0]
    return {
        "session": session.name,
        "stepped": stepped,
        "bars": session.bars,
        "last": None if session.last_ts is None else _day(session.last_ts),
        "equity": float(account["equity"]),
        "cash": float(account["cash"]),
        "state": _halt(session),
        "open_positions": int(account["n_positions"]),
        "working_orders": int(account["n_orders"]),
        "signals": watch.signals,
        "fills": watch.fills,
        "trades": watch.trades,
        "refused": watch.refused,
        "gaps": watch.gaps,
        "positions": [
            {
                "symbol": held.symbol, "side": held.side, "quantity": held.quantity,
                "entry_price": held.entry_price, "mark": held.mark, "stop": held.stop,
                "unrealized": held.unrealized,
            }
            for held in session.positions()
        ],
    }  # fmt: skip


def _show(summary: dict[str, Any]) -> None:
    names = ("stepped", "signals", "fills", "trades", "open_positions", "working_orders", "refused", "gaps")
    emit(
        f"session {summary['session']!r}: {summary['bars']:,} bars to {summary['last'] or 'none'}, equity "
        f"{summary['equity']:,.2f}, cash {summary['cash']:,.2f}, {summary['state']}"
    )
    emit(", ".join(f"{name.replace('_', ' ')} {summary[name]:,}" for name in names))
    if summary["positions"]:
        columns = list(summary["positions"][0])
        table(columns, [[held[column] for column in columns] for held in summary["positions"]])


def _halt(session: Session) -> str:
    from simulator.types import HaltState

    return HaltState(int(session.state.account["state"][0])).name


def _day(ts: int) -> str:
    from simulator.bars.arrays import stamp

    return stamp(ts)
